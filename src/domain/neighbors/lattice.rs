//! The coordinate frame in which neighbours are searched: the shortest vectors of the lattice, completed by
//! axes orthogonal to them.

use crate::domain::cell::{Cell, dot, norm};
use crate::domain::neighbors::NeighborError;

/// A cell of the same lattice with the shortest possible vectors.
///
/// A skewed cell has lattice planes close together, so a sphere of given radius touches many of its images;
/// the reduced cell has the fewest. `vectors = transform @ given`, `det(transform) = ±1`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lattice {
    /// Rows: reduced cell vectors where periodic, unit vectors orthogonal to everything else where open (Å).
    pub vectors: [[f64; 3]; 3],
    /// Rows: `reciprocal[k] · vectors[l] = δ_kl`.
    pub reciprocal: [[f64; 3]; 3],
    /// Which directions repeat (as given).
    pub periodic: [bool; 3],
    /// Distance between lattice planes along each vector (Å); 1 where open.
    pub heights: [f64; 3],
    /// Reduced vectors in terms of the given ones.
    pub transform: [[i64; 3]; 3],
}

impl Lattice {
    /// Reduces `cell`. Fails with the cell's [`Cell::defect`].
    pub fn new(cell: &Cell) -> Result<Self, NeighborError> {
        if let Some(defect) = cell.defect() {
            return Err(NeighborError(defect));
        }
        let periodic = cell.periodic;
        // The axes of open directions do not matter here: no image lies along them.
        let mut vectors = cell.vectors;
        for k in 0..3 {
            if !periodic[k] {
                vectors[k] = [0.0; 3];
            }
        }
        let mut transform = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
        reduce(&mut vectors, &mut transform, periodic);
        let basis = Cell { vectors, periodic }.completed();
        let reciprocal = basis.reciprocal();
        Ok(Self {
            vectors: basis.vectors,
            reciprocal,
            periodic,
            heights: reciprocal.map(|g| 1.0 / norm(g)),
            transform,
        })
    }

    /// True when every axis is along x, y, z respectively.
    pub fn is_diagonal(&self) -> bool {
        (0..3).all(|k| (0..3).all(|l| k == l || self.vectors[k][l] == 0.0))
    }

    /// True when the axes are orthogonal to each other to rounding.
    pub fn is_orthogonal(&self) -> bool {
        [(0, 1), (0, 2), (1, 2)].into_iter().all(|(k, l)| {
            let (a, b) = (self.vectors[k], self.vectors[l]);
            dot(a, b).abs() <= 1e-12 * norm(a) * norm(b)
        })
    }

    /// `image @ vectors` in Å; open directions must have image 0.
    pub fn shift(&self, image: [i32; 3]) -> [f64; 3] {
        let s = image.map(f64::from);
        let v = &self.vectors;
        [0, 1, 2].map(|d| s[0] * v[0][d] + s[1] * v[1][d] + s[2] * v[2][d])
    }

    /// `image` of the reduced cell in terms of the given cell vectors.
    pub fn given_image(&self, image: [i64; 3]) -> [i64; 3] {
        let t = &self.transform;
        [0, 1, 2].map(|d| image[0] * t[0][d] + image[1] * t[1][d] + image[2] * t[2][d])
    }
}

/// Greedy Minkowski reduction of the periodic vectors: subtract from each vector the combination of the
/// others that makes it shorter, until none does. Optimal in three dimensions (I. Semaev,
/// Cryptography and Lattices, 2001).
fn reduce(v: &mut [[f64; 3]; 3], transform: &mut [[i64; 3]; 3], periodic: [bool; 3]) {
    let mut add = |v: &mut [[f64; 3]; 3], k: usize, l: usize, m: f64| {
        for d in 0..3 {
            v[k][d] += m * v[l][d];
            transform[k][d] = transform[k][d].wrapping_add(transform[l][d].wrapping_mul(m as i64));
        }
    };
    // A step must shorten noticeably, or rounding could make it go on for ever.
    let shorter = |new: f64, old: f64| new < old * (1.0 - 1e-10);
    for _ in 0..1000 {
        let mut changed = false;
        for k in (0..3).filter(|&k| periodic[k]) {
            for l in (0..3).filter(|&l| periodic[l] && l != k) {
                let m = (dot(v[k], v[l]) / dot(v[l], v[l])).round();
                let trial = [0, 1, 2].map(|d| v[k][d] - m * v[l][d]);
                if m != 0.0 && shorter(dot(trial, trial), dot(v[k], v[k])) {
                    add(v, k, l, -m);
                    changed = true;
                }
            }
        }
        if periodic == [true; 3] && !changed {
            'found: for k in 0..3 {
                let (i, j) = ((k + 1) % 3, (k + 2) % 3);
                for (p, q) in [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)] {
                    let trial = [0, 1, 2].map(|d| v[k][d] + p * v[i][d] + q * v[j][d]);
                    if shorter(dot(trial, trial), dot(v[k], v[k])) {
                        add(v, k, i, p);
                        add(v, k, j, q);
                        changed = true;
                        break 'found;
                    }
                }
            }
        }
        if !changed {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_cube_is_found() {
        // Rows are unimodular combinations of a cube of 4 Å.
        let cell = Cell::periodic([[4.0, 0.0, 0.0], [28.0, 4.0, 0.0], [-20.0, 36.0, 4.0]]);
        let lattice = Lattice::new(&cell).unwrap();
        for k in 0..3 {
            assert!((norm(lattice.vectors[k]) - 4.0).abs() < 1e-12);
            assert!((lattice.heights[k] - 4.0).abs() < 1e-12);
            let image = lattice.given_image([0, 1, 2].map(|l| i64::from(k == l)));
            let back = [0, 1, 2].map(|d| {
                (0..3)
                    .map(|l| image[l] as f64 * cell.vectors[l][d])
                    .sum::<f64>()
            });
            assert_eq!(
                back.map(f64::to_bits),
                lattice.vectors[k].map(|x| (x + 0.0).to_bits())
            );
        }
    }

    #[test]
    fn pairwise_shortest_is_not_enough() {
        // Three vectors near 120° in a plane, plus a little out of it: a + b + c is the short one.
        let (s, c) = (0.75_f64.sqrt(), -0.5);
        let v = [[1.0, 0.0, 0.1], [c, s, 0.1], [c, -s, 0.1]];
        let lattice = Lattice::new(&Cell::periodic(v)).unwrap();
        assert!(lattice.vectors.iter().any(|v| norm(*v) < 0.31));
    }

    #[test]
    fn open_directions_are_orthogonal_to_the_lattice_whatever_was_given() {
        let cell = Cell {
            vectors: [[4.0, 0.0, 0.0], [1.0, 5.0, 0.0], [3.0, 3.0, 9.0]],
            periodic: [true, true, false],
        };
        let lattice = Lattice::new(&cell).unwrap();
        assert!((lattice.heights[2] - 1.0).abs() < 1e-14);
        assert!((lattice.vectors[2][2].abs() - 1.0).abs() < 1e-14);
    }
}
