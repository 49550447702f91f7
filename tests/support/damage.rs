//! Cut tails and flipped bits.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::torture::number;

/// Bytes of a block; times and names change from one result to the next, which blocks are empty does not.
const BLOCK: usize = 512;

/// What happens to a file.
#[derive(Clone, Debug)]
pub enum Damage {
    /// So much of the file is left, in parts of 2^16.
    Cut(u16),
    /// Bits that are flipped: where, and which. Half of the places count only blocks with something in them, since
    /// zeros are mostly room for data.
    Flips(Vec<(bool, u32, u8)>),
}

impl Damage {
    fn strategy() -> impl Strategy<Value = Self> {
        prop_oneof![
            1 => any::<u16>().prop_map(Self::Cut),
            5 => vec((any::<bool>(), any::<u32>(), 0..8u8), 1..6).prop_map(Self::Flips),
        ]
    }

    /// The bytes of a file that this has happened to.
    pub fn apply(&self, whole: &[u8]) -> Vec<u8> {
        let mut bytes = whole.to_vec();
        match self {
            Self::Cut(part) => bytes.truncate(whole.len() * usize::from(*part) / (1 << 16)),
            Self::Flips(flips) => {
                let blocks = whole.chunks(BLOCK).enumerate();
                let filled: Vec<_> = blocks
                    .filter(|(_, block)| block.iter().any(|byte| *byte != 0))
                    .flat_map(|(i, block)| i * BLOCK..i * BLOCK + block.len())
                    .collect();
                for (in_filled, place, bit) in flips {
                    let place = *place as usize;
                    let at = if *in_filled {
                        filled[place % filled.len()]
                    } else {
                        place % whole.len()
                    };
                    bytes[at] ^= 1 << bit;
                }
            }
        }
        bytes
    }
}

/// So many in the ordinary suite, and so many for each N of `FRAMEWISE_TORTURE=N`; the same ones in every run.
pub fn damages((short, long): (usize, usize)) -> Vec<Damage> {
    let mut runner = TestRunner::deterministic();
    let strategy = Damage::strategy();
    (0..number(short, long))
        .map(|_| strategy.new_tree(&mut runner).unwrap().current())
        .collect()
}
