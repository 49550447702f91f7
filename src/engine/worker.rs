//! A compute thread. It builds its own calculator or kernel and keeps it for life.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use crate::domain::calculator::Failure;
use crate::planning::status::Status;

use super::batch::{Batch, Outcome};
use super::evaluator::{Evaluator, Mishap, Work};
use super::journal::Journal;
use super::settings::OnStart;

/// What a worker tells the coordinator.
#[allow(clippy::large_enum_variant)] // nearly every event is a batch
pub(super) enum Event {
    /// A batch is evaluated, or abandoned half-way after a call to stop.
    Evaluated(Batch),
    /// The calculator or kernel could not be built, or is there no more: why, and the batch in hand with what was
    /// evaluated of it before.
    Broken(String, Option<Batch>),
}

/// What the coordinator can see of a worker while it computes.
#[derive(Debug, Default)]
pub(super) struct View {
    /// Number of the batch in hand plus one; 0: idle.
    pub batch: AtomicU64,
    /// Position of the frame in hand within its batch.
    pub position: AtomicU64,
    /// When that frame was begun, in nanoseconds since `origin` plus one, or at most a few microseconds before; no two
    /// frames have the same number. 0: none in hand.
    pub begun: AtomicU64,
    /// Since when it has waited for another batch, in nanoseconds since `origin` plus one. 0: it does not.
    pub idle: AtomicU64,
    /// The coordinator has given this worker up: leave without a word.
    pub given_up: AtomicBool,
}

pub(super) struct Worker {
    pub work: Work,
    pub journal: Arc<dyn Journal>,
    /// Which of the rank's workers this is, from 0.
    pub number: usize,
    pub on_start: Option<OnStart>,
    pub jobs: Receiver<Batch>,
    pub events: Sender<Event>,
    pub view: Arc<View>,
    pub stop: Arc<AtomicBool>,
    pub origin: Instant,
}

impl Worker {
    /// The thread's life: until the channel closes, the evaluator breaks or the coordinator gives it up.
    pub(super) fn work(self) {
        if let Some(OnStart(begin)) = &self.on_start {
            begin(self.number);
        }
        let hand = self.journal.hand();
        let mut evaluator = match Evaluator::build(&self.work) {
            Ok(evaluator) => evaluator,
            Err(why) => return drop(self.events.send(Event::Broken(why, None))),
        };
        while let Ok(mut batch) = self.jobs.recv() {
            self.view.idle.store(0, Ordering::Relaxed);
            self.view.batch.store(batch.number + 1, Ordering::Relaxed);
            batch.begin_results();
            let mut watch = Watch::start();
            let appetite = evaluator.appetite();
            // The first frame that the evaluator has not been told of; none where it wants to hear of none.
            let mut announced = if appetite > 1 { 0 } else { usize::MAX };
            let mut gone = None;
            for i in 0..batch.block.len() {
                if self.stop.load(Ordering::Relaxed) {
                    break;
                }
                if self.view.given_up.load(Ordering::Acquire) {
                    return;
                }
                // While these change no frame is in hand: the coordinator takes them for one only if `begun` stays.
                self.view.begun.store(0, Ordering::Release);
                self.view.position.store(i as u64, Ordering::Release);
                if i == announced {
                    watch.tick(&mut batch.outcomes, true);
                }
                let begun = watch.begun(self.origin, i);
                self.view.begun.store(begun, Ordering::Release);
                hand.take(batch.block.indices[i]);
                let mut told = Ok(());
                if i == announced {
                    announced = batch.block.len().min(i + appetite);
                    watch.together_until(announced);
                    told = evaluator.announce(&batch.block, i..announced);
                }
                let mishap = match told {
                    Ok(()) => evaluator.evaluate(&mut batch, i).err(),
                    Err(panic) => Some(Mishap::Panic(panic)),
                };
                let broken = matches!(mishap, Some(Mishap::Panic(_)));
                match mishap {
                    None => {}
                    Some(Mishap::Frame(Failure::NotConverged(why))) => {
                        batch.push_failure(Status::NotConverged, 0.0, why);
                    }
                    Some(Mishap::Frame(Failure::Unavailable(why))) => {
                        gone = Some(why);
                        break;
                    }
                    Some(Mishap::Frame(Failure::Failed(why)) | Mishap::Panic(why)) => {
                        batch.push_failure(Status::Failed, 0.0, why);
                    }
                }
                watch.tick(&mut batch.outcomes, broken);
                if broken {
                    // One that panicked may be in any state.
                    evaluator = match Evaluator::build(&self.work) {
                        Ok(evaluator) => evaluator,
                        Err(why) => {
                            gone = Some(why);
                            break;
                        }
                    };
                    if appetite > 1 {
                        announced = i + 1;
                    }
                    watch.resume();
                }
            }
            watch.tick(&mut batch.outcomes, true);
            hand.rest();
            self.view.begun.store(0, Ordering::Release);
            if self.view.given_up.load(Ordering::Acquire) {
                return;
            }
            if let Some(why) = gone {
                return drop(self.events.send(Event::Broken(why, Some(batch))));
            }
            self.view.batch.store(0, Ordering::Relaxed);
            let idle = watch.begun(self.origin, batch.outcomes.len());
            self.view.idle.store(idle, Ordering::Relaxed);
            if self.events.send(Event::Evaluated(batch)).is_err() {
                return;
            }
        }
    }
}

/// Times frames: long ones each by itself, short ones a few together, since a look at the clock takes as long as a
/// frame of a few atoms.
struct Watch {
    before: Instant,
    /// Frames timed already.
    timed: usize,
    /// Frames that are timed together.
    together: usize,
    /// Frames before this one are computed together.
    until: usize,
}

impl Watch {
    /// Frames that together take less than this are timed together (a look at the clock is a hundredth of it)...
    const STRETCH: Duration = Duration::from_micros(4);
    /// ...but no more than these.
    const MOST: usize = 64;

    fn start() -> Self {
        Self {
            before: Instant::now(),
            timed: 0,
            together: 1,
            until: 0,
        }
    }

    /// When frame `i` was begun, in nanoseconds since `origin` plus one. Frames timed together seem to begin one
    /// nanosecond after the other: no two of them have the same time.
    fn begun(&self, origin: Instant, i: usize) -> u64 {
        let since = self.before.duration_since(origin).as_nanos() as u64;
        since + 1 + (i - self.timed) as u64
    }

    /// A frame has ended: shares the time of those not timed yet among them when there are enough, or `now`.
    fn tick(&mut self, outcomes: &mut [Outcome], now: bool) {
        let count = outcomes.len() - self.timed;
        let more = count < self.together || outcomes.len() < self.until;
        if count == 0 || (more && !now) {
            return;
        }
        let after = Instant::now();
        let each = (after - self.before) / count as u32;
        for outcome in &mut outcomes[self.timed..] {
            outcome.seconds = each.as_secs_f32();
        }
        self.before = after;
        self.timed = outcomes.len();
        let fitting = Self::STRETCH.as_nanos() / each.as_nanos().max(1);
        self.together = (fitting as usize).clamp(1, Self::MOST);
    }

    /// Frames before `until` are computed together: so is their time.
    fn together_until(&mut self, until: usize) {
        self.until = until;
    }

    /// What was done since the last tick is no frame's time.
    fn resume(&mut self) {
        self.before = Instant::now();
    }
}
