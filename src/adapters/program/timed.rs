//! Reading from and writing to a program that may have stopped listening.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

/// A pipe or socket whose reads and writes end at a deadline, with an error that [`is_late`].
#[derive(Debug)]
pub struct Timed<T> {
    inner: T,
    deadline: Option<Instant>,
    /// Waiting ends when this says so.
    interrupt: Option<fn() -> bool>,
}

/// How often it is looked whether waiting is to end.
const LOOK: Duration = Duration::from_millis(100);

/// Whether an error says that the time is over.
pub fn is_late(error: &Error) -> bool {
    error.kind() == ErrorKind::TimedOut
}

impl<T: AsFd> Timed<T> {
    /// Takes one end of a conversation. This end alone becomes one that does not block.
    pub fn new(inner: T) -> Result<Self> {
        let flags = rustix::fs::fcntl_getfl(&inner)?;
        rustix::fs::fcntl_setfl(&inner, flags | OFlags::NONBLOCK)?;
        Ok(Self {
            inner,
            deadline: None,
            interrupt: None,
        })
    }

    /// What follows has to be done within `limit` from now on; without one it may take for ever.
    pub fn within(&mut self, limit: Option<Duration>) {
        self.deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    }

    /// From now on waiting ends, with an error, when `interrupt` says so.
    pub fn heed(&mut self, interrupt: Option<fn() -> bool>) {
        self.interrupt = interrupt;
    }

    /// Waits until something can be read or written, or the time is over.
    fn wait(&self, what: PollFlags) -> Result<()> {
        loop {
            let left = self
                .deadline
                .map(|d| d.saturating_duration_since(Instant::now()));
            if self.interrupt.is_some_and(|interrupt| interrupt()) {
                return Err(Error::other("asked to stop"));
            }
            let look = self.interrupt.map(|_| LOOK);
            let time = left.into_iter().chain(look).min().map(|left| Timespec {
                tv_sec: left.as_secs() as i64,
                tv_nsec: i64::from(left.subsec_nanos()),
            });
            match poll(&mut [PollFd::new(&self.inner, what)], time.as_ref()) {
                Ok(0) if left.is_some_and(|left| left.is_zero()) => {
                    return Err(Error::new(ErrorKind::TimedOut, "no answer in time"));
                }
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(e) => return Err(e.into()),
            }
        }
    }

    fn patiently(
        &mut self,
        what: PollFlags,
        mut call: impl FnMut(&mut T) -> Result<usize>,
    ) -> Result<usize> {
        loop {
            match call(&mut self.inner) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.wait(what)?,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

impl<T: AsFd + Read> Read for Timed<T> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize> {
        self.patiently(PollFlags::IN, |inner| inner.read(bytes))
    }
}

impl<T: AsFd + Write> Write for Timed<T> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.patiently(PollFlags::OUT, |inner| inner.write(bytes))
    }

    fn flush(&mut self) -> Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_does_not_listen_is_not_waited_for() {
        let (from, to) = std::io::pipe().unwrap();
        let (mut from, mut to) = (Timed::new(from).unwrap(), Timed::new(to).unwrap());
        from.within(Some(Duration::from_millis(20)));
        let error = from.read(&mut [0]).unwrap_err();
        assert!(is_late(&error), "{error}");
        to.within(Some(Duration::from_millis(20)));
        let error = to.write_all(&vec![0; 1 << 20]).unwrap_err();
        assert!(is_late(&error), "{error}");
        from.within(None);
        assert_eq!(from.read(&mut [0; 16]).unwrap(), 16);
    }
}
