//! One pair, and the inner loop made of it for several generations of processors in one binary.

use multiversion::multiversion;

use crate::domain::calculators::pair::{self, PairPotential, PairSums, RowSums};
use crate::domain::neighbors::Pairs;

/// The potential of one pair of species.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coefficients {
    /// 4 ε σ⁶ and 4 ε σ¹².
    c6: f64,
    c12: f64,
    /// 6 and 12 times these.
    d6: f64,
    d12: f64,
    cutoff: f64,
    /// Energy at the cutoff, zero unless shifted (eV).
    offset: f64,
}

impl Coefficients {
    pub fn new(epsilon: f64, sigma: f64, cutoff: f64, shift: bool) -> Self {
        let (c6, c12) = (
            4.0 * epsilon * sigma.powi(6),
            4.0 * epsilon * sigma.powi(12),
        );
        let r6 = cutoff.powi(-6);
        Self {
            c6,
            c12,
            d6: 6.0 * c6,
            d12: 12.0 * c12,
            cutoff,
            offset: if shift { r6 * (c12 * r6 - c6) } else { 0.0 },
        }
    }
}

impl PairPotential for Coefficients {
    fn cutoff(&self) -> f64 {
        self.cutoff
    }

    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn pair(&self, r2: f64) -> (f64, f64) {
        let inverse = 1.0 / r2;
        let r6 = inverse * inverse * inverse;
        let energy = r6 * (self.c12 * r6 - self.c6) - self.offset;
        (energy, r6 * (self.d12 * r6 - self.d6) * inverse)
    }

    fn evaluate(&self, pairs: &mut Pairs, sums: &mut PairSums, row_sums: &mut RowSums) {
        evaluate(self, pairs, sums, row_sums);
    }
}

/// The inner loop: see [`pair::evaluate`].
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))]
fn evaluate(
    potential: &Coefficients,
    pairs: &mut Pairs,
    sums: &mut PairSums,
    row_sums: &mut RowSums,
) {
    pair::evaluate(potential, pairs, sums, row_sums);
}
