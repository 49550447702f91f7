//! `ase`: calculators in Python processes, against the same calculators in a plain script, and when they go wrong.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use framewise::adapters::hdf5::result_reader::ResultReader;
use framewise::domain::cell::Cell;
use framewise::domain::frame::{Frame, FrameBlock};
use rustix::process::{Pid, Signal};
use support::folder::{Folder, perturbed};
use support::launch::{Launch, send};
use support::results::{assert_same, read, statuses};

/// Frames of the trajectory of springs.
const FRAMES: usize = 30;
/// The frame that is poisoned, see `tests/python/calculators.py`.
const POISONED: usize = 13;

/// `scripts/test` provides the interpreter; there is no test without it.
fn interpreter() -> PathBuf {
    std::env::var_os("FRAMEWISE_PYTHON")
        .expect("FRAMEWISE_PYTHON names a Python with ase and h5py; scripts/test makes one")
        .into()
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/python")
        .join(name)
}

/// A folder with frames of three atoms, one of them poisoned, with the calculators, and with a place for scratch folders.
fn folder() -> Folder {
    let folder = Folder::new();
    let mut frames = FrameBlock::default();
    for i in 0..FRAMES {
        let x = if i == POISONED { 95.0 } else { 0.1 };
        let positions = [
            [x, 0.0, 0.5 * i as f64],
            [x + 0.9, 0.1, 0.2],
            [x, 0.9, 1.0 / (i + 3) as f64],
        ];
        let frame = Frame {
            species: &[8, 1, 1],
            positions: &positions,
            cell: Cell::periodic([[20.0, 0.0, 0.0], [0.0, 21.0, 0.0], [0.0, 0.5, 22.0]]),
        };
        frames.push(i as u64, frame);
    }
    folder.import_frames("in", &frames);
    fs::copy(script("calculators.py"), folder.path("mine.py")).unwrap();
    fs::create_dir(folder.path("tmp")).unwrap();
    folder
}

/// The command with a calculator of `mine.py`, whose scratch folders are in `tmp`.
fn on(folder: &Folder, ranks: usize, result: &str, calculator: &str) -> Launch {
    let command = format!("run in.h5 -o {result} --oversubscribe -c ase:mine.py:{calculator}");
    let launch = if ranks == 1 {
        folder.alone(&command)
    } else {
        folder.on(ranks, &command)
    };
    launch.variable("TMPDIR", &folder.path("tmp").display().to_string())
}

/// Processes that have to do with scratch folders of this folder.
fn processes(folder: &Folder) -> Vec<(Pid, String)> {
    let here = fs::canonicalize(folder.path("tmp")).unwrap();
    let entries = fs::read_dir("/proc").unwrap();
    let found = entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        let pid: i32 = path.file_name()?.to_str()?.parse().ok()?;
        let line = fs::read(path.join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let cwd = fs::read_link(path.join("cwd")).unwrap_or_default();
        let ours = line.contains(&*here.to_string_lossy()) || cwd.starts_with(&here);
        // The program and its launcher themselves have TMPDIR in the environment alone.
        (ours && !line.starts_with("mpiexec")).then(|| Some((Pid::from_raw(pid)?, line)))?
    });
    found.collect()
}

/// No process and no file is left.
#[track_caller]
fn assert_nothing_left(folder: &Folder) {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let processes = processes(folder);
        // What Open MPI leaves there is its own.
        let files: Vec<_> = fs::read_dir(folder.path("tmp"))
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with("framewise-"))
            .collect();
        if processes.is_empty() && files.is_empty() {
            return;
        }
        assert!(Instant::now() < end, "left: {processes:?} {files:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// All frames but the poisoned one are completed, with the results of springs.
#[track_caller]
fn assert_one_lost(folder: &Folder, result: &str, status: i64) {
    let found = read(&folder.path(result));
    for i in 0..FRAMES {
        let expected = if i == POISONED { status } else { 0 };
        assert_eq!(found.status[i], expected, "frame {i}");
    }
    let whole = read(&folder.path("whole.h5"));
    for i in (0..FRAMES).filter(|i| *i != POISONED) {
        assert_eq!(found.checksum[i], whole.checksum[i], "frame {i}");
    }
}

#[test]
fn results_are_those_of_a_plain_script_bit_for_bit() {
    let folder = Folder::new();
    folder.import_frames("argon", &perturbed("argon_npt.xyz", 24, 108));
    folder.import_frames("water", &perturbed("water6.xyz", 24, 18));
    let lj = "ase:lj -p epsilon=0.0104 -p sigma=3.4 -p rc=8.5";
    for (input, name, calculator) in [("argon", "lj", lj), ("water", "emt", "ase:emt")] {
        let command = |result: &str, more: &str| {
            format!("run {input}.h5 -o {name}{result}.h5 --oversubscribe -c {calculator} {more}")
        };
        folder.alone(&command("1", "-t 1")).expect(0);
        folder.on(2, &command("2", "-t 2")).expect(0);
        folder.on(3, &command("3", "-t 1")).expect(0);
        let one = folder.path(&format!("{name}1.h5"));
        for other in [2, 3] {
            assert_same(&folder.path(&format!("{name}{other}.h5")), &one);
        }
        let output = Command::new(interpreter())
            .arg(script("ase_oracle.py"))
            .arg(&one)
            .arg(name)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert!(String::from_utf8_lossy(&output.stdout).starts_with("24 frames"));
    }
}

#[test]
fn whatever_a_calculator_does_in_a_frame_costs_that_frame() {
    let folder = folder();
    on(&folder, 1, "whole.h5", "Springs").expect(0);
    assert_nothing_left(&folder);
    for (how, reason) in [
        ("exit", "the Python process left with exit code 7"),
        ("kill", "the Python process died: signal 9 (SIGKILL)"),
        ("segfault", "the Python process died: signal 11 (SIGSEGV)"),
        ("offspring", "the Python process left with exit code 7"),
        ("leave", "SystemExit: enough (mine.py:"),
        ("raise", "ValueError: this frame is poisoned (mine.py:"),
        ("unconverged", "NotConverged: no way down (mine.py:"),
        ("nonsense", "the Python process talks nonsense"),
        ("close", "the Python process "),
        (
            "hang",
            "took longer than 2 s; it said: the calculator prints | and so does a library of it",
        ),
        ("nan", "the energy is not finite (NaN)"),
        (
            "shape",
            "ValueError: forces have the shape (4, 3), not (3, 3)",
        ),
    ] {
        let run = on(
            &folder,
            2,
            "r.h5",
            &format!("Springs -p how={how} -t 2 --frame-timeout 2"),
        );
        let run = run.expect(3);
        let told = format!("frame {POISONED}: {reason}");
        assert!(run.stderr.contains(&told), "{how}: {run}");
        assert_one_lost(&folder, "r.h5", if how == "unconverged" { 2 } else { 3 });
        assert_nothing_left(&folder);
        fs::remove_file(folder.path("r.h5")).unwrap();
    }
}

#[test]
fn many_frames_by_one_call_are_the_same_and_cost_one_when_it_goes_wrong() {
    let folder = folder();
    on(&folder, 1, "whole.h5", "Springs").expect(0);
    let batched = |result: &str, ranks: usize, more: &str| {
        on(
            &folder,
            ranks,
            result,
            &format!("Batched {more} --frame-timeout 1"),
        )
    };
    batched("b1.h5", 1, "-t 1 -p batch=7").expect(0);
    batched("b2.h5", 2, "-t 2 -p batch=100").expect(0);
    let (one, two) = (read(&folder.path("b1.h5")), read(&folder.path("b2.h5")));
    let whole = read(&folder.path("whole.h5"));
    assert_eq!(
        (&one.checksum, &two.checksum),
        (&whole.checksum, &whole.checksum)
    );
    for (how, reason) in [
        ("exit", "the Python process left with exit code 7"),
        ("hang", "took longer than 1 s"),
        ("nonsense", "the Python process talks nonsense"),
        ("some", "ValueError: poisoned"),
    ] {
        let run = batched("r.h5", 1, &format!("-t 1 -p batch=5 -p how={how}")).expect(3);
        let told = format!("frame {POISONED}: {reason}");
        assert!(run.stderr.contains(&told), "{how}: {run}");
        assert_one_lost(&folder, "r.h5", 3);
        assert_nothing_left(&folder);
        fs::remove_file(folder.path("r.h5")).unwrap();
    }
    // An error of the call itself is one of every frame of it.
    let run = batched("r.h5", 1, "-t 1 -p batch=5 -p how=short").expect(3);
    // Of how many frames the first calls are depends on the clock.
    let told = "ValueError: calculate_batch gave ";
    assert!(run.stderr.contains(told), "{run}");
}

#[test]
fn what_cannot_be_made_is_said_before_anything_is_created() {
    let folder = folder();
    for (code, calculator, told) in [
        (
            2,
            "ase",
            "calculator ase needs --param calculator=module:Class or file.py:function",
        ),
        (2, "ase:gone.py:Springs", "there is no file gone.py"),
        (
            2,
            "ase:mine.py:",
            "\"mine.py:\" is not module:Class or file.py:function",
        ),
        (
            2,
            "ase:emt -p fresh=maybe",
            "parameter fresh: \"maybe\" is not one of no, yes",
        ),
        (
            1,
            "ase:mine.py:Sprigs",
            "mine.py:Sprigs: AttributeError: module 'framewise_user' has no attribute 'Sprigs'",
        ),
        (
            1,
            "ase:no.such.module:X",
            "no.such.module:X: ModuleNotFoundError: No module named 'no'",
        ),
        (1, "ase:nosuchcalculator", "nosuchcalculator"),
        (
            1,
            "ase:mine.py:POISON",
            "TypeError: mine.py:POISON is not callable",
        ),
        (
            1,
            "ase:mine.py:not_a_calculator",
            "makes a int, which is no ASE calculator",
        ),
        (
            1,
            "ase:mine.py:Springs -p how=broken",
            "RuntimeError: no licence left (mine.py:",
        ),
        (
            1,
            "ase:mine.py:made -p stiffnes=2",
            "TypeError: made() got an unexpected keyword argument 'stiffnes'",
        ),
    ] {
        let both = calculator.contains("Sprigs") || calculator.contains("gone");
        for ranks in 1..=1 + usize::from(both) {
            let command = format!("run in.h5 -o r.h5 -c {calculator}");
            let launch = if ranks == 1 {
                folder.alone(&command)
            } else {
                folder.on(ranks, &command)
            };
            let run = launch.expect(code);
            assert!(run.stderr.contains(told), "{calculator}: {run}");
            assert_eq!(run.stderr.matches("error: ").count(), 1, "{run}");
            assert!(!folder.path("r.h5").exists());
        }
    }
    for (python, told) in [
        (
            "/nowhere/python",
            "FRAMEWISE_PYTHON=/nowhere/python is no program that can be run",
        ),
        ("./none", "NumPy is missing in"),
        ("./mute", "left with exit code 3; it said: no Python today"),
    ] {
        // A Python without site-packages has no NumPy.
        let lines = [
            (
                "none",
                format!("exec {} -S \"$@\"", interpreter().display()),
            ),
            ("mute", "echo no Python today >&2; exit 3".to_owned()),
        ];
        for (name, line) in lines {
            fs::write(folder.path(name), format!("#!/bin/sh\n{line}\n")).unwrap();
            let all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(folder.path(name), all).unwrap();
        }
        let run = folder.alone("run in.h5 -o r.h5 -c ase:emt");
        let run = run.variable("FRAMEWISE_PYTHON", python).expect(1);
        assert!(run.stderr.contains(told), "{python}: {run}");
        assert!(!folder.path("r.h5").exists());
    }
    assert_nothing_left(&folder);
}

#[test]
fn another_content_of_the_file_is_another_job_and_settings_are_not() {
    let folder = folder();
    on(&folder, 1, "r.h5", "Springs --frames 0:3").expect(0);
    on(
        &folder,
        1,
        "r.h5",
        "Springs -p batch=7 -p start_timeout=60 --frames 0:4",
    )
    .expect(0);
    let attributes = ResultReader::open(&folder.path("r.h5")).unwrap();
    let library = attributes.attribute("library").unwrap();
    assert!(
        library.starts_with("ASE 3.") && library.contains("Python 3."),
        "{library}"
    );
    assert!(attributes.attribute("settings").unwrap().contains("batch"));
    drop(attributes);
    let text = fs::read_to_string(folder.path("mine.py")).unwrap();
    fs::write(folder.path("mine.py"), text + "\n# changed\n").unwrap();
    let run = on(&folder, 1, "r.h5", "Springs").expect(1);
    assert!(run.stderr.contains("parameter calculator_xxh3"), "{run}");
}

/// A calculator whose making takes for ever: a limit, and signals, end it before anything is created.
#[test]
fn who_is_never_ready_is_not_waited_for() {
    let folder = folder();
    let slow =
        "import time\ndef make():\n    print('loading weights', flush=True)\n    time.sleep(600)\n";
    fs::write(folder.path("slow.py"), slow).unwrap();
    let launch = |more: &str| {
        let command = format!("run in.h5 -o r.h5 -c ase:slow.py:make {more}");
        let launch = folder.alone(&command);
        launch.variable("TMPDIR", &folder.path("tmp").display().to_string())
    };
    launch("-p start_timeout=1")
        .expect(1)
        .error("was not ready within start_timeout (1 s); it said: loading weights");
    let mut run = launch("-vv").start();
    run.wait_for("loading weights");
    run.signal(Signal::TERM);
    run.finish().expect(75);
    assert!(!folder.path("r.h5").exists());
    assert_nothing_left(&folder);
}

#[test]
fn keywords_are_literals_and_a_fresh_calculator_remembers_nothing() {
    let folder = folder();
    let made = "made -p stiffness=2.5 -p names=['a','b'] -p nothing=None";
    on(&folder, 1, "made.h5", made)
        .arg("-p")
        .arg("text=plain text")
        .expect(0);
    let energies = |result: &str| read(&folder.path(result)).energy;
    on(&folder, 1, "plain.h5", "Remembering -t 1").expect(0);
    on(&folder, 2, "fresh.h5", "Remembering -t 1 -p fresh=yes").expect(0);
    for (i, e) in energies("made.h5").into_iter().enumerate() {
        assert_eq!(energies("fresh.h5")[i], e + 1.0);
        assert_eq!(energies("plain.h5")[i], e + (i + 1) as f64);
    }
    // The job is what was typed.
    let run = on(&folder, 1, "made.h5", "made -p stiffness=3 -p names=1").expect(1);
    assert!(run.stderr.contains("parameter"), "{run}");
}

#[test]
fn no_process_outlives_its_rank_and_signals_for_the_job_cost_no_frame() {
    let folder = folder();
    let hang = "Springs -p how=hang -t 2 --checkpoint-interval 0.2 -v";
    let command = |ranks| on(&folder, ranks, "r.h5", hang);
    let mut run = command(2).start();
    run.wait_for(" committed commit=1 ");
    let of = |name: &str| {
        let all = processes(&folder).into_iter();
        all.filter(|(_, line)| line.starts_with(name))
            .map(|(pid, _)| pid)
            .collect::<Vec<_>>()
    };
    assert_eq!(of("framewise keep").len(), 4, "{:?}", processes(&folder));
    for rank in run.ranks().into_iter().take(2) {
        send(rank, Signal::KILL);
    }
    assert_ne!(run.finish().code, Some(0));
    assert_nothing_left(&folder);

    // As a batch system does at the walltime: to every process it finds.
    let mut run = command(1).start();
    run.wait_for(" committed ");
    for signal in [Signal::TERM, Signal::INT, Signal::USR1] {
        for (pid, _) in processes(&folder) {
            // One that has just begun hears it and is gone.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
    run.signal(Signal::TERM);
    run.signal(Signal::TERM);
    run.finish().expect(75);
    assert!(statuses(&folder.path("r.h5")).iter().all(|s| *s < 2));
    assert_nothing_left(&folder);

    // The keepers alone are killed: their programs go with them, and what each had in hand.
    let command = format!("{hang} --frame-timeout 2");
    let mut run = on(&folder, 1, "k.h5", &command).start();
    run.wait_for(" committed commit=1 ");
    for keeper in of("framewise keep") {
        send(keeper, Signal::KILL);
    }
    run.finish().expect(3);
    let states = statuses(&folder.path("k.h5"));
    let lost = states.iter().filter(|status| **status != 0).count();
    assert!((1..=3).contains(&lost), "{lost} frames lost");
    assert_nothing_left(&folder);
}
