//! `tblite`: GFN2-xTB, GFN1-xTB and IPEA1-xTB through libtblite, in this process, for molecules and crystals.
//!
//! Methods: C. Bannwarth, S. Ehlert, S. Grimme, J. Chem. Theory Comput. 15, 1652 (2019);
//! S. Grimme, C. Bannwarth, P. Shushkov, ibid. 13, 1989 (2017); V. Ásgeirsson, C. A. Bauer, S. Grimme, Chem. Sci. 8,
//! 4879 (2017).
//!
//! - What holds for every such library: [`tight_binding`](super::tight_binding).
//! - Periodic frames at the Gamma point. Stress is the library's derivative by strain over the volume.
//! - A frame that is periodic in one or two directions is refused: the library sums images and waves in all three as soon
//!   as one of them repeats.
//! - So is any periodic frame before tblite 0.8. Up to 0.6 the multipoles of GFN2 are summed wrongly (issue 285 of tblite)
//!   and the electrostatics of all methods end at 10 Bohr, with jumps of the energy (350); in 0.7 they end at the nearest
//!   images; since 0.8 they are summed to the end (353). Water in a cell of 9 Å against the same cell doubled: 1e-2 eV per
//!   molecule in 0.6 (GFN2), 3e-3 in 0.7, 2e-6 in 0.8. Molecules are the same in all of them.

mod ffi;

use std::sync::Arc;

use crate::domain::calculator::{Availability, CalculatorKind, Conditions, Factory, Home};
use crate::domain::cell::Cell;
use crate::domain::parameters::{ParameterError, ParameterSpec, ParameterType, Parameters};

use super::tight_binding::engine::{Engine, Job, SinglePoint};
use super::tight_binding::molecule::Molecule;
use super::tight_binding::settings::{self, Settings};
use super::tight_binding::valence;

use ffi::{Api, Method, Prepared};
pub use ffi::{LIBRARY_VARIABLE, PREFIX_VARIABLE};

/// The entry in the table of calculators.
pub static KIND: CalculatorKind = CalculatorKind {
    name: "tblite",
    summary: "GFN2-xTB, GFN1-xTB and IPEA1-xTB tight binding through libtblite, periodic too",
    supports: "energy, forces, stress; H to Rn; molecules, and frames periodic in all three directions",
    page: include_str!("README.md"),
    home: Home::Library,
    parameters: &PARAMETERS,
    subject: Some("method"),
    settings: &[],
    catalogue: None,
    availability,
    factory,
    level_of_theory: |parameters| method(parameters).1.to_owned(),
};

static PARAMETERS: [ParameterSpec; 6] = [
    ParameterSpec {
        name: "method",
        kind: ParameterType::Choice(&["gfn2", "gfn1", "ipea1"]),
        unit: "",
        default: Some("gfn2"),
        per_pair: false,
        per_species: false,
        help: "parametrisation",
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
        Some("ipea1") => (Method::Ipea1, "IPEA1-xTB"),
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
        "{reason}: install it (conda-forge or Spack: tblite; or scripts/tblite), and name its folder in {PREFIX_VARIABLE} \
         or the file in {LIBRARY_VARIABLE}"
    )
}

fn describe(api: &Api) -> String {
    format!("{}, tblite {}", api.loaded.name, api.version())
}

fn factory(parameters: &Parameters, _: &Conditions) -> Result<Arc<dyn Factory>, ParameterError> {
    let settings = Settings::of(parameters)?;
    Ok(Job::<Tblite>::factory(method(parameters).0, settings))
}

/// libtblite and a method of it.
struct Tblite {
    api: &'static Api,
    method: Method,
}

impl Engine for Tblite {
    const NAME: &'static str = "tblite";
    /// The text of tblite 0.3 to 0.8.
    const NOT_CONVERGED: &'static str = "SCF not converged";
    type Method = Method;
    type Prepared = Prepared;

    fn open(method: Method) -> Result<Self, String> {
        let api = ffi::api().map_err(missing)?;
        Ok(Self { api, method })
    }

    fn version(&self) -> String {
        format!("tblite {}", self.api.version())
    }

    fn use_one_thread(&self) {
        self.api.loaded.use_one_thread();
    }

    fn orbitals(method: Method, species: u8) -> u32 {
        match method {
            Method::Gfn1 => valence::orbitals_gfn1(species),
            Method::Gfn2 => valence::orbitals_gfn2(species),
            Method::Ipea1 => valence::orbitals_ipea1(species),
        }
    }

    fn refuse_cell(&self, cell: &Cell) -> Result<(), String> {
        if cell.periodic != [true; 3] {
            // The library would take it as periodic in all three, without a word.
            return Err("tblite knows no slabs or chains: the frame must be periodic in all three directions or in none".into());
        }
        if !self.api.sums_images_rightly() {
            let version = self.api.version();
            return Err(format!(
                "periodic frames need tblite 0.8, not {version}, whose sums over images are wrong"
            ));
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
        self.api.singlepoint(prepared, molecule, gradient)
    }
}
