//! The frames of one group: H5MD with fixed or per-frame species and cells, ragged sets, and mbe-automation's
//! `Structure`, `Trajectory` and `FiniteSubsystem` groups.

mod examine;
mod kinds;
mod padded;
mod properties;
mod sizes;
mod species;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::hdf5::{Dataset, Group};

use crate::adapters::legend::Legend;
use crate::domain::cell::Cell;
use crate::domain::error::{Error, Result};
use crate::domain::frame::FrameBlock;
use crate::planning::frame_set::FrameSet;

use super::super::locate::{Convention, mbe_positions};
use super::super::{dataset, ffi, require_room, text_attribute};

pub use padded::without_padding;
pub use properties::{Found, Rows};

use examine::{At, Counts, vectors};
use kinds::Kinds;
use padded::NOTHING;

/// How positions are laid out.
pub enum Positions {
    /// (A,3): one frame.
    Single,
    /// (F,A,3).
    Fixed,
    /// (ΣA,3) with offsets (F+1).
    Ragged(Dataset),
    /// (F,A,3), where A is the size of the largest frame: first atom of each when what fills up is not counted, and the
    /// total.
    Padded(Arc<[u64]>),
}

/// Where species are.
enum Species {
    /// The same in every frame.
    Constant(Vec<u8>),
    /// One row per frame, (F,A), or one entry per atom of all frames, (ΣA).
    PerFrame(Dataset, Kinds),
}

/// When frames were.
pub enum Axis {
    /// One value for each.
    Values(Dataset),
    /// The first value, the next ones that much later, and their unit.
    Even(f64, f64, Option<String>),
}

/// Where cells are.
enum Cells {
    Open,
    Constant([[f64; 3]; 3]),
    /// (F,3,3) vectors or (F,3) edge lengths, and Å per unit of them.
    PerFrame(Dataset, f64),
}

enum Periodic {
    Constant([bool; 3]),
    /// (F,3).
    PerFrame(Dataset),
}

/// One group of frames, open for reading.
pub struct Segment {
    path: PathBuf,
    group: Group,
    convention: Convention,
    positions: Dataset,
    arrangement: Positions,
    frames: u64,
    atoms: usize,
    total_atoms: u64,
    species: Species,
    cells: Cells,
    periodic: Periodic,
    scale: f64,
    scratch: Scratch,
}

#[derive(Default)]
struct Scratch {
    numbers: Vec<i64>,
    reals: Vec<f64>,
}

impl Segment {
    /// The frames of `group` in the file at `path`.
    pub fn of(path: &Path, found: (Group, Convention)) -> Result<Self> {
        Self::with(path, found, &Legend::default())
    }

    /// As [`of`](Self::of), with what `legend` says of them.
    pub fn with(
        path: &Path,
        (group, convention): (Group, Convention),
        legend: &Legend,
    ) -> Result<Self> {
        let positions = match convention {
            Convention::H5md => dataset(path, &group, "position/value")?,
            Convention::Mbe => {
                mbe_positions(&group).ok_or_else(|| Error::failure("no positions"))?
            }
        };
        let here = At {
            path,
            group: &group,
            convention,
            legend,
        };
        here.require_real(&positions)?;
        require_room(path, &positions)?;
        let shape = positions.shape();
        let offsets = group.dataset("offsets").ok();
        let (arrangement, frames, atoms, total_atoms) = match (&shape[..], offsets) {
            ([total, 3], Some(offsets)) => {
                let frames = here.check_offsets(&offsets, *total)?;
                (Positions::Ragged(offsets), frames, 0, *total as u64)
            }
            ([frames, atoms, 3], _) => (
                Positions::Fixed,
                *frames as u64,
                *atoms,
                (frames * atoms) as u64,
            ),
            ([atoms, 3], None) => (Positions::Single, 1, *atoms, *atoms as u64),
            _ => {
                return Err(here.error(format!(
                    "dataset {} has shape {shape:?}, expected (frames, atoms, 3), or (atoms, 3) for one frame",
                    positions.name()
                )));
            }
        };
        let scale = here.length_unit(&positions)?;
        let counts = Counts {
            frames,
            atoms,
            total_atoms,
            scale,
            ragged: matches!(arrangement, Positions::Ragged(_)),
        };
        let species = here.species(&counts)?;
        let arrangement = here.or_padded(arrangement, &species, &counts)?;
        let total_atoms = match &arrangement {
            Positions::Padded(firsts) => firsts.last().copied().unwrap_or(0),
            _ => total_atoms,
        };
        let cells = here.cells(&counts)?;
        let periodic = here.periodic(&counts, &cells)?;
        let input = Self {
            path: path.to_owned(),
            positions,
            arrangement,
            frames,
            atoms,
            total_atoms,
            species,
            cells,
            periodic,
            scale,
            scratch: Scratch::default(),
            group,
            convention,
        };
        input.check_constant_cell()?;
        Ok(input)
    }

    /// Number of frames.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Atoms in each frame; `None` for ragged sets.
    pub fn atoms(&self) -> Option<usize> {
        let differ = matches!(
            self.arrangement,
            Positions::Ragged(_) | Positions::Padded(_)
        );
        (!differ).then_some(self.atoms)
    }

    /// The size to which rows of atoms are filled up, where they are.
    pub fn padded_to(&self) -> Option<usize> {
        matches!(self.arrangement, Positions::Padded(_)).then_some(self.atoms)
    }

    /// Atoms of all frames together.
    pub fn total_atoms(&self) -> u64 {
        self.total_atoms
    }

    /// Frames to read at a time where they are only passed through: about 32 MiB of positions.
    pub fn block_frames(&self) -> u64 {
        let mean = self.total_atoms / self.frames.max(1);
        let bytes = 24 * mean.max(self.atoms as u64) + 128;
        ((32 << 20) / bytes).clamp(1, 1 << 16)
    }

    /// The group of the frames, absolute within the file.
    pub fn key(&self) -> String {
        self.group.name()
    }

    /// Whether it is a structure of mbe-automation.
    pub fn is_structure(&self) -> bool {
        self.convention == Convention::Mbe
    }

    /// The group.
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// The dataset of positions, for an external link; `None` when its shape or unit is not that of a result.
    pub fn linkable_positions(&self) -> Option<String> {
        let other = matches!(self.arrangement, Positions::Single | Positions::Padded(_));
        let same = !other && !self.is_scaled();
        same.then(|| self.positions.name())
    }

    /// Whether lengths are not in Å already.
    fn is_scaled(&self) -> bool {
        (self.scale - 1.0).abs() > f64::EPSILON
    }

    /// Species when they are the same in every frame.
    pub fn constant_species(&self) -> Option<&[u8]> {
        match &self.species {
            Species::Constant(numbers) => Some(numbers),
            Species::PerFrame(..) => None,
        }
    }

    /// The cell when it is the same in every frame.
    pub fn constant_cell(&self) -> Option<Cell> {
        let periodic = match &self.periodic {
            Periodic::Constant(periodic) => *periodic,
            Periodic::PerFrame(_) => return None,
        };
        match &self.cells {
            Cells::Open => Some(Cell {
                periodic,
                ..Cell::OPEN
            }),
            Cells::Constant(vectors) => Some(Cell {
                vectors: *vectors,
                periodic,
            }),
            Cells::PerFrame(..) => None,
        }
    }

    /// Directions in which every frame repeats; `None` when frames differ.
    pub fn constant_periodic(&self) -> Option<[bool; 3]> {
        match &self.periodic {
            Periodic::Constant(periodic) => Some(*periodic),
            Periodic::PerFrame(_) => None,
        }
    }

    /// Whether frames have cell vectors at all.
    pub fn has_cells(&self) -> bool {
        !matches!(self.cells, Cells::Open)
    }

    /// `position/step` or `position/time`, where the input has it.
    pub fn axis(&self, name: &str) -> Option<Axis> {
        if self.convention == Convention::Mbe {
            return None;
        }
        let dataset = self.group.dataset(&format!("position/{name}")).ok()?;
        if dataset.shape() == [self.frames as usize] {
            return Some(Axis::Values(dataset));
        }
        // H5MD 1.1, "Fixed step and time storage".
        let increment = dataset.read_scalar::<f64>().ok()?;
        let offset = dataset.attr("offset").and_then(|a| a.read_scalar::<f64>());
        let unit = text_attribute(&dataset, "unit");
        Some(Axis::Even(offset.unwrap_or(0.0), increment, unit))
    }

    fn check_constant_cell(&self) -> Result<()> {
        match self.constant_cell().and_then(|cell| cell.defect()) {
            Some(defect) if self.frames > 0 => Err(Error::failure(format!(
                "{}: group {}: {defect}; every frame uses this cell: correct it, or say that the frames are not periodic",
                self.path.display(),
                self.group.name()
            ))),
            _ => Ok(()),
        }
    }

    fn read_positions(&mut self, frames: &FrameSet, block: &mut FrameBlock) -> Result<()> {
        match &self.arrangement {
            Positions::Ragged(offsets) => {
                let offsets = offsets.clone();
                let atoms = self.read_offsets(&offsets, frames, block)?;
                block.positions.resize(atoms.len() as usize, [0.0; 3]);
                ffi::read_rows(
                    &self.positions,
                    atoms.runs(),
                    block.positions.as_flattened_mut(),
                )?;
            }
            Positions::Padded(firsts) => {
                for frame in frames.iter() {
                    let bounds = &firsts[frame as usize..frame as usize + 2];
                    block.first_atoms.push(bounds[0]);
                    let end = block.offsets.last().copied().unwrap_or(0);
                    block.offsets.push(end + (bounds[1] - bounds[0]) as usize);
                }
                let reals = &mut self.scratch.reals;
                reals.resize(frames.len() as usize * 3 * self.atoms, 0.0);
                ffi::read_rows(&self.positions, frames.runs(), reals)?;
                for row in without_padding(reals, self.atoms, 3, &block.offsets) {
                    block.positions.extend_from_slice(row.as_chunks::<3>().0);
                }
            }
            arrangement => {
                let a = self.atoms;
                for (i, frame) in frames.iter().enumerate() {
                    block.first_atoms.push(frame * a as u64);
                    block.offsets.push((i + 1) * a);
                }
                block.positions.resize(frames.len() as usize * a, [0.0; 3]);
                let values = block.positions.as_flattened_mut();
                if matches!(arrangement, Positions::Single) {
                    ffi::read_rows(&self.positions, &[0..a as u64], values)?;
                } else {
                    ffi::read_rows(&self.positions, frames.runs(), values)?;
                }
            }
        }
        if self.is_scaled() {
            for x in block.positions.as_flattened_mut() {
                *x *= self.scale;
            }
        }
        Ok(())
    }

    /// Reads where the frames' atoms are; returns them as runs on the atom axis.
    fn read_offsets(
        &mut self,
        offsets: &Dataset,
        frames: &FrameSet,
        block: &mut FrameBlock,
    ) -> Result<FrameSet> {
        let numbers = &mut self.scratch.numbers;
        let mut atoms = FrameSet::empty();
        // Each run needs one offset more than frames; overlapping rows are not a selection, so merge run by run.
        let bounds: FrameSet = frames.runs().iter().map(|r| r.start..r.end + 1).collect();
        numbers.resize(bounds.len() as usize, 0);
        ffi::read_rows(offsets, bounds.runs(), numbers)?;
        let mut before = 0;
        let mut inside = bounds.runs().iter();
        let mut bound = inside.next().cloned().unwrap_or(0..0);
        for run in frames.runs() {
            while run.start >= bound.end {
                before += (bound.end - bound.start) as usize;
                bound = inside.next().cloned().unwrap_or(0..u64::MAX);
            }
            let first = before + (run.start - bound.start) as usize;
            let values = &numbers[first..=first + (run.end - run.start) as usize];
            for (frame, pair) in run.clone().zip(values.windows(2)) {
                let before = atoms.runs().last().map_or(0, |r| r.end as i64);
                if pair[0] < before || pair[1] < pair[0] || pair[1] as u64 > self.total_atoms {
                    return Err(Error::failure(format!(
                        "{}: frame {frame} has atoms {}..{}, which is impossible with {} atoms",
                        offsets.name(),
                        pair[0],
                        pair[1],
                        self.total_atoms
                    )));
                }
                block.first_atoms.push(pair[0] as u64);
                let end = block.offsets.last().copied().unwrap_or(0) + (pair[1] - pair[0]) as usize;
                block.offsets.push(end);
                atoms.append(pair[0] as u64..pair[1] as u64);
            }
        }
        Ok(atoms)
    }

    fn read_species(&mut self, frames: &FrameSet, block: &mut FrameBlock) -> Result<()> {
        match &self.species {
            Species::Constant(numbers) => {
                for _ in 0..block.indices.len() {
                    block.species.extend_from_slice(numbers);
                }
            }
            Species::PerFrame(dataset, kinds) => {
                let dataset = dataset.clone();
                let numbers = &mut self.scratch.numbers;
                numbers.resize(block.positions.len(), 0);
                if matches!(self.arrangement, Positions::Padded(_)) {
                    numbers.resize(frames.len() as usize * self.atoms, 0);
                    kinds.read(&dataset, frames.runs(), numbers)?;
                    numbers.retain(|number| *number != NOTHING);
                } else if matches!(self.arrangement, Positions::Ragged(_)) {
                    let atoms = block
                        .first_atoms
                        .iter()
                        .zip(block.offsets.windows(2))
                        .map(|(first, o)| *first..first + (o[1] - o[0]) as u64)
                        .collect::<FrameSet>();
                    kinds.read(&dataset, atoms.runs(), numbers)?;
                } else {
                    kinds.read(&dataset, frames.runs(), numbers)?;
                }
                for (at, number) in numbers.iter().enumerate() {
                    let z = kinds.of(*number).ok_or_else(|| {
                        let i = block.offsets.partition_point(|o| *o <= at) - 1;
                        Error::failure(format!(
                            "{}: frame {}, atom {}: {}",
                            dataset.name(),
                            block.indices[i],
                            at - block.offsets[i],
                            kinds.why_not(*number)
                        ))
                    })?;
                    block.species.push(z);
                }
            }
        }
        Ok(())
    }

    fn read_cells(&mut self, frames: &FrameSet, block: &mut FrameBlock) -> Result<()> {
        block.cells.resize(block.indices.len(), Cell::OPEN);
        match &self.cells {
            Cells::Open => {}
            Cells::Constant(vectors) => {
                for cell in &mut block.cells {
                    cell.vectors = *vectors;
                }
            }
            Cells::PerFrame(dataset, scale) => {
                let elements = ffi::row_elements(dataset);
                let reals = &mut self.scratch.reals;
                reals.resize(block.cells.len() * elements, 0.0);
                ffi::read_rows(dataset, frames.runs(), reals)?;
                for (cell, row) in block.cells.iter_mut().zip(reals.chunks(elements)) {
                    cell.vectors = vectors(row, *scale);
                }
            }
        }
        match &self.periodic {
            Periodic::Constant(periodic) => {
                for cell in &mut block.cells {
                    cell.periodic = *periodic;
                }
            }
            Periodic::PerFrame(dataset) => {
                let numbers = &mut self.scratch.numbers;
                numbers.resize(block.cells.len() * 3, 0);
                ffi::read_rows(dataset, frames.runs(), numbers)?;
                for (cell, row) in block.cells.iter_mut().zip(numbers.chunks(3)) {
                    cell.periodic = [row[0] != 0, row[1] != 0, row[2] != 0];
                }
            }
        }
        Ok(())
    }

    /// Replaces what is in `block` by `frames`.
    pub fn read(&mut self, frames: &FrameSet, block: &mut FrameBlock) -> Result<()> {
        block.clear();
        block.indices.extend(frames.iter());
        let done = self
            .read_positions(frames, block)
            .and_then(|()| self.read_species(frames, block))
            .and_then(|()| self.read_cells(frames, block));
        done.map_err(|e| e.context(self.path.display()))
    }
}
