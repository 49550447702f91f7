//! The command line as clap sees it.

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Deserialize;

use super::{
    bench, calculators, compare, doctor, evaluate, export, import, job, keep, kernels, link, ls,
    map, merge, repack, run, status, verify,
};

/// Evaluates every frame of a trajectory with a calculator, on any number of MPI ranks, into one HDF5 file
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 110)]
#[command(after_help = "\
Examples:
  framewise import md.xyz -o md.h5
  mpiexec -n 4 framewise run md.h5 -o result.h5 --calculator lennard-jones \\
      --param epsilon=0.0104 --param sigma=3.4 --param cutoff=8.5
  mpiexec -n 4 framewise map scan.h5 --dataset Measurement_000/Channel_000/Raw_Data \\
      --kernel sho-fit -o fit.h5
  framewise status result.h5
  framewise export result.h5 -o train.extxyz

Exit codes: 0 every selected frame completed; 1 error, nothing committed was lost; 2 usage;
3 done, but some frames failed or did not converge; 75 stopped in good order before the end: run the same
command again.")]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub verb: Verb,

    /// How much to say
    #[command(flatten)]
    pub talk: Talk,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Turn trajectories of other programs into H5MD
    Import(import::ImportArgs),
    /// Evaluate frames; the same command resumes
    Run(Box<run::args::RunArgs>),
    /// Compute every row of an array with a kernel; the same command resumes
    Map(Box<map::args::MapArgs>),
    /// Counts by status, progress, rate, ETA, run history
    Status(status::StatusArgs),
    /// Check every completed frame against its checksum
    Verify(verify::VerifyArgs),
    /// Write completed frames for training and other programs: extended XYZ, LAMMPS dump, npz, Parquet
    Export(Box<export::ExportArgs>),
    /// Say by how much two results, or a result and its reference, differ: tables, JSON, plots
    Compare(Box<compare::CompareArgs>),
    /// Write results into the structures of an mbe-automation file
    Merge(merge::MergeArgs),
    /// List the sets of frames in HDF5 files, and their levels of theory
    Ls(ls::LsArgs),
    /// Show several results as one file, without a copy
    Link(link::LinkArgs),
    /// A compressed, rechunked, verified copy of a result
    Repack(repack::RepackArgs),
    /// Measure this machine and say which settings to use
    Bench(bench::BenchArgs),
    /// Calculators, their parameters, and whether this build and machine have them
    Calculators(calculators::CalculatorsArgs),
    /// Kernels of `map` and their parameters
    Kernels(kernels::KernelsArgs),
    /// Look at MPI, HDF5, launcher, nodes, file system: what is wrong and how to mend it
    Doctor(doctor::DoctorArgs),
    /// Write a script for SLURM, PBS or LSF that runs a command and goes on until all is completed
    Job(Box<job::JobScriptArgs>),
    /// The process of an engine under `run --isolate`
    #[command(hide = true)]
    Evaluate(evaluate::EvaluateArgs),
    /// Starts a program that computes for a worker, and tidies up after it
    #[command(hide = true)]
    Keep(keep::KeepArgs),
}

/// Options of every verb.
#[derive(Clone, Debug, Args)]
pub struct Talk {
    /// Say more: -v for all ranks and details, -vv for everything
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,

    /// Say only warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Format of log lines on standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Text, global = true)]
    pub log_format: LogFormat,
}

/// Format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object per line
    Json,
}
