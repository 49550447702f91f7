//! The half list of pairs within the cutoff.

use super::{Image, NeighborError, NeighborSearch, Scratch};
use crate::domain::cell::dot;

/// Pairs that a list may hold (about 6 GB); more is an error rather than the end of the memory.
const MAX_PAIRS: usize = 1 << 27;

/// Every pair within the cutoff once: `r_ij = r_j - r_i + S @ H`, one array per quantity.
#[derive(Clone, Debug, Default)]
pub struct PairList {
    /// Index of atom i in the frame.
    pub first: Vec<u32>,
    /// Index of atom j in the frame; may be smaller than i, or equal to it.
    pub second: Vec<u32>,
    /// `S` in units of the frame's own cell vectors.
    pub images: Vec<[i32; 3]>,
    /// `r_ij` in Å.
    pub vectors: Vec<[f64; 3]>,
    scratch: Scratch,
}

impl PairList {
    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.first.len()
    }

    /// True when no two atoms are within the cutoff.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// Fills the list from an updated search. Fails when there are too many pairs, or an image number does not
    /// fit 32 bits.
    pub fn fill(&mut self, search: &NeighborSearch) -> Result<(), NeighborError> {
        self.first.clear();
        self.second.clear();
        self.images.clear();
        self.vectors.clear();
        let order = search.order();
        let cutoff2 = search.cutoff() * search.cutoff();
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut outcome = Ok(());
        search.for_each_center(&mut scratch, |center| {
            for i in center.first.clone() {
                for (n, candidates) in center.candidates.iter().enumerate() {
                    if outcome.is_err() {
                        return;
                    }
                    let own = n == 0 && center.triangular;
                    let start = if own { i + 1 } else { candidates.second.start };
                    for j in start..candidates.second.end {
                        let (vector, image) = pair(search, i, j, candidates.image);
                        if vector.iter().map(|x| x * x).sum::<f64>() >= cutoff2 {
                            continue;
                        }
                        let image = search.image_in_given_cells(i, j, image);
                        let [a, b, c] = image.map(i32::try_from);
                        let (Ok(a), Ok(b), Ok(c)) = (a, b, c) else {
                            outcome = Err(NeighborError(format!(
                                "atom {} is too many cells away from the cell",
                                order[j]
                            )));
                            return;
                        };
                        self.first.push(order[i]);
                        self.second.push(order[j]);
                        self.images.push([a, b, c]);
                        self.vectors.push(vector);
                    }
                    if self.first.len() > MAX_PAIRS {
                        outcome = Err(NeighborError(format!(
                            "a cutoff of {} Å gives more than {MAX_PAIRS} pairs of atoms: take a smaller one",
                            search.cutoff()
                        )));
                    }
                }
            }
        });
        self.scratch = scratch;
        outcome
    }
}

/// `r_ij` (Å) of two sorted atoms and the image it means, in reduced cells.
pub(super) fn pair(
    search: &NeighborSearch,
    i: usize,
    j: usize,
    image: Image,
) -> ([f64; 3], [i32; 3]) {
    let places = search.places();
    let r = [0, 1, 2].map(|d| places[j][d] - places[i][d]);
    match image {
        Image::Fixed { image, shift } => ([0, 1, 2].map(|d| r[d] + shift[d]), image),
        Image::Nearest => {
            let lattice = search.lattice();
            let t = [0, 1, 2].map(|k| {
                if lattice.periodic[k] {
                    dot(lattice.reciprocal[k], r).round_ties_even()
                } else {
                    0.0
                }
            });
            let v = &lattice.vectors;
            let vector = [0, 1, 2].map(|d| r[d] - t[0] * v[0][d] - t[1] * v[1][d] - t[2] * v[2][d]);
            (vector, t.map(|x| -(x as i32)))
        }
    }
}
