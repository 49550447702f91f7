//! `xtb`: GFN1-xTB and GFN2-xTB through the system's libxtb, in this process.
//!
//! Methods: S. Grimme, C. Bannwarth, P. Shushkov, J. Chem. Theory Comput. 13, 1989 (2017);
//! C. Bannwarth, S. Ehlert, S. Grimme, J. Chem. Theory Comput. 15, 1652 (2019).
//!
//! - What holds for every such library: [`tight_binding`](super::tight_binding). Loading parameters takes 2 ms for GFN2,
//!   twenty times a single point of water.
//! - libxtb keeps arrays on the stack: about 2 MB for 200 atoms, growing with the square of their number.
//! - Where the xtb program quietly changes an impossible spin, the frame fails here.
//! - No stress, for periodic frames neither: libxtb 6.5.1 answers a virial of zeros. Periodic forces are right.
//! - The xtb program's readers use a Bohr 3e-12 larger than ours, which no printed digit shows.

mod ffi;

use std::sync::Arc;

use crate::domain::calculator::{Availability, CalculatorKind, Conditions, Factory, Home};
use crate::domain::cell::Cell;
use crate::domain::parameters::{ParameterError, ParameterSpec, ParameterType, Parameters};

use super::tight_binding::engine::{Engine, Job, SinglePoint};
use super::tight_binding::molecule::Molecule;
use super::tight_binding::settings::{self, Settings};
use super::tight_binding::valence;

pub use ffi::LIBRARY_VARIABLE;
use ffi::{Api, Method, Prepared};

/// The entry in the table of calculators.
pub static KIND: CalculatorKind = CalculatorKind {
    name: "xtb",
    summary: "GFN1-xTB and GFN2-xTB tight binding through libxtb",
    supports: "energy, forces; H to Rn; molecules, and with gfn1 frames periodic in all three directions; no stress",
    page: include_str!("README.md"),
    home: Home::Library,
    parameters: &PARAMETERS,
    subject: None,
    settings: &[],
    catalogue: None,
    availability,
    factory,
    level_of_theory: |parameters| method(parameters).1.to_owned(),
};

static PARAMETERS: [ParameterSpec; 6] = [
    ParameterSpec {
        name: "method",
        kind: ParameterType::Choice(&["gfn2", "gfn1"]),
        unit: "",
        default: Some("gfn2"),
        per_pair: false,
        per_species: false,
        help: "parametrisation; periodic frames need gfn1",
    },
    settings::CHARGE,
    settings::UHF,
    settings::ACCURACY,
    settings::MAX_ITERATIONS,
    settings::ELECTRONIC_TEMPERATURE,
];

fn method(parameters: &Parameters) -> (Method, &'static str) {
    match parameters.text("method") {
        Some("gfn1") => (Method::Gfn1, "GFN1-xTB"),
        _ => (Method::Gfn2, "GFN2-xTB"),
    }
}

fn availability() -> Availability {
    match ffi::api() {
        Ok(api) => Availability::Available(describe(api)),
        Err(reason) => Availability::Missing(missing(reason)),
    }
}

fn missing(reason: &str) -> String {
    format!(
        "{reason}: install it (Debian: apt-get install libxtb6, or libxtb-dev; conda-forge: xtb) or name the \
         file in {LIBRARY_VARIABLE}"
    )
}

fn version(api: &Api) -> String {
    let (major, minor, patch) = api.version();
    format!("API {major}.{minor}.{patch}")
}

fn describe(api: &Api) -> String {
    format!("{}, {}", api.loaded.name, version(api))
}

fn factory(parameters: &Parameters, _: &Conditions) -> Result<Arc<dyn Factory>, ParameterError> {
    let settings = Settings::of(parameters)?;
    Ok(Job::<Xtb>::factory(method(parameters).0, settings))
}

/// libxtb and a method of it.
struct Xtb {
    api: &'static Api,
    method: Method,
}

impl Engine for Xtb {
    const NAME: &'static str = "xtb";
    /// The text of libxtb 6.3 and later.
    const NOT_CONVERGED: &'static str = "Self consistent charge iterator did not converge";
    type Method = Method;
    type Prepared = Prepared;

    fn open(method: Method) -> Result<Self, String> {
        let api = ffi::api().map_err(missing)?;
        Ok(Self { api, method })
    }

    fn version(&self) -> String {
        format!("libxtb, {}", version(self.api))
    }

    fn use_one_thread(&self) {
        self.api.loaded.use_one_thread();
    }

    fn orbitals(method: Method, species: u8) -> u32 {
        match method {
            Method::Gfn1 => valence::orbitals_gfn1(species),
            Method::Gfn2 => valence::orbitals_gfn2(species),
        }
    }

    fn refuse_cell(&self, cell: &Cell) -> Result<(), String> {
        if self.method == Method::Gfn2 {
            return Err(
                "GFN2-xTB in libxtb cannot treat periodic frames; use method=gfn1, or the calculator tblite".into(),
            );
        }
        if cell.periodic != [true; 3] {
            // The library would take it as periodic in all three, without a word.
            return Err(
                "libxtb knows no slabs or chains: the frame must be periodic in all three directions or in none".into(),
            );
        }
        Ok(())
    }

    fn prepare(&self, molecule: &Molecule<'_>, settings: &Settings) -> Result<Prepared, String> {
        self.api.prepare(molecule, self.method, settings)
    }

    fn fits(prepared: &Prepared, molecule: &Molecule<'_>) -> bool {
        prepared.elements.fit(molecule)
    }

    fn singlepoint(
        &self,
        prepared: &mut Prepared,
        molecule: &Molecule<'_>,
        gradient: &mut [[f64; 3]],
    ) -> Result<SinglePoint, String> {
        let energy = self.api.singlepoint(prepared, molecule, gradient)?;
        Ok(SinglePoint {
            energy,
            strain_derivative: None,
        })
    }
}
