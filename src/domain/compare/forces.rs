//! Forces: components, vectors, angles, for all atoms and element by element.

use super::density::Density;
use super::offsets::Composition;
use super::outliers::{Outlier, Outliers, formula};
use super::statistics::{Errors, Place, Sum};
use super::{RESIDUAL, SIDE};
use crate::domain::cell::{cross, dot, norm};

/// Forces smaller than this (eV/Å) have no direction worth comparing.
pub const DIRECTED: f64 = 1e-3;

/// Angles between vectors.
#[derive(Clone, Copy, Debug, Default)]
pub struct Angles {
    /// Pairs of vectors that have an angle.
    pub n: u64,
    sum: Sum,
    /// The largest (degrees).
    pub max: f64,
    /// Where it is.
    pub worst: Place,
}

impl Angles {
    fn add(&mut self, a: [f64; 3], b: [f64; 3], place: Place) {
        if norm(a) < DIRECTED || norm(b) < DIRECTED {
            return;
        }
        let angle = norm(cross(a, b)).atan2(dot(a, b)).to_degrees();
        if self.n == 0 || angle > self.max {
            (self.max, self.worst) = (angle, place);
        }
        self.n += 1;
        self.sum.add(angle);
    }

    /// The mean (degrees); none without angles.
    pub fn mean(&self) -> Option<f64> {
        (self.n > 0).then(|| self.sum.value() / self.n as f64)
    }
}

/// Errors of some atoms' forces (eV/Å).
#[derive(Clone, Debug, Default)]
pub struct OfAtoms {
    /// Component by component.
    pub components: Errors,
    /// Lengths of the differences, against the lengths of B's forces.
    pub vectors: Errors,
    /// Between the forces of A and B.
    pub angles: Angles,
}

impl OfAtoms {
    fn add(&mut self, a: [f64; 3], b: [f64; 3], distance: f64, place: Place) {
        for k in 0..3 {
            self.components.add(a[k], b[k], place);
        }
        self.vectors.add_error(distance, norm(b), place);
        self.angles.add(a, b, place);
    }
}

/// Forces of all frames.
#[derive(Clone, Debug)]
pub struct Forces {
    /// Of all atoms.
    pub all: OfAtoms,
    by_element: Vec<Option<Box<OfAtoms>>>,
    /// (B, A), eV/Å, component by component.
    pub parity: Density,
    /// (B, A - B), eV/Å, component by component.
    pub residual: Density,
    /// By the largest error of an atom's force; `value` is the RMSE of the frame's components.
    pub outliers: Outliers,
}

impl Forces {
    /// Keeps so many outliers.
    pub fn new(outliers: usize) -> Self {
        Self {
            all: OfAtoms::default(),
            by_element: vec![None; 256],
            parity: Density::new(SIDE, true),
            residual: Density::new(RESIDUAL, false),
            outliers: Outliers::new(outliers),
        }
    }

    /// Takes a frame with finite forces into account.
    pub fn add(
        &mut self,
        frame: u64,
        species: &[u8],
        composition: &Composition,
        [a, b]: [&[[f64; 3]]; 2],
    ) {
        let (mut largest, mut at, mut squares) = (0.0, 0, Sum::default());
        for (k, ((a, b), z)) in a.iter().zip(b).zip(species).enumerate() {
            let (a, b) = (*a, *b);
            let place = Place {
                frame,
                atom: Some(k as u32),
            };
            let difference = [0, 1, 2].map(|i| a[i] - b[i]);
            let distance = norm(difference);
            self.all.add(a, b, distance, place);
            self.by_element[usize::from(*z)]
                .get_or_insert_default()
                .add(a, b, distance, place);
            for i in 0..3 {
                self.parity.add([b[i], a[i]]);
                self.residual.add([b[i], difference[i]]);
            }
            squares.add(dot(difference, difference));
            if distance > largest {
                (largest, at) = (distance, k);
            }
        }
        if self.outliers.wants(largest) && !a.is_empty() {
            self.outliers.add(Outlier {
                frame,
                size: largest,
                value: (squares.value() / (3 * a.len()) as f64).sqrt(),
                atom: Some((at as u32, species[at])),
                formula: formula(composition),
            });
        }
    }

    /// Elements that occur, ascending.
    pub fn elements(&self) -> impl Iterator<Item = (u8, &OfAtoms)> {
        let all = self.by_element.iter().enumerate();
        all.filter_map(|(z, found)| found.as_deref().map(|found| (z as u8, found)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_make_up_the_whole_and_angles_need_forces() {
        let mut forces = Forces::new(1);
        let a = [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 2.0, 0.0]];
        let b = [[0.0, 1.0, 0.0], [0.0, 3.0, 0.0], [0.0, 2.0, 0.0]];
        forces.add(4, &[1, 8, 1], &[(1, 2), (8, 1)], [&a, &b]);
        let all = forces.all.components.figures().unwrap();
        assert_eq!((all.n, all.max), (9, 3.0));
        assert_eq!((all.worst.frame, all.worst.atom), (4, Some(1)));
        let elements: Vec<_> = forces
            .elements()
            .map(|(z, f)| (z, f.vectors.n(), f.angles.mean()))
            .collect();
        assert_eq!(elements, [(1, 2, Some(45.0)), (8, 1, None)]);
        let worst = &forces.outliers.list()[0];
        assert_eq!(
            (worst.frame, worst.size, worst.atom),
            (4, 3.0, Some((1, 8)))
        );
        assert_eq!(worst.formula, "H2O");
        assert!((worst.value - (11.0_f64 / 9.0).sqrt()).abs() < 1e-15);
    }
}
