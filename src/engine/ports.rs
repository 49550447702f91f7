//! What the engine needs from the outside.

use std::time::Duration;

use crate::domain::error::Result;
use crate::domain::frame::FrameBlock;
use crate::planning::frame_set::FrameSet;
use crate::planning::pace::Horizon;
use crate::planning::reserve::Reserve;

use super::commit::Rows;
use super::summary::Progress;

/// Where frames come from.
pub trait Source {
    /// Reads `frames` into `block`, replacing what was there.
    fn read(&mut self, frames: &FrameSet, block: &mut FrameBlock) -> Result<()>;
    /// Tells `each` the size of every one of `frames`, in ascending order: its atoms, one of element Z counted `size_of[Z]`
    /// times. Where all frames have the same atoms, nothing.
    fn sizes(
        &mut self,
        _frames: &FrameSet,
        _size_of: &[u8; 256],
        _each: &mut dyn FnMut(u64),
    ) -> Result<()> {
        Ok(())
    }
}

/// Where results go. Every method is collective: all ranks call it, in the same order, a rank with nothing to
/// write with empty rows. No method may wait for a rank that has failed; the engine agrees between the calls.
pub trait Sink {
    /// Before the first write of a commit: may this job still write (is the lock still ours)?
    fn begin(&mut self) -> Result<()>;
    /// Writes energies, forces, stresses, checksums and seconds.
    fn write_results(&mut self, rows: &Rows) -> Result<()>;
    /// Writes states, and messages if any rank has one.
    fn write_status(&mut self, rows: &Rows, messages: bool) -> Result<()>;
    /// Returns when all that was written is on the disk.
    fn sync(&mut self) -> Result<()>;
    /// Is in the file what [`write_results`](Self::write_results) was given, on all ranks together? Not collective.
    fn check_results(&mut self, rows: &Rows, look: Look) -> Result<()>;
    /// The same for [`write_status`](Self::write_status).
    fn check_status(&mut self, rows: &Rows, messages: bool) -> Result<()>;
    /// Stores how far this run has come.
    fn record(&mut self, progress: &Progress) -> Result<()>;

    /// Where several jobs fill one result: before a commit, waits for this job's turn. False, on rank 0, when the frames
    /// at hand are not its business any more, and what it has of them must not be written.
    fn turn(&mut self, _meanwhile: &mut dyn FnMut()) -> Result<bool> {
        Ok(true)
    }
    /// Before the last record and the close: waits for this job's turn, whatever became of its frames.
    fn settle(&mut self, _meanwhile: &mut dyn FnMut()) -> Result<()> {
        self.begin()
    }
    /// After a commit: others may write.
    fn end(&mut self) -> Result<()> {
        Ok(())
    }
    /// More frames for this job. Rank 0 alone asks.
    fn more(&mut self) -> Result<More> {
        Ok(More::Nothing)
    }
}

/// When a rank looks whether results are in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// When all ranks, which are on one node, have written, before anything else is written: at what it wrote itself,
    /// whose ever rows they are, and at what it gave to others to write.
    AtOnce,
    /// After the sync, when it can be seen from other nodes, too: at its own rows.
    Later,
}

/// What a job that shares a result is told when it has nothing left to compute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum More {
    /// Compute these.
    Frames(FrameSet),
    /// Others have the rest in hand: ask again.
    Wait,
    /// Every frame is done.
    Nothing,
}

impl More {
    /// As text, for the other ranks.
    pub fn encode(&self) -> String {
        match self {
            Self::Frames(frames) => frames.encode(),
            Self::Wait => "wait".into(),
            Self::Nothing => String::new(),
        }
    }

    /// From the text of [`encode`](Self::encode).
    pub fn decode(text: &str) -> Self {
        match FrameSet::decode(text) {
            Some(frames) if frames.is_empty() => Self::Nothing,
            Some(frames) => Self::Frames(frames),
            None => Self::Wait,
        }
    }
}

/// How urgently to stop; the most urgent wish of any rank counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Go on.
    #[default]
    No,
    /// The walltime is near: finish the frames in hand as far as it allows, commit, leave.
    AtWalltime,
    /// A signal: finish the frames in hand if they are short, commit, leave.
    InGoodOrder,
    /// Commit what is ready and leave.
    Now,
}

/// How bad an error is; the worst of any rank counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// None.
    #[default]
    No,
    /// The job must end, but what is ready can still be committed.
    Ending,
    /// Writing went wrong: write nothing more.
    Writing,
}

/// What one rank brings to an agreement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vote {
    /// Its error, if it has one.
    pub trouble: Trouble,
    /// Its wish to stop.
    pub stop: Stop,
    /// It wants a commit now: the interval has passed or its memory is full.
    pub commit: bool,
    /// It has frames left to compute.
    pub busy: bool,
    /// It has messages to write in this commit.
    pub messages: bool,
    /// Collective writes it needs for what is ready.
    pub slabs: u64,
    /// Its longest frame so far, finished or in hand, in microseconds.
    pub longest: u64,
    /// Microseconds until its workers have nothing to do, and as many of that as it has not begun.
    pub left: u64,
    /// See [`left`](Self::left).
    pub movable: u64,
}

impl Vote {
    /// Nothing but an error, or that there is none.
    pub fn about(trouble: Trouble) -> Self {
        Self {
            trouble,
            ..Self::default()
        }
    }
}

/// What all ranks agreed on: the same on every rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The worst trouble, and the lowest rank that has it.
    pub trouble: Option<(Trouble, usize)>,
    /// Every rank has trouble of some kind.
    pub all_troubled: bool,
    /// The most urgent wish.
    pub stop: Stop,
    /// Some rank wants a commit.
    pub commit: bool,
    /// Some rank has frames left to compute.
    pub busy: bool,
    /// Some rank has messages to write.
    pub messages: bool,
    /// The largest number of collective writes any rank needs.
    pub slabs: u64,
    /// The longest frame so far of any rank, in microseconds.
    pub longest: u64,
    /// The least and the most that is left to any rank, and the most that any has not begun, in microseconds.
    pub left: (u64, u64),
    /// See [`left`](Self::left).
    pub movable: u64,
}

impl Verdict {
    /// How the ranks stand.
    pub fn horizon(&self) -> Horizon {
        let seconds = |micros: u64| micros as f64 * 1e-6;
        Horizon {
            first: seconds(self.left.0),
            last: seconds(self.left.1),
            movable: seconds(self.movable),
        }
    }
}

/// Why a run begins to stop, for those who watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopping {
    /// The walltime ends in `left`; begun this early because of the reserve, or because it was asked for.
    Walltime {
        /// Time to the end.
        left: Duration,
        /// What is kept; `None` where the user said how early.
        reserve: Option<Reserve>,
    },
    /// A signal: frames in hand have so long.
    Asked(Duration),
    /// A second signal: frames in hand are abandoned.
    AtOnce,
}

/// How long a rank with an error waits for the others to hear of it. They may be waiting themselves, in a collective
/// call that the error has kept this rank from.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// The ranks of the job. Every method but the first three is collective.
pub trait Ranks {
    /// This rank, from 0.
    fn rank(&self) -> usize;
    /// Number of ranks.
    fn size(&self) -> usize;
    /// This rank as errors name it: its number and its host.
    fn name(&self) -> String;
    /// Exchanges votes; calls `meanwhile` over and over until everybody's vote is there.
    ///
    /// A rank that brings trouble waits for [`PATIENCE`] at most. `None`: the others have not come. Then it has to say
    /// its error itself and to end the job on all ranks; it must make no collective call any more.
    fn agree(&mut self, vote: Vote, meanwhile: &mut dyn FnMut()) -> Option<Verdict>;
    /// Sums each number over all ranks.
    fn sum(&mut self, values: &mut [f64]);
    /// The numbers of every rank, one row per rank.
    fn gather(&mut self, values: &[f64]) -> Vec<Vec<f64>>;
    /// The numbers of every rank, of which each may bring another count.
    fn exchange(&mut self, values: &[u64]) -> Vec<Vec<u64>>;
    /// The node on which each rank is: ranks that share memory have the same number.
    fn nodes(&mut self) -> Vec<u32>;
    /// Everybody gets the text of rank `from`.
    fn tell(&mut self, from: usize, text: &str) -> String;
}

/// Combines the votes of all ranks, in rank order.
pub fn combine<'a>(votes: impl IntoIterator<Item = &'a Vote>) -> Verdict {
    let mut verdict = Verdict {
        all_troubled: true,
        left: (u64::MAX, 0),
        ..Verdict::default()
    };
    for (rank, vote) in votes.into_iter().enumerate() {
        if vote.trouble > verdict.trouble.map_or(Trouble::No, |(t, _)| t) {
            verdict.trouble = Some((vote.trouble, rank));
        }
        verdict.all_troubled &= vote.trouble > Trouble::No;
        verdict.stop = verdict.stop.max(vote.stop);
        verdict.commit |= vote.commit;
        verdict.busy |= vote.busy;
        verdict.messages |= vote.messages;
        verdict.slabs = verdict.slabs.max(vote.slabs);
        verdict.longest = verdict.longest.max(vote.longest);
        verdict.left.0 = verdict.left.0.min(vote.left);
        verdict.left.1 = verdict.left.1.max(vote.left);
        verdict.movable = verdict.movable.max(vote.movable);
    }
    verdict
}

/// Time since the run began.
pub trait Clock {
    /// Monotonic.
    fn now(&self) -> Duration;
}

/// Who wants to know how far the run is.
pub trait Observer {
    /// After every commit, on every rank.
    fn committed(&mut self, progress: &Progress);
    /// Between commits, at every pulse, with the frames this rank has evaluated so far.
    fn pulse(&mut self, evaluated_here: u64);
    /// When the run begins to stop, and when it becomes more urgent, on every rank.
    fn stopping(&mut self, _why: Stopping) {}
}
