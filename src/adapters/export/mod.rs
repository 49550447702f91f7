//! Frames with results, written for other programs.

pub mod lammps_dump;
pub mod npz;
pub mod parquet;
pub mod text;

use std::fs::File;
use std::io;
use std::path::Path;

use crate::adapters::extxyz::writer::{Labelled, Names};

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Extended XYZ.
    Extxyz,
    /// A dump of LAMMPS, text.
    LammpsDump,
    /// `NumPy`'s arrays in a zip archive.
    Npz,
    /// A table of what is one number for a frame.
    Parquet,
}

impl Format {
    /// What the name of a file says.
    pub fn of(path: &Path) -> Self {
        let suffix = path.extension().map(|s| s.to_string_lossy().to_lowercase());
        match suffix.as_deref() {
            Some("npz") => Self::Npz,
            Some("parquet") => Self::Parquet,
            Some("dump" | "lammpstrj") => Self::LammpsDump,
            _ => Self::Extxyz,
        }
    }

    /// Whether it can be written into a pipe.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Extxyz | Self::LammpsDump)
    }
}

/// A frame and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Geometry and results.
    pub labelled: Labelled<'a>,
    /// Stored code, see `Status`.
    pub status: i64,
    /// How long it took (s); NaN where nobody measured.
    pub seconds: f32,
}

/// Takes frames one after the other.
pub trait Sink {
    /// Writes one.
    fn write(&mut self, row: &Row<'_>) -> io::Result<()>;

    /// Writes what remains to be written.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// Begins a file of this format.
pub fn begin(format: Format, file: File, names: &Names) -> io::Result<Box<dyn Sink>> {
    Ok(match format {
        Format::Extxyz => Box::new(text::Extxyz::new(file, names.clone())),
        Format::LammpsDump => Box::new(text::LammpsDump::new(file)),
        Format::Npz => Box::new(npz::Npz::new(file)?),
        Format::Parquet => Box::new(parquet::Table::new(file)?),
    })
}
