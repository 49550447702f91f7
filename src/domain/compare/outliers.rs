//! The frames that differ most, in memory for as many as are asked for.

use super::offsets::Composition;
use crate::domain::elements::symbol;

/// A frame that differs much.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlier {
    /// Index of the frame.
    pub frame: u64,
    /// What it is ranked by.
    pub size: f64,
    /// Its error with a sign, or its largest error, see where it is used.
    pub value: f64,
    /// The atom that differs most, where it is about atoms.
    pub atom: Option<(u32, u8)>,
    /// `H2O`.
    pub formula: String,
}

/// The largest ones, largest first; of equal ones the earlier frame.
#[derive(Clone, Debug)]
pub struct Outliers {
    most: usize,
    found: Vec<Outlier>,
}

impl Outliers {
    /// Keeps up to `most`.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            found: Vec::new(),
        }
    }

    /// Whether a frame of this size is among them as far as is known.
    pub fn wants(&self, size: f64) -> bool {
        self.found.len() < self.most || self.found.last().is_some_and(|last| size >= last.size)
    }

    /// Adds a frame.
    pub fn add(&mut self, outlier: Outlier) {
        if !self.wants(outlier.size) {
            return;
        }
        let before =
            |o: &Outlier| (o.size, -(o.frame as f64)) > (outlier.size, -(outlier.frame as f64));
        let at = self.found.partition_point(before);
        self.found.insert(at, outlier);
        self.found.truncate(self.most);
    }

    /// The largest first.
    pub fn list(&self) -> &[Outlier] {
        &self.found
    }
}

/// `C2H6O`: carbon and hydrogen first, then by symbol (E. A. Hill, J. Am. Chem. Soc. 22, 478, 1900).
pub fn formula(composition: &Composition) -> String {
    let carbon = composition.iter().any(|(z, _)| *z == 6);
    let mut parts: Vec<_> = composition.to_vec();
    parts.sort_by_key(|(z, _)| match *z {
        6 => (0, ""),
        1 if carbon => (1, ""),
        z => (2, symbol(z)),
    });
    let count = |n: u32| if n == 1 { String::new() } else { n.to_string() };
    let parts = parts.into_iter();
    parts
        .map(|(z, n)| symbol(z).to_owned() + &count(n))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_kept_in_order() {
        let mut found = Outliers::new(3);
        for (frame, size) in [(3, 5.0), (0, 1.0), (1, 5.0), (2, 2.0), (4, 0.5), (5, 3.0)] {
            found.add(Outlier {
                frame,
                size,
                value: size,
                atom: None,
                formula: String::new(),
            });
        }
        let kept: Vec<_> = found.list().iter().map(|o| (o.frame, o.size)).collect();
        assert_eq!(kept, [(1, 5.0), (3, 5.0), (5, 3.0)]);
        assert!(!found.wants(2.5) && found.wants(3.5));
        assert!(!Outliers::new(0).wants(1.0));
    }

    #[test]
    fn formulas_are_in_hills_order() {
        assert_eq!(formula(&[(1, 6), (6, 2), (8, 1)]), "C2H6O");
        assert_eq!(formula(&[(1, 2), (8, 1)]), "H2O");
        assert_eq!(formula(&[(11, 1), (17, 1)]), "ClNa");
    }
}
