//! Waves at the places of ions: the inner loops of an Ewald sum, for several generations of processors.
//!
//! Ions are taken [`LARGEST`] at a time, eight side by side. `e^(ikr)` is a product of three: one for each side of the
//! cell, whose powers are tabulated.

use std::f64::consts::PI;
use std::ops::Range;

use multiversion::multiversion;

use crate::domain::calculators::pair::Lanes;
use crate::domain::cell::dot;
use crate::domain::neighbors::LANES;

/// Ions of a block at most: their tables fit the second-level cache.
pub(super) const LARGEST: usize = 64;

const CHUNKS: usize = LARGEST / LANES;

/// Largest multiples of the reciprocal vectors.
pub(super) type Sides = [usize; 3];

/// Waves `n0 b0 + n1 b1 + n2 b2` with consecutive `n2`.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub n: [i32; 2],
    /// The first `n2`.
    pub low: i32,
    /// Their numbers.
    pub waves: Range<usize>,
}

/// Complex numbers of eight ions.
#[derive(Clone, Copy, Debug, Default)]
struct Phase {
    re: Lanes,
    im: Lanes,
}

impl Phase {
    /// Times another one, conjugated where `sign` is -1.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn times(&self, other: &Self, sign: f64) -> Self {
        let mut product = Self::default();
        for k in 0..LANES {
            let im = sign * other.im[k];
            product.re[k] = self.re[k] * other.re[k] - self.im[k] * im;
            product.im[k] = self.re[k] * im + self.im[k] * other.re[k];
        }
        product
    }
}

/// Some ions.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    /// Used chunks of eight ions.
    chunks: usize,
    charges: [Lanes; CHUNKS],
    /// Powers of the phase along each side, from 0.
    powers: [Vec<[Phase; CHUNKS]>; 3],
    forces: [[Lanes; 3]; CHUNKS],
}

impl Block {
    /// The ions at these places; `reciprocal` without 2π.
    pub fn fill(
        &mut self,
        reciprocal: [[f64; 3]; 3],
        places: &[[f64; 4]],
        charges: &[f64],
        sides: Sides,
    ) {
        self.chunks = places.len().div_ceil(LANES);
        self.charges = [[0.0; LANES]; CHUNKS];
        for (q, charge) in self.charges.as_flattened_mut().iter_mut().zip(charges) {
            *q = *charge;
        }
        for side in 0..3 {
            let powers = &mut self.powers[side];
            powers.resize(sides[side] + 1, [Phase::default(); CHUNKS]);
            let mut first = [Phase::default(); CHUNKS];
            for (n, [x, y, z, _]) in places.iter().enumerate() {
                let turns = dot(reciprocal[side], [*x, *y, *z]);
                // The C library has other versions for other processors, this one has not.
                let (sin, cos) = libm::sincos(2.0 * PI * (turns - turns.round()));
                first[n / LANES].re[n % LANES] = cos;
                first[n / LANES].im[n % LANES] = sin;
            }
            raise(powers, &first, self.chunks);
        }
    }

    /// Charges times the phases that all waves of a row share.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn common(&self, row: &Row, common: &mut [Phase; CHUNKS]) {
        let [n0, n1] = row.n;
        let a = &self.powers[0][n0.unsigned_abs() as usize];
        let b = &self.powers[1][n1.unsigned_abs() as usize];
        let sign = f64::from(n1.signum());
        for (n, common) in common.iter_mut().enumerate().take(self.chunks) {
            let mut phase = a[n].times(&b[n], sign);
            for k in 0..LANES {
                phase.re[k] *= self.charges[n][k];
                phase.im[k] *= self.charges[n][k];
            }
            *common = phase;
        }
    }
}

/// All powers of the first ones.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))]
fn raise(powers: &mut [[Phase; CHUNKS]], first: &[Phase; CHUNKS], chunks: usize) {
    let mut power = [Phase {
        re: [1.0; LANES],
        im: [0.0; LANES],
    }; CHUNKS];
    for entry in powers {
        *entry = power;
        for (power, first) in power.iter_mut().zip(first).take(chunks) {
            *power = power.times(first, 1.0);
        }
    }
}

/// Adds `Σ q e^(ikr)` of the block for every wave.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))]
pub(super) fn add_structure_factors(block: &Block, rows: &[Row], factors: &mut [[f64; 2]]) {
    let mut common = [Phase::default(); CHUNKS];
    for row in rows {
        block.common(row, &mut common);
        for (factor, n2) in factors[row.waves.clone()].iter_mut().zip(row.low..) {
            let powers = &block.powers[2][n2.unsigned_abs() as usize];
            let sign = f64::from(n2.signum());
            let mut sum = Phase::default();
            for (common, power) in common.iter().zip(powers).take(block.chunks) {
                let phase = common.times(power, sign);
                for k in 0..LANES {
                    sum.re[k] += phase.re[k];
                    sum.im[k] += phase.im[k];
                }
            }
            factor[0] += total(&sum.re);
            factor[1] += total(&sum.im);
        }
    }
}

/// Adds the forces `k Im(conj(f) q e^(ikr))` on the ions of the block; `b` are the reciprocal vectors with 2π.
pub(super) fn add_forces(
    block: &mut Block,
    rows: &[Row],
    factors: &[[f64; 2]],
    b: [[f64; 3]; 3],
    forces: &mut [[f64; 4]],
) {
    gather_forces(block, rows, factors, b);
    for (n, force) in forces.iter_mut().enumerate() {
        for d in 0..3 {
            force[d] += block.forces[n / LANES][d][n % LANES];
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))]
fn gather_forces(block: &mut Block, rows: &[Row], factors: &[[f64; 2]], b: [[f64; 3]; 3]) {
    let mut forces = [[[0.0; LANES]; 3]; CHUNKS];
    let mut common = [Phase::default(); CHUNKS];
    for row in rows {
        block.common(row, &mut common);
        // k = n0 b0 + n1 b1 + n2 b2: what a row has along its first part and along b2.
        let mut along = [[[0.0; LANES]; 2]; CHUNKS];
        for ([re, im], n2) in factors[row.waves.clone()].iter().zip(row.low..) {
            let powers = &block.powers[2][n2.unsigned_abs() as usize];
            let sign = f64::from(n2.signum());
            let step = f64::from(n2);
            let ions = common.iter().zip(powers).zip(&mut along);
            for ((common, power), along) in ions.take(block.chunks) {
                let phase = common.times(power, sign);
                for k in 0..LANES {
                    let pull = re * phase.im[k] - im * phase.re[k];
                    along[0][k] += pull;
                    along[1][k] += step * pull;
                }
            }
        }
        let n = row.n.map(f64::from);
        let first = [0, 1, 2].map(|d| n[0] * b[0][d] + n[1] * b[1][d]);
        for (force, along) in forces.iter_mut().zip(&along).take(block.chunks) {
            for d in 0..3 {
                for k in 0..LANES {
                    force[d][k] += first[d] * along[0][k] + b[2][d] * along[1][k];
                }
            }
        }
    }
    block.forces = forces;
}

/// Sum of the lanes, always in the same order.
#[inline(always)]
#[allow(clippy::inline_always)]
fn total(lanes: &Lanes) -> f64 {
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}
