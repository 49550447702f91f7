//! Reads a result file, serially, also while a run writes it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ::hdf5::{Dataset, File};

use crate::domain::error::{Error, Result};
use crate::domain::frame::FrameBlock;
use crate::engine::ports::Source;
use crate::planning::frame_set::FrameSet;
use crate::planning::status::{Status, StatusCounts};

use super::create::Message;
use super::history::{self, Run};
use super::input::Input;
use super::readback::Place;
pub use super::result_block::ResultBlock;
use super::result_block::{force_rows, read_packed};
use super::rows::stored::StoredRows;
use super::{
    READ_GAP, failed, ffi, has_signature, layout, lossy, open_read_only, require_room, segments,
    text_attribute,
};

/// Frames whose states are read at a time.
const BLOCK: u64 = 1 << 17;
/// Messages read at a time.
const MESSAGES: u64 = 1 << 13;

/// Which frames are in which state.
#[derive(Clone, Debug, Default)]
pub struct States {
    by_status: [FrameSet; 4],
    /// Frames whose stored code means nothing.
    pub unknown: FrameSet,
}

impl States {
    /// The frames in this state.
    pub fn of(&self, status: Status) -> &FrameSet {
        &self.by_status[status as usize]
    }

    /// The frames in any of these states.
    pub fn of_any(&self, wanted: &[Status]) -> FrameSet {
        FrameSet::union(wanted.iter().map(|status| self.of(*status)))
    }
}

/// A result file open for reading.
pub struct ResultReader {
    path: PathBuf,
    results: Results,
    status: Dataset,
    checksum: Dataset,
    message: Dataset,
    history: Dataset,
    attributes: BTreeMap<String, String>,
    geometry: Option<Input>,
    frames: u64,
    file: File,
}

/// The datasets that hold what was computed.
enum Results {
    Frames {
        energy: Dataset,
        forces: Dataset,
        stress: Dataset,
        offsets: Option<Dataset>,
    },
    Rows(StoredRows, Vec<Dataset>),
}

impl Results {
    fn all(&self) -> Vec<&Dataset> {
        match self {
            Self::Frames {
                energy,
                forces,
                stress,
                ..
            } => vec![energy, stress, forces],
            Self::Rows(_, columns) => columns.iter().collect(),
        }
    }
}

/// Whether `path` is an HDF5 file with a result of framewise in it; an error when it cannot be read.
pub fn is_result(path: &Path) -> Result<bool> {
    let unreadable = |e| Error::unreadable(path, &e);
    // Opening a pipe would wait for somebody to write into it.
    if !path.metadata().map_err(unreadable)?.is_file() {
        return Ok(false);
    }
    if !has_signature(path).map_err(unreadable)? {
        return Ok(false);
    }
    Ok(open_read_only(path)?.group(layout::FRAMEWISE).is_ok())
}

impl ResultReader {
    /// Opens `path`, which must be a result of framewise.
    pub fn open(path: &Path) -> Result<Self> {
        let file = open_read_only(path)?;
        let ours = file.group(layout::FRAMEWISE).map_err(|_| {
            Error::failure(format!(
                "{}: not a result of framewise (group {} is missing); give the file that `framewise run -o` or `map -o` wrote",
                path.display(),
                layout::FRAMEWISE
            ))
        })?;
        let mut attributes = BTreeMap::new();
        for name in ours.attr_names().map_err(failed(path.display()))? {
            if let Some(text) = text_attribute(&ours, &name) {
                attributes.insert(name, text);
            }
        }
        let dataset = |name: &str| {
            file.dataset(name).map_err(|_| {
                Error::failure(format!("{}: dataset {name} is missing", path.display()))
            })
        };
        let status = dataset(layout::STATUS)?;
        let results = match StoredRows::of(&file)? {
            None => Results::Frames {
                energy: dataset(&format!("{}/value", layout::ENERGY))?,
                forces: dataset(&format!("{}/value", layout::FORCES))?,
                stress: dataset(&format!("{}/value", layout::STRESS))?,
                offsets: file.dataset(layout::OFFSETS).ok(),
            },
            Some(rows) => {
                let paths = rows.paths();
                let columns = paths.iter().map(|name| dataset(name));
                let columns = columns.collect::<Result<_>>()?;
                Results::Rows(rows, columns)
            }
        };
        let reader = Self {
            path: path.to_owned(),
            results,
            checksum: dataset(layout::CHECKSUM)?,
            message: dataset(layout::MESSAGE)?,
            history: dataset(layout::HISTORY)?,
            frames: status.size() as u64,
            status,
            attributes,
            geometry: None,
            file,
        };
        reader.check_shapes()?;
        Ok(reader)
    }

    fn check_shapes(&self) -> Result<()> {
        let rows = |dataset: &Dataset| dataset.shape().first().copied().unwrap_or(0) as u64;
        let all = self.results.all();
        let books = [&self.checksum, &self.message, &self.status];
        for dataset in all.iter().copied().chain(books) {
            require_room(&self.path, dataset)?;
        }
        if let Results::Rows(rows, columns) = &self.results
            && let Some(k) = (0..columns.len()).find(|k| !rows.fits(*k, &columns[*k]))
        {
            return Err(Error::failure(format!(
                "{}: {} is not what attribute {} says: the file is damaged",
                self.path.display(),
                columns[k].name(),
                layout::attribute::RESULTS
            )));
        }
        // Rows of forces may be atoms.
        let per_frame = match &self.results {
            Results::Frames { .. } => &all[..2],
            Results::Rows(..) => &all[..],
        };
        for dataset in per_frame.iter().copied().chain(books) {
            if rows(dataset) != self.frames {
                return Err(Error::failure(format!(
                    "{}: {} has {} rows, but there are {} frames",
                    self.path.display(),
                    dataset.name(),
                    rows(dataset),
                    self.frames
                )));
            }
        }
        Ok(())
    }

    /// Refuses a file whose results are not at fixed places: a run must not write into it.
    pub fn require_contiguous(&self) -> Result<()> {
        let books = [&self.checksum, &self.status, &self.message];
        let mut all = self.results.all().into_iter().chain(books);
        all.try_for_each(|dataset| Place::of(dataset).map(|_| ()))
    }

    /// Number of frames.
    pub fn n_frames(&self) -> u64 {
        self.frames
    }

    /// Atoms of all frames together.
    pub fn total_atoms(&self) -> u64 {
        match &self.results {
            Results::Frames { forces, .. } => forces.size() as u64 / 3,
            Results::Rows(..) => 0,
        }
    }

    /// Where the results of rows are; `None` where they are those of frames.
    pub fn rows(&self) -> Option<&StoredRows> {
        match &self.results {
            Results::Frames { .. } => None,
            Results::Rows(rows, _) => Some(rows),
        }
    }

    /// What one of the things is called that were computed.
    pub fn item(&self) -> &'static str {
        if self.rows().is_some() {
            "row"
        } else {
            "frame"
        }
    }

    /// Refuses a result that has no frames in it.
    pub fn require_frames(&self) -> Result<()> {
        match self.rows() {
            None => Ok(()),
            Some(rows) => Err(Error::failure(format!(
                "{}: holds results of rows, which have no geometry; they are in group {}, for h5py, pyUSID or sidpy",
                self.path.display(),
                rows.group
            ))),
        }
    }

    /// Atoms in each frame; `None` for ragged sets.
    pub fn atoms(&self) -> Option<u64> {
        match &self.results {
            Results::Frames { forces, .. } => {
                (forces.ndim() == 3).then(|| forces.shape()[1] as u64)
            }
            Results::Rows(..) => Some(0),
        }
    }

    /// The groups of the input and their frames, where several were computed as one job.
    pub fn segments(&self) -> Result<Vec<(String, Range<u64>)>> {
        segments::read(&self.file, self.frames)
    }

    /// A text attribute of the job, see [`layout::attribute`].
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    /// All text attributes of the job.
    pub fn attributes(&self) -> &BTreeMap<String, String> {
        &self.attributes
    }

    /// The runs that have written this file, oldest first.
    pub fn history(&self) -> Result<Vec<Run>> {
        history::read(&self.history)
    }

    /// Calls `each` with blocks of consecutive frames and their states.
    pub fn for_each_status(&self, mut each: impl FnMut(Range<u64>, &[i64])) -> Result<()> {
        let mut codes = Vec::new();
        let mut start = 0;
        while start < self.frames {
            let rows = start..(start + BLOCK).min(self.frames);
            codes.resize((rows.end - rows.start) as usize, 0);
            ffi::read_rows(&self.status, std::slice::from_ref(&rows), &mut codes)?;
            each(rows.clone(), &codes);
            start = rows.end;
        }
        Ok(())
    }

    /// Calls `each` with runs of frames in the same state, ascending and as long as can be; `None`: the stored code
    /// means nothing.
    pub fn for_each_run(&self, mut each: impl FnMut(Range<u64>, Option<Status>)) -> Result<()> {
        let mut run = 0..0;
        let mut code = Status::Undefined.code();
        self.for_each_status(|rows, codes| {
            for (frame, next) in rows.zip(codes) {
                if *next != code {
                    if !run.is_empty() {
                        each(run.clone(), Status::from_code(code));
                    }
                    (run.start, code) = (frame, *next);
                }
                run.end = frame + 1;
            }
        })?;
        if !run.is_empty() {
            each(run, Status::from_code(code));
        }
        Ok(())
    }

    /// All frames, sorted by their states.
    pub fn states(&self) -> Result<States> {
        let mut states = States::default();
        self.for_each_run(|run, status| {
            let set = match status {
                Some(status) => &mut states.by_status[status as usize],
                None => &mut states.unknown,
            };
            set.append(run);
        })?;
        Ok(states)
    }

    /// Frames by state; the second number counts codes that mean nothing.
    pub fn counts(&self) -> Result<(StatusCounts, u64)> {
        let mut counts = StatusCounts::default();
        let mut unknown = 0;
        self.for_each_run(|run, status| {
            let frames = run.end - run.start;
            match status {
                Some(status) => counts.add(status, frames),
                None => unknown += frames,
            }
        })?;
        Ok((counts, unknown))
    }

    /// Why frames have no results.
    pub fn messages(&self, frames: &FrameSet) -> Result<Vec<String>> {
        let mut found = Vec::with_capacity(frames.len() as usize);
        let mut texts = Vec::new();
        let mut rest = frames.bridged(READ_GAP);
        while !rest.is_empty() {
            let part = rest.split_front(MESSAGES);
            texts.resize(part.len() as usize, Message::default());
            ffi::read_rows(&self.message, part.runs(), &mut texts)?;
            let asked = part.intersection(frames);
            let mut asked = asked.iter().peekable();
            for (frame, text) in part.iter().zip(&texts) {
                if asked.next_if_eq(&frame).is_some() {
                    found.push(lossy(text.as_bytes()));
                }
            }
        }
        Ok(found)
    }

    /// Reads results of `frames`, replacing what was in `block`.
    pub fn read_results(&self, frames: &FrameSet, block: &mut ResultBlock) -> Result<()> {
        let n = frames.len() as usize;
        block.status.resize(n, 0);
        block.checksum.resize(n, 0);
        let rows = frames.runs();
        // The state first: a run may commit meanwhile, and a frame whose state was read as completed has its
        // results on disk.
        ffi::read_rows(&self.status, rows, &mut block.status)?;
        ffi::read_rows(&self.checksum, rows, &mut block.checksum)?;
        let (energy, forces, stress, offsets) = match &self.results {
            Results::Frames {
                energy,
                forces,
                stress,
                offsets,
            } => (energy, forces, stress, offsets),
            Results::Rows(stored, columns) => return read_packed(stored, columns, frames, block),
        };
        block.energy.resize(n, 0.0);
        block.stress.resize(n, [[0.0; 3]; 3]);
        ffi::read_rows(energy, rows, &mut block.energy)?;
        let stresses = block.stress.as_flattened_mut().as_flattened_mut();
        ffi::read_rows(stress, rows, stresses)?;
        if self.atoms().is_none() && offsets.is_none() {
            return Err(Error::failure(format!(
                "{}: dataset {} is missing",
                self.path.display(),
                layout::OFFSETS
            )));
        }
        let atoms = force_rows(forces, offsets.as_ref(), frames, &mut block.offsets)?;
        let total = block.offsets.last().copied().unwrap_or(0);
        block.forces.resize(total, [0.0; 3]);
        ffi::read_rows(forces, atoms.runs(), block.forces.as_flattened_mut())
    }

    /// As [`read_results`](Self::read_results), for those who hand them on: results of completed frames that are not what
    /// was computed are an error.
    pub fn read_sound(&self, frames: &FrameSet, block: &mut ResultBlock) -> Result<()> {
        self.read_results(frames, block)?;
        match block.first_wrong().and_then(|i| frames.iter().nth(i)) {
            None => Ok(()),
            Some(frame) => Err(Error::failure(format!(
                "{}: frame {frame}: does not match its checksum; see `framewise verify`, which says how to compute it again",
                self.path.display()
            ))),
        }
    }

    /// Reads geometry and results of `frames`.
    pub fn read(
        &mut self,
        frames: &FrameSet,
        geometry: &mut FrameBlock,
        results: &mut ResultBlock,
    ) -> Result<()> {
        if self.geometry.is_none() {
            self.geometry = Some(Input::open(&self.path, Some(layout::PARTICLES))?);
        }
        if let Some(input) = &mut self.geometry {
            input.read(frames, geometry)?;
        }
        self.read_sound(frames, results)
    }
}
