//! The periodic cell.

use std::fmt::Write as _;

/// Three cell vectors as **rows** (Å) and the directions in which they repeat.
///
/// An image of an atom at `r` lies at `r + S @ vectors` with integer `S`, zero where `periodic` is false.
/// A frame without a cell has zero vectors and no periodic direction ([`Cell::OPEN`]).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// Rows are the cell vectors a, b, c in Å.
    pub vectors: [[f64; 3]; 3],
    /// Whether the frame repeats along a, b, c.
    pub periodic: [bool; 3],
}

impl Default for Cell {
    fn default() -> Self {
        Self::OPEN
    }
}

impl Cell {
    /// No cell: a molecule or cluster in vacuum.
    pub const OPEN: Cell = Cell {
        vectors: [[0.0; 3]; 3],
        periodic: [false; 3],
    };

    /// A cell that repeats in all three directions.
    pub fn periodic(vectors: [[f64; 3]; 3]) -> Self {
        Self {
            vectors,
            periodic: [true; 3],
        }
    }

    /// `a · (b × c)` in Å³: negative for a left-handed cell.
    pub fn signed_volume(&self) -> f64 {
        let [a, b, c] = self.vectors;
        dot(a, cross(b, c))
    }

    /// Volume in Å³.
    pub fn volume(&self) -> f64 {
        self.signed_volume().abs()
    }

    /// True when any direction repeats.
    pub fn is_periodic(&self) -> bool {
        self.periodic.iter().any(|&p| p)
    }

    /// What makes this cell unusable, or `None`.
    ///
    /// Periodic directions need finite, linearly independent vectors; open directions may be zero.
    pub fn defect(&self) -> Option<String> {
        if self.vectors.iter().flatten().any(|x| !x.is_finite()) {
            return Some(format!(
                "the cell has a NaN or infinite component ({})",
                self.in_words()
            ));
        }
        if !self.is_periodic() {
            return None;
        }
        let completed = self.completed();
        let lengths: f64 = completed.vectors.iter().map(|v| norm(*v)).product();
        if lengths == 0.0 || completed.volume() <= 1e-10 * lengths {
            return Some(format!("the cell has zero volume ({})", self.in_words()));
        }
        None
    }

    fn in_words(&self) -> String {
        let mut text = String::from("vectors");
        for v in self.vectors {
            let _ = write!(text, " [{} {} {}]", v[0], v[1], v[2]);
        }
        text
    }

    /// The same cell with zero vectors of open directions replaced by unit vectors orthogonal to the others,
    /// so that it can be inverted. Vectors that are given stay as they are.
    #[must_use]
    pub fn completed(&self) -> Self {
        let mut v = self.vectors;
        for k in 0..3 {
            if norm(v[k]) > 0.0 || self.periodic[k] {
                continue;
            }
            let (i, j) = ((k + 1) % 3, (k + 2) % 3);
            v[k] = match (norm(v[i]) > 0.0, norm(v[j]) > 0.0) {
                (true, true) => unit(cross(v[i], v[j])),
                (true, false) => orthogonal(v[i]),
                (false, true) => orthogonal(v[j]),
                (false, false) => [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]][k],
            };
        }
        Self {
            vectors: v,
            periodic: self.periodic,
        }
    }

    /// Rows of the reciprocal cell without the factor 2π: `reciprocal[k] · vectors[l] = δ_kl`.
    ///
    /// Fractional coordinates are `s_k = reciprocal[k] · r`; the distance between lattice planes along `k`
    /// is `1 / |reciprocal[k]|`. Call on a [`completed`](Self::completed) cell without [`defect`](Self::defect).
    pub fn reciprocal(&self) -> [[f64; 3]; 3] {
        let [a, b, c] = self.vectors;
        let inverse = 1.0 / self.signed_volume();
        [cross(b, c), cross(c, a), cross(a, b)].map(|v| v.map(|x| x * inverse))
    }
}

/// Scalar product.
pub fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// Vector product.
pub fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]
}

/// Euclidean length.
pub fn norm(a: [f64; 3]) -> f64 {
    dot(a, a).sqrt()
}

fn unit(a: [f64; 3]) -> [f64; 3] {
    let length = norm(a);
    if length == 0.0 {
        return a;
    }
    a.map(|x| x / length)
}

/// A unit vector orthogonal to `a`.
fn orthogonal(a: [f64; 3]) -> [f64; 3] {
    let smallest = (0..3)
        .min_by(|&i, &j| a[i].abs().total_cmp(&a[j].abs()))
        .unwrap_or(0);
    let mut axis = [0.0; 3];
    axis[smallest] = 1.0;
    unit(cross(a, axis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reciprocal_is_the_inverse_for_a_left_handed_triclinic_cell() {
        let cell = Cell::periodic([[0.3, 4.0, 0.1], [5.0, 0.2, 0.0], [1.0, -1.0, 6.0]]);
        assert!(cell.signed_volume() < 0.0);
        let reciprocal = cell.reciprocal();
        for k in 0..3 {
            for l in 0..3 {
                let expected = f64::from(u8::from(k == l));
                assert!((dot(reciprocal[k], cell.vectors[l]) - expected).abs() < 1e-14);
            }
        }
    }

    #[test]
    fn a_flat_periodic_cell_is_a_defect_and_an_open_one_is_not() {
        let flat = Cell::periodic([[1.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 3.0]]);
        assert!(flat.defect().unwrap().contains("zero volume"));
        assert_eq!(Cell::OPEN.defect(), None);
        let slab = Cell {
            vectors: [[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0; 3]],
            periodic: [true, true, false],
        };
        assert_eq!(slab.defect(), None);
        let bad = Cell::periodic([[f64::NAN, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]);
        assert!(bad.defect().unwrap().contains("NaN"));
    }
}
