//! An in-process engine in a process of its own, one per worker: whatever ends that process costs one frame.
//!
//! The child is this program again, with the hidden verb `evaluate` ([`child`]). Frames go in on its standard input,
//! results come out on what was its standard output (`wire`); both are private to it and the worker. It knows nothing
//! of MPI: the launcher's variables are taken out of its environment. It ends when its standard input ends, and the
//! kernel kills it when the worker's thread is gone, so that no orphan stays.
//!
//! Results are the same bytes as without: numbers travel as their bits, and the child builds the same calculator from
//! the same parameters.

pub mod child;
mod ffi;
mod wire;

use std::io::{BufReader, BufWriter, Write};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crate::adapters::environment;
use crate::adapters::program::{FAREWELL, Timed, in_words, is_late, wait, without_launcher};
use crate::domain::calculator::{Calculator, Factory, Failure, Results};
use crate::domain::frame::Frame;

use wire::{Answer, Setup};

/// The hidden verb.
pub const VERB: &str = "evaluate";
/// How often a child that does not start is tried again, and how long to wait meanwhile.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);

/// Makes calculators that evaluate in a child process.
pub struct Isolated {
    setup: Setup,
    inner: Arc<dyn Factory>,
    limit: Option<Duration>,
}

impl Isolated {
    /// The calculator of that name with these parameters (`inner` is its factory); a frame may take `limit`.
    pub fn new(
        calculator: &str,
        parameters: Vec<(String, String)>,
        inner: Arc<dyn Factory>,
        limit: Option<Duration>,
    ) -> Self {
        let setup = Setup {
            calculator: calculator.to_owned(),
            parameters,
        };
        Self {
            setup,
            inner,
            limit,
        }
    }
}

impl Factory for Isolated {
    fn build(&self) -> Result<Box<dyn Calculator>, String> {
        let mut calculator = Remote {
            setup: self.setup.clone(),
            limit: self.limit,
            engine: None,
        };
        calculator.start()?;
        Ok(Box::new(calculator))
    }

    fn try_out(&self, frame: &Frame<'_>) -> Result<(), String> {
        self.inner.try_out(frame)
    }

    fn identity(&self) -> Vec<(&'static str, String)> {
        self.inner.identity()
    }

    fn library(&self) -> Option<String> {
        self.inner.library()
    }

    fn size_of(&self, species: u8) -> u8 {
        self.inner.size_of(species)
    }

    fn check_species(&self, species: &[u8]) -> Result<(), String> {
        self.inner.check_species(species)
    }
}

/// A calculator whose engine lives in a child process.
struct Remote {
    setup: Setup,
    limit: Option<Duration>,
    engine: Option<Engine>,
}

struct Engine {
    child: Child,
    frames: BufWriter<Timed<ChildStdin>>,
    answers: BufReader<Timed<ChildStdout>>,
}

/// A child never outlives its calculator.
impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Remote {
    fn start(&mut self) -> Result<(), String> {
        let mut reason = String::new();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                std::thread::sleep(PAUSE);
            }
            match Engine::start(&self.setup) {
                Ok(engine) => {
                    self.engine = Some(engine);
                    return Ok(());
                }
                Err(Refusal::Engine(why)) => return Err(why),
                Err(Refusal::Process(why)) => reason = why,
            }
        }
        Err(format!("cannot start the engine's process: {reason}"))
    }
}

/// Why an engine did not start.
enum Refusal {
    /// The calculator cannot be built: trying again does not help.
    Engine(String),
    /// The process did not come up.
    Process(String),
}

impl Engine {
    fn start(setup: &Setup) -> Result<Self, Refusal> {
        let process = |e: std::io::Error| Refusal::Process(e.to_string());
        // Also when the file has been replaced meanwhile, as `cargo build` or an update does.
        let mut command = environment::command("/proc/self/exe");
        command.arg0("framewise").arg(VERB);
        command.arg(std::process::id().to_string());
        without_launcher(&mut command);
        // A group of its own: what a terminal sends to the job is not for the engine.
        command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().map_err(process)?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Refusal::Process("no pipes".into()));
        };
        let mut engine = Self {
            child,
            frames: BufWriter::new(Timed::new(stdin).map_err(process)?),
            answers: BufReader::new(Timed::new(stdout).map_err(process)?),
        };
        let ready = wire::write_setup(&mut engine.frames, setup)
            .and_then(|()| engine.frames.flush())
            .and_then(|()| wire::read_ready(&mut engine.answers));
        match ready {
            Ok(Ok(())) => Ok(engine),
            Ok(Err(why)) => Err(Refusal::Engine(why)),
            Err(_) => Err(Refusal::Process(format!("it {}", engine.farewell()))),
        }
    }

    /// Sends a frame and waits for its answer. The error of one that takes too long [`is_late`].
    fn ask(
        &mut self,
        frame: &Frame<'_>,
        results: &mut Results<'_>,
        limit: Option<Duration>,
    ) -> std::io::Result<Answer> {
        self.frames.get_mut().within(limit);
        self.answers.get_mut().within(limit);
        wire::write_frame(&mut self.frames, frame)?;
        self.frames.flush()?;
        wire::read_answer(&mut self.answers, results)
    }

    /// How the process has ended, in words: it has closed its end of a pipe.
    fn farewell(&mut self) -> String {
        wait(&mut self.child, FAREWELL).map_or_else(|| "closed its output".into(), in_words)
    }
}

impl Calculator for Remote {
    fn evaluate(&mut self, frame: &Frame<'_>, results: &mut Results<'_>) -> Result<(), Failure> {
        if self.engine.is_none() {
            self.start().map_err(Failure::Failed)?;
        }
        let Some(engine) = &mut self.engine else {
            return Err(Failure::Failed("the engine's process is missing".into()));
        };
        let failed = |text: String| Err(Failure::Failed(text));
        match engine.ask(frame, results, self.limit) {
            Ok(Answer::Done) => Ok(()),
            Ok(Answer::NotConverged(why)) => Err(Failure::NotConverged(why)),
            Ok(Answer::Failed(why)) => failed(why),
            Err(e) if is_late(&e) => {
                // Dropped, and that is: killed.
                self.engine = None;
                let seconds = self.limit.unwrap_or_default().as_secs_f64();
                failed(format!("took longer than --frame-timeout ({seconds} s)"))
            }
            Err(_) => {
                let farewell = engine.farewell();
                self.engine = None;
                failed(format!("the engine's process {farewell}"))
            }
        }
    }
}
