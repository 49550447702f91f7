//! When to deal again, how often to ask, how much to hand out: rules that every rank follows on the same numbers.

use std::time::Duration;

/// Shortest and longest time between two agreements of an undisturbed run.
const PULSE: (f64, f64) = (0.002, 0.1);
/// A rank that runs dry sooner than this is served from the others: some pulses, so that it does not run dry.
const LEAD: f64 = 0.25;
/// Deals take some microseconds for each rank; so many seconds for each rank are at least between them, so that they
/// take one or two hundredths of a coordinator's time on any number of ranks.
const BETWEEN: f64 = 20e-6;
/// The first deal that moves nothing makes the next one wait so long, each further one twice as long.
const IN_VAIN: f64 = 0.01;
/// Ranks that end closer together than this end together.
const TOGETHER: f64 = 0.01;
/// Longest time a batch should keep a worker busy, where frames are short enough, and the shortest.
const BATCH: (f64, f64) = (0.02, 0.001);

/// How all ranks stand, in seconds: the same numbers on every rank.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Horizon {
    /// Until the first rank has nothing to do.
    pub first: f64,
    /// Until the last one has.
    pub last: f64,
    /// The most that any rank has not begun.
    pub movable: f64,
}

impl Horizon {
    /// Whether one of `ranks` ranks runs dry while others have enough.
    pub fn wants_deal(&self, ranks: usize) -> bool {
        let lead = LEAD.max(2.0 * BETWEEN * ranks as f64);
        self.movable > 0.0 && self.first < lead && self.last - self.first > TOGETHER
    }

    /// How long until the next agreement, after one that came `before` after the one before.
    pub fn pulse(&self, before: Duration) -> Duration {
        let near = (self.first / 4.0).clamp(PULSE.0, PULSE.1);
        (2 * before)
            .max(Duration::from_secs_f64(PULSE.0))
            .min(Duration::from_secs_f64(near))
    }
}

/// Keeps deals apart. Time is counted in pulses, which are the same on every rank.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patience {
    in_vain: u32,
    left: f64,
}

impl Patience {
    /// Another pulse has passed.
    pub fn wait(&mut self, pulse: Duration) {
        self.left = (self.left - pulse.as_secs_f64()).max(0.0);
    }

    /// Whether to deal now if it is wanted.
    pub fn is_over(&self) -> bool {
        self.left <= 0.0
    }

    /// A deal among `ranks` ranks has moved so many frames.
    pub fn dealt(&mut self, moved: u64, ranks: usize) {
        self.left = BETWEEN * ranks as f64;
        if moved > 0 {
            self.in_vain = 0;
        } else {
            self.left += IN_VAIN * f64::from(1 << self.in_vain);
            self.in_vain = (self.in_vain + 1).min(7);
        }
    }
}

/// Seconds per weight of one worker, as seen so far; what is long ago counts less.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    keep: f64,
    seconds: f64,
    weight: f64,
}

impl Rate {
    /// Follows a change of cost within a few batches: for the size of the next one.
    pub fn quick() -> Self {
        Self::keeping(0.5)
    }

    /// Does not follow single frames: for what a rank will take for all that it has.
    pub fn steady() -> Self {
        Self::keeping(0.98)
    }

    fn keeping(keep: f64) -> Self {
        Self {
            keep,
            seconds: 0.0,
            weight: 0.0,
        }
    }

    /// Frames of `weight` have taken `seconds`.
    pub fn add(&mut self, seconds: f64, weight: f64) {
        self.seconds = self.keep * self.seconds + seconds;
        self.weight = self.keep * self.weight + weight;
    }

    /// Weights are told in other units now: `factor` of them make up an old one.
    pub fn rescale(&mut self, factor: f64) {
        self.weight *= factor;
    }

    /// `None` when nothing has been seen yet.
    pub fn seconds_per_weight(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| (self.seconds / self.weight).max(1e-12))
    }
}

/// Seconds that a batch should take where `left` seconds of work are before a worker: shorter towards the end, so that
/// workers end together.
pub fn batch_seconds(left: f64) -> f64 {
    (left / 4.0).clamp(BATCH.1, BATCH.0)
}

/// Seconds that a frame in hand will still take: it was expected to take `expected`, and has taken `elapsed`. One that is
/// overdue is expected to take half as long again: of skewed costs the long ones are left over.
pub fn still(expected: f64, elapsed: f64) -> f64 {
    (expected - elapsed).max(if elapsed > expected {
        elapsed / 2.0
    } else {
        0.0
    })
}

/// Seconds of work that workers are supplied with, so that they do not wait while a commit takes `commit`.
pub fn supply(commit: f64) -> f64 {
    (1.5 * commit).max(BATCH.0 * 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deal_is_wanted_when_one_runs_dry_and_another_has_enough() {
        let horizon = |first, last, movable| Horizon {
            first,
            last,
            movable,
        };
        assert!(horizon(0.1, 8.0, 7.0).wants_deal(2));
        for settled in [
            horizon(3.0, 8.0, 7.0),
            horizon(0.1, 8.0, 0.0),
            horizon(0.1, 0.105, 0.1),
        ] {
            assert!(!settled.wants_deal(2), "{settled:?}");
        }
        // On very many ranks a deal takes longer, and has to begin earlier.
        assert!(horizon(1.0, 8.0, 7.0).wants_deal(65_536));
    }

    #[test]
    fn agreements_come_seldom_until_somebody_runs_dry() {
        let mut pulse = Duration::ZERO;
        let far = Horizon {
            first: 60.0,
            ..Horizon::default()
        };
        for expected in [2, 4, 8, 16, 32, 64, 100, 100] {
            pulse = far.pulse(pulse);
            assert_eq!(pulse.as_millis(), expected);
        }
        let near = Horizon {
            first: 0.02,
            ..Horizon::default()
        };
        assert_eq!(near.pulse(pulse), Duration::from_millis(5));
        assert_eq!(Horizon::default().pulse(pulse), Duration::from_millis(2));
    }

    #[test]
    fn deals_in_vain_become_rare() {
        let mut patience = Patience::default();
        let mut dealt = Vec::new();
        for agreement in 0..40 {
            patience.wait(Duration::from_millis(10));
            if patience.is_over() {
                dealt.push(agreement);
                patience.dealt(0, 2);
            }
        }
        assert_eq!(dealt, [0, 2, 5, 10, 19, 36]);
        patience.dealt(5, 2);
        patience.wait(Duration::from_millis(1));
        assert!(patience.is_over());
        patience.dealt(5, 65_536);
        patience.wait(Duration::from_secs(1));
        assert!(!patience.is_over());
    }

    #[test]
    fn a_rate_forgets() {
        let mut rate = Rate::quick();
        assert_eq!(rate.seconds_per_weight(), None);
        for _ in 0..20 {
            rate.add(1.0, 1.0);
        }
        for _ in 0..8 {
            rate.add(3.0, 1.0);
        }
        let now = rate.seconds_per_weight().unwrap();
        assert!((2.95..3.0).contains(&now), "{now}");
    }

    #[test]
    fn an_overdue_frame_is_not_expected_to_end_at_once() {
        assert_eq!(still(2.0, 0.5), 1.5);
        assert_eq!(still(2.0, 8.0), 4.0);
        assert_eq!(batch_seconds(100.0), 0.02);
        assert_eq!(batch_seconds(0.02), 0.005);
        assert_eq!(batch_seconds(0.0), 0.001);
    }
}
