//! What frames are expected to cost, relative to each other.

use std::ops::Range;

/// Most blocks: what is kept does not grow with the trajectory.
pub const BLOCKS: u64 = 1 << 16;

/// Expected costs of the frames of a plan, by place in it: sums over blocks of equally many frames.
///
/// Up to [`BLOCKS`] frames every frame has its own; in larger plans those of a block cost the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    per_block: u64,
    frames: u64,
    /// Sum of the weights before each block, and of all; long frames apart.
    sums: Vec<f64>,
    /// Places of long frames and what they weigh, ascending.
    long: Vec<(u64, f64)>,
    /// Sum of the weights of the long frames before each of them, and of all.
    long_sums: Vec<f64>,
}

/// A frame that weighs so many times the mean is long: begun late, it would keep everybody waiting at the end.
pub const LONG: f64 = 2.0;
/// Most long frames that are known by name: the longest.
pub const MOST_LONG: usize = 1 << 16;

impl Weights {
    /// Every frame weighs 1.
    pub fn even(frames: u64) -> Self {
        Self {
            per_block: frames.max(1),
            frames,
            sums: vec![0.0, frames as f64],
            long: Vec::new(),
            long_sums: vec![0.0],
        }
    }

    /// Frames in each block of a plan of `frames` frames, and how many blocks there are.
    pub fn blocks(frames: u64) -> (u64, usize) {
        let per_block = frames.div_ceil(BLOCKS).max(1);
        (per_block, frames.div_ceil(per_block) as usize)
    }

    /// From the weight of each block as [`blocks`](Self::blocks) cuts them. What is not a positive number counts as
    /// nothing known: the mean of the others. `heavy` are the places and weights of the heaviest frames, ascending; those
    /// that are long are begun first.
    pub fn from_blocks(frames: u64, blocks: &[f64], heavy: &[(u64, f64)]) -> Self {
        let (per_block, count) = Self::blocks(frames);
        debug_assert_eq!(blocks.len(), count);
        let known = |weight: &f64| weight.is_finite() && *weight > 0.0;
        let (sum, number) = blocks
            .iter()
            .filter(|w| known(w))
            .fold((0.0, 0u64), |(sum, n), w| (sum + w, n + 1));
        let mean = if number > 0 { sum / number as f64 } else { 1.0 };
        let mut blocks: Vec<f64> = blocks
            .iter()
            .map(|weight| if known(weight) { *weight } else { mean })
            .collect();
        let least = LONG * blocks.iter().sum::<f64>() / frames.max(1) as f64;
        let long: Vec<(u64, f64)> = heavy
            .iter()
            .filter(|(place, weight)| *place < frames && *weight > least)
            .copied()
            .collect();
        for (place, weight) in &long {
            let block = &mut blocks[(place / per_block) as usize];
            *block = (*block - weight).max(0.0);
        }
        Self {
            per_block,
            frames,
            sums: running(blocks.iter().copied()),
            long_sums: running(long.iter().map(|(_, weight)| *weight)),
            long,
        }
    }

    /// Mean weight of a frame.
    pub fn mean(&self) -> f64 {
        self.upto(self.frames) / self.frames.max(1) as f64
    }

    /// Long frames among `places`, with their weights.
    pub fn long(&self, places: &Range<u64>) -> &[(u64, f64)] {
        let at = |place: u64| self.long.partition_point(|(long, _)| *long < place);
        &self.long[at(places.start)..at(places.end)]
    }

    /// The weight of the places `places`.
    pub fn of(&self, places: &Range<u64>) -> f64 {
        self.upto(places.end) - self.upto(places.start)
    }

    /// The place up to which the frames from `start` on weigh `weight`, to the nearest frame.
    pub fn cut(&self, start: u64, weight: f64) -> u64 {
        if self.long.is_empty() {
            return self.cut_blocks(start, weight);
        }
        // The weight before a place never falls: halve.
        let wanted = self.upto(start) + weight;
        let (mut below, mut above) = (start, self.frames.max(start));
        while below < above {
            let middle = below + (above - below) / 2;
            if self.upto(middle + 1) <= wanted {
                below = middle + 1;
            } else {
                above = middle;
            }
        }
        let rest =
            (wanted - self.upto(below)) / self.of(&(below..below + 1)).max(f64::MIN_POSITIVE);
        (below + u64::from(rest >= 0.5)).min(self.frames)
    }

    fn cut_blocks(&self, start: u64, weight: f64) -> u64 {
        let wanted = self.upto(start) + weight;
        let block = self.sums.partition_point(|sum| *sum <= wanted);
        let Some(after) = self.sums.get(block) else {
            return self.frames;
        };
        let block = block.saturating_sub(1);
        let before = self.sums[block];
        let first = block as u64 * self.per_block;
        let length = self.per_block.min(self.frames.saturating_sub(first));
        let part = (wanted - before) / (after - before);
        (first + (part * length as f64).round() as u64).clamp(start, self.frames)
    }

    fn upto(&self, place: u64) -> f64 {
        let place = place.min(self.frames);
        let long = self.long_sums[self.long.partition_point(|(long, _)| *long < place)];
        let block = (place / self.per_block) as usize;
        let Some(after) = self.sums.get(block + 1) else {
            return self.sums[self.sums.len() - 1] + long;
        };
        let first = block as u64 * self.per_block;
        let length = self.per_block.min(self.frames - first).max(1);
        let part = (place - first) as f64 / length as f64;
        self.sums[block] + part * (after - self.sums[block]) + long
    }
}

/// The sum before each number, and of all.
fn running(numbers: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut sums = vec![0.0];
    for (i, number) in numbers.enumerate() {
        sums.push(sums[i] + number);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_weight_is_the_sum_of_its_frames(weights in prop::collection::vec(0.5f64..4.0, 1..60), a in 0u64..60, b in 0u64..60) {
            let n = weights.len() as u64;
            let (a, b) = (a.min(b).min(n), a.max(b).min(n));
            let named: Vec<(u64, f64)> = (0..).zip(weights.iter().copied()).collect();
            let sum: f64 = weights[a as usize..b as usize].iter().sum();
            for heavy in [&[][..], &named] {
                let all = Weights::from_blocks(n, &weights, heavy);
                prop_assert!((all.of(&(a..b)) - sum).abs() < 1e-9);
                prop_assert_eq!(all.cut(a, sum), b);
            }
        }

        #[test]
        fn even_weights_are_numbers_of_frames(n in 0u64..1_000_000_000, a in 0u64..1000, b in 0u64..1000) {
            let all = Weights::even(n);
            let (a, b) = (a.min(b).min(n), a.max(b).min(n));
            prop_assert!((all.of(&(a..b)) - (b - a) as f64).abs() < 1e-6);
            prop_assert_eq!(all.cut(a, (b - a) as f64), b);
        }
    }

    #[test]
    fn large_plans_are_kept_in_blocks() {
        let frames = 10_000_001;
        let (per_block, count) = Weights::blocks(frames);
        assert_eq!((per_block, count), (153, 65_360));
        let rising: Vec<f64> = (1..=count).map(|i| i as f64).collect();
        let weights = Weights::from_blocks(frames, &rising, &[]);
        assert!((weights.of(&(0..153)) - 1.0).abs() < 1e-9);
        let all: f64 = rising.iter().sum();
        assert!((weights.of(&(0..frames)) / all - 1.0).abs() < 1e-12);
        let middle = weights.cut(0, all / 2.0);
        assert!((weights.of(&(0..middle)) / all - 0.5).abs() < 1e-5);
    }

    #[test]
    fn what_is_not_known_weighs_the_mean() {
        let weights = Weights::from_blocks(4, &[1.0, f64::NAN, 3.0, 0.0], &[]);
        assert_eq!(weights.of(&(1..2)), 2.0);
        assert_eq!(weights.of(&(0..4)), 8.0);
        assert_eq!(Weights::from_blocks(2, &[f64::NAN, 0.0], &[]).mean(), 1.0);
        assert_eq!(Weights::from_blocks(0, &[], &[]).mean(), 0.0);
    }

    #[test]
    fn long_frames_are_known_by_name_where_they_are_asked_for() {
        let heavy = [(1, 5.0), (3, 1.5), (7, 9.0)];
        let weights = Weights::from_blocks(8, &[1.0, 5.0, 1.0, 1.5, 1.0, 1.0, 1.0, 9.0], &heavy);
        assert_eq!(weights.long(&(0..8)), [(7, 9.0)]);
        // A long frame among the others of its block.
        let mut blocks = vec![3.0; BLOCKS as usize];
        (blocks[0], blocks[2]) = (7.0, 11.0);
        let many = Weights::from_blocks(3 * BLOCKS, &blocks, &heavy);
        let own: Vec<f64> = (0..9).map(|i| many.of(&(i..i + 1))).collect();
        let rest = [2.0 / 3.0, 1.0, 2.0 / 3.0];
        let expected = [
            rest[0],
            rest[0] + 5.0,
            rest[0],
            1.0,
            1.0,
            1.0,
            rest[2],
            rest[2] + 9.0,
            rest[2],
        ];
        assert!(
            own.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9),
            "{own:?}"
        );
        assert_eq!(many.cut(0, 7.0 + 3.0 + 1.0), 7);
        assert_eq!(many.long(&(0..7)), [(1, 5.0)]);
        assert_eq!(many.long(&(2..100)), [(7, 9.0)]);
    }
}
