//! A few frames on their way from the source through a worker to the sink, with their results.

use crate::domain::cell::Cell;
use crate::domain::frame::FrameBlock;
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

/// Frames and their results. The buffers live as long as the run and go round: reader, worker, commit, reader.
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
        self.outcomes.clear();
        self.messages.clear();
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
        (per_frame + per_atom) as u64
    }

    /// Memory that the frames and the results to come take, without what is reserved beyond it, in bytes.
    pub fn bytes_needed(&self) -> u64 {
        (PER_FRAME * self.block.len() + PER_ATOM * self.block.positions.len()) as u64
    }

    /// Reserves what the results will take, so that [`bytes`](Self::bytes) tells it beforehand.
    pub fn reserve_results(&mut self) {
        self.clear_results();
        let (frames, atoms) = (self.block.len(), self.block.positions.len());
        self.energies.reserve_exact(frames);
        self.stresses.reserve_exact(frames);
        self.outcomes.reserve_exact(frames);
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
        self.energies.shrink_to_fit();
        self.forces.shrink_to_fit();
        self.stresses.shrink_to_fit();
        self.outcomes.shrink_to_fit();
    }

    /// Records a frame without results: NaN everywhere, and why.
    pub fn push_failure(&mut self, status: Status, seconds: f32, message: String) {
        let position = self.outcomes.len();
        let atoms = self.block.offsets[position]..self.block.offsets[position + 1];
        self.forces
            .resize(atoms.end.max(self.forces.len()), [f64::NAN; 3]);
        self.forces[atoms].fill([f64::NAN; 3]);
        self.energies.push(f64::NAN);
        self.stresses.push([[f64::NAN; 3]; 3]);
        self.outcomes.push(Outcome {
            status,
            checksum: 0,
            seconds,
        });
        self.messages.push((position, message));
    }
}
