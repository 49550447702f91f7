//! Neighbours within a cutoff: linked cells for any cell, any combination of periodic directions, any cutoff.
//!
//! # Convention
//!
//! ```text
//! r_ij = r_j - r_i + S @ H
//! ```
//!
//! with `H` the rows of [`Cell::vectors`](crate::domain::cell::Cell::vectors) and `S` three whole numbers,
//! zero in open directions. A pair `(i, j, S)` is in when `|r_ij| < cutoff` (strictly), and `(j, i, -S)` is
//! the same pair: a *half list* holds one of the two. An atom and its own image (`i = j`, `S ≠ 0`) is a pair;
//! a cell smaller than the cutoff has as many images as it takes.
//!
//! # How
//!
//! 1. The cell is replaced by the shortest vectors of the same lattice (`lattice.rs`), and atoms are wrapped
//!    into it. Skewed, non-reduced and left-handed cells end here.
//! 2. Few atoms in a cell at least two cutoffs thick: all pairs, nearest image only. Otherwise linked cells
//!    (`grid.rs`) of at most about the cutoff, so that the cost is linear in the atoms.
//! 3. Atoms are sorted by species, then by linked cell. Candidates come as [`Block`]s: two contiguous ranges of
//!    sorted atoms, one image, one pair of species: what a vectorised inner loop wants. Potentials that
//!    rather want a list take a [`PairList`].
//!
//! All buffers are kept from frame to frame. Order of blocks, and so of every sum over them, depends on the
//! frame alone.

mod grid;
mod lattice;
mod list;
mod search;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;

pub use list::PairList;
pub use search::NeighborSearch;

/// Number of elements by which sorted coordinates may be read past their end: see [`NeighborSearch::sorted`].
pub const LANES: usize = 8;

/// Images of the cell that the cutoff may reach; more is a mistake of units rather than a wish.
pub const MAX_IMAGES: f64 = 1e6;

/// Why no neighbours can be found; one line, without the frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeighborError(pub String);

impl fmt::Display for NeighborError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which image of the second atom a block of candidates means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Image {
    /// The nearest one of each pair; no other is within the cutoff. With `t = round(s_j - s_i)` of the
    /// fractional coordinates, `r_ij = r_j - r_i - t @ vectors` of [`NeighborSearch::vectors`].
    Nearest,
    /// This one, for all pairs: `r_ij = r_j - r_i + shift`.
    Fixed {
        /// In units of the reduced cell.
        image: [i32; 3],
        /// `image @ vectors` in Å.
        shift: [f64; 3],
    },
}

/// Candidate pairs: every sorted atom of `first` with every one of `second`.
///
/// Every pair within the cutoff is in exactly one block; most candidates are further apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Sorted indices of the first atoms.
    pub first: Range<usize>,
    /// Sorted indices of the second atoms.
    pub second: Range<usize>,
    /// Only second atoms after the first one (`j > i`) count.
    pub triangular: bool,
    /// Image of the second atoms.
    pub image: Image,
    /// Species of both ranges, as positions in [`NeighborSearch::species`].
    pub species: (usize, usize),
}

/// Sorted, wrapped coordinates, one array per component. Each is [`LANES`] longer than there are atoms.
#[derive(Clone, Copy, Debug)]
pub struct Sorted<'a> {
    /// Cartesian (Å); beyond the last atom so far away that no cutoff reaches it.
    pub cartesian: [&'a [f64]; 3],
    /// Fractional in the reduced cell, within 0..=1; zero in open directions and beyond the last atom.
    pub fractional: [&'a [f64]; 3],
    /// Index in the frame of each sorted atom.
    pub order: &'a [u32],
}
