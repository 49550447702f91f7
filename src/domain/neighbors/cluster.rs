//! The atoms of a frame and the images around them as one open cluster, with full neighbour lists: what potentials
//! want that know no cells.
//!
//! Particles are the atoms, wrapped into the reduced cell and sorted, followed by their images (*ghosts*) that are
//! within the reach of an atom. An image at `r_j + S @ H` has the species of atom j; a force on it is a force on atom j
//! ([`fold`](Cluster::fold)), and contributes `f ⊗ (r_j + S @ H)` to the virial, since a strain moves it as it moves the
//! cell ([`virial`](Cluster::virial)).

use super::halo::{Halo, Which};
use super::sphere::number;
use super::wrap::{Wrapped, list_species};
use super::{LANES, NeighborError};
use crate::domain::elements::symbol;
use crate::domain::frame::Frame;

/// Lists reach this much farther than asked for: whether a pair at the cutoff counts is for the potential to say.
const MARGIN: f64 = 1.0 + 1e-10;

/// Neighbours that a list may have; more is an error rather than the end of the memory.
const MOST: usize = 1 << 27;

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
    wrapped: Wrapped,
    halo: Halo,
    species: Vec<u8>,
    particles: Particles,
    lists: Vec<List>,
    /// For each list asked for: one that was made, and whether ghosts have it.
    asked: Vec<(usize, bool)>,
    found: Vec<u32>,
}

/// The particles that there are so far, and which slots of the halo they are.
#[derive(Clone, Debug, Default)]
struct Particles {
    positions: Vec<[f64; 3]>,
    /// Index in the frame.
    origins: Vec<u32>,
    /// The particle of each slot, or [`NONE`].
    of_slots: Vec<u32>,
}

/// Full lists, and where in them that of each particle is.
#[derive(Clone, Debug)]
struct List {
    reach: Reach,
    spans: Vec<[u32; 2]>,
    neighbors: Vec<i32>,
    /// Of the neighbours, those in use.
    len: usize,
}

pub(super) fn too_many(what: &str, distance: f64) -> NeighborError {
    NeighborError(format!(
        "a distance of {distance} Å gives too many {what}: check the unit of positions and cell"
    ))
}

impl Particles {
    /// The particle of a slot, which becomes one if it is none.
    fn take(&mut self, halo: &Halo, slot: u32) -> u32 {
        let particle = &mut self.of_slots[slot as usize];
        if *particle == NONE {
            *particle = self.positions.len() as u32;
            self.positions.push(halo.place(slot));
            self.origins.push(halo.order()[halo.atom(slot) as usize]);
        }
        *particle
    }
}

impl List {
    /// Begins the list of one more particle that has `most` neighbours at most: where.
    fn begin(&mut self, most: usize) -> usize {
        if self.neighbors.len() < self.len + most {
            self.neighbors.resize(2 * (self.len + most), 0);
        }
        self.len
    }

    /// Says that the list of `particle` ends.
    fn end(&mut self, particle: u32, len: usize) -> Result<(), NeighborError> {
        if len > MOST {
            return Err(too_many("pairs of atoms", self.reach.cutoff));
        }
        let particle = particle as usize;
        if self.spans.len() <= particle {
            self.spans.resize(particle + 1, [0; 2]);
        }
        self.spans[particle] = [self.len as u32, len as u32];
        self.len = len;
        Ok(())
    }
}

impl Cluster {
    /// Particles and lists of `frame`: all images within `influence` (Å) of an atom or within the largest cutoff, and
    /// one list for each of `reaches`.
    ///
    /// Fails when the cell has a [`defect`](crate::domain::cell::Cell::defect), when a position is not finite, when two
    /// atoms are at the same place, and when there are too many pairs.
    pub fn update(
        &mut self,
        frame: &Frame<'_>,
        influence: f64,
        reaches: &[Reach],
    ) -> Result<(), NeighborError> {
        self.choose_lists(reaches);
        let cutoff = self
            .lists
            .iter()
            .fold(0.0_f64, |r, list| r.max(list.reach.cutoff));
        let distance = influence.max(cutoff) * MARGIN;
        self.wrapped.update(frame, distance)?;
        list_species(frame.species, &mut self.species);
        // Most particles are ghosts: where they have lists, bins are made for these.
        let of_ghosts = self.lists.iter().find(|list| list.reach.of_ghosts);
        let bins_for = match of_ghosts.or(self.lists.first()) {
            Some(list) => list.reach.cutoff * MARGIN,
            None => distance,
        };
        self.halo.lay(&self.wrapped, distance, bins_for)?;
        self.begin();
        // A list that reaches as far as images are wanted finds them on the way.
        if influence > cutoff {
            self.find_images(distance);
        }
        for n in 0..self.lists.len() {
            self.fill(n, frame)?;
        }
        Ok(())
    }

    /// One list for each cutoff, the longest ones first.
    fn choose_lists(&mut self, reaches: &[Reach]) {
        if self.asked.len() == reaches.len()
            && reaches
                .iter()
                .zip(&self.asked)
                .all(|(reach, (list, of_ghosts))| {
                    self.lists[*list].reach.cutoff == reach.cutoff && *of_ghosts == reach.of_ghosts
                })
        {
            return;
        }
        self.lists.clear();
        for reach in reaches {
            let same = |list: &&mut List| list.reach.cutoff == reach.cutoff;
            if let Some(list) = self.lists.iter_mut().find(same) {
                list.reach.of_ghosts |= reach.of_ghosts;
            } else {
                self.lists.push(List {
                    reach: *reach,
                    spans: Vec::new(),
                    neighbors: Vec::new(),
                    len: 0,
                });
            }
        }
        self.lists
            .sort_by(|a, b| b.reach.cutoff.total_cmp(&a.reach.cutoff));
        let place = |reach: &Reach| {
            let mut lists = self.lists.iter();
            lists.position(|list| list.reach.cutoff == reach.cutoff)
        };
        self.asked.clear();
        self.asked.extend(
            reaches
                .iter()
                .map(|reach| (place(reach).unwrap_or_default(), reach.of_ghosts)),
        );
    }

    /// Particles are the atoms.
    fn begin(&mut self) {
        let Self {
            wrapped,
            halo,
            particles,
            ..
        } = self;
        let order = halo.order();
        particles.positions.clear();
        particles.origins.clear();
        particles.origins.extend_from_slice(order);
        particles.positions.extend(order.iter().map(|atom| {
            let [x, y, z, _] = wrapped.places[*atom as usize];
            [x, y, z]
        }));
        particles.of_slots.clear();
        particles.of_slots.resize(halo.len(), NONE);
        halo.for_each_atom(|slot, atom| particles.of_slots[slot as usize] = atom);
    }

    /// Makes a particle of every image within `distance` of an atom.
    fn find_images(&mut self, distance: f64) {
        let Self {
            halo,
            particles,
            found,
            ..
        } = self;
        halo.look_around(distance);
        halo.for_each_bin(Which::AtomsAtTheEdge, |halo, slots, ranges| {
            make_room(found, ranges);
            for slot in slots {
                let (count, _) = halo.sieve(ranges, halo.place(slot), distance * distance, found);
                for near in &found[..count] {
                    particles.take(halo, *near);
                }
            }
        });
    }

    /// Fills list `n`: first those of atoms, which makes particles of the images in it, then, if wanted, those of ghosts.
    fn fill(&mut self, n: usize, frame: &Frame<'_>) -> Result<(), NeighborError> {
        let Self {
            halo,
            particles,
            lists,
            found,
            ..
        } = self;
        let list = &mut lists[n];
        let reach = list.reach.cutoff * MARGIN;
        let limit = reach * reach;
        list.len = 0;
        list.spans.clear();
        halo.look_around(reach);
        let mut coincident: Option<(u32, u32)> = None;
        let mut outcome = Ok(());
        halo.for_each_bin(Which::Atoms, |halo, slots, ranges| {
            if outcome.is_err() {
                return;
            }
            let most = make_room(found, ranges);
            for slot in slots {
                let at = halo.place(slot);
                let (count, here) = halo.sieve(ranges, at, limit, found);
                if here > 1
                    && let Some(pair) = halo.coincident(ranges, at)
                {
                    coincident = Some(coincident.map_or(pair, |found| found.min(pair)));
                }
                let start = list.begin(most);
                let neighbors = &mut list.neighbors[start..start + count];
                let near = &found[..count];
                if number(near, &particles.of_slots, neighbors) == NONE {
                    for (near, neighbor) in near.iter().zip(neighbors) {
                        *neighbor = particles.take(halo, *near) as i32;
                    }
                }
                if outcome.is_ok() {
                    outcome = list.end(particles.of_slots[slot as usize], start + count);
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
        if !list.reach.of_ghosts {
            return outcome;
        }
        list.spans.resize(particles.positions.len(), [0; 2]);
        halo.for_each_bin(Which::Images, |halo, slots, ranges| {
            if outcome.is_err() {
                return;
            }
            let most = make_room(found, ranges);
            for slot in slots {
                let own = particles.of_slots[slot as usize];
                if own == NONE {
                    continue;
                }
                let (count, _) = halo.sieve(ranges, halo.place(slot), limit, found);
                let start = list.begin(most);
                let neighbors = &mut list.neighbors[start..start + most];
                let mut len = 0;
                for near in &found[..count] {
                    let particle = particles.of_slots[*near as usize];
                    neighbors[len] = particle as i32;
                    len += usize::from(particle != NONE);
                }
                if outcome.is_ok() {
                    outcome = list.end(own, start + len);
                }
            }
        });
        outcome
    }

    /// Number of particles.
    pub fn len(&self) -> usize {
        self.particles.positions.len()
    }

    /// True for a frame without atoms.
    pub fn is_empty(&self) -> bool {
        self.particles.positions.is_empty()
    }

    /// Number of particles that are atoms: the first ones.
    pub fn atoms(&self) -> usize {
        self.halo.order().len()
    }

    /// Distinct species of the frame (atomic numbers), ascending.
    pub fn species(&self) -> &[u8] {
        &self.species
    }

    /// Positions of the particles (Å).
    pub fn positions(&self) -> &[[f64; 3]] {
        &self.particles.positions
    }

    /// Index in the frame of the atom that each particle is or is an image of.
    pub fn origins(&self) -> impl Iterator<Item = usize> + '_ {
        self.particles.origins.iter().map(|atom| *atom as usize)
    }

    /// The neighbours of a particle in list `list`, each of them once; `None` where it has no such list.
    pub fn neighbors(&self, list: usize, particle: usize) -> Option<&[i32]> {
        let (made, of_ghosts) = self.asked.get(list)?;
        if !of_ghosts && particle >= self.atoms() {
            return None;
        }
        let list = self.lists.get(*made)?;
        let [start, end] = list.spans.get(particle)?;
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
        for (r, f) in self.particles.positions.iter().zip(on_particles) {
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

/// Makes `found` large enough for the slots of `ranges` and one vector more; how many slots.
fn make_room(found: &mut Vec<u32>, ranges: &[std::ops::Range<u32>]) -> usize {
    let most: usize = ranges.iter().map(ExactSizeIterator::len).sum();
    if found.len() < most + LANES {
        found.resize(2 * most + LANES, 0);
    }
    most
}
