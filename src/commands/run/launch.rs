//! Start and end of an MPI job: who speaks, which exit code, and that everybody leaves together.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::adapters::hdf5::ffi::open_objects;
use crate::adapters::mpi::{self, MpiRanks, World, launcher};
use crate::adapters::signals::Signals;
use crate::commands::cli::Talk;
use crate::commands::{logging, say};
use crate::domain::error::{Error, Kind, Result};
use crate::engine::ports::{Ranks, Trouble, Vote};
use crate::engine::together::together;

use super::args::RunArgs;
use super::config::RunConfig;
use super::job::{self, Outcome, Setting};

/// Runs the verb on every rank of the job.
pub fn execute(args: &RunArgs, talk: &Talk) -> ExitCode {
    let started = Instant::now();
    let world = match World::initialize() {
        Ok(world) => world,
        Err(error) => return refuse(&error),
    };
    let outcome = run(args, talk, &world, started);
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
fn meet(ranks: &mut MpiRanks, error: Option<&Error>) {
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

fn run(args: &RunArgs, talk: &Talk, world: &World, started: Instant) -> Result<Outcome> {
    let mut ranks = world.ranks();
    let rank = ranks.rank();
    let args = together(&mut ranks, args.with_job_file())?;
    let talk = &args.talk(talk);
    let trace = args
        .trace
        .as_ref()
        .map(|folder| logging::trace_file(folder, rank));
    let trace = together(&mut ranks, trace.transpose())?;
    logging::start(talk, Some(rank), trace);
    // Every line of this rank carries its number.
    let span = tracing::error_span!("rank", rank);
    let _entered = span.enter();
    let signals = together(&mut ranks, Signals::listen())?;
    let config = together(&mut ranks, RunConfig::new(args))?;
    let setting = Setting {
        config: &config,
        world,
        signals: &signals,
        started,
        talkative: !talk.quiet,
    };
    job::run(&setting, &mut ranks)
}

/// Says what went wrong on this rank alone, and ends the job on all.
pub fn give_up(error: &Error) -> ! {
    say(error);
    leave(error)
}

/// Ends without `MPI_Finalize`, which would have HDF5 close what must not be closed.
fn leave(error: &Error) -> ! {
    mpi::abort(i32::from(error.exit_code()))
}

/// MPI is not what the launcher promised: every process is alone and believes it is the first. One of them speaks.
fn refuse(error: &Error) -> ExitCode {
    if launcher::promised_rank().unwrap_or(0) == 0 {
        say(error);
    }
    ExitCode::from(error.exit_code())
}

/// What clap has to say: help and version on standard output, mistakes on standard error with exit code 2; under
/// a launcher, once.
pub fn explain_usage(error: &clap::Error) -> ExitCode {
    let code = ExitCode::from(error.exit_code() as u8);
    let Some(rank) = launcher::promised_rank() else {
        let _ = error.print();
        return code;
    };
    // A launcher ends all processes when one leaves with an error: wait until the first has spoken.
    let world = World::initialize();
    if rank == 0 {
        let _ = error.print();
    }
    if let Ok(world) = world {
        world.ranks().barrier();
    }
    code
}
