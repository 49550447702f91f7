//! Which elements occur: looked at before anything is computed, in files of any number of frames.

use ::hdf5::Dataset;

use crate::domain::error::{GoOn, Result};
use crate::domain::frame::FrameBlock;
use crate::planning::frame_set::FrameSet;

use super::super::super::{READ_GAP, ffi};
use super::kinds::Kinds;
use super::padded::NOTHING;
use super::{Positions, Segment, Species};

impl Segment {
    /// Every atomic number that occurs in `frames`, once; reads their species, and nothing else, when these change from
    /// frame to frame.
    pub fn species_present(&mut self, frames: &FrameSet, go_on: GoOn<'_>) -> Result<Vec<u8>> {
        let mut present = [false; 256];
        match &self.species {
            Species::Constant(numbers) => {
                for z in numbers {
                    present[usize::from(*z)] = true;
                }
            }
            Species::PerFrame(dataset, kinds) => {
                let of = (dataset.clone(), kinds.clone());
                self.mark_species(&of, frames, &mut present, go_on)?;
            }
        }
        Ok((0..=255).filter(|z| present[usize::from(*z)]).collect())
    }

    fn mark_species(
        &mut self,
        (dataset, kinds): &(Dataset, Kinds),
        frames: &FrameSet,
        present: &mut [bool; 256],
        go_on: GoOn<'_>,
    ) -> Result<()> {
        let mut numbers: Vec<i64> = Vec::new();
        let mut block = FrameBlock::default();
        let mut rest = frames.bridged(READ_GAP);
        while !rest.is_empty() {
            go_on()?;
            let part = rest.split_front(self.block_frames());
            let rows = match &self.arrangement {
                Positions::Ragged(offsets) => {
                    let offsets = offsets.clone();
                    block.clear();
                    self.read_offsets(&offsets, &part, &mut block)?
                }
                _ => part.clone(),
            };
            let per_row = ffi::row_elements(dataset);
            numbers.resize(rows.len() as usize * per_row, 0);
            kinds.read(dataset, rows.runs(), &mut numbers)?;
            let wanted = part.intersection(frames);
            let mut valid = true;
            let mut before = 0;
            let mut reached = part.runs().first().map_or(0, |run| run.start);
            let mut parts = part.runs().iter();
            let mut inside = parts.next().cloned().unwrap_or(0..0);
            for run in wanted.runs() {
                // Positions of the run among the frames that were read; a run of `wanted` lies within one of `part`.
                while run.start >= inside.end {
                    before += inside.end - reached;
                    inside = parts.next().cloned().unwrap_or(0..u64::MAX);
                    reached = inside.start;
                }
                before += run.start - reached;
                reached = run.start;
                let (first, last) = (before as usize, (before + run.end - run.start) as usize);
                let atoms = match &self.arrangement {
                    Positions::Ragged(_) => block.offsets[first]..block.offsets[last],
                    _ => first * per_row..last * per_row,
                };
                for number in numbers[atoms].iter().filter(|n| **n != NOTHING) {
                    let z = kinds.or_unknown(*number);
                    valid &= z <= 118;
                    present[usize::from(z)] = true;
                }
            }
            if !valid {
                // Says which atom of which frame it is.
                self.read(&wanted, &mut block)?;
            }
        }
        Ok(())
    }
}
