//! Linked cells ("bins") that hold the atoms of the reduced cell and, around them, their images: what full lists are read
//! from.
//!
//! An atom or image has a *slot*. Slots are sorted by bin, the first axis fastest, so that the bins of a row, and with a
//! cell smaller than the cutoff all bins, are one range of slots: a sphere is a few ranges, which are looked at in vectors.

use super::sphere::{SAME_PLACE, sieve};
use super::wrap::Wrapped;
use super::{LANES, NeighborError};
use crate::domain::cell::dot;

/// Slots that there may be; more is an error rather than the end of the memory.
const MOST: usize = 1 << 25;

/// Atoms and images in bins, in memory that is kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Halo {
    /// Along each axis: bins of the cell, bins of images on either side of it, both together.
    bins: [usize; 3],
    margin: [usize; 3],
    all: [usize; 3],
    /// Å.
    width: [f64; 3],
    orthogonal: bool,
    /// Sorted: index in the frame, place in the cell (Å).
    order: Vec<u32>,
    inside: [Vec<f64>; 3],
    /// The bin of the cell of each atom of the frame, and the first sorted atom of each bin; one more at the end.
    keys: Vec<u32>,
    home: Vec<u32>,
    /// The first slot of each bin; one more at the end.
    starts: Vec<u32>,
    /// The sorted atom of each slot.
    atoms: Vec<u32>,
    /// Å; longer by one vector.
    places: [Vec<f64>; 3],
    /// Rows of bins around a bin.
    rows: Vec<Row>,
    /// What is near the present bin.
    ranges: Vec<Slots>,
}

/// A range of slots.
pub(super) type Slots = std::ops::Range<u32>;

/// A row of bins that can hold neighbours: offsets along the second and third axis, reach along the first.
#[derive(Clone, Copy, Debug)]
struct Row {
    y: isize,
    z: isize,
    reach: isize,
}

/// Which bins are visited.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Which {
    /// Bins of the cell itself.
    Atoms,
    /// Those of them whose surroundings hold images.
    AtomsAtTheEdge,
    /// Bins of images.
    Images,
}

impl Halo {
    /// Sorts the atoms and puts their images within `distance` (Å) of the cell around them, in bins made for neighbours
    /// within `cutoff` (Å).
    pub fn lay(
        &mut self,
        wrapped: &Wrapped,
        distance: f64,
        cutoff: f64,
    ) -> Result<(), NeighborError> {
        self.orthogonal = wrapped.lattice.is_orthogonal();
        self.plan(wrapped, distance, cutoff);
        self.sort(wrapped);
        self.surround(wrapped, distance)
    }

    /// Chooses bins by estimated cost.
    fn plan(&mut self, wrapped: &Wrapped, distance: f64, cutoff: f64) {
        let (extent, periodic) = (wrapped.extent, wrapped.lattice.periodic);
        let atoms = wrapped.places.len();
        let mut best = f64::INFINITY;
        for divisor in [1.0, 2.0, 3.0] {
            // Shorter along the first axis: there they cost nothing.
            let wanted = [0.5, 1.0, 1.0].map(|share| share * cutoff / divisor);
            let mut bins = [0, 1, 2].map(|k| {
                // A little wider than asked for, so that a bin of exactly the cutoff reaches one bin, not two.
                (extent[k] / (wanted[k] * 1.00001)).floor().clamp(1.0, 1e9)
            });
            let most = (2 * atoms).max(27) as f64;
            while bins.iter().product::<f64>() > most {
                let widest = (0..3).fold(0, |w, k| if bins[k] > bins[w] { k } else { w });
                bins[widest] = (bins[widest] / 2.0).ceil();
            }
            let width = [0, 1, 2].map(|k| extent[k] / bins[k]);
            let reach = |far: f64| [0, 1, 2].map(|k| reach(far, width[k]));
            let margin = {
                let far = reach(distance);
                [0, 1, 2].map(|k| if periodic[k] { far[k] } else { 0.0 })
            };
            let all = [0, 1, 2].map(|k| bins[k] + 2.0 * margin[k]);
            let seen = {
                let far = reach(cutoff);
                [0, 1, 2].map(|k| (2.0 * far[k] + 1.0).min(all[k]))
            };
            let product = |x: [f64; 3]| x[0] * x[1] * x[2];
            let per_bin = atoms as f64 / product(bins);
            // In units of a vector of candidates: rows, candidates, and for each atom its share of bins and slots.
            let rows = seen[1] * seen[2];
            let cost = rows * (1.5 + seen[0] * per_bin / LANES as f64)
                + product(all) / product(bins) * (0.5 + 0.5 / per_bin.max(1e-3));
            if cost < best {
                best = cost;
                self.bins = bins.map(|x| x as usize);
                self.margin = margin.map(|x| x as usize);
                self.width = width;
            }
        }
        self.all = [0, 1, 2].map(|k| self.bins[k] + 2 * self.margin[k]);
    }

    /// Counting sort by bin; stable, so that the order depends on the frame alone.
    fn sort(&mut self, wrapped: &Wrapped) {
        let bins = self.bins;
        let scale = wrapped.scale();
        self.home.clear();
        self.home.resize(bins.iter().product::<usize>() + 1, 0);
        self.keys.clear();
        for fraction in &wrapped.fractions {
            let [x, y, z] = [0, 1, 2]
                .map(|k| ((fraction[k] * scale[k] * bins[k] as f64) as usize).min(bins[k] - 1));
            let key = x + bins[0] * (y + bins[1] * z);
            self.keys.push(key as u32);
            self.home[key] += 1;
        }
        let mut sum = 0;
        for start in &mut self.home {
            sum += std::mem::replace(start, sum);
        }
        self.order.resize(wrapped.fractions.len(), 0);
        for (atom, key) in self.keys.iter().enumerate() {
            let at = &mut self.home[*key as usize];
            self.order[*at as usize] = atom as u32;
            *at += 1;
        }
        // Filling moved every start to the next one.
        self.home.rotate_right(1);
        self.home[0] = 0;
        for (d, inside) in self.inside.iter_mut().enumerate() {
            inside.clear();
            let order = self.order.iter();
            inside.extend(order.map(|atom| wrapped.places[*atom as usize][d]));
        }
    }

    /// Fills all bins from those of the cell.
    fn surround(&mut self, wrapped: &Wrapped, distance: f64) -> Result<(), NeighborError> {
        let (margin, all) = (self.margin, self.all);
        self.starts.clear();
        self.atoms.clear();
        self.places.iter_mut().for_each(Vec::clear);
        let [mut y, mut z] = [Walk::new(self, 1), Walk::new(self, 2)];
        for _ in 0..all[2] {
            for _ in 0..all[1] {
                // Nothing is near the cell beyond this along the row.
                let reach = if self.orthogonal {
                    let rest = distance * distance - y.gap * y.gap - z.gap * z.gap;
                    if rest > 0.0 {
                        (reach(rest.sqrt(), self.width[0]) as usize).min(margin[0])
                    } else {
                        usize::MAX
                    }
                } else {
                    margin[0]
                };
                if reach == usize::MAX {
                    self.leave_empty(all[0]);
                } else {
                    self.leave_empty(margin[0] - reach);
                    self.surround_row(wrapped, reach, [&y, &z]);
                    self.leave_empty(margin[0] - reach);
                }
                if self.atoms.len() > MOST {
                    return Err(super::cluster::too_many("images of atoms", distance));
                }
                y.step();
            }
            y = Walk::new(self, 1);
            z.step();
        }
        self.leave_empty(1);
        for places in &mut self.places {
            places.extend([f64::INFINITY; LANES]);
        }
        Ok(())
    }

    /// So many bins without slots.
    fn leave_empty(&mut self, bins: usize) {
        let here = self.atoms.len() as u32;
        self.starts.resize(self.starts.len() + bins, here);
    }

    /// Fills the bins of a row that are at most `reach` bins away from the cell.
    fn surround_row(&mut self, wrapped: &Wrapped, reach: usize, [y, z]: [&Walk; 2]) {
        let bins = self.bins[0];
        let row = bins * (y.bin + self.bins[1] * z.bin);
        let mut x = Walk::new(self, 0);
        x.skip(self.margin[0] - reach);
        let mut left = bins + 2 * reach;
        // Pieces of the row that lie in one image.
        while left > 0 {
            let count = (bins - x.bin).min(left);
            let home = &self.home[row + x.bin..=row + x.bin + count];
            let (first, last) = (home[0], home[count]);
            let base = self.atoms.len() as u32;
            let starts = home[..count].iter();
            self.starts
                .extend(starts.map(|start| base + (start - first)));
            if first < last {
                let shift = wrapped.lattice.shift([x.image, y.image, z.image]);
                let piece = first as usize..last as usize;
                self.atoms.extend(first..last);
                for ((places, inside), shift) in self.places.iter_mut().zip(&self.inside).zip(shift)
                {
                    places.extend(inside[piece.clone()].iter().map(|x| x + shift));
                }
            }
            left -= count;
            x.bin = 0;
            x.image += 1;
        }
    }

    /// Lists the rows of bins within `distance` (Å) of a bin, for [`for_each_bin`](Self::for_each_bin).
    pub fn look_around(&mut self, distance: f64) {
        let most = self.all.map(|n| n as f64 - 1.0);
        let far = [0, 1, 2].map(|k| reach(distance, self.width[k]).min(most[k]) as isize);
        self.rows.clear();
        for z in -far[2]..=far[2] {
            for y in -far[1]..=far[1] {
                let mut along = distance;
                if self.orthogonal {
                    // Atoms that rounding put into the next bin are that much nearer.
                    let gap = |n: isize, width: f64| ((n.abs() - 1) as f64 - 1e-6).max(0.0) * width;
                    let (gy, gz) = (gap(y, self.width[1]), gap(z, self.width[2]));
                    let rest = distance * distance - gy * gy - gz * gz;
                    if rest <= 0.0 {
                        continue;
                    }
                    along = rest.sqrt();
                }
                let reach = reach(along, self.width[0]).min(most[0]) as isize;
                self.rows.push(Row { y, z, reach });
            }
        }
    }

    /// Visits bins that are not empty, with their slots and, as ranges, all that may be within the distance last given to
    /// [`look_around`](Self::look_around).
    pub fn for_each_bin(&mut self, which: Which, mut visit: impl FnMut(&Self, Slots, &[Slots])) {
        let mut ranges = std::mem::take(&mut self.ranges);
        let (all, margin, bins) = (self.all, self.margin, self.bins);
        let here = |k: usize, n: usize| (margin[k]..margin[k] + bins[k]).contains(&n);
        for z in 0..all[2] {
            for y in 0..all[1] {
                let inside = here(2, z) && here(1, y);
                let cell = margin[0]..margin[0] + bins[0];
                let row = all[0] * (y + all[1] * z);
                let mut x = 0;
                while x < all[0] {
                    if (inside && cell.contains(&x)) == (which == Which::Images) {
                        // The other kind: to the end of it.
                        x = if inside && x < cell.start {
                            cell.start
                        } else if inside && x < cell.end {
                            cell.end
                        } else {
                            all[0]
                        };
                        continue;
                    }
                    let slots = self.starts[row + x]..self.starts[row + x + 1];
                    if !slots.is_empty() {
                        let inner = self.gather([x, y, z], &mut ranges);
                        if which != Which::AtomsAtTheEdge || !inner {
                            visit(self, slots, &ranges);
                        }
                    }
                    x += 1;
                }
            }
        }
        self.ranges = ranges;
    }

    /// The slots around a bin as few ranges. Says whether all of them are of the cell.
    fn gather(&self, [x, y, z]: [usize; 3], ranges: &mut Vec<Slots>) -> bool {
        let all = self.all.map(|n| n as isize);
        let [x, y, z] = [x, y, z].map(|n| n as isize);
        let home = |k: usize, n: isize| {
            let n = n - self.margin[k] as isize;
            0 <= n && n < self.bins[k] as isize
        };
        let mut inner = true;
        ranges.clear();
        for row in &self.rows {
            let (y, z) = (y + row.y, z + row.z);
            if !((0..all[1]).contains(&y) && (0..all[2]).contains(&z)) {
                continue;
            }
            let (low, high) = ((x - row.reach).max(0), (x + row.reach).min(all[0] - 1));
            inner &= home(1, y) && home(2, z) && home(0, low) && home(0, high);
            let base = all[0] * (y + all[1] * z);
            let start = self.starts[(base + low) as usize];
            let end = self.starts[(base + high) as usize + 1];
            match ranges.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ if start == end => {}
                _ => ranges.push(start..end),
            }
        }
        inner
    }

    /// Number of slots.
    pub fn len(&self) -> usize {
        self.atoms.len()
    }

    /// The sorted atom of a slot.
    pub fn atom(&self, slot: u32) -> u32 {
        self.atoms[slot as usize]
    }

    /// Index in the frame of each sorted atom.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// Visits the slot of each sorted atom of the cell itself.
    pub fn for_each_atom(&self, mut visit: impl FnMut(u32, u32)) {
        let (all, margin, bins) = (self.all, self.margin, self.bins);
        for z in 0..bins[2] {
            for y in 0..bins[1] {
                let row = bins[0] * (y + bins[1] * z);
                let bin = margin[0] + all[0] * (y + margin[1] + all[1] * (z + margin[2]));
                let first = self.starts[bin];
                let atoms = self.home[row]..self.home[row + bins[0]];
                for (n, atom) in atoms.enumerate() {
                    visit(first + n as u32, atom);
                }
            }
        }
    }

    /// The place (Å) of a slot.
    pub fn place(&self, slot: u32) -> [f64; 3] {
        self.places.each_ref().map(|x| x[slot as usize])
    }

    /// Writes the slots of `ranges` that are nearer to `r` than the square root of `limit`, in their order, into `found`;
    /// how many. `found` has room for all of them and [`LANES`] more.
    ///
    /// Those at `r` itself are left out, and counted: more than one are [`coincident`](Self::coincident).
    pub fn sieve(
        &self,
        ranges: &[Slots],
        r: [f64; 3],
        limit: f64,
        found: &mut [u32],
    ) -> (usize, u32) {
        sieve(&self.places, ranges, r, limit, found)
    }

    /// The atoms of the frame at `r`, two of them, as one pair.
    pub fn coincident(&self, ranges: &[Slots], r: [f64; 3]) -> Option<(u32, u32)> {
        let slots = ranges.iter().cloned().flatten();
        let mut here = slots.filter(|slot| {
            let place = self.place(*slot);
            let far = [0, 1, 2].map(|d| place[d] - r[d]);
            dot(far, far) < SAME_PLACE * SAME_PLACE
        });
        let atom = |slot| self.order[self.atoms[slot as usize] as usize];
        let (a, b) = (atom(here.next()?), atom(here.next()?));
        Some((a.min(b), a.max(b)))
    }
}

/// Bins of this width that `distance` reaches over. The margin covers atoms that rounding put into the next bin.
fn reach(distance: f64, width: f64) -> f64 {
    (distance / width + 1e-6).ceil()
}

/// A walk over all bins of an axis: the bin of the cell of which the present one is an image, and which image.
#[derive(Clone, Copy, Debug)]
struct Walk {
    bin: usize,
    image: i32,
    /// Å at least between the present bin and the cell.
    gap: f64,
    place: isize,
    bins: usize,
    width: f64,
}

impl Walk {
    /// At the first bin.
    fn new(halo: &Halo, axis: usize) -> Self {
        let (bins, margin) = (halo.bins[axis], halo.margin[axis]);
        let images = margin.div_ceil(bins);
        let mut walk = Self {
            bin: images * bins - margin,
            image: -(images as i32),
            gap: 0.0,
            place: -(margin as isize),
            bins,
            width: halo.width[axis],
        };
        walk.measure();
        walk
    }

    fn measure(&mut self) {
        let outside = (-1 - self.place).max(self.place - self.bins as isize);
        // Atoms that rounding put into the next bin are that much nearer.
        self.gap = (outside as f64 - 1e-6).max(0.0) * self.width;
    }

    /// To the next bin.
    fn step(&mut self) {
        self.place += 1;
        self.bin += 1;
        if self.bin == self.bins {
            self.bin = 0;
            self.image += 1;
        }
        self.measure();
    }

    /// So many bins farther.
    fn skip(&mut self, count: usize) {
        self.bin += count;
        self.image += (self.bin / self.bins) as i32;
        self.bin %= self.bins;
    }
}
