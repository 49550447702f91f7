//! Anything that people, other programs and broken disks can hand to our parsers: a value or an error in one line, no
//! panic, no memory out of proportion, no hang.
//!
//! HDF5 files have a test of their own, `damaged_files`.

mod support;

use std::fmt::Write as _;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use framewise::adapters::calculators;
use framewise::adapters::extxyz::reader::ExtxyzReader;
use framewise::adapters::legend::Legend;
use framewise::adapters::lock::{self, Lock};
use framewise::adapters::source::{Detail, FrameStream as _, SourceFrame};
use framewise::commands::run::args::RunArgs;
use framewise::commands::run::config::RunConfig;
use framewise::commands::run::job_args::{JobArgs, JobVerb};
use framewise::domain::calculator::Conditions;
use framewise::domain::error::Error;
use framewise::domain::parameters::Parameters;
use framewise::planning::frame_set::FrameSet;
use framewise::planning::selection::{Chunk, Selection};

use support::torture::{Complaint, Spoiled, Tally, number, require};

/// Memory that any parser may take, and how much more for each byte it is given.
const MEMORY: (u64, u64) = (8 << 20, 1 << 10);
/// Longer than this is a hang.
const PATIENCE: Duration = Duration::from_secs(20);

/// Parses so many inputs and looks at what it took.
fn fuzz<S: Strategy>(
    what: &'static str,
    inputs: &S,
    (short, long): (usize, usize),
    length: impl Fn(&S::Value) -> usize,
    parse: impl Fn(&S::Value) -> Result<(), Complaint>,
) where
    S::Value: std::fmt::Debug,
{
    let tally = Tally::of("inputs");
    let mut runner = TestRunner::deterministic();
    let wanted = number(short, long);
    for _ in 0..wanted {
        let input = inputs.new_tree(&mut runner).unwrap().current();
        let shown = format!("{what} {input:?}");
        tally.one(&shown, || {
            let begun = Instant::now();
            let mut outcome = Ok(());
            let took = allocation_counter::measure(|| outcome = parse(&input));
            let most = MEMORY.0 + MEMORY.1 * length(&input) as u64;
            let memory = format!("{} bytes of memory", took.bytes_max);
            require(took.bytes_max <= most, Spoiled::Wrong, memory)?;
            let time = begun.elapsed();
            require(time < PATIENCE, Spoiled::Hung, format!("{time:?}"))?;
            outcome.map(|()| true)
        });
    }
    tally.finish(wanted);
}

/// An error is one line that says something.
fn one_line<T>(parsed: Result<T, Error>) -> Result<(), Complaint> {
    let Err(error) = parsed else { return Ok(()) };
    let text = error.message;
    let fine = text.len() > 8 && !text.contains('\n');
    require(fine, Spoiled::Wrong, format!("not one line: {text:?}"))
}

/// Pieces of what people type, in any order, with any text between.
fn scraps(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => prop::sample::select(pieces).prop_map(str::to_owned),
        1 => any::<u64>().prop_map(|n| n.to_string()),
        1 => any::<f64>().prop_map(|x| x.to_string()),
        1 => "\\PC{0,3}",
        1 => any::<char>().prop_map(String::from),
    ];
    vec(piece, 0..9).prop_map(|pieces| pieces.concat())
}

const SELECTIONS: &[&str] = &[
    "0",
    "7",
    "-1",
    ":",
    "::",
    ",",
    "0:1000:2",
    ":10",
    "5:",
    "::-1",
    "1/2",
    "/",
    " ",
    "18446744073709551615",
    "9223372036854775808",
    "-9223372036854775809",
    "3:3",
    "1e3",
    "+5",
    "_",
];

#[test]
fn selections_and_sets() {
    let frames = prop_oneof![Just(0), Just(1), 0..2000_u64];
    fuzz(
        "selection",
        &(scraps(SELECTIONS), frames),
        (4000, 200_000),
        |(text, _)| text.len(),
        |(text, frames)| {
            if let Some(set) = FrameSet::decode(text) {
                let again = FrameSet::decode(&set.encode());
                require(again.as_ref() == Some(&set), Spoiled::Wrong, "another set")?;
            }
            let chunk: Result<Chunk, String> = text.parse();
            if let Ok(chunk) = chunk {
                let part = chunk.of(&FrameSet::all(*frames));
                require(part.len() <= *frames, Spoiled::Wrong, "more than all")?;
            }
            let Ok(selection) = text.parse::<Selection>() else {
                return Ok(());
            };
            let Ok(set) = selection.resolve(*frames) else {
                return Ok(());
            };
            let last = set.iter().last();
            require(
                last < Some(*frames),
                Spoiled::Wrong,
                "a frame beyond the last",
            )
        },
    );
}

const VALUES: &[&str] = &[
    "60s",
    "1h 30m",
    "0",
    "-1",
    "auto",
    "00:30:00",
    "24:00:00",
    "1-00:00:00",
    "99999999999h",
    "1e308",
    "nan",
    "inf",
    "512MiB",
    "2GB",
    "1 EB",
    "kB",
    "failed",
    "unconverged",
    ",",
    "=",
    "epsilon=0.0104",
    "sigma=3.4",
    "cutoff=8.5",
    "shift=none",
    "epsilon.Ar-Kr=0.01",
    "epsilon.",
    "-",
    ".",
    "gfn2",
    "method=",
    "charge=-1",
    "accuracy=1e-400",
    "collective",
    "copy",
    "bar",
    "null",
    "lennard-jones",
    "xtb",
    "0:1000:2",
    "1/4",
    "\0",
    " ",
    "\n",
    "k=v",
];

fn arguments() -> impl Strategy<Value = RunArgs> {
    let text = || prop::option::weighted(0.3, scraps(VALUES));
    let calculator = prop_oneof![
        4 => prop::sample::select(vec!["null", "lennard-jones", "xtb"]).prop_map(str::to_owned),
        1 => scraps(VALUES),
    ];
    let texts = (
        text(),
        text(),
        text(),
        text(),
        text(),
        text(),
        text(),
        text(),
    );
    let more = (
        text(),
        text(),
        text(),
        text(),
        vec(scraps(VALUES), 0..5),
        vec(scraps(VALUES), 0..3),
    );
    let numbers = (
        prop::option::of(any::<usize>()),
        prop::option::of(any::<u64>()),
        any::<bool>(),
    );
    (calculator, texts, more, numbers).prop_map(|(calculator, texts, more, numbers)| RunArgs {
        input: vec!["in.h5".into()],
        output: Some("r.h5".into()),
        calculator: Some(calculator),
        level_of_theory: texts.0,
        key: texts.1,
        frames: texts.2,
        frame_timeout: more.0,
        geometry: more.3,
        param: more.4,
        job: JobArgs {
            chunk: texts.3,
            retry: texts.4,
            checkpoint_interval: texts.5,
            walltime: texts.6,
            stop_before: texts.7,
            max_memory: more.1,
            io: more.2,
            hint: more.5,
            threads: numbers.0,
            max_failures: numbers.1,
            overwrite: numbers.2,
            ..JobArgs::default()
        },
        ..RunArgs::default()
    })
}

#[test]
fn arguments_of_a_run() {
    fuzz(
        "arguments",
        &arguments(),
        (3000, 100_000),
        |args| format!("{args:?}").len(),
        |args| {
            let config = RunConfig::new(args.clone());
            if let Ok(config) = &config {
                let words = config.task.words();
                require(!words.is_empty(), Spoiled::Wrong, words)?;
            }
            one_line(config.map(drop))
        },
    );
}

#[test]
fn parameters_of_every_calculator() {
    let typed = vec((scraps(VALUES), scraps(VALUES)), 0..6);
    fuzz(
        "parameters",
        &(0..calculators::all().len(), typed),
        (3000, 100_000),
        |(_, typed)| format!("{typed:?}").len(),
        |(kind, typed)| {
            let kind = calculators::all()[*kind];
            let parsed = Parameters::parse(kind.name, kind.parameters, typed);
            let made = parsed.and_then(|parameters| {
                (kind.factory)(&parameters, &Conditions::default()).map(drop)
            });
            one_line(made.map_err(|e| Error::usage(e.to_string())))
        },
    );
}

const JOB_FILE: &[&str] = &[
    "calculator = 'null'\n",
    "input = 'in.h5'\n",
    "param = ['a=1']\n",
    "[param]\n",
    "epsilon = 0.0104\n",
    "threads = 3\n",
    "threads = -1\n",
    "threads = 1e99\n",
    "checkpoint-interval = '5s'\n",
    "checkpoint-interval = 5\n",
    "quiet = true\n",
    "log-format = 'json'\n",
    "= ",
    "'",
    "\"\"\"",
    "[",
    "]",
    "{",
    "}",
    "\n",
    "#",
    "a.b.c = 1\n",
    "1979-05-27",
    "\r",
    "\u{feff}",
    "overwrite = true\n",
    "hint = {a = 1}\n",
    "nothing = 0\n",
];

#[test]
fn job_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job.toml");
    let garbage = prop_oneof![
        8 => scraps(JOB_FILE).prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..40),
        1 => (1..2000_usize).prop_map(|n| "[".repeat(n).into_bytes()),
        1 => (1..2000_usize).prop_map(|n| format!("a = {}", "[".repeat(n)).into_bytes()),
    ];
    fuzz("job file", &garbage, (2000, 50_000), Vec::len, |bytes| {
        fs::write(&path, bytes).unwrap();
        let args = RunArgs {
            job: JobArgs {
                config: Some(path.clone()),
                ..JobArgs::default()
            },
            ..RunArgs::default()
        };
        one_line(args.with_job_file().and_then(RunConfig::new).map(drop))
    });
}

const LOCK: &[&str] = &[
    "{",
    "}",
    "\"host\":",
    "\"pid\":",
    "\"started\":",
    "\"job\":",
    "\"epoch\":",
    "1",
    "\"a\"",
    ",",
    "-1",
    "4294967296",
    "null",
    "18446744073709551615",
    "[",
    "{\"host\":\"h\",\"pid\":1,\"started\":2,\"job\":\"\",\"epoch\":18446744073709551615}",
];

/// A lock that means nothing may be half written: each is looked at for a second.
#[test]
fn locks() {
    let folder = tempfile::tempdir().unwrap();
    let result = folder.path().join("r.h5");
    fuzz("lock", &scraps(LOCK), (10, 300), String::len, |text| {
        fs::write(lock::path_of(&result), text).unwrap();
        let taken = Lock::take(&result).map(drop);
        one_line(taken)
    });
}

#[test]
fn species() {
    let text = scraps(&[
        "Ar",
        "ar",
        "18",
        "Xx",
        ":",
        ",",
        ":2",
        "1000",
        ":0",
        ":-1",
        ":99999999999999999999",
        " ",
        "119",
        "0",
        "=",
        "OW=O",
    ]);
    fuzz("species", &text, (3000, 100_000), String::len, |text| {
        one_line(Legend::new(Some(text), None).map(drop))
    });
}

/// A real file, somewhere wrong.
fn spoiled(bytes: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let edit = (
        any::<prop::sample::Index>(),
        prop_oneof![
            3 => any::<u8>().prop_map(|byte| vec![byte]),
            2 => prop::sample::select(vec!["\n", " ", "\"", "nan", "-", "9999999999", "=", ":", "T", "", "1e400", "\0"])
                .prop_map(|s| s.as_bytes().to_vec()),
        ],
        0..9_usize,
    );
    let cut = prop::option::weighted(0.2, any::<prop::sample::Index>());
    (vec(edit, 0..6), cut).prop_map(move |(edits, cut)| {
        let mut spoiled = bytes.clone();
        for (at, piece, over) in edits {
            let at = at.index(spoiled.len());
            let end = (at + over).min(spoiled.len());
            spoiled.splice(at..end, piece);
        }
        if let Some(cut) = cut {
            let length = cut.index(spoiled.len().max(1));
            spoiled.truncate(length);
        }
        spoiled
    })
}

#[test]
fn extended_xyz() {
    for name in ["argon_triclinic.xyz", "water6.xyz", "ragged.xyz"] {
        let mut bytes = fs::read(support::xyz::data(name)).unwrap();
        bytes.truncate(4000);
        fuzz(
            "extended XYZ",
            &spoiled(bytes),
            (400, 20_000),
            Vec::len,
            |bytes| {
                let mut reader = ExtxyzReader::new(Cursor::new(bytes), Path::new("x.xyz"));
                let mut frame = SourceFrame::default();
                loop {
                    match reader.read(&mut frame, Detail::Full) {
                        Ok(true) => {}
                        Ok(false) => return Ok(()),
                        Err(error) => return one_line::<()>(Err(error)),
                    }
                }
            },
        );
    }
}

/// The readers of other programs' formats are C++, and that library crashes on some damaged files: the program itself
/// reads, with bounded memory, and those crashes are named and counted. Messages that quoted bytes that are no Unicode
/// once were panics.
#[cfg(feature = "chemfiles")]
#[test]
fn trajectories_of_other_programs() {
    use support::folder::Folder;
    use support::launch::Launch;

    let folder = Folder::new();
    let tally = Tally::of("inputs");
    let mut runner = TestRunner::deterministic();
    let each = number(25, 400);
    let mut faults = 0;
    for format in ["pdb", "nc", "xtc", "trr", "dcd", "lammpstrj"] {
        let whole = folder.path(&format!("whole.{format}"));
        write_trajectory(&whole);
        let damages = spoiled(fs::read(&whole).unwrap());
        for _ in 0..each {
            let bytes = damages.new_tree(&mut runner).unwrap().current();
            fs::write(folder.path(&format!("in.{format}")), &bytes).unwrap();
            let line = format!(
                "ulimit -v 4194304; ulimit -t 30; exec framewise import in.{format} -o out.h5 --overwrite --species O,H:2,Ar"
            );
            tally.one(&format!("{format} {}", escaped(&bytes)), || {
                let ended = Launch::shell(&line, &folder.path(".")).run();
                let said = &ended.stderr;
                let ours = said.contains("panicked")
                    || said.contains("internal error")
                    || said.contains("memory allocation");
                if ended.signal.is_some() && !ours {
                    eprintln!(
                        "a fault of chemfiles on a damaged {format} file: signal {:?}",
                        ended.signal
                    );
                    faults += 1;
                    return Ok(true);
                }
                require(
                    matches!(ended.code, Some(0..=2)) && !ours,
                    Spoiled::Wrong,
                    ended,
                )?;
                Ok(true)
            });
        }
    }
    assert!(
        faults * 20 <= 6 * each,
        "chemfiles crashes on {faults} of {}",
        6 * each
    );
    tally.finish(6 * each);
}

#[cfg(feature = "chemfiles")]
fn write_trajectory(path: &Path) {
    use chemfiles::{Atom, Frame, Trajectory, UnitCell};
    let mut trajectory = Trajectory::open(path, 'w').unwrap();
    for k in 0..3_u32 {
        let mut frame = Frame::new();
        frame.set_cell(&UnitCell::triclinic(
            [10.0, 11.0, 12.0],
            [80.0, 95.0, 100.0],
        ));
        for (n, symbol) in ["O", "H", "H", "Ar"].iter().enumerate() {
            let x = n as f64 + f64::from(k) * 0.25;
            frame.add_atom(&Atom::new(*symbol), [x, 2.0 * x, 0.5], None);
        }
        trajectory.write(&frame).unwrap();
    }
}

#[cfg(feature = "chemfiles")]
fn escaped(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
