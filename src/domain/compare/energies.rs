//! Energies: as they are, and without the constants by which two levels of theory differ.

use super::density::Density;
use super::offsets::{Fit, Offsets};
use super::outliers::{Outlier, Outliers, formula};
use super::statistics::{Errors, Place};
use super::{RESIDUAL, SIDE};

/// The energies of a frame, and what it is made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// Index of the frame.
    pub frame: u64,
    /// Total energies in A and B (eV).
    pub energies: [f64; 2],
    /// Elements and how many atoms of each, ascending; one at least.
    pub composition: Vec<(u8, u32)>,
}

impl Record {
    /// Number of atoms.
    pub fn atoms(&self) -> f64 {
        self.composition.iter().map(|(_, n)| f64::from(*n)).sum()
    }

    fn difference(&self) -> f64 {
        self.energies[0] - self.energies[1]
    }

    fn place(&self) -> Place {
        Place {
            frame: self.frame,
            atom: None,
        }
    }
}

/// Energies as they are.
#[derive(Clone, Debug)]
pub struct Energies {
    /// Total energies (eV).
    pub total: Errors,
    /// Energies per atom (eV/atom).
    pub per_atom: Errors,
    /// (B, A), eV/atom.
    pub parity: Density,
    /// (B, A - B), eV/atom.
    pub residual: Density,
    fit: Fit,
}

impl Default for Energies {
    fn default() -> Self {
        Self {
            total: Errors::default(),
            per_atom: Errors::default(),
            parity: Density::new(SIDE, true),
            residual: Density::new(RESIDUAL, false),
            fit: Fit::default(),
        }
    }
}

impl Energies {
    /// Takes a frame into account.
    pub fn add(&mut self, record: &Record) {
        let (place, atoms) = (record.place(), record.atoms());
        let ([a, b], difference) = (record.energies, record.difference());
        self.total.add(a, b, place);
        let (error, reference) = (difference / atoms, b / atoms);
        self.per_atom.add_error(error, reference, place);
        self.parity.add([reference, a / atoms]);
        self.residual.add([reference, error]);
        self.fit.add(&record.composition, difference);
    }

    /// The least squares fit of constants per element, once all frames were added. `all` calls its argument with each
    /// record once more: what the normal equations lose to rounding is found from what is left.
    ///
    /// # Errors
    /// Those of `all`.
    pub fn offsets<E>(
        &mut self,
        all: impl FnOnce(&mut dyn FnMut(&Record)) -> Result<(), E>,
    ) -> Result<Offsets, E> {
        let first = self.fit.solve(&Offsets::none());
        self.fit.forget_differences();
        let fit = &mut self.fit;
        all(&mut |record| {
            let residual = record.difference() - first.of(&record.composition);
            fit.push(&record.composition, residual);
        })?;
        Ok(self.fit.solve(&first))
    }
}

/// Energies per atom without the constants (eV/atom).
#[derive(Clone, Debug)]
pub struct Shifted {
    /// The constants per element.
    pub offsets: Offsets,
    /// Without the mean error.
    pub mean_removed: Errors,
    /// Without the constants per element.
    pub fitted: Errors,
    /// (B, A without the constants).
    pub parity: Density,
    /// (B, A without the constants - B).
    pub residual: Density,
    /// By what is left without the constants; `value` is the error as it is.
    pub outliers: Outliers,
    mean: f64,
}

impl Shifted {
    /// Without the mean error and the constants; keeps so many outliers.
    pub fn new(energies: &Energies, offsets: Offsets, outliers: usize) -> Self {
        Self {
            offsets,
            mean_removed: Errors::default(),
            fitted: Errors::default(),
            parity: Density::new(SIDE, true),
            residual: Density::new(RESIDUAL, false),
            outliers: Outliers::new(outliers),
            mean: energies.per_atom.mean(),
        }
    }

    /// Takes a frame into account.
    pub fn add(&mut self, record: &Record) {
        let (place, atoms) = (record.place(), record.atoms());
        let (difference, reference) = (record.difference(), record.energies[1] / atoms);
        let error = difference / atoms;
        self.mean_removed
            .add_error(error - self.mean, reference, place);
        let left = (difference - self.offsets.of(&record.composition)) / atoms;
        self.fitted.add_error(left, reference, place);
        self.parity.add([reference, reference + left]);
        self.residual.add([reference, left]);
        if self.outliers.wants(left.abs()) {
            self.outliers.add(Outlier {
                frame: record.frame,
                size: left.abs(),
                value: error,
                atom: None,
                formula: formula(&record.composition),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_of_elements_explain_another_zero_of_energies() {
        let compositions = [vec![(1, 2), (8, 1)], vec![(1, 4), (8, 2)], vec![(1, 2)]];
        let records: Vec<_> = (0..30)
            .map(|i| {
                let composition = compositions[i % 3].clone();
                let zero: f64 = composition
                    .iter()
                    .map(|(z, n)| f64::from(*n) * if *z == 8 { -2000.125 } else { -13.5 })
                    .sum();
                let energy = 0.1 * (i as f64).sin();
                Record {
                    frame: i as u64,
                    energies: [zero + energy, energy],
                    composition,
                }
            })
            .collect();
        let mut energies = Energies::default();
        for record in &records {
            energies.add(record);
        }
        let all = |each: &mut dyn FnMut(&Record)| -> Result<(), ()> {
            records.iter().for_each(each);
            Ok(())
        };
        let offsets = energies.offsets(all).unwrap();
        assert!((offsets.per_element[0].1 + 13.5).abs() < 1e-12);
        assert!((offsets.per_element[1].1 + 2000.125).abs() < 1e-12);
        let mut shifted = Shifted::new(&energies, offsets, 2);
        for record in &records {
            shifted.add(record);
        }
        let left = shifted.fitted.figures().unwrap();
        assert!(left.max < 1e-12, "{left:?}");
        assert!(shifted.mean_removed.figures().unwrap().rmse > 100.0);
        assert!(shifted.mean_removed.mean().abs() < 1e-9);
        assert_eq!(shifted.outliers.list().len(), 2);
        assert_eq!(energies.per_atom.n(), 30);
    }
}
