//! Signals that ask the job to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU};

use crate::domain::error::{Error, Result};
use crate::engine::ports::Stop;

/// A terminal, a launcher and SLURM may each pass on one and the same signal.
const SAME: Duration = Duration::from_millis(500);

/// Counts the signals that have arrived: the first asks to stop in good order, the second to stop now.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    count: Arc<AtomicUsize>,
}

impl Signals {
    /// Begins to listen to SIGTERM, SIGINT, SIGUSR1, SIGUSR2 and SIGXCPU.
    pub fn listen() -> Result<Self> {
        let signals = Self::default();
        let mut incoming =
            signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGXCPU])
                .map_err(|e| Error::failure(format!("cannot listen to signals: {e}")))?;
        let count = Arc::clone(&signals.count);
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                let mut last: Option<Instant> = None;
                for _ in incoming.forever() {
                    if last.is_none_or(|at| at.elapsed() > SAME) {
                        count.fetch_add(1, Ordering::Relaxed);
                        last = Some(Instant::now());
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
            _ => Stop::Now,
        }
    }
}
