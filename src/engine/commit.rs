//! The rows of a commit: the results of many batches in the order of the file.

use std::ops::Range;

use crate::planning::frame_set::FrameSet;
use crate::planning::status::{Status, StatusCounts};

use super::batch::Batch;

/// Results of some frames, ascending, ready to be written. Reused from commit to commit.
#[derive(Debug, Default)]
pub struct Rows {
    /// The frames.
    pub frames: FrameSet,
    /// The same frames as runs on the atom axis of the whole trajectory.
    pub atoms: FrameSet,
    /// Energies (eV).
    pub energies: Vec<f64>,
    /// Forces (eV/Å) of all atoms of the frames.
    pub forces: Vec<[f64; 3]>,
    /// Stresses (eV/Å³).
    pub stresses: Vec<[[f64; 3]; 3]>,
    /// Results of rows of an array, packed row after row, see [`Layout`](crate::domain::kernel::Layout); nothing but these
    /// where a kernel computes, and none where a calculator does.
    pub packed: Vec<u64>,
    /// Checksums of completed frames, 0 for the others.
    pub checksums: Vec<u64>,
    /// Wall time of each evaluation.
    pub seconds: Vec<f32>,
    /// States.
    pub statuses: Vec<Status>,
    /// One line for each frame that failed, empty for the others; empty as a whole when none failed.
    pub messages: Vec<String>,
}

impl Rows {
    /// Forgets the rows, keeps the memory.
    pub fn clear(&mut self) {
        self.frames = FrameSet::empty();
        self.atoms = FrameSet::empty();
        self.energies.clear();
        self.forces.clear();
        self.stresses.clear();
        self.packed.clear();
        self.checksums.clear();
        self.seconds.clear();
        self.statuses.clear();
        self.messages.clear();
    }

    /// Frames by state.
    pub fn counts(&self) -> StatusCounts {
        let mut counts = StatusCounts::default();
        for status in &self.statuses {
            counts.add(*status, 1);
        }
        counts
    }
}

/// Evaluated batches that wait for the next commit.
#[derive(Debug, Default)]
pub struct Ready {
    batches: Vec<Batch>,
    bytes: u64,
    order: Vec<(u64, u32, u32)>,
    cuts: Vec<Range<usize>>,
}

impl Ready {
    /// Adds a batch; frames it did not get to are left out.
    pub fn add(&mut self, batch: Batch) {
        self.bytes += batch.bytes();
        self.batches.push(batch);
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.batches.iter().all(|b| b.evaluated() == 0)
    }

    /// Whether any frame that waits has a message.
    pub fn has_messages(&self) -> bool {
        self.batches.iter().any(|b| !b.messages.is_empty())
    }

    /// How many frames that wait have failed or not converged.
    pub fn failures(&self) -> u64 {
        self.batches.iter().map(|b| b.messages.len() as u64).sum()
    }

    /// Sorts what waits into the order of the file and cuts it into slabs of at most `limit` bytes of results
    /// (one frame at least). Returns the number of slabs.
    pub fn cut(&mut self, limit: u64) -> u64 {
        self.order.clear();
        for (b, batch) in self.batches.iter().enumerate() {
            let indices = batch.block.indices.iter().take(batch.evaluated());
            self.order.extend(
                indices
                    .enumerate()
                    .map(|(i, frame)| (*frame, b as u32, i as u32)),
            );
        }
        self.order.sort_unstable();
        self.cuts.clear();
        let (mut start, mut bytes) = (0, 0);
        for (k, (_, b, i)) in self.order.iter().enumerate() {
            let frame_bytes = self.batches[*b as usize].result_bytes(*i as usize);
            if k > start && bytes + frame_bytes > limit {
                self.cuts.push(start..k);
                (start, bytes) = (k, 0);
            }
            bytes += frame_bytes;
        }
        if start < self.order.len() {
            self.cuts.push(start..self.order.len());
        }
        self.cuts.len() as u64
    }

    /// The first frame that waits and the one after the last, once it is [`cut`](Self::cut).
    pub fn hull(&self) -> Option<(u64, u64)> {
        Some((self.order.first()?.0, self.order.last()?.0 + 1))
    }

    /// Copies the results of slab `k` into `rows`; beyond the last slab, `rows` is empty.
    pub fn fill_results(&self, k: usize, rows: &mut Rows) {
        rows.clear();
        for (frame, b, i) in &self.order[self.cuts.get(k).cloned().unwrap_or(0..0)] {
            let (batch, i) = (&self.batches[*b as usize], *i as usize);
            let atoms = batch.block.offsets[i]..batch.block.offsets[i + 1];
            let first = batch.block.first_atoms[i];
            rows.frames.append(*frame..frame + 1);
            if batch.layout.is_some() {
                rows.packed.extend_from_slice(batch.packed_row(i));
            } else {
                rows.atoms.append(first..first + atoms.len() as u64);
                rows.energies.push(batch.energies[i]);
                rows.forces.extend_from_slice(&batch.forces[atoms]);
                rows.stresses.push(batch.stresses[i]);
            }
            rows.checksums.push(batch.outcomes[i].checksum);
            rows.seconds.push(batch.outcomes[i].seconds);
        }
    }

    /// Copies the states and messages of everything that waits into `rows`.
    pub fn fill_status(&self, rows: &mut Rows) {
        rows.clear();
        let messages = self.has_messages();
        for (frame, b, i) in &self.order {
            let (batch, i) = (&self.batches[*b as usize], *i as usize);
            rows.frames.append(*frame..frame + 1);
            rows.statuses.push(batch.outcomes[i].status);
            if messages {
                let message = batch.messages.binary_search_by_key(&i, |(at, _)| *at);
                rows.messages
                    .push(message.map_or_else(|_| String::new(), |m| batch.messages[m].1.clone()));
            }
        }
    }

    /// Hands the batches back for reuse.
    pub fn drain(&mut self) -> impl Iterator<Item = Batch> + '_ {
        self.bytes = 0;
        self.order.clear();
        self.cuts.clear();
        self.batches.drain(..)
    }
}
