//! `framewise bench`: measures this machine and says which settings to use.

mod calculator;
mod engine;
mod figures;
mod io;
mod report;
mod scaling;

use std::process::ExitCode;

use crate::commands::cli::Talk;
use crate::commands::{logging, run};
use crate::domain::error::Result;

/// Measure this machine and say which settings to use
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  mpiexec -n 2 framewise bench io /scratch/me
  framewise bench scaling --ranks 1,2,4 -o scaling
  framewise bench calculator xtb --param method=gfn2 molecules.h5

Measure on a machine that does nothing else.")]
pub struct BenchArgs {
    /// What to measure
    #[command(subcommand)]
    pub what: What,
}

/// What can be measured.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum What {
    /// Commits to this disk by these ranks, against plain writes of the same bytes
    Io(io::IoArgs),
    /// Strong and weak scaling of whole runs: tables and plots
    Scaling(Box<scaling::ScalingArgs>),
    /// One calculator on this machine's cores
    Calculator(calculator::CalculatorArgs),
}

/// Runs the verb. `bench io` is a job of many ranks; the others run alone.
pub fn execute(args: &BenchArgs, talk: &Talk) -> Result<ExitCode> {
    match &args.what {
        What::Io(args) => return Ok(io::execute(args, talk)),
        // It starts ranks of its own, and a launcher inside another one starts none.
        What::Scaling(_) => {
            if let Err(error) = scaling::refuse_launcher() {
                return Ok(run::launch::refuse(&error));
            }
        }
        What::Calculator(_) => {}
    }
    if let Some(code) = run::launch::refuse_company() {
        return Ok(code);
    }
    logging::start(talk, None, None);
    match &args.what {
        What::Scaling(args) => scaling::execute(args),
        What::Calculator(args) => calculator::execute(args),
        What::Io(_) => unreachable!("handled above"),
    }
}
