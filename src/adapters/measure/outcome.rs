//! What is measured of commits, and what came out.

use crate::adapters::hdf5::ffi::Transfer;
use crate::adapters::mpi::node::Aggregate;

use super::pattern::Pattern;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Atoms per frame.
    pub atoms: usize,
    /// Bytes of results in one commit of all ranks.
    pub bytes: u64,
    /// How often each way has its turn.
    pub repeats: u64,
    /// Which frames.
    pub patterns: Vec<Pattern>,
    /// How to write them.
    pub ways: Vec<Way>,
}

/// One way of writing a commit. What else the sink can be told is one field more here, and `plan` of
/// `commands/bench/io.rs` lists its values: everything else follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// `--io`.
    pub transfer: Transfer,
    /// `--aggregate`.
    pub aggregate: Aggregate,
    /// `--hint`.
    pub hints: Vec<(String, String)>,
}

impl Way {
    /// The flags of `framewise run` that choose it.
    pub fn flags(&self) -> String {
        let io = match self.transfer {
            Transfer::Collective => "--io collective",
            Transfer::Independent => "--io independent",
        };
        let leaders = match self.aggregate {
            Aggregate::Auto => String::new(),
            Aggregate::Off => " --aggregate off".into(),
            Aggregate::Leaders(n) => format!(" --aggregate {n}"),
        };
        let hints = self.hints.iter().map(|(k, v)| format!(" --hint {k}={v}"));
        format!("{io}{leaders}{}", hints.collect::<String>())
    }
}

/// Seconds of the slowest rank in each phase of one commit, and what the kernel counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Phases {
    /// Opening the file over MPI, once for all turns: metadata.
    pub open: f64,
    /// `H5Dwrite` of energies, forces, stresses, checksums and seconds.
    pub write: f64,
    /// `H5Fflush` and the sync of the results.
    pub flush: f64,
    /// Reading back what was written.
    pub check: f64,
    /// States: written, synced, read back.
    pub states: f64,
    /// Closing the file, once for all turns.
    pub close: f64,
    /// Bytes that all ranks handed to write calls for the results (`wchar` of /proc/self/io).
    pub written: f64,
    /// Bytes that the kernel counts as dirtied by them (`write_bytes`).
    pub dirtied: f64,
    /// Processor time of all ranks for the results, in seconds.
    pub processor: f64,
}

impl Phases {
    /// Until the results are safe.
    pub fn results(&self) -> f64 {
        self.write + self.flush + self.check
    }

    /// The whole commit, as a run sees it.
    pub fn commit(&self) -> f64 {
        self.results() + self.states
    }
}

/// One pattern, written in one way.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Which frames.
    pub pattern: Pattern,
    /// How; an index into [`Plan::ways`].
    pub way: usize,
    /// Every repetition.
    pub phases: Vec<Phases>,
}

/// The plain writes of one pattern.
#[derive(Clone, Debug)]
pub struct Plain {
    /// Which frames.
    pub pattern: Pattern,
    /// Seconds of each repetition: each rank's bytes in one piece, in one call.
    pub one_piece: Vec<f64>,
    /// Seconds of each repetition: one call for each run of frames, at its place in the file.
    pub run_by_run: Vec<f64>,
}

/// What was measured, the same on every rank.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Frames of a commit.
    pub frames: u64,
    /// Bytes of results in it.
    pub bytes: u64,
    /// Bytes of the result file.
    pub file_bytes: u64,
    /// Seconds that its creation took: layout, fill, sync.
    pub create: f64,
    /// Plain writes, one entry per pattern.
    pub plain: Vec<Plain>,
    /// Commits, ways within patterns.
    pub commits: Vec<Measured>,
}
