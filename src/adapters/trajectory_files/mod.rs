//! Which reader a trajectory file needs.

pub mod ahead;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::adapters::extxyz::reader::ExtxyzReader;
use crate::adapters::lammps_dump::{self, LammpsDumpReader};
use crate::adapters::legend::Legend;
use crate::adapters::source::FrameStream;
use crate::domain::error::{Error, Result};
use crate::domain::units::length_in_angstrom;

/// What the user says about files that do not say it themselves.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    /// File with the species.
    pub topology: Option<PathBuf>,
    /// What the user says of species and lengths.
    pub legend: Legend,
}

impl Hints {
    /// Å per unit of length where the file says none.
    pub fn length(&self) -> f64 {
        let said = self.legend.length.as_deref().and_then(length_in_angstrom);
        said.unwrap_or(1.0)
    }
}

/// Opens a trajectory with the reader for its format: extended XYZ always with the exact one, in the unit of the file.
pub fn open(path: &Path, hints: &Hints) -> Result<Box<dyn FrameStream>> {
    match format_of(path)? {
        Format::ExtendedXyz => Ok(Box::new(ExtxyzReader::open(path)?)),
        Format::LammpsDump => Ok(Box::new(LammpsDumpReader::open(path, &hints.legend)?)),
        Format::Foreign => open_foreign(path, hints),
    }
}

/// How a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    ExtendedXyz,
    LammpsDump,
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
        ".lammpstrj.gz",
        ".lammpstrj.bz2",
        ".lammpstrj.xz",
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
    if ends(&[".lammpstrj"]) || start.starts_with(lammps_dump::MAGIC) {
        return Ok(Format::LammpsDump);
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
        "{}: this build reads extended XYZ and LAMMPS dumps only; build with `cargo install --path . --features chemfiles` for PDB, DCD, XTC, TRR, NetCDF",
        path.display()
    )))
}
