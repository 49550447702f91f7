//! Bad input, through the real program: each case of `tests/fixtures/bad_input/*.toml` gives its exit code and one
//! clear line, on one rank without a launcher and on three under mpiexec, and leaves nothing behind.
//!
//! A case runs in a folder of its own, into which every file of `inputs` that its arguments name is copied.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use support::mpi::{Mpi, NO_GRACE};

/// Ranks under the launcher.
const RANKS: usize = 3;
/// Longest time for one command.
const TIMEOUT: Duration = Duration::from_mins(1);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    case: Vec<Case>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// What is typed after `framewise`.
    args: Vec<String>,
    /// Exit code.
    code: i32,
    /// Parts of the line on standard error.
    says: Vec<String>,
    /// Files of `inputs` that are there although no argument is their name.
    #[serde(default)]
    inputs: Vec<String>,
    /// Files that are there, with their text.
    #[serde(default)]
    files: BTreeMap<String, String>,
    /// Files of `inputs` that are there under another name.
    #[serde(default)]
    copy: BTreeMap<String, String>,
    /// Folders that are there.
    #[serde(default)]
    folders: Vec<String>,
    /// Commands that come first, and how they end.
    #[serde(default)]
    before: Vec<Vec<String>>,
    #[serde(default)]
    before_code: i32,
    /// After them: files cut to so many bytes.
    #[serde(default)]
    cut: BTreeMap<String, u64>,
    /// And files in which everything from this byte on is inverted.
    #[serde(default)]
    garble: BTreeMap<String, usize>,
    /// Files that the command may leave.
    #[serde(default)]
    leaves: Vec<String>,
    /// What `status --failed` says afterwards.
    failed: Option<FailedFrame>,
    /// Feature without which there is no such case.
    feature: Option<String>,
    /// Whether it is also run under mpiexec: only `run` knows ranks.
    launcher: Option<bool>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FailedFrame {
    frame: u64,
    completed: u64,
    reason: String,
}

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for path in sorted(&fixtures()) {
        if path.extension().is_none_or(|e| e != "toml") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let table: Table =
            toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let topic = path.file_stem().unwrap().to_string_lossy().into_owned();
        for case in table.case {
            if case.feature.as_deref() == Some("xtb") && !cfg!(feature = "xtb") {
                continue;
            }
            let mut setups = vec![1];
            if case.launcher.unwrap_or(case.args[0] == "run") {
                setups.push(RANKS);
            }
            for ranks in setups {
                let name = format!("{topic}: {} ({ranks} ranks)", case.name);
                let case = case.clone();
                trials.push(Trial::test(name, move || examine(&case, ranks)));
            }
        }
    }
    for ranks in [1, RANKS] {
        let name = format!("full disk ({ranks} ranks)");
        let can = may_mount();
        if !can {
            eprintln!("{name}: ignored, this user may not mount a file system of its own");
        }
        trials.push(Trial::test(name, move || full_disk(ranks)).with_ignored_flag(!can));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bad_input")
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    paths.sort();
    paths
}

fn examine(case: &Case, ranks: usize) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    furnish(case, folder.path())?;
    for args in &case.before {
        let ended = execute(program(1, args), folder.path())?;
        expect(
            ended.code == Some(case.before_code),
            "a command before it",
            &ended,
        )?;
    }
    for (name, length) in &case.cut {
        let path = folder.path().join(name);
        if fs::metadata(&path)?.len() <= *length {
            return Err(format!("{name} is too short to be cut").into());
        }
        fs::OpenOptions::new()
            .write(true)
            .open(path)?
            .set_len(*length)?;
    }
    for (name, from) in &case.garble {
        let path = folder.path().join(name);
        let mut bytes = fs::read(&path)?;
        bytes.iter_mut().skip(*from).for_each(|b| *b = !*b);
        fs::write(path, bytes)?;
    }
    let before = contents(folder.path(), &case.leaves)?;
    let ended = execute(program(ranks, &case.args), folder.path())?;
    check_ending(case, &ended, ranks)?;
    expect(
        contents(folder.path(), &case.leaves)? == before,
        "it changed or left files",
        &ended,
    )?;
    for name in &case.leaves {
        expect(
            folder.path().join(name).exists(),
            "its file is missing",
            &ended,
        )?;
    }
    case.failed
        .as_ref()
        .map_or(Ok(()), |frame| check_status(frame, folder.path()))
}

fn furnish(case: &Case, folder: &Path) -> Result<(), Failed> {
    let inputs = fixtures().join("inputs");
    for name in &case.folders {
        fs::create_dir(folder.join(name))?;
    }
    for (name, text) in &case.files {
        fs::write(folder.join(name), text)?;
    }
    for (from, to) in &case.copy {
        fs::copy(inputs.join(from), folder.join(to))?;
    }
    let named = case
        .before
        .iter()
        .flatten()
        .chain(&case.args)
        .chain(&case.inputs);
    for name in named.filter(|name| !name.is_empty() && inputs.join(name).is_file()) {
        fs::copy(inputs.join(name), folder.join(name))?;
    }
    Ok(())
}

/// Names and bytes of everything in a folder, except files that may change; folders have no bytes.
fn contents(folder: &Path, except: &[String]) -> std::io::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for path in sorted(folder) {
        if path.is_dir() {
            found.extend(contents(&path, &[])?);
            found.insert(path, Vec::new());
        } else if !except.iter().any(|name| path.ends_with(name)) {
            let bytes = fs::read(&path)?;
            found.insert(path, bytes);
        }
    }
    Ok(found)
}

fn check_ending(case: &Case, ended: &Ended, ranks: usize) -> Result<(), Failed> {
    expect(
        ended.code == Some(case.code),
        &format!("exit code is not {}", case.code),
        ended,
    )?;
    for bad in [
        "panicked",
        "HDF5-DIAG",
        "stack backtrace",
        "RUST_BACKTRACE",
        "SIGABRT",
        "MPI_ABORT",
    ] {
        expect(!ended.stderr.contains(bad), bad, ended)?;
    }
    let errors: Vec<_> = ended
        .stderr
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    let text = if case.code == 3 {
        expect(
            errors.is_empty(),
            "an error line although the job is done",
            ended,
        )?;
        ended.stderr.as_str()
    } else {
        expect(errors.len() == 1, "not exactly one error line", ended)?;
        errors[0]
    };
    // What clap adds to a mistake on the command line stands below its first line.
    let text = if case.code == 2 {
        ended.stderr.as_str()
    } else {
        text
    };
    for part in &case.says {
        expect(
            text.contains(part.as_str()),
            &format!("does not say {part:?}"),
            ended,
        )?;
    }
    if case.code == 1 && ranks == 1 {
        let others = ended
            .stderr
            .lines()
            .filter(|line| !line.starts_with("error: ") && !is_log(line));
        expect(others.count() == 0, "more than the error line", ended)?;
    }
    Ok(())
}

/// `2026-01-31T12:00:00.000000Z  WARN ...`
fn is_log(line: &str) -> bool {
    let level = line.split_whitespace().nth(1).unwrap_or_default();
    ["INFO", "WARN"].contains(&level)
}

fn check_status(frame: &FailedFrame, folder: &Path) -> Result<(), Failed> {
    let args = ["status", "r.h5", "--failed", "--json"].map(str::to_owned);
    let ended = execute(program(1, &args), folder)?;
    let value: serde_json::Value = serde_json::from_str(&ended.stdout)?;
    let failures = value["failures"].as_array().map_or(&[][..], |list| list);
    let reason = failures
        .first()
        .and_then(|f| f["reason"].as_str())
        .unwrap_or_default();
    let right = value["completed"] == frame.completed
        && failures.len() == 1
        && failures[0]["frame"] == frame.frame
        && reason.contains(&frame.reason);
    expect(right, &format!("status is not {frame:?}"), &ended)
}

/// A disk of 1 MB, mounted where nobody else sees it: it is gone with the command.
fn full_disk(ranks: usize) -> Result<(), Failed> {
    const FRAMES: usize = 4000;
    let folder = tempfile::tempdir()?;
    let mut text = String::new();
    for frame in 0..FRAMES {
        text += &format!("2\n\nAr 0 0 0\nAr 0 0 {}\n", 3.0 + 1e-4 * frame as f64);
    }
    fs::write(folder.path().join("md.xyz"), text)?;
    let import = ["import", "md.xyz", "-o", "md.h5"].map(str::to_owned);
    let ended = execute(program(1, &import), folder.path())?;
    expect(ended.code == Some(0), "import", &ended)?;
    fs::create_dir(folder.path().join("disk"))?;
    let run = "run md.h5 -o disk/r.h5 --calculator null --threads 1"
        .split(' ')
        .map(str::to_owned);
    let inner = program(ranks, &run.collect::<Vec<_>>());
    let mut outer = Command::new("unshare");
    outer.args(["-rm", "sh", "-c"]).arg(
        "mount -t tmpfs -o size=1m tmpfs disk || exit 99; \"$@\"; code=$?; ls -A disk > left; exit $code",
    );
    outer
        .arg("sh")
        .arg(inner.get_program())
        .args(inner.get_args());
    let ended = execute(outer, folder.path())?;
    let case = Case {
        name: String::new(),
        args: Vec::new(),
        code: 1,
        says: [
            "disk/r.h5 needs about",
            "but disk has 1.0 MB free",
            "are missing",
        ]
        .map(Into::into)
        .to_vec(),
        inputs: Vec::new(),
        files: BTreeMap::new(),
        copy: BTreeMap::new(),
        folders: Vec::new(),
        before: Vec::new(),
        before_code: 0,
        cut: BTreeMap::new(),
        garble: BTreeMap::new(),
        leaves: Vec::new(),
        failed: None,
        feature: None,
        launcher: None,
    };
    check_ending(&case, &ended, ranks)?;
    let left = fs::read_to_string(folder.path().join("left"))?;
    expect(
        left.is_empty(),
        &format!("left on the disk: {left}"),
        &ended,
    )
}

fn may_mount() -> bool {
    let try_it = [
        "-rm", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/mnt",
    ];
    Command::new("unshare")
        .args(try_it)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// `framewise ARGS`, alone or under the launcher.
fn program(ranks: usize, args: &[String]) -> Command {
    let binary = env!("CARGO_BIN_EXE_framewise");
    let mut command = if ranks == 1 {
        Command::new(binary)
    } else {
        let (mpiexec, flags) = Mpi::linked().launcher();
        let mut command = Command::new(mpiexec);
        command.args(["-n", &ranks.to_string()]);
        command.args(flags).arg(binary);
        command
    };
    command.args(args);
    command
}

#[derive(Debug)]
struct Ended {
    command: String,
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn expect(right: bool, what: &str, ended: &Ended) -> Result<(), Failed> {
    if right {
        return Ok(());
    }
    let Ended {
        command,
        code,
        stdout,
        stderr,
    } = ended;
    Err(
        format!("{what}\n{command}\nexit code {code:?}\n--- stdout\n{stdout}--- stderr\n{stderr}")
            .into(),
    )
}

/// Runs a command as a process group of its own and ends that group when it takes too long.
fn execute(mut command: Command, folder: &Path) -> Result<Ended, Failed> {
    let shown = format!("{command:?}");
    // The workings of this process's own launcher or batch system are no business of the command's.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["OMPI_", "PMI", "SLURM_", "RUST_"]
            .iter()
            .any(|p| text.starts_with(p))
        {
            command.env_remove(&name);
        }
    }
    let mut child = command
        .env(NO_GRACE.0, NO_GRACE.1)
        .current_dir(folder)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{shown}: cannot be started: {e}"))?;
    let group = Pid::from_child(&child);
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (sender, receiver) = mpsc::channel();
    let waiting = std::thread::spawn(move || {
        let errors = std::thread::spawn(move || text_of(&mut err));
        let stdout = text_of(&mut out);
        let stderr = errors.join().unwrap_or_default();
        let status = child.wait();
        let _ = sender.send(());
        (status, stdout, stderr)
    });
    let in_time = receiver.recv_timeout(TIMEOUT).is_ok();
    if !in_time {
        // The launcher passes the first on to its ranks, which are groups of their own.
        let _ = kill_process_group(group, Signal::TERM);
        if receiver.recv_timeout(Duration::from_secs(10)).is_err() {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
    let (status, stdout, stderr) = waiting.join().map_err(|_| "the waiting thread panicked")?;
    let ended = Ended {
        command: shown,
        code: status?.code(),
        stdout,
        stderr,
    };
    expect(in_time, "takes too long", &ended)?;
    Ok(ended)
}

fn text_of(stream: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}
