//! How sizes are distributed over many orders of magnitude, in fixed memory.

/// Octaves that are told apart: from 2^-60 (8.7e-19) up to 2^40 (1.1e12).
const OCTAVES: u64 = 100;
const LOWEST: u64 = 1023 - 60;
/// Bits of the mantissa that are told apart: bins are 2^-7 of an octave's start wide.
const BITS: u64 = 7;
const BINS: usize = (OCTAVES << BITS) as usize;

/// Counts by size. Bins are equal parts of octaves, so that the middle of one is within 0.4 % of all that is in it,
/// whatever came first.
#[derive(Clone, Debug, Default)]
pub struct Magnitudes {
    /// Empty until there is a number: most elements do not occur.
    bins: Vec<u64>,
    /// Zero, or below the smallest bin.
    small: u64,
    n: u64,
}

impl Magnitudes {
    /// Counts a size, not negative.
    #[inline]
    pub fn add(&mut self, size: f64) {
        if self.bins.is_empty() {
            self.bins.resize(BINS, 0);
        }
        self.n += 1;
        // Doubles of one sign are ordered as their bits are.
        match (size.to_bits() >> (52 - BITS)).checked_sub(LOWEST << BITS) {
            Some(bin) => self.bins[(bin as usize).min(BINS - 1)] += 1,
            None => self.small += 1,
        }
    }

    /// Number of sizes.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// How many are zero or as good as zero.
    pub fn small(&self) -> u64 {
        self.small
    }

    /// The size that a share `q` of all does not exceed (nearest rank), to 0.4 %; 0 without any.
    pub fn quantile(&self, q: f64) -> f64 {
        let rank = ((q * self.n as f64).ceil() as u64).max(1);
        let mut below = self.small;
        if self.n == 0 || below >= rank {
            return 0.0;
        }
        for (middle, count) in self.occupied() {
            below += count;
            if below >= rank {
                return middle;
            }
        }
        f64::INFINITY
    }

    /// The middles of bins that are not empty, ascending, and what is in them.
    pub fn occupied(&self) -> impl Iterator<Item = (f64, u64)> {
        let edge = |bin: u64| f64::from_bits((bin + (LOWEST << BITS)) << (52 - BITS));
        let bins = self.bins.iter().enumerate().filter(|(_, n)| **n > 0);
        bins.map(move |(bin, n)| {
            let bin = bin as u64;
            (0.5 * (edge(bin) + edge(bin + 1)), *n)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn quantiles_are_those_of_the_sorted_numbers(
            mut sizes in prop::collection::vec(prop_oneof![Just(0.0), 1e-12..1e-3, 0.0..1e6], 1..200),
            q in 0.0..1.0_f64,
        ) {
            let mut found = Magnitudes::default();
            for x in &sizes {
                found.add(*x);
            }
            sizes.sort_by(f64::total_cmp);
            let rank = ((q * sizes.len() as f64).ceil() as usize).max(1);
            let exact = sizes[rank - 1];
            prop_assert!((found.quantile(q) - exact).abs() <= 0.004 * exact, "{} {exact}", found.quantile(q));
        }
    }

    #[test]
    fn the_ends_of_the_range_are_kept() {
        let mut found = Magnitudes::default();
        assert_eq!(found.quantile(0.5), 0.0);
        for x in [0.0, 1e-300, 1e300, f64::MAX] {
            found.add(x);
        }
        assert_eq!((found.n(), found.small()), (4, 2));
        assert!(found.quantile(1.0) > 1e12);
    }
}
