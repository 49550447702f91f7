//! The part of an Ewald sum that is made of waves.
//!
//! ```text
//! E = (2πK/V) Σ_k≠0 w(k) |S(k)|²,   w = e^(-k²/4α²)/k²,   S = Σ q e^(ikr)
//! σ_ab = (1/V) [2 Σ_k E_k k_a k_b (1/k² + 1/4α²) - E δ_ab]
//! ```
//!
//! Of k and -k, which contribute the same, one is counted twice.

use std::f64::consts::PI;

use super::coulomb::K;
use super::waves::{self, Block, LARGEST, Row, Sides};
use crate::domain::calculator::Failure;
use crate::domain::calculators::functions::exp;
use crate::domain::calculators::pair::calculator::Sums;
use crate::domain::cell::{Cell, dot, norm};

/// More waves than this are a mistake rather than a wish (a gigabyte).
const MOST_WAVES: f64 = 2e7;

/// Charge that a neutral frame may have (e): charges are typed with few digits.
const NEUTRAL: f64 = 1e-6;

/// Buffers for the waves of a frame.
pub(super) struct Ewald {
    alpha: f64,
    k_max: f64,
    /// For waves: `w(k)`.
    weights: Vec<f64>,
    rows: Vec<Row>,
    /// S(k): real and imaginary parts.
    factors: Vec<[f64; 2]>,
    /// Charges of sorted atoms.
    charges: Vec<f64>,
    block: Block,
}

impl Ewald {
    /// `alpha` and `k_max` in 1/Å.
    pub fn new(alpha: f64, k_max: f64) -> Self {
        Self {
            alpha,
            k_max,
            weights: Vec::new(),
            rows: Vec::new(),
            factors: Vec::new(),
            charges: Vec::new(),
            block: Block::default(),
        }
    }

    /// Adds what the waves have, for sorted atoms with these charges.
    pub fn add(
        &mut self,
        charges: impl Iterator<Item = f64>,
        cell: &Cell,
        places: &[[f64; 4]],
        sums: &mut Sums<'_>,
    ) -> Result<(), Failure> {
        let failed = |why: String| Err(Failure::Failed(why));
        if cell.periodic != [true; 3] {
            return failed(
                "coulomb=ewald needs a frame that is periodic in all three directions: take coulomb=dsf for others"
                    .into(),
            );
        }
        self.charges.clear();
        self.charges.extend(charges);
        let total: f64 = self.charges.iter().sum();
        if total.abs() > NEUTRAL {
            return failed(format!(
                "coulomb=ewald needs a neutral frame: the charge of this one is {total:.6} e"
            ));
        }
        let volume = cell.volume();
        // Points of the reciprocal lattice in half a sphere.
        let expected = volume * self.k_max.powi(3) / (12.0 * PI * PI);
        if expected > MOST_WAVES {
            return failed(format!(
                "coulomb=ewald takes {expected:.1e} waves for this cell: take a larger cutoff or a lower accuracy"
            ));
        }
        let reciprocal = cell.reciprocal();
        let b = reciprocal.map(|g| g.map(|x| 2.0 * PI * x));
        let sides = self.list(cell, b);
        self.factors.clear();
        self.factors.resize(self.weights.len(), [0.0; 2]);
        let blocks = || {
            places
                .chunks(LARGEST)
                .zip(self.charges.chunks(LARGEST))
                .enumerate()
        };
        for (_, (atoms, charges)) in blocks() {
            self.block.fill(reciprocal, atoms, charges, sides);
            waves::add_structure_factors(&self.block, &self.rows, &mut self.factors);
        }
        let scale = 2.0 * PI * K / volume;
        self.sum(b, scale, volume, sums);
        // From here on: the factors of the forces.
        for (factor, weight) in self.factors.iter_mut().zip(&self.weights) {
            // Two for the square, two for k and -k.
            *factor = factor.map(|x| 4.0 * scale * weight * x);
        }
        for (n, (atoms, charges)) in blocks() {
            let first = n * LARGEST;
            // A frame of one block has it still.
            if places.len() > LARGEST {
                self.block.fill(reciprocal, atoms, charges, sides);
            }
            let forces = &mut sums.forces[first..first + atoms.len()];
            waves::add_forces(&mut self.block, &self.rows, &self.factors, b, forces);
        }
        Ok(())
    }

    /// Lists the waves of half a sphere, and how far they reach along each side.
    fn list(&mut self, cell: &Cell, b: [[f64; 3]; 3]) -> Sides {
        self.rows.clear();
        self.weights.clear();
        let limit = self.k_max * self.k_max;
        let quarter = 0.25 / (self.alpha * self.alpha);
        // k · a = 2πn, so that |n| <= k_max |a| / 2π.
        let most = cell
            .vectors
            .map(|a| (self.k_max * norm(a) / (2.0 * PI)).floor() as i32);
        let mut sides = [0; 3];
        for n0 in 0..=most[0] {
            for n1 in -most[1]..=most[1] {
                let start = combine(b, [n0, n1, 0]);
                let mut row: Option<Row> = None;
                for n2 in -most[2]..=most[2] {
                    let first_half = (n0, n1, n2) > (0, 0, 0);
                    let k = [0, 1, 2].map(|d| start[d] + f64::from(n2) * b[2][d]);
                    let k2 = dot(k, k);
                    if !first_half || k2 > limit {
                        continue;
                    }
                    let wave = self.weights.len();
                    let row = row.get_or_insert(Row {
                        n: [n0, n1],
                        low: n2,
                        waves: wave..wave,
                    });
                    // A sphere is convex: the waves of a row have no gap.
                    row.waves.end = wave + 1;
                    self.weights.push(exp(-k2 * quarter) / k2);
                    let n = [n0, n1, n2].map(|n| n.unsigned_abs() as usize);
                    sides = [0, 1, 2].map(|d| n[d].max(sides[d]));
                }
                self.rows.extend(row);
            }
        }
        sides
    }

    /// Adds energy and stress.
    fn sum(&self, b: [[f64; 3]; 3], scale: f64, volume: f64, sums: &mut Sums<'_>) {
        let quarter = 0.25 / (self.alpha * self.alpha);
        let (mut energy, mut tensor) = (0.0, [[0.0; 3]; 3]);
        for row in &self.rows {
            for (wave, n2) in row.waves.clone().zip(row.low..) {
                let k = combine(b, [row.n[0], row.n[1], n2]);
                let [re, im] = self.factors[wave];
                let e = 2.0 * scale * self.weights[wave] * (re * re + im * im);
                energy += e;
                let factor = 2.0 * e * (1.0 / dot(k, k) + quarter);
                for a in 0..3 {
                    for c in a..3 {
                        tensor[a][c] += factor * (k[a] * k[c]);
                    }
                }
            }
        }
        *sums.energy += energy;
        for a in 0..3 {
            tensor[a][a] -= energy;
            for c in a..3 {
                sums.stress[a][c] += tensor[a][c] / volume;
                sums.stress[c][a] = sums.stress[a][c];
            }
        }
    }
}

/// `n @ b`.
fn combine(b: [[f64; 3]; 3], n: [i32; 3]) -> [f64; 3] {
    let n = n.map(f64::from);
    [0, 1, 2].map(|d| n[0] * b[0][d] + n[1] * b[1][d] + n[2] * b[2][d])
}
