//! The atoms of a frame in the reduced cell.

use super::lattice::Lattice;
use super::{MAX_IMAGES, NeighborError};
use crate::domain::cell::{Cell, dot, norm};
use crate::domain::frame::Frame;

/// Atoms this many cells away from the cell have no decimals left to compute with.
const FAR_AWAY: f64 = 1e9;

/// Wrapped atoms in the order of their frame, in memory that is kept.
#[derive(Clone, Debug)]
pub(super) struct Wrapped {
    pub lattice: Lattice,
    /// Along each axis (Å): height of the cell; where open, the spread of the atoms.
    pub extent: [f64; 3],
    /// Fraction of the cell (0..=1); where open, Å from the first atom along it.
    pub fractions: Vec<[f64; 3]>,
    /// Å: x, y, z and a zero.
    pub places: Vec<[f64; 4]>,
    /// Cells by which each was moved.
    pub moves: Vec<[i32; 3]>,
}

impl Default for Wrapped {
    fn default() -> Self {
        Self {
            lattice: Lattice {
                vectors: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
                reciprocal: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
                periodic: [false; 3],
                heights: [1.0; 3],
                transform: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
            },
            extent: [1.0; 3],
            fractions: Vec::new(),
            places: Vec::new(),
            moves: Vec::new(),
        }
    }
}

/// The whole number at or below `u`, for numbers up to [`FAR_AWAY`]: not a call of the C library.
fn floor(u: f64) -> f64 {
    const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52
    let nearest = u + ROUND - ROUND;
    if nearest > u { nearest - 1.0 } else { nearest }
}

impl Wrapped {
    /// Reduces the cell and wraps the atoms of `frame` into it.
    ///
    /// Fails when the cell has a [`Cell::defect`], a position is not finite or absurdly far from a periodic cell, or
    /// `cutoff` reaches over more than [`MAX_IMAGES`] images.
    pub fn update(&mut self, frame: &Frame<'_>, cutoff: f64) -> Result<(), NeighborError> {
        self.lattice = Lattice::new(&frame.cell)?;
        self.check_images(&frame.cell, cutoff)?;
        self.place(frame)
    }

    fn check_images(&self, cell: &Cell, cutoff: f64) -> Result<(), NeighborError> {
        let images: f64 = (0..3)
            .filter(|&k| self.lattice.periodic[k])
            .map(|k| 2.0 * (cutoff / self.lattice.heights[k]).ceil() + 1.0)
            .product();
        if images <= MAX_IMAGES {
            return Ok(());
        }
        let [a, b, c] = cell.vectors.map(norm);
        Err(NeighborError(format!(
            "a cutoff of {cutoff} Å reaches over {images:.0} images of the cell ({a:.3} x {b:.3} x {c:.3} Å), more \
             than {MAX_IMAGES:.0}: check the cell's unit or take a smaller cutoff"
        )))
    }

    fn place(&mut self, frame: &Frame<'_>) -> Result<(), NeighborError> {
        let lattice = &self.lattice;
        self.fractions.clear();
        self.places.clear();
        self.moves.clear();
        let (mut low, mut high) = ([f64::INFINITY; 3], [f64::NEG_INFINITY; 3]);
        for (atom, r) in frame.positions.iter().enumerate() {
            let mut fraction = [0.0; 3];
            let mut cells = [0.0; 3];
            for k in 0..3 {
                let u = dot(lattice.reciprocal[k], *r);
                if lattice.periodic[k] {
                    cells[k] = floor(u);
                    fraction[k] = u - cells[k];
                } else {
                    fraction[k] = u;
                    low[k] = low[k].min(u);
                    high[k] = high[k].max(u);
                }
                if !(u.is_finite() && cells[k].abs() <= FAR_AWAY) {
                    return Err(NeighborError(format!(
                        "atom {atom} at [{} {} {}] is not within {FAR_AWAY:e} cells of the cell",
                        r[0], r[1], r[2]
                    )));
                }
            }
            let move_by = cells.map(|s| s as i32);
            let mut wrapped = [r[0], r[1], r[2], 0.0];
            if move_by != [0; 3] {
                let shift = lattice.shift(move_by);
                for d in 0..3 {
                    wrapped[d] -= shift[d];
                }
            }
            self.fractions.push(fraction);
            self.places.push(wrapped);
            self.moves.push(move_by);
        }
        self.extent = lattice.heights;
        for k in (0..3).filter(|&k| !lattice.periodic[k]) {
            // Never zero, so that it can be divided by.
            self.extent[k] = (high[k] - low[k]).clamp(1.0, f64::MAX);
            for fraction in &mut self.fractions {
                fraction[k] -= low[k];
            }
        }
        Ok(())
    }

    /// Factors that turn fractions into those of the extent (0..=1).
    pub fn scale(&self) -> [f64; 3] {
        [0, 1, 2].map(|k| {
            if self.lattice.periodic[k] {
                1.0
            } else {
                1.0 / self.extent[k]
            }
        })
    }
}

/// Distinct species (atomic numbers), ascending.
pub(super) fn list_species(of_atoms: &[u8], distinct: &mut Vec<u8>) {
    let mut present = [false; 256];
    for z in of_atoms {
        present[usize::from(*z)] = true;
    }
    distinct.clear();
    distinct.extend((0..=u8::MAX).filter(|z| present[usize::from(*z)]));
}
