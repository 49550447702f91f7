//! Signals that ask the job to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU};

use crate::adapters::exit;
use crate::domain::error::{Error, Result};
use crate::engine::ports::Stop;

/// A terminal, a launcher and SLURM may each pass on one and the same signal.
const SAME: Duration = Duration::from_millis(500);
/// After a second signal the process ends by itself within this time, or is ended: it may be inside a system call or a
/// library that knows nothing of signals.
const DEAF: Duration = Duration::from_secs(2);
/// The same for a process that has heard it and is about to commit what is ready.
const LEAVING: Duration = Duration::from_secs(10);

/// Whether any signal has arrived.
static ASKED: AtomicBool = AtomicBool::new(false);

/// Whether somebody has asked this process to stop: for those who wait for a program outside a run.
pub fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// Counts the signals that have arrived: the first asks to stop in good order, the second to stop now.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    count: Arc<AtomicUsize>,
    heard: Arc<AtomicBool>,
}

impl Signals {
    /// Begins to listen to SIGTERM, SIGINT, SIGUSR1, SIGUSR2 and SIGXCPU.
    pub fn listen() -> Result<Self> {
        let signals = Self::default();
        let mut incoming =
            signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGXCPU])
                .map_err(|e| Error::failure(format!("cannot listen to signals: {e}")))?;
        let this = signals.clone();
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                let mut last: Option<Instant> = None;
                for _ in incoming.forever() {
                    ASKED.store(true, Ordering::Relaxed);
                    if last.is_none_or(|at| at.elapsed() > SAME) {
                        last = Some(Instant::now());
                        if this.count.fetch_add(1, Ordering::Relaxed) == 1 {
                            this.see_that_it_ends();
                        }
                    }
                }
            })
            .map_err(|e| Error::failure(format!("cannot listen to signals: {e}")))?;
        Ok(signals)
    }

    /// How urgently to stop.
    pub fn wish(&self) -> Stop {
        match self.count.load(Ordering::Relaxed) {
            0 => Stop::No,
            1 => Stop::InGoodOrder,
            _ => {
                self.heard.store(true, Ordering::Relaxed);
                Stop::Now
            }
        }
    }

    /// An error as soon as somebody has asked to stop, see [`GoOn`](crate::domain::error::GoOn).
    pub fn go_on(&self) -> Result<()> {
        match self.wish() {
            Stop::No => Ok(()),
            _ => Err(Error::stopped()),
        }
    }

    /// Ends the process if it does not do so itself. A process may be killed at any time without harm to the result.
    fn see_that_it_ends(&self) {
        let begun = Instant::now();
        let limit = || {
            if self.heard.load(Ordering::Relaxed) {
                LEAVING
            } else {
                DEAF
            }
        };
        while begun.elapsed() < limit() {
            std::thread::sleep(Duration::from_millis(20));
        }
        eprintln!(
            "error: {}a second signal: ended at once; what was committed is safe, run the same command again",
            exit::name()
        );
        exit::at_once(1)
    }
}
