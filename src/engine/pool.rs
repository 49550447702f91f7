//! The worker threads of a rank and the batches in their hands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use crate::domain::calculator::Factory;
use crate::domain::error::{Error, Result};
use crate::planning::frame_set::FrameSet;

use super::batch::Batch;
use super::journal::Journal;
use super::worker::{Event, View, Worker};

/// Fortran engines put large arrays on the stack; only what is touched costs memory.
pub const STACK_BYTES: usize = 64 << 20;

/// A frame that took too long, and the other frames of its batch, which have to be evaluated again.
pub struct Overdue {
    /// The frame.
    pub frame: u64,
    /// The rest of its batch.
    pub others: FrameSet,
}

/// Worker threads. Dropping the pool asks them to leave and does not wait.
pub struct Pool {
    factory: Arc<dyn Factory>,
    journal: Arc<dyn Journal>,
    jobs: Option<Sender<Batch>>,
    jobs_end: Receiver<Batch>,
    events: Receiver<Event>,
    events_end: Sender<Event>,
    views: Vec<Arc<View>>,
    stop: Arc<AtomicBool>,
    origin: Instant,
    in_hand: BTreeMap<u64, (FrameSet, u64)>,
    next_number: u64,
}

impl Pool {
    /// Starts `threads` workers, each of which builds its own calculator.
    pub fn start(
        factory: Arc<dyn Factory>,
        threads: usize,
        journal: Arc<dyn Journal>,
    ) -> Result<Self> {
        let (jobs, jobs_end) = unbounded();
        let (events_end, events) = unbounded();
        let mut pool = Self {
            factory,
            journal,
            jobs: Some(jobs),
            jobs_end,
            events,
            events_end,
            views: Vec::new(),
            stop: Arc::default(),
            origin: Instant::now(),
            in_hand: BTreeMap::new(),
            next_number: 0,
        };
        for _ in 0..threads {
            pool.spawn()?;
        }
        Ok(pool)
    }

    fn spawn(&mut self) -> Result<()> {
        let view = Arc::<View>::default();
        let worker = Worker {
            factory: Arc::clone(&self.factory),
            journal: Arc::clone(&self.journal),
            jobs: self.jobs_end.clone(),
            events: self.events_end.clone(),
            view: Arc::clone(&view),
            stop: Arc::clone(&self.stop),
            origin: self.origin,
        };
        thread::Builder::new()
            .name(format!("worker-{}", self.views.len()))
            .stack_size(STACK_BYTES)
            .spawn(move || worker.work())
            .map_err(|e| Error::failure(format!("cannot start a worker thread: {e}")))?;
        self.views.push(view);
        Ok(())
    }

    /// Number of workers.
    pub fn threads(&self) -> usize {
        self.views.len()
    }

    /// Batches handed out and not yet back.
    pub fn batches_in_hand(&self) -> usize {
        self.in_hand.len()
    }

    /// Memory of the batches handed out, in bytes.
    pub fn bytes_in_hand(&self) -> u64 {
        self.in_hand.values().map(|(_, bytes)| bytes).sum()
    }

    /// Hands out a batch of `frames`.
    pub fn submit(&mut self, frames: FrameSet, mut batch: Batch) {
        batch.number = self.next_number;
        self.next_number += 1;
        self.in_hand.insert(batch.number, (frames, batch.bytes()));
        if let Some(jobs) = &self.jobs {
            // The pool holds a receiver itself, so the channel cannot be closed.
            let _ = jobs.send(batch);
        }
    }

    /// Takes no interest any more in what was handed out: it is dropped when it comes back.
    pub fn forget(&mut self) {
        self.in_hand.clear();
    }

    /// The next batch that comes back within `patience`, with the frames that were asked for.
    pub fn receive(&mut self, patience: Duration) -> Result<Option<(FrameSet, Batch)>> {
        let deadline = Instant::now() + patience;
        loop {
            match self.events.recv_deadline(deadline) {
                Ok(Event::Evaluated(batch)) => {
                    // A batch that was given up is not in hand any more.
                    if let Some((frames, _)) = self.in_hand.remove(&batch.number) {
                        return Ok(Some((frames, batch)));
                    }
                }
                Ok(Event::Broken(why)) => {
                    return Err(Error::failure(format!(
                        "cannot set up the calculator: {why}"
                    )));
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
            let Some((frames, _)) = self.in_hand.remove(&number) else {
                continue;
            };
            view.given_up.store(true, Ordering::Release);
            let mut others = frames;
            let before = others.split_front(position);
            let stuck = others.split_front(1);
            let others = before.runs().iter().chain(others.runs()).cloned().collect();
            overdue.extend(stuck.iter().map(|frame| Overdue {
                frame,
                others: FrameSet::clone(&others),
            }));
            self.spawn()?;
            self.views.swap_remove(slot);
            // The replacement sits in the slot now and has not begun.
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
