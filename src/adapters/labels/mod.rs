//! Frames with energies, forces and stresses, from whatever holds them: a result of framewise, a level of theory of an
//! mbe-automation group, H5MD with observables, extended XYZ.
//!
//! Each is one [`Side`] of a comparison. HDF5 is read where it is asked for, text from its beginning to its end.

pub mod listed;
pub mod matching;
pub mod names;
pub mod spool;
pub mod stored;

use std::path::{Path, PathBuf};

use crate::adapters::hdf5::{has_signature, result_reader::is_result};
use crate::domain::error::{Error, Result};
use crate::domain::frame::FrameBlock;
use crate::domain::label::Label;

use listed::Listed;
use names::Names;
use stored::Stored;

/// Atoms read at a time.
const BLOCK_ATOMS: u64 = 1 << 16;
/// Frames read at a time, at most.
const BLOCK_FRAMES: u64 = 4096;

/// What the user says about one side.
#[derive(Clone, Debug, Default)]
pub struct Which {
    /// Group in an HDF5 file.
    pub key: Option<String>,
    /// Level of theory of an mbe-automation group.
    pub level: Option<String>,
    /// What energy, forces and stress are called.
    pub names: Names,
    /// Frames of text are numbered as they come, whatever `frame=` says.
    pub by_position: bool,
}

/// Frames with what is known of them. Buffers are reused.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    /// Geometry.
    pub geometry: FrameBlock,
    /// Total energies (eV).
    pub energy: Vec<f64>,
    /// Forces (eV/Å), as many as there are positions.
    pub forces: Vec<[f64; 3]>,
    /// Whether a frame has forces.
    pub has_forces: Vec<bool>,
    /// Stresses (eV/Å³).
    pub stress: Vec<Option<[[f64; 3]; 3]>>,
    /// Whether a frame is completed.
    pub completed: Vec<bool>,
}

impl Labels {
    /// Forgets the frames, keeps the memory.
    pub fn clear(&mut self) {
        self.geometry.clear();
        self.energy.clear();
        self.forces.clear();
        self.has_forces.clear();
        self.stress.clear();
        self.completed.clear();
    }

    /// What is known of frame `i` of the block.
    pub fn label(&self, i: usize) -> Label<'_> {
        let atoms = self.geometry.offsets[i]..self.geometry.offsets[i + 1];
        Label {
            energy: self.energy[i],
            forces: self.has_forces[i].then(|| &self.forces[atoms]),
            stress: self.stress[i],
        }
    }
}

/// How many frames a side has, and in which states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All of them.
    pub frames: u64,
    /// With results.
    pub completed: u64,
    /// Not computed, or without an energy.
    pub undefined: u64,
    /// Whose SCF did not converge.
    pub not_converged: u64,
    /// That failed, or whose state means nothing.
    pub failed: u64,
}

/// One side of a comparison.
pub enum Side {
    /// HDF5.
    Stored(Box<Stored>),
    /// Extended XYZ.
    Listed(Box<Listed>),
}

impl Side {
    /// Opens `path`.
    pub fn open(path: &Path, which: &Which) -> Result<Self> {
        let meta = std::fs::metadata(path).map_err(|e| Error::unreadable(path, &e))?;
        if !meta.is_file() {
            return Err(Error::failure(format!("{}: is not a file", path.display())));
        }
        if !has_signature(path).map_err(|e| Error::unreadable(path, &e))? {
            if let Some(what) = which.hdf5_only() {
                return Err(Error::usage(format!(
                    "{}: is not an HDF5 file, so it has no {what}",
                    path.display()
                )));
            }
            return Ok(Self::Listed(Box::new(Listed::open(path, which)?)));
        }
        let stored = if which.key.is_none() && is_result(path)? {
            if let Some(level) = &which.level {
                return Err(Error::usage(format!(
                    "{}: is a result of framewise, which holds one level of theory; {level:?} was asked for: leave it out",
                    path.display()
                )));
            }
            Stored::result(path)?
        } else {
            Stored::group(path, which)?
        };
        Ok(Self::Stored(Box::new(stored)))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        match self {
            Self::Stored(stored) => stored.path(),
            Self::Listed(listed) => listed.path(),
        }
    }

    /// What it is, for people: path and what of it is compared.
    pub fn description(&self) -> String {
        let what = match self {
            Self::Stored(stored) => stored.what(),
            Self::Listed(listed) => listed.what(),
        };
        format!("{} ({what})", self.path().display())
    }

    /// Its frames; those of text are known when it was read.
    pub fn tally(&self) -> Tally {
        match self {
            Self::Stored(stored) => stored.tally(),
            Self::Listed(listed) => listed.tally(),
        }
    }
}

impl Which {
    /// What is asked for that only HDF5 files have.
    fn hdf5_only(&self) -> Option<String> {
        let level = self
            .level
            .as_ref()
            .map(|l| format!("level of theory {l:?}"));
        level.or_else(|| self.key.as_ref().map(|k| format!("group {k:?}")))
    }
}

/// The path in front of an error.
fn named(path: &Path) -> impl Fn(String) -> Error {
    let path: PathBuf = path.to_owned();
    move |what| Error::failure(format!("{}: {what}", path.display()))
}
