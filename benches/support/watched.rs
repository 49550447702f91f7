//! The real program under `mpiexec`, each rank watched: the benchmark starts itself under the launcher, and every
//! such child starts one rank of framewise and writes down what it took.

#![allow(dead_code, reason = "every benchmark uses another part")]

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::support::{CHILD, launcher};

/// What one rank took.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Peak resident memory in bytes (`VmHWM`).
    pub memory: u64,
    /// Bytes handed to write calls (`wchar`), files and sockets.
    pub written: u64,
}

/// One run of the whole program.
#[derive(Debug)]
pub struct Run {
    /// From the start of the launcher to its end.
    pub seconds: f64,
    /// What each rank took.
    pub ranks: Vec<Taken>,
    /// What `--metrics` says.
    pub metrics: serde_json::Value,
}

/// Runs `framewise run INPUT -o RESULT --calculator null ARGUMENTS` on `ranks` ranks; an older result is removed.
pub fn run(ranks: usize, input: &Path, result: &Path, arguments: &[&str]) -> Run {
    let _ = std::fs::remove_file(result);
    let notes = tempfile::tempdir().expect("a temporary directory");
    let metrics = notes.path().join("metrics.json");
    let begun = Instant::now();
    let status = launcher(ranks)
        .arg(std::env::current_exe().expect("own path"))
        .env(CHILD, notes.path())
        .args([
            "--quiet",
            "run",
            "--calculator",
            "null",
            "--progress",
            "none",
        ])
        .args([input.as_os_str(), "-o".as_ref(), result.as_os_str()])
        .args(["--metrics".as_ref(), metrics.as_os_str()])
        .args(arguments)
        .stdin(Stdio::null())
        .status()
        .expect("mpiexec starts");
    let seconds = begun.elapsed().as_secs_f64();
    assert!(status.success(), "the run failed: {status}");
    let note = |rank: usize| -> Taken {
        let text = std::fs::read_to_string(notes.path().join(rank.to_string()));
        let text = text.expect("a note of every rank");
        let mut numbers = text.split(' ').map(|n| n.parse().expect("a number"));
        Taken {
            memory: numbers.next().expect("memory"),
            written: numbers.next().expect("bytes written"),
        }
    };
    let text = std::fs::read_to_string(&metrics).expect("the metrics");
    Run {
        seconds,
        ranks: (0..ranks).map(note).collect(),
        metrics: serde_json::from_str(&text).expect("metrics in JSON"),
    }
}

/// In a child that [`run`] started: runs one rank, with this process's arguments.
pub fn watch(notes: &Path) -> ExitCode {
    let mut rank = Command::new(env!("CARGO_BIN_EXE_framewise"))
        .args(std::env::args_os().skip(1))
        .env_remove(CHILD)
        .spawn()
        .expect("framewise starts");
    let pid = Pid::from_child(&rank);
    let about = |name: &str, key: &str| -> Option<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/{name}", rank.id())).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let mut memory = 0;
    // The high-water mark is gone when the process ends; the last look is at most a few milliseconds before.
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    while let Ok(None) = waitid(WaitId::Pid(pid), ended) {
        memory = about("status", "VmHWM:").unwrap_or(0).max(memory);
        std::thread::sleep(Duration::from_millis(3));
    }
    let written = about("io", "wchar:").expect("/proc/PID/io of a process that has ended");
    let status = rank.wait().expect("framewise ended");
    let number = std::env::var("OMPI_COMM_WORLD_RANK").or_else(|_| std::env::var("PMI_RANK"));
    let number = number.expect("a rank number from the launcher");
    std::fs::write(notes.join(number), format!("{} {written}", 1024 * memory)).expect("a note");
    ExitCode::from(status.code().map_or(1, |code| code as u8))
}
