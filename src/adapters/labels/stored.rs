//! Labels in HDF5: results of framewise, `ground_truth` of mbe-automation, H5MD with observables.

use std::path::{Path, PathBuf};

use ::hdf5::{Dataset, Group};

use super::names::What;
use super::{BLOCK_ATOMS, BLOCK_FRAMES, Labels, Tally, Which, named};
use crate::adapters::hdf5::input::{Input, without_padding};
use crate::adapters::hdf5::layout::{attribute, unit};
use crate::adapters::hdf5::result_block::{ResultBlock, force_rows};
use crate::adapters::hdf5::result_reader::ResultReader;
use crate::adapters::hdf5::{ffi, ground_truth, open_read_only, require_room, text_attribute};
use crate::domain::error::{Error, Result};
use crate::domain::label::tensor_from;
use crate::domain::units::h5md_unit;
use crate::engine::ports::Source as _;
use crate::planning::frame_set::FrameSet;
use crate::planning::status::Status;

/// States read at a time.
const STATES: u64 = 1 << 17;
/// What mbe-automation writes in place of a slash in names.
const SLASH: &str = "\u{2215}";
const CLUSTER: &str = "/cluster_of_molecules";

/// Frames and their labels in an HDF5 file.
pub struct Stored {
    path: PathBuf,
    what: String,
    holds: Holds,
    tally: Tally,
    completed: FrameSet,
    total_atoms: u64,
}

enum Holds {
    Result(Box<ResultReader>, ResultBlock),
    Group(Box<InGroup>),
}

struct InGroup {
    input: Input,
    energy: Dataset,
    /// mbe-automation stores energies per atom.
    per_atom: bool,
    forces: Option<Dataset>,
    offsets: Option<Dataset>,
    stress: Option<Dataset>,
    /// Atoms in a row of forces, where rows are filled up to the size of the largest frame.
    padded_to: Option<usize>,
    scratch: Vec<usize>,
    reals: Vec<f64>,
}

/// Where the labels of a group are.
struct Found {
    what: String,
    energy: Dataset,
    per_atom: bool,
    forces: Option<Dataset>,
    stress: Option<Dataset>,
    status: Option<Dataset>,
}

impl Stored {
    /// A result of framewise.
    pub fn result(path: &Path) -> Result<Self> {
        let reader = ResultReader::open(path)?;
        reader.require_frames()?;
        let states = reader.states()?;
        let count = |status| states.of(status).len();
        let tally = Tally {
            frames: reader.n_frames(),
            completed: count(Status::Completed),
            undefined: count(Status::Undefined),
            not_converged: count(Status::NotConverged),
            failed: count(Status::Failed) + states.unknown.len(),
        };
        let calculator = reader.attribute(attribute::CALCULATOR).unwrap_or("result");
        let level = reader.attribute(attribute::LEVEL_OF_THEORY);
        let what = match level.filter(|level| *level != calculator) {
            Some(level) => format!("{calculator}, {level}"),
            None => calculator.to_owned(),
        };
        Ok(Self {
            path: path.to_owned(),
            what,
            tally,
            completed: states.of(Status::Completed).clone(),
            total_atoms: reader.total_atoms(),
            holds: Holds::Result(Box::new(reader), ResultBlock::default()),
        })
    }

    /// A group of frames with labels beside them.
    pub fn group(path: &Path, which: &Which) -> Result<Self> {
        let input = Input::open(path, which.key.as_deref())?;
        let file = open_read_only(path)?;
        let key = input.key();
        let group = |name: &str| file.group(name).ok();
        let whole = key.strip_suffix(CLUSTER).unwrap_or(&key);
        let truth = [&*key, whole]
            .iter()
            .find_map(|k| group(&format!("{k}/ground_truth")));
        let set = key.rsplit('/').next().unwrap_or_default();
        let found = if let Some(truth) = truth {
            levels(path, &truth, which)?
        } else {
            let observables = [format!("/observables/{set}"), "/observables".into()];
            let observables = observables.iter().find_map(|name| group(name));
            h5md(path, which, group(&key).as_ref(), observables.as_ref())?
        };
        let offsets = group(&key).and_then(|g| g.dataset("offsets").ok());
        check(path, &input, &found)?;
        let (tally, completed) = match &found.status {
            Some(status) => states(status, input.frames())?,
            None => (
                Tally {
                    frames: input.frames(),
                    completed: input.frames(),
                    ..Tally::default()
                },
                FrameSet::all(input.frames()),
            ),
        };
        Ok(Self {
            path: path.to_owned(),
            what: found.what,
            tally,
            completed,
            total_atoms: input.total_atoms(),
            holds: Holds::Group(Box::new(InGroup {
                padded_to: padded_to(&input),
                input,
                energy: found.energy,
                per_atom: found.per_atom,
                forces: found.forces,
                offsets,
                stress: found.stress,
                scratch: Vec::new(),
                reals: Vec::new(),
            })),
        })
    }

    /// Path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What of the file.
    pub fn what(&self) -> String {
        self.what.clone()
    }

    /// Its frames.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Frames that were completed when it was opened.
    pub fn completed(&self) -> &FrameSet {
        &self.completed
    }

    /// Frames to read at a time.
    pub fn block_frames(&self) -> u64 {
        let per_frame = self.total_atoms / self.tally.frames.max(1);
        (BLOCK_ATOMS / per_frame.max(1)).clamp(1, BLOCK_FRAMES)
    }

    /// Reads frames, replacing what was in `labels`.
    pub fn read(&mut self, frames: &FrameSet, labels: &mut Labels) -> Result<()> {
        labels.clear();
        let n = frames.len() as usize;
        match &mut self.holds {
            Holds::Result(reader, block) => {
                reader.read(frames, &mut labels.geometry, block)?;
                std::mem::swap(&mut labels.energy, &mut block.energy);
                std::mem::swap(&mut labels.forces, &mut block.forces);
                labels.has_forces.resize(n, true);
                labels.stress.extend(block.stress.iter().map(defined));
                // Another job may have been told to compute frames again meanwhile.
                let completed = block.status.iter().map(|code| *code == 0);
                labels.completed.extend(completed);
            }
            Holds::Group(group) => {
                group.read(frames, labels)?;
                labels.completed.resize(n, true);
            }
        }
        if labels.forces.len() != labels.geometry.positions.len() {
            return Err(named(&self.path)(format!(
                "has {} forces for {} atoms: the file is damaged",
                labels.forces.len(),
                labels.geometry.positions.len()
            )));
        }
        Ok(())
    }
}

impl InGroup {
    fn read(&mut self, frames: &FrameSet, labels: &mut Labels) -> Result<()> {
        let n = frames.len() as usize;
        self.input.read(frames, &mut labels.geometry)?;
        labels.energy.resize(n, 0.0);
        ffi::read_rows(&self.energy, frames.runs(), &mut labels.energy)?;
        if self.per_atom {
            let sizes = labels.geometry.offsets.windows(2).map(|o| o[1] - o[0]);
            for (energy, atoms) in labels.energy.iter_mut().zip(sizes) {
                *energy *= atoms as f64;
            }
        }
        let atoms = labels.geometry.positions.len();
        labels.forces.resize(atoms, [0.0; 3]);
        labels.has_forces.resize(n, self.forces.is_some());
        if let (Some(forces), Some(width)) = (&self.forces, self.padded_to) {
            self.reals.resize(n * width * 3, 0.0);
            ffi::read_rows(forces, frames.runs(), &mut self.reals)?;
            labels.forces.clear();
            for row in without_padding(&self.reals, width, 3, &labels.geometry.offsets) {
                labels.forces.extend_from_slice(row.as_chunks().0);
            }
        } else if let Some(forces) = &self.forces {
            let rows = if forces.ndim() == 2 && self.offsets.is_none() {
                FrameSet::all(atoms as u64)
            } else {
                force_rows(forces, self.offsets.as_ref(), frames, &mut self.scratch)?
            };
            ffi::read_rows(forces, rows.runs(), labels.forces.as_flattened_mut())?;
        }
        if let Some(stress) = &self.stress {
            let components = ffi::row_elements(stress);
            self.reals.resize(n * components, 0.0);
            ffi::read_rows(stress, frames.runs(), &mut self.reals)?;
            let each = self.reals.chunks(components.max(1)).map(tensor_from);
            labels
                .stress
                .extend(each.map(|stress| stress.as_ref().and_then(defined)));
        } else {
            labels.stress.resize(n, None);
        }
        Ok(())
    }
}

/// Stress is NaN where it is not defined.
fn defined(stress: &[[f64; 3]; 3]) -> Option<[[f64; 3]; 3]> {
    let undefined = stress.as_flattened().iter().all(|x| x.is_nan());
    (!undefined).then_some(*stress)
}

/// Levels of theory of an mbe-automation group.
fn levels(path: &Path, truth: &Group, which: &Which) -> Result<Found> {
    let wrong = named(path);
    let stored = |level: &str| level.replace('/', SLASH);
    let levels = ground_truth::names(truth);
    let known = || {
        let quoted: Vec<_> = levels.iter().map(|l| format!("{l:?}")).collect();
        quoted.join(", ")
    };
    let level = match (&which.level, &levels[..]) {
        (Some(level), _) => level,
        (None, [only]) => only,
        (None, _) => {
            return Err(wrong(format!(
                "{} has the levels of theory {}; choose one with --level-a or --level-b",
                truth.name(),
                known()
            )));
        }
    };
    let energy = truth.dataset(&format!("E_{} (eV{SLASH}atom)", stored(level)));
    let energy = energy.map_err(|_| {
        if levels.contains(level) {
            return wrong(format!(
                "{} has no energies of level of theory {level:?}, which are needed",
                truth.name()
            ));
        }
        wrong(format!(
            "{} has no level of theory {level:?}; it has {}",
            truth.name(),
            known()
        ))
    })?;
    let dataset = |name: String| truth.dataset(&name).ok();
    let forces = ["Å", "\u{212b}"]
        .iter()
        .find_map(|a| dataset(format!("forces_{} (eV{SLASH}{a})", stored(level))));
    Ok(Found {
        what: format!("{}, {level}", truth.name().trim_start_matches('/')),
        energy,
        per_atom: true,
        forces,
        stress: None,
        status: dataset(format!("status_{}", stored(level))),
    })
}

/// Observables of H5MD: a group with `value` for each.
fn h5md(
    path: &Path,
    which: &Which,
    particles: Option<&Group>,
    observables: Option<&Group>,
) -> Result<Found> {
    let wrong = named(path);
    if let Some(level) = &which.level {
        return Err(wrong(format!(
            "holds no ground_truth, so no level of theory {level:?}"
        )));
    }
    let find = |what, group: Option<&Group>, expected: &str| {
        let Some(group) = group else { return Ok(None) };
        let mut there = group.member_names().unwrap_or_default();
        there.retain(|name| group.dataset(&format!("{name}/value")).is_ok());
        let chosen = which.names.choose(what, &there).map_err(&wrong)?;
        let Some(name) = chosen else { return Ok(None) };
        let dataset = group.dataset(&format!("{name}/value")).ok();
        let unit = dataset.as_ref().and_then(|d| text_attribute(d, "unit"));
        match unit.filter(|unit| !unit.is_empty() && h5md_unit(unit) != expected) {
            Some(unit) => Err(wrong(format!(
                "{name} is in {unit:?}, expected {expected:?}; convert it first"
            ))),
            None => Ok(dataset.map(|d| (name, d))),
        }
    };
    let energy = find(What::Energy, observables, unit::ENERGY)?;
    let (name, energy) = energy.ok_or_else(|| {
        wrong("holds frames but no energies: neither a result of framewise, nor ground_truth, nor an observable named energy".into())
    })?;
    let second = |found: Option<(String, Dataset)>| found.map(|(_, dataset)| dataset);
    Ok(Found {
        what: name,
        energy,
        per_atom: false,
        forces: second(find(What::Forces, particles, unit::FORCE)?),
        stress: second(find(What::Stress, observables, unit::STRESS)?),
        status: None,
    })
}

/// Atoms in a row of atoms, where rows are filled up.
fn padded_to(input: &Input) -> Option<usize> {
    match input.groups() {
        [only] => only.padded_to(),
        _ => None,
    }
}

/// Six or nine.
fn stress_components(found: &Found) -> usize {
    match found.stress.as_ref().map(|s| s.shape()).as_deref() {
        Some([_, 6]) => 6,
        _ => 9,
    }
}

/// Refuses labels that do not fit the frames.
fn check(path: &Path, input: &Input, found: &Found) -> Result<()> {
    let (frames, atoms) = (input.frames() as usize, input.total_atoms() as usize);
    let rows_of_atoms = padded_to(input).map_or(atoms, |width| frames * width);
    let expected = [
        (Some(&found.energy), frames),
        (found.forces.as_ref(), 3 * rows_of_atoms),
        (found.stress.as_ref(), stress_components(found) * frames),
        (found.status.as_ref(), frames),
    ];
    for (dataset, size) in expected {
        let Some(dataset) = dataset else { continue };
        require_room(path, dataset)?;
        if dataset.size() != size || dataset.ndim() == 0 {
            return Err(Error::failure(format!(
                "{}: {} has shape {:?}, which does not fit {frames} frames of {atoms} atoms in all",
                path.display(),
                dataset.name(),
                dataset.shape()
            )));
        }
    }
    Ok(())
}

/// The frames by state.
fn states(status: &Dataset, frames: u64) -> Result<(Tally, FrameSet)> {
    let mut tally = Tally {
        frames,
        ..Tally::default()
    };
    let mut completed = FrameSet::empty();
    let mut codes = Vec::new();
    let mut rest = FrameSet::all(frames);
    while !rest.is_empty() {
        let part = rest.split_front(STATES);
        codes.resize(part.len() as usize, 0_i64);
        ffi::read_rows(status, part.runs(), &mut codes)?;
        for (frame, code) in part.iter().zip(&codes) {
            match Status::from_code(*code) {
                Some(Status::Completed) => completed.append(frame..frame + 1),
                Some(Status::Undefined) => tally.undefined += 1,
                Some(Status::NotConverged) => tally.not_converged += 1,
                Some(Status::Failed) | None => tally.failed += 1,
            }
        }
    }
    tally.completed = completed.len();
    Ok((tally, completed))
}
