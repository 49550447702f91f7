//! Frames from an HDF5 file, opened read-only with the serial driver: those of one group, or of several one after the other.

mod segment;

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::adapters::legend::Legend;
use crate::domain::cell::Cell;
use crate::domain::error::{GoOn, Result};
use crate::domain::frame::FrameBlock;
use crate::engine::ports::Source;
use crate::planning::frame_set::FrameSet;

use super::locate::{locate, matching};
use super::open_read_only;

pub use segment::{Axis, Found, Rows, Segment, without_padding};

/// Which frames of a file, and what is said of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Their group; `None`: the only one.
    pub key: Option<String>,
    /// Groups, names and patterns, where there are several.
    pub keys: Vec<String>,
    /// What the file does not say itself.
    pub legend: Legend,
}

/// A trajectory open for reading: one segment, or several whose frames and atoms are numbered through all of them.
pub struct Input {
    path: PathBuf,
    /// What was asked for, where there are several.
    patterns: String,
    segments: Vec<Segment>,
    /// First frame and first atom of each segment, and the numbers of all.
    starts: Vec<(u64, u64)>,
    scratch: FrameBlock,
}

impl Input {
    /// Opens the frames under `key`, or the only ones in the file.
    pub fn open(path: &Path, key: Option<&str>) -> Result<Self> {
        let key = key.map(str::to_owned);
        let asked = Asked {
            key,
            ..Asked::default()
        };
        Self::open_as(path, &asked)
    }

    /// Opens what was asked for.
    pub fn open_as(path: &Path, asked: &Asked) -> Result<Self> {
        let file = open_read_only(path)?;
        let found = match &asked.keys[..] {
            [] => vec![locate(path, &file, asked.key.as_deref())?],
            keys => matching(path, &file, keys)?,
        };
        let segments = found.into_iter();
        let segments = segments.map(|group| Segment::with(path, group, &asked.legend));
        let segments = segments.collect::<Result<Vec<_>>>()?;
        Ok(Self::new(path, asked.keys.join(" "), segments))
    }

    fn new(path: &Path, patterns: String, segments: Vec<Segment>) -> Self {
        let mut starts = vec![(0, 0)];
        let (mut frames, mut atoms) = (0, 0);
        for segment in &segments {
            frames += segment.frames();
            atoms += segment.total_atoms();
            starts.push((frames, atoms));
        }
        Self {
            path: path.to_owned(),
            patterns,
            segments,
            starts,
            scratch: FrameBlock::default(),
        }
    }

    /// The group of the frames, where there is one.
    pub fn only(&self) -> Option<&Segment> {
        match &self.segments[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    /// All groups of frames.
    pub fn groups(&self) -> &[Segment] {
        &self.segments
    }

    /// What `of` says of every segment, where it says the same of all.
    fn common<'a, T: PartialEq>(&'a self, of: impl Fn(&'a Segment) -> Option<T>) -> Option<T> {
        let mut all = self.segments.iter().map(of);
        let first = all.next()??;
        all.all(|other| other.as_ref() == Some(&first))
            .then_some(first)
    }

    /// Number of frames.
    pub fn frames(&self) -> u64 {
        self.starts[self.segments.len()].0
    }

    /// Atoms in each frame; `None` for ragged sets.
    pub fn atoms(&self) -> Option<usize> {
        self.common(Segment::atoms)
    }

    /// Atoms of all frames together.
    pub fn total_atoms(&self) -> u64 {
        self.starts[self.segments.len()].1
    }

    /// Frames to read at a time where they are only passed through: about 32 MiB of positions.
    pub fn block_frames(&self) -> u64 {
        let blocks = self.segments.iter().map(Segment::block_frames);
        blocks.min().unwrap_or(1)
    }

    /// Path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The group of the frames, absolute within the file; where there are several, what was asked for.
    pub fn key(&self) -> String {
        self.only()
            .map_or_else(|| self.patterns.clone(), Segment::key)
    }

    /// Whether the frames are those of structures of mbe-automation.
    pub fn is_structure(&self) -> bool {
        self.segments.iter().all(Segment::is_structure)
    }

    /// The groups and their frames, where there are several.
    pub fn segments(&self) -> impl Iterator<Item = (String, Range<u64>)> {
        let several = self.only().is_none();
        let all = self.segments.iter().zip(self.starts.windows(2));
        all.filter(move |_| several)
            .map(|(segment, ends)| (segment.key(), ends[0].0..ends[1].0))
    }

    /// The dataset of positions, for an external link; `None` when its shape or unit is not that of a result.
    pub fn linkable_positions(&self) -> Option<String> {
        self.only().and_then(Segment::linkable_positions)
    }

    /// Species when they are the same in every frame.
    pub fn constant_species(&self) -> Option<&[u8]> {
        self.common(Segment::constant_species)
    }

    /// The cell when it is the same in every frame.
    pub fn constant_cell(&self) -> Option<Cell> {
        self.common(Segment::constant_cell)
    }

    /// Directions in which every frame repeats; `None` when frames differ.
    pub fn constant_periodic(&self) -> Option<[bool; 3]> {
        self.common(Segment::constant_periodic)
    }

    /// Whether frames have cell vectors at all.
    pub fn has_cells(&self) -> bool {
        self.segments.iter().any(Segment::has_cells)
    }

    /// `position/step` and `position/time` where the input has one of each per frame.
    pub fn axis(&self, name: &str) -> Option<Axis> {
        self.only()?.axis(name)
    }

    /// The property `name` of atoms or frames in each segment; an error names the first segment that has none.
    pub fn property(&self, name: &str) -> std::result::Result<Vec<Found>, &Segment> {
        let all = self.segments.iter();
        all.map(|segment| segment.property(name).ok_or(segment))
            .collect()
    }

    /// Every atomic number that occurs in `frames`, once; reads their species, and nothing else, when these change from
    /// frame to frame.
    pub fn species_present(&mut self, frames: &FrameSet, go_on: GoOn<'_>) -> Result<Vec<u8>> {
        let mut present = Vec::new();
        for (k, part) in self.parts(frames) {
            present.extend(self.segments[k].species_present(&part, go_on)?);
        }
        present.sort_unstable();
        present.dedup();
        Ok(present)
    }

    /// Tells the size of each of `frames`, in ascending order: its atoms, each of them counted as `size_of` says, or as 1 in
    /// sets so large that reading their species would take long.
    pub fn for_each_size(
        &mut self,
        frames: &FrameSet,
        size_of: impl Fn(u8) -> u8,
        mut each: impl FnMut(u64),
    ) -> Result<()> {
        for (k, part) in self.parts(frames) {
            self.segments[k].for_each_size(&part, &size_of, &mut each)?;
        }
        Ok(())
    }

    /// `frames` of each segment that has some of them, as it numbers them.
    fn parts(&self, frames: &FrameSet) -> Vec<(usize, FrameSet)> {
        let mut parts: Vec<(usize, FrameSet)> = Vec::new();
        for run in frames.runs() {
            let mut start = run.start;
            while start < run.end {
                let k = self.starts.partition_point(|(first, _)| *first <= start) - 1;
                let (first, end) = (self.starts[k].0, self.starts[k + 1].0.min(run.end));
                if parts.last().is_none_or(|(last, _)| *last != k) {
                    parts.push((k, FrameSet::empty()));
                }
                if let Some((_, part)) = parts.last_mut() {
                    part.append(start - first..end - first);
                }
                start = end;
            }
        }
        parts
    }
}

impl Source for Input {
    fn read(&mut self, frames: &FrameSet, block: &mut FrameBlock) -> Result<()> {
        if let [only] = &mut self.segments[..] {
            return only.read(frames, block);
        }
        block.clear();
        for (k, part) in self.parts(frames) {
            self.segments[k].read(&part, &mut self.scratch)?;
            let (frame, atom) = self.starts[k];
            block.append(&self.scratch, frame, atom);
        }
        Ok(())
    }

    fn sizes(
        &mut self,
        frames: &FrameSet,
        size_of: &[u8; 256],
        each: &mut dyn FnMut(u64),
    ) -> Result<()> {
        if self.atoms().is_some() {
            return Ok(());
        }
        self.for_each_size(frames, |z| size_of[usize::from(z)], each)
    }
}
