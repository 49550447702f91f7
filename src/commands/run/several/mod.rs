//! Several inputs in one launch: each is a job with a result of its own, the largest first; what is wrong with one of them
//! does not stop the others.

mod imported;
mod manifest;
mod profile;
mod sized;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::adapters::hdf5::create::folder_of;
use crate::adapters::hdf5::ffi::open_objects;
use crate::adapters::hdf5::result_reader::ResultReader;
use crate::adapters::mpi::MpiRanks;
use crate::commands::output::print;
use crate::commands::table::{duration, table, thousands};
use crate::domain::error::{Error, Kind, Result};
use crate::engine::ports::Ranks;
use crate::engine::together::{on_first_rank, together};
use crate::planning::status::{Status, StatusCounts};

use super::args::RunArgs;
use super::config::RunConfig;
use super::job::Outcome;
use super::launch::{Start, meet};

use sized::Sized;

/// One input, and where its result goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Trajectory, as given.
    pub input: PathBuf,
    /// Result file.
    pub result: PathBuf,
}

/// All of them, and what is to be done with each.
pub struct Several {
    args: RunArgs,
    assignments: Vec<Assignment>,
}

/// What became of one input.
struct Ended {
    input: PathBuf,
    result: PathBuf,
    outcome: std::result::Result<Outcome, String>,
    seconds: f64,
}

impl Several {
    /// The jobs that were typed; `None` where it is one.
    pub fn of(args: &RunArgs) -> Result<Option<Self>> {
        let Some(output) = &args.output else {
            if args.input.len() > 1 || args.manifest.is_some() {
                return Err(Error::usage(
                    "-o FOLDER is missing: each of several inputs has a result of its own in it",
                ));
            }
            return Ok(None);
        };
        let given = match &args.manifest {
            Some(path) => manifest::read(path)?,
            None if args.input.len() > 1 => {
                args.input.iter().map(|path| (path.clone(), None)).collect()
            }
            None => return Ok(None),
        };
        if output.exists() && !output.is_dir() {
            return Err(Error::usage(format!(
                "{}: is not a folder; each of several inputs has a result of its own, give a folder with -o",
                output.display()
            )));
        }
        if args.job.metrics.is_some() {
            return Err(Error::usage(
                "--metrics: is about one job; leave it out where there are several inputs",
            ));
        }
        let assignments = manifest::assign(given, output)?;
        Ok(Some(Self {
            args: args.clone(),
            assignments,
        }))
    }

    /// Finds what is wrong with the command.
    pub fn check(&self) -> Result<()> {
        let Assignment { input, result } = &self.assignments[0];
        RunConfig::new(job_args(&self.args, input, result)).map(drop)
    }

    /// Runs the jobs. Collective.
    pub fn run(self, start: &mut Start<'_>, ranks: &mut MpiRanks) -> Result<Outcome> {
        let checked = self.check();
        let Self { args, assignments } = self;
        // What is wrong with the command is wrong with every input.
        together(ranks, checked)?;
        let sized = on_first_rank(ranks, || {
            if let Some(output) = &args.output {
                fs::create_dir_all(output).map_err(|e| {
                    Error::failure(format!("{}: cannot be made: {e}", output.display()))
                })?;
            }
            let sized = Sized::all(&args, &assignments, &|| start.signals().go_on())?;
            for line in profile::lines(&sized, start.size()) {
                tracing::info!("{line}");
            }
            Ok(sized)
        });
        let sized = match sized {
            Err(stopped) if stopped.kind == Kind::Stopped => return Ok(Outcome::Stopped),
            other => other?,
        };
        let told = sized.map_or_else(String::new, |all| {
            serde_json::to_string(&all).unwrap_or_default()
        });
        let told = ranks.tell(0, &told);
        let sized = serde_json::from_str::<Vec<Sized>>(&told)
            .map_err(|e| Error::failure(format!("rank 0 sent an unreadable list: {e}")));
        let sized = together(ranks, sized)?;
        let mut ended = Vec::with_capacity(sized.len());
        let mut sized = sized.into_iter();
        for one in sized.by_ref() {
            let begun = Instant::now();
            let outcome = if let Some(defect) = one.defect {
                Err(Error::failure(defect))
            } else {
                let args = one.args(&args);
                together(ranks, RunConfig::new(args))
                    .and_then(|config| start.job(&config, begun, ranks))
            };
            if let Err(error) = &outcome {
                if error.kind == Kind::Abandoned || open_objects() > 0 {
                    return outcome;
                }
                // Said here, as it would be at the end of a launch.
                meet(ranks, Some(error));
            }
            let stopped = matches!(outcome, Ok(Outcome::Stopped));
            ended.push(Ended {
                input: one.input,
                result: one.result,
                outcome: outcome.map_err(|error| error.message),
                seconds: begun.elapsed().as_secs_f64(),
            });
            // A signal that only one rank has heard of is agreed upon by the next job.
            if stopped {
                break;
            }
        }
        let left: Vec<_> = sized.collect();
        if ranks.rank() == 0 && start.is_talkative() {
            print(&summary(&ended, &left))?;
        }
        conclude(&ended, left.len())
    }
}

/// Makes the folder of a result: a manifest may name some below that of -o.
fn make_folder(result: &Path) -> Result<()> {
    let folder = folder_of(result);
    fs::create_dir_all(&folder)
        .map_err(|e| Error::failure(format!("{}: cannot be made: {e}", folder.display())))
}

/// The command for one of the inputs.
fn job_args(args: &RunArgs, input: &Path, result: &Path) -> RunArgs {
    RunArgs {
        input: vec![input.to_owned()],
        manifest: None,
        output: Some(result.to_owned()),
        ..args.clone()
    }
}

/// What all of them come to, the same on every rank.
fn conclude(ended: &[Ended], left: usize) -> Result<Outcome> {
    let wrong = ended.iter().filter(|one| one.outcome.is_err()).count();
    if wrong > 0 {
        return Err(Error::failure(format!(
            "{wrong} of {} inputs could not be computed: see above; the same command goes on with what is left",
            ended.len() + left
        )));
    }
    let is = |outcome| ended.iter().any(|one| one.outcome == Ok(outcome));
    Ok(if left > 0 || is(Outcome::Stopped) {
        Outcome::Stopped
    } else if is(Outcome::SomeFailed) {
        Outcome::SomeFailed
    } else {
        Outcome::Completed
    })
}

fn summary(ended: &[Ended], left: &[Sized]) -> String {
    let left = left.iter().map(|one| {
        let text = |path: &Path| path.display().to_string();
        let mut row = vec![text(&one.input), text(&one.result)];
        row.extend(["", "", "", "", "not begun"].map(str::to_owned));
        row
    });
    let rows = ended.iter().map(|one| {
        let counts = ResultReader::open(&one.result).and_then(|reader| reader.counts());
        let counts = counts.map_or_else(|_| StatusCounts::default(), |(counts, _)| counts);
        let troubled = counts.get(Status::Failed) + counts.get(Status::NotConverged);
        vec![
            one.input.display().to_string(),
            one.result.display().to_string(),
            thousands(counts.get(Status::Completed)),
            thousands(troubled),
            thousands(counts.get(Status::Undefined)),
            duration(one.seconds),
            match &one.outcome {
                Ok(Outcome::Completed) => "completed",
                Ok(Outcome::SomeFailed) => "some frames failed",
                Ok(Outcome::Stopped) => "stopped",
                Err(_) => "error",
            }
            .into(),
        ]
    });
    let header = ["input", "result", "completed", "failed", "left", "time", ""];
    table(&header, rows.chain(left), &[2, 3, 4, 5])
}
