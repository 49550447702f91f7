//! What a run has to know beforehand.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::planning::cost::{Experience, SizeLaw};
use crate::planning::frame_set::FrameSet;

/// What the loop has to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Worker threads of this rank.
    pub threads: usize,
    /// Time between commits.
    pub checkpoint_interval: Duration,
    /// Bound on frames and results held in memory by this rank, in bytes.
    pub max_memory: u64,
    /// Most bytes of results in one collective write of one rank (some MPI-IO layers fail above 2 GiB).
    pub slab: u64,
    /// When the job will be ended.
    pub deadline: Option<Deadline>,
    /// How long frames in hand may go on after a signal, at most.
    pub grace: Duration,
    /// How long one frame may take.
    pub frame_timeout: Option<Duration>,
    /// Stop with an error after this many failed frames of the whole job.
    pub max_failures: Option<u64>,
    /// Frames of this rank that may end the process: sets that are computed one after the other, after all others of
    /// all ranks are committed, one frame at a time and each committed before the next. As many on every rank.
    pub suspects: Vec<FrameSet>,
    /// Several jobs fill the result: the sink says which frames are this one's, lease after lease.
    pub shared: bool,
    /// How the cost of a frame of a lease goes with its size, as long as nothing has been measured.
    pub assumed: SizeLaw,
    /// What frames of leases have taken in earlier runs; on one rank alone.
    pub experience: Experience,
    /// Called on each worker thread, with the worker's number on this rank, before it builds its calculator. A worker
    /// that takes the place of another one has the number of that one.
    pub on_start: Option<OnStart>,
}

/// What a worker thread does first.
#[derive(Clone)]
pub struct OnStart(pub Arc<dyn Fn(usize) + Send + Sync>);

impl fmt::Debug for OnStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnStart")
    }
}

/// When the job will be ended from outside, on the run's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// The end.
    pub end: Duration,
    /// Begin to stop so long before; `None`: as long as frames and commits have been seen to take.
    pub before: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            threads: 1,
            checkpoint_interval: Duration::from_mins(1),
            max_memory: 512 << 20,
            slab: 4 << 20,
            deadline: None,
            grace: Duration::from_secs(20),
            frame_timeout: None,
            max_failures: None,
            suspects: Vec::new(),
            shared: false,
            assumed: SizeLaw::power(1),
            experience: Experience::default(),
            on_start: None,
        }
    }
}
