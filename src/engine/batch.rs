//! A few frames, or rows of an array, on their way from the source through a worker to the sink, with their results.

use std::sync::Arc;

use crate::domain::cell::Cell;
use crate::domain::frame::FrameBlock;
use crate::domain::kernel::Layout;
use crate::planning::status::Status;

/// Bytes of one frame and its results: index, first atom, offset, cell; energy, stress, outcome.
const PER_FRAME: usize = 24 + size_of::<Cell>() + 80 + size_of::<Outcome>();
/// Bytes of one atom: species, position, force.
const PER_ATOM: usize = 49;
/// Not worth giving back.
const TRIM_BYTES: u64 = 64 << 10;

/// What became of one frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Its state.
    pub status: Status,
    /// Checksum of its results, 0 when it has none.
    pub checksum: u64,
    /// Wall time of its evaluation.
    pub seconds: f32,
}

/// Frames, or rows, and their results. The buffers live as long as the run and go round: reader, worker, commit, reader.
#[derive(Debug, Default)]
pub struct Batch {
    /// Tells this batch from every other of the rank.
    pub number: u64,
    /// The frames.
    pub block: FrameBlock,
    /// Energies (eV), one per evaluated frame.
    pub energies: Vec<f64>,
    /// Forces (eV/Å), atoms as in `block`; rows beyond the evaluated frames mean nothing.
    pub forces: Vec<[f64; 3]>,
    /// Stresses (eV/Å³), one per evaluated frame.
    pub stresses: Vec<[[f64; 3]; 3]>,
    /// How the results of a row of an array lie in `packed`; `None` where frames are frames.
    pub layout: Option<Arc<Layout>>,
    /// Results of rows of an array, one evaluated row after the other.
    pub packed: Vec<u64>,
    /// Outcomes, one per evaluated frame: the batch was abandoned when there are fewer than frames.
    pub outcomes: Vec<Outcome>,
    /// Why frames have no results: position in the batch and one line.
    pub messages: Vec<(usize, String)>,
}

impl Batch {
    /// Forgets results, keeps frames and memory.
    pub fn clear_results(&mut self) {
        self.clear_all_but_forces();
        self.forces.clear();
    }

    /// Forgets results and makes room for those of all frames. The forces that were there stay: they mean nothing until
    /// their frame is evaluated, and to write zeros over all of them here would take as long as a cheap calculator.
    pub fn begin_results(&mut self) {
        self.clear_all_but_forces();
        self.forces.resize(self.block.positions.len(), [0.0; 3]);
    }

    fn clear_all_but_forces(&mut self) {
        self.energies.clear();
        self.stresses.clear();
        self.packed.clear();
        self.outcomes.clear();
        self.messages.clear();
    }

    /// Words that the results of one row of an array take.
    pub fn row_words(&self) -> usize {
        self.layout.as_ref().map_or(0, |layout| layout.words())
    }

    /// The packed results of evaluated row `i`.
    pub fn packed_row(&self, i: usize) -> &[u64] {
        let words = self.row_words();
        &self.packed[i * words..(i + 1) * words]
    }

    /// Bytes of the results of evaluated frame `i`, with their checksum and time.
    pub fn result_bytes(&self, i: usize) -> u64 {
        let atoms = self.block.offsets[i + 1] - self.block.offsets[i];
        (100 + 24 * atoms + 8 * self.row_words()) as u64
    }

    /// Number of evaluated frames.
    pub fn evaluated(&self) -> usize {
        self.outcomes.len()
    }

    /// Memory held, in bytes, used or not.
    pub fn bytes(&self) -> u64 {
        let block = &self.block;
        let per_frame = block.indices.capacity() * 8
            + block.first_atoms.capacity() * 8
            + block.offsets.capacity() * 8
            + block.cells.capacity() * size_of::<Cell>()
            + self.energies.capacity() * 8
            + self.stresses.capacity() * 72
            + self.outcomes.capacity() * size_of::<Outcome>();
        let per_atom = block.species.capacity()
            + block.positions.capacity() * 24
            + self.forces.capacity() * 24;
        let per_row = (block.values.capacity() + self.packed.capacity()) * 8;
        (per_frame + per_atom + per_row) as u64
    }

    /// Memory that the frames and the results to come take, without what is reserved beyond it, in bytes.
    pub fn bytes_needed(&self) -> u64 {
        let (frames, block) = (self.block.len(), &self.block);
        let words = block.values.len() + frames * self.row_words();
        (PER_FRAME * frames + PER_ATOM * block.positions.len() + 8 * words) as u64
    }

    /// Reserves what the results will take, so that [`bytes`](Self::bytes) tells it beforehand.
    pub fn reserve_results(&mut self) {
        self.clear_results();
        let (frames, atoms) = (self.block.len(), self.block.positions.len());
        self.outcomes.reserve_exact(frames);
        if self.layout.is_some() {
            return self.packed.reserve_exact(frames * self.row_words());
        }
        self.energies.reserve_exact(frames);
        self.stresses.reserve_exact(frames);
        self.forces.reserve_exact(atoms);
    }

    /// Gives memory back when less than half of it is used: a batch of a few frames must not hold that of many.
    pub fn trim(&mut self) {
        if self.bytes() <= 2 * self.bytes_needed() + TRIM_BYTES {
            return;
        }
        let block = &mut self.block;
        block.indices.shrink_to_fit();
        block.offsets.shrink_to_fit();
        block.first_atoms.shrink_to_fit();
        block.species.shrink_to_fit();
        block.positions.shrink_to_fit();
        block.cells.shrink_to_fit();
        block.values.shrink_to_fit();
        self.packed.shrink_to_fit();
        self.energies.shrink_to_fit();
        self.forces.shrink_to_fit();
        self.stresses.shrink_to_fit();
        self.outcomes.shrink_to_fit();
    }

    /// Records a frame without results: NaN everywhere, and why.
    pub fn push_failure(&mut self, status: Status, seconds: f32, message: String) {
        let position = self.outcomes.len();
        self.outcomes.push(Outcome {
            status,
            checksum: 0,
            seconds,
        });
        self.messages.push((position, message));
        if let Some(layout) = &self.layout {
            let start = self.packed.len();
            self.packed.resize(start + layout.words(), 0);
            return layout.blank(&mut self.packed[start..]);
        }
        let atoms = self.block.offsets[position]..self.block.offsets[position + 1];
        self.forces
            .resize(atoms.end.max(self.forces.len()), [f64::NAN; 3]);
        self.forces[atoms].fill([f64::NAN; 3]);
        self.energies.push(f64::NAN);
        self.stresses.push([[f64::NAN; 3]; 3]);
    }
}
