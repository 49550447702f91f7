//! How long before the walltime a run has to begin to stop.
//!
//! A worker that is called back finishes the frame in its hands; then comes the last commit, and the end of the
//! program. The first two are measured.

use std::time::Duration;

/// What the end of the program may take, and what clocks may differ by.
const MARGIN: Duration = Duration::from_secs(10);
/// A last commit may be longer than those before it.
const COMMIT_FACTOR: u32 = 2;
/// The commit of a run that has not made one.
const UNKNOWN_COMMIT: Duration = Duration::from_secs(5);

/// Time that is kept for the end of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reserve {
    /// For the frames in hand: the longest one so far, finished or not.
    pub frame: Duration,
    /// For the last commit.
    pub commit: Duration,
    /// For the rest.
    pub margin: Duration,
}

impl Reserve {
    /// From the longest frame and the longest commit so far, in a run that has `whole` time altogether. Short runs have
    /// small margins: most of their time is for work.
    pub fn measured(frame: Duration, commit: Option<Duration>, whole: Duration) -> Self {
        Self {
            frame,
            commit: commit.map_or(UNKNOWN_COMMIT.min(whole / 20), |longest| {
                longest * COMMIT_FACTOR
            }),
            margin: MARGIN.min(whole / 10),
        }
    }

    /// All of it: no frame may be begun when less than this is left.
    pub fn total(&self) -> Duration {
        self.frame + self.tail()
    }

    /// What remains when frames in hand have to be abandoned.
    pub fn tail(&self) -> Duration {
        self.commit + self.margin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_reserve_is_what_was_measured() {
        let day = s(86400);
        let reserve = Reserve::measured(s(30), Some(s(2)), day);
        assert_eq!((reserve.total(), reserve.tail()), (s(44), s(14)));
        assert_eq!(Reserve::measured(s(3600), Some(s(0)), day).total(), s(3610));
    }

    #[test]
    fn nothing_measured_yet_is_a_guess_that_leaves_time_to_work() {
        assert_eq!(Reserve::measured(s(0), None, s(86400)).total(), s(15));
        // A minute: 3 s for a commit, 6 s for the rest.
        assert_eq!(Reserve::measured(s(0), None, s(60)).total(), s(9));
        for whole in 0..100 {
            let reserve = Reserve::measured(s(0), None, s(whole));
            assert!(reserve.total() <= s(whole) / 5, "{whole}");
        }
    }
}
