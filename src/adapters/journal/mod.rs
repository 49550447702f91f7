//! `RESULT.journal`: which frames are in hand, in memory that outlives the process.
//!
//! One file per job. Rank 0 makes it under the lock before the ranks open the result; each rank maps its own stripe
//! of it and notes there, with plain stores to memory, the frame that each of its workers has in hand. When the
//! process dies, by whatever, the kernel still has the pages. The next start reads them ([`read`]), counts deaths
//! frame by frame ([`crate::planning::suspects`]) and puts the counts into the next journal's header.
//!
//! A journal says nothing after a power loss: its pages are never synced. Nothing but the order of work and the
//! quarantine of frames depends on it, so it can be removed at any time between two runs.

pub mod ffi;
mod record;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::error::{Error, Result};
use crate::engine::journal::{Hand, Journal, NoJournal};

pub use record::{Header, Past, read};
use record::{SLOT, SLOTS, word};

/// Places beyond one per worker: workers that hang in a frame keep theirs when another takes over.
const SPARE: usize = 64;

/// `RESULT.journal`; where several jobs fill one result, each has its own, `RESULT.journal.JOB`.
pub fn path_of(result: &Path, job: Option<&str>) -> PathBuf {
    let mut name = result.as_os_str().to_owned();
    name.push(".journal");
    if let Some(job) = job {
        name.push(".");
        name.push(job);
    }
    name.into()
}

/// Makes the journal of a job in place of an older one. A kill leaves the old one or the new one, and perhaps a
/// temporary file that the next one overwrites. Its space is really written: a store to a mapped page needs no more.
pub fn create(path: &Path, header: &Header) -> Result<()> {
    let temporary = temporary(path);
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(&header.encode())?;
        let stripe = vec![0; header.stripe_bytes()];
        for _ in 0..header.ranks {
            file.write_all(&stripe)?;
        }
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|e| {
        let _ = fs::remove_file(&temporary);
        Error::failure(format!("cannot write {}: {e}", path.display()))
    })
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// Removes a journal that has nothing more to say, and what a death while one was made has left: after a power failure
/// with nothing more to compute that stayed for ever.
pub fn remove(path: &Path) {
    for path in [path, &temporary(path)] {
        if let Err(error) = fs::remove_file(path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::debug!("cannot remove {}: {error}", path.display());
        }
    }
}

/// This rank's stripe.
#[derive(Debug)]
pub struct Stripe {
    words: &'static [AtomicU64],
    next: AtomicUsize,
    free: Arc<Mutex<Vec<usize>>>,
}

impl Stripe {
    /// Maps the stripe of rank `rank` and begins it.
    pub fn open(path: &Path, rank: usize) -> Result<Self> {
        let doing = |e: std::io::Error| Error::failure(format!("{}: {e}", path.display()));
        let mut file = File::options()
            .read(true)
            .write(true)
            .open(path)
            .map_err(doing)?;
        let header = Header::read_from(&mut file).map_err(|e| e.context(path.display()))?;
        if rank as u64 >= header.ranks {
            return Err(Error::failure(format!(
                "{}: is of another job",
                path.display()
            )));
        }
        let bytes = header.stripe_bytes();
        let offset = header.header_bytes() as u64 + (rank * bytes) as u64;
        // A store beyond the end of the file is a bus error: one rank died of it where a layer below had reported
        // writes of half the journal as whole.
        if file.metadata().map_err(doing)?.len() < offset + bytes as u64 {
            return Err(Error::failure(format!(
                "{}: is shorter than it says",
                path.display()
            )));
        }
        Ok(Self::over(ffi::map(&file, offset, bytes).map_err(doing)?))
    }

    /// A stripe in memory that is forgotten at the end, where no file can be mapped.
    pub fn in_memory(threads: usize) -> Self {
        let words = SLOTS + SLOT * (threads + SPARE);
        let words: Vec<_> = (0..words).map(|_| AtomicU64::new(0)).collect();
        Self::over(words.leak())
    }

    fn over(words: &'static [AtomicU64]) -> Self {
        words[word::STATE].store(word::RUNNING, Ordering::Release);
        Self {
            words,
            next: AtomicUsize::new(0),
            free: Arc::default(),
        }
    }

    /// From now on a crash of this process is noted here, and said with `prefix` (rank and host) in front; and so is a
    /// signal that asks to stop. Once per process.
    pub fn guard(&self, prefix: String) -> Result<()> {
        ffi::guard(self.words, prefix)
            .map_err(|e| Error::failure(format!("cannot listen to signals: {e}")))
    }

    /// This rank was asked to stop: what becomes of it now tells nothing of its frames.
    pub fn asked_to_stop(&self) {
        self.words[word::ASKED].store(1, Ordering::Release);
    }

    /// This rank leaves its work by itself, in good order or with an error.
    pub fn leave(&self) {
        self.words[word::STATE].store(word::LEFT, Ordering::Release);
    }
}

impl Journal for Stripe {
    fn hand(&self) -> Box<dyn Hand> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let index = free
            .pop()
            .unwrap_or_else(|| self.next.fetch_add(1, Ordering::Relaxed));
        let start = SLOTS + SLOT * index;
        let Some(slot) = self.words.get(start..start + SLOT) else {
            return Box::new(NoJournal);
        };
        ffi::bind(Some(slot));
        Box::new(Place {
            slot,
            index,
            free: Arc::clone(&self.free),
        })
    }

    fn careful(&self) {
        self.words[word::CAREFUL].store(1, Ordering::Release);
    }

    fn committing(&self, frames: Option<(u64, u64)>) {
        let round = self.words[word::ROUNDS].load(Ordering::Relaxed);
        let at = word::HULLS + 2 * (round % 2) as usize;
        let (first, end) = frames.unwrap_or((0, 0));
        // Never a pair that leaves out frames: a reader takes an end before its start as everything.
        self.words[at + 1].store(0, Ordering::Release);
        self.words[at].store(first, Ordering::Release);
        self.words[at + 1].store(end, Ordering::Release);
        self.words[word::ROUNDS].store(round + 1, Ordering::Release);
    }

    fn committed(&self) {
        self.words[word::COMMITS].fetch_add(1, Ordering::Release);
    }
}

/// The place of one worker: the frame in hand plus one, and the mark of its crash.
struct Place {
    slot: &'static [AtomicU64],
    index: usize,
    free: Arc<Mutex<Vec<usize>>>,
}

impl Hand for Place {
    fn take(&self, frame: u64) {
        self.slot[1].store(0, Ordering::Relaxed);
        self.slot[0].store(frame + 1, Ordering::Release);
    }

    fn rest(&self) {
        self.slot[0].store(0, Ordering::Release);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.rest();
        ffi::bind(None);
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.push(self.index);
    }
}
