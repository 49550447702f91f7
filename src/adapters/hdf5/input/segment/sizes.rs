//! Sizes of frames, without their positions.

use super::padded::NOTHING;
use super::{FrameBlock, FrameSet, Positions, Result, Segment, Species};

/// Above so many atoms their species are not read for the sake of an estimate.
const MOST_ATOMS: u64 = 1 << 24;

impl Segment {
    /// Tells the size of each of `frames`, in ascending order: its atoms, each of them counted as `size_of` says, or as 1 in
    /// sets so large that reading their species would take long.
    pub fn for_each_size(
        &mut self,
        frames: &FrameSet,
        size_of: impl Fn(u8) -> u8,
        mut each: impl FnMut(u64),
    ) -> Result<()> {
        if let (Positions::Padded(_), Species::PerFrame(species, kinds)) =
            (&self.arrangement, &self.species)
        {
            let mut numbers: Vec<i64> = Vec::new();
            let mut rest = frames.clone();
            while !rest.is_empty() {
                let part = rest.split_front(self.block_frames());
                numbers.resize(part.len() as usize * self.atoms, 0);
                kinds.read(species, part.runs(), &mut numbers)?;
                for row in numbers.chunks(self.atoms.max(1)) {
                    let atoms = row.iter().filter(|number| **number != NOTHING);
                    each(
                        atoms
                            .map(|n| u64::from(size_of(kinds.of(*n).unwrap_or(0))))
                            .sum(),
                    );
                }
            }
            return Ok(());
        }
        let Positions::Ragged(offsets) = &self.arrangement else {
            let atoms = self.constant_species().map_or(self.atoms as u64, |all| {
                all.iter().map(|z| u64::from(size_of(*z))).sum()
            });
            (0..frames.len()).for_each(|_| each(atoms));
            return Ok(());
        };
        let offsets = offsets.clone();
        let species = match &self.species {
            Species::PerFrame(dataset, kinds) if self.total_atoms <= MOST_ATOMS => {
                Some((dataset.clone(), kinds.clone()))
            }
            _ => None,
        };
        let mut block = FrameBlock::default();
        let mut numbers: Vec<i64> = Vec::new();
        let mut rest = frames.clone();
        while !rest.is_empty() {
            block.clear();
            let part = rest.split_front(self.block_frames());
            let rows = self.read_offsets(&offsets, &part, &mut block)?;
            if let Some((species, kinds)) = &species {
                numbers.resize(rows.len() as usize, 0);
                kinds.read(species, rows.runs(), &mut numbers)?;
            }
            for bounds in block.offsets.windows(2) {
                let atoms = bounds[0]..bounds[1];
                each(match &species {
                    None => atoms.len() as u64,
                    Some((_, kinds)) => numbers[atoms]
                        .iter()
                        .map(|number| u64::from(size_of(kinds.of(*number).unwrap_or(0))))
                        .sum(),
                });
            }
        }
        Ok(())
    }
}
