//! One pair, and the inner loops made of it for several generations of processors in one binary.

use multiversion::multiversion;

use super::coulomb::PairCharges;
use crate::domain::calculators::functions::{choose, erfc, exp};
use crate::domain::calculators::pair::{
    self, FORBIDDEN, PairPotential, PairSums, RowSums, SAME_PLACE,
};
use crate::domain::neighbors::Pairs;

/// `A e^(-r/ρ) - C/r⁶ - offset`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Buckingham {
    pub a: f64,
    /// 1/ρ (1/Å).
    pub rate: f64,
    pub c: f64,
    /// Energy at the cutoff, zero unless shifted (eV).
    offset: f64,
}

impl Buckingham {
    pub fn new(a: f64, rho: f64, c: f64, cutoff: f64, shift: bool) -> Self {
        let rate = 1.0 / rho;
        let at_cutoff = a * exp(-cutoff * rate) - c * cutoff.powi(-6);
        Self {
            a,
            rate,
            c,
            offset: if shift { at_cutoff } else { 0.0 },
        }
    }
}

/// The potential of one pair of species; `CHARGED`: with its charges.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coefficients<const CHARGED: bool> {
    buckingham: Buckingham,
    charges: PairCharges,
    /// Nearer than this the potential falls without bound (Å).
    wall: f64,
    cutoff: f64,
}

impl<const CHARGED: bool> Coefficients<CHARGED> {
    pub fn new(buckingham: Buckingham, charges: PairCharges, wall: f64, cutoff: f64) -> Self {
        Self {
            buckingham,
            charges,
            wall: wall.max(SAME_PLACE),
            cutoff,
        }
    }
}

impl<const CHARGED: bool> Coefficients<CHARGED> {
    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn value(&self, r2: f64) -> (f64, f64) {
        let r = r2.sqrt();
        let inverse2 = 1.0 / r2;
        let inverse = r * inverse2;
        let Buckingham { a, rate, c, offset } = self.buckingham;
        let repulsion = a * exp(-r * rate);
        let dispersion = c * (inverse2 * inverse2 * inverse2);
        let mut energy = repulsion - dispersion - offset;
        let mut force = repulsion * rate * inverse - 6.0 * dispersion * inverse2;
        if CHARGED {
            let charges = &self.charges;
            let x = charges.alpha * r;
            let gauss = exp(-x * x);
            let potential = erfc(x, gauss) * inverse;
            let slope = (potential + charges.slope * gauss) * inverse;
            energy += charges.product * (potential - charges.shift + charges.force_shift * r);
            force += charges.product * (slope - charges.force_shift) * inverse;
        }
        (choose(r2 < self.wall * self.wall, FORBIDDEN, energy), force)
    }
}

impl PairPotential for Coefficients<true> {
    fn cutoff(&self) -> f64 {
        self.cutoff
    }

    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn pair(&self, r2: f64) -> (f64, f64) {
        self.value(r2)
    }

    fn nearest(&self) -> f64 {
        self.wall
    }

    fn evaluate(&self, pairs: &mut Pairs, sums: &mut PairSums, row_sums: &mut RowSums) {
        with_charges(self, pairs, sums, row_sums);
    }
}

impl PairPotential for Coefficients<false> {
    fn cutoff(&self) -> f64 {
        self.cutoff
    }

    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn pair(&self, r2: f64) -> (f64, f64) {
        self.value(r2)
    }

    fn nearest(&self) -> f64 {
        self.wall
    }

    fn evaluate(&self, pairs: &mut Pairs, sums: &mut PairSums, row_sums: &mut RowSums) {
        without_charges(self, pairs, sums, row_sums);
    }
}

/// The inner loop: see [`pair::evaluate`].
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))]
fn with_charges(
    potential: &Coefficients<true>,
    pairs: &mut Pairs,
    sums: &mut PairSums,
    row_sums: &mut RowSums,
) {
    pair::evaluate(potential, pairs, sums, row_sums);
}

/// The same without charges.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))]
fn without_charges(
    potential: &Coefficients<false>,
    pairs: &mut Pairs,
    sums: &mut PairSums,
    row_sums: &mut RowSums,
) {
    pair::evaluate(potential, pairs, sums, row_sums);
}
