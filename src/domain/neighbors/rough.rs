//! Rough positions in 32 bits, and the cutoff that fits them.

use super::lattice::Lattice;

/// Candidates looked at together.
pub const WIDTH: usize = 16;

/// Whole numbers along an open direction.
const OPEN_STEPS: f64 = (1_u32 << 30) as f64;

/// Whole numbers along a periodic direction.
const PERIODIC_STEPS: f64 = (1_u64 << 32) as f64;

/// Coordinates of sorted atoms in 32 bits, one array per component, and the square of the rough cutoff.
#[derive(Clone, Debug, Default)]
pub struct Rough {
    /// Å; filled for fixed images.
    pub single: [Vec<f32>; 3],
    /// Filled for nearest images.
    pub whole: [Vec<i32>; 3],
    /// Rows: Å per whole number.
    pub step: [[f32; 3]; 3],
    pub diagonal: bool,
    /// Å².
    pub limit: f32,
}

impl Rough {
    /// For fixed images.
    pub fn set_fixed(&mut self, places: &[[f64; 4]], lattice: &Lattice, cutoff: f64) {
        let mut largest = 0.0_f64;
        for d in 0..3 {
            let array = &mut self.single[d];
            array.clear();
            array.extend(places.iter().map(|r| r[d] as f32));
            array.extend([f32::INFINITY; WIDTH]);
            largest = places.iter().fold(largest, |l, r| l.max(r[d].abs()));
        }
        // Images lie a cutoff and a cell beyond the cell.
        for k in (0..3).filter(|&k| lattice.periodic[k]) {
            let v = lattice.vectors[k];
            largest += v.iter().fold(0.0_f64, |l, x| l.max(x.abs())) + cutoff;
        }
        self.limit = limit(cutoff, largest + cutoff);
    }

    /// For nearest images, from fractions of the cell (Å where open) of the sorted atoms.
    pub fn set_nearest(
        &mut self,
        fractions: impl Iterator<Item = [f64; 3]>,
        extent: [f64; 3],
        lattice: &Lattice,
        cutoff: f64,
    ) {
        let steps = [0, 1, 2].map(|k| {
            if lattice.periodic[k] {
                PERIODIC_STEPS
            } else {
                OPEN_STEPS / extent[k]
            }
        });
        self.whole.iter_mut().for_each(Vec::clear);
        for fraction in fractions {
            for k in 0..3 {
                // The last one of a periodic direction is the first one again.
                self.whole[k].push((fraction[k] * steps[k]) as i64 as i32);
            }
        }
        for array in &mut self.whole {
            array.extend([0; WIDTH]);
        }
        self.step = [0, 1, 2].map(|k| lattice.vectors[k].map(|x| (x / steps[k]) as f32));
        self.diagonal = lattice.is_diagonal();
        let across = lattice.vectors.iter().zip(extent).map(|(v, open)| {
            let longest = v.iter().fold(0.0_f64, |l, x| l.max(x.abs()));
            longest.max(open)
        });
        self.limit = limit(cutoff, across.sum());
    }
}

/// Square of the rough cutoff for coordinates up to `largest`.
fn limit(cutoff: f64, largest: f64) -> f32 {
    let rough = cutoff + 16.0 * f64::from(f32::EPSILON) * largest;
    (rough * rough * (1.0 + 1e-5)) as f32
}
