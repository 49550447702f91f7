//! A few frames on their way from the source through a worker to the sink, with their results.

use crate::domain::frame::FrameBlock;
use crate::planning::status::Status;

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
        self.energies.clear();
        self.forces.clear();
        self.stresses.clear();
        self.outcomes.clear();
        self.messages.clear();
    }

    /// Number of evaluated frames.
    pub fn evaluated(&self) -> usize {
        self.outcomes.len()
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> u64 {
        let block = &self.block;
        let per_frame = block.indices.capacity() * 16
            + block.offsets.capacity() * 8
            + block.cells.capacity() * size_of_val(&crate::domain::cell::Cell::OPEN)
            + self.energies.capacity() * 8
            + self.stresses.capacity() * 72
            + self.outcomes.capacity() * size_of::<Outcome>();
        let per_atom = block.species.capacity()
            + block.positions.capacity() * 24
            + self.forces.capacity() * 24;
        (per_frame + per_atom) as u64
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
