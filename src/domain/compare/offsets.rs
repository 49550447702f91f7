//! Constants by which two levels of theory differ for every atom of an element: `ΔE ≈ Σ_z n_z c_z`, least squares.
//!
//! Total energies of different levels of theory have zeros of their own, which say nothing about their quality. The
//! constants c (eV) are those of smallest norm where the frames do not determine all of them, as
//! `numpy.linalg.lstsq` finds them.

use nalgebra::{DMatrix, DVector};

use super::statistics::Sum;

/// Elements of a frame and how many atoms of each, ascending.
pub type Composition = [(u8, u32)];

/// Eigenvalues below this share of the largest one are zero: numbers of atoms are whole.
const ZERO: f64 = 1e-12;
const NUMBERS: usize = 256;

/// The normal equations, frame by frame.
#[derive(Clone, Debug)]
pub struct Fit {
    /// `Σ n_y n_z`, exact as long as it is below 2^53.
    gram: Vec<f64>,
    right: Vec<Sum>,
    present: [bool; NUMBERS],
}

impl Default for Fit {
    fn default() -> Self {
        Self {
            gram: vec![0.0; NUMBERS * NUMBERS],
            right: vec![Sum::default(); NUMBERS],
            present: [false; NUMBERS],
        }
    }
}

/// The constants.
#[derive(Clone, Debug, PartialEq)]
pub struct Offsets {
    /// Elements that occur, ascending, and their constants (eV).
    pub per_element: Vec<(u8, f64)>,
    /// How many combinations of them the frames determine.
    pub rank: usize,
    constants: Vec<f64>,
}

impl Offsets {
    /// No constants.
    pub fn none() -> Self {
        Self {
            per_element: Vec::new(),
            rank: 0,
            constants: vec![0.0; NUMBERS],
        }
    }

    /// What they make up for a frame (eV).
    pub fn of(&self, composition: &Composition) -> f64 {
        let parts = composition.iter();
        parts
            .map(|(z, n)| f64::from(*n) * self.constants[usize::from(*z)])
            .sum()
    }
}

impl Fit {
    /// Takes a frame into account, with the difference of its total energies (eV).
    pub fn add(&mut self, composition: &Composition, difference: f64) {
        for (y, m) in composition {
            let y = usize::from(*y);
            self.present[y] = true;
            for (z, n) in composition {
                self.gram[y * NUMBERS + usize::from(*z)] += f64::from(*m) * f64::from(*n);
            }
        }
        self.push(composition, difference);
    }

    /// Begins with residuals in place of differences.
    pub fn forget_differences(&mut self) {
        self.right.fill(Sum::default());
    }

    /// Takes a frame that was added before into account again, with what `offsets` leave of its difference.
    pub fn push(&mut self, composition: &Composition, residual: f64) {
        for (z, n) in composition {
            self.right[usize::from(*z)].add(f64::from(*n) * residual);
        }
    }

    /// The constants, added to those that left the residuals behind.
    #[must_use]
    pub fn solve(&self, before: &Offsets) -> Offsets {
        let elements: Vec<usize> = (0..NUMBERS).filter(|z| self.present[*z]).collect();
        let m = elements.len();
        if m == 0 {
            return Offsets::none();
        }
        let gram = DMatrix::from_fn(m, m, |i, j| self.gram[elements[i] * NUMBERS + elements[j]]);
        let right = DVector::from_fn(m, |i, _| self.right[elements[i]].value());
        let eigen = gram.symmetric_eigen();
        let largest = eigen.eigenvalues.max();
        let mut solution = DVector::zeros(m);
        let mut rank = 0;
        for (value, vector) in eigen
            .eigenvalues
            .iter()
            .zip(eigen.eigenvectors.column_iter())
        {
            if *value > ZERO * largest {
                rank += 1;
                solution += vector * (vector.dot(&right) / value);
            }
        }
        let mut offsets = Offsets {
            rank,
            ..Offsets::none()
        };
        for (z, c) in elements.into_iter().zip(solution.iter()) {
            offsets.constants[z] = before.constants[z] + c;
            offsets.per_element.push((z as u8, offsets.constants[z]));
        }
        offsets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(frames: &[(&Composition, f64)]) -> Offsets {
        let mut fit = Fit::default();
        for (composition, difference) in frames {
            fit.add(composition, *difference);
        }
        fit.solve(&Offsets::none())
    }

    #[test]
    fn constants_are_found_where_frames_determine_them() {
        let frames: [(&Composition, f64); 3] = [
            (&[(1, 2), (8, 1)], 2.0 * 0.25 - 3.0),
            (&[(1, 1), (8, 1)], 0.25 - 3.0),
            (&[(1, 2)], 0.5),
        ];
        let found = fitted(&frames);
        assert_eq!(found.rank, 2);
        for ((z, c), (expected_z, expected)) in found.per_element.iter().zip([(1, 0.25), (8, -3.0)])
        {
            assert_eq!(*z, expected_z);
            assert!((c - expected).abs() < 1e-14, "{c}");
        }
        assert!((found.of(&[(8, 4)]) + 12.0).abs() < 1e-13);
    }

    #[test]
    fn one_composition_determines_one_combination() {
        let water: &Composition = &[(1, 2), (8, 1)];
        let found = fitted(&[(water, 5.0), (water, 7.0)]);
        assert_eq!(found.rank, 1);
        // Smallest norm: proportional to the numbers of atoms.
        assert!((found.per_element[0].1 - 2.4).abs() < 1e-14);
        assert!((found.of(water) - 6.0).abs() < 1e-14);
        assert_eq!(fitted(&[]).rank, 0);
    }
}
