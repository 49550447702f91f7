//! The port through which the engine says which frames are in hand, so that it is known after the process has died.

use std::fmt::Debug;

/// Remembers beyond the death of the process what this rank was doing. No method waits or fails: where nothing can
/// be remembered, nothing is.
pub trait Journal: Debug + Send + Sync {
    /// A place for the frames of the calling thread, which keeps it for life.
    fn hand(&self) -> Box<dyn Hand>;
    /// From now on this rank computes suspects, one at a time.
    fn careful(&self);
    /// The next commit writes frames of this rank: the first and the one after the last; `None` when it has none.
    fn committing(&self, frames: Option<(u64, u64)>);
    /// That commit is on the disk.
    fn committed(&self);
}

/// What one worker has in hand. Called for every frame: a store to memory and no more.
pub trait Hand {
    /// The evaluation of `frame` begins; what was in hand before is done.
    fn take(&self, frame: u64);
    /// Nothing is in hand.
    fn rest(&self);
}

/// Remembers nothing.
#[derive(Debug)]
pub struct NoJournal;

impl Journal for NoJournal {
    fn hand(&self) -> Box<dyn Hand> {
        Box::new(Self)
    }

    fn careful(&self) {}
    fn committing(&self, _: Option<(u64, u64)>) {}
    fn committed(&self) {}
}

impl Hand for NoJournal {
    fn take(&self, _: u64) {}
    fn rest(&self) {}
}
