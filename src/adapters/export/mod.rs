//! Frames with results, written for other programs.

pub mod lammps_dump;
pub mod npz;
pub mod parquet;
pub mod text;

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;

use crate::adapters::extxyz::writer::{Labelled, Names};
use crate::adapters::source::properties::{Properties, Property};
use crate::adapters::source::values::Kind;

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Extended XYZ.
    Extxyz,
    /// A dump of LAMMPS, text.
    LammpsDump,
    /// `NumPy`'s arrays in a zip archive.
    Npz,
    /// A table of what is one value for a frame.
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

/// What is in a file.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// What labels are called in extended XYZ.
    pub names: Names,
    /// Whether frames have results.
    pub has_labels: bool,
    /// Further properties: their names, kinds and shapes.
    pub more: Properties,
}

impl Format {
    /// Names that a file of this format has for itself: of frames, and of atoms.
    pub fn taken(self, names: &Names, has_labels: bool) -> [Vec<String>; 2] {
        let owned = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();
        let labels: &[&str] = match self {
            _ if !has_labels => &[],
            Self::Extxyz => &[&names.energy, &names.stress, "frame"],
            Self::Npz => &["energy", "stress", "forces"],
            Self::Parquet => &parquet::LABELS,
            Self::LammpsDump => &[],
        };
        match self {
            Self::Extxyz => {
                let forces: &[&str] = if has_labels { &[&names.forces] } else { &[] };
                let of_frames = [&["Lattice", "Properties", "pbc"], labels].concat();
                [
                    owned(&of_frames),
                    owned(&[&["species", "pos"], forces].concat()),
                ]
            }
            Self::Npz => {
                let geometry = ["frame", "cell", "pbc", "offsets", "species", "positions"];
                let all = owned(&[&geometry, labels].concat());
                [all.clone(), all]
            }
            Self::Parquet => {
                let all = [&["frame", "n_atoms", "formula"], labels].concat();
                [owned(&all), Vec::new()]
            }
            Self::LammpsDump => [Vec::new(), Vec::new()],
        }
    }
}

impl Format {
    /// Gives properties names of their own where frames and atoms have one of the same name and the file has room for one of
    /// them; says which, and how they are called now.
    pub fn keep_apart(self, more: &mut Properties) -> Vec<(String, String)> {
        if self != Self::Npz {
            return Vec::new();
        }
        let is_written = |property: &Property| property.values.kind() != Kind::Text;
        let written = more
            .of_frames
            .iter_mut()
            .map(|property| (property, "_frames"));
        let written = written.chain(
            more.of_atoms
                .iter_mut()
                .map(|property| (property, "_atoms")),
        );
        let written: Vec<_> = written
            .filter(|(property, _)| is_written(property))
            .collect();
        let all = written.iter().map(|(property, _)| property.name.clone());
        let mut others: Vec<_> = all.collect();
        let mut taken = BTreeSet::new();
        let mut renamed = Vec::new();
        for (property, ending) in written {
            let name = property.name.clone();
            if taken.contains(&name) {
                property.name.push_str(ending);
                while others.contains(&property.name) {
                    property.name.push('_');
                }
                others.push(property.name.clone());
                renamed.push((name, property.name.clone()));
            }
            taken.insert(property.name.clone());
        }
        renamed
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
pub fn begin(format: Format, file: File, contents: &Contents) -> io::Result<Box<dyn Sink>> {
    Ok(match format {
        Format::Extxyz => Box::new(text::Extxyz::new(file, contents.names.clone())),
        Format::LammpsDump => Box::new(text::LammpsDump::new(file)),
        Format::Npz => Box::new(npz::Npz::new(file, contents)?),
        Format::Parquet => Box::new(parquet::Table::new(file, contents)?),
    })
}
