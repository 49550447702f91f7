//! The part of the coordinator that never talks to other ranks.

mod feeding;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::domain::error::{Error, Result};
use crate::domain::kernel::Layout;
use crate::planning::cost::{Experience, SizeLaw, Sizes};
use crate::planning::deal::Account;
use crate::planning::frame_set::FrameSet;
use crate::planning::pace::Rate;
use crate::planning::plan::Plan;
use crate::planning::queue::Queue;
use crate::planning::status::Status;

use super::batch::Batch;
use super::commit::Ready;
use super::evaluator::Work;
use super::journal::Journal;
use super::pool::Pool;
use super::ports::{Source, Trouble};
use super::settings::Settings;
use super::summary::RankSummary;

/// Frames and results gathered before a commit is worth its while, however short the frames: without it memory would
/// fill up to its bound. Also how far workers are supplied beyond the next batch.
const ROUND_BYTES: u64 = 4 << 20;
/// A round has room for so many of the largest frames, however large they are.
const FRAMES_OF_A_ROUND: u64 = 4;
/// A file system that takes longer than this to sync a few bytes has a latency that is worth memory.
const LATENCY: Duration = Duration::from_millis(5);
/// Commits for the sake of memory alone are at least so many times as far apart as the last one took.
const COMMIT_SPACING: u32 = 2;

/// Keeps the workers fed and collects what they bring. It is what goes on while the rank waits for an agreement.
pub(super) struct Desk<'a> {
    pub settings: &'a Settings,
    pub source: &'a mut dyn Source,
    pub pool: Option<Pool>,
    /// What `queue` speaks of: the plan of all ranks, or this rank's suspects.
    pub plan: Plan,
    pub queue: Queue,
    /// Suspects, computed after `queue` and all that the other ranks have; see [`Settings::suspects`].
    pub later: VecDeque<FrameSet>,
    /// Suspects are being computed: one at a time, each committed before the next.
    pub careful: bool,
    pub ready: Ready,
    pub spare: Vec<Batch>,
    /// Frames of the size last read that make up the largest batch.
    pub most_frames: u64,
    /// Most frames of the next batch: it grows step by step.
    pub batch_frames: u64,
    /// For the size of the next batch.
    pub quick: Rate,
    /// For what is left.
    pub steady: Rate,
    /// What frames of each size have taken here, where they differ.
    pub experience: Experience,
    /// How much an atom of each element adds to the size of a frame.
    sizes: [u8; 256],
    /// How the results of rows are packed.
    layout: Option<Arc<Layout>>,
    /// What one of the things that are computed is called.
    pub item: &'static str,
    pub last_commit: Duration,
    /// What was computed has to be written before more is handed out.
    held: bool,
    /// When it was last looked whether workers wait for the disk.
    looked: Instant,
    /// All workers had to wait for the last commit: the next one comes as soon as a round is full.
    pub behind: bool,
    /// Bytes of frames and results that make up a round of small frames; see [`round`](Self::round).
    round: u64,
    /// Most bytes of a frame and its results, the mean of its batch.
    frame_bytes: u64,
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
    /// A desk with running workers and nothing to do; if they cannot be started, with an error for the others to hear of.
    pub(super) fn new(
        settings: &'a Settings,
        work: &Work,
        journal: &Arc<dyn Journal>,
        source: &'a mut dyn Source,
    ) -> Self {
        let (pool, error) = match Pool::start(
            work.clone(),
            settings.threads,
            Arc::clone(journal),
            settings.on_start.clone(),
        ) {
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
            plan: Plan::even(FrameSet::empty()),
            queue: Queue::default(),
            later: settings.suspects.iter().cloned().collect(),
            careful: false,
            ready: Ready::default(),
            spare: Vec::new(),
            most_frames: u64::MAX,
            batch_frames: 1,
            quick: Rate::quick(),
            steady: Rate::steady(),
            experience: settings.experience.clone(),
            sizes: std::array::from_fn(|z| work.size_of(z as u8)),
            layout: work.layout().cloned(),
            item: work.item(),
            last_commit: Duration::ZERO,
            held: false,
            looked: Instant::now(),
            behind: false,
            round: ROUND_BYTES,
            frame_bytes: 0,
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
        while let Some((weight, batch)) = received {
            self.collect(batch, weight);
            let Some(pool) = &self.pool else { break };
            if pool.broken.is_some() {
                break;
            }
            self.feed()?;
            // Workers that bring batches without pause must not keep the rank from the agreements.
            if Instant::now() >= end {
                break;
            }
            let Some(pool) = &mut self.pool else { break };
            received = pool.receive(Duration::ZERO)?;
        }
        // Not before what the worker had evaluated is collected, and before the other ranks hear of it.
        if let Some(error) = self.pool.as_mut().and_then(|pool| pool.broken.take()) {
            return Err(error);
        }
        self.give_up_overdue()
    }

    /// Takes what a worker brings; it was expected to cost `weight`.
    fn collect(&mut self, mut batch: Batch, weight: f64) {
        let evaluated = batch.evaluated() as u64;
        let seconds: f64 = batch.outcomes.iter().map(|o| f64::from(o.seconds)).sum();
        self.summary.compute += seconds;
        let longest = batch.outcomes.iter().map(|o| o.seconds);
        self.longest = longest.fold(self.longest, f32::max);
        self.evaluated += evaluated;
        if evaluated > 0 {
            let weight = weight * evaluated as f64 / batch.block.len().max(1) as f64;
            // A frame that was given up says nothing of the others.
            if weight > 0.0 {
                self.quick.add(seconds, weight);
                self.steady.add(seconds, weight);
            }
            // Growing step by step: a first frame of cheap ones says little about the next thousand.
            let grown = self.batch_frames.max(evaluated).saturating_mul(8);
            self.batch_frames = grown.clamp(1, self.most_frames);
        }
        if self.plan.is_sized() {
            for (i, outcome) in batch.outcomes.iter().enumerate() {
                let atoms = batch.block.frame(i).species.iter();
                let size = atoms.map(|z| u64::from(self.sizes[usize::from(*z)])).sum();
                self.experience.add(size, f64::from(outcome.seconds));
            }
        }
        batch.trim();
        self.ready.add(batch);
    }

    /// Weighs frames anew by what all ranks have seen.
    pub(super) fn learn(&mut self, seen: &Experience) {
        let factor = self.plan.learn(seen);
        self.quick.rescale(factor);
        self.steady.rescale(factor);
        if let Some(pool) = &mut self.pool {
            pool.rescale(factor);
        }
    }

    /// Memory of frames and results, counting the copy that a commit makes of one slab after the other.
    fn bytes(&self) -> u64 {
        let in_hand = self.pool.as_ref().map_or(0, Pool::bytes_in_hand);
        let waiting = self.ready.bytes() + self.committing;
        waiting + waiting.min(2 * self.settings.slab) + in_hand
    }

    /// Bytes of frames and results that make up a round.
    fn round(&self) -> u64 {
        let frames = FRAMES_OF_A_ROUND * self.frame_bytes;
        self.round.max(frames.min(self.most_of_a_round()))
    }

    /// A round may hold up as much of the memory: two of them wait, more is in hand and copied.
    fn most_of_a_round(&self) -> u64 {
        self.settings.max_memory / 16
    }

    /// Whether enough waits for a commit, `since` after the last one.
    pub(super) fn round_is_full(&self, since: Duration) -> bool {
        let spaced = since > COMMIT_SPACING * self.last_commit;
        self.ready.bytes() > self.round() && (spaced || self.behind || self.disk_is_behind())
    }

    /// Whether there are two rounds, one that waits and one that is being written: frames are computed faster than they
    /// are written, and gathering more would only take memory.
    fn disk_is_behind(&self) -> bool {
        self.ready.bytes() + self.committing > 2 * self.round()
    }

    /// Does something with the disk, during which nobody is served, and serves.
    pub(super) fn at_the_disk<T>(&mut self, act: impl FnOnce() -> T) -> T {
        self.note_waits(self.held);
        let done = act();
        self.note_waits(true);
        self.work(Duration::ZERO);
        done
    }

    /// Adds up what workers have waited since the last look, if it was for the disk.
    fn note_waits(&mut self, for_the_disk: bool) {
        let since = std::mem::replace(&mut self.looked, Instant::now());
        if for_the_disk
            && !self.queue.is_empty()
            && !self.careful
            && let Some(pool) = &self.pool
        {
            self.summary.held += pool.idle_since(since);
            self.behind |= self.committing > 0 && pool.is_idle();
        }
    }

    /// After a commit that took `whole`, its states `states` of it. States are a few bytes: where these take long, any
    /// number of bytes does, and larger rounds make it rarer.
    pub(super) fn adapt_round(&mut self, whole: Duration, states: Duration) {
        if self.behind && states > LATENCY && 3 * states > whole {
            let most = self.most_of_a_round();
            self.round = (2 * self.round).min(most).max(self.round);
        }
    }

    pub(super) fn memory_is_full(&self) -> bool {
        self.bytes() > self.settings.max_memory / 2
    }

    fn give_up_overdue(&mut self) -> Result<()> {
        let (Some(limit), Some(pool)) = (self.settings.frame_timeout, &mut self.pool) else {
            return Ok(());
        };
        for overdue in pool.give_up_overdue(limit)? {
            let places = FrameSet::union([&self.queue.places(), &overdue.others]);
            self.queue = Queue::new(places, self.plan.weights());
            let place = FrameSet::from_runs(vec![overdue.frame..overdue.frame + 1]);
            let mut batch = self.read(&self.plan.frames_at(&place))?;
            batch.clear_results();
            let message = format!(
                "took longer than --{}-timeout ({} s)",
                self.item,
                limit.as_secs_f64()
            );
            batch.push_failure(Status::Failed, limit.as_secs_f32(), message);
            // What it would have cost is not known.
            self.collect(batch, 0.0);
        }
        Ok(())
    }

    /// The sizes of `frames`, none of them where all have the same atoms.
    pub(super) fn sizes_of(&mut self, frames: &FrameSet, law: &SizeLaw) -> Result<Sizes> {
        let (source, sizes) = (&mut self.source, &self.sizes);
        Sizes::fill(frames.len(), law, |each| {
            source.sizes(frames, sizes, &mut |size| each(size, 1.0))
        })
    }

    /// From now on this rank computes the frames at `places` of `plan`, whose units of weight may be others.
    pub(super) fn begin(&mut self, plan: Plan, places: FrameSet) {
        self.plan = plan;
        (self.quick, self.steady) = (Rate::quick(), Rate::steady());
        self.take(places);
    }

    /// From now on this rank computes the frames at `places` of the plan that it has.
    pub(super) fn take(&mut self, places: FrameSet) {
        self.queue = Queue::new(places, self.plan.weights());
    }

    /// Takes back what no worker has begun, for the ranks to deal again. Short batches stay: the workers go on meanwhile.
    pub(super) fn account(&mut self) -> Account {
        let mut left = vec![self.queue.places()];
        let rate = self.rate();
        let threads = self.settings.threads.max(1) as f64;
        if let Some(pool) = &mut self.pool {
            let (waiting, _) = pool.seconds_in_hand(rate);
            let leave = if is_short(waiting / threads) {
                pool.waiting()
            } else {
                0
            };
            self.spare.extend(pool.recall(leave, &mut left));
        }
        let left = FrameSet::union(&left);
        self.queue = Queue::new(left.clone(), self.plan.weights());
        let in_hand = self
            .pool
            .as_ref()
            .map_or(0.0, |p| p.seconds_in_hand(rate).1);
        Account {
            left,
            in_hand: in_hand / threads,
            rate: rate / threads,
        }
    }

    /// Seconds per weight of one worker; before anything is known, what the first frame has taken so far.
    fn rate(&self) -> f64 {
        let in_hand = || {
            let longest = self.pool.as_ref().map(Pool::longest_in_hand);
            longest.unwrap_or_default().as_secs_f64() / self.plan.weights().mean().max(1e-9)
        };
        self.steady.seconds_per_weight().unwrap_or_else(in_hand)
    }

    /// Seconds until the workers have nothing to do, and how many of them are not begun.
    pub(super) fn left(&self) -> (f64, f64) {
        let rate = self.rate();
        let threads = self.settings.threads.max(1) as f64;
        let (waiting, in_hand) = self
            .pool
            .as_ref()
            .map_or((0.0, 0.0), |p| p.seconds_in_hand(rate));
        if self.stopping || self.careful {
            return (in_hand / threads, 0.0);
        }
        let queued = self.queue.weight() * rate;
        let recalled = if is_short(waiting / threads) {
            0.0
        } else {
            waiting
        };
        let movable = queued + recalled;
        ((queued + in_hand) / threads, movable / threads)
    }

    /// Goes on to the next suspects; false when there are no more, on all ranks at the same time.
    pub(super) fn next_suspects(&mut self) -> bool {
        let Some(suspects) = self.later.pop_front() else {
            return false;
        };
        let all = FrameSet::all(suspects.len());
        self.begin(Plan::even(suspects), all);
        self.careful = true;
        true
    }

    /// Drops everything at hand: the frames are another job's now.
    pub(super) fn forget(&mut self) {
        self.queue = Queue::default();
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
        in_hand > 0 || !(self.queue.is_empty() || self.stopping || self.error.is_some())
    }
}

/// Whether workers keep the `seconds` of work that wait for each of them when the ranks deal again: not worth recalling.
fn is_short(seconds: f64) -> bool {
    seconds < 0.1
}
