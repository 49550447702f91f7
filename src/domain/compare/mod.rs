//! What two levels of theory, or a result and its reference, say about the same frames: errors of A against B.
//!
//! Frames come one by one and are forgotten; memory does not grow with them. An error is A - B. Nothing here depends on
//! how frames are read, and the same frames in the same order give the same numbers to the last bit.

pub mod density;
pub mod energies;
pub mod forces;
pub mod geometry;
pub mod magnitudes;
pub mod offsets;
pub mod outliers;
pub mod statistics;

use density::Density;
use energies::{Energies, Record};
use forces::Forces;
use statistics::{Errors, Place};

use super::frame::Frame;
use super::label::Label;

/// Cells along each side of a parity plot.
const SIDE: u16 = 256;
/// Cells along each side of a plot of errors.
const RESIDUAL: u16 = 192;

/// Stresses: the components xx, yy, zz, yz, xz, xy (eV/Å³).
#[derive(Clone, Debug)]
pub struct Stresses {
    /// Component by component.
    pub components: Errors,
    /// (B, A), component by component.
    pub parity: Density,
    /// (B, A - B), component by component.
    pub residual: Density,
    /// Frames that have one on both sides.
    pub frames: u64,
}

impl Stresses {
    fn new() -> Self {
        Self {
            components: Errors::default(),
            parity: Density::new(SIDE, true),
            residual: Density::new(RESIDUAL, false),
            frames: 0,
        }
    }

    fn add(&mut self, frame: u64, a: &[[f64; 3]; 3], b: &[[f64; 3]; 3]) {
        self.frames += 1;
        for (i, j) in [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)] {
            let (a, b) = (a[i][j], b[i][j]);
            self.components.add(a, b, Place { frame, atom: None });
            self.parity.add([b, a]);
            self.residual.add([b, a - b]);
        }
    }
}

/// Errors of everything, frame by frame.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Energies as they are.
    pub energies: Energies,
    /// Forces.
    pub forces: Forces,
    /// Stresses.
    pub stresses: Stresses,
    /// Frames that were compared.
    pub frames: u64,
    /// Atoms in them.
    pub atoms: u64,
    /// Of these, frames without forces on one side or on both.
    pub without_forces: u64,
    /// Frames left out because something in them is not a number, on either side; the first few.
    pub not_finite: (u64, Vec<u64>),
    /// Frames left out because they have no atom.
    pub empty: u64,
    record: Record,
    counts: Vec<u32>,
}

/// Indices of frames that are kept to be named.
const NAMED: usize = 10;

impl Comparison {
    /// Nothing compared yet; keeps so many outliers.
    pub fn new(outliers: usize) -> Self {
        Self {
            energies: Energies::default(),
            forces: Forces::new(outliers),
            stresses: Stresses::new(),
            frames: 0,
            atoms: 0,
            without_forces: 0,
            not_finite: (0, Vec::new()),
            empty: 0,
            record: Record::default(),
            counts: vec![0; 256],
        }
    }

    /// Takes a frame into account. Returns what is to be looked at once more when all frames are known; nothing where the
    /// frame is left out.
    pub fn add(
        &mut self,
        index: u64,
        frame: &Frame<'_>,
        [a, b]: [&Label<'_>; 2],
    ) -> Option<&Record> {
        if frame.is_empty() {
            self.empty += 1;
            return None;
        }
        if !(a.is_finite() && b.is_finite()) {
            self.not_finite.0 += 1;
            if self.not_finite.1.len() < NAMED {
                self.not_finite.1.push(index);
            }
            return None;
        }
        self.frames += 1;
        self.atoms += frame.len() as u64;
        self.compose(index, frame, [a.energy, b.energy]);
        self.energies.add(&self.record);
        match (a.forces, b.forces) {
            (Some(x), Some(y)) => {
                let composition = &self.record.composition;
                self.forces.add(index, frame.species, composition, [x, y]);
            }
            _ => self.without_forces += 1,
        }
        if let (Some(x), Some(y)) = (&a.stress, &b.stress) {
            self.stresses.add(index, x, y);
        }
        Some(&self.record)
    }

    fn compose(&mut self, index: u64, frame: &Frame<'_>, energies: [f64; 2]) {
        for z in frame.species {
            self.counts[usize::from(*z)] += 1;
        }
        let counts = self.counts.iter_mut().enumerate();
        let present = counts.filter(|(_, n)| **n > 0);
        self.record.composition.clear();
        let taken = present.map(|(z, n)| (z as u8, std::mem::take(n)));
        self.record.composition.extend(taken);
        (self.record.frame, self.record.energies) = (index, energies);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::cell::Cell;

    #[test]
    fn what_is_no_number_is_counted_and_never_mixed_in() {
        let mut found = Comparison::new(3);
        let positions = [[0.0; 3]; 2];
        let frame = Frame {
            species: &[8, 1],
            positions: &positions,
            cell: Cell::OPEN,
        };
        let forces = [[0.0; 3], [1.0, 0.0, 0.0]];
        let good = Label {
            energy: 1.0,
            forces: Some(&forces),
            stress: None,
        };
        let nan = [[0.0; 3], [f64::NAN, 0.0, 0.0]];
        let bad = Label {
            forces: Some(&nan),
            ..good
        };
        let lone = Label {
            forces: None,
            ..good
        };
        let record = found.add(0, &frame, [&good, &good]).unwrap();
        assert_eq!(record.composition, [(1, 1), (8, 1)]);
        for (index, pair) in [[&good, &bad], [&bad, &good]].into_iter().enumerate() {
            assert!(found.add(1 + index as u64, &frame, pair).is_none());
        }
        assert!(found.add(3, &frame, [&lone, &good]).is_some());
        let none = Frame {
            species: &[],
            positions: &[],
            ..frame
        };
        assert!(found.add(4, &none, [&good, &good]).is_none());
        assert_eq!((found.frames, found.atoms, found.without_forces), (2, 4, 1));
        assert_eq!((found.not_finite, found.empty), ((2, vec![1, 2]), 1));
        assert_eq!(found.forces.all.components.n(), 6);
        assert_eq!(found.stresses.components.figures(), None);
    }
}
