//! Results of some frames in memory, and where in a file they are.

use ::hdf5::Dataset;
use zerocopy::IntoBytes as _;

use crate::domain::checksum::checksum;
use crate::domain::error::{Error, Result};
use crate::planning::frame_set::FrameSet;
use crate::planning::status::Status;

use super::rows::stored::StoredRows;
use super::{ffi, layout};

/// Results of some frames, in the order they were asked for.
#[derive(Clone, Debug, Default)]
pub struct ResultBlock {
    /// Stored codes, see [`Status`].
    pub status: Vec<i64>,
    /// Energies (eV).
    pub energy: Vec<f64>,
    /// Forces (eV/Å), atoms of all frames concatenated.
    pub forces: Vec<[f64; 3]>,
    /// Stresses (eV/Å³).
    pub stress: Vec<[[f64; 3]; 3]>,
    /// Results of rows of an array, packed row after row; nothing but these where a kernel computed.
    pub packed: Vec<u64>,
    /// Stored checksums.
    pub checksum: Vec<u64>,
    /// Frame `i` owns `forces[offsets[i]..offsets[i + 1]]`.
    pub offsets: Vec<usize>,
}

impl ResultBlock {
    /// The first completed frame of the block whose energy, forces and stress are not what its checksum is of.
    pub fn first_wrong(&self) -> Option<usize> {
        let is_wrong = |i: usize| {
            let forces = &self.forces[self.offsets[i]..self.offsets[i + 1]];
            checksum(self.energy[i], forces, &self.stress[i]) != self.checksum[i]
        };
        (0..self.energy.len()).find(|i| self.status[*i] == Status::Completed.code() && is_wrong(*i))
    }
}

/// Reads the results of rows and packs them as they were when they were computed.
pub(super) fn read_packed(
    stored: &StoredRows,
    columns: &[Dataset],
    rows: &FrameSet,
    block: &mut ResultBlock,
) -> Result<()> {
    let n = rows.len() as usize;
    block.packed.clear();
    block.packed.resize(n * stored.layout.words(), 0);
    let mut column = Vec::new();
    for (k, dataset) in columns.iter().enumerate() {
        let memory = stored.memory(k)?;
        column.resize(n * stored.layout.part(k).len(), 0);
        ffi::read_bytes(dataset, rows.runs(), (&memory, &mut column))?;
        stored.pack(k, &column, block.packed.as_mut_bytes());
    }
    Ok(())
}

/// Rows of `forces` that belong to `frames`, and where each frame's begin among them: `offsets` has one entry more than
/// there are frames. Sets of frames of different sizes need their `table` of offsets.
///
/// # Errors
/// A table that is missing, unreadable, or says what cannot be.
pub fn force_rows(
    forces: &Dataset,
    table: Option<&Dataset>,
    frames: &FrameSet,
    offsets: &mut Vec<usize>,
) -> Result<FrameSet> {
    offsets.clear();
    offsets.push(0);
    if forces.ndim() == 3 {
        let atoms = forces.shape()[1];
        offsets.extend((1..=frames.len() as usize).map(|i| i * atoms));
        return Ok(frames.clone());
    }
    let total = forces.shape().first().map_or(0, |n| *n as u64);
    let mut rows = FrameSet::empty();
    let mut bounds = Vec::new();
    for run in frames.runs() {
        bounds.resize((run.end - run.start) as usize + 1, 0_u64);
        match table {
            Some(table) => ffi::read_rows(table, &[run.start..run.end + 1], &mut bounds)?,
            None => return Err(Error::failure(format!("{} is missing", layout::OFFSETS))),
        }
        for (frame, pair) in run.clone().zip(bounds.windows(2)) {
            let before = rows.runs().last().map_or(0, |r| r.end);
            if pair[0] < before || pair[1] < pair[0] || pair[1] > total {
                return Err(Error::failure(format!(
                    "{}: {}: frame {frame} has atoms {}..{}, which is impossible: the file is damaged",
                    forces.filename(),
                    layout::OFFSETS,
                    pair[0],
                    pair[1]
                )));
            }
            let end = offsets.last().copied().unwrap_or(0) + (pair[1] - pair[0]) as usize;
            offsets.push(end);
            rows.append(pair[0]..pair[1]);
        }
    }
    Ok(rows)
}
