//! Top floor: one file per verb. Each owns its arguments.

pub mod bench;
pub mod calculators;
pub mod cli;
pub mod compare;
pub mod doctor;
pub mod evaluate;
pub mod export;
pub mod import;
pub mod job;
pub mod keep;
pub mod kernels;
pub mod library;
pub mod link;
pub mod logging;
pub mod ls;
pub mod map;
pub mod merge;
pub mod output;
pub mod plotting;
pub mod repack;
pub mod run;
pub mod status;
pub mod table;
pub mod verify;

use std::process::ExitCode;

use clap::Parser;

use crate::domain::error::Error;
use crate::domain::panics::describe;

use cli::{Cli, Verb};

/// Parses the command line, runs the verb and turns its outcome into the exit code.
pub fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        if let Some(what) = describe(panic) {
            eprintln!("error: {what}; please report this");
        }
    }));
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return run::launch::explain_usage(&error),
    };
    let outcome = match &cli.verb {
        // `run` and `map` say their errors themselves: on one rank of many.
        Verb::Run(args) => return run::launch::execute(args.as_ref(), &cli.talk),
        Verb::Map(args) => return run::launch::execute(args.as_ref(), &cli.talk),
        Verb::Repack(args) => return repack::execute(args, &cli.talk),
        // The other end of a pipe listens, and nobody else.
        Verb::Evaluate(args) => return evaluate::execute(args),
        Verb::Keep(args) => return keep::execute(args),
        // With a launcher it is a job, without one it needs no MPI.
        Verb::Doctor(args) => return doctor::execute(args, &cli.talk),
        // Some of it is for all ranks, some for one.
        Verb::Bench(args) => bench::execute(args, &cli.talk),
        verb => {
            if let Some(code) = run::launch::refuse_company() {
                return code;
            }
            logging::start(&cli.talk, None, None);
            match verb {
                Verb::Import(args) => import::execute(args).map(|()| ExitCode::SUCCESS),
                Verb::Export(args) => export::execute(args).map(|()| ExitCode::SUCCESS),
                Verb::Merge(args) => merge::execute(args).map(|()| ExitCode::SUCCESS),
                Verb::Link(args) => link::execute(args).map(|()| ExitCode::SUCCESS),
                Verb::Ls(args) => ls::execute(args).map(|()| ExitCode::SUCCESS),
                Verb::Compare(args) => compare::execute(args),
                Verb::Status(args) => status::execute(args),
                Verb::Verify(args) => verify::execute(args),
                Verb::Calculators(args) => calculators::execute(args),
                Verb::Kernels(args) => kernels::execute(args),
                Verb::Job(args) => job::execute(args).map(|()| ExitCode::SUCCESS),
                Verb::Run(_)
                | Verb::Map(_)
                | Verb::Doctor(_)
                | Verb::Repack(_)
                | Verb::Evaluate(_)
                | Verb::Keep(_)
                | Verb::Bench(_) => unreachable!("handled above"),
            }
        }
    };
    outcome.unwrap_or_else(|error| {
        say(&error);
        ExitCode::from(error.exit_code())
    })
}

/// The one line of an error.
pub fn say(error: &Error) {
    eprintln!("error: {error}");
}
