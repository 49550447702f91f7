//! Trajectories of other programs, one frame at a time: what every file format is read into before it
//! becomes H5MD.
//!
//! A [`FrameStream`] fills one [`SourceFrame`] again and again, so that memory does not grow with the number
//! of frames.

pub mod properties;
pub mod schema;
pub mod values;

use crate::domain::cell::Cell;
use crate::domain::error::Result;
use values::{Kind, Values};

/// How much of a frame is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Species, cell, keys, and the names, kinds and texts of columns: real numbers of atoms are skipped
    /// where that is faster, so `positions` and real columns may be left empty.
    Structure,
    /// Everything.
    Full,
}

/// A property of atoms other than species and position.
#[derive(Clone, Debug)]
pub struct Column {
    /// As the source calls it.
    pub name: String,
    /// Numbers or words per atom.
    pub width: usize,
    /// Where the source has it in one that is known.
    pub unit: Option<&'static str>,
    /// Atom after atom.
    pub values: Values,
}

impl Column {
    /// A column without values.
    pub fn new(name: impl Into<String>, kind: Kind, width: usize) -> Self {
        Self {
            name: name.into(),
            width,
            unit: None,
            values: Values::new(kind),
        }
    }
}

/// A property of the whole frame.
#[derive(Clone, Debug)]
pub struct Key {
    /// As the source calls it.
    pub name: String,
    /// Empty for one value.
    pub shape: Vec<usize>,
    /// In row-major order.
    pub values: Values,
    /// The value as the source spells it.
    pub text: String,
}

/// One frame of a source; buffers are reused from frame to frame.
#[derive(Clone, Debug, Default)]
pub struct SourceFrame {
    /// Atomic numbers, one per atom.
    pub species: Vec<u8>,
    /// Positions in Å, one row per atom (empty for [`Detail::Structure`]).
    pub positions: Vec<[f64; 3]>,
    /// Cell vectors as rows in Å, and periodic directions.
    pub cell: Cell,
    /// Whether the source gives a cell.
    pub has_cell: bool,
    /// Number of the simulation step, where the source has it.
    pub step: Option<i64>,
    /// Simulation time in ps, where the source has it and its unit is known.
    pub time: Option<f64>,
    /// Further properties of atoms.
    pub columns: Vec<Column>,
    /// Further properties of the frame.
    pub keys: Vec<Key>,
}

impl SourceFrame {
    /// Number of atoms.
    pub fn len(&self) -> usize {
        self.species.len()
    }

    /// Takes positions and cell for lengths in another unit than Å.
    pub fn scale(&mut self, angstroms: f64) {
        if (angstroms - 1.0).abs() < f64::EPSILON {
            return;
        }
        let cell = self.cell.vectors.as_flattened_mut().iter_mut();
        for x in self.positions.as_flattened_mut().iter_mut().chain(cell) {
            *x *= angstroms;
        }
    }

    /// True for a frame without atoms.
    pub fn is_empty(&self) -> bool {
        self.species.is_empty()
    }
}

/// How far a stream is, in any unit (bytes, frames).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Read so far.
    pub done: u64,
    /// At the end.
    pub total: u64,
}

/// Frames one after another.
pub trait FrameStream {
    /// Reads the next frame into `frame`; `false` at the end. Errors name the file, the line where there is
    /// one, and the frame.
    fn read(&mut self, frame: &mut SourceFrame, detail: Detail) -> Result<bool>;

    /// How far the stream is.
    fn position(&self) -> Position;

    /// What was seen but cannot be kept, one line each.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }
}
