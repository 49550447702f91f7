//! Votes as numbers of which the maximum over all ranks is the verdict.

use crate::engine::ports::{Stop, Trouble, Verdict, Vote};

/// How many numbers make a vote.
const COUNT: usize = 11;
/// A vote.
pub(super) type Numbers = [i64; COUNT];

/// Rank numbers count down from here inside a vote, so that the maximum names the lowest rank.
const RANK_CEILING: i64 = 1 << 40;

pub(super) fn encode(vote: Vote, rank: usize) -> Numbers {
    let trouble = match vote.trouble {
        Trouble::No => 0,
        worse => worse as i64 * RANK_CEILING + (RANK_CEILING - 1 - rank as i64),
    };
    [
        trouble,
        vote.stop as i64,
        i64::from(vote.commit),
        i64::from(vote.busy),
        i64::from(vote.messages),
        vote.slabs as i64,
        // The maximum is 0 where everybody has trouble.
        i64::from(vote.trouble == Trouble::No),
        vote.longest as i64,
        // The maximum of what is missing is the least that is left.
        i64::MAX - micros(vote.left),
        micros(vote.left),
        micros(vote.movable),
    ]
}

fn micros(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

pub(super) fn decode(numbers: Numbers) -> Verdict {
    let trouble = match numbers[0] / RANK_CEILING {
        0 => None,
        1 => Some(Trouble::Ending),
        _ => Some(Trouble::Writing),
    };
    Verdict {
        trouble: trouble.map(|t| (t, (RANK_CEILING - 1 - numbers[0] % RANK_CEILING) as usize)),
        stop: [Stop::No, Stop::AtWalltime, Stop::InGoodOrder, Stop::Now]
            [numbers[1].clamp(0, 3) as usize],
        commit: numbers[2] != 0,
        busy: numbers[3] != 0,
        messages: numbers[4] != 0,
        slabs: numbers[5] as u64,
        all_troubled: numbers[6] == 0,
        longest: numbers[7] as u64,
        left: ((i64::MAX - numbers[8]) as u64, numbers[9] as u64),
        movable: numbers[10] as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_survives_its_journey_and_the_maximum_names_the_lowest_rank() {
        let bad = |trouble| Vote {
            trouble,
            ..Vote::default()
        };
        let votes = [
            encode(
                Vote {
                    commit: true,
                    slabs: 7,
                    longest: 30_000_000,
                    left: 5_000,
                    movable: 3_000,
                    ..Vote::default()
                },
                0,
            ),
            encode(
                Vote {
                    left: 70,
                    ..bad(Trouble::Ending)
                },
                1,
            ),
            encode(
                Vote {
                    stop: Stop::Now,
                    busy: true,
                    left: 100,
                    ..bad(Trouble::Writing)
                },
                2,
            ),
            encode(
                Vote {
                    messages: true,
                    left: 200,
                    ..bad(Trouble::Writing)
                },
                3,
            ),
        ];
        let mut all = Numbers::default();
        for vote in votes {
            for (most, number) in all.iter_mut().zip(vote) {
                *most = number.max(*most);
            }
        }
        let expected = Verdict {
            trouble: Some((Trouble::Writing, 2)),
            stop: Stop::Now,
            commit: true,
            busy: true,
            messages: true,
            slabs: 7,
            all_troubled: false,
            longest: 30_000_000,
            left: (70, 5_000),
            movable: 3_000,
        };
        assert_eq!(decode(all), expected);
        assert!(decode(encode(bad(Trouble::Ending), 5)).all_troubled);
    }
}
