//! Looks at the datasets of an input and says what they are, or what is wrong with them.

use std::path::Path;

use ::hdf5::types::TypeDescriptor;
use ::hdf5::{Dataset, Group};

use crate::adapters::legend::{Legend, Species as Said};
use crate::domain::error::{Error, Result};
use crate::domain::units::length_in_angstrom;

use super::super::super::layout::FIXED;
use super::super::super::locate::Convention;
use super::super::super::{dataset, failed, ffi, join, text_attribute, texts_attribute};
use super::{Cells, Periodic, Species};

pub(super) fn atomic_number(number: i64) -> Option<u8> {
    u8::try_from(number).ok().filter(|z| *z <= 118)
}

/// Three rows from nine components or three edge lengths.
pub(super) fn vectors(row: &[f64], scale: f64) -> [[f64; 3]; 3] {
    let mut vectors = [[0.0; 3]; 3];
    for (k, vector) in vectors.iter_mut().enumerate() {
        if row.len() == 9 {
            vector.copy_from_slice(&row[3 * k..3 * k + 3]);
        } else {
            vector[k] = row[k];
        }
        for x in vector {
            *x *= scale;
        }
    }
    vectors
}

/// Whether the first row stands for all, see [`FIXED`].
fn is_fixed(dataset: &Dataset, counts: &Counts) -> bool {
    counts.frames > 0
        && dataset
            .attr(FIXED)
            .and_then(|attribute| attribute.read_scalar::<u8>())
            .is_ok_and(|said| said == 1)
}

/// Whether its numbers are as wide as none of ours: half precision, say.
fn is_of_odd_width(dataset: &Dataset) -> bool {
    let wide = dataset.dtype().map_or(0, |stored| stored.size());
    ![1, 4, 8].contains(&wide)
}

/// Sizes that the other datasets have to fit.
pub(super) struct Counts {
    pub frames: u64,
    pub atoms: usize,
    pub total_atoms: u64,
    pub scale: f64,
    pub ragged: bool,
}

/// Where we are in the file, for errors that name it.
pub(super) struct At<'a> {
    pub path: &'a Path,
    pub group: &'a Group,
    pub convention: Convention,
    pub legend: &'a Legend,
}

impl At<'_> {
    pub(super) fn error(&self, message: impl std::fmt::Display) -> Error {
        Error::failure(format!("{}: {message}", self.path.display()))
    }

    pub(super) fn wrong_shape(&self, dataset: &Dataset, expected: &str) -> Error {
        let (name, shape) = (dataset.name(), dataset.shape());
        self.error(format!(
            "dataset {name} has shape {shape:?}, expected {expected}"
        ))
    }

    pub(super) fn require_real(&self, dataset: &Dataset) -> Result<()> {
        match dataset.dtype().and_then(|t| t.to_descriptor()) {
            Ok(
                TypeDescriptor::Float(_) | TypeDescriptor::Integer(_) | TypeDescriptor::Unsigned(_),
            ) => Ok(()),
            Ok(other) => Err(self.error(format!(
                "dataset {} holds {other}, expected numbers",
                dataset.name()
            ))),
            Err(_) if is_of_odd_width(dataset) => Err(self.error(format!(
                "dataset {} holds numbers of another precision than single and double; store it as float32 or float64",
                dataset.name()
            ))),
            Err(e) => Err(failed(format!(
                "{}: dataset {}",
                self.path.display(),
                dataset.name()
            ))(e)),
        }
    }

    pub(super) fn check_offsets(&self, offsets: &Dataset, total: usize) -> Result<u64> {
        let [entries] = offsets.shape()[..] else {
            return Err(self.wrong_shape(offsets, "(frames + 1)"));
        };
        let Some(frames) = entries.checked_sub(1) else {
            return Err(self.wrong_shape(offsets, "(frames + 1), so at least one entry"));
        };
        let mut ends = [0i64; 2];
        let last = frames as u64;
        ffi::read_rows(offsets, &[0..1], &mut ends[..1])?;
        ffi::read_rows(offsets, &[last..last + 1], &mut ends[1..])?;
        if ends[0] != 0 || ends[1] != total as i64 {
            return Err(self.error(format!(
                "dataset {} runs from {} to {}, but there are {total} positions",
                offsets.name(),
                ends[0],
                ends[1]
            )));
        }
        Ok(last)
    }

    pub(super) fn length_unit(&self, dataset: &Dataset) -> Result<f64> {
        if self.convention == Convention::Mbe {
            return Ok(1.0);
        }
        let said = self.legend.length.as_deref();
        let unit = text_attribute(dataset, "unit");
        if let (Some(unit), Some(said)) = (&unit, said)
            && length_in_angstrom(unit) != length_in_angstrom(said)
        {
            return Err(self.error(format!(
                "dataset {} has the unit {unit:?}, --length-unit says {said:?}",
                dataset.name()
            )));
        }
        let unit = unit.or_else(|| said.map(str::to_owned)).unwrap_or_default();
        length_in_angstrom(&unit).ok_or_else(|| {
            self.error(format!(
                "dataset {} has the unit {unit:?}, which is not a length known here; set it to Angstrom, nm, pm, bohr or m",
                dataset.name()
            ))
        })
    }

    pub(super) fn species(&self, counts: &Counts) -> Result<Species> {
        let said = self.legend.species.as_ref();
        if let Some(Said::List(list)) = said {
            return self.listed(list, counts);
        }
        let dataset = match self.convention {
            Convention::Mbe => dataset(self.path, self.group, "atomic_numbers")?,
            Convention::H5md => self
                .group
                .dataset("species")
                .or_else(|_| self.group.dataset("species/value"))
                .map_err(|_| {
                    self.error(format!(
                        "dataset {} is missing; add the atomic numbers, (atoms) or (frames, atoms), or say what the atoms are: \
                         --species Ar:108",
                        join(&self.group.name(), "species")
                    ))
                })?,
        };
        let kinds = self.kinds(&dataset, said)?;
        let shape = dataset.shape();
        let expected = if counts.ragged {
            vec![counts.total_atoms as usize]
        } else {
            vec![counts.atoms]
        };
        let per_frame = !counts.ragged && shape == [counts.frames as usize, counts.atoms];
        let fixed = per_frame && is_fixed(&dataset, counts);
        if shape != expected && !per_frame {
            return Err(self.wrong_shape(
                &dataset,
                &format!("{expected:?} as the positions have, or one row of atoms per frame"),
            ));
        }
        if counts.ragged || (per_frame && !fixed) {
            return Ok(Species::PerFrame(dataset, kinds));
        }
        let mut numbers = vec![0i64; counts.atoms];
        let rows = if fixed { 1 } else { counts.atoms as u64 };
        kinds.read(&dataset, std::slice::from_ref(&(0..rows)), &mut numbers)?;
        let species = numbers.iter().enumerate().map(|(atom, number)| {
            kinds.of(*number).ok_or_else(|| {
                self.error(format!(
                    "{}: atom {atom} of every frame: {}; if it stands for an element, say which: --species {number}=O",
                    dataset.name(),
                    kinds.why_not(*number)
                ))
            })
        });
        Ok(Species::Constant(species.collect::<Result<_>>()?))
    }

    /// The species that the user lists.
    fn listed(&self, list: &[u8], counts: &Counts) -> Result<Species> {
        if counts.ragged || list.len() != counts.atoms {
            let has = if counts.ragged {
                "has frames of different sizes".to_owned()
            } else {
                format!("has {} atoms in each frame", counts.atoms)
            };
            return Err(self.error(format!(
                "group {} {has}, but --species lists {}",
                self.group.name(),
                list.len()
            )));
        }
        Ok(Species::Constant(list.to_vec()))
    }

    pub(super) fn cells(&self, counts: &Counts) -> Result<Cells> {
        let found = match self.convention {
            Convention::Mbe => ["cell_vectors (Å)", "cell_vectors (\u{212b})"]
                .iter()
                .find_map(|name| self.group.dataset(name).ok()),
            Convention::H5md => ["box/edges", "box/edges/value"]
                .iter()
                .find_map(|name| self.group.dataset(name).ok()),
        };
        let Some(dataset) = found else {
            return Ok(Cells::Open);
        };
        self.require_real(&dataset)?;
        // Edges without a unit have that of the positions.
        let own_unit = text_attribute(&dataset, "unit").is_some();
        let scale = if own_unit {
            self.length_unit(&dataset)?
        } else {
            counts.scale
        };
        let frames = counts.frames as usize;
        match dataset.shape()[..] {
            // H5MD keeps what changes with time in a group, under `value`.
            [3, 3] | [3] if !dataset.name().ends_with("/value") => {
                let mut row = vec![0.0; dataset.size()];
                ffi::read_rows(&dataset, &[0..3], &mut row)?;
                Ok(Cells::Constant(vectors(&row, scale)))
            }
            [n, 3, 3] if n == frames && is_fixed(&dataset, counts) => {
                let mut row = vec![0.0; 9];
                ffi::read_rows(&dataset, std::slice::from_ref(&(0..1)), &mut row)?;
                Ok(Cells::Constant(vectors(&row, scale)))
            }
            [n, 3, 3] | [n, 3] if n == frames => Ok(Cells::PerFrame(dataset, scale)),
            _ => Err(self.wrong_shape(
                &dataset,
                &format!("(3, 3), (3), ({frames}, 3, 3) or ({frames}, 3)"),
            )),
        }
    }

    pub(super) fn periodic(&self, counts: &Counts, cells: &Cells) -> Result<Periodic> {
        let cell_given = !matches!(cells, Cells::Open);
        if self.convention == Convention::Mbe {
            let attribute = self.group.attr("periodic");
            let periodic = attribute
                .and_then(|a| a.read_scalar::<bool>())
                .unwrap_or(cell_given);
            if periodic && !cell_given && counts.frames > 0 {
                return Err(self.error(format!(
                    "group {} is periodic but has no \"cell_vectors (Å)\"; add it, or set the attribute periodic to false",
                    self.group.name()
                )));
            }
            return Ok(Periodic::Constant([periodic; 3]));
        }
        // Ours, and ZnH5MD's, whose attribute speaks of the first frame alone.
        let per_frame = ["box/periodic", "box/pbc/value"]
            .iter()
            .find_map(|name| self.group.dataset(name).ok());
        if let Some(dataset) = per_frame {
            if dataset.shape() != [counts.frames as usize, 3] {
                return Err(self.wrong_shape(&dataset, &format!("({}, 3)", counts.frames)));
            }
            return Ok(Periodic::PerFrame(dataset));
        }
        let boundary = self
            .group
            .group("box")
            .ok()
            .and_then(|b| texts_attribute(&b, "boundary"));
        let periodic = match boundary.as_deref() {
            Some([a, b, c]) => [a, b, c].map(|word| word == "periodic"),
            Some([all]) => [all == "periodic"; 3],
            _ => [cell_given; 3],
        };
        if periodic.contains(&true) && !cell_given && counts.frames > 0 {
            return Err(self.error(format!(
                "{} is periodic but has no edges; add them, or set its attribute boundary to none",
                join(&self.group.name(), "box")
            )));
        }
        Ok(Periodic::Constant(periodic))
    }
}
