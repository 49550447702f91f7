//! The lock of a file that other programs write, too: mbe-automation takes `FILE.lock` with flock(2) for every access.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use crate::adapters::lock::path_of;
use crate::domain::error::{Error, GoOn, Result};

/// Held until it is dropped; the file stays, as the other programs leave it.
#[derive(Debug)]
pub struct StorageLock {
    _file: File,
}

/// Keeps HDF5 programs from writing into a file until it is dropped; `alone`: from opening it, too. HDF5 takes such a lock
/// of what it opens, unless it is told not to.
///
/// # Errors
/// Somebody has it open already: for writing, or `alone`, in any way.
pub fn keep_writers_out(path: &Path, alone: bool) -> Result<File> {
    let file = File::open(path).map_err(|e| Error::unreadable(path, &e))?;
    let operation = if alone {
        FlockOperation::NonBlockingLockExclusive
    } else {
        FlockOperation::NonBlockingLockShared
    };
    match flock(&file, operation) {
        Err(rustix::io::Errno::WOULDBLOCK) if alone => Err(Error::failure(format!(
            "{}: another program has it open, and --direct changes it under its hands; close it there, or merge without --direct",
            path.display()
        ))),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::failure(format!(
            "{}: another program has it open for writing, and what it writes would be lost; close it there first",
            path.display()
        ))),
        // File systems without such locks have no such programs either.
        _ => Ok(file),
    }
}

/// How often it is tried, and after which time somebody else is mentioned.
const PAUSE: Duration = Duration::from_millis(200);
const SILENCE: Duration = Duration::from_secs(2);

impl StorageLock {
    /// Waits for the lock of `path`, no longer than `patience`.
    pub fn take(path: &Path, patience: Duration, go_on: GoOn<'_>) -> Result<Self> {
        let lock = path_of(path);
        let doing = |e: std::io::Error| {
            Error::failure(format!("{}: cannot be locked: {e}", lock.display()))
        };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock)
            .map_err(doing)?;
        let begun = Instant::now();
        let mut said = false;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
                Err(e) => return Err(doing(e.into())),
            }
            if begun.elapsed() >= patience {
                return Err(Error::failure(format!(
                    "{}: is locked by another program ({}) for longer than {}; try again, or wait longer with --lock-timeout",
                    path.display(),
                    lock.display(),
                    humantime::format_duration(patience)
                )));
            }
            if begun.elapsed() > SILENCE && !std::mem::replace(&mut said, true) {
                tracing::info!("{}: waiting for another program's lock", path.display());
            }
            go_on()?;
            std::thread::sleep(PAUSE);
        }
    }
}
