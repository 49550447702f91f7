//! `ase`: any ASE calculator, in a Python process of its own for each worker.
//!
//! ASE: A. Hjorth Larsen et al., J. Phys.: Condens. Matter 29, 273002 (2017). Its units are ours: eV, Å, and its stress
//! has our sign. What the process is and says: `adapters::python`.
//!
//! A process that dies, hangs or talks nonsense costs the frame it had in hand, and is started again. Where the user's
//! calculator evaluates many frames by one call (`calculate_batch`), those of a call that took the process down are
//! asked for once more, one by one: again, one frame is lost.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use crate::adapters::python::{self, Correspondence, FrameRequest, Session, Setup};
use crate::domain::calculator::{
    Availability, Calculator, CalculatorKind, Conditions, Factory, Failure, Home, Results,
};
use crate::domain::frame::Frame;
use crate::domain::parameters::{
    ANY_NAME, ParameterError, ParameterSpec, ParameterType, Parameters,
};

/// The entry in the table of calculators.
pub static KIND: CalculatorKind = CalculatorKind {
    name: "ase",
    summary: "any ASE calculator (MACE, CHGNet, tblite, DFTB+, PySCF, EMT...) in the user's own Python",
    supports: "energy, forces, and stress of periodic frames where the calculator has it; what it treats",
    page: include_str!("README.md"),
    home: Home::Program,
    parameters: &PARAMETERS,
    subject: Some("calculator"),
    settings: &["batch", "start_timeout"],
    catalogue: None,
    availability,
    factory,
    level_of_theory: |parameters| name_of(parameters.text("calculator").unwrap_or("ase")),
};

static PARAMETERS: [ParameterSpec; 5] = [
    ParameterSpec {
        name: "calculator",
        kind: ParameterType::Text,
        unit: "",
        default: None,
        per_pair: false,
        per_species: false,
        help: "module:Class, file.py:function, or the name of one of ASE's own (emt, lj); required",
    },
    ParameterSpec {
        name: "batch",
        kind: ParameterType::PositiveInteger,
        unit: "",
        default: Some("64"),
        per_pair: false,
        per_species: false,
        help: "most frames of one call, if the calculator has a method calculate_batch",
    },
    ParameterSpec {
        name: "fresh",
        kind: ParameterType::Choice(&["no", "yes"]),
        unit: "",
        default: Some("no"),
        per_pair: false,
        per_species: false,
        help: "yes: make the calculator anew for each frame, if it remembers frames beyond its reset()",
    },
    python::START_TIMEOUT,
    ParameterSpec {
        name: ANY_NAME,
        kind: ParameterType::Text,
        unit: "",
        default: None,
        per_pair: false,
        per_species: false,
        help: "any other name: a keyword of the calculator, a Python literal or text",
    },
];

/// `mace_mp` of `mace.calculators:mace_mp`.
fn name_of(target: &str) -> String {
    target.rsplit(':').next().unwrap_or(target).to_owned()
}

fn availability() -> Availability {
    match python::interpreter() {
        Ok(path) => Availability::Available(path.display().to_string()),
        Err(why) => Availability::Missing(why),
    }
}

fn factory(
    parameters: &Parameters,
    conditions: &Conditions,
) -> Result<Arc<dyn Factory>, ParameterError> {
    let target = parameters.text("calculator").unwrap_or_default();
    if target.is_empty() {
        return Err(ParameterError(
            "calculator ase needs --param calculator=module:Class or file.py:function (or --calculator ase:emt)".into(),
        ));
    }
    python::check_target("calculator", target)?;
    Ok(Arc::new(AseFactory {
        setup: Setup {
            role: "calculator",
            target: target.to_owned(),
            keywords: python::keywords(parameters),
            fresh: parameters.text("fresh") == Some("yes"),
            rows: None,
            start: python::start_timeout(parameters),
        },
        batch: parameters.integer("batch").unwrap_or(1) as usize,
        limit: conditions.frame_timeout,
        first: Mutex::default(),
    }))
}

struct AseFactory {
    setup: Setup,
    batch: usize,
    limit: Option<Duration>,
    /// A process that was started to see whether there can be any; the first worker gets it.
    first: Mutex<Option<Session>>,
}

impl Factory for AseFactory {
    fn identity(&self) -> Vec<(&'static str, String)> {
        let content = python::file_of(&self.setup.target).and_then(|file| std::fs::read(file).ok());
        let content = content.map(|bytes| format!("{:016x}", xxh3_64(&bytes)));
        content
            .into_iter()
            .map(|hash| ("calculator_xxh3", hash))
            .collect()
    }

    /// Known once a process was started to see whether there can be any.
    fn library(&self) -> Option<String> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        let found = &first.as_ref()?.found;
        Some(format!("{}, Python {}", found.version, found.python))
    }

    fn build(&self) -> Result<Box<dyn Calculator>, String> {
        let first = self
            .first
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let session = match first {
            Some(session) => session,
            None => Session::start(&self.setup)?,
        };
        Ok(Box::new(Ase {
            batch: if session.found.batch { self.batch } else { 1 },
            correspondence: Correspondence::new(self.setup.clone(), self.limit, session),
        }))
    }

    fn try_out(&self, _: &Frame<'_>) -> Result<(), String> {
        let session =
            Session::try_out(&self.setup).map_err(|why| format!("{}: {why}", self.setup.target))?;
        let found = &session.found;
        tracing::debug!(
            "{}: Python {} ({}), {}",
            self.setup.target,
            found.python,
            found.executable,
            found.version
        );
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        *first = Some(session);
        Ok(())
    }
}

struct Ase {
    /// Most frames of one call.
    batch: usize,
    correspondence: Correspondence<FrameRequest>,
}

impl Calculator for Ase {
    fn evaluate(&mut self, frame: &Frame<'_>, results: &mut Results<'_>) -> Result<(), Failure> {
        self.correspondence.ask(
            |request| request.push(frame),
            |session| session.receive_frame(results),
        )
    }

    fn appetite(&self) -> usize {
        self.batch
    }

    fn announce(&mut self, frames: &mut dyn Iterator<Item = Frame<'_>>) {
        self.correspondence
            .announce(|request| frames.for_each(|frame| request.push(&frame)));
    }
}
