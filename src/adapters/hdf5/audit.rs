//! Is what the states promise really there? Looks at frames of a result file and their checksums.

use crate::domain::checksum::{checksum, checksum_of_row};
use crate::domain::error::{GoOn, Result};
use crate::domain::kernel::Layout;
use crate::planning::frame_set::FrameSet;
use crate::planning::status::Status;

use super::READ_GAP;
use super::result_block::ResultBlock;
use super::result_reader::ResultReader;

/// Bytes of results read at a time.
const BLOCK_BYTES: u64 = 16 << 20;
/// Frames that are worth a thread of their own.
const FRAMES_PER_THREAD: usize = 1 << 10;
/// Threads that compare while nothing else goes on.
const MOST_THREADS: usize = 8;

/// What was found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Frames that are completed, right or wrong.
    pub completed: u64,
    /// Frames in any other state.
    pub not_completed: u64,
    /// Of those, the undefined ones that have numbers all the same.
    pub uncommitted: u64,
    /// Frames whose state promises what is not there, and why, ascending.
    pub wrong: Vec<(u64, Wrong)>,
}

/// What is wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Its stored code is none.
    Status(i64),
    /// It is completed and some of its results are NaN.
    NotANumber,
    /// Its results are not those that were computed.
    Checksum,
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(code) => write!(f, "status {code} means nothing"),
            Self::NotANumber => f.write_str("completed, but has NaN"),
            Self::Checksum => f.write_str("does not match its checksum"),
        }
    }
}

impl Findings {
    fn add(&mut self, more: Self) {
        self.completed += more.completed;
        self.not_completed += more.not_completed;
        self.uncommitted += more.uncommitted;
        self.wrong.extend(more.wrong);
    }
}

/// Bytes of results of one frame, on average.
pub fn mean_bytes(reader: &ResultReader) -> u64 {
    let row = reader.rows().map_or(0, |rows| 8 * rows.layout.words());
    24 * reader.total_atoms() / reader.n_frames().max(1) + 100 + row as u64
}

/// Reads results and checksums of `frames` and compares.
pub fn audit(reader: &ResultReader, frames: &FrameSet, go_on: GoOn<'_>) -> Result<Findings> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let block_frames = (BLOCK_BYTES / mean_bytes(reader)).max(1);
    let mut rest = frames.bridged(READ_GAP);
    let mut block = ResultBlock::default();
    let mut findings = Findings::default();
    let mut wanted = Vec::new();
    while !rest.is_empty() {
        go_on()?;
        let part = rest.split_front(block_frames);
        reader.read_results(&part, &mut block)?;
        wanted.clear();
        let asked = part.intersection(frames);
        let mut asked = asked.iter().peekable();
        for (i, frame) in part.iter().enumerate() {
            if asked.next_if_eq(&frame).is_some() {
                wanted.push((i, frame));
            }
        }
        let most = wanted.len().div_ceil(FRAMES_PER_THREAD);
        let each = wanted
            .len()
            .div_ceil(most.min(threads).clamp(1, MOST_THREADS));
        let block = &block;
        let layout = reader.rows().map(|rows| &*rows.layout);
        std::thread::scope(|scope| {
            let mut shares = wanted.chunks(each.max(1));
            let mine = shares.next().unwrap_or_default();
            let others: Vec<_> = shares
                .map(|share| scope.spawn(move || examine(block, layout, share)))
                .collect();
            findings.add(examine(block, layout, mine));
            for other in others {
                let theirs = other.join();
                findings.add(theirs.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
        });
    }
    Ok(findings)
}

/// Looks at some frames of a block: their places in it, and their numbers.
fn examine(block: &ResultBlock, layout: Option<&Layout>, frames: &[(usize, u64)]) -> Findings {
    let mut findings = Findings::default();
    for (i, frame) in frames {
        let numbers = match layout {
            None => Numbers::Frame {
                energy: block.energy[*i],
                forces: &block.forces[block.offsets[*i]..block.offsets[*i + 1]],
                stress: &block.stress[*i],
            },
            Some(layout) => Numbers::Row {
                layout,
                packed: &block.packed[layout.words() * i..layout.words() * (i + 1)],
            },
        };
        let row = Row {
            code: block.status[*i],
            numbers,
            checksum: block.checksum[*i],
        };
        row.examine(*frame, &mut findings);
    }
    findings
}

struct Row<'a> {
    code: i64,
    numbers: Numbers<'a>,
    checksum: u64,
}

/// What was computed.
enum Numbers<'a> {
    Frame {
        energy: f64,
        forces: &'a [[f64; 3]],
        stress: &'a [[f64; 3]; 3],
    },
    Row {
        layout: &'a Layout,
        packed: &'a [u64],
    },
}

impl Numbers<'_> {
    fn any_finite(&self) -> bool {
        match self {
            Self::Frame { energy, forces, .. } => {
                energy.is_finite() || forces.as_flattened().iter().any(|x| x.is_finite())
            }
            Self::Row { layout, packed } => {
                let mut nothing = vec![0; packed.len()];
                layout.blank(&mut nothing);
                *packed != nothing
            }
        }
    }

    fn has_nan(&self) -> bool {
        match self {
            Self::Frame { energy, forces, .. } => {
                energy.is_nan() || forces.as_flattened().iter().any(|x| x.is_nan())
            }
            Self::Row { layout, packed } => layout.hole(packed).is_some(),
        }
    }

    fn checksum(&self) -> u64 {
        match self {
            Self::Frame {
                energy,
                forces,
                stress,
            } => checksum(*energy, forces, stress),
            Self::Row { layout, packed } => checksum_of_row(layout, packed),
        }
    }
}

impl Row<'_> {
    fn examine(&self, frame: u64, findings: &mut Findings) {
        let Some(status) = Status::from_code(self.code) else {
            return findings.wrong.push((frame, Wrong::Status(self.code)));
        };
        if status != Status::Completed {
            findings.not_completed += 1;
            // A kill between results and states leaves numbers that no state vouches for: harmless, computed again.
            let numbers = status == Status::Undefined && self.numbers.any_finite();
            findings.uncommitted += u64::from(numbers);
            return;
        }
        findings.completed += 1;
        if self.numbers.has_nan() {
            findings.wrong.push((frame, Wrong::NotANumber));
        } else if self.numbers.checksum() != self.checksum {
            findings.wrong.push((frame, Wrong::Checksum));
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
            numbers: Numbers::Frame {
                energy,
                forces: &[[1.0, 2.0, 3.0]],
                stress: &[[0.0; 3]; 3],
            },
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
