//! `framewise verify`: is what the states promise really there? Serial, read-only, also while a run goes on.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use crate::adapters::hdf5::audit::{Findings, audit};
use crate::adapters::hdf5::result_reader::ResultReader;
use crate::domain::error::Result;
use crate::planning::frame_set::FrameSet;

use super::output::{print, print_json};
use super::table::thousands;

/// Check every completed frame against its checksum
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  framewise verify result.h5
  framewise verify result.h5 --json

Exit code 0: every completed frame is as it was computed; 1: some are not, and are listed.")]
pub struct VerifyArgs {
    /// Result file
    #[arg(value_name = "RESULT")]
    pub result: PathBuf,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Wrong frames listed for people.
const SHOWN: usize = 20;

/// Runs the verb.
pub fn execute(args: &VerifyArgs) -> Result<ExitCode> {
    let reader = ResultReader::open(&args.result)?;
    let findings = audit(&reader, &FrameSet::all(reader.n_frames()), &|| Ok(()))?;
    if args.json {
        print_json(&json(&findings, args))?;
    } else {
        print(&text(&findings, args, reader.item()))?;
    }
    Ok(if findings.wrong.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn text(found: &Findings, args: &VerifyArgs, item: &str) -> String {
    let path = args.result.display();
    let mut text = format!(
        "{path}: {} completed {item}s checked, {} wrong; {} {item}s are not completed",
        thousands(found.completed),
        thousands(found.wrong.len() as u64),
        thousands(found.not_completed)
    );
    if found.uncommitted > 0 {
        text += &format!(
            "\n{} of them have numbers that were never committed (a job was killed): the next run computes them again",
            thousands(found.uncommitted)
        );
    }
    for (frame, why) in found.wrong.iter().take(SHOWN) {
        text += &format!("\n{item} {frame}: {why}");
    }
    if found.wrong.len() > SHOWN {
        text += &format!(
            "\nand {} more (--json lists all)",
            found.wrong.len() - SHOWN
        );
    }
    if !found.wrong.is_empty() {
        let frames: Vec<_> = found
            .wrong
            .iter()
            .take(SHOWN)
            .map(|(f, _)| f.to_string())
            .collect();
        text += &format!(
            "\nto compute them again: framewise {} ... --overwrite --{item}s {}",
            if item == "row" { "map" } else { "run" },
            frames.join(",")
        );
    }
    text
}

fn json(found: &Findings, args: &VerifyArgs) -> serde_json::Value {
    let wrong = found
        .wrong
        .iter()
        .map(|(frame, why)| json!({"frame": frame, "reason": why.to_string()}));
    json!({
        "result": args.result.display().to_string(),
        "completed": found.completed,
        "not_completed": found.not_completed,
        "uncommitted": found.uncommitted,
        "wrong": wrong.collect::<Vec<_>>(),
    })
}
