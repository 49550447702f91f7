//! `framewise doctor`: what this build and machine have, what is wrong, how to mend it.
//!
//! Without a launcher it looks at this node. Under one it is a job: every rank says what it has, one of each node what the
//! node has, and rank 0 judges and prints. Where MPI is not what the launcher says, that is a finding like others.

mod calculators;
mod compared;
mod facts;
mod finding;
mod launch;
mod libraries;
mod memory;
mod probe;
mod space;
mod storage;
mod survey;
mod topology;
mod walltime;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::adapters::mpi::{MpiRanks, World, launcher};
use crate::commands::cli::Talk;
use crate::commands::run::config;
use crate::commands::run::launch::{meet, not_all};
use crate::commands::{logging, say};
use crate::domain::error::{Error, Result};
use crate::engine::ports::Ranks;
use crate::engine::together::{same_everywhere, together};

use super::output::{print, print_json};
use super::table::table;

use finding::{Finding, Verdict, worst};
use space::Wanted;
use survey::Survey;

/// Look at MPI, HDF5, launcher, nodes, file system: what is wrong and how to mend it
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  framewise doctor
  framewise doctor /scratch/me/results --input md.h5
  mpiexec -n 4 framewise doctor /scratch/me/results
  srun --mpi=pmix framewise doctor /scratch/me/results

Under a launcher all nodes are looked at, and compared with each other.

Exit code 0: nothing is wrong; 1: something is.")]
pub struct DoctorArgs {
    /// Folder of the results
    #[arg(value_name = "FOLDER", default_value = ".")]
    pub folder: PathBuf,

    /// Tell whether there is room for the result of this trajectory
    #[arg(long, value_name = "INPUT")]
    pub input: Option<PathBuf>,

    /// Group of the input that holds the frames
    #[arg(long, value_name = "K", requires = "input")]
    pub key: Option<String>,

    /// Positions in the result, as run has it [default: auto]
    #[arg(long, value_name = "auto|copy|link", requires = "input")]
    pub geometry: Option<String>,

    /// Memory of each rank for input and results, as run has it [default: 512MiB]
    #[arg(long, allow_negative_numbers = true, value_name = "SIZE")]
    pub max_memory: Option<String>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the verb, on every rank where there are ranks.
pub fn execute(args: &DoctorArgs, talk: &Talk) -> ExitCode {
    if launcher::promised_size().is_none() {
        logging::start(talk, None, None);
        return alone(args, None);
    }
    let world = match World::initialize() {
        Ok(world) => world,
        // Every process is alone now. Launchers end all when one leaves with an error: the others leave without.
        Err(_) if launcher::promised_rank().unwrap_or(0) > 0 => return ExitCode::SUCCESS,
        Err(error) => {
            logging::start(talk, None, None);
            return alone(args, Some(&error));
        }
    };
    logging::start(talk, Some(world.ranks().rank()), None);
    let outcome = of_all(args, &mut world.ranks());
    meet(&mut world.ranks(), outcome.as_ref().err());
    drop(world);
    outcome.unwrap_or_else(|error| ExitCode::from(error.exit_code()))
}

fn alone(args: &DoctorArgs, trouble: Option<&Error>) -> ExitCode {
    let outcome = judge(args, &Survey::alone(&args.folder, trouble));
    outcome
        .and_then(|findings| tell(args, &findings))
        .map_or_else(
            |error| {
                say(&error);
                ExitCode::from(error.exit_code())
            },
            code,
        )
}

fn of_all(args: &DoctorArgs, ranks: &mut MpiRanks) -> Result<ExitCode> {
    if let Some(error) = not_all(ranks, "was started for doctor, the others not") {
        return Err(error);
    }
    let advice = "start the same command on every rank";
    let commands = ("the commands of the ranks", advice);
    same_everywhere(ranks, commands, &format!("{args:?}"))?;
    let survey = Survey::of_all(&args.folder, ranks)?;
    let told = survey.map(|survey| {
        let findings = judge(args, &survey)?;
        tell(args, &findings)
    });
    // The others leave with the same code.
    let verdict = together(ranks, told.transpose())?;
    let wrong = if verdict == Some(Verdict::Wrong) {
        "yes"
    } else {
        "no"
    };
    let wrong = ranks.tell(0, wrong) == "yes";
    Ok(ExitCode::from(u8::from(wrong)))
}

fn judge(args: &DoctorArgs, survey: &Survey) -> Result<Vec<Finding>> {
    let each = config::memory(args.max_memory.as_deref())?;
    let wanted = Wanted::of(args)?;
    let mut findings = libraries::findings(survey);
    findings.extend(launch::findings(survey));
    findings.extend(topology::findings(survey));
    findings.extend(memory::findings(survey, each));
    findings.extend(compared::findings(survey));
    findings.extend(storage::findings(survey));
    findings.extend(space::findings(&survey.here().folder, wanted.as_ref()));
    findings.push(walltime::finding());
    findings.extend(calculators::findings(survey));
    Ok(findings)
}

fn tell(args: &DoctorArgs, findings: &[Finding]) -> Result<Verdict> {
    if args.json {
        print_json(&findings.iter().map(Finding::json).collect())?;
    } else {
        print(&table(&[], findings.iter().flat_map(Finding::rows), &[]))?;
    }
    Ok(worst(findings))
}

fn code(worst: Verdict) -> ExitCode {
    ExitCode::from(u8::from(worst == Verdict::Wrong))
}
