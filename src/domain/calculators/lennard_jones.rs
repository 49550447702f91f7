//! `lennard-jones`: the 12-6 pair potential in pure Rust.
//!
//! ```text
//! E = Σ_pairs 4 ε [(σ/r)¹² − (σ/r)⁶] − E_c        for r < cutoff (strictly)
//! ```
//!
//! with `E_c = 0` (`shift=none`, as LAMMPS' `lj/cut`) or the bracket's value at the cutoff (`shift=energy`, as
//! ASE's). Forces are those of the unshifted pair inside the cutoff. Every pair of species takes its own ε, σ
//! and cutoff (`epsilon.Ar-Kr=...`) where given, else the global ones; nothing is mixed. Periodic images,
//! an atom's own included, count as far as the cutoff reaches.
//!
//! Stress: `σ_ab = (1/V) Σ_pairs (dE/dr) r_a r_b / r`, with `V` the volume of the three given cell vectors;
//! NaN where the frame is not periodic or a vector is missing.

mod kernel;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::kernel::Coefficients;
use crate::domain::calculator::{
    Availability, Calculator, CalculatorKind, Factory, Failure, Home, Results,
};
use crate::domain::calculators::pair::{PairPotential as _, PairSums, RowSums, add_forces};
use crate::domain::elements::symbol;
use crate::domain::frame::Frame;
use crate::domain::neighbors::{NeighborSearch, PairList, Pairs, Progress, Scratch};
use crate::domain::parameters::{Pair, ParameterSpec, ParameterType, Parameters};

/// The entry in the table of calculators.
pub static KIND: CalculatorKind = CalculatorKind {
    name: "lennard-jones",
    summary: "12-6 pair potential, truncated, optionally shifted",
    supports: "energy, forces, stress; any frame",
    page: include_str!("lennard_jones.md"),
    home: Home::Rust,
    parameters: &[
        ParameterSpec {
            name: "epsilon",
            kind: ParameterType::PositiveFloat,
            unit: "eV",
            default: None,
            per_pair: true,
            help: "depth of the well; required for every pair of species",
        },
        ParameterSpec {
            name: "sigma",
            kind: ParameterType::PositiveFloat,
            unit: "Å",
            default: None,
            per_pair: true,
            help: "distance of zero energy; required for every pair of species",
        },
        ParameterSpec {
            name: "cutoff",
            kind: ParameterType::PositiveFloat,
            unit: "Å",
            default: None,
            per_pair: true,
            help: "pairs at or beyond it do not count; 3 x the largest sigma given unless set",
        },
        ParameterSpec {
            name: "shift",
            kind: ParameterType::Choice(&["none", "energy"]),
            unit: "",
            default: Some("none"),
            per_pair: false,
            help: "energy: shift every pair by its energy at the cutoff",
        },
    ],
    subject: None,
    catalogue: None,
    availability: || Availability::Available(String::new()),
    factory: |parameters, _| Ok(Arc::new(Model::new(parameters))),
    level_of_theory: |_| "lennard-jones".into(),
};

/// One parameter: global value and values of pairs.
#[derive(Clone, Debug, Default)]
struct PerPair {
    global: Option<f64>,
    pairs: BTreeMap<Pair, f64>,
}

impl PerPair {
    fn new(parameters: &Parameters, name: &str) -> Self {
        Self {
            global: parameters.float(name),
            pairs: parameters.pairs(name).collect(),
        }
    }

    fn get(&self, pair: Pair) -> Option<f64> {
        self.pairs.get(&pair).copied().or(self.global)
    }
}

/// The potential: what the user's parameters say about every pair of species.
#[derive(Clone, Debug)]
struct Model {
    epsilon: PerPair,
    sigma: PerPair,
    cutoff: PerPair,
    shift: bool,
}

impl Model {
    fn new(parameters: &Parameters) -> Self {
        let sigma = PerPair::new(parameters, "sigma");
        let mut cutoff = PerPair::new(parameters, "cutoff");
        let largest = sigma.pairs.values().copied().chain(sigma.global);
        cutoff.global = cutoff
            .global
            .or_else(|| largest.reduce(f64::max).map(|s| 3.0 * s));
        Self {
            epsilon: PerPair::new(parameters, "epsilon"),
            sigma,
            cutoff,
            shift: parameters.text("shift") == Some("energy"),
        }
    }

    /// ε, σ and cutoff of a pair of species, or what to type to have them.
    fn coefficients(&self, a: u8, b: u8) -> Result<Coefficients, String> {
        let pair = (a.min(b), a.max(b));
        let values = (
            self.epsilon.get(pair),
            self.sigma.get(pair),
            self.cutoff.get(pair),
        );
        if let (Some(epsilon), Some(sigma), Some(cutoff)) = values {
            return Ok(Coefficients::new(epsilon, sigma, cutoff, self.shift));
        }
        let name = format!("{}-{}", symbol(pair.0), symbol(pair.1));
        let missing: Vec<_> = [("epsilon", values.0, "EV"), ("sigma", values.1, "ANGSTROM")]
            .into_iter()
            .filter(|(_, value, _)| value.is_none())
            .collect();
        let what: Vec<_> = missing.iter().map(|(what, _, _)| *what).collect();
        let typed: Vec<_> = missing
            .iter()
            .map(|(what, _, unit)| format!("--param {what}.{name}={unit}"))
            .collect();
        Err(format!(
            "lennard-jones has no {} for the pair {name}: add {}",
            what.join(" and no "),
            typed.join(" ")
        ))
    }
}

impl Factory for Model {
    fn build(&self) -> Result<Box<dyn Calculator>, String> {
        Ok(Box::new(LennardJones {
            model: self.clone(),
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
                self.coefficients(*a, *b)?;
            }
        }
        Ok(())
    }
}

/// The calculator of one thread: the model and buffers.
struct LennardJones {
    model: Model,
    /// Species of the table below, ascending.
    species: Vec<u8>,
    /// Coefficients of species number a and b at `a * species + b`.
    table: Vec<Coefficients>,
    /// Largest cutoff of the table (Å).
    cutoff: f64,
    search: NeighborSearch,
    scratch: Scratch,
    pairs: Box<Pairs>,
    row_sums: Box<RowSums>,
    /// Forces on sorted atoms: x, y, z and nothing.
    forces: Vec<[f64; 4]>,
}

impl LennardJones {
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
                let pair = match self.model.coefficients(*a, *b) {
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

    /// The first two atoms (of the frame's order) at the same place, if any.
    fn coincident(&mut self, frame: &Frame<'_>) -> Option<Failure> {
        let mut list = PairList::default();
        self.search.update(frame, kernel::SAME_PLACE).ok()?;
        list.fill(&self.search).ok()?;
        let pairs = list.first.iter().zip(&list.second);
        let (i, j) = pairs.map(|(i, j)| (*i.min(j), *i.max(j))).min()?;
        let name = |atom: u32| symbol(frame.species[atom as usize]);
        Some(Failure::Failed(format!(
            "atoms {i} ({}) and {j} ({}) are at the same place",
            name(i),
            name(j)
        )))
    }
}

impl Calculator for LennardJones {
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
                kernel::evaluate(pair, pairs, &mut sums, row_sums);
                add_forces(pairs, row_sums, forces);
            }
        });
        // Repulsion beyond all bounds, or 0/0: look why, now that it costs nothing to others.
        let energy = sums.energy();
        if (energy.is_nan() || energy >= kernel::UNBOUNDED)
            && let Some(failure) = self.coincident(frame)
        {
            return Err(failure);
        }
        *results.energy = energy;
        for (atom, [x, y, z, _]) in self.search.order().iter().zip(&self.forces) {
            results.forces[*atom as usize] = [*x, *y, *z];
        }
        let volume = frame.cell.volume();
        if frame.cell.is_periodic() && volume > 0.0 {
            *results.stress = sums.stress(volume);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::cell::Cell;

    fn model(typed: &[(&str, &str)]) -> Model {
        let typed: Vec<_> = typed
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect();
        Model::new(&KIND.parse(&typed).unwrap())
    }

    fn energy_and_forces(
        model: &Model,
        frame: &Frame<'_>,
    ) -> Result<(f64, Vec<[f64; 3]>), Failure> {
        let mut energy = 0.0;
        let mut forces = vec![[0.0; 3]; frame.len()];
        let mut results = Results {
            energy: &mut energy,
            forces: &mut forces,
            stress: &mut [[f64::NAN; 3]; 3],
        };
        let mut calculator = model.build().map_err(Failure::Failed)?;
        calculator.evaluate(frame, &mut results)?;
        assert!(results.stress.iter().flatten().all(|x| x.is_nan()));
        Ok((energy, forces))
    }

    fn dimer(species: &[u8], distance: f64) -> [[f64; 3]; 2] {
        assert_eq!(species.len(), 2);
        [[7.0, 1.0, -3.0], [7.0, 1.0 + distance, -3.0]]
    }

    #[test]
    fn a_dimer_is_the_formula_up_to_but_not_at_the_cutoff() {
        let (epsilon, sigma) = (0.0104, 3.4);
        let plain = model(&[("epsilon", "0.0104"), ("sigma", "3.4"), ("cutoff", "8.5")]);
        let shifted = model(&[
            ("epsilon", "0.0104"),
            ("sigma", "3.4"),
            ("cutoff", "8.5"),
            ("shift", "energy"),
        ]);
        let formula = |r: f64| {
            let s = sigma / r;
            4.0 * epsilon * (s.powi(12) - s.powi(6))
        };
        for r in [3.0, 3.4, 3.816_370_964_063_3, 8.499_999_9, 8.5, 9.0] {
            let positions = dimer(&[18, 18], r);
            // The distance as the coordinates hold it.
            let r = positions[1][1] - positions[0][1];
            let frame = Frame {
                species: &[18, 18],
                positions: &positions,
                cell: Cell::OPEN,
            };
            let (energy, forces) = energy_and_forces(&plain, &frame).unwrap();
            let inside = r < 8.5;
            let expected = if inside { formula(r) } else { 0.0 };
            assert!(
                (energy - expected).abs() < 1e-15,
                "{r}: {energy} {expected}"
            );
            let s6 = (sigma / r).powi(6);
            let slope = if inside {
                24.0 * epsilon * (s6 - 2.0 * s6 * s6) / r
            } else {
                0.0
            };
            assert!((forces[0][1] - slope).abs() < 1e-14);
            assert!((forces[1][1] + slope).abs() < 1e-14);
            let (energy, same) = energy_and_forces(&shifted, &frame).unwrap();
            let expected = if inside {
                formula(r) - formula(8.5)
            } else {
                0.0
            };
            assert!((energy - expected).abs() < 1e-15);
            assert_eq!(forces, same);
        }
    }

    #[test]
    fn pairs_of_species_have_their_own_parameters_and_cutoffs() {
        let model = model(&[
            ("epsilon", "1"),
            ("sigma", "2"),
            ("epsilon.Kr-Ar", "3"),
            ("sigma.Ar-Kr", "2.5"),
            ("cutoff.Ar-Kr", "4"),
        ]);
        let energy = |species: &[u8], r: f64| {
            let frame = Frame {
                species,
                positions: &dimer(species, r),
                cell: Cell::OPEN,
            };
            energy_and_forces(&model, &frame).unwrap().0
        };
        let minimum = 2.0_f64.powf(1.0 / 6.0);
        assert!((energy(&[18, 18], 2.0 * minimum) + 1.0).abs() < 1e-12);
        assert!((energy(&[36, 36], 2.0 * minimum) + 1.0).abs() < 1e-12);
        assert!((energy(&[18, 36], 2.5 * minimum) + 3.0).abs() < 1e-12);
        assert!((energy(&[36, 18], 2.5 * minimum) + 3.0).abs() < 1e-12);
        // Their own cutoff, and 3 x the largest sigma given for the others.
        assert!(energy(&[36, 18], 4.0) == 0.0);
        assert!(energy(&[18, 18], 7.49) < 0.0);
        assert!(energy(&[18, 18], 7.51) == 0.0);
    }

    #[test]
    fn missing_parameters_name_the_pair_and_what_to_type() {
        let model = model(&[("epsilon", "0.01"), ("sigma.Ar-Ar", "3.4")]);
        assert_eq!(model.check_species(&[18]), Ok(()));
        assert_eq!(
            model.check_species(&[36, 18]).unwrap_err(),
            "lennard-jones has no sigma for the pair Ar-Kr: add --param sigma.Ar-Kr=ANGSTROM"
        );
        let nothing = self::model(&[]);
        assert_eq!(
            nothing.check_species(&[18]).unwrap_err(),
            "lennard-jones has no epsilon and no sigma for the pair Ar-Ar: \
             add --param epsilon.Ar-Ar=EV --param sigma.Ar-Ar=ANGSTROM"
        );
        // A frame that nobody checked fails the same way, every time.
        let frame = Frame {
            species: &[18],
            positions: &[[0.0; 3]],
            cell: Cell::OPEN,
        };
        assert!(energy_and_forces(&nothing, &frame).is_err());
    }

    #[test]
    fn atoms_at_the_same_place_are_named() {
        let model = model(&[("epsilon", "0.01"), ("sigma", "3.4")]);
        let mut frame = Frame {
            species: &[36, 18, 36],
            positions: &[[1.0; 3], [4.0; 3], [4.0; 3]],
            cell: Cell::OPEN,
        };
        let message = "atoms 1 (Ar) and 2 (Kr) are at the same place";
        let failed = Err(Failure::Failed(message.into()));
        assert_eq!(energy_and_forces(&model, &frame), failed);
        // The same place in another image of a cell.
        frame.positions = &[[1.0, 1.0, 1.0], [-5.3, 8.0, 0.1], [5.3, 8.0, 21.3]];
        frame.cell = Cell::periodic([[10.6, 0.0, 0.0], [0.0, 10.6, 0.0], [0.0, 0.0, 10.6]]);
        assert_eq!(energy_and_forces(&model, &frame), failed);
    }

    #[test]
    fn impossible_frames_fail_with_their_reason() {
        let model = model(&[("epsilon", "0.01"), ("sigma", "3.4")]);
        let mut frame = Frame {
            species: &[18],
            positions: &[[f64::NAN, 0.0, 0.0]],
            cell: Cell::OPEN,
        };
        assert!(energy_and_forces(&model, &frame).is_err());
        frame.positions = &[[0.0; 3]];
        frame.cell = Cell::periodic([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]);
        let Err(Failure::Failed(message)) = energy_and_forces(&model, &frame) else {
            panic!("a flat cell was accepted");
        };
        assert!(message.contains("zero volume"), "{message}");
    }
}
