//! Which reader a trajectory file needs.

pub mod ahead;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::adapters::extxyz::reader::ExtxyzReader;
use crate::adapters::source::FrameStream;
use crate::domain::elements;
use crate::domain::error::{Error, Result};

/// What the user says about files that do not say it themselves.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    /// File with the species.
    pub topology: Option<PathBuf>,
    /// Atomic numbers.
    pub species: Option<Vec<u8>>,
}

/// More atoms than this in `--species` is a slip of the pen.
const MOST_ATOMS: usize = 1 << 30;

impl Hints {
    /// Reads `--species Ar,Ar,Kr:3`.
    pub fn new(topology: Option<PathBuf>, species: Option<&str>) -> Result<Self> {
        let species = species.map(parse_species).transpose()?;
        Ok(Self { topology, species })
    }
}

/// Reads `Ar,Ar,Kr:3`.
pub fn parse_species(text: &str) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    for item in text.split(',') {
        let wrong = || {
            Error::usage(format!(
                "--species: {item:?} is not an element or an element and a number of atoms; write Ar,Ar,Kr or Ar:108"
            ))
        };
        let (symbol, count) = item.trim().split_once(':').unwrap_or((item.trim(), "1"));
        let number = elements::parse(symbol).ok_or_else(wrong)?;
        let count = count.parse().ok().filter(|n| *n > 0).ok_or_else(wrong)?;
        if count > MOST_ATOMS - all.len().min(MOST_ATOMS) {
            return Err(wrong());
        }
        all.extend(std::iter::repeat_n(number, count));
    }
    Ok(all)
}

/// Opens a trajectory with the reader for its format: extended XYZ always with the exact one.
pub fn open(path: &Path, hints: &Hints) -> Result<Box<dyn FrameStream>> {
    match format_of(path)? {
        Format::ExtendedXyz => Ok(Box::new(ExtxyzReader::open(path)?)),
        Format::Foreign => open_foreign(path, hints),
    }
}

/// How a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    ExtendedXyz,
    Foreign,
}

fn format_of(path: &Path) -> Result<Format> {
    let name = path
        .file_name()
        .map(|n| n.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    // A file is read twice, first for what is in it; opening a pipe would wait for ever.
    if path
        .metadata()
        .is_ok_and(|found| !found.is_file() && !found.is_dir())
    {
        return Err(Error::failure(format!("{}: is not a file", path.display())));
    }
    let ends = |suffixes: &[&str]| suffixes.iter().any(|s| name.ends_with(s));
    if ends(&[".xyz", ".extxyz"]) {
        return Ok(Format::ExtendedXyz);
    }
    if ends(&[
        ".xyz.gz",
        ".xyz.bz2",
        ".xyz.xz",
        ".extxyz.gz",
        ".extxyz.bz2",
        ".extxyz.xz",
    ]) {
        return Err(Error::failure(format!(
            "{}: is compressed; decompress it first (gunzip, bunzip2, unxz)",
            path.display()
        )));
    }
    if ends(&[".traj", ".db"]) {
        let shown = path.display();
        return Err(Error::failure(format!(
            "{shown}: is a format of ASE's own; `ase convert {shown} {shown}.extxyz` makes one that is read to the last digit"
        )));
    }
    let start = first_bytes(path)?;
    if start.starts_with(b"\x89HDF\r\n\x1a\n") && !ends(&[".nc", ".ncdf", ".nctraj"]) {
        return Err(Error::failure(format!(
            "{}: is HDF5 already; give it to framewise run as it is",
            path.display()
        )));
    }
    if !name.contains('.') && starts_like_xyz(&start) {
        return Ok(Format::ExtendedXyz);
    }
    Ok(Format::Foreign)
}

fn first_bytes(path: &Path) -> Result<Vec<u8>> {
    let mut start = Vec::new();
    std::fs::File::open(path)
        .and_then(|f| f.take(256).read_to_end(&mut start))
        .map_err(|e| Error::unreadable(path, &e))?;
    Ok(start)
}

fn starts_like_xyz(start: &[u8]) -> bool {
    let line = start.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = line.trim_ascii();
    !line.is_empty() && line.iter().all(u8::is_ascii_digit)
}

#[cfg(feature = "chemfiles")]
fn open_foreign(path: &Path, hints: &Hints) -> Result<Box<dyn FrameStream>> {
    Ok(Box::new(crate::adapters::chemfiles::ChemfilesReader::open(
        path, hints,
    )?))
}

#[cfg(not(feature = "chemfiles"))]
fn open_foreign(path: &Path, _hints: &Hints) -> Result<Box<dyn FrameStream>> {
    Err(Error::failure(format!(
        "{}: this build reads .xyz and .extxyz only; build with `cargo install --path . --features chemfiles` for PDB, DCD, XTC, TRR, NetCDF, LAMMPS dumps",
        path.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn species_are_lists_and_counts() {
        assert_eq!(parse_species("Ar,Kr:2,8").unwrap(), [18, 36, 36, 8]);
        for text in ["", "Ar:0", "Ar:x", "Qq", "Ar:99999999999", "Ar,"] {
            let error = parse_species(text).unwrap_err();
            assert!(
                error.message.contains("write Ar,Ar,Kr or Ar:108"),
                "{text}: {error}"
            );
        }
    }
}
