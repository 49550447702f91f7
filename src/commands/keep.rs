//! `framewise keep`: the keeper of a program that computes for a worker. Not for people.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::adapters::program::keeper;

/// Starts a program, and ends and tidies up after it
#[derive(Debug, clap::Args)]
pub struct KeepArgs {
    /// Process id of the rank that started it
    parent: u32,

    /// Where the program works; removed at the end
    #[arg(long)]
    scratch: Option<PathBuf>,

    /// The program works here, not in its scratch folder
    #[arg(long)]
    stay: bool,

    /// The program and its arguments
    #[arg(last = true, required = true)]
    words: Vec<OsString>,
}

/// Runs the verb.
pub fn execute(args: &KeepArgs) -> ExitCode {
    keeper::keep(args.parent, args.scratch.as_deref(), args.stay, &args.words)
}
