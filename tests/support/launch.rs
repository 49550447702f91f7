//! Starts the real program, alone or under `mpiexec`, with a hard time limit.
//!
//! A launch that takes too long is killed: the process group that was started here, and the ranks below it (the
//! launcher gives each rank a group of its own).

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use std::os::unix::process::{CommandExt, ExitStatusExt};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::mpi::{Mpi, NO_GRACE};
use super::processes::{is_engine, portrait, rank_of, with_descendants};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_framewise");
/// The program that is launched: another build of it where `FRAMEWISE_PROGRAM` says so.
pub fn program() -> PathBuf {
    std::env::var_os("FRAMEWISE_PROGRAM").map_or_else(|| PROGRAM.into(), Into::into)
}

/// Longest time of one launch, unless it is given more.
const LIMIT: Duration = Duration::from_mins(1);

/// A launch that is being put together.
pub struct Launch {
    command: Command,
    shown: String,
    limit: Duration,
}

/// What a launch left behind.
#[derive(Debug)]
pub struct Finished {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// What was there when the time limit was over and all was killed, a line for each process; none if it ended by itself.
    pub overdue: Vec<String>,
    shown: String,
}

impl Launch {
    /// The program without a launcher.
    pub fn alone(folder: &Path) -> Self {
        Self::new(program().into(), folder)
    }

    /// The program on `ranks` ranks.
    pub fn on(ranks: usize, folder: &Path) -> Self {
        Self::of(&program(), ranks, folder)
    }

    /// A line of a shell in which `framewise` and `mpiexec` are found, as a reader of the README types it.
    pub fn shell(line: &str, folder: &Path) -> Self {
        let program = program();
        let program = program.parent().unwrap();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let first = [program.into(), Mpi::linked().folder().into()];
        let folders = first.into_iter().chain(std::env::split_paths(&path));
        let mut launch = Self::new("sh".into(), folder);
        launch.command.args(["-c", line]);
        launch
            .command
            .env("PATH", std::env::join_paths(folders).unwrap());
        // What `on` says with flags.
        for name in [
            "OMPI_ALLOW_RUN_AS_ROOT",
            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM",
            "OMPI_MCA_rmaps_base_oversubscribe",
        ] {
            launch.command.env(name, "1");
        }
        launch.shown = line.into();
        launch
    }

    /// Any program on `ranks` ranks.
    pub fn of(program: &Path, ranks: usize, folder: &Path) -> Self {
        let (mpiexec, flags) = Mpi::linked().launcher();
        let mut launch = Self::new(mpiexec, folder);
        launch.command.args(["-n", &ranks.to_string()]);
        launch.command.args(flags).arg(program);
        launch.shown = format!("{ranks} ranks:");
        launch
    }

    fn new(program: OsString, folder: &Path) -> Self {
        let mut command = Command::new(program);
        command.current_dir(folder).process_group(0);
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // UCX, below MPICH, looks at every network device and ends the job when one goes away meanwhile ("No such device"):
        // those of containers and of other tests come and go.
        command.env("UCX_NET_DEVICES", "lo");
        Self {
            command,
            shown: String::new(),
            limit: LIMIT,
        }
    }

    /// Adds arguments separated by blanks.
    pub fn args(mut self, arguments: &str) -> Self {
        self.command.args(arguments.split_whitespace());
        self.shown += arguments;
        self
    }

    /// Sets a variable of the environment.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Adds one argument as it is.
    pub fn arg(mut self, argument: &str) -> Self {
        self.command.arg(argument);
        let _ = write!(self.shown, " {argument:?}");
        self
    }

    /// Gives it more time than others.
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Starts it and returns at once.
    pub fn start(mut self) -> Running {
        let started = Instant::now();
        // A missing launcher is a failure.
        let program = self.command.get_program().to_owned();
        let mut child = self
            .command
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {}: {e}", program.display()));
        let mut stdout = child.stdout.take().unwrap();
        let stdout = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            stdout.read_to_end(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let (said, lines) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.split(b'\n').map_while(Result::ok) {
                let _ = said.send(String::from_utf8_lossy(&line).into_owned());
            }
        });
        let (over, watched) = mpsc::channel();
        let pid = pid_of(&child);
        let limit = self.limit;
        let watchdog = std::thread::spawn(move || bite(&watched, limit, pid));
        Running {
            child,
            started,
            stdout: Some(stdout),
            lines,
            heard: String::new(),
            over,
            watchdog: Some(watchdog),
            shown: self.shown,
        }
    }

    /// Runs it to its end.
    pub fn run(self) -> Finished {
        self.start().finish()
    }

    /// Runs what every rank refuses, with this exit code; see [`NO_GRACE`].
    pub fn refused(self, code: i32) -> Finished {
        self.variable(NO_GRACE.0, NO_GRACE.1).expect(code)
    }

    /// Runs it to its end, which must be this exit code.
    pub fn expect(self, code: i32) -> Finished {
        self.run().expect(code)
    }
}

impl Finished {
    /// Whether it was killed when every process of the program had ended and only the launcher had not.
    pub fn launcher_alone_hung(&self) -> bool {
        self.overdue.split_first().is_some_and(|(first, ranks)| {
            first.starts_with("mpiexec") && ranks.iter().all(|rank| rank.contains(" Z (zombie)"))
        })
    }

    /// Fails, showing everything, unless the exit code is this one.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Fails unless it stopped in good order, asked by a signal that its launcher passed on.
    #[track_caller]
    pub fn stopped_through_its_launcher(self) -> Self {
        // Hydra before MPICH 4.1 may answer 0 for its ranks once it has passed on a signal (pmodels/mpich#5930).
        let expected = match (Mpi::linked(), self.code) {
            (Mpi::Mpich, Some(0)) => 0,
            _ => 75,
        };
        self.expect(expected)
    }

    /// Fails unless this was said on standard error.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no {text:?} in {self}");
        self
    }

    /// Fails unless this was said on standard error or, as some launchers do, on standard output.
    #[track_caller]
    pub fn says_somewhere(self, text: &str) -> Self {
        let all = [&self.stdout, &self.stderr];
        assert!(
            all.iter().any(|said| said.contains(text)),
            "no {text:?} in {self}"
        );
        self
    }

    /// Fails unless the one error line says this.
    #[track_caller]
    pub fn error(self, text: &str) -> Self {
        let lines: Vec<_> = self.stderr.lines().collect();
        let errors = lines.iter().filter(|line| line.starts_with("error: "));
        let errors: Vec<_> = errors.collect();
        assert!(
            errors.len() == 1 && errors[0].contains(text),
            "not one line with {text:?} in {self}"
        );
        self
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}\nexit code {:?}, signal {:?}\nstdout:\n{}\nstderr:\n{}",
            self.shown, self.code, self.signal, self.stdout, self.stderr
        )?;
        if !self.overdue.is_empty() {
            let there = self.overdue.join("\n");
            write!(
                f,
                "\nkilled at the limit of time, when there were:\n{there}"
            )?;
        }
        Ok(())
    }
}

/// A launch that goes on.
pub struct Running {
    child: Child,
    started: Instant,
    stdout: Option<JoinHandle<String>>,
    lines: Receiver<String>,
    heard: String,
    over: Sender<()>,
    watchdog: Option<JoinHandle<Vec<String>>>,
    shown: String,
}

impl Running {
    /// Waits until a line on standard error contains `text`.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        loop {
            let left = LIMIT.saturating_sub(self.started.elapsed());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.heard += &line;
                    self.heard.push('\n');
                    if line.contains(text) {
                        return;
                    }
                }
                Err(e) => panic!("{}: {text:?} never came ({e}):\n{}", self.shown, self.heard),
            }
        }
    }

    /// As [`Self::wait_for`]; false when the run ends without saying it.
    pub fn hears(&mut self, text: &str) -> bool {
        while let Ok(line) = self.lines.recv_timeout(LIMIT) {
            self.heard += &line;
            self.heard.push('\n');
            if line.contains(text) {
                return true;
            }
        }
        false
    }

    /// True while the process that was started lives.
    pub fn goes_on(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Process ids of the ranks, in their order.
    pub fn ranks(&self) -> Vec<Pid> {
        let program = fs::canonicalize(program()).unwrap();
        let mut ranks: Vec<_> = with_descendants(pid_of(&self.child))
            .into_iter()
            .filter(|pid| {
                let exe = fs::read_link(format!("/proc/{}/exe", pid.as_raw_nonzero()));
                exe.is_ok_and(|exe| exe == program) && !is_engine(*pid)
            })
            .map(|pid| (rank_of(pid), pid))
            .collect();
        ranks.sort_by_key(|(rank, _)| *rank);
        ranks.into_iter().map(|(_, pid)| pid).collect()
    }

    /// Process ids of engines that run in processes of their own.
    pub fn engines(&self) -> Vec<Pid> {
        let family = with_descendants(pid_of(&self.child)).into_iter();
        family.filter(|pid| is_engine(*pid)).collect()
    }

    /// Sends a signal to the process that was started: the launcher, or the program itself.
    pub fn signal(&self, signal: Signal) {
        kill_process(pid_of(&self.child), signal).unwrap();
    }

    /// Waits for the end, which must come within the limit.
    pub fn finish(self) -> Finished {
        let finished = self.end();
        assert!(finished.overdue.is_empty(), "{finished}");
        finished
    }

    /// Waits for the end, or for the limit, when all is killed.
    pub fn end(mut self) -> Finished {
        let status = self.child.wait().unwrap();
        let _ = self.over.send(());
        let overdue = self.watchdog.take().unwrap().join().unwrap();
        let stdout = self.stdout.take().unwrap().join().unwrap();
        // Ends when the pipe is closed.
        for line in &self.lines {
            self.heard += &line;
            self.heard.push('\n');
        }
        Finished {
            code: status.code(),
            signal: status.signal(),
            stdout,
            stderr: std::mem::take(&mut self.heard),
            overdue,
            shown: std::mem::take(&mut self.shown),
        }
    }
}

/// A test that fails leaves nothing running.
impl Drop for Running {
    fn drop(&mut self) {
        if self.watchdog.is_some() && self.goes_on() {
            kill_all(pid_of(&self.child));
            let _ = self.child.wait();
        }
    }
}

/// Sends a signal to one process.
pub fn send(pid: Pid, signal: Signal) {
    kill_process(pid, signal).unwrap();
}

/// Sends a signal to one process that may have ended by itself.
pub fn send_if_there(pid: Pid, signal: Signal) {
    let _ = kill_process(pid, signal);
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_child(child)
}

/// Kills when the end has not come within the limit; says what was there then.
fn bite(over: &Receiver<()>, limit: Duration, pid: Pid) -> Vec<String> {
    if over.recv_timeout(limit) != Err(RecvTimeoutError::Timeout) {
        return Vec::new();
    }
    let there = with_descendants(pid).into_iter().map(portrait).collect();
    kill_all(pid);
    there
}

/// The process group of a child that has not been waited for, and all its descendants.
fn kill_all(child: Pid) {
    let family = with_descendants(child);
    let _ = kill_process_group(child, Signal::KILL);
    for pid in family {
        let _ = kill_process(pid, Signal::KILL);
    }
}
