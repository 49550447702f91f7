//! What one rank has before it: long frames first, the rest in the order of the file.

use super::frame_set::FrameSet;
use super::weights::Weights;

/// Places of a plan that are not begun.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    rest: FrameSet,
    /// Long frames and what they weigh, the longest last.
    long: Vec<(u64, f64)>,
    weight: f64,
}

impl Queue {
    /// `places` in the order in which they are best begun.
    pub fn new(places: FrameSet, weights: &Weights) -> Self {
        let weight = places.runs().iter().map(|run| weights.of(run)).sum();
        let named = places.runs().iter().flat_map(|run| weights.long(run));
        let mut long: Vec<(u64, f64)> = named.copied().collect();
        if long.is_empty() {
            return Self {
                rest: places,
                long: Vec::new(),
                weight,
            };
        }
        let gone = long.iter().map(|(place, _)| *place..place + 1).collect();
        let rest = places.difference(&gone);
        // The longest last, and of equals the first in the file last.
        long.sort_unstable_by(|(a, x), (b, y)| x.total_cmp(y).then(b.cmp(a)));
        Self { rest, long, weight }
    }

    /// Long frames that weigh no more than `weight` come in the order of the file, too: where they are short enough to
    /// share a batch with others, nobody waits for one of them, and alone they are read and written slowly.
    pub fn level(&mut self, weight: f64) {
        let short = self.long.partition_point(|(_, own)| *own <= weight);
        if short > 0 {
            let places = self.long.drain(..short).map(|(place, _)| place..place + 1);
            let places: FrameSet = places.collect();
            self.rest = FrameSet::union([&self.rest, &places]);
        }
    }

    /// The next places, up to `most` of them and about as many as weigh `weight`, one at least.
    pub fn next(&mut self, most: u64, weight: f64, weights: &Weights) -> FrameSet {
        let taken = if let Some((place, _)) = self.long.pop() {
            FrameSet::from_runs(vec![place..place + 1])
        } else {
            let most = self.enough(most.max(1), weight, weights);
            self.rest.split_front(most)
        };
        self.weight -= taken.runs().iter().map(|run| weights.of(run)).sum::<f64>();
        taken
    }

    /// How many frames from the front on weigh `weight`.
    fn enough(&self, most: u64, weight: f64, weights: &Weights) -> u64 {
        let (mut count, mut before) = (0, 0.0);
        for run in self.rest.runs() {
            let whole = weights.of(run);
            if before + whole >= weight {
                count += weights.cut(run.start, weight - before).min(run.end) - run.start;
                break;
            }
            before += whole;
            count += run.end - run.start;
            if count >= most {
                break;
            }
        }
        count.clamp(1, most)
    }

    /// True when everything is begun.
    pub fn is_empty(&self) -> bool {
        self.long.is_empty() && self.rest.is_empty()
    }

    /// Expected cost of all that is left.
    pub fn weight(&self) -> f64 {
        if self.is_empty() {
            return 0.0;
        }
        // Sums and differences leave a rest.
        self.weight.max(f64::MIN_POSITIVE)
    }

    /// All places that are left.
    pub fn places(&self) -> FrameSet {
        let long = self.long.iter().map(|(place, _)| *place..place + 1);
        self.rest.runs().iter().cloned().chain(long).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn named(own: &[f64]) -> Vec<(u64, f64)> {
        (0..).zip(own.iter().copied()).collect()
    }

    #[test]
    fn long_frames_come_first_the_others_in_their_order() {
        let own: Vec<f64> = (0..20)
            .map(|i| if i % 7 == 3 { 9.0 + f64::from(i) } else { 1.0 })
            .collect();
        let weights = Weights::from_blocks(20, &own, &named(&own));
        let mut queue = Queue::new(FrameSet::all(20), &weights);
        let mut order = Vec::new();
        while !queue.is_empty() {
            order.push(queue.next(100, 4.0, &weights).iter().collect::<Vec<_>>());
        }
        let expected: [&[u64]; 7] = [
            &[17],
            &[10],
            &[3],
            &[0, 1, 2, 4],
            &[5, 6, 7, 8],
            &[9, 11, 12, 13],
            &[14, 15, 16, 18],
        ];
        assert_eq!(order[..7], expected);
        assert_eq!(queue.weight(), 0.0);
    }

    #[test]
    fn long_frames_that_fit_into_a_batch_come_in_the_order_of_the_file() {
        let own: Vec<f64> = (0..20)
            .map(|i| if i % 7 == 3 { 9.0 + f64::from(i) } else { 1.0 })
            .collect();
        let weights = Weights::from_blocks(20, &own, &named(&own));
        let mut queue = Queue::new(FrameSet::all(20), &weights);
        queue.level(20.0);
        let mut order = Vec::new();
        while !queue.is_empty() {
            order.push(queue.next(100, 14.0, &weights).iter().collect::<Vec<_>>());
        }
        let expected: [&[u64]; 3] = [&[17], &[0, 1, 2, 3], &[4, 5, 6, 7, 8, 9]];
        assert_eq!(order[..3], expected);
        assert_eq!(queue.weight(), 0.0);
    }

    proptest! {
        #[test]
        fn every_place_comes_once(runs in prop::collection::vec((0u64..90, 1u64..9), 0..12), most in 0u64..9, weight in 0.0f64..7.0, short in 0.0f64..12.0, even: bool) {
            let places: FrameSet = runs.into_iter().map(|(a, n)| a..a + n).collect();
            let own: Vec<f64> = (0..100).map(|i| 1.0 + f64::from(i * 37 % 11)).collect();
            let weights = if even { Weights::even(100) } else { Weights::from_blocks(100, &own, &named(&own)) };
            let mut queue = Queue::new(places.clone(), &weights);
            let mut taken = Vec::new();
            while !queue.is_empty() {
                prop_assert_eq!(queue.places().len() + taken.len() as u64, places.len());
                if taken.len() > 5 {
                    queue.level(short);
                    prop_assert_eq!(queue.places().len() + taken.len() as u64, places.len());
                }
                let next = queue.next(most, weight, &weights);
                prop_assert!((1..=most.max(1)).contains(&next.len()));
                taken.extend(next.iter());
            }
            taken.sort_unstable();
            prop_assert!(places.iter().eq(taken));
        }
    }
}
