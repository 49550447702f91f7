//! `framewise evaluate`: the process of an engine under `run --isolate`. Not for people.

use std::process::ExitCode;

use crate::adapters::isolate::child;

/// Frames on standard input, results on standard output
#[derive(Debug, clap::Args)]
pub struct EvaluateArgs {
    /// Process id of the rank that started it
    parent: u32,
}

/// Runs the verb.
pub fn execute(args: &EvaluateArgs) -> ExitCode {
    child::serve(args.parent)
}
