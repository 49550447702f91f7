//! Where the frames come from: a result, or a trajectory without results.

use std::path::{Path, PathBuf};

use crate::adapters::export::{Contents, Format, Row};
use crate::adapters::extxyz::writer::{Labelled, More, Names};
use crate::adapters::hdf5::extras::Extras;
use crate::adapters::hdf5::input::{Input, Segment};
use crate::adapters::hdf5::layout;
use crate::adapters::hdf5::result_block::ResultBlock;
use crate::adapters::hdf5::result_reader::{ResultReader, is_result};
use crate::adapters::hdf5::seconds::Seconds;
use crate::domain::error::{Error, GoOn, Result};
use crate::domain::frame::FrameBlock;
use crate::domain::label::Label;
use crate::engine::ports::Source as _;
use crate::planning::frame_set::FrameSet;
use crate::planning::status::Status;

/// Atoms read at a time.
const BLOCK_ATOMS: u64 = 1 << 16;

/// Frames read at a time, at most.
const BLOCK_FRAMES: u64 = 4096;

/// Frames to be exported.
pub struct Frames {
    path: PathBuf,
    geometry: Input,
    result: Option<(ResultReader, Seconds)>,
    extras: Extras,
}

impl Frames {
    /// Opens a file.
    pub fn open(path: &Path, key: Option<&str>) -> Result<Self> {
        let mut result = None;
        let mut key = key;
        if is_result(path)? {
            if let Some(key) = key {
                return Err(Error::usage(format!(
                    "{}: is a result, all of whose frames are in one group; leave --key {key} out",
                    path.display()
                )));
            }
            let reader = ResultReader::open(path)?;
            reader.require_frames()?;
            result = Some((reader, Seconds::open(path)?));
            key = Some(layout::PARTICLES);
        }
        let geometry = Input::open(path, key)?;
        let find = |segment: &Segment| Extras::find(segment, result.is_some());
        let extras = geometry.only().map_or_else(Extras::none, find);
        Ok(Self {
            path: path.to_owned(),
            geometry,
            result,
            extras,
        })
    }

    /// Number of frames.
    pub fn count(&self) -> u64 {
        self.geometry.frames()
    }

    /// Whether anything was computed.
    pub fn has_labels(&self) -> bool {
        self.result.is_some()
    }

    /// Frames that can be exported: those that are completed.
    pub fn completed(&self) -> Result<FrameSet> {
        match &self.result {
            Some((reader, _)) => Ok(reader.states()?.of(Status::Completed).clone()),
            None => Ok(FrameSet::all(self.count())),
        }
    }

    /// What a file of this format will hold; properties whose names it needs for itself are left out, and said.
    pub fn contents(&mut self, format: Format, names: Names) -> Contents {
        let taken = format.taken(&names, self.has_labels());
        let path = self.path.display();
        for name in self.extras.without(&taken) {
            tracing::warn!(
                "{path}: property {name:?} is left out: the file that is written has something else of that name"
            );
        }
        for (name, why) in self.extras.left_out() {
            tracing::warn!("{path}: property {name:?} is left out: {why}");
        }
        let mut more = self.extras.begin();
        for (name, new) in format.keep_apart(&mut more) {
            tracing::warn!("{path}: property {name:?} is stored as {new:?}: that name is taken");
        }
        Contents {
            names,
            has_labels: self.has_labels(),
            more,
        }
    }

    /// Calls `each` with the frames, in ascending order.
    pub fn for_each(
        &mut self,
        mut frames: FrameSet,
        go_on: GoOn<'_>,
        each: &mut dyn FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()> {
        let per_frame = self.geometry.total_atoms() / self.count().max(1);
        let at_once = (BLOCK_ATOMS / per_frame.max(1)).clamp(1, BLOCK_FRAMES);
        let (mut geometry, mut results) = (FrameBlock::default(), ResultBlock::default());
        let mut properties = self.extras.begin();
        let mut measured = Vec::new();
        while !frames.is_empty() {
            go_on()?;
            let block = frames.split_front(at_once);
            self.geometry.read(&block, &mut geometry)?;
            if let Some((reader, seconds)) = &self.result {
                reader.read_sound(&block, &mut results)?;
                measured = seconds.read(&block)?;
            }
            self.extras.read(&block, &geometry, &mut properties)?;
            for i in 0..geometry.len() {
                let label = self.result.is_some().then(|| label(&results, i));
                let more = More {
                    properties: &properties,
                    row: i,
                    first_atom: geometry.offsets[i],
                };
                each(&Row {
                    labelled: Labelled {
                        index: geometry.indices[i],
                        frame: geometry.frame(i),
                        label,
                        more,
                    },
                    status: results.status.get(i).copied().unwrap_or_default(),
                    seconds: measured.get(i).copied().unwrap_or(f32::NAN),
                })?;
            }
        }
        Ok(())
    }
}

fn label(results: &ResultBlock, i: usize) -> Label<'_> {
    let stress = results.stress[i];
    let is_defined = !stress.as_flattened().iter().any(|x| x.is_nan());
    Label {
        energy: results.energy[i],
        forces: Some(&results.forces[results.offsets[i]..results.offsets[i + 1]]),
        stress: is_defined.then_some(stress),
    }
}
