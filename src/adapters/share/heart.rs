//! Shows that this process lives: touches its files again and again, on a thread of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

/// A heart that beats until it is dropped. A stopped process has none; one that waits for a disk has.
pub(super) struct Heart {
    over: Arc<(Mutex<bool>, Condvar)>,
    locked: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Heart {
    /// Touches `lease` every so often, and `lock` as long as it [is held](Self::holds).
    pub(super) fn start(lease: PathBuf, lock: PathBuf, beat: Duration) -> std::io::Result<Self> {
        let over = Arc::<(Mutex<bool>, Condvar)>::default();
        let locked = Arc::<AtomicBool>::default();
        let (ends, holds) = (Arc::clone(&over), Arc::clone(&locked));
        let thread = std::thread::Builder::new()
            .name("heart".into())
            .spawn(move || {
                let (over, rung) = &*ends;
                let mut over = over.lock().unwrap_or_else(PoisonError::into_inner);
                while !*over {
                    (over, _) = rung
                        .wait_timeout(over, beat)
                        .unwrap_or_else(PoisonError::into_inner);
                    touch(&lease);
                    if holds.load(Ordering::Relaxed) {
                        touch(&lock);
                    }
                }
            })?;
        Ok(Self {
            over,
            locked,
            thread: Some(thread),
        })
    }

    /// Whether the lock is held, and has to be touched too.
    pub(super) fn holds(&self, lock: bool) {
        self.locked.store(lock, Ordering::Relaxed);
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        let (over, rung) = &*self.over;
        *over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        rung.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Only that the time changes counts, not whose clock it is. A file that is gone is not made again.
fn touch(path: &Path) {
    if let Ok(file) = File::options().append(true).open(path) {
        let _ = file.set_modified(SystemTime::now());
    }
}
