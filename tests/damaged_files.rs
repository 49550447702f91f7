//! Files with cut tails and flipped bits: every verb that reads them ends with a result or with an error, soon, and
//! without a panic.
//!
//! HDF5 itself may crash or hang on a damaged file (1.10 loops for ever where a text's heap has an object of size 0),
//! so children read them: this program, started again. A child says which damage it looks at; the parent goes on
//! behind it. A memory fault and a call of HDF5 that does not come back are counted and named; a panic, an allocation
//! that fails and a loop of ours fail the test. The damages are the same in every run; `FRAMEWISE_TORTURE=N` looks at
//! N times 500 of each file instead of the usual number, and the line that it prints counts for `scripts/torture`.

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use clap::Parser as _;
use libtest_mimic::{Arguments, Failed, Trial};
use rustix::process::{Resource, Rlimit, setrlimit};

use framewise::adapters::hdf5::input::Input;
use framewise::commands::{compare, export, link, ls, status, verify};
use framewise::domain::frame::FrameBlock;
use framewise::engine::ports::Source as _;
use framewise::planning::frame_set::FrameSet;
use support::damage::damages;

/// Damages per file, in the ordinary suite and for each N of `FRAMEWISE_TORTURE=N`.
const DAMAGES: (usize, usize) = (120, 500);
/// Address space of a child.
const MEMORY: u64 = 4 << 30;
/// Longest time for one damaged file.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a child answers when no call of HDF5 is going on.
const FREE: &str = "free";
/// The damaged file, in the folder of the parent.
const DAMAGED: &str = "damaged.h5";
/// Tells a child its file, what it holds, and where to begin.
const CHILD: &str = "FRAMEWISE_DAMAGED_FILE";

fn main() {
    if let Ok(task) = std::env::var(CHILD) {
        return child(&task);
    }
    let arguments = Arguments::from_args();
    let inputs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bad_input/inputs");
    let mut trials = Vec::new();
    for name in ["good", "cell_flat_in_frame_2", "several_sets"] {
        let path = inputs.join(format!("{name}.h5"));
        trials.push(Trial::test(format!("input {name}"), move || {
            survive(&path, "input")
        }));
    }
    for (name, input) in [("fixed", inputs.join("good.h5")), ("ragged", ragged())] {
        trials.push(Trial::test(format!("result {name}"), move || {
            let folder = tempfile::tempdir()?;
            let result = folder.path().join("r.h5");
            make_result(&input, &result)?;
            survive(&result, "result")
        }));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn ragged() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/ragged.xyz")
}

fn make_result(input: &Path, result: &Path) -> Result<(), Failed> {
    let framewise = |args: &[&str]| -> Result<(), Failed> {
        let output = Command::new(env!("CARGO_BIN_EXE_framewise"))
            .args(args)
            .output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&output.stderr).into_owned().into())
    };
    let text = |path: &Path| path.display().to_string();
    let imported = text(&result.with_extension("input.h5"));
    let input = if input.extension().is_some_and(|e| e == "xyz") {
        framewise(&["import", &text(input), "-o", &imported])?;
        imported
    } else {
        text(input)
    };
    framewise(&[
        "run",
        &input,
        "-o",
        &text(result),
        "--calculator",
        "null",
        "--threads",
        "1",
    ])
}

/// Starts children until every damage has been looked at.
fn survive(path: &Path, kind: &str) -> Result<(), Failed> {
    let damages = damages(DAMAGES);
    let folder = tempfile::tempdir()?;
    let (mut next, mut faults) = (0, 0);
    while next < damages.len() {
        let (at, ending, said) = look(path, folder.path(), kind, next)?;
        let how = match ending {
            Ending::Exit(status) if status.success() => break,
            Ending::Exit(status) => status.to_string(),
            Ending::HangsInHdf5 => "hangs inside HDF5".into(),
            Ending::Hangs => "hangs".into(),
        };
        let what = format!("{} damage {at} {:?}: {how}", path.display(), damages[at]);
        // Safe code cannot do these; an abort is HDF5's too when neither a panic nor our memory is the reason.
        let hdf5 = match ending {
            Ending::Exit(status) => status.signal().is_some(),
            Ending::HangsInHdf5 => true,
            Ending::Hangs => false,
        };
        if !hdf5 || said.contains("panicked") || said.contains("memory allocation") {
            return Err(format!("{what}\n{said}").into());
        }
        eprintln!("{what}: a fault of HDF5");
        faults += 1;
        next = at + 1;
    }
    // HDF5's own faults are counted apart: no input of ours lost, wrong or hung because of us.
    println!(
        "torture: inputs {} lost 0 wrong 0 hung 0 ({faults} crashed HDF5 itself)",
        damages.len()
    );
    if faults * 20 > damages.len() {
        return Err(format!("HDF5 fails on {faults} of {} damages", damages.len()).into());
    }
    Ok(())
}

/// How a child ended.
enum Ending {
    Exit(ExitStatus),
    /// One call of HDF5 does not come back: its lock is held.
    HangsInHdf5,
    Hangs,
}

/// One child: the last damage it looked at, how it ended, and its standard error.
fn look(
    path: &Path,
    folder: &Path,
    kind: &str,
    first: usize,
) -> Result<(usize, Ending, String), Failed> {
    let mut child = Command::new(std::env::current_exe()?)
        .env(
            CHILD,
            format!("{kind} {first} {} {}", folder.display(), path.display()),
        )
        .env("HDF5_USE_FILE_LOCKING", "FALSE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().unwrap();
    let (stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let errors = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stderr.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            let number = line
                .strip_prefix("damage ")
                .and_then(|n| n.parse::<usize>().ok());
            if number.is_some() || line == FREE {
                let _ = sender.send(number);
            }
        }
    });
    let mut at = first;
    let mut hangs = None;
    loop {
        match receiver.recv_timeout(PATIENCE) {
            Ok(number) => at = number.unwrap_or(at),
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                writeln!(stdin)?;
                // Between calls of HDF5 its lock is free: the answer is a matter of milliseconds.
                let free = receiver.recv_timeout(Duration::from_secs(1)).is_ok();
                hangs = Some(if free {
                    Ending::Hangs
                } else {
                    Ending::HangsInHdf5
                });
                end(&mut child);
                break;
            }
        }
    }
    let status = child.wait()?;
    let said = errors.join().unwrap_or_default();
    Ok((at, hangs.unwrap_or(Ending::Exit(status)), said))
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// Looks at damages from a number on.
fn child(task: &str) {
    let mut parts = task.splitn(4, ' ');
    let mut part = || parts.next().expect("the parent says all four");
    let (kind, first, folder, path) = (part(), part(), part(), part());
    let first: usize = first.parse().expect("a number");
    // A damaged length asks for any amount of memory: it shall fail soon, for HDF5 and for us.
    let limit = Rlimit {
        current: Some(MEMORY),
        maximum: Some(MEMORY),
    };
    setrlimit(Resource::As, limit).expect("a limit");
    std::thread::spawn(|| {
        // The parent asks whether HDF5 can still be called.
        let mut line = String::new();
        if std::io::stdin().read_line(&mut line).is_ok_and(|n| n > 0) {
            hdf5::sync::sync(|| ());
            println!("{FREE}");
        }
    });
    let whole = fs::read(path).expect("the whole file");
    let folder = Path::new(folder);
    let damaged = folder.join(DAMAGED);
    for (number, damage) in damages(DAMAGES).iter().enumerate().skip(first) {
        println!("damage {number}");
        std::io::stdout().flush().expect("the parent listens");
        fs::write(&damaged, damage.apply(&whole)).expect("room");
        match kind {
            "input" => read_input(&damaged),
            _ => read_result(&damaged, folder),
        }
    }
}

/// What comes of it does not matter.
fn read_input(path: &Path) {
    let Ok(mut input) = Input::open(path, None) else {
        return;
    };
    let mut rest = FrameSet::all(input.frames().min(1 << 16));
    let _ = input.species_present(&rest, &|| Ok(()));
    let mut block = FrameBlock::default();
    while !rest.is_empty() && input.read(&rest.split_front(3), &mut block).is_ok() {}
}

fn read_result(path: &Path, folder: &Path) {
    for json in [false, true] {
        let _ = status::execute(&status::StatusArgs {
            result: path.to_owned(),
            json,
            watch: None,
            failed: true,
        });
        let _ = verify::execute(&verify::VerifyArgs {
            result: path.to_owned(),
            json,
        });
    }
    for name in ["x.xyz", "x.npz", "x.parquet"] {
        let args = export::ExportArgs {
            overwrite: true,
            ..export::ExportArgs::new(path.to_owned(), folder.join(name))
        };
        let _ = export::export(&args, &|| Ok(()));
    }
    let shown = path.to_string_lossy();
    let _ = ls::execute(&args(&[&shown]));
    let _ = compare::execute(&args(&[&shown, &shown]));
    let linked = folder.join("linked.h5");
    let linked = linked.to_string_lossy();
    let _ = link::execute(&args(&[&shown, &shown, "-o", &linked, "--overwrite"]));
}

#[derive(clap::Parser)]
struct Line<T: clap::Args> {
    #[command(flatten)]
    args: T,
}

/// What is typed behind a verb.
fn args<T: clap::Args>(words: &[&str]) -> T {
    let words = std::iter::once(&"verb").chain(words);
    Line::parse_from(words).args
}
