//! Which cores each rank of a machine computes on, and with how many workers.

use std::collections::BTreeMap;
use std::ops::Range;

use super::partition::part;

/// What a rank finds at its start. Every rank knows it of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Berth {
    /// Tells its machine from others.
    pub machine: u64,
    /// Tells the set of cores it may run on from other sets.
    pub mask: u64,
    /// Cores in that set.
    pub cores: usize,
    /// Where processor time is limited: what tells the group of processes that share it, and for how many cores it is.
    pub quota: Option<(u64, usize)>,
    /// Workers the user has asked for.
    pub asked: Option<usize>,
}

/// Numbers of a [`Berth`] on its way to the other ranks.
pub const BERTH_NUMBERS: usize = 6;
/// Hashes travel as doubles, which hold this many bits.
const HASH: u64 = (1 << 53) - 1;

impl Berth {
    /// As numbers. Machine, mask and quota's group keep their low 53 bits.
    pub fn to_row(self) -> [f64; BERTH_NUMBERS] {
        let (group, quota) = self.quota.unwrap_or_default();
        [
            (self.machine & HASH) as f64,
            (self.mask & HASH) as f64,
            self.cores as f64,
            (group & HASH) as f64,
            quota as f64,
            self.asked.unwrap_or(0) as f64,
        ]
    }

    /// From the numbers of [`to_row`](Self::to_row).
    pub fn from_row(row: &[f64]) -> Self {
        let at = |i: usize| row.get(i).copied().unwrap_or(0.0);
        Self {
            machine: at(0) as u64,
            mask: at(1) as u64,
            cores: at(2) as usize,
            quota: (at(4) > 0.0).then(|| (at(3) as u64, at(4) as usize)),
            asked: (at(5) > 0.0).then(|| at(5) as usize),
        }
    }
}

/// What one rank gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portion {
    /// Its part of the list of the cores in its mask; no other rank's unless it is [`crowded`](Self::crowded).
    pub places: Range<usize>,
    /// Workers that have a core each.
    pub cores: usize,
    /// Workers it starts.
    pub workers: usize,
    /// There are more ranks than cores: some have none of their own.
    pub crowded: bool,
    /// Each worker is to keep to one of its places. Only where all ranks with these cores together use more than half
    /// of them: otherwise another job may be meant for the rest, and two jobs would pin their workers to the same ones.
    pub pinned: bool,
}

/// What every rank gets, in the order of `berths`, one per rank.
///
/// Ranks of a machine with the same mask divide it among them into consecutive parts that differ by one core at most,
/// and so do the ranks of one quota. A rank that a launcher has bound to cores of its own has them all. A rank starts
/// as many workers as it has cores, or as many as it was asked for; more than cores only when it is `oversubscribed`.
pub fn portions(berths: &[Berth], oversubscribed: bool) -> Vec<Portion> {
    let masks = Groups::of(berths.iter().map(|b| Some((b.machine, b.mask))));
    let quotas = Groups::of(berths.iter().map(|b| Some((b.machine, b.quota?.0))));
    let mut portions: Vec<_> = berths
        .iter()
        .enumerate()
        .map(|(rank, berth)| {
            let cores = berth.cores.max(1);
            let (number, ranks) = masks.place(rank).unwrap_or((0, 1));
            let places = if ranks > cores {
                number % cores..number % cores + 1
            } else {
                let part = part(cores as u64, number as u64, ranks as u64);
                part.start as usize..part.end as usize
            };
            let limit = berth.quota.zip(quotas.place(rank));
            let within = limit.map_or(usize::MAX, |((_, quota), (number, ranks))| {
                let part = part(quota as u64, number as u64, ranks as u64);
                (part.end - part.start) as usize
            });
            let cores = places.len().min(within).max(1);
            let most = if oversubscribed { usize::MAX } else { cores };
            Portion {
                cores,
                workers: berth.asked.unwrap_or(cores).min(most),
                crowded: ranks > berth.cores || within == 0,
                pinned: false,
                places,
            }
        })
        .collect();
    let busy = masks.sums(portions.iter().map(|portion| portion.workers));
    for (rank, portion) in portions.iter_mut().enumerate() {
        let fits = portion.workers <= portion.cores && !portion.crowded;
        portion.pinned = fits && 2 * busy[masks.of[rank]] > berths[rank].cores;
    }
    portions
}

/// Ranks that share something.
struct Groups {
    /// Group of each rank; group 0 is of those that share nothing.
    of: Vec<usize>,
    /// Number of each rank within its group.
    number: Vec<usize>,
    /// Ranks of each group.
    ranks: Vec<usize>,
}

impl Groups {
    fn of(keys: impl Iterator<Item = Option<(u64, u64)>>) -> Self {
        let mut known = BTreeMap::new();
        let (mut of, mut number, mut ranks) = (Vec::new(), Vec::new(), vec![0]);
        for key in keys {
            let group = key.map_or(0, |key| {
                *known.entry(key).or_insert_with(|| {
                    ranks.push(0);
                    ranks.len() - 1
                })
            });
            of.push(group);
            number.push(ranks[group]);
            ranks[group] += 1;
        }
        Self { of, number, ranks }
    }

    /// The number of `rank` within its group, and how many the group has.
    fn place(&self, rank: usize) -> Option<(usize, usize)> {
        let group = self.of[rank];
        (group > 0).then(|| (self.number[rank], self.ranks[group]))
    }

    fn sums(&self, values: impl Iterator<Item = usize>) -> Vec<usize> {
        let mut sums = vec![0; self.ranks.len()];
        for (group, value) in self.of.iter().zip(values) {
            sums[*group] += value;
        }
        sums
    }
}

/// Ranks and threads of the job in words: `4 ranks x 2 threads`, and where they differ machine by machine,
/// `3 ranks on 2 nodes: 2 x 4+3 threads, 1 x 8 threads`; at most `shown` kinds of machines are told.
pub fn describe(berths: &[Berth], portions: &[Portion], shown: usize) -> String {
    let plural = |n: usize, word: &str| match n {
        1 => format!("1 {word}"),
        _ => format!("{n} {word}s"),
    };
    let mut machines: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    let mut order = Vec::new();
    for (berth, portion) in berths.iter().zip(portions) {
        let workers = machines.entry(berth.machine).or_insert_with(|| {
            order.push(berth.machine);
            Vec::new()
        });
        workers.push(portion.workers);
    }
    let ranks = plural(berths.len(), "rank");
    let nodes = match machines.len() {
        0 | 1 => String::new(),
        n => format!(" on {n} nodes"),
    };
    let first = portions.first().map_or(1, |portion| portion.workers);
    if portions.iter().all(|portion| portion.workers == first) {
        return format!("{ranks}{nodes} x {}", plural(first, "thread"));
    }
    let mut kinds: Vec<(usize, String)> = Vec::new();
    for machine in order {
        let text = one_machine(&machines[&machine]);
        match kinds.iter_mut().find(|(_, known)| *known == text) {
            Some((count, _)) => *count += 1,
            None => kinds.push((1, text)),
        }
    }
    let more = kinds.len().saturating_sub(shown);
    let mut told: Vec<_> = kinds
        .into_iter()
        .take(shown)
        .map(|(count, text)| match count {
            1 => text,
            _ => format!("{count} nodes of {text}"),
        })
        .collect();
    if more > 0 {
        told.push(format!("and {more} more kinds of nodes"));
    }
    format!("{ranks}{nodes}: {}", told.join(", "))
}

fn one_machine(workers: &[usize]) -> String {
    let same = workers.iter().all(|w| *w == workers[0]);
    let threads = if same {
        workers[0].to_string()
    } else {
        let each: Vec<_> = workers.iter().map(ToString::to_string).collect();
        each.join("+")
    };
    format!("{} x {threads} threads", workers.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn berth(machine: u64, mask: u64, cores: usize) -> Berth {
        Berth {
            machine,
            mask,
            cores,
            ..Berth::default()
        }
    }

    fn workers(berths: &[Berth]) -> Vec<usize> {
        portions(berths, false).iter().map(|p| p.workers).collect()
    }

    #[test]
    fn ranks_that_share_a_mask_divide_all_of_it() {
        let shared = portions(&[berth(1, 1, 7); 2], false);
        assert_eq!((&shared[0].places, &shared[1].places), (&(0..4), &(4..7)));
        assert_eq!(workers(&[berth(1, 1, 7); 2]), [4, 3]);
        assert!(shared.iter().all(|p| p.pinned && !p.crowded));
    }

    #[test]
    fn bound_ranks_keep_what_the_launcher_gave_them_and_nodes_may_be_uneven() {
        let berths = [
            berth(1, 10, 2),
            berth(1, 11, 2),
            berth(2, 10, 8),
            berth(3, 7, 3),
            berth(3, 7, 3),
        ];
        assert_eq!(workers(&berths), [2, 2, 8, 2, 1]);
        let all = portions(&berths, false);
        assert_eq!(
            describe(&berths, &all, 9),
            "5 ranks on 3 nodes: 2 x 2 threads, 1 x 8 threads, 2 x 2+1 threads"
        );
        assert_eq!(
            describe(&berths, &all, 1),
            "5 ranks on 3 nodes: 2 x 2 threads, and 2 more kinds of nodes"
        );
        let same = [berth(1, 1, 4), berth(2, 1, 4)];
        let text = describe(&same, &portions(&same, false), 9);
        assert_eq!(text, "2 ranks on 2 nodes x 4 threads");
    }

    #[test]
    fn a_quota_is_divided_among_the_ranks_that_have_it_together() {
        let mut limited = berth(1, 1, 64);
        limited.quota = Some((5, 5));
        assert_eq!(workers(&[limited; 2]), [3, 2]);
        // A quota for fewer cores than ranks: each has one worker, and they are too many.
        limited.quota = Some((5, 1));
        let two = portions(&[limited; 2], false);
        assert_eq!(two.iter().map(|p| p.workers).sum::<usize>(), 2);
        assert!(!two[0].crowded && two[1].crowded);
        // 5 of 64 cores: other jobs may have the others, so nobody is pinned.
        assert!(two.iter().all(|p| !p.pinned));
    }

    #[test]
    fn no_more_workers_than_cores_unless_that_is_asked_for() {
        let one = |asked, over| {
            let asking = Berth {
                asked: Some(asked),
                ..berth(1, 1, 2)
            };
            let portion = portions(&[asking], over).remove(0);
            (portion.workers, portion.pinned)
        };
        assert_eq!(one(5, false), (2, true));
        assert_eq!(one(5, true), (5, false));
        // One of two cores: the other one may be another job's.
        assert_eq!(one(1, false), (1, false));
        let many = portions(&[berth(1, 1, 2); 5], false);
        assert!(
            many.iter()
                .all(|p| p.workers == 1 && p.crowded && !p.pinned)
        );
        assert_eq!(many[3].places, 1..2);
    }

    proptest! {
        #[test]
        fn parts_are_disjoint_complete_and_even(cores in 1usize..300, ranks in 1usize..40) {
            let all = portions(&vec![berth(9, 3, cores); ranks], false);
            if ranks <= cores {
                let together: Vec<_> = all.iter().flat_map(|p| p.places.clone()).collect();
                prop_assert_eq!(together, (0..cores).collect::<Vec<_>>());
                prop_assert!(all.iter().all(|p| p.workers >= cores / ranks && p.workers <= cores.div_ceil(ranks)));
            } else {
                prop_assert!(all.iter().all(|p| p.workers == 1 && p.places.end <= cores));
            }
        }

        #[test]
        fn berths_travel_as_numbers(m in 0..=HASH, k in 0..=HASH, c in 0usize..5000, q in prop::option::of((0..=HASH, 1usize..99)), a in prop::option::of(1usize..99)) {
            let berth = Berth { machine: m, mask: k, cores: c, quota: q, asked: a };
            prop_assert_eq!(Berth::from_row(&berth.to_row()), berth);
        }
    }
}
