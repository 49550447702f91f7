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
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::adapters::environment;
use crate::domain::calculator::{Calculator, Factory, Failure, Results};
use crate::domain::frame::Frame;
use crate::planning::suspects::mark_name;

use wire::{Answer, Setup};

/// The hidden verb.
pub const VERB: &str = "evaluate";
/// Variables by which an MPI library or a launcher would take the child for a rank.
const LAUNCHERS: [&str; 12] = [
    "OMPI_", "PMIX_", "PMI_", "PRTE_", "OPAL_", "ORTE_", "HYDRA_", "HYDI_", "MPI_", "MPIR_",
    "MPICH_", "SLURM_",
];
/// How often a child that does not start is tried again, and how long to wait meanwhile.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);
/// How long a child that has closed its output may take to end.
const FAREWELL: Duration = Duration::from_secs(2);

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
    frames: BufWriter<ChildStdin>,
    answers: BufReader<ChildStdout>,
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
        for (name, _) in std::env::vars_os() {
            let of_launcher = |prefix: &&str| name.to_string_lossy().starts_with(*prefix);
            if LAUNCHERS.iter().any(of_launcher) {
                command.env_remove(&name);
            }
        }
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
            frames: BufWriter::new(stdin),
            answers: BufReader::new(stdout),
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

    /// Sends a frame and waits for its answer; `None` when the time is over.
    fn ask(
        &mut self,
        frame: &Frame<'_>,
        results: &mut Results<'_>,
        limit: Option<Duration>,
    ) -> std::io::Result<Option<Answer>> {
        wire::write_frame(&mut self.frames, frame)?;
        self.frames.flush()?;
        if let Some(limit) = limit
            && !self.answers_within(limit)?
        {
            return Ok(None);
        }
        wire::read_answer(&mut self.answers, results).map(Some)
    }

    fn answers_within(&self, limit: Duration) -> std::io::Result<bool> {
        let end = Instant::now() + limit;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let mut place = [PollFd::new(self.answers.get_ref(), PollFlags::IN)];
            let time = Timespec {
                tv_sec: left.as_secs() as i64,
                tv_nsec: i64::from(left.subsec_nanos()),
            };
            match poll(&mut place, Some(&time)) {
                Ok(0) if left.is_zero() => return Ok(false),
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(true),
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// How the process has ended, in words: it has closed its end of a pipe.
    fn farewell(&mut self) -> String {
        let end = Instant::now() + FAREWELL;
        while Instant::now() < end {
            match self.child.try_wait() {
                Ok(Some(status)) => return in_words(status),
                Ok(None) => std::thread::sleep(Duration::from_millis(1)),
                Err(_) => break,
            }
        }
        "closed its output".into()
    }
}

fn in_words(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("died: signal {signal} ({})", mark_name(signal as u32)),
        (_, Some(code)) => format!("left with exit code {code}"),
        _ => "ended".into(),
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
            Ok(Some(Answer::Done)) => Ok(()),
            Ok(Some(Answer::NotConverged(why))) => Err(Failure::NotConverged(why)),
            Ok(Some(Answer::Failed(why))) => failed(why),
            Ok(None) => {
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
