//! Which frames a commit holds, and whose they are.

use crate::planning::frame_set::FrameSet;
use crate::planning::partition::part;

use super::frames::random;

/// Half of the frames of a file, as a run that is half done would commit them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// The first half of the file, one piece per rank.
    Block,
    /// The first half of the file, dealt out at random, as a cost model does.
    Dealt,
    /// Every other frame, dealt out in turn.
    Cyclic,
    /// A random half, dealt out at random.
    Random,
}

impl Pattern {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Block, Self::Dealt, Self::Cyclic, Self::Random];

    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Dealt => "dealt",
            Self::Cyclic => "cyclic",
            Self::Random => "random",
        }
    }

    /// The share of rank `rank` of `size`.
    pub fn frames(self, frames: u64, rank: usize, size: usize) -> FrameSet {
        let half = frames / 2;
        let mine = |k: &u64| *k % size as u64 == rank as u64;
        match self {
            Self::Block => FrameSet::from_runs(vec![part(half, rank as u64, size as u64)]),
            Self::Dealt => {
                let order = shuffled(half);
                let dealt = (0..half).filter(mine).map(|k| order[k as usize]);
                dealt.map(|frame| frame..frame + 1).collect()
            }
            Self::Cyclic => (0..half).filter(mine).map(|k| 2 * k..2 * k + 1).collect(),
            Self::Random => {
                let order = shuffled(frames);
                let dealt = (0..half).filter(mine).map(|k| order[k as usize]);
                dealt.map(|frame| frame..frame + 1).collect()
            }
        }
    }
}

/// The numbers `0..n` in random order, the same on every rank and machine.
pub fn shuffled(n: u64) -> Vec<u64> {
    let mut numbers: Vec<u64> = (0..n).collect();
    let mut state = 4711;
    for i in (1..n as usize).rev() {
        let j = ((random(&mut state) + 1.0) / 2.0 * (i + 1) as f64) as usize;
        numbers.swap(i, j.min(i));
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_all_ranks_are_half_of_the_frames() {
        for pattern in Pattern::ALL {
            for size in 1..4 {
                let shares: Vec<_> = (0..size).map(|r| pattern.frames(101, r, size)).collect();
                let all = FrameSet::union(&shares);
                assert_eq!(all.len(), 50, "{pattern:?} on {size} ranks");
                assert_eq!(
                    shares.iter().map(FrameSet::len).sum::<u64>(),
                    50,
                    "disjoint"
                );
            }
        }
    }
}
