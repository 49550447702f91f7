//! Frames of different sizes as `ZnH5MD` writes them: rows as long as the largest frame, filled up with NaN.

use ::hdf5::Dataset;

use super::super::super::ffi;
use super::examine::{At, Counts};
use super::kinds::Kinds;
use super::{Positions, Species};
use crate::domain::error::Result;

/// The species of what fills up; no real becomes it.
pub(super) const NOTHING: i64 = i64::MIN;
/// Species that are read at a time.
const BLOCK: usize = 1 << 20;

impl At<'_> {
    /// How positions are laid out, once it is seen whether species are filled up: species are read whole for that where
    /// they are reals of each frame.
    pub(super) fn or_padded(
        &self,
        arrangement: Positions,
        species: &Species,
        counts: &Counts,
    ) -> Result<Positions> {
        let (Positions::Fixed, Species::PerFrame(dataset, Kinds::Whole(_))) =
            (&arrangement, species)
        else {
            return Ok(arrangement);
        };
        let firsts = self.firsts(dataset, counts)?;
        let full = counts.frames * counts.atoms as u64;
        if firsts.last() == Some(&full) {
            return Ok(arrangement);
        }
        Ok(Positions::Padded(firsts.into()))
    }

    /// First atom of each frame when those that fill up are not counted, and the total: (F+1).
    fn firsts(&self, dataset: &Dataset, counts: &Counts) -> Result<Vec<u64>> {
        let width = counts.atoms;
        let at_once = (BLOCK / width.max(1)).max(1) as u64;
        let mut firsts = Vec::with_capacity(counts.frames as usize + 1);
        let mut total = 0;
        let mut reals: Vec<f64> = Vec::new();
        for start in (0..counts.frames).step_by(at_once as usize) {
            let rows = start..(start + at_once).min(counts.frames);
            reals.resize((rows.end - rows.start) as usize * width, 0.0);
            ffi::read_rows(dataset, std::slice::from_ref(&rows), &mut reals)?;
            for (frame, row) in rows.zip(reals.chunks(width.max(1))) {
                let size = row.iter().take_while(|z| !z.is_nan()).count();
                if row[size..].iter().any(|z| !z.is_nan()) {
                    return Err(self.error(format!(
                        "{}: frame {frame}, atom {size}: the species is NaN, and atoms follow",
                        dataset.name()
                    )));
                }
                firsts.push(total);
                total += size as u64;
            }
        }
        firsts.push(total);
        Ok(firsts)
    }
}

/// The first entries of each row, as many as the frame has atoms, one after the other. `per_atom` entries belong to one.
pub fn without_padding<'a, T>(
    rows: &'a [T],
    width: usize,
    per_atom: usize,
    offsets: &'a [usize],
) -> impl Iterator<Item = &'a [T]> {
    let sizes = offsets.windows(2).map(|o| o[1] - o[0]);
    let rows = rows.chunks((width * per_atom).max(1));
    rows.zip(sizes).map(move |(row, n)| &row[..n * per_atom])
}
