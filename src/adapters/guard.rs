//! The right of rank 0 to write a result: alone, or in turns with other jobs.

use crate::domain::error::Result;
use crate::engine::ports::More;
use crate::planning::frame_set::FrameSet;

use super::lock::Lock;
use super::share::Member;

/// Held for the life of a run. Dropping it lets go.
pub enum Guard {
    /// Nobody else writes.
    Alone(Lock),
    /// Others write when this job does not.
    Shared(Box<Member>),
}

impl Guard {
    /// May this job still write?
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Alone(lock) => lock.check(),
            Self::Shared(member) => member.check(),
        }
    }

    /// Whether other jobs write too.
    pub fn in_company(&mut self) -> Result<bool> {
        match self {
            Self::Alone(_) => Ok(false),
            Self::Shared(member) => member.in_company(),
        }
    }

    /// Before the first claim: the frames that are left, and the number of the run, `next` or one that is free.
    pub fn begin(&mut self, next: u64, left: &FrameSet) -> Result<u64> {
        match self {
            Self::Alone(_) => Ok(next),
            Self::Shared(member) => {
                member.set_left(left.clone());
                member.number(next)
            }
        }
    }

    /// Waits for this job's turn. False when what it wants to write is not its business any more.
    pub fn turn(&mut self, meanwhile: &mut dyn FnMut()) -> Result<bool> {
        match self {
            Self::Alone(lock) => lock.check().map(|()| true),
            Self::Shared(member) => member.turn(meanwhile),
        }
    }

    /// Waits for this job's turn, to write nothing but its own record and to close the file.
    pub fn settle(&mut self, meanwhile: &mut dyn FnMut()) -> Result<()> {
        match self {
            Self::Alone(lock) => lock.check(),
            Self::Shared(member) => member.settle(meanwhile),
        }
    }

    /// Others may write.
    pub fn release(&mut self) {
        if let Self::Shared(member) = self {
            member.release();
        }
    }

    /// More frames, see [`Member::claim`].
    pub fn claim(&mut self, undone: &mut dyn FnMut(&FrameSet) -> Result<FrameSet>) -> Result<More> {
        match self {
            Self::Alone(_) => Ok(More::Nothing),
            Self::Shared(member) => member.claim(undone),
        }
    }

    /// Number of this run, where it may have changed.
    pub fn run(&self) -> Option<u64> {
        match self {
            Self::Alone(_) => None,
            Self::Shared(member) => Some(member.run()),
        }
    }
}
