//! The atoms of a frame and the images around them as one open cluster, with full neighbour lists: what potentials
//! want that know no cells.
//!
//! Particles are the atoms, wrapped into the reduced cell and sorted, followed by their images (*ghosts*) that are
//! within the reach of an atom. An image at `r_j + S @ H` has the species of atom j; a force on it is a force on atom j
//! ([`fold`](Cluster::fold)), and contributes `f ⊗ (r_j + S @ H)` to the virial, since a strain moves it as it moves the
//! cell ([`virial`](Cluster::virial)).

use super::lattice::Lattice;
use super::{NeighborError, NeighborSearch, Pairs, Progress, Scratch};
use crate::domain::cell::dot;
use crate::domain::elements::symbol;
use crate::domain::frame::Frame;

/// Two atoms nearer than this (Å) are at the same place.
const SAME_PLACE: f64 = 1e-7;

/// Lists reach this much farther than asked for: whether a pair at the cutoff counts is for the potential to say.
const MARGIN: f64 = 1.0 + 1e-10;

/// Pairs and particles that a cluster may have; more is an error rather than the end of the memory.
const MOST: usize = 1 << 26;

/// No such particle.
const NONE: u32 = u32::MAX;

/// One neighbour list of a potential.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reach {
    /// Neighbours within this distance (Å).
    pub cutoff: f64,
    /// Whether ghosts have lists too, of the particles there are.
    pub of_ghosts: bool,
}

/// Particles and neighbour lists, in memory that is kept from frame to frame.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    search: NeighborSearch,
    scratch: Scratch,
    pairs: Box<Pairs>,
    positions: Vec<[f64; 3]>,
    /// Of each particle: sorted atom and image of the reduced cell.
    origins: Vec<(u32, [i32; 3])>,
    table: Table,
    half: Vec<Half>,
    lists: Vec<List>,
    offsets: Vec<u32>,
}

/// Two neighbours: atom `i` sees the particle `right`, and what that is an image of sees the particle `left`.
#[derive(Clone, Copy, Debug)]
struct Half {
    i: u32,
    right: u32,
    j: u32,
    left: u32,
    /// Å².
    r2: f64,
}

/// Full lists one after the other.
#[derive(Clone, Debug, Default)]
struct List {
    starts: Vec<u32>,
    neighbors: Vec<i32>,
}

/// Which particle an image of an atom is.
#[derive(Clone, Debug, Default)]
struct Table {
    /// Images beyond this are none.
    reach: [i32; 3],
    width: [usize; 3],
    particles: Vec<u32>,
}

impl Table {
    /// Empty, for the images that atoms of the reduced cell can have within `distance`.
    fn prepare(
        &mut self,
        lattice: &Lattice,
        distance: f64,
        atoms: usize,
    ) -> Result<(), NeighborError> {
        for k in 0..3 {
            // Wrapped atoms are less than a cell apart.
            let far = (distance / lattice.heights[k] + 1e-6).ceil();
            self.reach[k] = if lattice.periodic[k] { far as i32 } else { 0 };
            self.width[k] = 2 * self.reach[k] as usize + 1;
        }
        let size = self.width.iter().product::<usize>().saturating_mul(atoms);
        if size > 16 * MOST {
            return Err(too_many("images of atoms", distance));
        }
        self.particles.clear();
        self.particles.resize(size, NONE);
        Ok(())
    }

    /// The place of an image; `None` where it cannot be within reach.
    fn place(&self, atom: u32, image: [i32; 3]) -> Option<usize> {
        let mut place = atom as usize;
        for k in 0..3 {
            if image[k].abs() > self.reach[k] {
                return None;
            }
            place = place * self.width[k] + (image[k] + self.reach[k]) as usize;
        }
        Some(place)
    }

    /// The particle, if there is one.
    fn find(&self, atom: u32, image: [i32; 3]) -> Option<u32> {
        if image == [0; 3] {
            return Some(atom);
        }
        let found = *self.particles.get(self.place(atom, image)?)?;
        (found != NONE).then_some(found)
    }
}

fn too_many(what: &str, distance: f64) -> NeighborError {
    NeighborError(format!(
        "a distance of {distance} Å gives too many {what}: check the unit of positions and cell"
    ))
}

impl Cluster {
    /// Particles and lists of `frame`: all images within `influence` (Å) of an atom or within the largest cutoff, and
    /// one list for each of `reaches`.
    ///
    /// Fails as [`NeighborSearch::update`] does, when two atoms are at the same place, and when there are too many pairs.
    pub fn update(
        &mut self,
        frame: &Frame<'_>,
        influence: f64,
        reaches: &[Reach],
    ) -> Result<(), NeighborError> {
        let largest = reaches.iter().fold(influence, |r, list| r.max(list.cutoff));
        self.search.update(frame, largest * MARGIN)?;
        self.begin(largest * MARGIN)?;
        self.find_pairs(frame)?;
        self.lists.resize_with(reaches.len(), List::default);
        for (n, reach) in reaches.iter().enumerate() {
            self.fill(n, reach);
        }
        Ok(())
    }

    /// Particles are the atoms.
    fn begin(&mut self, distance: f64) -> Result<(), NeighborError> {
        let places = self.search.places();
        self.positions.clear();
        self.positions
            .extend(places.iter().map(|r| [r[0], r[1], r[2]]));
        self.origins.clear();
        self.origins
            .extend((0..places.len() as u32).map(|atom| (atom, [0; 3])));
        self.half.clear();
        self.table
            .prepare(self.search.lattice(), distance, places.len())
    }

    /// Lists the pairs, and makes a ghost of every image among them.
    fn find_pairs(&mut self, frame: &Frame<'_>) -> Result<(), NeighborError> {
        let Self {
            search,
            scratch,
            pairs,
            positions,
            origins,
            table,
            half,
            ..
        } = self;
        let lattice = search.lattice();
        let places = search.places();
        let limit = search.cutoff() * search.cutoff();
        let open = lattice.periodic == [false; 3];
        // Every lattice vector is longer than half the smallest height.
        let height = lattice.heights.iter().fold(f64::INFINITY, |l, h| l.min(*h));
        let nothing = 0.25 * height * height;
        let mut coincident: Option<(u32, u32)> = None;
        let mut failed = None;
        let mut ghost = |atom: u32, image: [i32; 3]| -> Option<u32> {
            let place = table.place(atom, image)?;
            let particle = &mut table.particles[place];
            if *particle == NONE {
                *particle = positions.len() as u32;
                let (r, shift) = (places[atom as usize], lattice.shift(image));
                positions.push([0, 1, 2].map(|d| r[d] + shift[d]));
                origins.push((atom, image));
            }
            Some(*particle)
        };
        search.for_each_center(scratch, |center| {
            let mut progress = Progress::new(&center);
            while failed.is_none() && search.next_pairs(&center, &mut progress, pairs) {
                let (rows, second, [x, y, z]) = pairs.parts();
                for row in rows {
                    let i = row.first;
                    let from = places[i as usize];
                    for n in row.start as usize..row.end as usize {
                        let (j, r) = (second[n], [x[n], y[n], z[n]]);
                        let r2 = dot(r, r);
                        if r2 >= limit {
                            continue;
                        }
                        let (mut right, mut left) = (j, i);
                        if !open {
                            let to = places[j as usize];
                            let shift = [0, 1, 2].map(|d| r[d] - (to[d] - from[d]));
                            if dot(shift, shift) > nothing {
                                let image = whole(lattice, shift);
                                let both = ghost(j, image).zip(ghost(i, image.map(|s| -s)));
                                let Some(both) = both else {
                                    failed = Some(too_many("images of the cell", search.cutoff()));
                                    return;
                                };
                                (right, left) = both;
                            }
                        }
                        if r2 < SAME_PLACE * SAME_PLACE {
                            let order = search.order();
                            let (a, b) = (order[i as usize], order[j as usize]);
                            let pair = (a.min(b), a.max(b));
                            coincident = Some(coincident.map_or(pair, |found| found.min(pair)));
                        }
                        half.push(Half {
                            i,
                            right,
                            j,
                            left,
                            r2,
                        });
                    }
                }
                if half.len() > MOST {
                    failed = Some(too_many("pairs of atoms", search.cutoff()));
                }
            }
        });
        if let Some((i, j)) = coincident {
            let name = |atom: u32| symbol(frame.species[atom as usize]);
            return Err(NeighborError(format!(
                "atoms {i} ({}) and {j} ({}) are at the same place",
                name(i),
                name(j)
            )));
        }
        failed.map_or(Ok(()), Err)
    }

    /// Fills list `n` from the pairs: first those of atoms, then, if wanted, those of ghosts.
    fn fill(&mut self, n: usize, reach: &Reach) {
        let atoms = self.search.len();
        let limit = (reach.cutoff * MARGIN).powi(2);
        let list = &mut self.lists[n];
        let near = || self.half.iter().filter(|pair| pair.r2 < limit);
        list.starts.clear();
        list.starts.resize(atoms + 1, 0);
        for pair in near() {
            list.starts[pair.i as usize + 1] += 1;
            list.starts[pair.j as usize + 1] += 1;
        }
        for atom in 0..atoms {
            list.starts[atom + 1] += list.starts[atom];
        }
        let total = list.starts[atoms] as usize;
        list.neighbors.resize(total, 0);
        self.offsets.clear();
        self.offsets.extend_from_slice(&list.starts[..atoms]);
        for pair in near() {
            for (atom, neighbor) in [(pair.i, pair.right), (pair.j, pair.left)] {
                let at = &mut self.offsets[atom as usize];
                list.neighbors[*at as usize] = neighbor as i32;
                *at += 1;
            }
        }
        if !reach.of_ghosts {
            return;
        }
        for (atom, image) in &self.origins[atoms..] {
            // What its atom sees, moved along.
            let seen =
                list.starts[*atom as usize] as usize..list.starts[*atom as usize + 1] as usize;
            for at in seen {
                let (other, moved) = self.origins[list.neighbors[at] as usize];
                let moved = [0, 1, 2].map(|k| moved[k] + image[k]);
                if let Some(particle) = self.table.find(other, moved) {
                    list.neighbors.push(particle as i32);
                }
            }
            list.starts.push(list.neighbors.len() as u32);
        }
    }

    /// Number of particles.
    pub fn len(&self) -> usize {
        self.positions.len()
    }

    /// True for a frame without atoms.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// Number of particles that are atoms: the first ones.
    pub fn atoms(&self) -> usize {
        self.search.len()
    }

    /// Distinct species of the frame (atomic numbers), ascending.
    pub fn species(&self) -> &[u8] {
        self.search.species()
    }

    /// Positions of the particles (Å).
    pub fn positions(&self) -> &[[f64; 3]] {
        &self.positions
    }

    /// Index in the frame of the atom that each particle is or is an image of.
    pub fn origins(&self) -> impl Iterator<Item = usize> + '_ {
        let order = self.search.order();
        let origins = self.origins.iter();
        origins.map(|(atom, _)| order[*atom as usize] as usize)
    }

    /// The neighbours of a particle in list `list`, each of them once; `None` where it has no such list.
    pub fn neighbors(&self, list: usize, particle: usize) -> Option<&[i32]> {
        let list = self.lists.get(list)?;
        let (start, end) = (list.starts.get(particle)?, list.starts.get(particle + 1)?);
        list.neighbors.get(*start as usize..*end as usize)
    }

    /// Adds what acts on each particle, times `factor`, to what acts on the atoms of the frame.
    pub fn fold(&self, on_particles: &[[f64; 3]], factor: f64, on_atoms: &mut [[f64; 3]]) {
        for (atom, f) in self.origins().zip(on_particles) {
            for d in 0..3 {
                on_atoms[atom][d] += factor * f[d];
            }
        }
    }

    /// `Σ f ⊗ r` over all particles, symmetric: minus the derivative of the energy by strain.
    pub fn virial(&self, on_particles: &[[f64; 3]]) -> [[f64; 3]; 3] {
        let mut sum = [[0.0; 3]; 3];
        for (r, f) in self.positions.iter().zip(on_particles) {
            for a in 0..3 {
                for b in 0..3 {
                    sum[a][b] += f[a] * r[b];
                }
            }
        }
        // Without a torque on the whole they are the same up to rounding.
        [0, 1, 2].map(|a| [0, 1, 2].map(|b| 0.5 * (sum[a][b] + sum[b][a])))
    }
}

/// The lattice vector `shift` (Å) in units of the reduced cell.
fn whole(lattice: &Lattice, shift: [f64; 3]) -> [i32; 3] {
    [0, 1, 2].map(|k| {
        if lattice.periodic[k] {
            dot(lattice.reciprocal[k], shift).round_ties_even() as i32
        } else {
            0
        }
    })
}
