//! `morse`: the Morse pair potential in pure Rust.
//!
//! ```text
//! E = Σ_pairs D0 [e^(-2 α (r - r0)) - 2 e^(-α (r - r0))] - E_c        for r < cutoff (strictly)
//! ```
//!
//! with `E_c = 0` (`shift=none`) or the value at the cutoff (`shift=energy`): LAMMPS' `morse` with `pair_modify shift no`
//! or `yes`. P. M. Morse, Phys. Rev. 34, 57 (1929). Every pair of species takes its own values (`D0.Cu-Cu=...`) where
//! given, else the global ones. Images and stress as for `lennard-jones`.

use std::sync::Arc;

use multiversion::multiversion;

use crate::domain::calculator::{Availability, CalculatorKind, Home};
use crate::domain::calculators::functions::{choose, exp};
use crate::domain::calculators::pair::calculator::{PairFactory, PairModel};
use crate::domain::calculators::pair::parameters::{PerPair, required};
use crate::domain::calculators::pair::{
    self, FORBIDDEN, PairPotential, PairSums, RowSums, SAME_PLACE,
};
use crate::domain::neighbors::Pairs;
use crate::domain::parameters::{ParameterSpec, ParameterType, Parameters};

/// The entry in the table of calculators.
pub static KIND: CalculatorKind = CalculatorKind {
    name: "morse",
    summary: "Morse pair potential, truncated, optionally shifted",
    supports: "energy, forces, stress; any frame",
    page: include_str!("morse.md"),
    home: Home::Rust,
    parameters: &[
        ParameterSpec {
            name: "D0",
            kind: ParameterType::PositiveFloat,
            unit: "eV",
            default: None,
            per_pair: true,
            per_species: false,
            help: "depth of the well; required for every pair of species",
        },
        ParameterSpec {
            name: "alpha",
            kind: ParameterType::PositiveFloat,
            unit: "1/Å",
            default: None,
            per_pair: true,
            per_species: false,
            help: "inverse width of the well; required for every pair of species",
        },
        ParameterSpec {
            name: "r0",
            kind: ParameterType::PositiveFloat,
            unit: "Å",
            default: None,
            per_pair: true,
            per_species: false,
            help: "distance of least energy; required for every pair of species",
        },
        ParameterSpec {
            name: "cutoff",
            kind: ParameterType::PositiveFloat,
            unit: "Å",
            default: None,
            per_pair: true,
            per_species: false,
            help: "pairs at or beyond it do not count; required for every pair of species",
        },
        ParameterSpec {
            name: "shift",
            kind: ParameterType::Choice(&["none", "energy"]),
            unit: "",
            default: Some("none"),
            per_pair: false,
            per_species: false,
            help: "energy: shift every pair by its energy at the cutoff",
        },
    ],
    subject: None,
    settings: &[],
    catalogue: None,
    availability: || Availability::Available(String::new()),
    factory: |parameters, _| Ok(Arc::new(PairFactory(Model::new(parameters)))),
    level_of_theory: |_| "morse".into(),
};

/// The potential: what the user's parameters say about every pair of species.
#[derive(Clone, Debug)]
struct Model {
    depth: PerPair,
    alpha: PerPair,
    r0: PerPair,
    cutoff: PerPair,
    shift: bool,
}

impl Model {
    fn new(parameters: &Parameters) -> Self {
        Self {
            depth: PerPair::new(parameters, "D0"),
            alpha: PerPair::new(parameters, "alpha"),
            r0: PerPair::new(parameters, "r0"),
            cutoff: PerPair::new(parameters, "cutoff"),
            shift: parameters.text("shift") == Some("energy"),
        }
    }
}

impl PairModel for Model {
    type Pair = Coefficients;
    type Beyond = ();

    fn pair(&self, a: u8, b: u8) -> Result<Coefficients, String> {
        let wanted = [
            ("D0", &self.depth, "EV"),
            ("alpha", &self.alpha, "PER_ANGSTROM"),
            ("r0", &self.r0, "ANGSTROM"),
            ("cutoff", &self.cutoff, "ANGSTROM"),
        ];
        let [depth, alpha, r0, cutoff] = required(KIND.name, (a, b), wanted)?;
        let mut pair = Coefficients {
            depth,
            alpha,
            r0,
            cutoff,
            offset: 0.0,
        };
        if self.shift {
            pair.offset = pair.pair(cutoff * cutoff).0;
        }
        Ok(pair)
    }

    fn beyond(&self) {}
}

/// The potential of one pair of species.
#[derive(Clone, Copy, Debug)]
struct Coefficients {
    depth: f64,
    alpha: f64,
    r0: f64,
    cutoff: f64,
    /// Energy at the cutoff, zero unless shifted (eV).
    offset: f64,
}

impl PairPotential for Coefficients {
    fn cutoff(&self) -> f64 {
        self.cutoff
    }

    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn pair(&self, r2: f64) -> (f64, f64) {
        let r = r2.sqrt();
        let e = exp(-self.alpha * (r - self.r0));
        let energy = self.depth * e * (e - 2.0) - self.offset;
        // Finite even where two atoms coincide, while their force has no direction.
        let energy = choose(r2 < SAME_PLACE * SAME_PLACE, FORBIDDEN, energy);
        (energy, 2.0 * self.depth * self.alpha * e * (e - 1.0) / r)
    }

    fn evaluate(&self, pairs: &mut Pairs, sums: &mut PairSums, row_sums: &mut RowSums) {
        evaluate(self, pairs, sums, row_sums);
    }
}

/// The inner loop: see [`pair::evaluate`].
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))]
fn evaluate(
    potential: &Coefficients,
    pairs: &mut Pairs,
    sums: &mut PairSums,
    row_sums: &mut RowSums,
) {
    pair::evaluate(potential, pairs, sums, row_sums);
}
