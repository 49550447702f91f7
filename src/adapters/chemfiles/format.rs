//! What is special about a format, which chemfiles tells by the end of a file's name.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

/// How a file's contents are to be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Its cell is said once for all models, and the unit cube stands for none.
    Pdb,
    /// Times in ps, velocities in Å/ps.
    Gromacs,
    /// As [`Format::Gromacs`], but step and time are words of the title.
    Gro,
    /// Velocities in Å/ps, and times that are lost.
    Amber,
    Other,
}

/// What chemfiles' types of atoms are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Types {
    /// Symbols of elements.
    Elements,
    /// Symbols of elements, or the name again where the file has none.
    ElementsOrNames,
    /// Names, or types of a force field.
    Names,
}

/// The end of the name without that of a packer, and whether there was one.
fn ending(path: &Path) -> (String, bool) {
    let name = path.to_string_lossy().to_lowercase();
    let plain = [".gz", ".bz2", ".xz"]
        .iter()
        .find_map(|packed| name.strip_suffix(packed));
    let ending = plain.unwrap_or(&name).rsplit('.').next();
    (ending.unwrap_or_default().to_owned(), plain.is_some())
}

impl Format {
    pub fn of(path: &Path) -> Self {
        match &*ending(path).0 {
            "pdb" | "ent" => Self::Pdb,
            "xtc" | "trr" | "tng" => Self::Gromacs,
            "gro" => Self::Gro,
            "nc" | "ncdf" | "nctraj" => Self::Amber,
            _ => Self::Other,
        }
    }
}

/// The name that chemfiles has for a format, where it does not know the end of the file's name.
pub fn chemfiles_name(path: &Path) -> Option<&'static str> {
    match ending(path) {
        (_, true) => None,
        (ending, false) => match &*ending {
            "ncdf" | "nctraj" => Some("Amber NetCDF"),
            "ent" => Some("PDB"),
            _ => None,
        },
    }
}

/// True for formats whose atoms have nothing but positions and velocities, and names at most.
pub fn is_bare(path: &Path) -> bool {
    let bare = ["xtc", "trr", "dcd", "nc", "ncdf", "nctraj", "gro"];
    bare.contains(&&*ending(path).0)
}

/// What the types of the atoms in a file are.
pub fn types(path: &Path) -> Types {
    match ending(path) {
        (ending, is_packed) if ["pdb", "ent"].contains(&&*ending) => {
            if !is_packed && has_elements(path) {
                Types::Elements
            } else {
                Types::ElementsOrNames
            }
        }
        (ending, _) if ["cif", "mmcif", "cml", "mmtf", "sdf", "molden"].contains(&&*ending) => {
            Types::Elements
        }
        _ => Types::Names,
    }
}

/// Whether all atoms of a PDB file have an element in columns 77 and 78. chemfiles takes the name of an atom whose
/// line ends before them for its type, and does not say so.
fn has_elements(path: &Path) -> bool {
    let Ok(file) = File::open(path) else {
        return false;
    };
    let mut input = BufReader::with_capacity(1 << 18, file);
    let mut line = Vec::new();
    loop {
        line.clear();
        match input.read_until(b'\n', &mut line) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
        let is_atom = line.starts_with(b"ATOM  ") || line.starts_with(b"HETATM");
        let element = line.get(76..78).unwrap_or_default();
        if is_atom && element.trim_ascii().is_empty() {
            return false;
        }
    }
}

/// The number after `what` in a title as GROMACS writes it (`Water t=   1.50000 step= 750`); the last one counts.
pub fn in_title(title: &str, what: &str) -> Option<f64> {
    let begins = |at: usize| title[..at].ends_with(char::is_whitespace) || at == 0;
    let places = title.match_indices(what).map(|(at, _)| at);
    let at = places.filter(|at| begins(*at)).last()?;
    let word = title[at + what.len()..].split_whitespace().next()?;
    word.parse().ok().filter(|x: &f64| x.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_follow_from_names() {
        for (name, format) in [
            ("a.PDB.gz", Format::Pdb),
            ("a.gro", Format::Gro),
            ("a.ncdf", Format::Amber),
            ("a", Format::Other),
        ] {
            assert_eq!(Format::of(Path::new(name)), format, "{name}");
        }
        assert_eq!(types(Path::new("a.CIF")), Types::Elements);
        assert_eq!(types(Path::new("a.mol2")), Types::Names);
        assert_eq!(types(Path::new("absent.pdb")), Types::ElementsOrNames);
    }

    #[test]
    fn titles_say_times() {
        let title = "dt= 2 t= 1.0 of a part, t=   2.50000 step= 750";
        assert_eq!(in_title(title, "t="), Some(2.5));
        assert_eq!(in_title(title, "step="), Some(750.0));
        for title in ["", "t=", "dt= 2", "t= inf", "t= x"] {
            assert_eq!(in_title(title, "t="), None, "{title}");
        }
    }
}
