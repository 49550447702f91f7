//! Wraps, sorts and bins the atoms of a frame.

use super::grid::Grid;
use super::lattice::Lattice;
use super::rough::Rough;
use super::wrap::{Wrapped, list_species};
use super::{Candidates, Center, Image, NeighborError, Scratch};
use crate::domain::cell::Cell;
use crate::domain::frame::Frame;

/// How candidates of the present frame are found.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scheme {
    /// Every pair once, without images (open) or with the nearest.
    AllPairs,
    /// Linked cells.
    Grid,
}

/// Finds candidate pairs, frame after frame, in memory that is kept.
#[derive(Clone, Debug)]
pub struct NeighborSearch {
    scheme: Scheme,
    cutoff: f64,
    /// Distinct species, ascending.
    species: Vec<u8>,
    /// For each species and bin the first sorted atom; one more at the end.
    starts: Vec<u32>,
    grid: Grid,
    trial: Grid,
    /// Sorted: index in the frame, cells by which it was moved, wrapped position, the same for the sieve.
    order: Vec<u32>,
    moved: Vec<[i32; 3]>,
    places: Vec<[f64; 4]>,
    rough: Rough,
    /// In the frame's order: wrapped atoms, species and bin.
    atoms: Wrapped,
    keys: Vec<u32>,
}

impl Default for NeighborSearch {
    fn default() -> Self {
        Self {
            atoms: Wrapped::default(),
            scheme: Scheme::AllPairs,
            cutoff: 0.0,
            species: Vec::new(),
            starts: vec![0],
            grid: Grid::default(),
            trial: Grid::default(),
            order: Vec::new(),
            moved: Vec::new(),
            places: Vec::new(),
            rough: Rough::default(),
            keys: Vec::new(),
        }
    }
}

impl NeighborSearch {
    /// Prepares the pairs of `frame` closer than `cutoff` (Å, positive).
    ///
    /// Fails when the cell has a [`Cell::defect`], a position is not finite or absurdly far from a periodic
    /// cell, or the cutoff reaches over more than [`MAX_IMAGES`](super::MAX_IMAGES) images.
    pub fn update(&mut self, frame: &Frame<'_>, cutoff: f64) -> Result<(), NeighborError> {
        self.cutoff = cutoff;
        self.atoms.update(frame, cutoff)?;
        list_species(frame.species, &mut self.species);
        self.choose_scheme(frame.len());
        self.sort(frame);
        Ok(())
    }

    fn choose_scheme(&mut self, atoms: usize) {
        let (lattice, extent) = (&self.atoms.lattice, self.atoms.extent);
        let most_bins = (8 * atoms / self.species.len().max(1)).max(512);
        let mut best = f64::INFINITY;
        for divisor in [1.0, 2.0, 3.0] {
            self.trial.plan(extent, most_bins, self.cutoff, divisor);
            let cost = self.trial.cost(atoms, self.cutoff, lattice.periodic);
            if cost < best {
                best = cost;
                self.grid.adopt(&self.trial);
            }
        }
        // Planes two cutoffs apart: a pair within the cutoff has |Δs| < 1/2 along every axis, so that no
        // other image than the nearest can be that near.
        let one_image =
            (0..3).all(|k| !lattice.periodic[k] || lattice.heights[k] >= 2.000_000_1 * self.cutoff);
        // A nearest image costs more than a fixed one.
        let factor = if lattice.periodic == [false; 3] {
            0.7
        } else {
            1.0
        };
        self.scheme = if one_image && factor * atoms as f64 + 4.0 <= best {
            Scheme::AllPairs
        } else {
            self.grid.prepare(lattice, self.cutoff);
            Scheme::Grid
        };
    }

    /// Counting sort by species, then bin; stable, so that the order depends on the frame alone.
    fn sort(&mut self, frame: &Frame<'_>) {
        let mut rank = [0; 256];
        for (at, z) in self.species.iter().enumerate() {
            rank[usize::from(*z)] = at;
        }
        // All pairs gain by it too: sixteen consecutive atoms near each other are often all beyond the cutoff.
        let bins = self.grid.bins.iter().product::<usize>();
        self.starts.clear();
        self.starts.resize(self.species.len() * bins + 1, 0);
        self.keys.clear();
        let scale = self.atoms.scale();
        for (z, fraction) in frame.species.iter().zip(&self.atoms.fractions) {
            let bin = self.grid.bin([0, 1, 2].map(|k| fraction[k] * scale[k]));
            let key = rank[usize::from(*z)] * bins + bin;
            self.keys.push(key as u32);
            self.starts[key] += 1;
        }
        let mut sum = 0;
        for start in &mut self.starts {
            sum += std::mem::replace(start, sum);
        }
        let atoms = frame.len();
        self.order.resize(atoms, 0);
        self.moved.resize(atoms, [0; 3]);
        self.places.resize(atoms, [0.0; 4]);
        for (atom, key) in self.keys.iter().enumerate() {
            let at = self.starts[*key as usize] as usize;
            self.starts[*key as usize] += 1;
            self.order[at] = atom as u32;
            self.moved[at] = self.atoms.moves[atom];
            self.places[at] = self.atoms.places[atom];
        }
        // Filling moved every start to the next one.
        self.starts.rotate_right(1);
        self.starts[0] = 0;
        let last = self.starts.len() - 1;
        self.starts[last] = atoms as u32;
        match (self.scheme, self.atoms.lattice.periodic) {
            (Scheme::AllPairs, [false, false, false]) | (Scheme::Grid, _) => {
                self.rough
                    .set_fixed(&self.places, &self.atoms.lattice, self.cutoff);
            }
            (Scheme::AllPairs, _) => {
                let sorted = self
                    .order
                    .iter()
                    .map(|atom| self.atoms.fractions[*atom as usize]);
                self.rough
                    .set_nearest(sorted, self.atoms.extent, &self.atoms.lattice, self.cutoff);
            }
        }
    }

    /// The cutoff (Å) of the last update.
    pub fn cutoff(&self) -> f64 {
        self.cutoff
    }

    /// Distinct species of the frame (atomic numbers), ascending.
    pub fn species(&self) -> &[u8] {
        &self.species
    }

    /// Number of atoms.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// True for a frame without atoms.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The reduced cell.
    pub(super) fn lattice(&self) -> &Lattice {
        &self.atoms.lattice
    }

    /// The reduced cell: the shortest vectors of the lattice, completed by unit vectors where open. Wrapped positions
    /// are those in it.
    pub fn cell(&self) -> Cell {
        Cell {
            vectors: self.atoms.lattice.vectors,
            periodic: self.atoms.lattice.periodic,
        }
    }

    /// What the sieve looks at.
    pub(super) fn rough(&self) -> &Rough {
        &self.rough
    }

    /// Wrapped positions (Å) of the sorted atoms: x, y, z and a zero.
    pub fn places(&self) -> &[[f64; 4]] {
        &self.places
    }

    /// Index in the frame of each sorted atom.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// `S` of the convention, from the image (in reduced cells) of a sorted pair.
    pub fn image_in_given_cells(&self, i: usize, j: usize, image: [i32; 3]) -> [i64; 3] {
        let total = [0, 1, 2].map(|k| {
            i64::from(image[k]) - i64::from(self.moved[j][k]) + i64::from(self.moved[i][k])
        });
        self.atoms.lattice.given_image(total)
    }

    /// Visits all candidates, in an order that depends on the frame alone; `scratch` is overwritten.
    pub fn for_each_center(&self, scratch: &mut Scratch, mut visit: impl FnMut(Center<'_>)) {
        let species = self.species.len();
        if self.scheme == Scheme::Grid {
            let (lattice, starts) = (&self.atoms.lattice, &self.starts);
            return self.grid.for_each_center(
                lattice,
                starts,
                species,
                &self.places,
                scratch,
                visit,
            );
        }
        let image = if self.atoms.lattice.periodic == [false; 3] {
            Image::Fixed {
                image: [0; 3],
                shift: [0.0; 3],
            }
        } else {
            Image::Nearest
        };
        let bins = self.grid.bins.iter().product::<usize>();
        let range = |a: usize| self.starts[a * bins] as usize..self.starts[(a + 1) * bins] as usize;
        for a in 0..species {
            for b in a..species {
                let second = range(b);
                visit(Center {
                    first: range(a),
                    candidates: &[Candidates { second, image }],
                    triangular: a == b,
                    species: (a, b),
                    around: None,
                });
            }
        }
    }
}
