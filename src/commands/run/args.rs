//! What was typed after `framewise run`.

use std::path::PathBuf;

use serde::Deserialize;

use crate::adapters::hdf5::input::Asked;
use crate::adapters::legend::Legend;
use crate::domain::error::Result;

use super::config::RunConfig;
use super::job_args::{JobArgs, JobVerb, merge, one_or_many, pairs, read_job_file};
use super::several::Several;

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
  mpiexec -n 4 framewise run a.h5 b.h5 c.xyz -o results/ --calculator xtb
  mpiexec -n 4 framewise run structures.h5 --keys 'training/**' -o labels.h5 --calculator xtb

The result file is the checkpoint: after a kill, run the same command again, on any number of ranks.

Of several inputs, one of another format (c.xyz) is imported beside its result (results/c.frames.h5), and that import is used
again as long as the input is the same file. Nothing else of that name is used or replaced.

Job file (--config): the same names as the flags, for instance
  calculator = \"lennard-jones\"
  param = [\"epsilon=0.0104\", \"sigma=3.4\"]
  checkpoint-interval = \"60s\"")]
pub struct RunArgs {
    /// Trajectory: H5MD, or an HDF5 file of mbe-automation with --key. Several, of other formats too, each get a result of
    /// their own in the folder -o
    #[arg(value_name = "INPUT")]
    #[serde(deserialize_with = "one_or_many")]
    pub input: Vec<PathBuf>,

    /// Inputs from a file: a path on each line, and after a tab the name of its result in the folder -o, or below it, if
    /// it is to have another one
    #[arg(long, value_name = "FILE", conflicts_with = "input")]
    pub manifest: Option<PathBuf>,

    /// Result file; if it exists, the run resumes. Of several inputs the folder of their results
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
    #[arg(long, value_name = "K", help_heading = "What of it")]
    pub key: Option<String>,

    /// Groups of the input that are computed as one job, repeatable: names and patterns, * within a name, ** across them
    /// ('**': all). Their frames are numbered through in the order of their names
    #[arg(
        long,
        value_name = "PATTERN",
        conflicts_with = "key",
        help_heading = "What of it"
    )]
    pub keys: Vec<String>,

    /// What the atoms are, where the input does not say it or in numbers and names of its own: all of them (Ar:108), or what
    /// stands for what (1=O,2=H), which then has to name every number that occurs, in each of several inputs
    #[arg(long, value_name = "SPECIES", help_heading = "What of it")]
    pub species: Option<String>,

    /// Unit of lengths that have none in the input [default: Angstrom]
    #[arg(long, value_name = "UNIT", help_heading = "What of it")]
    pub length_unit: Option<String>,

    /// Frames to compute, as numbers and Python slices: 0:1000:2,5,7 [default: all]
    #[arg(
        long,
        value_name = "SELECTION",
        allow_hyphen_values = true,
        help_heading = "What of it"
    )]
    pub frames: Option<String>,

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

    /// Positions in the result [default: auto, copied up to 1 GiB, an external link to the input above]
    #[arg(long, value_name = "auto|copy|link", help_heading = "File access")]
    pub geometry: Option<String>,

    /// Property of atoms or frames of the input that the result takes over, repeatable: velocity, mass,
    /// `charge=initial_charges`, velocity:'Angstrom ps-1' where the input does not say the unit; or all
    #[arg(
        long,
        value_name = "all|NAME[=SOURCE][:UNIT]",
        help_heading = "File access"
    )]
    #[serde(deserialize_with = "pairs")]
    pub carry: Vec<String>,

    /// Forces once more in this unit, as group force, for `MDAnalysis`, which refuses eV: kJ/mol/Angstrom
    #[arg(long, value_name = "UNIT", help_heading = "File access")]
    pub h5md_force_units: Option<String>,

    /// How to compute it
    #[command(flatten)]
    #[serde(skip)]
    pub job: JobArgs,
}

impl JobVerb for RunArgs {
    fn with_job_file(&self) -> Result<Self> {
        match &self.job.config {
            None => Ok(self.clone()),
            Some(path) => {
                let (own, job) = read_job_file(path)?;
                Ok(self.over(Self { job, ..own }))
            }
        }
    }

    fn job(&self) -> &JobArgs {
        &self.job
    }

    fn config(self) -> Result<RunConfig> {
        RunConfig::new(self)
    }

    fn several(&self) -> Result<Option<Several>> {
        Several::of(self)
    }
}

impl RunArgs {
    /// Which frames of an input, and what is said of them.
    pub fn asked(&self) -> Result<Asked> {
        Ok(Asked {
            key: self.key.clone(),
            keys: self.keys.clone(),
            legend: Legend::new(self.species.as_deref(), self.length_unit.as_deref())?,
        })
    }

    fn over(&self, file: Self) -> Self {
        let mut flags = self.clone();
        let (input, manifest) = if flags.input.is_empty() && flags.manifest.is_none() {
            (file.input, file.manifest)
        } else {
            (std::mem::take(&mut flags.input), flags.manifest.take())
        };
        // Who types one of the two does not mean the other.
        let keys = if flags.key.is_none() && flags.keys.is_empty() {
            flags.key = file.key;
            file.keys
        } else {
            flags.keys
        };
        Self {
            input,
            manifest,
            output: flags.output.or(file.output),
            calculator: flags.calculator.or(file.calculator),
            param: merge(file.param, &flags.param),
            level_of_theory: flags.level_of_theory.or(file.level_of_theory),
            key: flags.key,
            keys,
            species: flags.species.or(file.species),
            length_unit: flags.length_unit.or(file.length_unit),
            frames: flags.frames.or(file.frames),
            frame_timeout: flags.frame_timeout.or(file.frame_timeout),
            isolate: flags.isolate || file.isolate,
            geometry: flags.geometry.or(file.geometry),
            carry: if flags.carry.is_empty() {
                file.carry
            } else {
                flags.carry
            },
            h5md_force_units: flags.h5md_force_units.or(file.h5md_force_units),
            job: flags.job.over(file.job),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::job_args::parse;
    use super::*;
    use crate::commands::cli::{LogFormat, Talk};

    fn parsed(text: &str) -> RunArgs {
        let (own, job): (RunArgs, JobArgs) = parse(text).unwrap();
        RunArgs { job, ..own }
    }

    #[test]
    fn flags_win_over_the_job_file() {
        let file = parsed(
            "calculator = 'null'\nparam = ['a=1', 'b=2']\ncheckpoint-interval = '5s'\nthreads = 3",
        );
        let flags = RunArgs {
            job: JobArgs {
                threads: Some(1),
                ..JobArgs::default()
            },
            param: vec!["a=7".into()],
            ..RunArgs::default()
        };
        let both = flags.over(file);
        assert_eq!(both.calculator.as_deref(), Some("null"));
        assert_eq!(both.param, ["b=2", "a=7"]);
        assert_eq!(both.job.threads, Some(1));
        assert_eq!(both.job.checkpoint_interval.as_deref(), Some("5s"));
    }

    #[test]
    fn parameters_may_be_a_table_and_the_flags_of_every_verb_are_taken() {
        let text = "quiet = true\nlog-format = 'json'\n[param]\nepsilon = 0.0104\nshift = 'none'";
        let file = parsed(text);
        assert_eq!(file.param, ["epsilon=0.0104", "shift=none"]);
        let typed = Talk {
            verbose: 0,
            quiet: false,
            log_format: LogFormat::Text,
        };
        let talk = file.job.talk(&typed);
        assert!(talk.quiet && talk.log_format == LogFormat::Json);
        let loud = file.job.talk(&Talk {
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
        let error = read_job_file::<RunArgs>(&path).unwrap_err();
        assert!(
            error.message.contains("line 3") && error.message.contains("checkpont"),
            "{error}"
        );
    }
}
