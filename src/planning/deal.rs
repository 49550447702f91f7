//! Who computes what: the frames that nobody has begun are dealt out so that all ranks end together.
//!
//! Every rank makes the same [`Deal`] of the same accounts and takes its own share; there is nobody to ask. What a rank has is
//! left with it as far as possible, and ranks of one node are served from the same node first: frames that follow each
//! other stay together, and are written fastest. The work is O(P log P) for P ranks, whatever the number of frames.

use std::ops::Range;

use super::frame_set::FrameSet;
use super::weights::Weights;

/// How one rank stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Account {
    /// Places in the plan that it has been dealt and has not begun.
    pub left: FrameSet,
    /// Seconds until its workers have done what they have in hand.
    pub in_hand: f64,
    /// Seconds that its workers take together for frames of weight 1, as they have been seen to; 0 when they have not.
    pub rate: f64,
}

impl Account {
    /// As numbers, to travel between ranks.
    pub fn encode(&self) -> Vec<u64> {
        let runs = self.left.runs().iter().flat_map(|run| [run.start, run.end]);
        [self.in_hand.to_bits(), self.rate.to_bits()]
            .into_iter()
            .chain(runs)
            .collect()
    }

    /// From the numbers of [`encode`](Self::encode).
    pub fn decode(numbers: &[u64]) -> Self {
        let (head, runs) = numbers.split_at(numbers.len().min(2));
        let number = |i: usize| f64::from_bits(head.get(i).copied().unwrap_or(0));
        Self {
            left: runs.chunks_exact(2).map(|run| run[0]..run[1]).collect(),
            in_hand: number(0),
            rate: number(1),
        }
    }
}

/// A number of seconds that goes from one rank to another.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Transfer {
    from: usize,
    to: usize,
    seconds: f64,
    /// Which pass of [`match_up`] it belongs to: that of a node, or the one over all nodes.
    pass: usize,
}

/// Everybody's places after all have given and received.
#[derive(Debug)]
pub struct Deal<'a> {
    accounts: &'a [Account],
    /// What is left to those who give.
    kept: Vec<Option<Vec<Range<u64>>>>,
    received: Vec<Vec<Range<u64>>>,
}

impl<'a> Deal<'a> {
    /// Of all ranks' accounts; `nodes` says on which node each rank is.
    pub fn new(accounts: &'a [Account], weights: &Weights, nodes: &[u32]) -> Self {
        let rates = rates(accounts);
        let cost = |(account, rate): (&Account, &f64)| rate * weight(account.left.runs(), weights);
        let costs: Vec<f64> = accounts.iter().zip(&rates).map(cost).collect();
        let level = level(accounts, costs.iter().sum());
        let (mut transfers, passes) = transfers(accounts, &costs, level, nodes);
        let mut kept = vec![None; accounts.len()];
        let mut received = vec![Vec::new(); accounts.len()];
        // Seconds by which less was cut off so far than was meant to, frames being whole. The next in the pass makes up
        // for it: who receives from many, or gives to many, is a frame off and not one for each of them.
        let mut owed = vec![0.0; passes];
        for given in transfers.chunk_by_mut(|a, b| a.from == b.from) {
            let (from, rate) = (given[0].from, rates[given[0].from]);
            for transfer in given.iter_mut() {
                let wanted = transfer.seconds + owed[transfer.pass];
                transfer.seconds = wanted.max(0.0);
                owed[transfer.pass] = wanted - transfer.seconds;
            }
            let wanted: Vec<f64> = given.iter().map(|t| t.seconds / rate).collect();
            // Who is busy until after all others are done keeps no frame, whatever is owed.
            let rest = if accounts[from].in_hand < level {
                (costs[from] / rate - wanted.iter().sum::<f64>()).max(0.0)
            } else {
                0.0
            };
            let (rest, pieces) = cut(&accounts[from].left, rest, &wanted, weights);
            kept[from] = Some(rest);
            for (transfer, piece) in given.iter().zip(pieces) {
                owed[transfer.pass] += transfer.seconds - rate * weight(&piece, weights);
                received[transfer.to].extend(piece);
            }
        }
        Self {
            accounts,
            kept,
            received,
        }
    }

    /// The places of rank `rank`.
    pub fn share(&self, rank: usize) -> FrameSet {
        let kept = self.kept[rank].as_deref();
        let kept = kept.unwrap_or(self.accounts[rank].left.runs());
        FrameSet::from_runs([kept, &self.received[rank]].concat())
    }

    /// Everybody's places.
    pub fn shares(&self) -> Vec<FrameSet> {
        (0..self.accounts.len()).map(|r| self.share(r)).collect()
    }
}

/// Who gives how much to whom, by the one who gives and in the order in which its places are cut off; and the number of
/// passes.
fn transfers(
    accounts: &[Account],
    costs: &[f64],
    level: f64,
    nodes: &[u32],
) -> (Vec<Transfer>, usize) {
    let mut surplus = Vec::with_capacity(accounts.len());
    let mut need = Vec::with_capacity(accounts.len());
    for (account, cost) in accounts.iter().zip(costs) {
        let end = account.in_hand + cost;
        surplus.push((end - level.max(account.in_hand)).max(0.0));
        need.push((level - end).max(0.0));
    }
    let order = by_node(nodes);
    let mut transfers = Vec::new();
    let mut pass = 0;
    for node in order.chunk_by(|a, b| nodes[*a] == nodes[*b]) {
        match_up(node, &mut surplus, &mut need, pass, &mut transfers);
        pass += 1;
    }
    match_up(&order, &mut surplus, &mut need, pass, &mut transfers);
    // In the order of each pass, for what is owed in it.
    transfers.sort_by_key(|t| (nodes[t.from], t.from));
    (transfers, pass + 1)
}

/// The first of `left`, which weigh `kept`, and pieces of the weights `wanted` after them, to the nearest frame; the last
/// of them goes to the end.
fn cut(
    left: &FrameSet,
    kept: f64,
    wanted: &[f64],
    weights: &Weights,
) -> (Vec<Range<u64>>, Vec<Vec<Range<u64>>>) {
    // Where each piece begins, by weight from the first of `left` on.
    let mut bounds = vec![kept];
    for weight in wanted {
        bounds.push(bounds[bounds.len() - 1] + weight);
    }
    let last = bounds.len() - 1;
    bounds[last] = f64::INFINITY;
    let mut pieces = vec![Vec::new(); bounds.len()];
    let (mut before, mut piece) = (0.0, 0);
    for run in left.runs() {
        let mut start = run.start;
        let end = before + weights.of(run);
        while start < run.end {
            let cut = if bounds[piece] >= end {
                run.end
            } else {
                let within = bounds[piece] - before;
                weights.cut(run.start, within).clamp(start, run.end)
            };
            if cut > start {
                pieces[piece].push(start..cut);
            }
            start = cut;
            piece += usize::from(start < run.end);
        }
        before = end;
    }
    let kept = pieces.remove(0);
    (kept, pieces)
}

/// Seconds per weight of each rank; those who have none yet take the mean of the others.
fn rates(accounts: &[Account]) -> Vec<f64> {
    let known = |rate: f64| rate.is_finite() && rate > 0.0;
    let (sum, number) = accounts
        .iter()
        .filter(|a| known(a.rate))
        .fold((0.0, 0u32), |(sum, n), a| (sum + a.rate, n + 1));
    let mean = if number > 0 {
        sum / f64::from(number)
    } else {
        1.0
    };
    accounts
        .iter()
        .map(|a| if known(a.rate) { a.rate } else { mean })
        .collect()
}

fn weight(places: &[Range<u64>], weights: &Weights) -> f64 {
    places.iter().map(|run| weights.of(run)).sum()
}

/// The time at which all are done when `work` seconds are spread over those who are done before.
fn level(accounts: &[Account], work: f64) -> f64 {
    let mut in_hand: Vec<f64> = accounts.iter().map(|a| a.in_hand).collect();
    in_hand.sort_by(f64::total_cmp);
    let mut sum = 0.0;
    for (i, own) in in_hand.iter().enumerate() {
        sum += own;
        let level = (work + sum) / (i + 1) as f64;
        if in_hand.get(i + 1).is_none_or(|next| level <= *next) {
            return level;
        }
    }
    0.0
}

/// Ranks in the order of their nodes, those of a node in theirs.
fn by_node(nodes: &[u32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    order.sort_by_key(|rank| nodes[*rank]);
    order
}

/// Gives what some have too much to those who have too little, in the order of `ranks`.
fn match_up(
    ranks: &[usize],
    surplus: &mut [f64],
    need: &mut [f64],
    pass: usize,
    transfers: &mut Vec<Transfer>,
) {
    let mut receivers = ranks.iter().copied().peekable();
    for from in ranks.iter().copied() {
        while surplus[from] > 0.0 {
            let Some(to) = receivers.peek().copied() else {
                return;
            };
            if need[to] <= 0.0 {
                receivers.next();
                continue;
            }
            let seconds = surplus[from].min(need[to]);
            transfers.push(Transfer {
                from,
                to,
                seconds,
                pass,
            });
            surplus[from] -= seconds;
            need[to] -= seconds;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn places(runs: &[Range<u64>]) -> FrameSet {
        runs.iter().cloned().collect()
    }

    /// Everybody's share.
    fn shares(accounts: &[Account], weights: &Weights, nodes: &[u32]) -> Vec<FrameSet> {
        Deal::new(accounts, weights, nodes).shares()
    }

    /// All `n` places with rank 0, as at the start.
    fn start(n: u64, ranks: usize) -> Vec<Account> {
        let mut accounts = vec![Account::default(); ranks];
        accounts[0].left = FrameSet::all(n);
        accounts
    }

    fn any_accounts() -> impl Strategy<Value = (u64, Vec<Account>, Vec<u32>)> {
        let run = (0u64..4, 0u64..30, 0usize..8);
        (
            prop::collection::vec(run, 0..40),
            prop::collection::vec((0.0f64..50.0, 0.0f64..3.0, 0u32..3), 1..9),
        )
            .prop_map(|(runs, ranks)| {
                let mut accounts: Vec<Account> = ranks
                    .iter()
                    .map(|(in_hand, rate, _)| Account {
                        in_hand: *in_hand,
                        rate: *rate,
                        ..Account::default()
                    })
                    .collect();
                let mut at = 0;
                for (gap, length, owner) in runs {
                    let owner = owner % accounts.len();
                    accounts[owner].left.append(at + gap..at + gap + length);
                    at += gap + length;
                }
                (at, accounts, ranks.into_iter().map(|r| r.2).collect())
            })
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_dealt_twice((n, accounts, nodes) in any_accounts(), seed in 0u64..9) {
            let own: Vec<f64> = (0..n).map(|i| 0.2 + ((i * 7 + seed) % 11) as f64).collect();
            for weights in [Weights::even(n), Weights::from_blocks(n, &own, &[])] {
                let shares = shares(&accounts, &weights, &nodes);
                let before = FrameSet::union(accounts.iter().map(|a| &a.left));
                prop_assert_eq!(&FrameSet::union(&shares), &before);
                prop_assert_eq!(shares.iter().map(FrameSet::len).sum::<u64>(), before.len());
            }
        }

        #[test]
        fn all_end_within_a_few_frames_of_each_other((n, mut accounts, nodes) in any_accounts()) {
            for account in &mut accounts {
                account.rate = 1.0;
            }
            let weights = Weights::even(n);
            let shares = shares(&accounts, &weights, &nodes);
            let ends: Vec<f64> = shares.iter().zip(&accounts).map(|(s, a)| s.len() as f64 + a.in_hand).collect();
            // Nobody who was given something, or still has something, ends later than the others, but for whole frames:
            // half of one at each end of what was cut off, within the node and over all nodes.
            let first = ends.iter().copied().fold(f64::INFINITY, f64::min);
            let working = shares.iter().zip(&ends).filter(|(s, _)| !s.is_empty());
            let last = working.map(|(_, end)| *end).fold(first, f64::max);
            prop_assert!(last - first <= 5.0, "{:?}", ends);
        }

        #[test]
        fn an_account_survives_its_journey((_, accounts, _) in any_accounts()) {
            for account in accounts {
                prop_assert_eq!(Account::decode(&account.encode()), account);
            }
        }
    }

    #[test]
    fn at_the_start_every_rank_gets_one_piece_of_equal_weight() {
        for (n, ranks) in [(1003u64, 4usize), (10, 3), (2, 5), (0, 3), (7, 1)] {
            let nodes = vec![0; ranks];
            let shares = shares(&start(n, ranks), &Weights::even(n), &nodes);
            let mut at = 0;
            for share in shares {
                assert!(share.runs().len() <= 1, "{n} on {ranks}: {share:?}");
                assert!(share.len() <= n.div_ceil(ranks as u64), "{n} on {ranks}");
                if let Some(run) = share.runs().first() {
                    assert_eq!(run.start, at, "in the order of the ranks");
                    at = run.end;
                }
            }
            assert_eq!(at, n);
        }
    }

    #[test]
    fn heavy_frames_make_short_shares() {
        let weights = Weights::from_blocks(6, &[10.0, 2.0, 2.0, 2.0, 2.0, 2.0], &[]);
        let shares = shares(&start(6, 2), &weights, &[0, 0]);
        assert_eq!(shares, [places(&[0..1]), places(&[1..6])]);
    }

    #[test]
    fn ranks_of_one_node_have_frames_that_follow_each_other() {
        // As `--map-by node` numbers them.
        let shares = shares(&start(40, 4), &Weights::even(40), &[0, 2, 0, 2]);
        assert_eq!(
            shares,
            [
                places(&[0..10]),
                places(&[20..30]),
                places(&[10..20]),
                places(&[30..40])
            ]
        );
    }

    #[test]
    fn who_has_nothing_left_is_served_from_the_end_of_a_neighbours_share() {
        let account = |left: &[Range<u64>]| Account {
            left: places(left),
            in_hand: 0.0,
            rate: 1.0,
        };
        let accounts = [
            account(&[0..10]),
            account(&[]),
            account(&[20..32]),
            account(&[40..46]),
        ];
        let shares = shares(&accounts, &Weights::even(50), &[0, 0, 1, 1]);
        assert_eq!(
            shares,
            [
                places(&[0..7]),
                places(&[7..10, 28..32]),
                places(&[20..27]),
                places(&[27..28, 40..46])
            ]
        );
    }

    #[test]
    fn who_receives_from_many_gets_no_more_than_was_meant() {
        // 16 ranks give 0.59 of a frame each: one and all of them would be 16 frames for the one that has nothing.
        for (donors, nodes) in [(16u64, vec![0; 17]), (16, (0..17).map(|r| r % 2).collect())] {
            let account = |rank: u64| Account {
                left: places(&[10 * rank..10 * rank + 10]),
                in_hand: 0.0,
                rate: 1.0,
            };
            let mut accounts: Vec<_> = (0..donors).map(account).collect();
            accounts.push(Account::default());
            let shares = shares(&accounts, &Weights::even(10 * donors), &nodes);
            let lengths: Vec<u64> = shares.iter().map(FrameSet::len).collect();
            assert!(lengths.iter().all(|n| *n == 9 || *n == 10), "{lengths:?}");
        }
    }

    #[test]
    fn a_rank_that_is_slow_gives_more_away() {
        let mut accounts = vec![
            Account {
                left: places(&[0..10]),
                in_hand: 0.0,
                rate: 3.0,
            },
            Account {
                left: places(&[10..20]),
                in_hand: 0.0,
                rate: 1.0,
            },
        ];
        let lengths = |accounts: &[Account]| -> Vec<u64> {
            let shares = shares(accounts, &Weights::even(20), &[0, 0]);
            shares.iter().map(FrameSet::len).collect()
        };
        assert_eq!(lengths(&accounts), [7, 13]);
        // One that is busy for long gives all of it.
        accounts[0].in_hand = 100.0;
        assert_eq!(lengths(&accounts), [0, 20]);
    }
}
