//! The inner loop: one block of candidate pairs, eight at a time.
//!
//! Whole chunks of second atoms are computed at once; those beyond the cutoff are masked, not skipped one by
//! one, so that the compiler turns everything into vector instructions, for several generations of processors
//! in one binary. Sums are kept per lane and no multiplication is fused with an addition: the bytes of the
//! results do not depend on the processor.

use multiversion::multiversion;

use crate::domain::neighbors::{Block, Image, LANES, Sorted};

/// Two atoms nearer than this (Å) are at the same place: wrapping rounds.
pub(super) const SAME_PLACE: f64 = 1e-7;

/// Energies above this (eV) are looked at: some pair is very near [`SAME_PLACE`] or nearer.
pub(super) const UNBOUNDED: f64 = 1e50;

type Lanes = [f64; LANES];

/// Lane numbers, to mask those beyond the end of a range.
const LANE: Lanes = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];

/// Adding and subtracting this rounds a small number to the nearest whole one (ties to even), in vector
/// instructions of every processor.
const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52

/// The potential of one pair of species.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coefficients {
    /// 4 ε σ⁶ and 4 ε σ¹².
    c6: f64,
    c12: f64,
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
            cutoff,
            offset: if shift { r6 * (c12 * r6 - c6) } else { 0.0 },
        }
    }

    pub fn cutoff(&self) -> f64 {
        self.cutoff
    }
}

/// Sums over pairs, per lane.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    energy: Lanes,
    /// `Σ (F/r) r_a r_b` for xx, yy, zz, yz, xz, xy.
    virial: [Lanes; 6],
}

impl Sums {
    pub fn energy(&self) -> f64 {
        total(&self.energy)
    }

    /// `σ = -virial / V`.
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

/// Adds the pairs of one block to the sums, and to the forces on sorted atoms ([`LANES`] longer than atoms).
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2"))]
pub(super) fn add_block(
    block: &Block,
    sorted: &Sorted<'_>,
    vectors: &[[f64; 3]; 3],
    pair: &Coefficients,
    forces: &mut [Vec<f64>; 3],
    sums: &mut Sums,
) {
    match block.image {
        Image::Fixed { shift, .. } => {
            add::<false, false>(block, sorted, shift, vectors, pair, forces, sums);
        }
        Image::Nearest => {
            let diagonal = (0..3).all(|k| (0..3).all(|l| k == l || vectors[k][l] == 0.0));
            if diagonal {
                add::<true, true>(block, sorted, [0.0; 3], vectors, pair, forces, sums);
            } else {
                add::<true, false>(block, sorted, [0.0; 3], vectors, pair, forces, sums);
            }
        }
    }
}

/// `LANES` numbers from `at` on.
#[inline(always)]
#[allow(clippy::inline_always)]
fn chunk(values: &[f64], at: usize) -> Option<&Lanes> {
    values.get(at..at + LANES)?.first_chunk()
}

// Inlined into each version of `add_block`, to be compiled for its processor.
#[inline(always)]
#[allow(clippy::inline_always)]
fn add<const NEAREST: bool, const DIAGONAL: bool>(
    block: &Block,
    sorted: &Sorted<'_>,
    shift: [f64; 3],
    v: &[[f64; 3]; 3],
    pair: &Coefficients,
    forces: &mut [Vec<f64>; 3],
    sums: &mut Sums,
) {
    let [x, y, z] = sorted.cartesian;
    let [sx, sy, sz] = sorted.fractional;
    let [fx, fy, fz] = forces;
    let cutoff2 = pair.cutoff * pair.cutoff;
    let (c6, c12, offset) = (pair.c6, pair.c12, pair.offset);
    let (d6, d12) = (6.0 * c6, 12.0 * c12);
    let mut energy = sums.energy;
    let mut virial = sums.virial;
    for i in block.first.clone() {
        let (xi, yi, zi) = (x[i] - shift[0], y[i] - shift[1], z[i] - shift[2]);
        let (sxi, syi, szi) = (sx[i], sy[i], sz[i]);
        let mut on_i = [[0.0; LANES]; 3];
        let mut j = if block.triangular {
            i + 1
        } else {
            block.second.start
        };
        while j < block.second.end {
            let count = (block.second.end - j) as f64;
            let (Some(xj), Some(yj), Some(zj)) = (chunk(x, j), chunk(y, j), chunk(z, j)) else {
                break;
            };
            let (mut dx, mut dy, mut dz) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
            for k in 0..LANES {
                dx[k] = xj[k] - xi;
                dy[k] = yj[k] - yi;
                dz[k] = zj[k] - zi;
            }
            if NEAREST {
                let (Some(sxj), Some(syj), Some(szj)) = (chunk(sx, j), chunk(sy, j), chunk(sz, j))
                else {
                    break;
                };
                for k in 0..LANES {
                    let a = (sxj[k] - sxi + ROUND) - ROUND;
                    let b = (syj[k] - syi + ROUND) - ROUND;
                    let c = (szj[k] - szi + ROUND) - ROUND;
                    if DIAGONAL {
                        dx[k] -= a * v[0][0];
                        dy[k] -= b * v[1][1];
                        dz[k] -= c * v[2][2];
                    } else {
                        dx[k] -= a * v[0][0] + b * v[1][0] + c * v[2][0];
                        dy[k] -= a * v[0][1] + b * v[1][1] + c * v[2][1];
                        dz[k] -= a * v[0][2] + b * v[1][2] + c * v[2][2];
                    }
                }
            }
            let mut r2 = [0.0; LANES];
            let mut near = false;
            for k in 0..LANES {
                r2[k] = dx[k] * dx[k] + dy[k] * dy[k] + dz[k] * dz[k];
                near |= r2[k] < cutoff2;
            }
            if near {
                let (Some(fxj), Some(fyj), Some(fzj)) =
                    (chunk_mut(fx, j), chunk_mut(fy, j), chunk_mut(fz, j))
                else {
                    break;
                };
                let (mut e, mut px, mut py, mut pz) = ([0.0; LANES], *fxj, *fyj, *fzj);
                let (mut qx, mut qy, mut qz) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
                for k in 0..LANES {
                    // Zero beyond the cutoff makes everything that follows zero.
                    let reciprocal = 1.0 / r2[k];
                    #[allow(clippy::needless_bitwise_bool)] // no branch
                    let within = (r2[k] < cutoff2) & (LANE[k] < count);
                    let inverse = if within { reciprocal } else { 0.0 };
                    let shifted = if within { offset } else { 0.0 };
                    let r6 = inverse * inverse * inverse;
                    e[k] = r6 * (c12 * r6 - c6) - shifted;
                    let f = r6 * (d12 * r6 - d6) * inverse;
                    qx[k] = f * dx[k];
                    qy[k] = f * dy[k];
                    qz[k] = f * dz[k];
                    px[k] += qx[k];
                    py[k] += qy[k];
                    pz[k] += qz[k];
                }
                (*fxj, *fyj, *fzj) = (px, py, pz);
                for k in 0..LANES {
                    energy[k] += e[k];
                    on_i[0][k] += qx[k];
                    on_i[1][k] += qy[k];
                    on_i[2][k] += qz[k];
                }
                for k in 0..LANES {
                    virial[0][k] += qx[k] * dx[k];
                    virial[1][k] += qy[k] * dy[k];
                    virial[2][k] += qz[k] * dz[k];
                    virial[3][k] += qy[k] * dz[k];
                    virial[4][k] += qx[k] * dz[k];
                    virial[5][k] += qx[k] * dy[k];
                }
            }
            j += LANES;
        }
        fx[i] -= total(&on_i[0]);
        fy[i] -= total(&on_i[1]);
        fz[i] -= total(&on_i[2]);
    }
    sums.energy = energy;
    sums.virial = virial;
}

#[inline(always)]
#[allow(clippy::inline_always)]
fn chunk_mut(values: &mut [f64], at: usize) -> Option<&mut Lanes> {
    values.get_mut(at..at + LANES)?.first_chunk_mut()
}
