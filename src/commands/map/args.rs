//! What was typed after `framewise map`.

use std::path::PathBuf;

use serde::Deserialize;

use crate::adapters::kernels;
use crate::commands::run::config::{RunConfig, What, duration, pairs as read_pairs, parsed};
use crate::commands::run::job_args::{JobArgs, JobVerb, merge, pairs, read_job_file};
use crate::domain::calculator::Conditions;
use crate::domain::error::{Error, Result};

use super::rows::Rows;

/// Compute every row of an array with a kernel; the same command resumes where it was
#[derive(Clone, Debug, Default, clap::Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[command(after_help = "\
Examples:
  framewise map scan.h5 --dataset Measurement_000/Channel_000/Raw_Data --kernel statistics -o stats.h5
  mpiexec -n 4 framewise map scan.h5 --dataset Measurement_000/Channel_000/Raw_Data --kernel sho-fit -o fit.h5
  srun --mpi=pmix framewise map stack.h5 --dataset images --kernel fft-filter --param noise-tolerance=1e-3 \\
      -o filtered.h5 --walltime auto
  framewise map scan.h5 --dataset spectra --kernel pca-projection:components.h5:V -o scores.h5 --rows 0:1000

The first axis of the dataset is the position; a row is all that there is at one of them. The input is only read.
The results are in RESULT, in the group where pyUSID would put them: <path of the dataset>-<Process>_000.
The result file is the checkpoint: after a kill, run the same command again, on any number of ranks.
`framewise kernels` lists the kernels, `framewise kernels NAME` their parameters and results.")]
pub struct MapArgs {
    /// HDF5 file with the array
    #[arg(value_name = "INPUT")]
    pub input: Option<PathBuf>,

    /// Result file; if it exists, the job resumes
    #[arg(short, long, value_name = "RESULT")]
    pub output: Option<PathBuf>,

    /// The array: path of a dataset whose first axis is the position
    #[arg(short, long, value_name = "PATH", help_heading = "What to compute")]
    pub dataset: Option<String>,

    /// What computes the rows, see `framewise kernels`
    #[arg(short, long, value_name = "NAME", help_heading = "What to compute")]
    pub kernel: Option<String>,

    /// Parameter of the kernel, repeatable; see `framewise kernels NAME`
    #[arg(short, long, value_name = "K=V", help_heading = "What to compute")]
    #[serde(deserialize_with = "pairs")]
    pub param: Vec<String>,

    /// Rows to compute, as numbers and Python slices: 0:1000:2,5,7 [default: all]
    #[arg(
        long,
        value_name = "SELECTION",
        allow_hyphen_values = true,
        help_heading = "What of it"
    )]
    pub rows: Option<String>,

    /// Give a row up after this long: it fails, the rest goes on
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "TIME",
        help_heading = "How to run"
    )]
    pub row_timeout: Option<String>,

    /// How to compute it
    #[command(flatten)]
    #[serde(skip)]
    pub job: JobArgs,
}

impl JobVerb for MapArgs {
    fn with_job_file(&self) -> Result<Self> {
        let Some(path) = &self.job.config else {
            return Ok(self.clone());
        };
        let (file, job): (Self, _) = read_job_file(path)?;
        let flags = self.clone();
        Ok(Self {
            input: flags.input.or(file.input),
            output: flags.output.or(file.output),
            dataset: flags.dataset.or(file.dataset),
            kernel: flags.kernel.or(file.kernel),
            param: merge(file.param, &flags.param),
            rows: flags.rows.or(file.rows),
            row_timeout: flags.row_timeout.or(file.row_timeout),
            job: flags.job.over(job),
        })
    }

    fn job(&self) -> &JobArgs {
        &self.job
    }

    fn config(self) -> Result<RunConfig> {
        let missing = |what: &str| {
            Error::usage(format!(
                "{what}; for example: framewise map scan.h5 --dataset spectra --kernel statistics -o stats.h5"
            ))
        };
        let input = self.input.ok_or_else(|| missing("INPUT is missing"))?;
        let result = self.output.ok_or_else(|| missing("-o RESULT is missing"))?;
        let dataset = self
            .dataset
            .ok_or_else(|| missing("--dataset PATH is missing"))?;
        let name = self
            .kernel
            .ok_or_else(|| missing("--kernel NAME is missing"))?;
        let (kernel, subject) = kernels::choose(&name)?;
        let mut typed = read_pairs("--param", &self.param)?;
        typed.extend(subject);
        let parameters = kernel
            .parse(&typed)
            .map_err(|e| Error::usage(e.to_string()))?;
        let timeout = duration("--row-timeout", self.row_timeout.as_deref())?;
        let what = What {
            result,
            selection: parsed("--rows", self.rows.as_deref())?,
            timeout,
            task: Box::new(Rows {
                input: input.clone(),
                dataset,
                kernel,
                parameters,
                conditions: Conditions {
                    frame_timeout: timeout,
                },
            }),
            input,
        };
        RunConfig::of(what, self.job)
    }
}
