//! Properties of atoms that a result takes over from its input: velocities, masses, charges, and whatever else is asked for.
//!
//! In the result each is a group under `/particles/trajectory` with `value`, `step` and `time`, a row for each frame, as
//! the readers want it (see [`FIXED`](super::layout::FIXED)): reals as f64, whole numbers as i64.

use std::str::FromStr;

use ::hdf5::types::TypeDescriptor;
use ::hdf5::{Group, H5Type};

use crate::domain::error::{Error, Result};
use crate::domain::parameters::did_you_mean;

use super::create::{atoms_shape, zeroed};
use super::geometry::{mark_fixed, share_time_axis};
use super::input::{Found, Input};
use super::pace::Pace;
use super::{failed, ffi, write_text};

/// Names in `/particles/trajectory` that are not free.
const TAKEN: [&str; 6] = ["position", "species", "box", "offsets", "forces", "force"];
/// Bytes that are read and written at a time.
const BLOCK: usize = 8 << 20;

/// What is to be carried over, as typed: `NAME`, `NAME=NAME_IN_THE_INPUT`, and `:UNIT` behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Name in the result: `velocity`, `mass`, `charge` are H5MD's.
    pub name: String,
    /// Name in the input.
    pub source: String,
    /// The unit of the numbers, where the input does not say it.
    pub unit: Option<String>,
}

impl FromStr for Carried {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (names, unit) = match text.split_once(':') {
            Some((names, unit)) => (names, Some(unit.trim().to_owned())),
            None => (text, None),
        };
        let (name, source) = names.split_once('=').unwrap_or((names, names));
        let (name, source) = (name.trim(), source.trim());
        if name.is_empty() || source.is_empty() || unit.as_deref() == Some("") {
            return Err(format!(
                "{text:?}: write it as NAME, NAME=NAME_IN_THE_INPUT or NAME:UNIT, for instance velocity:'Angstrom ps-1'"
            ));
        }
        if TAKEN.contains(&name) || name.contains(['/', '.']) {
            return Err(format!(
                "{text:?}: {name:?} is not free as a name in the result"
            ));
        }
        Ok(Self {
            name: name.into(),
            source: source.into(),
            unit,
        })
    }
}

impl std::fmt::Display for Carried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        if self.name != self.source {
            write!(f, "={}", self.source)?;
        }
        self.unit
            .as_ref()
            .map_or(Ok(()), |unit| write!(f, ":{unit}"))
    }
}

/// A property of atoms in the input.
pub struct Property {
    /// In each group of frames.
    parts: Vec<Found>,
    real: bool,
    unit: Option<String>,
    /// Shape in the result.
    shape: Vec<usize>,
}

impl Property {
    /// Bytes that it takes in the result.
    pub(super) fn bytes(&self) -> u64 {
        8 * self.shape.iter().map(|n| *n as u64).product::<u64>()
    }

    /// Looks for it in the input.
    pub fn find(input: &Input, carried: &Carried) -> Result<Self> {
        let error = |what: String| {
            Error::failure(format!(
                "{}: --carry {carried}: {what}",
                input.path().display()
            ))
        };
        let name = &carried.source;
        let parts = input.property(name).map_err(|segment| {
            let known = segment.properties();
            let near = did_you_mean(name, known.iter().map(String::as_str));
            let has = if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            };
            let key = segment.key();
            error(format!(
                "there is no property {name:?} of atoms{near}; {key} has {has}"
            ))
        })?;
        let mut real = false;
        let mut recorded = None;
        for (k, part) in parts.iter().enumerate() {
            match part.dataset.dtype().and_then(|t| t.to_descriptor()) {
                Ok(TypeDescriptor::Float(_)) => real = true,
                Ok(TypeDescriptor::Integer(_) | TypeDescriptor::Unsigned(_)) => {}
                Ok(other) => return Err(error(format!("it holds {other}, expected numbers"))),
                Err(e) => return Err(failed(format!("--carry {carried}"))(e)),
            }
            if k > 0 && (part.unit != recorded || part.of_atom != parts[0].of_atom) {
                let place = part.dataset.name();
                return Err(error(format!(
                    "{place} has another unit or shape than in the groups before it"
                )));
            }
            recorded.clone_from(&part.unit);
        }
        if let (Some(given), Some(recorded)) = (&carried.unit, &recorded)
            && given != recorded
        {
            return Err(error(format!(
                "its unit is {recorded:?} in the input; leave {given:?} out, numbers are not converted"
            )));
        }
        let unit = recorded.or_else(|| carried.unit.clone());
        // MDAnalysis opens no file that has velocities without a unit.
        if carried.name == "velocity" && unit.is_none() {
            return Err(error(
                "the input says no unit of it; say which one it is, as in velocity:'Angstrom ps-1'"
                    .into(),
            ));
        }
        let mut shape = atoms_shape(input);
        shape.pop();
        shape.extend(parts.iter().take(1).flat_map(|part| &part.of_atom));
        Ok(Self {
            parts,
            real,
            unit,
            shape,
        })
    }

    /// Copies it into the result.
    pub(super) fn write(
        &self,
        name: &str,
        particles: &Group,
        flat: bool,
        pace: &mut Pace<'_>,
    ) -> Result<()> {
        if self.real {
            self.copy::<f64>(name, particles, flat, pace)
        } else {
            self.copy::<i64>(name, particles, flat, pace)
        }
    }

    /// `flat`: rows of the result are atoms, not frames.
    fn copy<T: H5Type + Copy + Default>(
        &self,
        name: &str,
        particles: &Group,
        flat: bool,
        pace: &mut Pace<'_>,
    ) -> Result<()> {
        let doing = || failed(format!("cannot carry {name} over"));
        let group = particles.create_group(name).map_err(doing())?;
        share_time_axis(&group).map_err(doing())?;
        let values = zeroed::<T>(&group, "value", &self.shape).map_err(doing())?;
        if let Some(unit) = &self.unit {
            write_text(&values, "unit", unit).map_err(doing())?;
        }
        if let [only] = &self.parts[..]
            && only.fixed
        {
            mark_fixed(&values).map_err(doing())?;
        }
        let per_atom: usize = self.parts.first().map_or(1, |p| p.of_atom.iter().product());
        let mut next = 0;
        let mut append = |block: &[T], atoms: Option<usize>| {
            let row = match atoms {
                Some(atoms) if !flat => atoms * per_atom,
                _ => per_atom,
            };
            let rows = [next..next + (block.len() / row.max(1)) as u64];
            next = rows[0].end;
            ffi::write_rows(&values, &rows, block, ffi::Transfer::Independent)?;
            pace.wrote(size_of_val(block) as u64)
        };
        for part in &self.parts {
            let per_row = ffi::row_elements(&part.dataset);
            let rows = part.dataset.shape().first().copied().unwrap_or(0) as u64;
            let at_once = (BLOCK / (8 * per_row).max(1)).max(1) as u64;
            let mut block = Vec::new();
            if part.fixed {
                block.resize(rows as usize * per_row, T::default());
                ffi::read_rows(&part.dataset, std::slice::from_ref(&(0..rows)), &mut block)?;
                let times = (BLOCK / (8 * block.len()).max(1)).max(1) as u64;
                let repeated = block.repeat(times.min(part.frames) as usize);
                let mut left = part.frames;
                while left > 0 && !block.is_empty() {
                    let now = left.min(times);
                    append(&repeated[..now as usize * block.len()], part.atoms)?;
                    left -= now;
                }
                continue;
            }
            let mut start = 0;
            while start < rows {
                let run = [start..(start + at_once).min(rows)];
                block.resize((run[0].end - start) as usize * per_row, T::default());
                ffi::read_rows(&part.dataset, &run, &mut block)?;
                append(&block, part.atoms)?;
                start = run[0].end;
            }
        }
        Ok(())
    }
}

/// What is typed after `--carry`, as it is recorded.
pub fn words(carried: &[Carried]) -> String {
    let words: Vec<_> = carried.iter().map(ToString::to_string).collect();
    words.join(",")
}

/// Whether a name in the group of the frames is none of the format's own.
pub(super) fn is_free(name: &str) -> bool {
    !TAKEN.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_a_name_a_source_and_a_unit() {
        let parsed: Carried = "charge=initial_charges:e".parse().unwrap();
        assert_eq!(
            (&*parsed.name, &*parsed.source, parsed.unit.as_deref()),
            ("charge", "initial_charges", Some("e"))
        );
        assert_eq!(parsed.to_string(), "charge=initial_charges:e");
        let plain: Carried = "velocity".parse().unwrap();
        assert_eq!(
            (&*plain.name, &*plain.source, plain.unit),
            ("velocity", "velocity", None)
        );
        for wrong in [
            "",
            "=x",
            "mass:",
            "position",
            "forces=velocity",
            "a/b",
            "..",
        ] {
            assert!(wrong.parse::<Carried>().is_err(), "{wrong}");
        }
    }
}
