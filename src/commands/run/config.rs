//! What the typed arguments mean: validated, clap-free, the same on every rank.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::adapters::calculators;
use crate::adapters::file_system;
use crate::adapters::hdf5::carry::Carried;
use crate::adapters::hdf5::contents::Contents;
use crate::adapters::hdf5::ffi::Transfer;
use crate::adapters::hdf5::geometry::Geometry;
use crate::adapters::isolate::Isolated;
use crate::adapters::mpi::node::Aggregate;
use crate::domain::calculator::{Availability, Conditions, Home};
use crate::domain::error::{Error, Result};
use crate::domain::parameters::did_you_mean;
use crate::planning::selection::{Chunk, Selection};
use crate::planning::status::Status;

use super::args::RunArgs;
use super::frames::Frames;
use super::job_args::JobArgs;
use super::place;
use super::task::Task;
use super::walltime::{Walltime, walltime};

/// How to show progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressStyle {
    /// A bar on a terminal, log lines elsewhere.
    Auto,
    /// A bar.
    Bar,
    /// A log line a minute.
    Log,
    /// Nothing.
    None,
}

/// A job, ready to start.
pub struct RunConfig {
    /// Trajectory, or file with an array.
    pub input: PathBuf,
    /// Result file.
    pub result: PathBuf,
    /// What is to be computed.
    pub task: Box<dyn Task>,
    /// Frames or rows; `None`: all.
    pub selection: Option<Selection>,
    /// Part of the selection.
    pub chunk: Option<Chunk>,
    /// Compute completed frames again.
    pub overwrite: bool,
    /// States that are computed again.
    pub retry: Vec<Status>,
    /// Several jobs fill the result at once; how long one may show no life before it is taken for dead.
    pub share: Option<Duration>,
    /// Check every completed frame before going on.
    pub verify_on_resume: bool,
    /// Time between commits.
    pub checkpoint_interval: Duration,
    /// When the job will be ended.
    pub walltime: Walltime,
    /// Begin to stop this long before.
    pub stop_before: Option<Duration>,
    /// Compute threads per rank.
    pub threads: Option<usize>,
    /// Workers may be kept on cores of their own.
    pub pin: bool,
    /// More workers than cores where `threads` says so.
    pub oversubscribe: bool,
    /// Longest time for one frame.
    pub frame_timeout: Option<Duration>,
    /// Failed frames before the job is given up.
    pub max_failures: Option<u64>,
    /// Memory per rank in bytes.
    pub max_memory: u64,
    /// How ranks write.
    pub transfer: Transfer,
    /// Who writes on a node.
    pub aggregate: Aggregate,
    /// MPI-IO hints.
    pub hints: Vec<(String, String)>,
    /// How to show progress.
    pub progress: ProgressStyle,
    /// Where to write the summary.
    pub metrics: Option<PathBuf>,
    /// Where to write traces.
    pub trace: Option<PathBuf>,
}

/// Least memory with which a rank can work.
const LEAST_MEMORY: u64 = 1 << 20;

impl RunConfig {
    /// Validates what was typed.
    pub fn new(args: RunArgs) -> Result<Self> {
        let missing = |what: &str| {
            Error::usage(format!(
                "{what}; for example: framewise run md.h5 -o result.h5 --calculator null"
            ))
        };
        // Before the factory, which may start something.
        let share = share(&args.job)?;
        let asked = args.asked()?;
        let [input] =
            <[PathBuf; 1]>::try_from(args.input).map_err(|_| missing("INPUT is missing"))?;
        let result = args.output.ok_or_else(|| missing("-o RESULT is missing"))?;
        let name = args
            .calculator
            .ok_or_else(|| missing("--calculator NAME is missing"))?;
        let (calculator, subject) = calculators::choose(&name)?;
        let mut typed = pairs("--param", &args.param)?;
        typed.extend(subject);
        let parameters = calculator
            .parse(&typed)
            .map_err(|e| Error::usage(e.to_string()))?;
        if let Availability::Missing(why) = (calculator.availability)() {
            return Err(Error::failure(format!(
                "calculator {name} is not available: {why}"
            )));
        }
        let frame_timeout = duration("--frame-timeout", args.frame_timeout.as_deref())?;
        let conditions = Conditions { frame_timeout };
        let mut factory = (calculator.factory)(&parameters, &conditions)
            .map_err(|e| Error::usage(e.to_string()))?;
        // One frame that takes a job down would take down one job of many after the other.
        let isolate = match calculator.home {
            Home::Rust => args.isolate,
            Home::Library => args.isolate || share.is_some(),
            Home::Program => false,
        };
        if isolate {
            let given = parameters.canonical();
            factory = Arc::new(Isolated::new(
                calculator.name,
                given,
                factory,
                frame_timeout,
            ));
        }
        if args.key.is_some() && !args.keys.is_empty() {
            return Err(Error::usage("--key and --keys: give one of them"));
        }
        let level_of_theory = args
            .level_of_theory
            .unwrap_or_else(|| (calculator.level_of_theory)(&parameters));
        let task = Frames {
            input: input.clone(),
            calculator,
            parameters,
            factory,
            level_of_theory,
            asked,
            isolate,
            contents: Contents {
                geometry: geometry(args.geometry.as_deref())?,
                molar_forces: molar_forces(args.h5md_force_units.as_deref())?,
                carry: carry(&args.carry)?,
            },
        };
        let what = What {
            input,
            result,
            task: Box::new(task),
            selection: parsed("--frames", args.frames.as_deref())?,
            timeout: frame_timeout,
        };
        Self::of(what, args.job)
    }

    /// A job of `what`, with what was typed of the options that all jobs have.
    pub fn of(what: What, args: JobArgs) -> Result<Self> {
        Ok(Self {
            share: share(&args)?,
            input: what.input,
            result: place::behind_links(what.result),
            task: what.task,
            selection: what.selection,
            frame_timeout: what.timeout,
            chunk: parsed("--chunk", args.chunk.as_deref())?,
            overwrite: args.overwrite,
            retry: retry(args.retry.as_deref())?,
            verify_on_resume: args.verify_on_resume,
            checkpoint_interval: duration(
                "--checkpoint-interval",
                args.checkpoint_interval.as_deref(),
            )?
            .unwrap_or(Duration::from_mins(1)),
            walltime: walltime(args.walltime.as_deref())?,
            stop_before: duration("--stop-before", args.stop_before.as_deref())?,
            threads: threads(args.threads)?,
            pin: choice(
                "--pin",
                args.pin.as_deref().unwrap_or("auto"),
                &[("auto", true), ("off", false)],
            )?,
            oversubscribe: args.oversubscribe,
            max_failures: args.max_failures,
            max_memory: memory(args.max_memory.as_deref())?,
            transfer: choice(
                "--io",
                args.io.as_deref().unwrap_or("collective"),
                &[
                    ("collective", Transfer::Collective),
                    ("independent", Transfer::Independent),
                ],
            )?,
            aggregate: aggregate(args.aggregate.as_deref())?,
            hints: hints(&args.hint)?,
            progress: choice(
                "--progress",
                args.progress.as_deref().unwrap_or("auto"),
                &[
                    ("auto", ProgressStyle::Auto),
                    ("bar", ProgressStyle::Bar),
                    ("log", ProgressStyle::Log),
                    ("none", ProgressStyle::None),
                ],
            )?,
            metrics: args.metrics,
            trace: args.trace,
        })
    }
}

/// What a verb has made of its own arguments.
pub struct What {
    /// Trajectory, or file with an array.
    pub input: PathBuf,
    /// Result file.
    pub result: PathBuf,
    /// What is to be computed.
    pub task: Box<dyn Task>,
    /// Frames or rows; `None`: all.
    pub selection: Option<Selection>,
    /// Longest time for one of them.
    pub timeout: Option<Duration>,
}

pub(in crate::commands) fn pairs(flag: &str, typed: &[String]) -> Result<Vec<(String, String)>> {
    let pair = |text: &String| match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().into(), value.trim().into()))
        }
        _ => Err(Error::usage(format!(
            "{flag} {text:?}: write it as key=value"
        ))),
    };
    typed.iter().map(pair).collect()
}

/// MPI-IO hints as typed.
pub(in crate::commands) fn hints(typed: &[String]) -> Result<Vec<(String, String)>> {
    let hints = pairs("--hint", typed)?;
    for ((key, value), text) in hints.iter().zip(typed) {
        if let Some(defect) = file_system::defect(key, value) {
            return Err(Error::usage(format!("--hint {text:?}: {defect}")));
        }
    }
    Ok(hints)
}

pub(in crate::commands) fn parsed<T: FromStr<Err = String>>(
    flag: &str,
    text: Option<&str>,
) -> Result<Option<T>> {
    text.map(|t| t.parse().map_err(|e| Error::usage(format!("{flag}: {e}"))))
        .transpose()
}

fn choice<T: Copy>(flag: &str, typed: &str, known: &[(&str, T)]) -> Result<T> {
    known
        .iter()
        .find(|(word, _)| *word == typed)
        .map(|(_, value)| *value)
        .ok_or_else(|| {
            let words: Vec<_> = known.iter().map(|(word, _)| *word).collect();
            let hint = did_you_mean(typed, words.iter().copied());
            Error::usage(format!(
                "{flag}: {typed:?} is not one of {}{hint}",
                words.join(", ")
            ))
        })
}

/// What is typed after `--geometry`.
pub fn geometry(text: Option<&str>) -> Result<Geometry> {
    let known = [
        ("auto", Geometry::Auto),
        ("copy", Geometry::Copy),
        ("link", Geometry::Link),
    ];
    choice("--geometry", text.unwrap_or("auto"), &known)
}

/// What is typed after `--carry`.
fn carry(typed: &[String]) -> Result<Vec<Carried>> {
    let mut carried: Vec<Carried> = Vec::new();
    for text in typed.iter().flat_map(|text| text.split(',')) {
        let one: Carried = text
            .parse()
            .map_err(|why| Error::usage(format!("--carry {why}")))?;
        if carried.iter().any(|other| other.name == one.name) {
            let name = one.name;
            return Err(Error::usage(format!("--carry: {name} is given twice")));
        }
        carried.push(one);
    }
    Ok(carried)
}

/// What is typed after `--h5md-force-units`: whether forces are stored in kJ/mol/Å too.
fn molar_forces(text: Option<&str>) -> Result<bool> {
    let known = [("eV/Angstrom", false), ("kJ/mol/Angstrom", true)];
    choice("--h5md-force-units", text.unwrap_or("eV/Angstrom"), &known)
}

/// `auto`, `off` or a number of leaders per node.
fn aggregate(text: Option<&str>) -> Result<Aggregate> {
    let text = text.unwrap_or("auto").trim();
    match text.parse() {
        Ok(0) => Err(Error::usage("--aggregate: 0 ranks cannot write; use off")),
        Ok(leaders) => Ok(Aggregate::Leaders(leaders)),
        Err(_) => match text {
            "auto" => Ok(Aggregate::Auto),
            "off" => Ok(Aggregate::Off),
            _ => Err(Error::usage(format!(
                "--aggregate: {text:?} is not auto, off or a number of ranks per node"
            ))),
        },
    }
}

fn retry(text: Option<&str>) -> Result<Vec<Status>> {
    let known = [
        ("failed", Status::Failed),
        ("unconverged", Status::NotConverged),
    ];
    text.into_iter()
        .flat_map(|t| t.split(','))
        .map(|word| choice("--retry", word.trim(), &known))
        .collect()
}

fn share(args: &JobArgs) -> Result<Option<Duration>> {
    let patience = duration("--share-timeout", args.share_timeout.as_deref())?;
    if !args.share {
        return match patience {
            Some(_) => Err(Error::usage("--share-timeout: only with --share")),
            None => Ok(None),
        };
    }
    let with = [
        ("--overwrite", args.overwrite),
        ("--retry", args.retry.is_some()),
    ];
    if let Some((flag, _)) = with.into_iter().find(|(_, given)| *given) {
        return Err(Error::usage(format!(
            "--share and {flag} exclude each other: one job would forget what another has computed; run {flag} without --share"
        )));
    }
    let patience = patience.unwrap_or(Duration::from_mins(1));
    if patience < Duration::from_millis(100) {
        return Err(Error::usage("--share-timeout: at least 100ms"));
    }
    Ok(Some(patience))
}

pub(in crate::commands) fn duration(flag: &str, text: Option<&str>) -> Result<Option<Duration>> {
    let Some(text) = text else { return Ok(None) };
    // A bare number means seconds.
    let parsed = match text.trim().parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => humantime::parse_duration(text.trim()).ok(),
    };
    match parsed {
        Some(time) if !time.is_zero() => Ok(Some(time)),
        _ => Err(Error::usage(format!(
            "{flag}: {text:?} is not a time; write 90s, 2m or 1h 30m"
        ))),
    }
}

fn threads(typed: Option<usize>) -> Result<Option<usize>> {
    match typed {
        Some(0) => Err(Error::usage("--threads: at least 1")),
        Some(n) if n > 1024 => Err(Error::usage(format!("--threads: {n} is more than 1024"))),
        other => Ok(other),
    }
}

/// What is typed after `--max-memory`.
pub fn memory(text: Option<&str>) -> Result<u64> {
    let Some(text) = text else {
        return Ok(512 << 20);
    };
    let size: bytesize::ByteSize = text.trim().parse().map_err(|_| {
        Error::usage(format!(
            "--max-memory: {text:?} is not a size; write 512MiB or 2GB"
        ))
    })?;
    if size.as_u64() < LEAST_MEMORY {
        return Err(Error::usage(format!(
            "--max-memory: {text} is too little; at least 1MiB"
        )));
    }
    Ok(size.as_u64())
}

/// `auto`, `HH:MM:SS`, `D-HH:MM:SS` as SLURM writes it, or a time like `90m`.
#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_and_sizes_have_units_people_write() {
        let time = |text| duration("--x", Some(text)).map(Option::unwrap_or_default);
        assert_eq!(time("90"), Ok(Duration::from_secs(90)));
        assert_eq!(time("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(time("1h 30m"), Ok(Duration::from_mins(90)));
        for wrong in ["", "-1", "0", "nan", "inf", "1 parsec"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
        assert_eq!(memory(Some("2GB")), Ok(2_000_000_000));
        assert_eq!(memory(Some("64MiB")), Ok(64 << 20));
        assert!(memory(Some("1kB")).is_err() && memory(Some("much")).is_err());
    }

    #[test]
    fn writers_of_a_node_are_a_word_or_a_number() {
        assert_eq!(aggregate(None), Ok(Aggregate::Auto));
        assert_eq!(aggregate(Some("off")), Ok(Aggregate::Off));
        assert_eq!(aggregate(Some("4")), Ok(Aggregate::Leaders(4)));
        assert!(aggregate(Some("0")).is_err() && aggregate(Some("many")).is_err());
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(text in "[-0-9:.a-zA-Z ]{0,20}") {
            let _ = (walltime(Some(&text)), duration("--x", Some(&text)), memory(Some(&text)), retry(Some(&text)));
        }
    }
}
