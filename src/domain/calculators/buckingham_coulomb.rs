//! `buckingham-coulomb`: ionic crystals and melts, in pure Rust.
//!
//! ```text
//! E = Σ_pairs [A e^(-r/ρ) - C/r⁶ - E_c] + E_coulomb        for r < cutoff (strictly)
//! ```
//!
//! `E_coulomb` of the charges `q` (K = e²/4πε₀ = 14.3996 eV Å, α the damping, R the cutoff):
//!
//! ```text
//! wolf    K Σ_pairs q q [erfc(αr)/r - s]                  - K Σ q² (s/2 + α/√π),    s = erfc(αR)/R
//! dsf     K Σ_pairs q q [erfc(αr)/r - s + f (r - R)]      - K Σ q² (s/2 + fR/2 + α/√π)
//!                                                             f = erfc(αR)/R² + 2α/√π e^(-α²R²)/R
//! ewald   K Σ_pairs q q erfc(αr)/r - K Σ q² α/√π + (2πK/V) Σ_k≠0 e^(-k²/4α²)/k² |Σ q e^(ikr)|²
//! ```
//!
//! R. A. Buckingham, Proc. R. Soc. A 168, 264 (1938); D. Wolf et al., J. Chem. Phys. 110, 8254 (1999); C. J. Fennell and
//! J. D. Gezelter, J. Chem. Phys. 124, 234104 (2006); P. P. Ewald, Ann. Phys. 369, 253 (1921), in conducting surroundings.
//!
//! Forces and stress are derivatives of the energy in all of them. LAMMPS' `coul/wolf` differs: its energy is that of
//! `wolf`, its forces are those of `dsf`.
//!
//! Below the top of its repulsive wall (`barrier.rs`) the potential of a pair falls without bound, and no number means
//! anything there: a frame with such a pair fails.

mod barrier;
mod coulomb;
mod ewald;
mod kernel;
mod waves;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::barrier::barrier;
use self::coulomb::{Coulomb, Rest};
use self::kernel::{Buckingham, Coefficients};
use crate::domain::calculator::{Availability, CalculatorKind, Factory, Home};
use crate::domain::calculators::pair::calculator::{PairFactory, PairModel};
use crate::domain::calculators::pair::parameters::{PerPair, required};
use crate::domain::elements::symbol;
use crate::domain::parameters::{ParameterError, ParameterSpec, ParameterType, Parameters};

/// The entry in the table of calculators.
pub static KIND: CalculatorKind = CalculatorKind {
    name: "buckingham-coulomb",
    summary: "Buckingham pair potential with charges: Ewald sum, Wolf sum, damped shifted force, or none",
    supports: "energy, forces, stress; any frame, with coulomb=ewald only those periodic in all three directions",
    page: include_str!("buckingham_coulomb.md"),
    home: Home::Rust,
    parameters: &PARAMETERS,
    subject: None,
    settings: &[],
    catalogue: None,
    availability: || Availability::Available(String::new()),
    factory: |parameters, _| {
        let model = Model::new(parameters)?;
        // Without charges there is no erfc in the inner loop.
        let factory: Arc<dyn Factory> = match model.coulomb {
            Coulomb::None => Arc::new(PairFactory(Neutral(model))),
            _ => Arc::new(PairFactory(model)),
        };
        Ok(factory)
    },
    level_of_theory: |parameters| match parameters.text("coulomb") {
        Some("none") => "buckingham".into(),
        how => format!("buckingham-coulomb-{}", how.unwrap_or_default()),
    },
};

static PARAMETERS: [ParameterSpec; 9] = [
    ParameterSpec {
        name: "A",
        kind: ParameterType::NonNegativeFloat,
        unit: "eV",
        default: None,
        per_pair: true,
        per_species: false,
        help: "repulsion; required for every pair of species, 0 for charges alone",
    },
    ParameterSpec {
        name: "rho",
        kind: ParameterType::PositiveFloat,
        unit: "Å",
        default: None,
        per_pair: true,
        per_species: false,
        help: "range of the repulsion; required where A is not 0",
    },
    ParameterSpec {
        name: "C",
        kind: ParameterType::NonNegativeFloat,
        unit: "eV Å⁶",
        default: Some("0"),
        per_pair: true,
        per_species: false,
        help: "dispersion",
    },
    ParameterSpec {
        name: "charge",
        kind: ParameterType::Float,
        unit: "e",
        default: None,
        per_pair: false,
        per_species: true,
        help: "charge of each atom; required for every species, unless coulomb=none",
    },
    ParameterSpec {
        name: "cutoff",
        kind: ParameterType::PositiveFloat,
        unit: "Å",
        default: None,
        per_pair: false,
        per_species: false,
        help: "pairs at or beyond it do not count, charges included; required",
    },
    ParameterSpec {
        name: "coulomb",
        kind: ParameterType::Choice(&["ewald", "dsf", "wolf", "none"]),
        unit: "",
        default: Some("ewald"),
        per_pair: false,
        per_species: false,
        help: "how charges are summed: Ewald, damped shifted force, Wolf, not at all",
    },
    ParameterSpec {
        name: "alpha",
        kind: ParameterType::NonNegativeFloat,
        unit: "1/Å",
        default: None,
        per_pair: false,
        per_species: false,
        help: "damping of dsf and wolf, required there; 0.2 is usual with a cutoff of 12 Å",
    },
    ParameterSpec {
        name: "accuracy",
        kind: ParameterType::PositiveFloat,
        unit: "",
        default: None,
        per_pair: false,
        per_species: false,
        help: "of forces by ewald, relative to two unit charges 1 Å apart; 1e-8 unless set, 1e-15 at best",
    },
    ParameterSpec {
        name: "shift",
        kind: ParameterType::Choice(&["none", "energy"]),
        unit: "",
        default: Some("none"),
        per_pair: false,
        per_species: false,
        help: "energy: shift A e^(-r/rho) - C/r^6 of every pair by its value at the cutoff",
    },
];

/// The potential: what the user's parameters say about every pair of species.
#[derive(Clone, Debug)]
struct Model {
    a: PerPair,
    rho: PerPair,
    c: PerPair,
    charges: BTreeMap<u8, f64>,
    cutoff: f64,
    coulomb: Coulomb,
    shift: bool,
}

impl Model {
    fn new(parameters: &Parameters) -> Result<Self, ParameterError> {
        let wrong = |text: &str| Err(ParameterError(text.into()));
        if parameters.float("charge").is_some() {
            return wrong("parameter charge: every species has its own: --param charge.Na=1");
        }
        let Some(cutoff) = parameters.float("cutoff") else {
            return wrong("buckingham-coulomb has no cutoff: add --param cutoff=ANGSTROM");
        };
        let coulomb = Coulomb::new(parameters, cutoff)?;
        let charges: BTreeMap<_, _> = parameters.species("charge").collect();
        if coulomb == Coulomb::None && !charges.is_empty() {
            return wrong("parameter charge: charges do not count with coulomb=none");
        }
        Ok(Self {
            a: PerPair::new(parameters, "A"),
            rho: PerPair::new(parameters, "rho"),
            c: PerPair::new(parameters, "C"),
            charges,
            cutoff,
            coulomb,
            shift: parameters.text("shift") == Some("energy"),
        })
    }

    fn charge(&self, species: u8) -> Result<f64, String> {
        self.charges.get(&species).copied().ok_or_else(|| {
            let name = symbol(species);
            format!(
                "buckingham-coulomb has no charge for {name}: add --param charge.{name}=E, or --param coulomb=none"
            )
        })
    }

    fn buckingham(&self, x: u8, y: u8) -> Result<Buckingham, String> {
        let wanted = ("A", &self.a, "EV");
        let (a, rho) = if self.a.get(x, y) == Some(0.0) {
            (0.0, 1.0)
        } else {
            let wanted = [wanted, ("rho", &self.rho, "ANGSTROM")];
            let [a, rho] = required(KIND.name, (x, y), wanted)?;
            (a, rho)
        };
        let c = self.c.get(x, y).unwrap_or_default();
        Ok(Buckingham::new(a, rho, c, self.cutoff, self.shift))
    }
}

impl PairModel for Model {
    type Pair = Coefficients<true>;
    type Beyond = Rest;

    fn pair(&self, x: u8, y: u8) -> Result<Self::Pair, String> {
        let buckingham = self.buckingham(x, y)?;
        let charges = self.coulomb.of_pair(self.charge(x)?, self.charge(y)?);
        let wall = barrier(&buckingham, charges.product, self.cutoff);
        Ok(Coefficients::new(buckingham, charges, wall, self.cutoff))
    }

    fn beyond(&self) -> Rest {
        Rest::new(&self.coulomb, &self.charges)
    }
}

/// The same without charges.
#[derive(Clone, Debug)]
struct Neutral(Model);

impl PairModel for Neutral {
    type Pair = Coefficients<false>;
    type Beyond = ();

    fn pair(&self, x: u8, y: u8) -> Result<Self::Pair, String> {
        let buckingham = self.0.buckingham(x, y)?;
        let wall = barrier(&buckingham, 0.0, self.0.cutoff);
        let charges = Coulomb::None.of_pair(0.0, 0.0);
        Ok(Coefficients::new(buckingham, charges, wall, self.0.cutoff))
    }

    fn beyond(&self) {}
}
