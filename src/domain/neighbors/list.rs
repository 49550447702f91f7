//! The half list of pairs within the cutoff.

use super::{Image, NeighborError, NeighborSearch};

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
        let sorted = search.sorted();
        let cutoff2 = search.cutoff() * search.cutoff();
        let mut outcome = Ok(());
        search.for_each_block(|block| {
            if outcome.is_err() {
                return;
            }
            for i in block.first.clone() {
                let start = if block.triangular { i + 1 } else { block.second.start };
                for j in start..block.second.end {
                    let (vector, image) = pair(search, i, j, block.image);
                    if vector.iter().map(|x| x * x).sum::<f64>() >= cutoff2 {
                        continue;
                    }
                    let image = search.image_in_given_cells(i, j, image);
                    let [a, b, c] = image.map(i32::try_from);
                    let (Ok(a), Ok(b), Ok(c)) = (a, b, c) else {
                        outcome = Err(NeighborError(format!(
                            "atom {} is too many cells away from the cell",
                            sorted.order[j]
                        )));
                        return;
                    };
                    self.first.push(sorted.order[i]);
                    self.second.push(sorted.order[j]);
                    self.images.push([a, b, c]);
                    self.vectors.push(vector);
                }
                if self.first.len() > MAX_PAIRS {
                    outcome = Err(NeighborError(format!(
                        "a cutoff of {} Å gives more than {MAX_PAIRS} pairs of atoms: take a smaller one",
                        search.cutoff()
                    )));
                    return;
                }
            }
        });
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
    let sorted = search.sorted();
    let difference = |a: [&[f64]; 3]| [0, 1, 2].map(|d| a[d][j] - a[d][i]);
    let r = difference(sorted.cartesian);
    match image {
        Image::Fixed { image, shift } => ([0, 1, 2].map(|d| r[d] + shift[d]), image),
        Image::Nearest => {
            let t = difference(sorted.fractional).map(f64::round_ties_even);
            let v = search.vectors();
            let vector = [0, 1, 2].map(|d| r[d] - t[0] * v[0][d] - t[1] * v[1][d] - t[2] * v[2][d]);
            (vector, t.map(|x| -(x as i32)))
        }
    }
}
