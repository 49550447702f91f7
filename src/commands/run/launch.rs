//! Start and end of an MPI job: who speaks, which exit code, and that everybody leaves together.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::error::ErrorKind;

use crate::adapters::hdf5::ffi::open_objects;
use crate::adapters::mpi::{self, MpiRanks, World, launcher};
use crate::adapters::program;
use crate::adapters::signals::Signals;
use crate::commands::cli::Talk;
use crate::commands::{logging, say};
use crate::domain::error::{Error, Kind, Result};
use crate::engine::ports::{Ranks, Trouble, Vote};
use crate::engine::together::together;

use super::config::RunConfig;
use super::job::{self, Outcome, Setting};
use super::job_args::JobVerb;
use super::team::Team;

/// Runs a verb that computes, on every rank of the job.
pub fn execute(args: &impl JobVerb, talk: &Talk) -> ExitCode {
    let started = Instant::now();
    // Before MPI, so that a signal during its start is heard afterwards.
    let signals = Signals::listen();
    let world = match World::initialize() {
        Ok(world) => world,
        Err(error) => return refuse(&error),
    };
    let outcome = run(args, talk, &world, signals, started);
    program::tidy();
    meet(&mut world.ranks(), outcome.as_ref().err());
    match &outcome {
        Err(error) if error.kind == Kind::Abandoned || open_objects() > 0 => leave(error),
        Ok(_) if open_objects() > 0 => give_up(&Error::failure(
            "a file could not be closed: a write failed at the end; `framewise verify` tells whether results are missing",
        )),
        _ => {}
    }
    drop(world);
    match outcome {
        Ok(Outcome::Completed) => ExitCode::SUCCESS,
        Ok(Outcome::SomeFailed) => ExitCode::from(3),
        Ok(Outcome::Stopped) => ExitCode::from(75),
        Err(error) => ExitCode::from(error.exit_code()),
    }
}

/// All ranks come here at their end, and the error is said once. Afterwards files are closed, and `MPI_Finalize` comes
/// when the world goes; it is no barrier by itself. A rank with an error that the others know nothing of, and that
/// does not find them here, ends the job.
pub fn meet(ranks: &mut MpiRanks, error: Option<&Error>) {
    let mut said = false;
    let mut say_once = |error: &Error| {
        if !std::mem::replace(&mut said, true) {
            say(error);
        }
    };
    // Launchers end all processes as soon as one leaves with an error: speak before anybody can leave.
    if let Some(error) = error {
        if error.kind == Kind::Alone {
            give_up(error);
        }
        if ranks.rank() == 0 {
            say_once(error);
        }
    }
    let trouble = error.map_or(Trouble::No, |_| Trouble::Ending);
    let verdict = ranks.agree(Vote::about(trouble), &mut || {
        std::thread::sleep(Duration::from_micros(100));
    });
    match (verdict, error) {
        (None, Some(error)) => {
            say_once(error);
            leave(error);
        }
        (Some(verdict), Some(error)) if verdict.trouble.is_some_and(|(_, r)| r == ranks.rank()) => {
            say_once(error);
        }
        _ => {}
    }
    ranks.barrier();
}

fn run(
    args: &impl JobVerb,
    talk: &Talk,
    world: &World,
    signals: Result<Signals>,
    started: Instant,
) -> Result<Outcome> {
    let mut ranks = world.ranks();
    let rank = ranks.rank();
    let args = together(&mut ranks, args.with_job_file())?;
    let talk = &args.job().talk(talk);
    let trace = args
        .job()
        .trace
        .as_ref()
        .map(|folder| logging::trace_file(folder, rank));
    let trace = together(&mut ranks, trace.transpose())?;
    logging::start(talk, Some(rank), trace);
    // Every line of this rank carries its number.
    let span = tracing::error_span!("rank", rank);
    let _entered = span.enter();
    let signals = together(&mut ranks, signals)?;
    let mut start = Start {
        world,
        signals: &signals,
        launched: started,
        talkative: !talk.quiet,
        team: None,
    };
    match together(&mut ranks, args.several())? {
        None => {
            let config = together(&mut ranks, args.config())?;
            start.job(&config, started, &mut ranks)
        }
        Some(several) => several.run(&mut start, &mut ranks),
    }
}

/// What the jobs of one launch have in common.
pub struct Start<'a> {
    world: &'a World,
    signals: &'a Signals,
    launched: Instant,
    talkative: bool,
    /// The workers, once there was a job.
    team: Option<Team>,
}

impl Start<'_> {
    /// Signals of this process.
    pub fn signals(&self) -> &Signals {
        self.signals
    }

    /// Number of ranks.
    pub fn size(&self) -> usize {
        self.world.ranks().size()
    }

    /// Whether to print summaries.
    pub fn is_talkative(&self) -> bool {
        self.talkative
    }

    /// Runs a job that began at `started`. Collective.
    pub fn job(
        &mut self,
        config: &RunConfig,
        started: Instant,
        ranks: &mut MpiRanks,
    ) -> Result<Outcome> {
        let team = self.team.take();
        let team = team.unwrap_or_else(|| Team::agree(config, ranks));
        self.team = Some(team.clone());
        let setting = Setting {
            team,
            config,
            world: self.world,
            signals: self.signals,
            launched: self.launched,
            started,
            talkative: self.talkative,
        };
        job::run(&setting, ranks)
    }
}

/// Says what went wrong on this rank alone, and ends the job on all.
pub fn give_up(error: &Error) -> ! {
    say(error);
    leave(error)
}

/// Ends without `MPI_Finalize`, which would have HDF5 close what must not be closed.
pub fn leave(error: &Error) -> ! {
    mpi::abort(i32::from(error.exit_code()))
}

/// MPI is not what the launcher promised: every process is alone and believes it is the first. One of them speaks.
pub fn refuse(error: &Error) -> ExitCode {
    if launcher::promised_rank().unwrap_or(0) == 0 {
        say(error);
    } else {
        // A launcher ends all processes when one leaves with an error: the first speaks before the others leave.
        std::thread::sleep(Duration::from_secs(1));
    }
    ExitCode::from(error.exit_code())
}

/// What clap has to say: help and version on standard output, mistakes on standard error with exit code 2; under
/// a launcher, once.
pub fn explain_usage(error: &clap::Error) -> ExitCode {
    let code = ExitCode::from(error.exit_code() as u8);
    if launcher::promised_rank().is_none() {
        let _ = error.print();
        return code;
    }
    let line = error.to_string();
    let line = line.lines().next().unwrap_or_default();
    let line = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            "asked for help or version, the others not"
        }
        _ => line.trim_start_matches("error: "),
    };
    join_the_others(line, || {
        let _ = error.print();
    })
    .unwrap_or(code)
}

/// A verb that runs alone was started by a launcher: of many ranks the first does it. Where the others were started for
/// something else, they wait for this rank: it comes to tell them, or both would wait for ever.
///
/// The exit code of this rank when it has nothing to do.
pub fn refuse_company() -> Option<ExitCode> {
    if launcher::promised_size()? < 2 {
        return None;
    }
    let line = "was started for a verb that runs alone, the others not";
    let idle = launcher::promised_rank() != Some(0);
    join_the_others(line, || {}).or(idle.then_some(ExitCode::SUCCESS))
}

/// Comes to the first agreement of all ranks with what keeps this one from `run`. Where it is the same on all, rank 0
/// speaks; otherwise it is an error.
fn join_the_others(line: &str, speak: impl FnOnce()) -> Option<ExitCode> {
    let world = match World::initialize() {
        Ok(world) => world,
        Err(error) => return Some(refuse(&error)),
    };
    let mut ranks = world.ranks();
    let shared = not_all(&mut ranks, line);
    if shared.is_none() && ranks.rank() == 0 {
        speak();
    }
    meet(&mut ranks, shared.as_ref());
    shared.map(|shared| ExitCode::from(shared.exit_code()))
}

/// The error of all ranks unless each of them comes here with the same `line`. Collective, as the first thing: those that were
/// started for something else hear of it in their own first agreement.
pub fn not_all(ranks: &mut MpiRanks, line: &str) -> Option<Error> {
    let shared = together(ranks, Err::<(), _>(Error::usage(line))).err();
    shared.filter(|shared| shared.message != line)
}
