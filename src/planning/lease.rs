//! How many frames a job takes at a time from a result that several jobs fill.

use super::frame_set::FrameSet;

/// What the next lease depends on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// Worker threads of the job that asks, on all its ranks.
    pub workers: u64,
    /// Worker threads of all jobs that share the result, this one included.
    pub all_workers: u64,
    /// Frames of the lease before, 0 at the first.
    pub last: u64,
    /// How long that one took, in seconds.
    pub took: f64,
    /// Seconds of them for which the job waited for its turn to write, and wrote.
    pub overhead: f64,
    /// How long a lease should take, in seconds.
    pub wanted: f64,
}

/// A new lease is at most so many times as large as the one before.
const GROWTH: u64 = 8;
/// Frames per worker while nothing is known about how long they take.
const FIRST: u64 = 2;
/// A lease takes at least so many times as long as its overhead: else leases for which there is no time would shrink, and
/// all of their time become overhead.
const WORTHWHILE: f64 = 8.0;

impl Terms {
    /// The number of frames of the next lease when `available` are free.
    ///
    /// As many as take the wanted time, but no more than half of this job's fair part of what is left (guided
    /// self-scheduling: leases shrink towards the end, so that all jobs come to it at about the same time), and at
    /// least one frame per worker.
    pub fn frames(&self, available: u64) -> u64 {
        let workers = self.workers.max(1);
        let all = u128::from(self.all_workers.max(workers));
        let fair = u128::from(available) * u128::from(workers);
        let half = u64::try_from(fair.div_ceil(2 * all)).unwrap_or(u64::MAX);
        let worth = if self.last == 0 {
            FIRST * workers
        } else {
            // A float larger than any integer becomes the largest integer, and what is not a number 0.
            let overhead = self.overhead.clamp(0.0, self.took.max(0.0));
            let wanted = self.wanted.max(WORTHWHILE * overhead);
            let at_this_rate = self.last as f64 * wanted / (self.took - overhead).max(1e-6);
            (at_this_rate as u64).min(self.last.saturating_mul(GROWTH))
        };
        half.min(worth).max(workers).min(available)
    }

    /// The frames of the next lease, the first of those that are free: they lie side by side in the file.
    pub fn take(&self, available: &FrameSet) -> FrameSet {
        available.slice(0..self.frames(available.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TERMS: Terms = Terms {
        workers: 4,
        all_workers: 16,
        last: 100,
        took: 10.0,
        overhead: 0.0,
        wanted: 60.0,
    };

    #[test]
    fn a_lease_takes_the_wanted_time_grows_slowly_and_shrinks_towards_the_end() {
        assert_eq!(TERMS.frames(1_000_000), 600);
        let fast = Terms {
            took: 0.001,
            ..TERMS
        };
        assert_eq!(fast.frames(1_000_000), 800);
        let slow = Terms { took: 1e9, ..TERMS };
        assert_eq!(slow.frames(1_000_000), 4);
        let first = Terms { last: 0, ..TERMS };
        assert_eq!(first.frames(1_000_000), 8);
        // Five seconds of ten were overhead: forty are worth it, but sixty are wanted.
        let burdened = Terms {
            overhead: 5.0,
            ..TERMS
        };
        assert_eq!(burdened.frames(1_000_000), 800);
        let hurried = Terms {
            wanted: 0.2,
            ..burdened
        };
        assert_eq!(hurried.frames(1_000_000), 800);
        let hurried = Terms {
            overhead: 1.0,
            ..hurried
        };
        assert_eq!(hurried.frames(1_000_000), 88);
        // An eighth of what is left: half of a quarter.
        assert_eq!(TERMS.frames(800), 100);
        assert_eq!(TERMS.frames(40), 5);
        assert_eq!(TERMS.frames(9), 4);
        assert_eq!(TERMS.frames(3), 3);
        assert_eq!(TERMS.frames(0), 0);
    }

    proptest! {
        /// Jobs of any sizes and speeds that take leases in turn take every frame once, in few steps.
        #[test]
        fn leases_are_bounded_and_use_everything_up(
            jobs in prop::collection::vec((1u64..40, 0.0..1e4f64), 1..9),
            runs in prop::collection::vec((0u64..5000, 1u64..2000), 1..9),
        ) {
            let mut left: FrameSet = runs.into_iter().map(|(a, n)| a..a + n).collect();
            let all: Vec<u64> = left.iter().collect();
            let all_workers = jobs.iter().map(|j| j.0).sum();
            let mut last = vec![0; jobs.len()];
            let mut taken = Vec::new();
            for step in 0..200_000 {
                if left.is_empty() { break; }
                let who = step % jobs.len();
                let (workers, took) = jobs[who];
                let terms = Terms { workers, all_workers, last: last[who], took, overhead: 0.1 * took, wanted: 60.0 };
                let lease = terms.take(&left);
                prop_assert!(!lease.is_empty());
                prop_assert!(lease.len() <= (left.len() * workers).div_ceil(2 * all_workers).max(workers));
                left = left.difference(&lease);
                last[who] = lease.len();
                taken.extend(lease.iter());
            }
            prop_assert!(left.is_empty());
            taken.sort_unstable();
            prop_assert_eq!(taken, all);
        }

        #[test]
        fn no_terms_are_a_panic(w in any::<u64>(), a in any::<u64>(), l in any::<u64>(), n in any::<u64>(), t in any::<f64>(), o in any::<f64>(), s in any::<f64>()) {
            let terms = Terms { workers: w / 2, all_workers: a, last: l, took: t, overhead: o, wanted: s };
            prop_assert!(terms.frames(n) <= n);
        }
    }
}
