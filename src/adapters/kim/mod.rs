//! `kim`: every portable model of the `OpenKIM` API through libkim-api, which is loaded when it is asked for.
//!
//! E. B. Tadmor et al., JOM 63, 17 (2011); API 2: <https://openkim.org/kim-api/>. Facts (API 2.3):
//!
//! - A model knows particles and neighbour lists, no cells. Images of atoms are particles that do not contribute
//!   (*ghosts*): those within the model's influence distance of an atom. Its energy is that of the atoms; its forces are
//!   the derivatives by every particle, so that the force on an image is folded back to its atom, and `-Σ f ⊗ r` over all
//!   particles is the derivative of the energy by strain (see [`Cluster`]). Only energy and forces are asked of a model.
//! - Some models ask for neighbours of ghosts. They get those that are particles.
//! - Lists may hold particles beyond the cutoff; models look at distances themselves.
//! - Some models keep what they have learnt from the first frames: EMT of Asap derives its cutoff from the elements it has
//!   seen. So that results do not depend on the order of frames, every set of species has a model object of its own, and one
//!   that has failed is not used again.
//! - Workers of one process evaluate at the same time, each with its own objects. Drivers that share variables nevertheless
//!   (`ALONE`) evaluate one at a time; a test looks for others among all that are installed.
//! - Units are asked for as Å and eV; a model that answers with others is converted (`units`).
//! - The library writes `kim.log` into the working directory unless its logs are silent, which they are here.

mod catalogue;
mod units;

mod installed {
    pub(super) mod ffi;
}
mod library {
    pub(super) mod ffi;
}
mod model {
    pub(super) mod ffi;
}
mod mute {
    pub(super) mod ffi;
}
#[cfg(test)]
mod tests;

use std::ffi::{CStr, c_int};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::calculator::{
    Availability, Calculator, CalculatorKind, Conditions, Factory, Failure, Home, Results,
};
use crate::domain::elements::{SYMBOLS, symbol};
use crate::domain::frame::Frame;
use crate::domain::neighbors::{Cluster, Reach};
use crate::domain::parameters::{ParameterError, ParameterSpec, ParameterType, Parameters};

pub use library::ffi::LIBRARY_VARIABLE;
use library::ffi::api;
use model::ffi::Model;

/// Where models come from.
const MODELS: &str = "openkim-models has several hundred (apt-get install openkim-models; conda-forge: openkim-models), \
                      kim-api-collections-management install user MODEL gets one from openkim.org";

/// Drivers with variables that all objects share: two threads at once give wrong numbers (of the first, as found; the second
/// is of the same authors and just as made).
const ALONE: [&str; 2] = ["EAM_Magnetic2GQuintic__MD_", "EAM_MagneticCubic__MD_"];

/// Held by whoever uses one of them.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Sets of species whose model objects a worker keeps.
const MOST_KEPT: usize = 16;

/// The entry in the table of calculators.
pub static KIND: CalculatorKind = CalculatorKind {
    name: "kim",
    summary: "interatomic potentials of OpenKIM through libkim-api: pair, EAM, MEAM, Tersoff, SW, SNAP...",
    supports: "energy, forces, stress; any frame of the model's species",
    page: include_str!("README.md"),
    home: Home::Library,
    parameters: &[ParameterSpec {
        name: "model",
        kind: ParameterType::Text,
        unit: "",
        default: None,
        per_pair: false,
        per_species: false,
        help: "full name of a portable model that is installed; required",
    }],
    subject: Some("model"),
    settings: &[],
    catalogue: Some(catalogue::list),
    availability,
    factory,
    level_of_theory: |parameters| parameters.text("model").unwrap_or("kim").to_owned(),
};

fn availability() -> Availability {
    match api() {
        Ok(api) => Availability::Available(format!("{}, API {}", api.library, api.version())),
        Err(reason) => Availability::Missing(missing(reason)),
    }
}

fn missing(reason: &str) -> String {
    format!(
        "{reason}: install it (Debian: apt-get install libkim-api2 openkim-models; conda-forge: kim-api openkim-models) or \
         name the file in {LIBRARY_VARIABLE}"
    )
}

fn factory(parameters: &Parameters, _: &Conditions) -> Result<Arc<dyn Factory>, ParameterError> {
    let Some(name) = parameters.text("model").filter(|name| !name.is_empty()) else {
        return Err(ParameterError(
            "calculator kim needs a model: --calculator kim:MODEL (`framewise calculators kim` lists them)".into(),
        ));
    };
    let wrong = |why: String| ParameterError(format!("parameter model: {why}"));
    let api = api().map_err(|reason| wrong(missing(reason)))?;
    if let Some(complaint) = catalogue::complaint(api, name).map_err(wrong)? {
        return Err(wrong(complaint));
    }
    let alone = catalogue::driver(api, name)
        .map_err(wrong)?
        .is_some_and(|driver| ALONE.iter().any(|prefix| driver.starts_with(prefix)));
    let factory = KimFactory::new(name, alone, c"A", c"eV").map_err(wrong)?;
    Ok(Arc::new(factory))
}

/// What is known of a model.
#[derive(Clone, Debug)]
struct KimFactory {
    name: String,
    /// Only one object may evaluate at a time.
    alone: bool,
    /// Units to ask for.
    asked: (&'static CStr, &'static CStr),
    /// Its number for each atomic number.
    codes: [Option<c_int>; SYMBOLS.len()],
    /// Å.
    influence: f64,
    reaches: Vec<Reach>,
    /// Its units in Å and eV.
    length: f64,
    energy: f64,
}

impl KimFactory {
    /// Creates the model once, to learn what it wants.
    fn new(
        name: &str,
        alone: bool,
        length: &'static CStr,
        energy: &'static CStr,
    ) -> Result<Self, String> {
        let mut factory = Self {
            name: name.to_owned(),
            alone,
            asked: (length, energy),
            codes: [None; SYMBOLS.len()],
            influence: f64::NAN,
            reaches: Vec::new(),
            length: f64::NAN,
            energy: f64::NAN,
        };
        let model = factory.model()?;
        let units = model.units();
        (factory.length, factory.energy) = units::length(&units.length)
            .zip(units::energy(&units.energy))
            .ok_or_else(|| {
                format!(
                    "{name} computes in {} and {}, which cannot be converted",
                    units.length, units.energy
                )
            })?;
        for (code, symbol) in factory.codes.iter_mut().zip(SYMBOLS).skip(1) {
            *code = model.code(symbol);
        }
        if factory.codes.iter().all(Option::is_none) {
            return Err(format!(
                "{name} knows no element, only species of its users: take another model"
            ));
        }
        factory.influence = model.influence() * factory.length;
        let wanted = model.neighbor_lists();
        factory.reaches = wanted
            .iter()
            .map(|list| Reach {
                cutoff: list.cutoff * factory.length,
                of_ghosts: list.of_ghosts,
            })
            .collect();
        let distances = factory.reaches.iter().map(|list| list.cutoff);
        if !distances
            .chain([factory.influence])
            .all(|r| r.is_finite() && r > 0.0)
        {
            return Err(format!("{name} gives no cutoff"));
        }
        refuse(name, &model)?;
        Ok(factory)
    }

    fn model(&self) -> Result<Model, String> {
        let api = api().map_err(missing)?;
        let (length, energy) = self.asked;
        let _turn = self.turn();
        Model::new(api, &self.name, length, energy).map_err(|why| format!("{}: {why}", self.name))
    }

    /// Waits for the other objects, where only one may be used at a time.
    fn turn(&self) -> Option<MutexGuard<'static, ()>> {
        let wait = || ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        self.alone.then(wait)
    }

    fn code(&self, species: u8) -> Option<c_int> {
        self.codes.get(usize::from(species)).copied().flatten()
    }

    fn unknown(&self, species: u8) -> String {
        let known = SYMBOLS.iter().zip(&self.codes);
        let known: Vec<_> = known
            .filter(|(_, code)| code.is_some())
            .map(|(symbol, _)| *symbol)
            .collect();
        format!(
            "model {} does not know {} (atomic number {species}), only {}",
            self.name,
            symbol(species),
            known.join(" ")
        )
    }
}

/// Complains about a model that gives too little or asks for too much.
fn refuse(name: &str, model: &Model) -> Result<(), String> {
    for argument in [c"partialEnergy", c"partialForces"] {
        if model.argument_is(argument, c"notSupported") {
            let what = argument.to_string_lossy();
            return Err(format!(
                "{name} does not compute {what}: take another model"
            ));
        }
    }
    let arguments = [
        c"partialParticleEnergy",
        c"partialVirial",
        c"partialParticleVirial",
    ];
    let callbacks = [c"ProcessDEDrTerm", c"ProcessD2EDr2Term"];
    let demanded = arguments
        .into_iter()
        .find(|a| model.argument_is(a, c"required"));
    let demanded = demanded.or_else(|| {
        callbacks
            .into_iter()
            .find(|c| model.callback_is(c, c"required"))
    });
    demanded.map_or(Ok(()), |what| {
        let what = what.to_string_lossy();
        Err(format!(
            "{name} demands {what}, which is not offered here: take another model"
        ))
    })
}

impl Factory for KimFactory {
    fn build(&self) -> Result<Box<dyn Calculator>, String> {
        Ok(Box::new(Kim {
            spare: Some(self.model()?),
            kept: Vec::with_capacity(MOST_KEPT),
            known: self.clone(),
            cluster: Cluster::default(),
            coordinates: Vec::new(),
            codes: Vec::new(),
            contributing: Vec::new(),
            forces: Vec::new(),
        }))
    }

    fn library(&self) -> Option<String> {
        let api = api().ok()?;
        Some(format!("libkim-api, API {}", api.version()))
    }

    fn check_species(&self, species: &[u8]) -> Result<(), String> {
        let unknown = species.iter().find(|z| self.code(**z).is_none());
        unknown.map_or(Ok(()), |z| Err(self.unknown(*z)))
    }
}

/// The model and the buffers for its particles.
struct Kim {
    /// Created before the first frame, so that what is wrong with it is known then.
    spare: Option<Model>,
    /// By set of species; the one used last comes last.
    kept: Vec<(Vec<u8>, Model)>,
    known: KimFactory,
    cluster: Cluster,
    /// In the model's unit; unused where that is Å.
    coordinates: Vec<[f64; 3]>,
    codes: Vec<c_int>,
    contributing: Vec<c_int>,
    forces: Vec<[f64; 3]>,
}

impl Calculator for Kim {
    fn evaluate(&mut self, frame: &Frame<'_>, results: &mut Results<'_>) -> Result<(), Failure> {
        if frame.is_empty() {
            return Ok(());
        }
        self.known
            .check_species(frame.species)
            .map_err(Failure::Failed)?;
        let Self {
            spare,
            kept,
            known,
            cluster,
            coordinates,
            codes,
            contributing,
            forces,
        } = self;
        cluster
            .update(frame, known.influence, &known.reaches)
            .map_err(|e| Failure::Failed(e.0))?;
        codes.clear();
        let species = cluster.origins().map(|atom| frame.species[atom]);
        codes.extend(species.map(|z| known.code(z).unwrap_or_default()));
        contributing.clear();
        contributing.resize(cluster.atoms(), 1);
        contributing.resize(cluster.len(), 0);
        forces.clear();
        forces.resize(cluster.len(), [0.0; 3]);
        let mut positions = cluster.positions();
        if known.length != 1.0 {
            coordinates.clear();
            coordinates.extend(positions.iter().map(|r| r.map(|x| x / known.length)));
            positions = coordinates;
        }
        let at = kept.iter().rposition(|(set, _)| set == cluster.species());
        let (set, mut model) = if let Some(at) = at {
            kept.remove(at)
        } else {
            if kept.len() == MOST_KEPT {
                kept.remove(0);
            }
            let model = spare.take().map_or_else(|| known.model(), Ok);
            (cluster.species().to_vec(), model.map_err(Failure::Failed)?)
        };
        let turn = known.turn();
        let energy = model
            .compute(cluster, positions, codes, contributing, forces)
            .map_err(|why| Failure::Failed(format!("model {}: {why}", known.name)))?;
        drop(turn);
        kept.push((set, model));
        *results.energy = energy * known.energy;
        let factor = known.energy / known.length;
        cluster.fold(forces, factor, results.forces);
        let volume = frame.cell.volume();
        if frame.cell.is_periodic() && volume > 0.0 {
            let virial = cluster.virial(forces);
            *results.stress = virial.map(|row| row.map(|w| -factor * w / volume));
        }
        Ok(())
    }
}
