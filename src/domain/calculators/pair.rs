//! The machinery of pair potentials: distances to energy, forces and virial, eight pairs at a time.
//!
//! A potential says what one pair has, as plain arithmetic without branches ([`PairPotential`]); inlined into the
//! loop below it becomes vector instructions. Sums are kept per lane and no multiplication is fused with an
//! addition: the bytes of the results do not depend on the processor.
//!
//! A new potential is a [`PairPotential`] and a [`PairModel`](calculator::PairModel), which says what the user's
//! parameters mean for two species; [`PairFactory`](calculator::PairFactory) makes calculators of them.

pub mod calculator;
pub mod parameters;

use crate::domain::neighbors::{LANES, MOST_ROWS, Pairs};

/// Two atoms nearer than this (Å) are at the same place: wrapping rounds.
pub const SAME_PLACE: f64 = 1e-7;

/// Energies above this (eV) are looked at: some pair is very near [`SAME_PLACE`] or nearer than is allowed.
pub const UNBOUNDED: f64 = 1e50;

/// What a pair has that is nearer than [`PairPotential::nearest`], where the potential itself stays finite (eV).
pub const FORBIDDEN: f64 = 1e60;

/// One number for each lane.
pub type Lanes = [f64; LANES];

/// The potential of one pair of species.
pub trait PairPotential: Copy {
    /// Pairs at or beyond it do not count (Å).
    fn cutoff(&self) -> f64;

    /// Energy (eV) and force divided by distance (eV/Å², positive when repulsive) at the squared distance `r2` (Å²).
    /// Any value will do beyond the cutoff. Mark it `#[inline(always)]`.
    fn pair(&self, r2: f64) -> (f64, f64);

    /// Pairs nearer than this (Å) make a frame fail; their energy must be above [`UNBOUNDED`] or NaN.
    fn nearest(&self) -> f64 {
        SAME_PLACE
    }

    /// [`evaluate`] for this potential, in a function that is compiled for several processors.
    fn evaluate(&self, pairs: &mut Pairs, sums: &mut PairSums, row_sums: &mut RowSums);
}

/// Sums over pairs, per lane.
#[derive(Clone, Copy, Debug, Default)]
pub struct PairSums {
    energy: Lanes,
    /// `Σ (F/r) r_a r_b` for xx, yy, zz, yz, xz, xy.
    virial: [Lanes; 6],
}

impl PairSums {
    /// Energy (eV).
    pub fn energy(&self) -> f64 {
        total(&self.energy)
    }

    /// `σ = -virial / V` (eV/Å³) for the volume V (Å³).
    pub fn stress(&self, volume: f64) -> [[f64; 3]; 3] {
        let [xx, yy, zz, yz, xz, xy] = self.virial.map(|lanes| -total(&lanes) / volume);
        [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]
    }
}

/// Sum of the lanes, always in the same order.
#[inline(always)]
#[allow(clippy::inline_always)]
fn total(lanes: &Lanes) -> f64 {
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

/// Per row, the sums of the forces on its second atoms.
pub type RowSums = [[Lanes; 3]; MOST_ROWS];

/// Turns the vectors of `pairs` into forces on the second atoms (eV/Å), and adds to the sums.
///
/// To be inlined into a function that is compiled for several processors.
#[inline(always)]
#[allow(clippy::inline_always)]
pub fn evaluate<P: PairPotential>(
    potential: &P,
    pairs: &mut Pairs,
    sums: &mut PairSums,
    row_sums: &mut RowSums,
) {
    let potential = *potential;
    let cutoff2 = potential.cutoff() * potential.cutoff();
    let mut energy = sums.energy;
    let mut virial = sums.virial;
    let (rows, _, [x, y, z]) = pairs.parts();
    let (x, y, z) = (
        x.as_chunks_mut().0,
        y.as_chunks_mut().0,
        z.as_chunks_mut().0,
    );
    for (row, row_sum) in rows.iter().zip(row_sums) {
        let mut on = [[0.0; LANES]; 3];
        let (start, end) = (
            row.start as usize / LANES,
            (row.end as usize).div_ceil(LANES),
        );
        let (Some(x), Some(y), Some(z)) = (
            x.get_mut(start..end),
            y.get_mut(start..end),
            z.get_mut(start..end),
        ) else {
            break;
        };
        for ((x, y), z) in x.iter_mut().zip(y).zip(z) {
            let (dx, dy, dz): (Lanes, Lanes, Lanes) = (*x, *y, *z);
            let mut e = [0.0; LANES];
            let (mut fx, mut fy, mut fz) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
            for k in 0..LANES {
                let r2 = dx[k] * dx[k] + dy[k] * dy[k] + dz[k] * dz[k];
                let (energy, f) = potential.pair(r2);
                // All bits or none: a choice would become a branch.
                let within = u64::from(r2 < cutoff2).wrapping_neg();
                e[k] = f64::from_bits(energy.to_bits() & within);
                let f = f64::from_bits(f.to_bits() & within);
                fx[k] = f * dx[k];
                fy[k] = f * dy[k];
                fz[k] = f * dz[k];
            }
            (*x, *y, *z) = (fx, fy, fz);
            for k in 0..LANES {
                energy[k] += e[k];
                on[0][k] += fx[k];
                on[1][k] += fy[k];
                on[2][k] += fz[k];
            }
            for k in 0..LANES {
                virial[0][k] += fx[k] * dx[k];
                virial[1][k] += fy[k] * dy[k];
                virial[2][k] += fz[k] * dz[k];
                virial[3][k] += fy[k] * dz[k];
                virial[4][k] += fx[k] * dz[k];
                virial[5][k] += fx[k] * dy[k];
            }
        }
        *row_sum = on;
    }
    sums.energy = energy;
    sums.virial = virial;
}

/// Adds the forces of evaluated pairs to those on sorted atoms (x, y, z and nothing).
pub fn add_forces(pairs: &mut Pairs, row_sums: &RowSums, forces: &mut [[f64; 4]]) {
    let (rows, second, [x, y, z]) = pairs.parts();
    for (row, row_sum) in rows.iter().zip(row_sums) {
        let range = row.start as usize..row.end as usize;
        let on = x[range.clone()]
            .iter()
            .zip(&y[range.clone()])
            .zip(&z[range.clone()]);
        for (j, ((x, y), z)) in second[range].iter().zip(on) {
            let force = &mut forces[*j as usize];
            force[0] += x;
            force[1] += y;
            force[2] += z;
        }
        let force = &mut forces[row.first as usize];
        for d in 0..3 {
            force[d] -= total(&row_sum[d]);
        }
    }
}
