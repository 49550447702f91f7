//! The keeper: it starts one program and outlives it just long enough to clean up. See [`super`].

use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use signal_hook::consts::SIGCHLD;
use signal_hook::iterator::Signals;

use super::{END, SCRATCH_PREFIX, ffi};

/// How long the killed may take to be gone.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the removal of a folder is tried.
const REMOVALS: u32 = 20;
/// Exit code of a program that cannot be started, as shells have it.
const NOT_FOUND: u8 = 127;

/// The hidden verb `keep PARENT [--scratch DIR [--stay]] -- PROGRAM ARGUMENTS...`.
pub fn keep(parent: u32, scratch: Option<&Path>, stay: bool, words: &[OsString]) -> ExitCode {
    let code = match run(parent, words, scratch.filter(|_| !stay)) {
        Ok(code) => code,
        Err(error) => {
            let name = words.first().map(|w| w.to_string_lossy());
            // Nobody may be there to read it.
            let _ = writeln!(std::io::stderr(), "{}: {error}", name.unwrap_or_default());
            NOT_FOUND
        }
    };
    if let Some(folder) = scratch.filter(|f| is_scratch(f)) {
        remove_link_into(folder);
        // The worker may be at it, too.
        for _ in 0..REMOVALS {
            if std::fs::remove_dir_all(folder).is_ok() || !folder.exists() {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    ExitCode::from(code)
}

fn is_scratch(folder: &Path) -> bool {
    folder
        .file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with(SCRATCH_PREFIX))
}

/// The link of that name may be somebody else's.
fn remove_link_into(folder: &Path) {
    let link = super::link_to(folder);
    if std::fs::read_link(&link).is_ok_and(|target| target.starts_with(folder)) {
        let _ = std::fs::remove_file(&link);
    }
}

fn run(parent: u32, words: &[OsString], work: Option<&Path>) -> std::io::Result<u8> {
    ffi::let_go_of_files()?;
    // Before the parent is asked for: who was orphaned earlier is told by its pid, who is later by the signal.
    let mut signals = Signals::new([END.as_raw(), SIGCHLD])?;
    rustix::process::set_parent_process_death_signal(Some(END))?;
    // The program does not hear them either.
    ffi::ignore_signals_for_the_job();
    if !ffi::is_parent(parent) {
        return Err(std::io::Error::other("the parent is gone"));
    }
    rustix::process::set_child_subreaper(rustix::process::getpid().into())?;
    let mut command = super::environment::command(&words[0]);
    command.args(&words[1..]);
    if let Some(folder) = work {
        command.current_dir(folder);
    }
    let program = start(&mut command)?;
    // The ends of the pipes are the program's alone: it has to see when the worker closes them, and the worker when
    // it does.
    let nothing: PathBuf = "/dev/null".into();
    rustix::stdio::dup2_stdin(File::open(&nothing)?)?;
    rustix::stdio::dup2_stdout(File::options().write(true).open(&nothing)?)?;
    let mut code = None;
    for signal in signals.forever() {
        if signal == END.as_raw() {
            break;
        }
        code = reap(program);
        if code.is_some() {
            break;
        }
    }
    end_all(program);
    Ok(code.unwrap_or(0))
}

fn start(command: &mut Command) -> std::io::Result<Pid> {
    ffi::end_with_us(command);
    command.stdin(Stdio::inherit()).stdout(Stdio::inherit());
    let child = command.spawn()?;
    // Its end is seen by `reap`, like that of its offspring.
    Pid::from_raw(child.id() as i32).ok_or_else(|| std::io::Error::other("no process"))
}

/// Takes note of all that have ended; the exit code of the program if it is among them.
fn reap(program: Pid) -> Option<u8> {
    let mut code = None;
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if pid == program {
            code = Some(exit_code(status));
        }
    }
    code
}

fn exit_code(status: WaitStatus) -> u8 {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code as u8,
        (_, Some(signal)) => 128 + signal as u8,
        _ => 0,
    }
}

/// Kills the program's group and whatever of its offspring has become ours, until none is left.
fn end_all(program: Pid) {
    let end = Instant::now() + PATIENCE;
    loop {
        let _ = rustix::process::kill_process_group(program, Signal::KILL);
        for child in children() {
            let _ = rustix::process::kill_process(child, Signal::KILL);
        }
        let none_left = loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        if none_left || Instant::now() > end {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn children() -> Vec<Pid> {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    let lists = tasks.filter_map(|task| {
        let path = task.ok()?.path().join("children");
        std::fs::read_to_string(path).ok()
    });
    let pids: Vec<Pid> = lists
        .flat_map(|list| {
            let pids = list.split_whitespace();
            pids.filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
                .collect::<Vec<_>>()
        })
        .collect();
    pids
}
