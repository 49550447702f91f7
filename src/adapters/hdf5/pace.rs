//! Long writing in steps: after each the program looks whether it shall stop, and it never waits for the disk longer
//! than some hundred megabytes take.

use std::fs::File as PlainFile;
use std::io::Read as _;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::adapters::write_back;
use crate::domain::error::{Error, GoOn, Result};

/// Bytes between two syncs. A single one after all of them would keep a process that shall stop for minutes.
const UNSYNCED: u64 = 128 << 20;
/// Bytes after which the disk is asked to begin.
const BEGUN: u64 = 8 << 20;
/// Bytes of one step. Four times as many took four times as long.
const STEP: u64 = 1 << 20;
/// Bytes that are copied in one call.
const COPIED: u64 = 64 << 20;

/// Somebody writes a new file, in steps.
pub struct Pace<'a> {
    file: PlainFile,
    result: &'a Path,
    go_on: GoOn<'a>,
    unsynced: u64,
    /// Bytes that the disk has not been asked to write yet.
    idle: u64,
}

impl<'a> Pace<'a> {
    /// `file` is to become `result`.
    pub fn new(file: PlainFile, result: &'a Path, go_on: GoOn<'a>) -> Self {
        Self {
            file,
            result,
            go_on,
            unsynced: 0,
            idle: 0,
        }
    }

    /// Makes sure that the file system has really given the space: later writes must not fail for want of it. Before
    /// the file is filled, since a file whose places are known is written faster.
    pub fn reserve(&self) -> Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        let length = self.file.metadata().map_err(|e| self.failed(&e))?.len();
        match fallocate(&self.file, FallocateFlags::empty(), 0, length) {
            // Not every file system can; what is filled is reserved all the same.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
            Err(e) => Err(self.failed(&e.into())),
        }
    }

    /// Syncs the rest.
    pub fn end(self) -> Result<()> {
        self.file.sync_all().map_err(|e| self.failed(&e))
    }

    /// So many bytes more have been written to the file, by whomever.
    ///
    /// # Errors
    /// Somebody has asked to stop, or the bytes cannot be synced.
    pub fn wrote(&mut self, bytes: u64) -> Result<()> {
        (self.go_on)()?;
        self.unsynced += bytes;
        self.idle += bytes;
        if self.idle >= BEGUN {
            self.idle = 0;
            write_back::begin(&self.file);
        }
        if self.unsynced > UNSYNCED {
            self.unsynced = 0;
            // The system says only once that writing back has failed.
            self.file.sync_data().map_err(|e| self.failed(&e))?;
        }
        Ok(())
    }

    /// Writes `pattern` over and over, `bytes` bytes from `start` on.
    pub fn fill(&mut self, start: u64, bytes: u64, pattern: &[u8]) -> Result<()> {
        let times = STEP.min(bytes) as usize / pattern.len();
        let step = pattern.repeat(times.max(1));
        let end = start + bytes;
        let mut at = start;
        while at < end {
            let part = &step[..step.len().min((end - at) as usize)];
            self.file
                .write_all_at(part, at)
                .map_err(|e| self.failed(&e))?;
            at += part.len() as u64;
            self.wrote(part.len() as u64)?;
        }
        Ok(())
    }

    /// Begins the file with all that is in `from`. The system shares or copies the bytes itself where it can.
    pub fn copy(&mut self, from: &Path) -> Result<()> {
        let unreadable = |e| Error::unreadable(from, &e);
        let source = PlainFile::open(from).map_err(unreadable)?;
        let mut left = source.metadata().map_err(unreadable)?.len();
        while left > 0 {
            let step = COPIED.min(left);
            let copied = std::io::copy(&mut (&source).take(step), &mut &self.file)
                .map_err(|e| self.failed(&e))?;
            if copied < step {
                return Err(unreadable_end(from));
            }
            left -= step;
            self.wrote(step)?;
        }
        Ok(())
    }

    fn failed(&self, error: &std::io::Error) -> Error {
        let result = self.result.display();
        Error::failure(format!("cannot create {result}: {error}"))
    }
}

fn unreadable_end(path: &Path) -> Error {
    let cut = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    Error::unreadable(path, &cut)
}
