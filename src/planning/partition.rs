//! Equal parts of a set of frames.

use std::ops::Range;

use super::frame_set::FrameSet;

/// The frames of rank `rank` of `size`: equal numbers of consecutive frames, the remainder one each to the first ranks.
pub fn share(frames: &FrameSet, rank: usize, size: usize) -> FrameSet {
    frames.slice(part(frames.len(), rank as u64, size as u64))
}

/// Part `i` (0-based) of `n` of `total` things, as `numpy.array_split` cuts them.
pub fn part(total: u64, i: u64, n: u64) -> Range<u64> {
    let (quotient, remainder) = (total / n, total % n);
    let start = i * quotient + i.min(remainder);
    start..start + quotient + u64::from(i < remainder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn shares_are_disjoint_complete_and_equal_within_one(
            runs in prop::collection::vec((0u64..500, 1u64..40), 0..20),
            size in 1usize..20,
        ) {
            let pending: FrameSet = runs.into_iter().map(|(a, n)| a..a + n).collect();
            let shares: Vec<_> = (0..size).map(|r| share(&pending, r, size)).collect();
            let together: Vec<_> = shares.iter().flat_map(FrameSet::iter).collect();
            prop_assert!(pending.iter().eq(together));
            let lengths = shares.iter().map(FrameSet::len);
            let spread = lengths.clone().max().unwrap() - lengths.min().unwrap();
            prop_assert!(spread <= 1);
        }
    }

    #[test]
    fn parts_are_those_of_numpy_array_split() {
        // numpy.array_split(numpy.arange(10), 4) has lengths 3, 3, 2, 2.
        let lengths: Vec<_> = (0..4).map(|i| part(10, i, 4)).collect();
        assert_eq!(lengths, [0..3, 3..6, 6..8, 8..10]);
    }
}
