//! Linked cells ("bins") over the reduced cell.

use super::lattice::Lattice;
use super::{Candidates, Center, Image, Scratch};

/// Bins per direction and which of them hold neighbours.
#[derive(Clone, Debug, Default)]
pub(super) struct Grid {
    /// Bins along each axis; the first axis is contiguous in memory.
    pub bins: [usize; 3],
    /// Thickness of a bin along each axis (Å).
    width: [f64; 3],
    /// Rows of bins in half of all directions around a bin.
    rows: Vec<RowOffset>,
}

/// A row of neighbouring bins: offsets along the second and third axis, reach along the first.
#[derive(Clone, Copy, Debug)]
struct RowOffset {
    y: isize,
    z: isize,
    reach: isize,
}

impl Grid {
    /// Lays bins of about `cutoff / divisor` (half of that along the first axis) over `extent` (Å: the heights
    /// of the cell, or the spread of the atoms where open), `most` of them at most.
    pub fn plan(&mut self, extent: [f64; 3], most: usize, cutoff: f64, divisor: f64) {
        let mut bins = [0, 1, 2].map(|k| {
            let wanted = cutoff / divisor / if k == 0 { 2.0 } else { 1.0 };
            // A little wider than asked for, so that a bin of exactly the cutoff reaches one bin, not two.
            (extent[k] / (wanted * 1.00001)).floor().clamp(1.0, 1e9)
        });
        while bins.iter().product::<f64>() > most as f64 {
            let widest = if bins[0] >= bins[1].max(bins[2]) {
                0
            } else if bins[1] >= bins[2] {
                1
            } else {
                2
            };
            bins[widest] = (bins[widest] / 2.0).ceil();
        }
        self.width = [0, 1, 2].map(|k| extent[k] / bins[k]);
        self.bins = bins.map(|n| n as usize);
    }

    /// Takes over the bins of another one. Its own rows stay where they are, with their memory.
    pub fn adopt(&mut self, other: &Self) {
        self.bins = other.bins;
        self.width = other.width;
    }

    /// Bins to either side along `axis` that can hold atoms within `distance` of a bin.
    fn reach(&self, axis: usize, distance: f64, periodic: bool) -> isize {
        let most = if periodic {
            f64::MAX
        } else {
            (self.bins[axis] - 1) as f64
        };
        // The margin covers atoms that rounding put into the next bin.
        (distance / self.width[axis] + 1e-6).ceil().min(most) as isize
    }

    /// Estimated cost per atom, in candidate pairs; what a row and a block cost was measured with argon.
    pub fn cost(&self, atoms: usize, cutoff: f64, periodic: [bool; 3]) -> f64 {
        let reach = [0, 1, 2].map(|k| self.reach(k, cutoff, periodic[k]) as f64);
        let bins: f64 = self.bins.iter().map(|&n| n as f64).product();
        let per_bin = atoms as f64 / bins;
        let rows = (2.0 * reach[1] + 1.0) * (2.0 * reach[2] + 1.0) / 2.0;
        let row = 2.0 * reach[0] + 1.0;
        let segments = 1.0 + row / self.bins[0] as f64;
        rows * (row * per_bin + segments * (16.0 + 110.0 / per_bin.max(1.0)))
    }

    /// Lists the rows of bins around a bin.
    pub fn prepare(&mut self, lattice: &Lattice, cutoff: f64) {
        self.rows.clear();
        let orthogonal = lattice.is_orthogonal();
        let reach = [0, 1, 2].map(|k| self.reach(k, cutoff, lattice.periodic[k]));
        for z in 0..=reach[2] {
            for y in -reach[1]..=reach[1] {
                if z == 0 && y < 0 {
                    continue;
                }
                let mut along = cutoff;
                if orthogonal {
                    let gap = |n: isize, width: f64| (n.abs() - 1).max(0) as f64 * width;
                    let (gy, gz) = (gap(y, self.width[1]), gap(z, self.width[2]));
                    let rest = cutoff * cutoff * (1.0 + 1e-9) - gy * gy - gz * gz;
                    if rest <= 0.0 {
                        continue;
                    }
                    along = rest.sqrt();
                }
                let reach = self.reach(0, along, lattice.periodic[0]);
                self.rows.push(RowOffset { y, z, reach });
            }
        }
    }

    /// The bin of a point given in units of the whole extent (0..=1 along each axis).
    pub fn bin(&self, place: [f64; 3]) -> usize {
        let index = |k: usize| ((place[k] * self.bins[k] as f64) as usize).min(self.bins[k] - 1);
        index(0) + self.bins[0] * (index(1) + self.bins[1] * index(2))
    }

    /// Visits all candidate pairs. Atoms of species `a` in bin `b` are
    /// `starts[a * bins + b]..starts[a * bins + b + 1]` of `places`; `scratch` is overwritten.
    pub fn for_each_center(
        &self,
        lattice: &Lattice,
        starts: &[u32],
        species: usize,
        places: &[[f64; 4]],
        scratch: &mut Scratch,
        mut visit: impl FnMut(Center<'_>),
    ) {
        let bins = self.bins.iter().product::<usize>();
        let range = |species: usize, first: usize, last: usize| {
            starts[species * bins + first] as usize..starts[species * bins + last + 1] as usize
        };
        for home in 0..bins {
            for a in 0..species {
                let first = range(a, home, home);
                if first.is_empty() {
                    continue;
                }
                for b in 0..species {
                    let candidates = &mut scratch.candidates;
                    candidates.clear();
                    self.for_each_segment(home, lattice, |segment| {
                        // Within one bin each pair once: by index, and by species.
                        let skip = usize::from(segment.at_home && b < a);
                        if segment.first + skip > segment.last {
                            return;
                        }
                        let second = range(b, segment.first + skip, segment.last);
                        if !second.is_empty() {
                            candidates.push(Candidates {
                                second,
                                image: segment.image,
                            });
                        }
                    });
                    if !scratch.candidates.is_empty() {
                        scratch.around.gather(places, &scratch.candidates);
                        visit(Center {
                            first: first.clone(),
                            candidates: &scratch.candidates,
                            triangular: a == b,
                            species: (a, b),
                            around: Some(&scratch.around),
                        });
                    }
                }
            }
        }
    }

    /// Visits the bins around `home` as pieces of rows that lie in one image of the cell.
    fn for_each_segment(&self, home: usize, lattice: &Lattice, mut visit: impl FnMut(Segment)) {
        let [nx, ny, nz] = self.bins.map(|n| n as isize);
        let n = home as isize;
        let (x, y, z) = (n % nx, n / nx % ny, n / (nx * ny));
        for row in &self.rows {
            let Some((y, image_y)) = wrap(y + row.y, ny, lattice.periodic[1]) else {
                continue;
            };
            let Some((z, image_z)) = wrap(z + row.z, nz, lattice.periodic[2]) else {
                continue;
            };
            let base = nx * (y + ny * z);
            let own = row.y == 0 && row.z == 0;
            let mut low = if own { x } else { x - row.reach };
            let mut high = x + row.reach;
            if !lattice.periodic[0] {
                (low, high) = (low.max(0), high.min(nx - 1));
            }
            while low <= high {
                let image_x = low.div_euclid(nx);
                let end = high.min(image_x * nx + nx - 1);
                let image = [image_x, image_y, image_z].map(|s| s as i32);
                visit(Segment {
                    first: (base + low - image_x * nx) as usize,
                    last: (base + end - image_x * nx) as usize,
                    image: Image::Fixed {
                        image,
                        shift: lattice.shift(image),
                    },
                    at_home: own && low == x,
                });
                low = end + 1;
            }
        }
    }
}

/// Consecutive bins of one row, in one image.
struct Segment {
    first: usize,
    last: usize,
    image: Image,
    /// It begins with the home bin itself.
    at_home: bool,
}

/// Folds a bin index back into the cell: the index there, and which image it was in. `None` outside an open
/// direction.
fn wrap(index: isize, bins: isize, periodic: bool) -> Option<(isize, isize)> {
    if periodic {
        Some((index.rem_euclid(bins), index.div_euclid(bins)))
    } else {
        (0..bins).contains(&index).then_some((index, 0))
    }
}
