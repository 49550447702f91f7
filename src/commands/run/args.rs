//! What was typed: flags, and the same names in a job file. Flags win.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

use crate::commands::cli::{LogFormat, Talk};
use crate::domain::error::{Error, Result};

/// Evaluate every frame of a trajectory; the same command resumes where it was
#[derive(Clone, Debug, Default, clap::Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[command(after_help = "\
Examples:
  framewise run md.h5 -o result.h5 --calculator xtb --param method=gfn2
  mpiexec -n 4 framewise run md.h5 -o result.h5 --calculator lennard-jones \\
      --param epsilon=0.0104 --param sigma=3.4 --param cutoff=8.5
  srun --mpi=pmix framewise run md.h5 -o result.h5 --config job.toml --walltime auto
  sbatch --array=1-8 --wrap 'srun framewise run md.h5 -o result.h5 --config job.toml --share'
  framewise run structures.h5 --key training/water -o water.h5 --calculator xtb --frames 0:1000:10

The result file is the checkpoint: after a kill, run the same command again, on any number of ranks.

Job file (--config): the same names as the flags, for instance
  calculator = \"lennard-jones\"
  param = [\"epsilon=0.0104\", \"sigma=3.4\"]
  checkpoint-interval = \"60s\"")]
pub struct RunArgs {
    /// Trajectory: H5MD, or an HDF5 file of mbe-automation with --key
    #[arg(value_name = "INPUT")]
    pub input: Option<PathBuf>,

    /// Result file; if it exists, the run resumes
    #[arg(short, long, value_name = "RESULT")]
    pub output: Option<PathBuf>,

    /// What evaluates the frames, see `framewise calculators`
    #[arg(short, long, value_name = "NAME", help_heading = "What to compute")]
    pub calculator: Option<String>,

    /// Parameter of the calculator, repeatable; see `framewise calculators NAME`
    #[arg(short, long, value_name = "K=V", help_heading = "What to compute")]
    #[serde(deserialize_with = "pairs")]
    pub param: Vec<String>,

    /// Name under which the results are stored [default: the calculator's]
    #[arg(long, value_name = "NAME", help_heading = "What to compute")]
    pub level_of_theory: Option<String>,

    /// Group of the input that holds the frames
    #[arg(long, value_name = "K", help_heading = "Which frames")]
    pub key: Option<String>,

    /// Frames to compute, as numbers and Python slices: 0:1000:2,5,7 [default: all]
    #[arg(
        long,
        value_name = "SELECTION",
        allow_hyphen_values = true,
        help_heading = "Which frames"
    )]
    pub frames: Option<String>,

    /// Part I (from 1) of N equal parts of the selection, as `numpy.array_split` cuts it
    #[arg(long, value_name = "I/N", help_heading = "Which frames")]
    pub chunk: Option<String>,

    /// Compute selected frames again even if they are completed
    #[arg(long, help_heading = "Which frames")]
    pub overwrite: bool,

    /// Compute again selected frames that failed or did not converge: failed,unconverged
    #[arg(long, value_name = "WHICH", help_heading = "Which frames")]
    pub retry: Option<String>,

    /// Before going on, check every completed frame against its checksum and compute wrong ones again
    /// [default: only results up to 256 MiB, and those of a run that was killed]
    #[arg(long, help_heading = "Which frames")]
    pub verify_on_resume: bool,

    /// One of several jobs that fill the same result at once, each on any number of ranks
    #[arg(long, help_heading = "How to run")]
    pub share: bool,

    /// With --share: take over the frames of a job that has shown no life for so long [default: 60s]
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

    /// Begin to stop this long before the walltime [default: what the longest frame and a commit take]
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

    /// Give a frame up after this long: it fails, the rest goes on
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "TIME",
        help_heading = "How to run"
    )]
    pub frame_timeout: Option<String>,

    /// Run the engine in a process of its own per thread: a crash costs one frame, --frame-timeout kills; costs about
    /// 10 us per frame and the memory of the process. With --share, engines in other languages always do
    #[arg(long, help_heading = "How to run")]
    pub isolate: bool,

    /// End the job with an error after more than this many failed frames
    #[arg(long, value_name = "N", help_heading = "How to run")]
    pub max_failures: Option<u64>,

    /// Memory of each rank for frames and results [default: 512MiB]
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

    /// Positions in the result [default: auto, copied up to 1 GiB, an external link to the input above]
    #[arg(long, value_name = "auto|copy|link", help_heading = "File access")]
    pub geometry: Option<String>,

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

impl RunArgs {
    /// The arguments with what the job file adds. Relative paths in the file count from the working directory,
    /// as on the command line.
    pub fn with_job_file(&self) -> Result<Self> {
        match &self.config {
            None => Ok(self.clone()),
            Some(path) => Ok(self.over(read_job_file(path)?)),
        }
    }

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

    fn over(&self, file: Self) -> Self {
        let flags = self.clone();
        Self {
            input: flags.input.or(file.input),
            output: flags.output.or(file.output),
            calculator: flags.calculator.or(file.calculator),
            param: merge(file.param, &flags.param),
            level_of_theory: flags.level_of_theory.or(file.level_of_theory),
            key: flags.key.or(file.key),
            frames: flags.frames.or(file.frames),
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
            frame_timeout: flags.frame_timeout.or(file.frame_timeout),
            isolate: flags.isolate || file.isolate,
            max_failures: flags.max_failures.or(file.max_failures),
            max_memory: flags.max_memory.or(file.max_memory),
            io: flags.io.or(file.io),
            aggregate: flags.aggregate.or(file.aggregate),
            hint: merge(file.hint, &flags.hint),
            geometry: flags.geometry.or(file.geometry),
            config: flags.config,
            progress: flags.progress.or(file.progress),
            metrics: flags.metrics.or(file.metrics),
            trace: flags.trace.or(file.trace),
            verbose: file.verbose,
            quiet: file.quiet,
            log_format: file.log_format,
        }
    }
}

/// `k=v` pairs of the file, except those whose key a flag gives.
fn merge(file: Vec<String>, flags: &[String]) -> Vec<String> {
    let key = |pair: &String| pair.split('=').next().unwrap_or_default().to_owned();
    let given: Vec<_> = flags.iter().map(key).collect();
    let kept = file.into_iter().filter(|pair| !given.contains(&key(pair)));
    kept.chain(flags.iter().cloned()).collect()
}

/// `["k=v"]`, or a table with one entry per key.
fn pairs<'de, D: Deserializer<'de>>(source: D) -> std::result::Result<Vec<String>, D::Error> {
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

fn read_job_file(path: &Path) -> Result<RunArgs> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Error::usage(format!("--config {}: {e}", path.display())))?;
    toml::from_str(&text).map_err(|e| {
        let line = e
            .span()
            .map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        Error::usage(format!(
            "--config {}, line {line}: {}",
            path.display(),
            e.message()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_job_file() {
        let file: RunArgs = toml::from_str(
            "calculator = 'null'\nparam = ['a=1', 'b=2']\ncheckpoint-interval = '5s'\nthreads = 3",
        )
        .unwrap();
        let flags = RunArgs {
            threads: Some(1),
            param: vec!["a=7".into()],
            ..RunArgs::default()
        };
        let both = flags.over(file);
        assert_eq!(both.calculator.as_deref(), Some("null"));
        assert_eq!(both.param, ["b=2", "a=7"]);
        assert_eq!(both.threads, Some(1));
        assert_eq!(both.checkpoint_interval.as_deref(), Some("5s"));
    }

    #[test]
    fn parameters_may_be_a_table_and_the_flags_of_every_verb_are_taken() {
        let text = "quiet = true\nlog-format = 'json'\n[param]\nepsilon = 0.0104\nshift = 'none'";
        let file: RunArgs = toml::from_str(text).unwrap();
        assert_eq!(file.param, ["epsilon=0.0104", "shift=none"]);
        let typed = Talk {
            verbose: 0,
            quiet: false,
            log_format: LogFormat::Text,
        };
        let talk = file.talk(&typed);
        assert!(talk.quiet && talk.log_format == LogFormat::Json);
        let loud = file.talk(&Talk {
            verbose: 1,
            ..typed
        });
        assert!(loud.verbose == 1 && !loud.quiet, "flags win");
    }

    #[test]
    fn an_unknown_name_in_the_job_file_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.toml");
        std::fs::write(&path, "calculator = 'null'\n\ncheckpont = '5s'\n").unwrap();
        let error = read_job_file(&path).unwrap_err();
        assert!(
            error.message.contains("line 3") && error.message.contains("checkpont"),
            "{error}"
        );
    }
}
