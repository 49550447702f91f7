//! `ase`: any ASE calculator, in a Python process of its own for each worker.
//!
//! ASE: A. Hjorth Larsen et al., J. Phys.: Condens. Matter 29, 273002 (2017). Its units are ours: eV, Å, and its stress
//! has our sign. What the process is and says: [`python`](crate::adapters::python).
//!
//! A process that dies, hangs or talks nonsense costs the frame it had in hand, and is started again. Where the user's
//! calculator evaluates many frames by one call (`calculate_batch`), those of a call that took the process down are
//! asked for once more, one by one: again, one frame is lost.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::adapters::python::{self, Mishap, Request, Session, Setup};
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
    catalogue: None,
    availability,
    factory,
    level_of_theory: |parameters| name_of(parameters.text("calculator").unwrap_or("ase")),
};

static PARAMETERS: [ParameterSpec; 4] = [
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
    if let Some((place, name)) = target.rsplit_once(':') {
        if place.is_empty() || name.is_empty() {
            return Err(ParameterError(format!(
                "parameter calculator: {target:?} is not module:Class or file.py:function"
            )));
        }
        let place = Path::new(place);
        if place.extension().is_some_and(|e| e == "py") && !place.is_file() {
            return Err(ParameterError(format!(
                "parameter calculator: there is no file {}",
                place.display()
            )));
        }
    }
    let keywords = parameters.keywords();
    Ok(Arc::new(AseFactory {
        setup: Setup {
            role: "calculator",
            target: target.to_owned(),
            keywords: keywords
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .collect(),
            fresh: parameters.text("fresh") == Some("yes"),
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
            setup: self.setup.clone(),
            limit: self.limit,
            session: Some(session),
            request: Request::default(),
            due: 0,
        }))
    }

    fn try_out(&self) -> Result<(), String> {
        let session =
            Session::start(&self.setup).map_err(|why| format!("{}: {why}", self.setup.target))?;
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
    setup: Setup,
    /// Most frames of one call.
    batch: usize,
    limit: Option<Duration>,
    session: Option<Session>,
    request: Request,
    /// Answers to the request that have not been read.
    due: usize,
}

impl Ase {
    /// Sends what is in the request, to a new process if need be. An answer for each frame is due then.
    fn send(&mut self) -> Result<(), Mishap> {
        let frames = self.request.len();
        let limit = self.limit.map(|limit| limit * frames.max(1) as u32);
        let session = match &mut self.session {
            Some(session) => session,
            none => {
                let started = Session::start(&self.setup);
                none.insert(started.map_err(|why| Mishap::Failure(Failure::Unavailable(why)))?)
            }
        };
        session.send(&self.request, limit)?;
        self.due = frames;
        Ok(())
    }

    /// The next answer.
    fn receive(&mut self, results: &mut Results<'_>) -> Result<(), Mishap> {
        self.due -= 1;
        let session = self.session.as_mut();
        session.map_or_else(
            || Err(Mishap::Process("the Python process is missing".into())),
            |session| session.receive_frame(results),
        )
    }

    /// Ends the process, with all that it has started. The next frame gets a new one.
    fn give_up(&mut self) {
        self.session = None;
        self.due = 0;
    }
}

impl Calculator for Ase {
    fn evaluate(&mut self, frame: &Frame<'_>, results: &mut Results<'_>) -> Result<(), Failure> {
        if self.due > 0 {
            match self.receive(results) {
                Ok(()) => return Ok(()),
                Err(Mishap::Failure(failure)) => return Err(failure),
                // Which frame of the call has ended the process nobody knows.
                Err(Mishap::Process(_)) => self.give_up(),
            }
        }
        self.request.clear();
        self.request.push(frame);
        let outcome = self.send().and_then(|()| self.receive(results));
        outcome.map_err(|mishap| match mishap {
            Mishap::Failure(failure) => failure,
            Mishap::Process(why) => {
                self.give_up();
                Failure::Failed(why)
            }
        })
    }

    fn appetite(&self) -> usize {
        self.batch
    }

    fn announce(&mut self, frames: &mut dyn Iterator<Item = Frame<'_>>) {
        if self.due > 0 {
            // Answers to questions that nobody asks any more.
            self.give_up();
        }
        self.request.clear();
        for frame in frames {
            self.request.push(&frame);
        }
        // One frame alone is sent when it is asked for, and so is each of those that could not be sent.
        if self.request.len() > 1 && self.send().is_err() {
            self.give_up();
        }
    }
}
