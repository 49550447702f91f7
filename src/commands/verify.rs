//! `framewise verify`: is what the states promise really there? Serial, read-only, also while a run goes on.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use crate::adapters::hdf5::result_reader::{ResultBlock, ResultReader};
use crate::domain::checksum::checksum;
use crate::domain::error::Result;
use crate::planning::frame_set::FrameSet;
use crate::planning::status::Status;

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

/// Bytes of forces read at a time.
const BLOCK_BYTES: u64 = 64 << 20;
/// Wrong frames listed for people.
const SHOWN: usize = 20;

/// Runs the verb.
pub fn execute(args: &VerifyArgs) -> Result<ExitCode> {
    let reader = ResultReader::open(&args.result)?;
    let findings = examine(&reader)?;
    if args.json {
        print_json(&findings.json(args))?;
    } else {
        print(&findings.text(args))?;
    }
    Ok(if findings.wrong.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

#[derive(Default)]
struct Findings {
    completed: u64,
    not_completed: u64,
    uncommitted: u64,
    wrong: Vec<(u64, String)>,
}

fn examine(reader: &ResultReader) -> Result<Findings> {
    let frames = reader.n_frames();
    let mean_bytes = 24 * reader.total_atoms() / frames.max(1) + 100;
    let mut rest = FrameSet::all(frames);
    let mut block = ResultBlock::default();
    let mut findings = Findings::default();
    while !rest.is_empty() {
        let part = rest.split_front((BLOCK_BYTES / mean_bytes).max(1));
        reader.read_results(&part, &mut block)?;
        for (i, frame) in part.iter().enumerate() {
            let forces = &block.forces[block.offsets[i]..block.offsets[i + 1]];
            let row = Row {
                code: block.status[i],
                energy: block.energy[i],
                forces,
                stress: &block.stress[i],
                checksum: block.checksum[i],
            };
            row.examine(frame, &mut findings);
        }
    }
    Ok(findings)
}

struct Row<'a> {
    code: i64,
    energy: f64,
    forces: &'a [[f64; 3]],
    stress: &'a [[f64; 3]; 3],
    checksum: u64,
}

impl Row<'_> {
    fn examine(&self, frame: u64, findings: &mut Findings) {
        let Some(status) = Status::from_code(self.code) else {
            let why = format!("status {} means nothing", self.code);
            return findings.wrong.push((frame, why));
        };
        if status != Status::Completed {
            findings.not_completed += 1;
            // A kill between results and states leaves numbers that no state vouches for: harmless, computed again.
            let numbers =
                self.energy.is_finite() || self.forces.as_flattened().iter().any(|x| x.is_finite());
            findings.uncommitted += u64::from(numbers);
            return;
        }
        findings.completed += 1;
        let nan = self.energy.is_nan() || self.forces.as_flattened().iter().any(|x| x.is_nan());
        if nan {
            findings
                .wrong
                .push((frame, "completed, but has NaN".into()));
        } else if checksum(self.energy, self.forces, self.stress) != self.checksum {
            findings
                .wrong
                .push((frame, "does not match its checksum".into()));
        }
    }
}

impl Findings {
    fn text(&self, args: &VerifyArgs) -> String {
        let path = args.result.display();
        let mut text = format!(
            "{path}: {} completed frames checked, {} wrong; {} frames are not completed",
            thousands(self.completed),
            thousands(self.wrong.len() as u64),
            thousands(self.not_completed)
        );
        if self.uncommitted > 0 {
            text += &format!(
                "\n{} of them have numbers that were never committed (a job was killed): the next run computes them again",
                thousands(self.uncommitted)
            );
        }
        for (frame, why) in self.wrong.iter().take(SHOWN) {
            text += &format!("\nframe {frame}: {why}");
        }
        if self.wrong.len() > SHOWN {
            text += &format!("\nand {} more (--json lists all)", self.wrong.len() - SHOWN);
        }
        if !self.wrong.is_empty() {
            let frames: Vec<_> = self
                .wrong
                .iter()
                .take(SHOWN)
                .map(|(f, _)| f.to_string())
                .collect();
            text += &format!(
                "\nto compute them again: framewise run ... --overwrite --frames {}",
                frames.join(",")
            );
        }
        text
    }

    fn json(&self, args: &VerifyArgs) -> serde_json::Value {
        let wrong = self
            .wrong
            .iter()
            .map(|(frame, why)| json!({"frame": frame, "reason": why}));
        json!({
            "result": args.result.display().to_string(),
            "completed": self.completed,
            "not_completed": self.not_completed,
            "uncommitted": self.uncommitted,
            "wrong": wrong.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examine(code: i64, energy: f64, checksum: u64) -> Findings {
        let mut findings = Findings::default();
        let row = Row {
            code,
            energy,
            forces: &[[1.0, 2.0, 3.0]],
            stress: &[[0.0; 3]; 3],
            checksum,
        };
        row.examine(4, &mut findings);
        findings
    }

    #[test]
    fn a_changed_bit_a_nan_and_a_strange_status_are_found() {
        let right = checksum(1.5, &[[1.0, 2.0, 3.0]], &[[0.0; 3]; 3]);
        assert!(examine(0, 1.5, right).wrong.is_empty());
        assert_eq!(examine(0, 1.5f64.next_up(), right).wrong.len(), 1);
        assert_eq!(examine(0, f64::NAN, right).wrong.len(), 1);
        assert_eq!(examine(9, 1.5, right).wrong.len(), 1);
        let killed = examine(1, 1.5, right);
        assert!(killed.wrong.is_empty());
        assert_eq!(killed.uncommitted, 1);
    }
}
