//! The top of the repulsive wall of two ions. Below it `-C/r⁶`, or the attraction of their charges, wins over the
//! repulsion, which stays finite: the "Buckingham catastrophe".

use super::kernel::Buckingham;
use crate::domain::calculators::functions::exp;

/// Distances that are looked at between zero and the cutoff.
const STEPS: u32 = 4096;

/// The distance (Å) below which the potential `A e^(-r/ρ) - C/r⁶ + product/r` (`product` in eV Å) falls towards r = 0;
/// 0 where it does not fall, or where there is no wall at all, only attraction up to the cutoff.
pub(super) fn barrier(pair: &Buckingham, product: f64, cutoff: f64) -> f64 {
    // r⁷ dE/dr: positive where the pair attracts.
    let attraction = |r: f64| {
        let r5 = r * r * r * r * r;
        6.0 * pair.c - product * r5 - pair.a * pair.rate * exp(-r * pair.rate) * r5 * r * r
    };
    let at = |n: u32| cutoff * f64::from(n) / f64::from(STEPS);
    if attraction(at(1)) <= 0.0 && pair.c == 0.0 && product >= 0.0 {
        return 0.0;
    }
    let Some(first) = (1..=STEPS).find(|n| attraction(at(*n)) < 0.0) else {
        return 0.0;
    };
    let (mut low, mut high) = (at(first - 1), at(first));
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if attraction(middle) < 0.0 {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_changes_its_sign_at_the_top() {
        // O-O of silica (B. W. H. van Beest, G. J. Kramer, R. A. van Santen, Phys. Rev. Lett. 64, 1955, 1990).
        let oxygen = Buckingham::new(1388.773, 1.0 / 2.76, 175.0, 10.0, false);
        for product in [0.0, -20.0, 20.0] {
            let top = barrier(&oxygen, product, 10.0);
            assert!((0.9..1.9).contains(&top), "{top}");
            let energy =
                |r: f64| oxygen.a * (-r * oxygen.rate).exp() - oxygen.c / r.powi(6) + product / r;
            assert!(energy(top) > energy(top - 1e-3) && energy(top) > energy(top + 1e-3));
        }
    }

    #[test]
    fn pure_repulsion_and_pure_attraction_have_none() {
        let repulsive = Buckingham::new(1000.0, 0.3, 0.0, 10.0, false);
        assert_eq!(barrier(&repulsive, 14.4, 10.0), 0.0);
        assert_eq!(barrier(&repulsive, 0.0, 10.0), 0.0);
        assert!(barrier(&repulsive, -14.4, 10.0) > 0.0);
        let attractive = Buckingham::new(0.0, 1.0, 10.0, 10.0, false);
        assert_eq!(barrier(&attractive, 0.0, 10.0), 0.0);
        assert!(barrier(&attractive, 14.4, 10.0) > 1.0);
    }
}
