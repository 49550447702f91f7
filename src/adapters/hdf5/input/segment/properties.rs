//! What else a group of frames says of its atoms.

use ::hdf5::Dataset;

use super::super::super::carry::is_free;
use super::super::super::locate::Convention;
use super::super::super::text_attribute;
use super::Segment;

/// A dataset of atoms.
pub struct Found {
    /// Its rows are frames, or atoms of all frames, or the atoms that all frames have.
    pub dataset: Dataset,
    /// The same for all frames.
    pub fixed: bool,
    /// Shape of what one atom has; empty: one number.
    pub of_atom: Vec<usize>,
    /// The unit that the input says.
    pub unit: Option<String>,
    /// Number of frames.
    pub frames: u64,
    /// Atoms in each frame; `None` where they differ.
    pub atoms: Option<usize>,
}

impl Segment {
    /// The property `name` of atoms: `name/value` with a row for each frame, or a dataset `name` with one for each atom.
    /// mbe-automation has the unit in the name: `masses (u)`.
    pub fn property(&self, name: &str) -> Option<Found> {
        match self.convention {
            Convention::H5md => {
                let per_frame = self.group.dataset(&format!("{name}/value"));
                let dataset = per_frame.or_else(|_| self.group.dataset(name)).ok()?;
                let unit = text_attribute(&dataset, "unit");
                self.of_atoms(dataset, unit)
            }
            Convention::Mbe => {
                let names = self.group.member_names().ok()?;
                let found = names.iter().find_map(|full| {
                    let unit = full.strip_prefix(name)?.strip_prefix(" (")?;
                    Some((full, h5md_unit(unit.strip_suffix(')')?)))
                });
                let (full, unit) = found?;
                self.of_atoms(self.group.dataset(full).ok()?, Some(unit))
            }
        }
    }

    /// Names of all of them.
    pub fn properties(&self) -> Vec<String> {
        let names = self.group.member_names().unwrap_or_default();
        let mut names: Vec<String> = names
            .iter()
            .map(|full| match self.convention {
                Convention::H5md => full.as_str(),
                Convention::Mbe => full.split(" (").next().unwrap_or(full),
            })
            .filter(|name| is_free(name) && self.property(name).is_some())
            .map(str::to_owned)
            .collect();
        names.sort();
        names
    }

    fn of_atoms(&self, dataset: Dataset, unit: Option<String>) -> Option<Found> {
        let shape = dataset.shape();
        let (fixed, axes) = match self.atoms() {
            None if shape.first() == Some(&(self.total_atoms as usize)) => (false, 1),
            Some(atoms) if shape.starts_with(&[self.frames as usize, atoms]) => (false, 2),
            Some(atoms) if shape.first() == Some(&atoms) && !in_time(&dataset) => (true, 1),
            _ => return None,
        };
        Some(Found {
            fixed,
            of_atom: shape[axes..].to_vec(),
            unit,
            frames: self.frames,
            atoms: self.atoms(),
            dataset,
        })
    }
}

/// A unit of mbe-automation as H5MD's readers know it.
fn h5md_unit(unit: &str) -> String {
    match unit {
        "Å\u{2215}fs" | "\u{212b}\u{2215}fs" => "Angstrom fs-1".into(),
        other => other.into(),
    }
}

/// Whether the first axis is the time: H5MD calls such a dataset `value`.
fn in_time(dataset: &Dataset) -> bool {
    dataset.name().ends_with("/value")
}
