//! Writes results into the structures of a file that HDF5 has open.
//!
//! As mbe-automation does it: results of completed frames replace what is there; a state is written where the frame was
//! computed and was not completed before; several levels stand side by side. Unlike it, no dataset is deleted or made
//! anew, and only what changes is written.

use std::path::Path;

use ::hdf5::plist::dataset_create::{AllocTime, FillTime};
use ::hdf5::types::VarLenUnicode;
use ::hdf5::{Dataset, File, FileBuilder, Group, H5Type};

use crate::domain::error::{Error, GoOn, Result};
use crate::planning::frame_set::FrameSet;
use crate::planning::status::Status;

use super::super::result_block::ResultBlock;
use super::super::result_reader::ResultReader;
use super::super::{failed, ffi, texts_attribute};
use super::plan::{Part, frames_at_once};
use super::{GROUP, LEVELS, energy, forces, status};

/// Writes rows of datasets.
pub(super) trait Pen {
    /// Writes `values` to `rows` of `dataset`.
    fn write<T: H5Type + Copy + zerocopy::IntoBytes + zerocopy::Immutable>(
        &mut self,
        dataset: &Dataset,
        rows: &FrameSet,
        values: &[T],
    ) -> Result<()>;
}

/// What became of the frames of one structure.
#[derive(Clone, Copy, Debug, Default)]
pub struct Merged {
    /// Frames that are completed by these results and were not before.
    pub completed: u64,
    /// Frames that were completed before and are so again, by these results.
    pub renewed: u64,
    /// Frames that failed or did not converge, and are marked.
    pub troubled: u64,
    /// Frames that stay as they were.
    pub untouched: u64,
}

/// The three datasets of one level, and whether they are new.
struct Places {
    energy: (Dataset, bool),
    forces: (Dataset, bool),
    /// Missing where all frames count as completed.
    status: Option<(Dataset, bool)>,
}

/// Writes `parts` of `result` at `level` into the file at `path`, which is a copy of `from`.
pub(super) fn write_all(
    (from, path): (&File, &Path),
    pen: &mut impl Pen,
    result: &ResultReader,
    parts: &[Part],
    level: &str,
    go_on: GoOn<'_>,
) -> Result<Vec<Merged>> {
    let doing = || failed(format!("{}: cannot be written", path.display()));
    let before = ffi::open_objects();
    let to = FileBuilder::new().open_rw(path).map_err(doing())?;
    let merged = parts
        .iter()
        .map(|part| write((from, &to), pen, result, part, level, go_on))
        .collect::<Result<Vec<_>>>()?;
    to.flush().and_then(|()| to.close()).map_err(doing())?;
    // The file closes with the last of its objects.
    if ffi::open_objects() > before {
        return Err(Error::failure(format!(
            "{}: cannot be written (disk full, over quota?)",
            path.display()
        )));
    }
    Ok(merged)
}

/// Writes `part` of `result` at `level` into `to`; what was there before is read from `from`, the same file before the
/// change.
fn write(
    (from, to): (&File, &File),
    pen: &mut impl Pen,
    result: &ResultReader,
    part: &Part,
    level: &str,
    go_on: GoOn<'_>,
) -> Result<Merged> {
    let doing = || failed(format!("{}: group {}", to.filename(), part.key));
    let frames = part.frames.end - part.frames.start;
    let places = places(to, part, level)?;
    let before = from.group(&part.key).map_err(doing())?;
    let before = before.group(GROUP).ok();
    let before = before.and_then(|group| group.dataset(&status(level)).ok());
    let mut merged = Merged::default();
    let mut results = ResultBlock::default();
    let mut old = Vec::new();
    let mut values = Values::default();
    let mut start = 0;
    while start < frames {
        go_on()?;
        let rows = start..(start + frames_at_once(part.atoms)).min(frames);
        let shifted = part.frames.start + rows.start..part.frames.start + rows.end;
        result.read_sound(&FrameSet::from_runs(vec![shifted]), &mut results)?;
        old.clear();
        old.resize(results.status.len(), unwritten(&places).code());
        if let Some(before) = &before {
            ffi::read_rows(before, std::slice::from_ref(&rows), &mut old)?;
        }
        let completed = Status::Completed.code();
        let undefined = Status::Undefined.code();
        let number = |i: usize| start + i as u64;
        let chosen = |wanted: &dyn Fn(i64, i64) -> bool| -> FrameSet {
            let pairs = results.status.iter().zip(&old).enumerate();
            let wanted = pairs.filter(|(_, (new, old))| wanted(**new, **old));
            wanted.map(|(i, _)| number(i)..number(i) + 1).collect()
        };
        let data = chosen(&|new, _| new == completed);
        let states = chosen(&|new, old| new != undefined && old != completed);
        let renewed = chosen(&|new, old| new == completed && old == completed).len();
        merged.renewed += renewed;
        merged.completed += data.len() - renewed;
        merged.troubled += states.len() - (data.len() - renewed);
        merged.untouched += rows.end - rows.start - FrameSet::union([&data, &states]).len();
        let all = FrameSet::from_runs(vec![rows.clone()]);
        // What nobody has computed is NaN in a result.
        let of = |new: bool, some: &FrameSet| if new { all.clone() } else { some.clone() };
        values.energies(&results, start, &of(places.energy.1, &data), part.atoms);
        pen.write(&places.energy.0, &of(places.energy.1, &data), &values.reals)?;
        values.forces(&results, start, &of(places.forces.1, &data));
        pen.write(&places.forces.0, &of(places.forces.1, &data), &values.reals)?;
        if let Some((dataset, new)) = &places.status {
            values.states(&results, start, &of(*new, &states));
            pen.write(dataset, &of(*new, &states), &values.codes)?;
        }
        start = rows.end;
    }
    Ok(merged)
}

/// The state of frames of which nothing is recorded: completed where there are results without states.
fn unwritten(places: &Places) -> Status {
    match places.status {
        None => Status::Completed,
        Some(_) => Status::Undefined,
    }
}

/// What is written, gathered from the results of a block that begins at frame `start`.
#[derive(Default)]
struct Values {
    reals: Vec<f64>,
    codes: Vec<i64>,
}

impl Values {
    fn energies(&mut self, results: &ResultBlock, start: u64, rows: &FrameSet, atoms: usize) {
        self.reals.clear();
        self.reals.extend(rows.iter().map(|row| {
            let i = (row - start) as usize;
            if is_completed(results, i) {
                results.energy[i] / atoms as f64
            } else {
                f64::NAN
            }
        }));
    }

    fn forces(&mut self, results: &ResultBlock, start: u64, rows: &FrameSet) {
        self.reals.clear();
        for row in rows.iter() {
            let i = (row - start) as usize;
            let forces = &results.forces[results.offsets[i]..results.offsets[i + 1]];
            if is_completed(results, i) {
                self.reals.extend_from_slice(forces.as_flattened());
            } else {
                let filled = self.reals.len() + 3 * forces.len();
                self.reals.resize(filled, f64::NAN);
            }
        }
    }

    fn states(&mut self, results: &ResultBlock, start: u64, rows: &FrameSet) {
        self.codes.clear();
        let code = |row: u64| results.status[(row - start) as usize];
        self.codes.extend(rows.iter().map(code));
    }
}

fn is_completed(results: &ResultBlock, i: usize) -> bool {
    results.status[i] == Status::Completed.code()
}

/// Finds the datasets of `level`, or makes them at full size on reserved space, not filled; adds the level to the list.
fn places(to: &File, part: &Part, level: &str) -> Result<Places> {
    let doing = || failed(format!("{}: group {}/{GROUP}", to.filename(), part.key));
    let structure = to.group(&part.key).map_err(doing())?;
    let truth = match structure.group(GROUP) {
        Ok(truth) => truth,
        Err(_) => structure.create_group(GROUP).map_err(doing())?,
    };
    let frames = (part.frames.end - part.frames.start) as usize;
    let has = [energy(level), forces(level)].map(|name| truth.link_exists(&name));
    let had_results = has.contains(&true);
    let has_status = truth.link_exists(&status(level));
    // Without states all frames count as completed, and those of nobody's would have half of what they need.
    if !has_status && has[0] != has[1] {
        let (there, missing) = if has[0] {
            ("energies", "forces")
        } else {
            ("forces", "energies")
        };
        return Err(Error::failure(format!(
            "{}: {}: level of theory {level:?} has {there} of all frames, no {missing} and no states; store these results under another name with --level-of-theory",
            to.filename(),
            truth.name()
        )));
    }
    let places = Places {
        energy: place::<f64>(&truth, &energy(level), &[frames])?,
        forces: place::<f64>(&truth, &forces(level), &[frames, part.atoms, 3])?,
        status: if had_results && !has_status {
            None
        } else {
            Some(place::<i64>(&truth, &status(level), &[frames])?)
        },
    };
    add_level(&truth, level).map_err(doing())?;
    Ok(places)
}

fn place<T: H5Type>(group: &Group, name: &str, shape: &[usize]) -> Result<(Dataset, bool)> {
    let doing = || failed(format!("{}: {}/{name}", group.filename(), group.name()));
    if !group.link_exists(name) {
        let dataset = group
            .new_dataset::<T>()
            .alloc_time(Some(AllocTime::Early))
            .fill_time(FillTime::Never)
            .shape(shape.to_vec())
            .create(name);
        return Ok((dataset.map_err(doing())?, true));
    }
    let dataset = group.dataset(name).map_err(doing())?;
    if dataset.shape() != shape {
        return Err(Error::failure(format!(
            "{}: dataset {} has shape {:?}, expected {shape:?}; nothing was changed",
            group.filename(),
            dataset.name(),
            dataset.shape()
        )));
    }
    Ok((dataset, false))
}

fn add_level(truth: &Group, level: &str) -> ::hdf5::Result<()> {
    let mut levels = texts_attribute(truth, LEVELS).unwrap_or_default();
    if levels.iter().any(|known| known == level) {
        return Ok(());
    }
    levels.push(level.to_owned());
    levels.sort_unstable();
    let texts: std::result::Result<Vec<VarLenUnicode>, _> =
        levels.iter().map(|name| name.parse()).collect();
    let texts = texts.map_err(|e| ::hdf5::Error::from(e.to_string()))?;
    if truth.attr(LEVELS).is_ok() {
        truth.delete_attr(LEVELS)?;
    }
    truth
        .new_attr::<VarLenUnicode>()
        .shape(texts.len())
        .create(LEVELS)?
        .write_raw(&texts)
}
