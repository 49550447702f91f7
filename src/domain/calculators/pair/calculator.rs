//! The calculator that all pair potentials share.

use super::{PairPotential, PairSums, RowSums, SAME_PLACE, UNBOUNDED, add_forces};
use crate::domain::calculator::{Calculator, Factory, Failure, Results};
use crate::domain::elements::symbol;
use crate::domain::frame::Frame;
use crate::domain::neighbors::{NeighborSearch, PairList, Pairs, Progress, Scratch};

/// Distances of two lists of pairs may differ by this much (Å).
const ROUNDING: f64 = 1e-9;

/// What the user's parameters say of every pair of species.
pub trait PairModel: Clone + Send + Sync + 'static {
    /// The potential of one pair of species.
    type Pair: PairPotential + 'static;
    /// What is not a sum over near pairs; `()` for nothing.
    type Beyond: Beyond + 'static;

    /// The potential of two species (atomic numbers, in any order), or what is missing.
    fn pair(&self, a: u8, b: u8) -> Result<Self::Pair, String>;

    /// The rest, with buffers of its own.
    fn beyond(&self) -> Self::Beyond;
}

/// What a model adds to the sum over near pairs.
pub trait Beyond {
    /// Adds to the results of a frame that has atoms. `search` holds its sorted atoms.
    fn add(
        &mut self,
        frame: &Frame<'_>,
        search: &NeighborSearch,
        sums: &mut Sums<'_>,
    ) -> Result<(), Failure>;
}

/// Results so far.
#[derive(Debug)]
pub struct Sums<'a> {
    /// eV.
    pub energy: &'a mut f64,
    /// eV/Å on the sorted atoms: x, y, z and nothing.
    pub forces: &'a mut [[f64; 4]],
    /// eV/Å³; NaN where there is none.
    pub stress: &'a mut [[f64; 3]; 3],
}

impl Beyond for () {
    fn add(&mut self, _: &Frame<'_>, _: &NeighborSearch, _: &mut Sums<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

/// Makes calculators of a model.
#[derive(Clone, Debug)]
pub struct PairFactory<M>(pub M);

impl<M: PairModel> Factory for PairFactory<M> {
    fn build(&self) -> Result<Box<dyn Calculator>, String> {
        Ok(Box::new(PairCalculator {
            model: self.0.clone(),
            beyond: self.0.beyond(),
            species: Vec::new(),
            table: Vec::new(),
            cutoff: 0.0,
            search: NeighborSearch::default(),
            scratch: Scratch::default(),
            pairs: Box::default(),
            row_sums: Box::default(),
            forces: Vec::new(),
        }))
    }

    fn check_species(&self, species: &[u8]) -> Result<(), String> {
        let mut species = species.to_vec();
        species.sort_unstable();
        for (n, a) in species.iter().enumerate() {
            for b in &species[n..] {
                self.0.pair(*a, *b)?;
            }
        }
        Ok(())
    }
}

/// The calculator of one thread: the model and buffers.
struct PairCalculator<M: PairModel> {
    model: M,
    beyond: M::Beyond,
    /// Species of the table below, ascending.
    species: Vec<u8>,
    /// Potential of species number a and b at `a * species + b`.
    table: Vec<M::Pair>,
    /// Largest cutoff of the table (Å).
    cutoff: f64,
    search: NeighborSearch,
    scratch: Scratch,
    pairs: Box<Pairs>,
    row_sums: Box<RowSums>,
    /// Forces on sorted atoms: x, y, z and nothing.
    forces: Vec<[f64; 4]>,
}

impl<M: PairModel> PairCalculator<M> {
    /// Makes the table for the species of a frame, unless it is the table of the last frame.
    fn prepare(&mut self, species: &[u8]) -> Result<(), Failure> {
        let mut present = [false; 256];
        for z in species {
            present[usize::from(*z)] = true;
        }
        let distinct = (0..=u8::MAX).filter(|z| present[usize::from(*z)]);
        if distinct.clone().eq(self.species.iter().copied()) && !self.table.is_empty() {
            return Ok(());
        }
        self.table.clear();
        self.species.clear();
        self.species.extend(distinct);
        self.cutoff = 0.0;
        for a in &self.species {
            for b in &self.species {
                let pair = match self.model.pair(*a, *b) {
                    Ok(pair) => pair,
                    Err(message) => {
                        self.table.clear();
                        return Err(Failure::Failed(message));
                    }
                };
                self.cutoff = self.cutoff.max(pair.cutoff());
                self.table.push(pair);
            }
        }
        Ok(())
    }

    /// The first two atoms (of the frame's order) that are nearer than allowed, if any.
    fn too_near(&mut self, frame: &Frame<'_>) -> Option<Failure> {
        // A little more: this list may round otherwise than the inner loop did.
        let widest = self.table.iter().map(PairPotential::nearest);
        let widest = widest.fold(SAME_PLACE, f64::max) + ROUNDING;
        let mut list = PairList::default();
        self.search.update(frame, widest).ok()?;
        list.fill(&self.search).ok()?;
        let species = &self.species;
        let number = |atom: u32| {
            let z = frame.species[atom as usize];
            species.iter().position(|s| *s == z).unwrap_or_default()
        };
        let nearest = |i: u32, j: u32| self.table[number(i) * species.len() + number(j)].nearest();
        let (mut found, mut limit) = (None, 0.0);
        for n in 0..list.len() {
            let (i, j) = (list.first[n], list.second[n]);
            let r = crate::domain::cell::norm(list.vectors[n]);
            let pair = (i.min(j), i.max(j), r);
            if r < nearest(i, j) + ROUNDING
                && found.is_none_or(|(a, b, _)| (pair.0, pair.1) < (a, b))
            {
                found = Some(pair);
                limit = nearest(i, j);
            }
        }
        let (i, j, r) = found?;
        let name = |atom: u32| symbol(frame.species[atom as usize]);
        let atoms = format!("atoms {i} ({}) and {j} ({}) are", name(i), name(j));
        Some(Failure::Failed(if r < SAME_PLACE + ROUNDING {
            format!("{atoms} at the same place")
        } else {
            format!(
                "{atoms} {r:.4} Å apart: below {limit:.4} Å, the top of its repulsive wall, the potential falls \
                 without bound"
            )
        }))
    }
}

impl<M: PairModel> Calculator for PairCalculator<M> {
    fn evaluate(&mut self, frame: &Frame<'_>, results: &mut Results<'_>) -> Result<(), Failure> {
        if frame.is_empty() {
            return Ok(());
        }
        self.prepare(frame.species)?;
        self.search
            .update(frame, self.cutoff)
            .map_err(|e| Failure::Failed(e.0))?;
        self.forces.clear();
        self.forces.resize(frame.len(), [0.0; 4]);
        let mut sums = PairSums::default();
        let species = self.species.len();
        let (search, table) = (&self.search, &self.table);
        let (pairs, row_sums) = (&mut self.pairs, &mut self.row_sums);
        let forces = &mut self.forces;
        search.for_each_center(&mut self.scratch, |center| {
            let pair = &table[center.species.0 * species + center.species.1];
            let mut progress = Progress::new(&center);
            while search.next_pairs(&center, &mut progress, pairs) {
                pair.evaluate(pairs, &mut sums, row_sums);
                add_forces(pairs, row_sums, forces);
            }
        });
        // Repulsion beyond all bounds, or 0/0: look why, now that it costs nothing to others.
        let energy = sums.energy();
        if (energy.is_nan() || energy >= UNBOUNDED)
            && let Some(failure) = self.too_near(frame)
        {
            return Err(failure);
        }
        *results.energy = energy;
        let volume = frame.cell.volume();
        if frame.cell.is_periodic() && volume > 0.0 {
            *results.stress = sums.stress(volume);
        }
        let mut so_far = Sums {
            energy: results.energy,
            forces: &mut self.forces,
            stress: results.stress,
        };
        self.beyond.add(frame, &self.search, &mut so_far)?;
        for (atom, [x, y, z, _]) in self.search.order().iter().zip(&self.forces) {
            results.forces[*atom as usize] = [*x, *y, *z];
        }
        Ok(())
    }
}
