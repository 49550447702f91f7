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
//! 3. Atoms are sorted by species, then by linked cell. Candidates come as a [`Center`]: the atoms of one linked
//!    cell, and contiguous ranges of sorted atoms around them, each with its image.
//! 4. A sieve of rough distances (`sieve.rs`: single precision, sixteen candidates at once) leaves of these the
//!    pairs that may be within the cutoff, with their exact vectors, as [`Pairs`] of a few atoms, one array per
//!    component: what a vectorised inner loop wants. Potentials that rather want a list take a [`PairList`].
//!
//! Potentials that know no cells want full lists of atoms and images: a [`Cluster`], which lays images around the wrapped
//! atoms, both in linked cells (`halo.rs`), and takes from these what lies in a sphere around each (`sphere.rs`).
//!
//! All buffers are kept from frame to frame. Order of pairs, and so of every sum over them, depends on the
//! frame alone.

mod cluster;
mod grid;
mod halo;
mod lattice;
mod list;
mod rough;
mod search;
mod sieve;
mod sphere;
#[cfg(test)]
mod tests;
mod wrap;

use std::fmt;
use std::ops::Range;

pub use cluster::{Cluster, Reach};
pub use list::PairList;
pub use search::NeighborSearch;
use sieve::Neighborhood;
pub use sieve::{MOST_PAIRS, MOST_ROWS, Pairs, Progress, Row};

/// Width of the vectors that inner loops are written for: arrays of [`Pairs`] are filled up to a multiple of it.
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

/// Which image of the second atoms a range of candidates means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Image {
    /// The nearest one of each pair; no other is within the cutoff.
    Nearest,
    /// This one, for all pairs: `r_ij = r_j - r_i + shift`.
    Fixed {
        /// In units of the reduced cell.
        image: [i32; 3],
        /// `image @ vectors` in Å.
        shift: [f64; 3],
    },
}

/// A contiguous range of sorted atoms in one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidates {
    /// Sorted indices.
    pub second: Range<usize>,
    /// Their image.
    pub image: Image,
}

/// Candidate pairs: every sorted atom of `first` with every candidate.
///
/// Every pair within the cutoff is in exactly one center; most candidates are further apart.
#[derive(Clone, Debug)]
pub struct Center<'a> {
    /// Sorted indices of the first atoms.
    pub first: Range<usize>,
    /// Where the second atoms are.
    pub candidates: &'a [Candidates],
    /// The first candidates are the first atoms themselves: of these only those after an atom (`j > i`) count.
    pub triangular: bool,
    /// Species of first and second atoms, as positions in [`NeighborSearch::species`].
    pub species: (usize, usize),
    /// Copies of the candidates; `None` where they are one range, which is looked at in place.
    around: Option<&'a Neighborhood>,
}

/// Buffers for [`NeighborSearch::for_each_center`].
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    candidates: Vec<Candidates>,
    around: Neighborhood,
}
