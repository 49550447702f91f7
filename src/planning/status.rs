//! The state of a frame, with the codes mbe-automation uses.

/// State of one frame as stored in `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i64)]
pub enum Status {
    /// Results are on disk and match their checksum.
    Completed = 0,
    /// Not computed yet.
    Undefined = 1,
    /// The self-consistent field did not converge.
    NotConverged = 2,
    /// Evaluation failed; the message says why.
    Failed = 3,
}

impl Status {
    /// All of them, in the order of their codes.
    pub const ALL: [Status; 4] = [
        Status::Completed,
        Status::Undefined,
        Status::NotConverged,
        Status::Failed,
    ];

    /// The stored code.
    pub fn code(self) -> i64 {
        self as i64
    }

    /// The state with this code.
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.code() == code)
    }

    /// The word for people.
    pub fn name(self) -> &'static str {
        match self {
            Status::Completed => "completed",
            Status::Undefined => "undefined",
            Status::NotConverged => "not converged",
            Status::Failed => "failed",
        }
    }
}

/// How many frames are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusCounts([u64; 4]);

impl StatusCounts {
    /// Counts `n` more frames in state `status`.
    pub fn add(&mut self, status: Status, n: u64) {
        self.0[status as usize] += n;
    }

    /// Frames in this state.
    pub fn get(&self, status: Status) -> u64 {
        self.0[status as usize]
    }

    /// Frames in any state.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Frames that are not completed although they were tried.
    pub fn troubled(&self) -> u64 {
        self.get(Status::NotConverged) + self.get(Status::Failed)
    }
}

impl From<[u64; 4]> for StatusCounts {
    fn from(counts: [u64; 4]) -> Self {
        Self(counts)
    }
}

impl From<StatusCounts> for [u64; 4] {
    fn from(counts: StatusCounts) -> Self {
        counts.0
    }
}
