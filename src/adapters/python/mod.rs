//! The user's Python: a process for each worker that evaluates what the worker sends, in the user's own environment.
//!
//! The Python side is one file ([`CHILD`], `child.py`), which travels in this program and is written into the scratch folder
//! of each process. It needs `NumPy` and nothing else. Frames and results travel as their bits.
//!
//! The process starts where the job was started, so that modules, files and models are found there, and goes into its
//! scratch folder before the first frame: what calculators write is written there, and gone with it.

mod correspondence;
mod devices;
pub mod kernel;
mod wire;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufReader, BufWriter, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::adapters::program::{self, Order, Program, Scratch, Timed, is_late};
use crate::adapters::signals;
use crate::domain::calculator::{Failure, Results};
use crate::domain::kernel::{Element, ResultSpec, RowResults};
use crate::domain::parameters::{ParameterError, ParameterSpec, ParameterType, Parameters};

pub use correspondence::Correspondence;
pub use wire::{FrameRequest, Request, RowRequest};

/// What the process runs.
pub const CHILD: &str = include_str!("child.py");
/// Environment variable that names another interpreter than `python3`.
pub const VARIABLE: &str = "FRAMEWISE_PYTHON";
/// The parameter that says how long the process may take to be ready: importing a large package from a slow file system takes
/// minutes.
pub const START_TIMEOUT: ParameterSpec = ParameterSpec {
    name: "start_timeout",
    kind: ParameterType::PositiveFloat,
    unit: "s",
    default: Some("900"),
    per_pair: false,
    per_species: false,
    help: "how long a Python process may take to import everything and be ready",
};
/// How often a process that dies on the way is started.
const ATTEMPTS: u32 = 2;
/// No text is longer; what comes with more is not of ours.
const LONGEST_TEXT: u32 = 1 << 20;

/// What the process is to be.
#[derive(Clone, Debug, Serialize)]
pub struct Setup {
    /// What is made of the target: a calculator, a kernel.
    pub role: &'static str,
    /// `module:name` or `file.py:name`.
    pub target: String,
    /// What the target is called with: Python literals or text.
    pub keywords: BTreeMap<String, String>,
    /// The target is called anew for each frame.
    pub fresh: bool,
    /// Type and shape of the rows of a kernel, and whether it takes many at once.
    pub rows: Option<RowSetup>,
    /// How long the process may take to be ready.
    #[serde(skip)]
    pub start: Duration,
}

/// What [`START_TIMEOUT`] says.
pub fn start_timeout(parameters: &Parameters) -> Duration {
    let seconds = parameters.float(START_TIMEOUT.name).unwrap_or(900.0);
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// What a kernel gets.
#[derive(Clone, Debug, Serialize)]
pub struct RowSetup {
    /// Type of the elements.
    pub element: Element,
    /// Shape of one row.
    pub shape: Vec<usize>,
    /// One call for many rows.
    pub together: bool,
}

#[derive(Serialize)]
struct Hello<'a> {
    #[serde(flatten)]
    setup: &'a Setup,
    scratch: &'a Path,
}

/// What the process says when it is ready.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Found {
    error: Option<String>,
    /// Version of Python.
    pub python: String,
    /// The interpreter.
    pub executable: String,
    /// Version of what it evaluates with.
    pub version: String,
    /// Whether many frames can be evaluated by one call.
    pub batch: bool,
    /// What each row of a kernel gives.
    pub results: Vec<ResultSpec>,
}

/// The interpreter: what [`VARIABLE`] names, else `python3` of the path.
pub fn interpreter() -> Result<PathBuf, String> {
    let named = std::env::var_os(VARIABLE).filter(|name| !name.is_empty());
    let name = named.clone().unwrap_or_else(|| OsString::from("python3"));
    program::find(&name).ok_or_else(|| match named {
        Some(name) => format!(
            "{VARIABLE}={} is no program that can be run",
            name.display()
        ),
        None => format!(
            "python3 is not in the path: activate the environment that has your packages, or name its python in {VARIABLE}"
        ),
    })
}

/// Complains about a parameter that is neither `module:name` nor `file.py:name` of a file that is there.
pub fn check_target(parameter: &str, target: &str) -> Result<(), ParameterError> {
    let Some((place, name)) = target.rsplit_once(':') else {
        return Ok(());
    };
    if place.is_empty() || name.is_empty() {
        return Err(ParameterError(format!(
            "parameter {parameter}: {target:?} is not module:Class or file.py:function"
        )));
    }
    match file_of(target) {
        Some(file) if !file.is_file() => Err(ParameterError(format!(
            "parameter {parameter}: there is no file {place}"
        ))),
        _ => Ok(()),
    }
}

/// The file that a target names, if it names one.
pub fn file_of(target: &str) -> Option<&Path> {
    let place = Path::new(target.rsplit_once(':')?.0);
    let extension = place.extension()?;
    (extension == "py").then_some(place)
}

/// What the target is called with.
pub fn keywords(parameters: &Parameters) -> BTreeMap<String, String> {
    let pairs = parameters.keywords();
    pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

/// What came of a request.
#[derive(Debug)]
pub enum Mishap {
    /// This frame or row has no results, and the process is well.
    Failure(Failure),
    /// The process is gone, or of no use any more; why.
    Process(String),
}

/// A running process.
#[derive(Debug)]
pub struct Session {
    program: Program,
    requests: BufWriter<Timed<ChildStdin>>,
    answers: BufReader<Timed<ChildStdout>>,
    /// What is to be done now has to be done within this.
    limit: Option<Duration>,
    /// What it said of itself.
    pub found: Found,
}

impl Session {
    /// As [`start`](Self::start), before a job begins: a signal ends the waiting.
    pub fn try_out(setup: &Setup) -> Result<Self, String> {
        Self::started(setup, Some(signals::asked))
    }

    /// Starts a process and waits until it is ready. One that dies on the way is tried again.
    pub fn start(setup: &Setup) -> Result<Self, String> {
        Self::started(setup, None)
    }

    fn started(setup: &Setup, interrupt: Option<fn() -> bool>) -> Result<Self, String> {
        let interpreter = interpreter()?;
        let mut attempts = 0;
        loop {
            attempts += 1;
            match Self::attempt(setup, &interpreter, interrupt) {
                Ok(session) => return Ok(session),
                Err(Mishap::Process(why)) if attempts < ATTEMPTS => {
                    tracing::debug!("{}: {why}; once more", interpreter.display());
                }
                Err(Mishap::Process(why)) => {
                    return Err(format!("{}: {why}", interpreter.display()));
                }
                Err(Mishap::Failure(
                    Failure::Unavailable(why) | Failure::Failed(why) | Failure::NotConverged(why),
                )) => return Err(format!("{why} (in {})", interpreter.display())),
            }
        }
    }

    fn attempt(
        setup: &Setup,
        interpreter: &Path,
        interrupt: Option<fn() -> bool>,
    ) -> Result<Self, Mishap> {
        let io = |e: std::io::Error| Mishap::Process(format!("cannot be started: {e}"));
        let scratch = Scratch::new().map_err(io)?;
        let folder = scratch.path().to_owned();
        let child = folder.join("framewise_child.py");
        std::fs::write(&child, CHILD).map_err(io)?;
        let order = Order {
            words: vec![interpreter.into(), child.into()],
            variables: devices::variables(),
            stays: true,
            talks: true,
        };
        let mut program = Program::start(&order, Some(scratch)).map_err(io)?;
        let (Some(input), Some(output)) = (program.input.take(), program.output.take()) else {
            return Err(Mishap::Process("has no pipes".into()));
        };
        let mut session = Self {
            program,
            requests: BufWriter::with_capacity(1 << 16, input),
            answers: BufReader::with_capacity(1 << 16, output),
            limit: None,
            found: Found::default(),
        };
        let hello = Hello {
            setup,
            scratch: &folder,
        };
        session.within(Some(setup.start));
        session.answers.get_mut().heed(interrupt);
        session.found = session.greet(&hello).map_err(|e| {
            let asked = interrupt.is_some_and(|interrupt| interrupt());
            if is_late(&e) || asked {
                // Another one would take as long.
                let (seconds, said) = (setup.start.as_secs_f64(), session.program.said());
                let why = format!("was not ready within start_timeout ({seconds} s){said}");
                return Mishap::Failure(Failure::Unavailable(why));
            }
            Mishap::Process(session.lost(&e))
        })?;
        session.answers.get_mut().heed(None);
        match session.found.error.take() {
            Some(why) => Err(Mishap::Failure(Failure::Unavailable(why))),
            None => Ok(session),
        }
    }

    fn greet(&mut self, hello: &Hello<'_>) -> std::io::Result<Found> {
        let text = serde_json::to_string(hello)?;
        self.requests
            .write_all(&(text.len() as u32).to_le_bytes())?;
        self.requests.write_all(text.as_bytes())?;
        self.requests.flush()?;
        let text = self.read_text()?;
        Ok(serde_json::from_str(&text)?)
    }

    /// What follows has to be done within `limit`.
    fn within(&mut self, limit: Option<Duration>) {
        self.limit = limit;
        self.requests.get_mut().within(limit);
        self.answers.get_mut().within(limit);
    }

    /// Sends a request that is to be answered within `limit`.
    pub fn send(&mut self, request: &impl Request, limit: Option<Duration>) -> Result<(), Mishap> {
        self.within(limit);
        self.program.forget();
        let sent = request.write(&mut self.requests);
        let sent = sent.and_then(|()| self.requests.flush());
        sent.map_err(|e| Mishap::Process(self.lost(&e)))
    }

    /// Receives the results of the next frame that was sent.
    pub fn receive_frame(&mut self, results: &mut Results<'_>) -> Result<(), Mishap> {
        match self.frame(results) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure)) => Err(Mishap::Failure(failure)),
            Err(e) => Err(Mishap::Process(self.lost(&e))),
        }
    }

    fn frame(&mut self, results: &mut Results<'_>) -> std::io::Result<Result<(), Failure>> {
        if let Some(failure) = self.status()? {
            return Ok(Err(failure));
        }
        wire::read_numbers(&mut self.answers, std::slice::from_mut(results.energy))?;
        wire::read_numbers(&mut self.answers, results.stress.as_flattened_mut())?;
        wire::read_numbers(&mut self.answers, results.forces.as_flattened_mut())?;
        Ok(Ok(()))
    }

    /// Receives the results of the next row that was sent, `count` of them.
    pub fn receive_row(
        &mut self,
        count: usize,
        results: &mut RowResults<'_>,
    ) -> Result<(), Mishap> {
        let found = match self.status() {
            Ok(None) => (0..count).try_for_each(|k| self.answers.read_exact(results.bytes(k))),
            Ok(Some(failure)) => return Err(Mishap::Failure(failure)),
            Err(e) => Err(e),
        };
        found.map_err(|e| Mishap::Process(self.lost(&e)))
    }

    /// The beginning of every answer: why there are no results, if there are none.
    fn status(&mut self) -> std::io::Result<Option<Failure>> {
        let mut status = [0];
        self.answers.read_exact(&mut status)?;
        let text = self.read_text()?;
        match status {
            [0] => Ok(None),
            [2] => Ok(Some(Failure::NotConverged(text))),
            [3] => Ok(Some(Failure::Failed(text))),
            _ => Err(wire::strange()),
        }
    }

    fn read_text(&mut self) -> std::io::Result<String> {
        let mut length = [0; 4];
        self.answers.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length);
        if length > LONGEST_TEXT {
            return Err(wire::strange());
        }
        let mut text = vec![0; length as usize];
        self.answers.read_exact(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Why there is no answer, in words. The process is of no use any more.
    fn lost(&mut self, error: &std::io::Error) -> String {
        if is_late(error) {
            let seconds = self.limit.unwrap_or_default().as_secs_f64();
            return format!("took longer than {seconds} s{}", self.program.said());
        }
        if error.kind() == ErrorKind::InvalidData {
            return format!("the Python process talks nonsense{}", self.program.said());
        }
        format!("the Python process {}", self.program.farewell())
    }
}
