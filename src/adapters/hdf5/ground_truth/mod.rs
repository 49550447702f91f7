//! Results inside a structure of mbe-automation: its group `ground_truth`, with one set of datasets for each level of
//! theory (<https://github.com/modrzejewski/mbe-automation>, `storage/core.py`).
//!
//! [`plan`] what of a result goes where, `write` it into a file that HDF5 has open, [`copy`] that takes the file's place,
//! or [`direct`] into the file itself, by way of a journal.

pub mod copy;
pub mod direct;
pub mod plan;
mod write;

pub use write::Merged;

use ::hdf5::{Dataset, Group};

use crate::domain::error::Result;
use crate::planning::status::Status;

use super::{ffi, texts_attribute};

/// The group.
pub const GROUP: &str = "ground_truth";
/// The names of its levels, sorted.
pub const LEVELS: &str = "levels_of_theory";

/// Names of datasets have U+2215 where the name of a level has a slash, which would separate groups.
fn safe(level: &str) -> String {
    level.replace('/', "\u{2215}")
}

/// (F) f64, eV per atom.
pub fn energy(level: &str) -> String {
    format!("E_{} (eV\u{2215}atom)", safe(level))
}

/// (F,A,3) f64, eV/Å.
pub fn forces(level: &str) -> String {
    format!("forces_{} (eV\u{2215}Å)", safe(level))
}

/// (F) i64, codes of [`Status`]; where it is missing every frame is completed.
pub fn status(level: &str) -> String {
    format!("status_{}", safe(level))
}

/// What a structure has at one level of theory.
#[derive(Clone, Debug)]
pub struct Level {
    /// Its name.
    pub name: String,
    /// Frames by the codes of [`Status`].
    pub counts: [u64; 4],
    /// Whether there are energies.
    pub energy: bool,
    /// Whether there are forces.
    pub forces: bool,
    /// Why it cannot be believed; no frame is counted then.
    pub defect: Option<String>,
}

/// What a structure of `frames` frames has, level by level.
pub fn levels(structure: &Group, frames: u64) -> Vec<Level> {
    let Ok(truth) = structure.group(GROUP) else {
        return Vec::new();
    };
    let level = |name: String| {
        let counted = counts(&truth, &name, frames);
        Level {
            energy: truth.link_exists(&energy(&name)),
            forces: truth.link_exists(&forces(&name)),
            counts: *counted.as_ref().unwrap_or(&[0; 4]),
            defect: counted.err(),
            name,
        }
    };
    names(&truth).into_iter().map(level).collect()
}

/// Names of the levels: those that the attribute lists, then those that older versions wrote without it.
pub fn names(truth: &Group) -> Vec<String> {
    let mut names = texts_attribute(truth, LEVELS).unwrap_or_default();
    let stored = truth.member_names().unwrap_or_default();
    let of_energies = stored.iter().filter_map(|dataset| {
        let level = dataset.strip_prefix("E_")?.split(" (eV").next()?;
        Some(level.replace('\u{2215}', "/"))
    });
    for name in of_energies {
        if !names.iter().any(|known| safe(known) == safe(&name)) {
            names.push(name);
        }
    }
    names
}

/// Frames by the codes of their status, or why they cannot be counted: every dataset of a level has a row for each.
fn counts(truth: &Group, level: &str, frames: u64) -> std::result::Result<[u64; 4], String> {
    for name in [status(level), energy(level), forces(level)] {
        let rows = truth.dataset(&name).map(|found| found.shape());
        if let Ok(shape) = rows
            && shape.first() != Some(&(frames as usize))
        {
            return Err(format!("{name} has shape {shape:?}, for {frames} frames"));
        }
    }
    if !truth.link_exists(&energy(level)) {
        return Err(format!("{LEVELS} names it, and it has no energies"));
    }
    let mut counts = [0; 4];
    match truth.dataset(&status(level)) {
        Ok(dataset) => count(&dataset, &mut counts).map_err(|error| error.message)?,
        Err(_) => counts[0] = frames,
    }
    Ok(counts)
}

/// Frames whose codes are read at a time.
const BLOCK: u64 = 1 << 17;

fn count(states: &Dataset, counts: &mut [u64; 4]) -> Result<()> {
    let frames = states.shape().first().map_or(0, |n| *n as u64);
    let mut codes = Vec::new();
    for start in (0..frames).step_by(BLOCK as usize) {
        let rows = start..(start + BLOCK).min(frames);
        codes.resize((rows.end - rows.start) as usize, 0_i64);
        ffi::read_rows(states, &[rows], &mut codes)?;
        for code in &codes {
            let status = Status::from_code(*code).unwrap_or(Status::Undefined);
            counts[status as usize] += 1;
        }
    }
    Ok(())
}
