//! Is what the states promise really there? Looks at frames of a result file and their checksums.

use crate::domain::checksum::checksum;
use crate::domain::error::{GoOn, Result};
use crate::planning::frame_set::FrameSet;
use crate::planning::status::Status;

use super::result_reader::{ResultBlock, ResultReader};

/// Bytes of forces read at a time.
const BLOCK_BYTES: u64 = 64 << 20;

/// What was found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Frames that are completed, right or wrong.
    pub completed: u64,
    /// Frames in any other state.
    pub not_completed: u64,
    /// Of those, the undefined ones that have numbers all the same.
    pub uncommitted: u64,
    /// Frames whose state promises what is not there, and why.
    pub wrong: Vec<(u64, String)>,
}

/// Bytes of results of one frame, on average.
pub fn mean_bytes(reader: &ResultReader) -> u64 {
    24 * reader.total_atoms() / reader.n_frames().max(1) + 100
}

/// Reads results and checksums of `frames` and compares.
pub fn audit(reader: &ResultReader, frames: &FrameSet, go_on: GoOn<'_>) -> Result<Findings> {
    let mean_bytes = mean_bytes(reader);
    let mut rest = frames.clone();
    let mut block = ResultBlock::default();
    let mut findings = Findings::default();
    while !rest.is_empty() {
        go_on()?;
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
            findings.uncommitted += u64::from(numbers && status == Status::Undefined);
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
