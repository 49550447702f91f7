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

use std::sync::Arc;

use self::kernel::Coefficients;
use crate::domain::calculator::{Availability, CalculatorKind, Home};
use crate::domain::calculators::pair::calculator::{PairFactory, PairModel};
use crate::domain::calculators::pair::parameters::{PerPair, required};
use crate::domain::parameters::{ParameterSpec, ParameterType, Parameters};

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
            per_species: false,
            help: "depth of the well; required for every pair of species",
        },
        ParameterSpec {
            name: "sigma",
            kind: ParameterType::PositiveFloat,
            unit: "Å",
            default: None,
            per_pair: true,
            per_species: false,
            help: "distance of zero energy; required for every pair of species",
        },
        ParameterSpec {
            name: "cutoff",
            kind: ParameterType::PositiveFloat,
            unit: "Å",
            default: None,
            per_pair: true,
            per_species: false,
            help: "pairs at or beyond it do not count; 3 x the largest sigma given unless set",
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
    level_of_theory: |_| "lennard-jones".into(),
};

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
        cutoff.global = cutoff.global.or_else(|| sigma.largest().map(|s| 3.0 * s));
        Self {
            epsilon: PerPair::new(parameters, "epsilon"),
            sigma,
            cutoff,
            shift: parameters.text("shift") == Some("energy"),
        }
    }
}

impl PairModel for Model {
    type Pair = Coefficients;
    type Beyond = ();

    fn pair(&self, a: u8, b: u8) -> Result<Coefficients, String> {
        let wanted = [
            ("epsilon", &self.epsilon, "EV"),
            ("sigma", &self.sigma, "ANGSTROM"),
        ];
        let [epsilon, sigma] = required(KIND.name, (a, b), wanted)?;
        let cutoff = self.cutoff.get(a, b).unwrap_or(3.0 * sigma);
        Ok(Coefficients::new(epsilon, sigma, cutoff, self.shift))
    }

    fn beyond(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::calculator::{Factory as _, Failure, Results};
    use crate::domain::cell::Cell;
    use crate::domain::frame::Frame;

    fn model(typed: &[(&str, &str)]) -> PairFactory<Model> {
        let typed: Vec<_> = typed
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect();
        PairFactory(Model::new(&KIND.parse(&typed).unwrap()))
    }

    fn energy_and_forces(
        model: &PairFactory<Model>,
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
