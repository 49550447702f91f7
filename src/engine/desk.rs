//! The part of the coordinator that never talks to other ranks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::domain::calculator::Factory;
use crate::domain::error::{Error, Result};
use crate::planning::frame_set::FrameSet;
use crate::planning::status::Status;

use super::batch::Batch;
use super::commit::Ready;
use super::journal::Journal;
use super::pool::Pool;
use super::ports::{Source, Trouble};
use super::settings::Settings;
use super::summary::RankSummary;

/// Time a batch should keep a worker busy, where frames are short enough.
const BATCH_SECONDS: f64 = 0.02;
/// Largest batch in bytes: a few of them make up the memory of a round.
const BATCH_BYTES: u64 = 4 << 20;
/// Frames and results gathered before a commit is worth its while, however short the frames: without it memory would
/// fill up to its bound. Also how far workers are supplied beyond the next batch.
const ROUND_BYTES: u64 = 16 << 20;
/// Commits for the sake of memory alone are at least so many times as far apart as the last one took.
const COMMIT_SPACING: u32 = 2;

/// Keeps the workers fed and collects what they bring. It is what goes on while the rank waits for an agreement.
pub(super) struct Desk<'a> {
    pub settings: &'a Settings,
    pub source: &'a mut dyn Source,
    pub pool: Option<Pool>,
    pub pending: FrameSet,
    /// Suspects, computed after `pending` and all that the other ranks have; see [`Settings::suspects`].
    pub later: VecDeque<FrameSet>,
    /// Suspects are being computed: one at a time, each committed before the next.
    pub careful: bool,
    pub ready: Ready,
    pub spare: Vec<Batch>,
    pub batch_frames: u64,
    /// Frames of the size last read that make up the largest batch.
    pub most_frames: u64,
    pub seconds_per_frame: Option<f64>,
    pub last_commit: Duration,
    /// Longest frame that was finished.
    pub longest: f32,
    /// Bytes of what is being committed.
    pub committing: u64,
    pub stopping: bool,
    pub evaluated: u64,
    pub summary: RankSummary,
    pub error: Option<(Trouble, Error)>,
}

impl<'a> Desk<'a> {
    /// A desk with running workers; if they cannot be started, with an error for the others to hear of.
    pub(super) fn new(
        settings: &'a Settings,
        factory: &Arc<dyn Factory>,
        journal: &Arc<dyn Journal>,
        share: FrameSet,
        source: &'a mut dyn Source,
    ) -> Self {
        let (pool, error) =
            match Pool::start(Arc::clone(factory), settings.threads, Arc::clone(journal)) {
                Ok(pool) => (Some(pool), None),
                Err(error) => (None, Some((Trouble::Ending, error))),
            };
        let summary = RankSummary {
            threads: settings.threads,
            ..RankSummary::default()
        };
        Self {
            settings,
            source,
            pool,
            pending: share,
            later: settings.suspects.iter().cloned().collect(),
            careful: false,
            ready: Ready::default(),
            spare: Vec::new(),
            batch_frames: 1,
            most_frames: u64::MAX,
            seconds_per_frame: None,
            last_commit: Duration::ZERO,
            longest: 0.0,
            committing: 0,
            stopping: false,
            evaluated: 0,
            summary,
            error,
        }
    }

    fn fail(&mut self, trouble: Trouble, error: Error) {
        if self.error.is_none() {
            self.error = Some((trouble, error));
        }
    }

    /// Collects and feeds for about `patience`.
    pub(super) fn work(&mut self, patience: Duration) {
        if let Err(error) = self.try_work(patience) {
            self.fail(Trouble::Ending, error);
        }
    }

    fn try_work(&mut self, patience: Duration) -> Result<()> {
        let end = Instant::now() + patience;
        self.feed()?;
        let Some(pool) = &mut self.pool else {
            return Ok(());
        };
        let mut received = pool.receive(patience)?;
        while let Some((_, batch)) = received {
            self.collect(batch);
            self.feed()?;
            // Workers that bring batches without pause must not keep the rank from the agreements.
            if Instant::now() >= end {
                break;
            }
            let Some(pool) = &mut self.pool else { break };
            received = pool.receive(Duration::ZERO)?;
        }
        self.give_up_overdue()
    }

    fn collect(&mut self, mut batch: Batch) {
        let evaluated = batch.evaluated() as u64;
        let seconds: f64 = batch.outcomes.iter().map(|o| f64::from(o.seconds)).sum();
        self.summary.compute += seconds;
        let longest = batch.outcomes.iter().map(|o| o.seconds);
        self.longest = longest.fold(self.longest, f32::max);
        self.evaluated += evaluated;
        if evaluated > 0 {
            let mean = seconds / evaluated as f64;
            // Follow a change of cost within a few batches.
            let smooth = self
                .seconds_per_frame
                .map_or(mean, |old| 0.5 * (old + mean));
            self.seconds_per_frame = Some(smooth);
            let wanted = (BATCH_SECONDS / smooth.max(1e-9)) as u64;
            let most = self.most_frames.min(self.batch_frames.saturating_mul(8));
            self.batch_frames = wanted.clamp(1, most);
        }
        batch.trim();
        self.ready.add(batch);
    }

    /// Memory of frames and results, counting the copy that a commit makes.
    fn bytes(&self) -> u64 {
        let in_hand = self.pool.as_ref().map_or(0, Pool::bytes_in_hand);
        2 * (self.ready.bytes() + self.committing) + in_hand
    }

    /// Whether enough waits for a commit, `since` after the last one.
    pub(super) fn round_is_full(&self, since: Duration) -> bool {
        let spaced = since > COMMIT_SPACING * self.last_commit;
        self.ready.bytes() > ROUND_BYTES && (spaced || self.disk_is_behind())
    }

    /// Whether two rounds wait: frames are computed faster than they are written, and gathering more would only
    /// take memory.
    fn disk_is_behind(&self) -> bool {
        self.ready.bytes() > 2 * ROUND_BYTES
    }

    pub(super) fn memory_is_full(&self) -> bool {
        self.bytes() > self.settings.max_memory / 2
    }

    /// Hands out batches until every worker has enough for the time a commit takes, or memory is full.
    fn feed(&mut self) -> Result<()> {
        while self.wants_feeding() {
            let most = if self.careful { 1 } else { self.batch_frames };
            let frames = self.pending.split_front(most);
            self.hand_out(frames)?;
        }
        Ok(())
    }

    fn wants_feeding(&self) -> bool {
        let Some(pool) = &self.pool else { return false };
        if self.stopping || self.error.is_some() || self.pending.is_empty() {
            return false;
        }
        if self.disk_is_behind() {
            return false;
        }
        let nothing_in_hand = pool.batches_in_hand() == 0 && self.ready.is_empty();
        if self.careful {
            return nothing_in_hand && self.committing == 0;
        }
        if self.bytes() > self.settings.max_memory && !nothing_in_hand {
            return false;
        }
        let batch_seconds = self.seconds_per_frame.unwrap_or(1.0) * self.batch_frames as f64;
        let during_commit = (self.last_commit.as_secs_f64() / batch_seconds.max(1e-3)).min(1e4);
        let least = 2 * pool.threads();
        let depth = least + pool.threads() * during_commit as usize;
        let most = if pool.bytes_in_hand() < ROUND_BYTES {
            depth
        } else {
            least
        };
        pool.batches_in_hand() < most
    }

    fn hand_out(&mut self, frames: FrameSet) -> Result<()> {
        let mut batch = self.read(&frames)?;
        // Frames may be larger than those that set the batch size: keep batches within bounds from now on.
        let limit = BATCH_BYTES.min(self.settings.max_memory / 16).max(1);
        self.most_frames = (frames.len() * limit / batch.bytes_needed().max(1)).max(1);
        self.batch_frames = self.batch_frames.min(self.most_frames);
        batch.reserve_results();
        if let Some(pool) = &mut self.pool {
            pool.submit(frames, batch);
        }
        Ok(())
    }

    fn read(&mut self, frames: &FrameSet) -> Result<Batch> {
        let mut batch = self.spare.pop().unwrap_or_default();
        let begun = Instant::now();
        let result = self.source.read(frames, &mut batch.block);
        self.summary.reading += begun.elapsed().as_secs_f64();
        result.map(|()| batch)
    }

    fn give_up_overdue(&mut self) -> Result<()> {
        let (Some(limit), Some(pool)) = (self.settings.frame_timeout, &mut self.pool) else {
            return Ok(());
        };
        for overdue in pool.give_up_overdue(limit)? {
            let runs = self.pending.runs().iter().chain(overdue.others.runs());
            self.pending = runs.cloned().collect();
            let frame = FrameSet::from_runs(vec![overdue.frame..overdue.frame + 1]);
            let mut batch = self.read(&frame)?;
            batch.clear_results();
            let message = format!(
                "took longer than --frame-timeout ({} s)",
                limit.as_secs_f64()
            );
            batch.push_failure(Status::Failed, limit.as_secs_f32(), message);
            self.collect(batch);
        }
        Ok(())
    }

    /// Goes on to the next suspects; false when there are no more, on all ranks at the same time.
    pub(super) fn next_suspects(&mut self) -> bool {
        let Some(suspects) = self.later.pop_front() else {
            return false;
        };
        self.pending = suspects;
        self.careful = true;
        true
    }

    /// Drops everything at hand: the frames are another job's now.
    pub(super) fn forget(&mut self) {
        self.pending = FrameSet::empty();
        if let Some(pool) = &mut self.pool {
            pool.forget();
        }
        self.spare.extend(self.ready.drain());
    }

    /// The longest frame so far, finished or in hand.
    pub(super) fn longest_frame(&self) -> Duration {
        let in_hand = self
            .pool
            .as_ref()
            .map_or(Duration::ZERO, Pool::longest_in_hand);
        in_hand.max(Duration::from_secs_f32(self.longest))
    }

    pub(super) fn busy(&self) -> bool {
        let in_hand = self.pool.as_ref().map_or(0, Pool::batches_in_hand);
        in_hand > 0 || !(self.pending.is_empty() || self.stopping || self.error.is_some())
    }
}
