//! Units, in one place.
//!
//! | quantity  | unit      |
//! |-----------|-----------|
//! | length    | Å         |
//! | energy    | eV        |
//! | force     | eV/Å      |
//! | stress    | eV/Å³     |
//! | mass      | u         |
//!
//! Constants are CODATA 2018 unless said otherwise
//! (E. Tiesinga et al., Rev. Mod. Phys. 93, 025010, 2021).

/// Bohr radius in Å (CODATA 2018).
pub const BOHR: f64 = 0.529_177_210_903;

/// Hartree in eV (CODATA 2018).
pub const HARTREE: f64 = 27.211_386_245_988;

/// eV in kJ/mol: the elementary charge times Avogadro's number, both exact (SI 2019).
pub const KJ_PER_MOL: f64 = 96.485_332_123_310_02;

/// 1 eV/Å³ in `GPa` (exact since 2019).
pub const EV_PER_CUBIC_ANGSTROM_IN_GPA: f64 = 160.217_663_4;

/// How many Å one of the named length unit is; `None` for a name nobody uses for a length.
///
/// Spellings as found in H5MD files (<https://www.nongnu.org/h5md/modules/units.html>) and in practice.
pub fn length_in_angstrom(unit: &str) -> Option<f64> {
    match unit.trim() {
        "" | "Angstrom" | "angstrom" | "Å" | "\u{212b}" | "A" | "Ang" | "ang" => Some(1.0),
        "nm" | "nanometer" => Some(10.0),
        "pm" => Some(0.01),
        "bohr" | "Bohr" | "a0" | "au" => Some(BOHR),
        "m" => Some(1e10),
        _ => None,
    }
}

/// A unit as H5MD spells it, factors and their exponents between blanks: `eV/Å^3` is `eV Angstrom-3`. What is no
/// product of powers of names stays as it is.
///
/// H5MD 1.1, module `units` (<https://www.nongnu.org/h5md/modules/units.html>).
pub fn h5md_unit(unit: &str) -> String {
    factors(unit).unwrap_or_else(|| unit.to_owned())
}

fn factors(unit: &str) -> Option<String> {
    let mut spelled: Vec<String> = Vec::new();
    for (place, part) in unit.split(['/', '\u{2215}']).enumerate() {
        // Behind a slash only the next factor is meant, and nobody agrees on what `a/b c` is.
        let words: Vec<_> = part
            .split(['*', ' ', '·'])
            .filter(|w| !w.is_empty())
            .collect();
        if words.is_empty() || (place > 0 && words.len() > 1) {
            return None;
        }
        for word in words {
            let end = word.find(|c: char| c.is_ascii_digit() || "^-+²³⁻".contains(c));
            let (name, exponent) = word.split_at(end.unwrap_or(word.len()));
            let exponent: i32 = match exponent.trim_start_matches('^') {
                "" if exponent.is_empty() => 1,
                "²" => 2,
                "³" => 3,
                digits => digits.parse().ok()?,
            };
            let name = match name {
                "Å" | "\u{212b}" | "Ang" | "angstrom" => "Angstrom",
                other => other,
            };
            if name.is_empty() || exponent == 0 {
                return None;
            }
            spelled.push(match if place > 0 { -exponent } else { exponent } {
                1 => name.to_owned(),
                power => format!("{name}{power}"),
            });
        }
    }
    Some(spelled.join(" "))
}

#[cfg(test)]
mod tests {
    use super::h5md_unit;

    #[test]
    fn units_are_spelled_as_h5md_does() {
        for (said, spelled) in [
            ("eV", "eV"),
            ("eV/Angstrom", "eV Angstrom-1"),
            ("eV Angstrom-1", "eV Angstrom-1"),
            ("eV*Å^-1", "eV Angstrom-1"),
            ("eV/Angstrom^3", "eV Angstrom-3"),
            ("eV/Å³", "eV Angstrom-3"),
            ("eV/Å**3", "eV/Å**3"),
            ("Angstrom/fs", "Angstrom fs-1"),
            ("Å\u{2215}fs", "Angstrom fs-1"),
            ("nm ps-1", "nm ps-1"),
            ("kJ/mol/nm", "kJ mol-1 nm-1"),
            ("eV/Angstrom fs", "eV/Angstrom fs"),
            ("1/eV", "1/eV"),
            ("", ""),
            ("/", "/"),
        ] {
            assert_eq!(h5md_unit(said), spelled);
        }
    }
}
