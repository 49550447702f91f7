//! The two-body term and both g of near pairs, eight side by side.

use multiversion::multiversion;

use super::terms::{Decay, Exponent, PairTerm};
use crate::domain::calculators::functions::exp;
use crate::domain::calculators::pair::Lanes;
use crate::domain::neighbors::{LANES, Pairs};

/// `r - aσ` is at most this (Å): rounding must not make it zero, where e^(1/0) would not be 0.
const SHORT_OF_THE_END: f64 = -1e-10;

/// A near pair, from its first atom (i) to its second (j).
#[derive(Clone, Copy, Debug)]
pub(super) struct Bond {
    /// Sorted indices.
    pub first: u32,
    pub second: u32,
    /// Positions in the list of species.
    pub species: (u8, u8),
    /// Unit vector.
    pub unit: [f64; 3],
    /// Å.
    pub r: f64,
    /// g around i and around j, 0 beyond their reach.
    pub g: [f64; 2],
    /// dg/dr (1/Å).
    pub slope: [f64; 2],
}

/// Pairs of a frame, and the sums.
#[derive(Clone, Debug, Default)]
pub(super) struct Bonds {
    pub list: Vec<Bond>,
    /// eV.
    pub energy: f64,
    /// eV/Å on sorted atoms: x, y, z and nothing.
    pub forces: Vec<[f64; 4]>,
    /// `Σ r_a F_b` for xx, yy, zz, yz, xz, xy, F on the atom at the far end of r (eV).
    pub virial: [f64; 6],
    /// Å.
    pub shortest: f64,
}

impl Bonds {
    /// Forgets the last frame.
    pub fn begin(&mut self, atoms: usize) {
        self.list.clear();
        self.energy = 0.0;
        self.forces.clear();
        self.forces.resize(atoms, [0.0; 4]);
        self.virial = [0.0; 6];
        self.shortest = f64::INFINITY;
    }

    /// Adds a force on `second`, and the opposite one on `first`, with `r` from this to that.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub fn push_apart(&mut self, (first, second): (u32, u32), r: [f64; 3], f: [f64; 3]) {
        for d in 0..3 {
            self.forces[second as usize][d] += f[d];
            self.forces[first as usize][d] -= f[d];
            self.virial[d] += r[d] * f[d];
        }
        self.virial[3] += r[1] * f[2];
        self.virial[4] += r[0] * f[2];
        self.virial[5] += r[0] * f[1];
    }
}

/// g and its slope.
#[inline(always)]
#[allow(clippy::inline_always)]
fn decay(term: &Decay, r: f64, r2: f64) -> (f64, f64) {
    let rest = r - term.end;
    let rest = if rest < SHORT_OF_THE_END {
        rest
    } else {
        SHORT_OF_THE_END
    };
    let inverse = 1.0 / rest;
    let g = exp(term.width * inverse);
    let within = u64::from(r2 < term.reach2).wrapping_neg();
    let g = f64::from_bits(g.to_bits() & within);
    (g, -g * term.width * inverse * inverse)
}

/// `x^n`.
#[inline(always)]
#[allow(clippy::inline_always)]
fn power(x: &Lanes, n: Exponent) -> Lanes {
    let mut y = [1.0; LANES];
    match n {
        Exponent::Whole(n) => {
            for _ in 0..n {
                for k in 0..LANES {
                    y[k] *= x[k];
                }
            }
        }
        Exponent::Real(n) => y = x.map(|x| libm::pow(x, n)),
    }
    y
}

/// Evaluates the two-body term of `pairs` and appends them, as far as they reach. `species` are those of first and second
/// atoms.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))]
pub(super) fn evaluate(
    term: &PairTerm,
    species: (usize, usize),
    pairs: &mut Pairs,
    bonds: &mut Bonds,
) {
    let alike = term.three[0] == term.three[1];
    let (p, q) = (exponent(term.p), exponent(term.q));
    let species = (species.0 as u8, species.1 as u8);
    let (rows, second, [x, y, z]) = pairs.parts();
    for row in rows {
        let mut at = row.start as usize;
        while at < row.end as usize {
            let mut r2 = [0.0; LANES];
            for k in 0..LANES {
                r2[k] = x[at + k] * x[at + k] + y[at + k] * y[at + k] + z[at + k] * z[at + k];
            }
            let mut inverse = [0.0; LANES];
            let mut s = [0.0; LANES];
            let mut r = [0.0; LANES];
            for k in 0..LANES {
                r[k] = r2[k].sqrt();
                inverse[k] = 1.0 / r[k];
                s[k] = term.sigma * inverse[k];
            }
            let (sp, sq) = (power(&s, term.p), power(&s, term.q));
            let (mut energy, mut slope) = ([0.0; LANES], [0.0; LANES]);
            let (mut g, mut dg) = ([[0.0; LANES]; 2], [[0.0; LANES]; 2]);
            for k in 0..LANES {
                let (e, de) = decay(&term.two, r[k], r2[k]);
                let shape = term.big_b * sp[k] - sq[k];
                let steep = (q * sq[k] - p * term.big_b * sp[k]) * inverse[k];
                energy[k] = term.strength * shape * e;
                slope[k] = term.strength * (steep * e + shape * de);
                (g[0][k], dg[0][k]) = decay(&term.three[0], r[k], r2[k]);
            }
            if alike {
                (g[1], dg[1]) = (g[0], dg[0]);
            } else {
                for k in 0..LANES {
                    (g[1][k], dg[1][k]) = decay(&term.three[1], r[k], r2[k]);
                }
            }
            let used = (row.end as usize - at).min(LANES);
            for k in (0..used).filter(|k| r2[*k] < term.two.reach2) {
                let r_ij = [x[at + k], y[at + k], z[at + k]];
                let bond = Bond {
                    first: row.first,
                    second: second[at + k],
                    species,
                    unit: r_ij.map(|x| x * inverse[k]),
                    r: r[k],
                    g: [g[0][k], g[1][k]],
                    slope: [dg[0][k], dg[1][k]],
                };
                bonds.energy += energy[k];
                bonds.shortest = bonds.shortest.min(r[k]);
                let force = bond.unit.map(|u| -slope[k] * u);
                bonds.push_apart((bond.first, bond.second), r_ij, force);
                bonds.list.push(bond);
            }
            at += LANES;
        }
    }
}

fn exponent(n: Exponent) -> f64 {
    match n {
        Exponent::Whole(n) => f64::from(n),
        Exponent::Real(n) => n,
    }
}
