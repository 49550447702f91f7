//! Which element an atom's name is, where a file has names of a force field and no column of elements.
//!
//! `CA` is carbon in an amino acid and calcium in a residue of its own, `HG` is hydrogen or mercury, `NB` nitrogen or
//! niobium. Only what cannot be anything else is an element here.

use crate::domain::elements::{self, SYMBOLS};

/// What a name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// This element and no other.
    Sure(u8),
    /// This element where the residue says so too, as ions have it; otherwise it may be the name of another.
    Ion(u8),
    /// The symbol of this element, but as likely not meant as one.
    Unsure(u8),
    /// No element.
    Unknown,
}

/// Elements that have names like `CA`, `HG21`, `OXT` in force fields, so that no symbol in capitals that begins like
/// one is certain.
const NAMED: &str = "HBCNOFPSI";

/// Symbols in capitals that are certain although they begin like one of [`NAMED`].
const CERTAIN: [&str; 4] = ["BR", "FE", "SE", "SI"];

/// Names of ions in the force fields of CHARMM, where a residue has the name of its atom.
const CHARMM: [(&str, &str); 9] = [
    ("SOD", "Na"),
    ("POT", "K"),
    ("CLA", "Cl"),
    ("CAL", "Ca"),
    ("CES", "Cs"),
    ("LIT", "Li"),
    ("RUB", "Rb"),
    ("BAR", "Ba"),
    ("CAD", "Cd"),
];

/// The heaviest element that occurs in nature: names like `MC` and `TS` are no elements.
const HEAVIEST: u8 = 94;

/// Reads the name, or the type, of an atom.
pub fn read(name: &str) -> Reading {
    if let Some(ion) = of_charmm(name) {
        return Reading::Ion(ion);
    }
    let name = without_charge(name);
    let upper = name.to_ascii_uppercase();
    let Some(z) = symbol(name).filter(|z| *z > 0) else {
        return Reading::Unknown;
    };
    if upper.len() == 1 {
        // W, U, V and Y are beads of coarse models as well.
        return if NAMED.contains(&upper) || upper == "K" {
            Reading::Sure(z)
        } else {
            Reading::Unsure(z)
        };
    }
    let may_be_named = upper.starts_with(|c| NAMED.contains(c)) && !CERTAIN.contains(&&*upper);
    if SYMBOLS[usize::from(z)] == name || (!may_be_named && z <= HEAVIEST) {
        Reading::Sure(z)
    } else {
        Reading::Ion(z)
    }
}

/// The element of the ion that a residue with this name is: `CA`, `Na+`, `ZN2`, `SOD`.
pub fn of_residue(name: &str) -> Option<u8> {
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || "+-".contains(c));
    let two = |name| symbol(name).filter(|z| *z > 0 && (plain.len() == 2 || plain == "K"));
    of_charmm(name).or_else(|| two(plain))
}

/// True for names of residues that ions of all elements have.
pub fn is_any_ion(residue: &str) -> bool {
    ["ION", "IONS"].contains(&residue)
}

fn of_charmm(name: &str) -> Option<u8> {
    let (_, symbol) = CHARMM.iter().find(|(known, _)| *known == name)?;
    elements::exactly(symbol)
}

/// The element with this symbol in any case, in the right case first.
fn symbol(text: &str) -> Option<u8> {
    elements::atomic_number(text).filter(|_| text.bytes().all(|b| b.is_ascii_alphabetic()))
}

/// `NA` of `NA+`, `Zn` of `Zn2+`; `C2` is left alone.
fn without_charge(name: &str) -> &str {
    let bare = name.trim_end_matches(['+', '-']);
    if bare.len() == name.len() {
        return name;
    }
    bare.trim_end_matches(|c: char| c.is_ascii_digit())
}

/// What a name most likely stands for, to be looked at by who knows it: an element by the first letter; `?`, which
/// `--species` refuses, where that is none.
pub fn guess(name: &str) -> &'static str {
    if let Some(ion) = of_charmm(name) {
        return elements::symbol(ion);
    }
    let letters = name.trim_start_matches(|c: char| c.is_ascii_digit());
    let end = letters.find(|c: char| !c.is_ascii_alphabetic());
    let letters = &letters[..end.unwrap_or(letters.len())];
    let upper = letters.to_ascii_uppercase();
    let begins = |n: usize| upper.get(..n).and_then(elements::atomic_number);
    let is_named = upper.starts_with(|c| NAMED.contains(c));
    let is_pair = elements::exactly(letters).is_some() && letters.len() == 2;
    let found = match &*upper {
        "D" => Some(1),
        "CL" | "BR" | "FE" | "SE" | "SI" => begins(2),
        _ if is_pair => elements::exactly(letters),
        _ if is_named => begins(1),
        _ if letters.len() < 3 => begins(letters.len()),
        _ => None,
    };
    found.filter(|z| *z > 0).map_or("?", elements::symbol)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_be_anything_else_is_sure() {
        for (name, z) in [("C", 6), ("o", 8), ("K", 19), ("Ca", 20), ("Zn2+", 30)] {
            assert_eq!(read(name), Reading::Sure(z), "{name}");
        }
        for (name, z) in [("ZN", 30), ("MG", 12), ("BR", 35), ("FE", 26), ("AR", 18)] {
            assert_eq!(read(name), Reading::Sure(z), "{name}");
        }
        for (name, z) in [("CA", 20), ("HG", 80), ("ca", 20), ("NA+", 11), ("SOD", 11)] {
            assert_eq!(read(name), Reading::Ion(z), "{name}");
        }
        assert_eq!(read("W"), Reading::Unsure(74));
        for name in ["", "X", "CB", "OW", "HW1", "C2", "1", "C-", "\u{c5}"] {
            let expected = if name == "C-" {
                Reading::Sure(6)
            } else {
                Reading::Unknown
            };
            assert_eq!(read(name), expected, "{name}");
        }
    }

    #[test]
    fn residues_of_ions_have_the_name_of_their_element() {
        for (name, z) in [("CA", 20), ("Na+", 11), ("ZN2", 30), ("K", 19), ("CLA", 17)] {
            assert_eq!(of_residue(name), Some(z), "{name}");
        }
        for name in ["ALA", "W", "C", "", "SOL", "XX"] {
            assert_eq!(of_residue(name), None, "{name}");
        }
        assert!(is_any_ion("ION") && !is_any_ion("LIG"));
    }

    #[test]
    fn guesses_go_by_the_first_letter() {
        for (name, symbol) in [
            ("CA", "C"),
            ("HG21", "H"),
            ("1HB", "H"),
            ("OXT", "O"),
            ("Na1", "Na"),
            ("CL2", "Cl"),
            ("ca", "C"),
            ("ZN1", "Zn"),
            ("D", "H"),
            ("W", "W"),
            ("MW", "?"),
            ("LP", "?"),
            ("1", "?"),
            ("", "?"),
            ("\u{3b1}", "?"),
        ] {
            assert_eq!(guess(name), symbol, "{name}");
        }
    }
}
