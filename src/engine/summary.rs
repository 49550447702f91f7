//! What a run can tell about itself.

use std::time::Duration;

use crate::planning::status::StatusCounts;

/// How far the whole job is, the same on every rank; made at every commit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Frames that this run has committed so far, by state.
    pub committed: StatusCounts,
    /// Frames that this run set out to compute.
    pub planned: u64,
    /// Commits so far.
    pub commits: u64,
    /// Time since the run began.
    pub elapsed: Duration,
    /// Whether the run has ended, and how.
    pub ended: Option<Ending>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every frame it set out to compute is committed.
    Done,
    /// Walltime or signal: run the same command again.
    Stopped,
    /// An error, after which what was ready has been committed.
    Failed,
}

impl Ending {
    /// The word stored in the run history.
    pub fn name(self) -> &'static str {
        match self {
            Ending::Done => "done",
            Ending::Stopped => "stopped",
            Ending::Failed => "failed",
        }
    }
}

/// One rank's part in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RankSummary {
    /// Frames it committed.
    pub frames: u64,
    /// Seconds its workers spent in the calculator, summed over workers.
    pub compute: f64,
    /// Seconds its coordinator spent reading.
    pub reading: f64,
    /// Seconds its coordinator spent in commits.
    pub committing: f64,
    /// Bytes of results, states and messages it wrote.
    pub bytes: u64,
    /// Worker threads.
    pub threads: usize,
    /// Frames that other ranks had been dealt before.
    pub received: u64,
    /// Seconds in which its workers had nothing to do because the disk was busy, summed over workers.
    pub held: f64,
    /// When the first frame was dealt, and when the last one came back from a worker, in seconds since the run began.
    pub begun: f64,
    /// See [`begun`](Self::begun).
    pub ended: f64,
}

impl RankSummary {
    /// As numbers, to travel between ranks.
    pub fn to_row(self) -> [f64; 10] {
        [
            self.frames as f64,
            self.compute,
            self.reading,
            self.committing,
            self.bytes as f64,
            self.threads as f64,
            self.received as f64,
            self.held,
            self.begun,
            self.ended,
        ]
    }

    /// From the numbers of [`to_row`](Self::to_row).
    pub fn from_row(row: &[f64]) -> Self {
        Self {
            frames: row[0] as u64,
            compute: row[1],
            reading: row[2],
            committing: row[3],
            bytes: row[4] as u64,
            threads: row[5] as usize,
            received: row[6] as u64,
            held: row[7],
            begun: row[8],
            ended: row[9],
        }
    }
}

/// The whole run, the same on every rank.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// How it ended.
    pub ending: Ending,
    /// Frames committed, commits, time.
    pub progress: Progress,
    /// Each rank's part.
    pub ranks: Vec<RankSummary>,
}

impl Summary {
    /// Share of the workers' time spent in the calculator.
    pub fn compute_share(&self) -> f64 {
        let computing = self.ranks.iter().map(|r| r.compute).sum();
        ratio(computing, self.available())
    }

    /// Share of the wall time spent in commits, mean over ranks.
    pub fn commit_share(&self) -> f64 {
        let total: f64 = self.ranks.iter().map(|r| r.committing).sum();
        let wall = self.progress.elapsed.as_secs_f64() * self.ranks.len() as f64;
        ratio(total, wall)
    }

    /// Mean over ranks of compute time, divided by the largest: 1 is perfect balance.
    pub fn balance(&self) -> f64 {
        let largest = self.ranks.iter().map(|r| r.compute).fold(0.0, f64::max);
        let mean = self.ranks.iter().map(|r| r.compute).sum::<f64>() / self.ranks.len() as f64;
        ratio(mean, largest)
    }

    /// Share of the workers' time in which they had nothing to do because the disk was busy.
    pub fn held_share(&self) -> f64 {
        ratio(self.ranks.iter().map(|r| r.held).sum(), self.available())
    }

    /// Seconds that all workers had.
    fn available(&self) -> f64 {
        self.ranks.iter().map(|r| r.threads as f64).sum::<f64>()
            * self.progress.elapsed.as_secs_f64()
    }

    /// Seconds from the first deal to the last frame of any rank.
    pub fn computing(&self) -> f64 {
        let begun = self
            .ranks
            .iter()
            .map(|r| r.begun)
            .fold(f64::INFINITY, f64::min);
        let ended = self.ranks.iter().map(|r| r.ended).fold(begun, f64::max);
        if begun.is_finite() {
            ended - begun
        } else {
            0.0
        }
    }

    /// Seconds in which the workers of a rank had nothing to do while frames were computed somewhere, summed over them.
    pub fn waited(&self, rank: &RankSummary) -> f64 {
        (rank.threads as f64 * self.computing() - rank.compute).max(0.0)
    }

    /// Bytes written by all ranks.
    pub fn bytes(&self) -> u64 {
        self.ranks.iter().map(|r| r.bytes).sum()
    }

    /// MB/s while committing: bytes of all ranks over the slowest rank's time in commits.
    pub fn commit_rate(&self) -> f64 {
        let slowest = self.ranks.iter().map(|r| r.committing).fold(0.0, f64::max);
        ratio(self.bytes() as f64 * 1e-6, slowest)
    }
}

fn ratio(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 0.0 }
}
