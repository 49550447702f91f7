//! The worker threads of a rank and the batches in their hands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use crate::domain::error::{Error, Result};
use crate::planning::frame_set::FrameSet;
use crate::planning::pace;

use super::batch::Batch;
use super::evaluator::Work;
use super::journal::Journal;
use super::settings::OnStart;
use super::worker::{Event, View, Worker};

/// Fortran engines put large arrays on the stack; only what is touched costs memory.
pub const STACK_BYTES: usize = 64 << 20;

/// A frame that took too long, and the other frames of its batch, which have to be evaluated again, by place in the plan.
pub struct Overdue {
    /// The frame.
    pub frame: u64,
    /// The rest of its batch.
    pub others: FrameSet,
}

/// A batch that a worker has or will have.
struct InHand {
    /// Its frames, by place in the plan.
    places: FrameSet,
    weight: f64,
    bytes: u64,
}

/// Worker threads. Dropping the pool asks them to leave and does not wait.
pub struct Pool {
    work: Work,
    journal: Arc<dyn Journal>,
    on_start: Option<OnStart>,
    jobs: Option<Sender<Batch>>,
    jobs_end: Receiver<Batch>,
    events: Receiver<Event>,
    events_end: Sender<Event>,
    views: Vec<Arc<View>>,
    threads: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    origin: Instant,
    in_hand: BTreeMap<u64, InHand>,
    /// Sums over `in_hand`.
    bytes: u64,
    weight: f64,
    next_number: u64,
    /// Why a worker has left: its calculator or kernel is there no more.
    pub broken: Option<Error>,
}

impl Pool {
    /// Starts `threads` workers, each of which builds its own calculator or kernel.
    pub fn start(
        work: Work,
        threads: usize,
        journal: Arc<dyn Journal>,
        on_start: Option<OnStart>,
    ) -> Result<Self> {
        let (jobs, jobs_end) = unbounded();
        let (events_end, events) = unbounded();
        let mut pool = Self {
            work,
            journal,
            on_start,
            jobs: Some(jobs),
            jobs_end,
            events,
            events_end,
            views: Vec::new(),
            threads: Vec::new(),
            stop: Arc::default(),
            origin: Instant::now(),
            in_hand: BTreeMap::new(),
            bytes: 0,
            weight: 0.0,
            next_number: 0,
            broken: None,
        };
        for number in 0..threads {
            let (view, thread) = pool.spawn(number)?;
            pool.views.push(view);
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Starts worker `number`.
    fn spawn(&self, number: usize) -> Result<(Arc<View>, JoinHandle<()>)> {
        let view = Arc::<View>::default();
        let worker = Worker {
            work: self.work.clone(),
            journal: Arc::clone(&self.journal),
            number,
            on_start: self.on_start.clone(),
            jobs: self.jobs_end.clone(),
            events: self.events_end.clone(),
            view: Arc::clone(&view),
            stop: Arc::clone(&self.stop),
            origin: self.origin,
        };
        let thread = thread::Builder::new()
            .name(format!("worker-{number}"))
            .stack_size(STACK_BYTES)
            .spawn(move || worker.work())
            .map_err(|e| Error::failure(format!("cannot start a worker thread: {e}")))?;
        Ok((view, thread))
    }

    /// Number of workers.
    pub fn threads(&self) -> usize {
        self.threads.len()
    }

    /// Batches handed out and not yet back.
    pub fn batches_in_hand(&self) -> usize {
        self.in_hand.len()
    }

    /// Whether every batch has been evaluated, although not all of them may have been received.
    pub fn is_idle(&self) -> bool {
        self.events.len() >= self.in_hand.len()
    }

    /// Seconds, all workers together, in which those that have nothing to do now had nothing to do since `look`.
    pub fn idle_since(&self, look: Instant) -> f64 {
        let now = self.origin.elapsed().as_nanos() as u64;
        let look = look.saturating_duration_since(self.origin).as_nanos() as u64;
        let idle = self.views.iter().map(|v| v.idle.load(Ordering::Relaxed));
        let waits = idle.filter(|since| *since > 0);
        waits
            .map(|since| now.saturating_sub(since.max(look)) as f64 * 1e-9)
            .sum()
    }

    /// Memory of the batches handed out, in bytes.
    pub fn bytes_in_hand(&self) -> u64 {
        self.bytes
    }

    /// Hands out a batch of the frames at `places`, which are expected to cost `weight`.
    pub fn submit(&mut self, places: FrameSet, weight: f64, mut batch: Batch) {
        batch.number = self.next_number;
        self.next_number += 1;
        let bytes = batch.bytes();
        let hand = InHand {
            places,
            weight,
            bytes,
        };
        self.bytes += bytes;
        self.weight += weight;
        self.in_hand.insert(batch.number, hand);
        self.send(batch);
    }

    fn take_back(&mut self, number: u64) -> Option<InHand> {
        let hand = self.in_hand.remove(&number)?;
        self.bytes -= hand.bytes;
        self.weight -= hand.weight;
        if self.in_hand.is_empty() {
            // Sums and differences leave a rest.
            self.weight = 0.0;
        }
        Some(hand)
    }

    fn send(&self, batch: Batch) {
        if let Some(jobs) = &self.jobs {
            // The pool holds a receiver itself, so the channel cannot be closed.
            let _ = jobs.send(batch);
        }
    }

    /// What the batches handed out are expected to cost.
    pub fn weight_in_hand(&self) -> f64 {
        self.weight
    }

    /// Weights are told in other units now: `factor` of them make up an old one.
    pub fn rescale(&mut self, factor: f64) {
        self.weight *= factor;
        for hand in self.in_hand.values_mut() {
            hand.weight *= factor;
        }
    }

    /// Batches that no worker has begun.
    pub fn waiting(&self) -> usize {
        self.jobs_end.len()
    }

    /// Takes back the batches that no worker has begun, but for the first `leave`; their places go to `places`.
    pub fn recall(&mut self, leave: usize, places: &mut Vec<FrameSet>) -> Vec<Batch> {
        let mut waiting: Vec<Batch> = self.jobs_end.try_iter().collect();
        let recalled = waiting.split_off(leave.min(waiting.len()));
        for batch in waiting {
            self.send(batch);
        }
        for batch in &recalled {
            places.extend(self.take_back(batch.number).map(|hand| hand.places));
        }
        recalled
    }

    /// Seconds of work that the workers have in hand, all together: of what has not begun, and of everything; frames
    /// of weight 1 take `rate` seconds.
    pub fn seconds_in_hand(&self, rate: f64) -> (f64, f64) {
        let now = self.origin.elapsed().as_nanos() as u64;
        let all = self.weight * rate;
        let (mut begun, mut still) = (0.0, 0.0);
        for view in &self.views {
            let number = view.batch.load(Ordering::Relaxed).wrapping_sub(1);
            let at = view.begun.load(Ordering::Relaxed);
            let Some(hand) = self.in_hand.get(&number).filter(|_| at > 0) else {
                continue;
            };
            let elapsed = now.saturating_sub(at) as f64 * 1e-9;
            begun += hand.weight * rate;
            still += pace::still(hand.weight * rate, elapsed);
        }
        let waiting = (all - begun).max(0.0);
        (waiting, waiting + still)
    }

    /// Takes no interest any more in what was handed out: it is dropped when it comes back.
    pub fn forget(&mut self) {
        self.in_hand.clear();
        (self.bytes, self.weight) = (0, 0.0);
    }

    /// The next batch that comes back within `patience`, with what it was expected to cost; see [`broken`](Self::broken)
    /// after it.
    pub fn receive(&mut self, patience: Duration) -> Result<Option<(f64, Batch)>> {
        let deadline = Instant::now() + patience;
        loop {
            match self.events.recv_deadline(deadline) {
                Ok(Event::Evaluated(batch)) => {
                    // A batch that was given up is not in hand any more.
                    if let Some(hand) = self.take_back(batch.number) {
                        return Ok(Some((hand.weight, batch)));
                    }
                }
                Ok(Event::Broken(why, batch)) => {
                    let engine = self.work.engine();
                    let why = format!("cannot set up the {engine}: {why}");
                    self.broken.get_or_insert(Error::failure(why));
                    let hand = batch.and_then(|b| Some((self.take_back(b.number)?.weight, b)));
                    return Ok(hand);
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(None),
            }
        }
    }

    /// How long the frame that was begun first has been in hand.
    pub fn longest_in_hand(&self) -> Duration {
        let now = self.origin.elapsed().as_nanos() as u64;
        let begun = self
            .views
            .iter()
            .map(|view| view.begun.load(Ordering::Acquire));
        let longest = begun.filter(|at| *at > 0).map(|at| now.saturating_sub(at));
        Duration::from_nanos(longest.max().unwrap_or(0))
    }

    /// Asks the workers to come back after the frame they have in hand.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Sends the workers home and waits until they have left, with all that their calculators have started, but no
    /// longer than `patience`.
    pub fn dismiss(mut self, patience: Duration) {
        self.stop();
        self.jobs = None;
        let end = Instant::now() + patience;
        while !self.threads.iter().all(JoinHandle::is_finished) && Instant::now() < end {
            thread::sleep(Duration::from_micros(200));
        }
    }

    /// Gives up every worker that has had one frame in hand for longer than `limit` and starts another in its
    /// place. The thread itself cannot be killed; it leaves when its frame ends.
    pub fn give_up_overdue(&mut self, limit: Duration) -> Result<Vec<Overdue>> {
        let now = self.origin.elapsed().as_nanos() as u64;
        let mut overdue = Vec::new();
        for slot in 0..self.views.len() {
            let view = Arc::clone(&self.views[slot]);
            let begun = view.begun.load(Ordering::Acquire);
            if begun == 0 || now.saturating_sub(begun) < limit.as_nanos() as u64 {
                continue;
            }
            let number = view.batch.load(Ordering::Acquire).wrapping_sub(1);
            let position = view.position.load(Ordering::Acquire);
            // The frame may have ended meanwhile, and the worker be in another one.
            if view.begun.load(Ordering::Acquire) != begun {
                continue;
            }
            let Some(hand) = self.take_back(number) else {
                continue;
            };
            view.given_up.store(true, Ordering::Release);
            let mut others = hand.places;
            let before = others.split_front(position);
            let stuck = others.split_front(1);
            let others = before.runs().iter().chain(others.runs()).cloned().collect();
            overdue.extend(stuck.iter().map(|frame| Overdue {
                frame,
                others: FrameSet::clone(&others),
            }));
            // The replacement has not begun.
            (self.views[slot], self.threads[slot]) = self.spawn(slot)?;
        }
        Ok(overdue)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.stop();
        // Workers also hold receivers; closing the only sender ends their loops.
        self.jobs = None;
    }
}
