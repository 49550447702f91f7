//! Frames, one by one and in blocks. A row of any array travels as a frame without atoms that has values.

use zerocopy::IntoBytes as _;

use super::cell::Cell;
use super::elements::symbol;

/// One frame, borrowed: what a calculator sees.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Atomic numbers, one per atom.
    pub species: &'a [u8],
    /// Positions in Å, one row per atom; atoms may lie outside the cell.
    pub positions: &'a [[f64; 3]],
    /// Cell vectors and periodic directions.
    pub cell: Cell,
}

impl Frame<'_> {
    /// Number of atoms.
    pub fn len(&self) -> usize {
        self.positions.len()
    }

    /// True for a frame without atoms.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// What makes this frame impossible to evaluate, or `None`: a NaN or infinite position, an impossible cell.
    pub fn defect(&self) -> Option<String> {
        self.defect_of_positions().or_else(|| self.cell.defect())
    }

    /// As [`defect`](Self::defect), for a cell that is known to have none.
    pub fn defect_of_positions(&self) -> Option<String> {
        if all_finite(self.positions.as_flattened()) {
            return None;
        }
        let atom = self.positions.iter().position(|r| !all_finite(r))?;
        let [x, y, z] = self.positions[atom];
        Some(format!(
            "the position of atom {atom} ({}) is not finite: [{x} {y} {z}]",
            symbol(self.species[atom])
        ))
    }
}

/// True when no number is NaN or infinite. Looks at all of them, without a branch for each.
pub fn all_finite(numbers: &[f64]) -> bool {
    numbers.iter().fold(true, |all, x| all & x.is_finite())
}

/// Frames read together, atoms of all of them concatenated. Reused from read to read: it grows to the
/// largest block and then allocates no more.
#[derive(Clone, Debug, Default)]
pub struct FrameBlock {
    /// Index of each frame in its trajectory, ascending.
    pub indices: Vec<u64>,
    /// Frame `i` owns atoms `offsets[i]..offsets[i + 1]`; one entry more than frames.
    pub offsets: Vec<usize>,
    /// Where each frame's atoms begin on the atom axis of the whole trajectory.
    pub first_atoms: Vec<u64>,
    /// Atomic numbers of all atoms.
    pub species: Vec<u8>,
    /// Positions of all atoms (Å).
    pub positions: Vec<[f64; 3]>,
    /// One cell per frame.
    pub cells: Vec<Cell>,
    /// Rows of an array, one per frame, end to end; empty where frames are frames.
    pub values: Vec<u64>,
    /// Bytes of each of these rows.
    pub value_bytes: usize,
}

impl FrameBlock {
    /// Forgets the frames, keeps the memory.
    pub fn clear(&mut self) {
        self.indices.clear();
        self.offsets.clear();
        self.offsets.push(0);
        self.first_atoms.clear();
        self.species.clear();
        self.positions.clear();
        self.cells.clear();
        self.values.clear();
    }

    /// Number of frames.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// True when there is no frame.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// Frame `i` of the block.
    pub fn frame(&self, i: usize) -> Frame<'_> {
        let atoms = self.offsets[i]..self.offsets[i + 1];
        Frame {
            species: &self.species[atoms.clone()],
            positions: &self.positions[atoms],
            cell: self.cells[i],
        }
    }

    /// Row `i` of the block, of an array.
    pub fn row(&self, i: usize) -> &[u8] {
        &self.values.as_bytes()[i * self.value_bytes..(i + 1) * self.value_bytes]
    }

    /// Makes room for the rows `indices` (ascending) of an array, `bytes` bytes each, and returns it for them.
    pub fn place_rows(&mut self, indices: impl Iterator<Item = u64>, bytes: usize) -> &mut [u8] {
        self.clear();
        self.indices.extend(indices);
        let rows = self.indices.len();
        self.offsets.resize(rows + 1, 0);
        self.first_atoms.resize(rows, 0);
        self.cells.resize(rows, Cell::OPEN);
        self.value_bytes = bytes;
        self.values.resize((rows * bytes).div_ceil(8), 0);
        &mut self.values.as_mut_bytes()[..rows * bytes]
    }

    /// Appends the frames of `other`, whose frame and atom 0 are `frame` and `atom` of this trajectory.
    pub fn append(&mut self, other: &Self, frame: u64, atom: u64) {
        let before = self.positions.len();
        self.indices.extend(other.indices.iter().map(|i| i + frame));
        self.offsets
            .extend(other.offsets.iter().skip(1).map(|o| o + before));
        self.first_atoms
            .extend(other.first_atoms.iter().map(|a| a + atom));
        self.species.extend_from_slice(&other.species);
        self.positions.extend_from_slice(&other.positions);
        self.cells.extend_from_slice(&other.cells);
    }

    /// Appends one frame that follows the last one on the atom axis.
    pub fn push(&mut self, index: u64, frame: Frame<'_>) {
        if self.offsets.is_empty() {
            self.offsets.push(0);
        }
        let first = self.first_atoms.last().map_or(0, |first| {
            let n = self.offsets.len();
            first + (self.offsets[n - 1] - self.offsets[n - 2]) as u64
        });
        self.first_atoms.push(first);
        self.indices.push(index);
        self.species.extend_from_slice(frame.species);
        self.positions.extend_from_slice(frame.positions);
        self.cells.push(frame.cell);
        self.offsets.push(self.positions.len());
    }
}
