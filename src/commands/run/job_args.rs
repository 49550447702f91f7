//! Options of every verb that computes: flags, and the same names in a job file. Flags win.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use toml::Spanned;
use toml::de::DeTable;

use crate::commands::cli::{LogFormat, Talk};
use crate::domain::error::{Error, Result};
use crate::domain::parameters::did_you_mean;

use super::config::RunConfig;
use super::several::Several;

/// A verb whose life is that of a job.
pub trait JobVerb: Sized {
    /// The arguments with what the job file adds. Relative paths in the file count from the working directory,
    /// as on the command line.
    fn with_job_file(&self) -> Result<Self>;
    /// The options that all of them have.
    fn job(&self) -> &JobArgs;
    /// Validates what was typed.
    fn config(self) -> Result<RunConfig>;
    /// The jobs that it is, where it is more than one.
    fn several(&self) -> Result<Option<Several>> {
        Ok(None)
    }
}

/// What all of them can be told.
#[derive(Clone, Debug, Default, clap::Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct JobArgs {
    /// Part I (from 1) of N equal parts of the selection, as `numpy.array_split` cuts it
    #[arg(long, value_name = "I/N", help_heading = "What of it")]
    pub chunk: Option<String>,

    /// Compute what is selected again even if it is completed
    #[arg(long, help_heading = "What of it")]
    pub overwrite: bool,

    /// Compute again what is selected and failed or did not converge: failed,unconverged
    #[arg(long, value_name = "WHICH", help_heading = "What of it")]
    pub retry: Option<String>,

    /// Before going on, check everything completed against its checksum and compute wrong ones again
    /// [default: only results up to 256 MiB, and those of a run that was killed]
    #[arg(long, help_heading = "What of it")]
    pub verify_on_resume: bool,

    /// One of several jobs that fill the same result at once, each on any number of ranks
    #[arg(long, help_heading = "How to run")]
    pub share: bool,

    /// With --share: take over the work of a job that has shown no life for so long [default: 60s]
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "TIME",
        help_heading = "How to run"
    )]
    pub share_timeout: Option<String>,

    /// Time between commits; a kill costs at most this much work [default: 60s]
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "TIME",
        help_heading = "How to run"
    )]
    pub checkpoint_interval: Option<String>,

    /// When the job will be ended: auto (ask SLURM, PBS or LSF) or HH:MM:SS from now [default: auto]
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "auto|HH:MM:SS",
        help_heading = "How to run"
    )]
    pub walltime: Option<String>,

    /// Begin to stop this long before the walltime [default: what the longest frame or row and a commit take]
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "TIME",
        help_heading = "How to run"
    )]
    pub stop_before: Option<String>,

    /// Compute threads per rank, at most the cores it has [default: the cores this rank may use; ranks of a node that
    /// share them divide them]
    #[arg(
        short,
        long,
        allow_negative_numbers = true,
        value_name = "T",
        help_heading = "How to run"
    )]
    pub threads: Option<usize>,

    /// Keep each worker on a core of its own: auto (where the job uses most of the cores it may use), or off
    /// [default: auto]
    #[arg(long, value_name = "auto|off", help_heading = "How to run")]
    pub pin: Option<String>,

    /// Start as many workers as --threads says even where there are fewer cores
    #[arg(long, help_heading = "How to run")]
    pub oversubscribe: bool,

    /// End the job with an error after more than this many failures
    #[arg(long, value_name = "N", help_heading = "How to run")]
    pub max_failures: Option<u64>,

    /// Memory of each rank for input and results [default: 512MiB]
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "SIZE",
        help_heading = "How to run"
    )]
    pub max_memory: Option<String>,

    /// How ranks write [default: collective]
    #[arg(
        long,
        value_name = "collective|independent",
        help_heading = "File access"
    )]
    pub io: Option<String>,

    /// Ranks of a node bring their rows together, and so many of them write: auto (one of eight, two at least), off or a number
    /// [default: auto]
    #[arg(long, value_name = "auto|off|N", help_heading = "File access")]
    pub aggregate: Option<String>,

    /// MPI-IO hint, repeatable, wins over what suits the file system (`framewise doctor FOLDER` shows that):
    /// `romio_cb_write=enable`, `cb_nodes=4`; `striping_factor=8` and `striping_unit=4194304` act when the result is made
    #[arg(long, value_name = "K=V", help_heading = "File access")]
    #[serde(deserialize_with = "pairs")]
    pub hint: Vec<String>,

    /// Read options from this job file; flags win
    #[arg(long, value_name = "job.toml", help_heading = "File access")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Show progress as a bar, as log lines, or not; auto: a bar on a terminal [default: auto]
    #[arg(long, value_name = "auto|bar|log|none", help_heading = "What to say")]
    pub progress: Option<String>,

    /// Write the final summary as JSON
    #[arg(long, value_name = "FILE.json", help_heading = "What to say")]
    pub metrics: Option<PathBuf>,

    /// Only in the job file: the flags of every verb.
    #[arg(skip)]
    pub verbose: Option<u8>,

    /// As `verbose`.
    #[arg(skip)]
    pub quiet: Option<bool>,

    /// As `verbose`.
    #[arg(skip)]
    pub log_format: Option<LogFormat>,

    /// Write everything that happens to DIR/rank-NNNNN.jsonl
    #[arg(long, value_name = "DIR", help_heading = "What to say")]
    pub trace: Option<PathBuf>,
}

impl JobArgs {
    /// How much to say, with what the job file adds.
    pub fn talk(&self, typed: &Talk) -> Talk {
        let silent = typed.verbose == 0 && !typed.quiet;
        Talk {
            verbose: self.verbose.filter(|_| silent).unwrap_or(typed.verbose),
            quiet: self.quiet.filter(|_| silent).unwrap_or(typed.quiet),
            log_format: match typed.log_format {
                LogFormat::Text => self.log_format.unwrap_or_default(),
                LogFormat::Json => LogFormat::Json,
            },
        }
    }

    /// These, and what they do not say from `file`.
    #[must_use]
    pub fn over(self, file: Self) -> Self {
        let flags = self;
        Self {
            chunk: flags.chunk.or(file.chunk),
            overwrite: flags.overwrite || file.overwrite,
            retry: flags.retry.or(file.retry),
            verify_on_resume: flags.verify_on_resume || file.verify_on_resume,
            share: flags.share || file.share,
            share_timeout: flags.share_timeout.or(file.share_timeout),
            checkpoint_interval: flags.checkpoint_interval.or(file.checkpoint_interval),
            walltime: flags.walltime.or(file.walltime),
            stop_before: flags.stop_before.or(file.stop_before),
            threads: flags.threads.or(file.threads),
            pin: flags.pin.or(file.pin),
            oversubscribe: flags.oversubscribe || file.oversubscribe,
            max_failures: flags.max_failures.or(file.max_failures),
            max_memory: flags.max_memory.or(file.max_memory),
            io: flags.io.or(file.io),
            aggregate: flags.aggregate.or(file.aggregate),
            hint: merge(file.hint, &flags.hint),
            config: flags.config,
            progress: flags.progress.or(file.progress),
            metrics: flags.metrics.or(file.metrics),
            verbose: file.verbose,
            quiet: file.quiet,
            log_format: file.log_format,
            trace: flags.trace.or(file.trace),
        }
    }
}

/// `k=v` pairs of the file, except those whose key a flag gives.
pub fn merge(file: Vec<String>, flags: &[String]) -> Vec<String> {
    let key = |pair: &String| pair.split('=').next().unwrap_or_default().to_owned();
    let given: Vec<_> = flags.iter().map(key).collect();
    let kept = file.into_iter().filter(|pair| !given.contains(&key(pair)));
    kept.chain(flags.iter().cloned()).collect()
}

/// `["k=v"]`, or a table with one entry per key.
pub fn pairs<'de, D: Deserializer<'de>>(source: D) -> std::result::Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = "expected [\"key=value\", ...] or a table of keys and values"
    )]
    enum Pairs {
        List(Vec<String>),
        Table(BTreeMap<String, toml::Value>),
    }
    Ok(match Pairs::deserialize(source)? {
        Pairs::List(list) => list,
        Pairs::Table(table) => table
            .into_iter()
            .map(|(key, value)| match value {
                toml::Value::String(text) => format!("{key}={text}"),
                other => format!("{key}={other}"),
            })
            .collect(),
    })
}

/// `"a.h5"`, or `["a.h5", "b.h5"]`.
pub fn one_or_many<'de, D: Deserializer<'de>>(
    source: D,
) -> std::result::Result<Vec<PathBuf>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a path or a list of paths")]
    enum Paths {
        One(PathBuf),
        Many(Vec<PathBuf>),
    }
    Ok(match Paths::deserialize(source)? {
        Paths::One(path) => vec![path],
        Paths::Many(paths) => paths,
    })
}

/// Reads a job file: what it says to one verb alone, and what it says to all.
pub fn read_job_file<T: DeserializeOwned + clap::Args>(path: &Path) -> Result<(T, JobArgs)> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Error::usage(format!("--config {}: {e}", path.display())))?;
    parse(&text).map_err(|Mistake { at, what }| {
        let line = at.map_or(1, |at| text[..at].matches('\n').count() + 1);
        Error::usage(format!("--config {}, line {line}: {what}", path.display()))
    })
}

/// What is wrong in a job file, and at which byte.
#[derive(Debug)]
pub(super) struct Mistake {
    at: Option<usize>,
    what: String,
}

impl From<toml::de::Error> for Mistake {
    fn from(error: toml::de::Error) -> Self {
        Self {
            at: error.span().map(|span| span.start),
            what: error.message().to_owned(),
        }
    }
}

/// The names that the arguments of `T` have in a job file.
fn names<T: clap::Args>() -> Vec<String> {
    let all = T::augment_args(clap::Command::default());
    let typed = all.get_arguments().map(|arg| arg.get_id().as_str());
    // The flags of every verb are taken, too; a job file that names another one is not.
    let all = typed.filter(|id| *id != "config");
    let all = all.chain(["verbose", "quiet", "log_format"]);
    all.map(|id| id.replace('_', "-")).collect()
}

/// As [`read_job_file`], of the text.
pub(super) fn parse<T: DeserializeOwned + clap::Args>(
    text: &str,
) -> std::result::Result<(T, JobArgs), Mistake> {
    let (of_all, known) = (names::<JobArgs>(), names::<T>());
    let whole = DeTable::parse(text)?;
    let span = whole.span();
    let (mut own, mut job) = (DeTable::new(), DeTable::new());
    for (name, value) in whole.into_inner() {
        let word = name.get_ref().to_string();
        if !known.contains(&word) {
            let near = did_you_mean(&word, known.iter().map(String::as_str));
            return Err(Mistake {
                at: Some(name.span().start),
                what: format!("unknown name {word:?}{near}; known: {}", known.join(", ")),
            });
        }
        let side = if of_all.contains(&word) {
            &mut job
        } else {
            &mut own
        };
        side.insert(name, value);
    }
    let read = |table| toml::Deserializer::from(Spanned::new(span.clone(), table));
    Ok((T::deserialize(read(own))?, JobArgs::deserialize(read(job))?))
}
