//! `xtb`: GFN1-xTB and GFN2-xTB through the system's libxtb, in this process.
//!
//! Methods: S. Grimme, C. Bannwarth, P. Shushkov, J. Chem. Theory Comput. 13, 1989 (2017);
//! C. Bannwarth, S. Ehlert, S. Grimme, J. Chem. Theory Comput. 15, 1652 (2019).
//!
//! - Every frame gets a fresh molecule and fresh results: updating one molecule would start each SCF from the
//!   charges of the last frame, and results would depend on the order of frames. Parameters and basis set are
//!   loaded once for each list of elements (`MOST_PREPARED` of them are kept): they depend on nothing else, and
//!   loading takes 2 ms for GFN2, twenty times a single point of water.
//! - Same bytes on every rank and worker: as long as `OMP_NUM_THREADS` is unset or 1. With more OpenMP threads
//!   the last bits of the gradient change from run to run.
//! - Workers of one process evaluate at the same time; only loading, and making the molecule of a frame (some
//!   microseconds), are serialised.
//! - libxtb keeps arrays on the stack: about 2 MB for 200 atoms, growing with the square of their number.
//! - `uhf` 0 with an odd number of electrons means one unpaired electron, as in the xtb program. Where the
//!   program quietly changes any other impossible spin, the frame fails here.
//! - No stress, for periodic frames neither: libxtb 6.5.1 answers a virial of zeros. Periodic forces are right.
//! - Lengths are converted with [`BOHR`] (CODATA 2018); the xtb program's readers use a value 3e-12 larger,
//!   which no printed digit shows.

mod ffi;
mod valence;

use std::sync::Arc;

use crate::domain::calculator::{
    Availability, Calculator, CalculatorKind, Conditions, Factory, Failure, Home, Results,
};
use crate::domain::cell::norm;
use crate::domain::elements::symbol;
use crate::domain::frame::Frame;
use crate::domain::parameters::{ParameterError, ParameterSpec, ParameterType, Parameters};
use crate::domain::units::{BOHR, HARTREE};

pub use ffi::LIBRARY_VARIABLE;
use ffi::{Api, Method, Molecule, Prepared, Settings};

/// Lists of elements whose parameters a worker keeps.
const MOST_PREPARED: usize = 8;

/// The entry in the table of calculators.
pub static KIND: CalculatorKind = CalculatorKind {
    name: "xtb",
    summary: "GFN1-xTB and GFN2-xTB tight binding through libxtb",
    supports: "energy, forces; H to Rn; molecules, and with gfn1 frames periodic in all three directions; no stress",
    page: include_str!("README.md"),
    home: Home::Library,
    parameters: &PARAMETERS,
    subject: None,
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
    ParameterSpec {
        name: "charge",
        kind: ParameterType::Integer,
        unit: "e",
        default: Some("0"),
        per_pair: false,
        per_species: false,
        help: "total charge of every frame",
    },
    ParameterSpec {
        name: "uhf",
        kind: ParameterType::Integer,
        unit: "",
        default: Some("0"),
        per_pair: false,
        per_species: false,
        help: "number of unpaired electrons; 0 means one where their number is odd",
    },
    ParameterSpec {
        name: "accuracy",
        kind: ParameterType::PositiveFloat,
        unit: "",
        default: Some("1"),
        per_pair: false,
        per_species: false,
        help: "factor on all thresholds, 0.0001 (tight) to 1000",
    },
    ParameterSpec {
        name: "max_iterations",
        kind: ParameterType::PositiveInteger,
        unit: "",
        default: Some("250"),
        per_pair: false,
        per_species: false,
        help: "iterations of the self-consistent charges before a frame is given up (status 2)",
    },
    ParameterSpec {
        name: "electronic_temperature",
        kind: ParameterType::PositiveFloat,
        unit: "K",
        default: Some("300"),
        per_pair: false,
        per_species: false,
        help: "temperature of the electrons",
    },
];

/// The text with which libxtb 6.3 and later says that the SCF did not converge.
const NOT_CONVERGED: &str = "Self consistent charge iterator did not converge";

fn method(parameters: &Parameters) -> (Method, &'static str) {
    match parameters.text("method") {
        Some("gfn1") => (Method::Gfn1, "GFN1-xTB"),
        _ => (Method::Gfn2, "GFN2-xTB"),
    }
}

fn availability() -> Availability {
    match ffi::api() {
        Ok(api) => {
            let (major, minor, patch) = api.version();
            Availability::Available(format!("{}, API {major}.{minor}.{patch}", api.library))
        }
        Err(reason) => Availability::Missing(missing(reason)),
    }
}

fn missing(reason: &str) -> String {
    format!(
        "{reason}: install it (Debian: apt-get install libxtb6, or libxtb-dev; conda-forge: xtb) or name the \
         file in {LIBRARY_VARIABLE}"
    )
}

fn factory(parameters: &Parameters, _: &Conditions) -> Result<Arc<dyn Factory>, ParameterError> {
    let wrong = |name: &str, wanted: &str| {
        let given = parameters.text(name).unwrap_or_default();
        ParameterError(format!("parameter {name}: {given} is not {wanted}"))
    };
    let whole = |name: &str, least: i32, wanted: &str| {
        parameters
            .integer(name)
            .and_then(|x| i32::try_from(x).ok())
            .filter(|x| *x >= least)
            .ok_or_else(|| wrong(name, wanted))
    };
    let accuracy = parameters.float("accuracy").unwrap_or(1.0);
    if !(1e-4..=1e3).contains(&accuracy) {
        return Err(wrong("accuracy", "between 0.0001 and 1000"));
    }
    Ok(Arc::new(XtbFactory {
        settings: Settings {
            method: method(parameters).0,
            accuracy,
            max_iterations: whole("max_iterations", 1, "a number of iterations")?,
            electronic_temperature: parameters.float("electronic_temperature").unwrap_or(300.0),
        },
        charge: whole("charge", -1_000_000, "a charge")?,
        uhf: whole("uhf", 0, "a number of unpaired electrons (0 or more)")?,
    }))
}

#[derive(Clone, Debug)]
struct XtbFactory {
    settings: Settings,
    charge: i32,
    uhf: i32,
}

impl Factory for XtbFactory {
    fn build(&self) -> Result<Box<dyn Calculator>, String> {
        let api = ffi::api().map_err(missing)?;
        // Who sets the variable has chosen; see `adapters::environment`.
        if std::env::var_os("OMP_NUM_THREADS").is_none() {
            api.use_one_thread();
        }
        Ok(Box::new(Xtb {
            api,
            job: self.clone(),
            numbers: Vec::new(),
            positions: Vec::new(),
            prepared: Vec::with_capacity(MOST_PREPARED),
        }))
    }

    fn size_of(&self, species: u8) -> u8 {
        valence::orbitals_gfn2(species) as u8
    }

    fn check_species(&self, species: &[u8]) -> Result<(), String> {
        match species.iter().find(|z| !known(**z)) {
            None => Ok(()),
            Some(z) => Err(format!(
                "xtb has no parameters for {} (atomic number {z}), only for H to Rn",
                symbol(*z)
            )),
        }
    }
}

fn known(z: u8) -> bool {
    (1..=valence::HEAVIEST).contains(&z)
}

struct Xtb {
    api: &'static Api,
    job: XtbFactory,
    numbers: Vec<i32>,
    positions: Vec<[f64; 3]>,
    /// The one used last comes last.
    prepared: Vec<Prepared>,
}

impl Calculator for Xtb {
    fn evaluate(&mut self, frame: &Frame<'_>, results: &mut Results<'_>) -> Result<(), Failure> {
        self.job.refuse(frame).map_err(Failure::Failed)?;
        self.numbers.clear();
        self.numbers
            .extend(frame.species.iter().map(|&z| i32::from(z)));
        self.positions.clear();
        let bohr = |r: &[f64; 3]| r.map(|x| x / BOHR);
        self.positions.extend(frame.positions.iter().map(bohr));
        let molecule = Molecule {
            numbers: &self.numbers,
            positions: &self.positions,
            lattice: frame
                .cell
                .is_periodic()
                .then(|| frame.cell.vectors.map(|v| bohr(&v))),
            charge: f64::from(self.job.charge),
            uhf: self.job.uhf,
        };
        let energy = singlepoint(
            self.api,
            &mut self.prepared,
            &molecule,
            &self.job.settings,
            results.forces,
        )
        .map_err(|message| failure(frame, &message))?;
        *results.energy = energy * HARTREE;
        for force in results.forces.iter_mut() {
            *force = force.map(|x| -x * (HARTREE / BOHR));
        }
        Ok(())
    }
}

/// Evaluates with the parameters that were loaded for these elements, or loads them.
fn singlepoint(
    api: &Api,
    kept: &mut Vec<Prepared>,
    molecule: &Molecule<'_>,
    settings: &Settings,
    gradient: &mut [[f64; 3]],
) -> Result<f64, String> {
    let mut prepared = if let Some(at) = kept.iter().rposition(|p| p.fits(molecule)) {
        kept.remove(at)
    } else {
        if kept.len() == MOST_PREPARED {
            kept.remove(0);
        }
        api.prepare(molecule, settings)?
    };
    let energy = api.singlepoint(&mut prepared, molecule, gradient)?;
    // After an error nobody knows what state it is in.
    kept.push(prepared);
    Ok(energy)
}

impl XtbFactory {
    /// Refuses what libxtb treats wrongly or dies of.
    fn refuse(&self, frame: &Frame<'_>) -> Result<(), String> {
        if frame.is_empty() {
            return Err("the frame has no atoms".into());
        }
        if let Some(defect) = frame.defect() {
            return Err(defect);
        }
        self.check_species(frame.species)?;
        if frame.cell.is_periodic() {
            if self.settings.method == Method::Gfn2 {
                return Err(
                    "GFN2-xTB in libxtb cannot treat periodic frames; use method=gfn1".into(),
                );
            }
            if frame.cell.periodic != [true; 3] {
                // The library would take it as periodic in all three, without a word.
                return Err(
                    "libxtb knows no slabs or chains: the frame must be periodic in all three \
                            directions or in none"
                        .into(),
                );
            }
        }
        self.refuse_electrons(frame.species)
    }

    fn refuse_electrons(&self, species: &[u8]) -> Result<(), String> {
        let total: i64 = species
            .iter()
            .map(|&z| i64::from(valence::electrons(z)))
            .sum();
        let orbitals: i64 = species
            .iter()
            .map(|&z| match self.settings.method {
                Method::Gfn1 => i64::from(valence::orbitals_gfn1(z)),
                Method::Gfn2 => i64::from(valence::orbitals_gfn2(z)),
            })
            .sum();
        let (charge, uhf) = (self.charge, i64::from(self.uhf));
        let electrons = total - i64::from(charge);
        if electrons < 0 {
            return Err(format!(
                "charge {charge} takes more than the {total} valence electrons of the frame"
            ));
        }
        if uhf > 0 && (uhf > electrons || (electrons - uhf) % 2 != 0) {
            return Err(format!(
                "uhf {uhf} is impossible: the frame has {electrons} valence electrons at charge {charge}"
            ));
        }
        let unpaired = uhf.max(electrons % 2);
        if electrons + unpaired > 2 * orbitals {
            return Err(format!(
                "{electrons} valence electrons (charge {charge}), {unpaired} of them unpaired, do not fit the \
                 {orbitals} orbitals of the frame"
            ));
        }
        Ok(())
    }
}

/// Says what xtb's message means for the frame.
fn failure(frame: &Frame<'_>, message: &str) -> Failure {
    if message.contains(NOT_CONVERGED) {
        return Failure::NotConverged(format!("xtb: {message}"));
    }
    let place = if message.contains("Could not generate molecular structure") {
        coincidence(frame)
    } else {
        String::new()
    };
    Failure::Failed(format!("xtb: {message}{place}"))
}

/// Names two atoms on one place, images included; empty when there are none.
fn coincidence(frame: &Frame<'_>) -> String {
    let wrap = |mut d: [f64; 3]| {
        if frame.cell.is_periodic() {
            let reciprocal = frame.cell.reciprocal();
            let shift = reciprocal.map(|b| (b[0] * d[0] + b[1] * d[1] + b[2] * d[2]).round());
            for (s, v) in shift.iter().zip(frame.cell.vectors) {
                for k in 0..3 {
                    d[k] -= s * v[k];
                }
            }
        }
        d
    };
    for (j, b) in frame.positions.iter().enumerate() {
        for (i, a) in frame.positions[..j].iter().enumerate() {
            if norm(wrap([b[0] - a[0], b[1] - a[1], b[2] - a[2]])) < 1e-3 {
                return format!(" (atoms {i} and {j} are at one place)");
            }
        }
    }
    String::new()
}
