//! Start and resume of a large file: time from the start of the process to its first commit, of a few frames, at any
//! state of the result, for frames of three atoms that are all alike, ragged, or with species and cells of their own;
//! `status` and `verify` of it; peak memory of each.
//!
//! `cargo bench --bench start`; `FRAMEWISE_BENCH_FRAMES` (10000000) frames. Inputs and results stay in
//! `FRAMEWISE_BENCH_DIR` (cargo's directory for tests) from run to run: making them takes minutes and 4 GB each.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, Signal, kill_process};

use framewise::adapters::measure::frames::random;
mod support;
use framewise::adapters::hdf5::ffi::{Transfer, write_rows};
use framewise::adapters::hdf5::layout::STATUS;
use framewise::adapters::hdf5::trajectory_writer::{Authorship, TrajectoryWriter};
use framewise::adapters::source::SourceFrame;
use framewise::adapters::source::schema::Schema;
use framewise::domain::cell::Cell;
use support::{setting, spread, trajectory};

/// The program: another build of it where `FRAMEWISE_PROGRAM` says so.
fn program() -> PathBuf {
    let other = std::env::var_os("FRAMEWISE_PROGRAM");
    other.map_or_else(|| env!("CARGO_BIN_EXE_framewise").into(), Into::into)
}

/// Said, with `-v`, after each commit.
const COMMITTED: &str = "committed commit=1";
/// States are written in pieces of so many frames.
const BLOCK: u64 = 1 << 20;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Alike,
    Ragged,
    Own,
}

fn main() {
    let frames = setting("FRAMEWISE_BENCH_FRAMES", 10_000_000);
    let folder = std::env::var_os("FRAMEWISE_BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    println!(
        "start: {frames} frames of 3 atoms, one rank; seconds are the median of 3\n\n{:<8} {:<22} {:>9} {:>11} {:>9}",
        "frames", "what", "seconds", "processor s", "peak MB"
    );
    for (name, kind) in [
        ("alike", Kind::Alike),
        ("ragged", Kind::Ragged),
        ("own", Kind::Own),
    ] {
        let input = folder.join(format!("start-{name}-{frames}.h5"));
        let result = folder.join(format!("start-{name}-{frames}-result.h5"));
        if !input.exists() {
            let new = folder.join(format!("start-{name}-{frames}.new"));
            match kind {
                Kind::Alike => trajectory(&new, frames, 3),
                _ => uneven(&new, frames, kind),
            }
            std::fs::rename(new, &input).expect("a rename");
        }
        if !result.exists() {
            let mut run = Command::new(program());
            run.args(["run", "-q", "-c", "null", "--progress", "none"]);
            let ended = run.arg(&input).arg("-o").arg(&result).status();
            assert!(ended.expect("a run").success());
        }
        let states: [(&str, &dyn Fn(u64) -> i64); 4] = [
            ("nothing is done", &|_| 1),
            ("every other is done", &|f| (f % 2) as i64),
            ("half at random", &|f| (scrambled(f) & 1) as i64),
            ("all but one are done", &|f| i64::from(f == frames / 2)),
        ];
        for (what, state) in states {
            measure(name, what, || {
                set_states(&result, frames, state);
                resume(&input, &result)
            });
        }
        measure(name, "status", || verb(&["status"], &result));
        set_states(&result, frames, &|_| 0);
        measure(name, "verify", || verb(&["verify"], &result));
    }
}

/// A number that looks random (the finalizer of splitmix64).
fn scrambled(n: u64) -> u64 {
    let a = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let b = (a ^ (a >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    b ^ (b >> 31)
}

/// What a process has taken so far.
#[derive(Clone, Copy, Default)]
struct Taken {
    /// Wall time in seconds.
    wall: f64,
    /// Processor time in seconds: what a machine with other work leaves comparable.
    processor: f64,
    /// Peak resident memory in MB.
    memory: f64,
}

impl Taken {
    /// Of a child since `begun`; `None` when it has ended.
    fn of(child: &Child, begun: Instant) -> Option<Self> {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", child.id()));
        let (stat, status) = (read("stat").ok()?, read("status").ok()?);
        // User and system time are fields 14 and 15 (proc(5)); the name before may hold anything but a `)` at its end.
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kilobytes: f64 = peak.split_whitespace().next()?.parse().ok()?;
        Some(Self {
            wall: begun.elapsed().as_secs_f64(),
            processor: ticks as f64 / clock_ticks_per_second() as f64,
            memory: kilobytes * 1.024e-3,
        })
    }
}

fn measure(kind: &str, what: &str, run: impl Fn() -> Taken) {
    let taken: Vec<_> = (0..3).map(|_| run()).collect();
    let median = |field: fn(&Taken) -> f64| spread(&taken.iter().map(field).collect::<Vec<_>>()).1;
    println!(
        "{kind:<8} {what:<22} {:>9.2} {:>11.2} {:>9.0}",
        median(|t| t.wall),
        median(|t| t.processor),
        median(|t| t.memory),
    );
}

/// From the start of `run` to its first commit; it is stopped there.
fn resume(input: &Path, result: &Path) -> Taken {
    let begun = Instant::now();
    let mut run = Command::new(program())
        .args(["run", "-v", "-c", "null", "--progress", "none"])
        .args(["--checkpoint-interval", "1ms"])
        .arg(input)
        .arg("-o")
        .arg(result)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("framewise starts");
    let lines = BufReader::new(run.stderr.take().expect("its log")).lines();
    let mut said = Vec::new();
    let mut taken = None;
    for line in lines.map_while(Result::ok) {
        if line.contains(COMMITTED) && taken.is_none() {
            taken = Taken::of(&run, begun);
            // It may have come to its end by itself.
            let _ = kill_process(Pid::from_child(&run), Signal::TERM);
        }
        said.push(line);
    }
    run.wait().expect("its end");
    taken.unwrap_or_else(|| panic!("no commit:\n{}", said.join("\n")))
}

/// A verb to its end, looked at every 2 ms.
fn verb(arguments: &[&str], result: &Path) -> Taken {
    let begun = Instant::now();
    let mut run = Command::new(program())
        .args(arguments)
        .arg(result)
        .stdout(Stdio::null())
        .spawn()
        .expect("framewise starts");
    let mut taken = Taken::default();
    while run.try_wait().expect("its state").is_none() {
        taken = Taken::of(&run, begun).unwrap_or(taken);
        std::thread::sleep(Duration::from_millis(2));
    }
    taken.wall = begun.elapsed().as_secs_f64();
    taken
}

fn set_states(result: &Path, frames: u64, state: &dyn Fn(u64) -> i64) {
    let file = hdf5::File::open_rw(result).expect("the result");
    let states = file.dataset(STATUS).expect("its states");
    for start in (0..frames).step_by(BLOCK as usize) {
        let rows = start..(start + BLOCK).min(frames);
        let codes: Vec<_> = rows.clone().map(state).collect();
        write_rows(&states, &[rows], &codes, Transfer::Independent).expect("states");
    }
    drop((states, file));
    // What is measured next must not wait for these bytes.
    let plain = std::fs::File::open(result).expect("the result");
    plain.sync_all().expect("a sync");
}

/// Frames of two, three or four atoms, or of three with species and cells of their own.
fn uneven(path: &Path, frames: u64, kind: Kind) {
    let atoms_of = |f: u64| match kind {
        Kind::Ragged => 2 + (f % 3) as usize,
        _ => 3,
    };
    let cell = Cell::periodic([[5.3, 0.0, 0.0], [0.0, 5.3, 0.0], [0.0, 0.0, 5.3]]);
    let mut schema = Schema {
        frames,
        atoms: (0..frames).map(|f| atoms_of(f) as u64).sum(),
        first_atoms: atoms_of(0),
        has_cell: true,
        periodic: [true; 3],
        ..Schema::default()
    };
    if kind == Kind::Ragged {
        schema.ragged = true;
        schema.vectors = Some(cell.vectors);
    }
    let authorship = Authorship {
        author: "benchmark",
        version: "0",
        said: "",
        origin: None,
    };
    let mut writer = TrajectoryWriter::create(path, schema, &authorship).expect("a new trajectory");
    let mut frame = SourceFrame {
        cell,
        has_cell: true,
        ..SourceFrame::default()
    };
    let mut state = 1;
    for f in 0..frames {
        let n = atoms_of(f);
        frame.species.clear();
        frame.positions.clear();
        for k in 0..n {
            frame.species.push(if (f as usize + k).is_multiple_of(2) {
                18
            } else {
                36
            });
            frame
                .positions
                .push([0; 3].map(|_| 2.6 * (1.0 + random(&mut state))));
        }
        if kind == Kind::Own {
            frame.cell.vectors[0][0] = 5.3 + 0.1 * random(&mut state);
        }
        assert!(
            writer.push(&frame).expect("a write"),
            "the frame fits its schema"
        );
    }
    assert!(writer.finish().expect("a close"), "all frames are there");
}
