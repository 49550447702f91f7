//! What else a file says of the frames of a group and of their atoms.

use std::sync::Arc;

use ::hdf5::{Dataset, Group};

use super::super::super::carry::is_free;
use super::super::super::locate::Convention;
use super::super::super::text_attribute;
use super::{Positions, Segment};
use crate::domain::units::h5md_unit;

/// Names of H5MD and of mbe-automation that are of the geometry.
const GEOMETRY: [&str; 9] = [
    "position",
    "species",
    "box",
    "offsets",
    "atomic_numbers",
    "cell_vectors",
    "periodic",
    "positions",
    "ground_truth",
];

/// What mbe-automation stores once for each atom.
const OF_ATOMS: [&str; 2] = ["masses", "atomic_numbers"];

/// Whose values are the rows of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// A row for each frame.
    Frames,
    /// The atoms of a frame in each row, or a row for each atom of all frames.
    Atoms,
    /// The atoms of a frame in each row, which is filled up to the size of the largest one.
    PaddedAtoms,
    /// The atoms that all frames have.
    FixedAtoms,
}

/// A dataset with a property.
pub struct Found {
    /// Its values.
    pub dataset: Dataset,
    /// Whose they are.
    pub rows: Rows,
    /// Shape of what one frame or one atom has; empty: one number.
    pub of_one: Vec<usize>,
    /// The unit that the input says.
    pub unit: Option<String>,
    /// Number of frames.
    pub frames: u64,
    /// Atoms in each frame; `None` where they differ.
    pub atoms: Option<usize>,
    /// Of rows that are filled up: the first atom of each frame, and the total, (F+1).
    pub firsts: Arc<[u64]>,
}

impl Segment {
    /// The property `name` of atoms, or else of frames: `name/value` with a row for each frame, or a dataset `name` with one
    /// for each atom. mbe-automation has the unit in the name: `masses (u)`.
    pub fn property(&self, name: &str) -> Option<Found> {
        self.of_atoms(name).or_else(|| self.of_frames(name))
    }

    /// Names of all that can be carried over.
    pub fn properties(&self) -> Vec<String> {
        let mut names = self.names_of_atoms();
        names.retain(|name| is_free(name));
        names.extend(self.names_of_frames());
        names.sort();
        names.dedup();
        names
    }

    /// Properties of atoms, in the order of their names.
    pub fn names_of_atoms(&self) -> Vec<String> {
        let mut names = self.names(&self.group, &GEOMETRY);
        names.retain(|name| self.of_atoms(name).is_some());
        names
    }

    /// Properties of frames, in the order of their names.
    pub fn names_of_frames(&self) -> Vec<String> {
        let mut names = self.all_names_of_frames();
        names.retain(|name| self.of_frames(name).is_some());
        names
    }

    /// What has other rows than there are frames or atoms: its name, and why it is no property of them.
    pub fn without_place(&self) -> Vec<(String, String)> {
        let shapes = |group: &Group, names: Vec<String>| {
            let shape = |name: String| Some((self.dataset(group, &name)?.shape(), name));
            names.into_iter().filter_map(shape).collect::<Vec<_>>()
        };
        let mut all = shapes(&self.group, self.names(&self.group, &GEOMETRY));
        if self.convention == Convention::H5md
            && let Some(group) = self.group_of_frames()
        {
            all.extend(shapes(&group, self.all_names_of_frames()));
        }
        all.retain(|(_, name)| self.property(name).is_none());
        let why = |(shape, name)| {
            let frames = self.frames;
            let why = format!(
                "it has the shape {shape:?}, which fits neither {frames} frames nor their atoms"
            );
            (name, why)
        };
        all.into_iter().map(why).collect()
    }

    fn all_names_of_frames(&self) -> Vec<String> {
        // In H5MD observables are apart: `position` there is not that of the atoms.
        let taken: &[&str] = match self.convention {
            Convention::H5md => &[],
            Convention::Mbe => &GEOMETRY,
        };
        let group = self.group_of_frames();
        group.map_or_else(Vec::new, |group| self.names(&group, taken))
    }

    /// The property `name` of atoms.
    pub fn of_atoms(&self, name: &str) -> Option<Found> {
        let dataset = self.dataset(&self.group, name)?;
        let shape = dataset.shape();
        let is_padded = matches!(self.arrangement, Positions::Padded(_));
        let (rows, axes) = match self.atoms() {
            None if is_padded && shape.starts_with(&[self.frames as usize, self.atoms]) => {
                (Rows::PaddedAtoms, 2)
            }
            None if shape.first() == Some(&(self.total_atoms as usize)) => (Rows::Atoms, 1),
            Some(atoms) if shape.starts_with(&[self.frames as usize, atoms]) => (Rows::Atoms, 2),
            Some(atoms)
                if shape.first() == Some(&atoms)
                    && !in_time(&dataset)
                    && !self.is_rather_of_frames(&shape, name) =>
            {
                (Rows::FixedAtoms, 1)
            }
            _ => return None,
        };
        Some(self.found(dataset, rows, shape[axes..].to_vec(), name))
    }

    /// mbe-automation has what is of frames and what is of atoms in one group: where there are as many of these as of
    /// those, the name decides.
    fn is_rather_of_frames(&self, shape: &[usize], name: &str) -> bool {
        self.convention == Convention::Mbe
            && shape.first() == Some(&(self.frames as usize))
            && !OF_ATOMS.contains(&name)
    }

    /// The property `name` of frames.
    pub fn of_frames(&self, name: &str) -> Option<Found> {
        let dataset = self.dataset(&self.group_of_frames()?, name)?;
        let shape = dataset.shape();
        let in_time = self.convention == Convention::Mbe || in_time(&dataset);
        // Frames of mbe-automation are in one group with their atoms.
        let is_of_atoms = self.convention == Convention::Mbe && self.of_atoms(name).is_some();
        let fits = shape.first() == Some(&(self.frames as usize)) && in_time && !is_of_atoms;
        fits.then(|| self.found(dataset, Rows::Frames, shape[1..].to_vec(), name))
    }

    /// H5MD's `/observables/GROUP`, or `/observables` where there is none of that name.
    fn group_of_frames(&self) -> Option<Group> {
        if self.convention == Convention::Mbe {
            return Some(self.group.clone());
        }
        let file = self.group.file().ok()?;
        let key = self.key();
        let set = key.rsplit('/').next().unwrap_or_default();
        let own = file.group(&format!("/observables/{set}"));
        own.or_else(|_| file.group("/observables")).ok()
    }

    fn names(&self, group: &Group, taken: &[&str]) -> Vec<String> {
        let mut names = group.member_names().unwrap_or_default();
        if self.convention == Convention::Mbe {
            for name in &mut names {
                if let Some((plain, _)) = name.split_once(" (") {
                    *name = plain.to_owned();
                }
            }
        }
        names.retain(|name| !taken.contains(&name.as_str()));
        names.sort();
        names
    }

    fn dataset(&self, group: &Group, name: &str) -> Option<Dataset> {
        match self.convention {
            Convention::H5md => {
                let per_frame = group.dataset(&format!("{name}/value"));
                per_frame.or_else(|_| group.dataset(name)).ok()
            }
            Convention::Mbe => {
                let names = group.member_names().ok()?;
                let is_it = |full: &&String| **full == *name || mbe_unit(full, name).is_some();
                group.dataset(names.iter().find(is_it)?).ok()
            }
        }
    }

    fn found(&self, dataset: Dataset, rows: Rows, of_one: Vec<usize>, name: &str) -> Found {
        let unit = match self.convention {
            Convention::H5md => text_attribute(&dataset, "unit"),
            Convention::Mbe => {
                let full = dataset.name();
                let last = full.strip_prefix(&format!("{}/", self.key()));
                let unit = last.and_then(|full| mbe_unit(full, name));
                unit.map(h5md_unit)
            }
        };
        Found {
            rows,
            of_one,
            unit,
            frames: self.frames,
            atoms: self.atoms(),
            firsts: match &self.arrangement {
                Positions::Padded(firsts) => Arc::clone(firsts),
                _ => Arc::default(),
            },
            dataset,
        }
    }
}

/// The unit in a name of mbe-automation.
fn mbe_unit<'a>(full: &'a str, name: &str) -> Option<&'a str> {
    full.strip_prefix(name)?
        .strip_prefix(" (")?
        .strip_suffix(')')
}

/// Whether the first axis is the time: H5MD calls such a dataset `value`.
fn in_time(dataset: &Dataset) -> bool {
    dataset.name().ends_with("/value")
}
