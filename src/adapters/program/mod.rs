//! Other programs that compute for a worker: their life hangs on its.
//!
//! A program is started by a keeper ([`keeper`]: this executable again, under a hidden verb), which takes its whole
//! offspring down and its scratch folder away when the program ends, when the worker drops it, and when the worker is
//! gone, by SIGKILL, too. Should the keeper itself be killed, the kernel kills the program.
//!
//! | who dies | what is left |
//! |---|---|
//! | the program | nothing: the keeper ends its offspring and removes the folder |
//! | the worker or its rank | nothing: the kernel tells the keeper |
//! | the keeper | the program's own offspring and the folder, until the worker drops the [`Program`] |
//! | keeper and rank, by one SIGKILL to all of them | the folder, and the link to a socket in it |
//!
//! What a program prints is kept as a tail of a few kilobytes, for the reason of a frame that it takes down.

mod ffi;
pub mod keeper;
mod tail;
mod timed;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use crate::adapters::environment;
use crate::planning::suspects::mark_name;

pub use ffi::{ignore_signals_for_the_job, is_parent, let_go_of_files};
use tail::Tail;
pub use timed::{Timed, is_late};

/// The hidden verb.
pub const VERB: &str = "keep";
/// Tells a keeper to end: a signal that batch systems and terminals do not send. Those that they do send, to every process
/// they find, are for the job, which decides what becomes of its programs.
const END: Signal = Signal::POWER;
/// Beginning of the names of scratch folders; a keeper removes no other.
pub const SCRATCH_PREFIX: &str = "framewise-";
/// Beginning of the paths where clients of i-PI look for UNIX sockets.
pub const SOCKET_PREFIX: &str = "/tmp/ipi_";
/// Variables by which an MPI library or a launcher would take a program for a rank.
const LAUNCHERS: [&str; 12] = [
    "OMPI_", "PMIX_", "PMI_", "PRTE_", "OPAL_", "ORTE_", "HYDRA_", "HYDI_", "MPI_", "MPIR_",
    "MPICH_", "SLURM_",
];
/// How long a program that has closed its output may take to end.
pub const FAREWELL: Duration = Duration::from_secs(2);
/// How long a keeper that was asked to end may take.
const KEEPER: Duration = Duration::from_secs(10);

/// Takes the launcher's variables out of the environment of `command`: what it starts is no rank.
pub fn without_launcher(command: &mut std::process::Command) {
    for (name, _) in std::env::vars_os() {
        let of_launcher = |prefix: &&str| name.to_string_lossy().starts_with(*prefix);
        if LAUNCHERS.iter().any(of_launcher) {
            command.env_remove(&name);
        }
    }
}

/// What to start.
#[derive(Clone, Debug)]
pub struct Order {
    /// The program, found in the path unless it has a slash, and its arguments.
    pub words: Vec<OsString>,
    /// Variables it gets besides those of this process.
    pub variables: Vec<(String, String)>,
    /// Works where this process does rather than in its scratch folder.
    pub stays: bool,
    /// Whether frames and answers go through its standard input and output. What it prints is kept otherwise.
    pub talks: bool,
}

/// Scratch folders of programs that have not been dropped; `None` when there shall be no more.
static IN_USE: Mutex<Option<BTreeSet<PathBuf>>> = Mutex::new(Some(BTreeSet::new()));

fn in_use() -> MutexGuard<'static, Option<BTreeSet<PathBuf>>> {
    IN_USE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A folder for one program, under `TMPDIR`; gone when it is dropped.
#[derive(Debug)]
pub struct Scratch(TempDir);

impl Scratch {
    /// A new one.
    pub fn new() -> std::io::Result<Self> {
        let mut in_use = in_use();
        let Some(in_use) = in_use.as_mut() else {
            return Err(std::io::Error::other("the job is ending"));
        };
        let folder = tempfile::Builder::new().prefix(SCRATCH_PREFIX).tempdir()?;
        in_use.insert(folder.path().to_owned());
        Ok(Self(folder))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        in_use()
            .as_mut()
            .map(|folders| folders.remove(self.0.path()));
    }
}

/// Removes the folders of programs whose workers this process does not wait for, and lets none begin: it is about to end.
/// A keeper that lives does so, too, but one may have been killed while it started.
pub fn tidy() {
    for folder in in_use().take().into_iter().flatten() {
        let _ = std::fs::remove_dir_all(folder);
    }
}

/// The path at which a program finds a socket that is in its scratch folder: a symbolic link, which the keeper removes
/// with the folder.
pub fn link_to(scratch: &Path) -> PathBuf {
    let mut path = OsString::from(SOCKET_PREFIX);
    path.push(scratch.file_name().unwrap_or_default());
    path.into()
}

/// A running program. Dropping it ends it, and all that it has started, and removes its folder.
#[derive(Debug)]
pub struct Program {
    keeper: Child,
    /// Where frames go to, if it talks.
    pub input: Option<Timed<ChildStdin>>,
    /// Where answers come from, if it talks.
    pub output: Option<Timed<ChildStdout>>,
    tail: Tail,
    _scratch: Option<Scratch>,
}

impl Program {
    /// Starts `order`. Where it has a scratch folder it works there, unless it stays.
    pub fn start(order: &Order, scratch: Option<Scratch>) -> std::io::Result<Self> {
        let (prints, print) = std::io::pipe()?;
        // This executable, also when its file has been replaced meanwhile, as an update does.
        let mut command = environment::command("/proc/self/exe");
        command.arg0("framewise").arg(VERB);
        command.arg(std::process::id().to_string());
        if let Some(folder) = &scratch {
            command.arg("--scratch").arg(folder.path());
            if order.stays {
                command.arg("--stay");
            }
        }
        command.arg("--").args(&order.words);
        without_launcher(&mut command);
        let variables = order.variables.iter().map(|(k, v)| (k, v));
        command.envs(variables);
        // A group of its own: what a terminal sends to the job is not for the program.
        command.process_group(0).stderr(print.try_clone()?);
        if order.talks {
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
        } else {
            command.stdin(Stdio::null()).stdout(print);
        }
        let mut keeper = command.spawn()?;
        // Its ends of the pipe are here as long as it is.
        drop(command);
        let input = keeper.stdin.take().map(Timed::new).transpose()?;
        let output = keeper.stdout.take().map(Timed::new).transpose()?;
        Ok(Self {
            keeper,
            input,
            output,
            tail: Tail::of(prints)?,
            _scratch: scratch,
        })
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.keeper.try_wait(), Ok(None))
    }

    /// How it has ended, in words, and the end of what it printed: it has closed its end of a conversation.
    pub fn farewell(&mut self) -> String {
        let words = wait(&mut self.keeper, FAREWELL)
            .map_or_else(|| "closed its end of the conversation".to_owned(), in_words);
        format!("{words}{}", self.said())
    }

    /// What it has printed so far has nothing to do with what it does next.
    pub fn forget(&self) {
        self.tail.forget();
    }

    /// The end of what it has printed, ready to stand behind a reason; empty if it has printed nothing.
    pub fn said(&mut self) -> String {
        let gone = !self.runs();
        match self.tail.text(gone) {
            text if text.is_empty() => String::new(),
            text => format!("; it said: {text}"),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // A program that talks may be waiting for more.
        (self.input, self.output) = (None, None);
        if self.runs() {
            if let Some(pid) = Pid::from_raw(self.keeper.id() as i32) {
                let _ = rustix::process::kill_process(pid, END);
            }
            if wait(&mut self.keeper, KEEPER).is_none() {
                let _ = self.keeper.kill();
            }
        }
        let _ = self.keeper.wait();
    }
}

/// How a process has ended, if it has within `patience`.
pub fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let end = Instant::now() + patience;
    let mut nap = Duration::from_micros(200);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < end => std::thread::sleep(nap),
            _ => return None,
        }
        nap = (2 * nap).min(Duration::from_millis(10));
    }
}

/// How a process has ended. Codes above 128 tell a signal, as shells have it.
pub fn in_words(status: ExitStatus) -> String {
    let signal = match (status.signal(), status.code()) {
        (Some(signal), _) => Some(signal),
        (_, Some(code)) if code > 128 => Some(code - 128),
        _ => None,
    };
    match (signal, status.code()) {
        (Some(signal), _) => format!("died: signal {signal} ({})", mark_name(signal as u32)),
        (_, Some(code)) => format!("left with exit code {code}"),
        _ => "ended".into(),
    }
}

/// Where the program of this name would be found: itself where it has a slash, else the first one in the path.
pub fn find(name: &OsStr) -> Option<PathBuf> {
    let runs = |path: &Path| {
        rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok() && path.is_file()
    };
    if name.as_encoded_bytes().contains(&b'/') {
        return Some(Path::new(name).to_owned()).filter(|path| runs(path));
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|path| runs(path))
}
