//! How well the ranks are kept busy, up to 65,536 of them: a discrete-event simulation that drives the program's own
//! planning code (weights, queue, deals, pace), with the costs of agreements, deals and commits put in.
//!
//! `cargo bench --bench schedule`. `FRAMEWISE_BENCH_FRAMES` (100): mean frames per rank; `FRAMEWISE_BENCH_RANKS`
//! (65536): most ranks; `FRAMEWISE_BENCH_COMMIT` ("20,1500"): milliseconds and MB/s per node of a commit, as
//! `cargo bench --bench commit` measures them.
//!
//! A mean frame takes one second and has 100 atoms, a commit comes every 20 s, 64 ranks share a node, all nodes together
//! write 200 GB/s at most. A collective call costs 5 us for each doubling of the ranks, and its data travel at 5 GB/s.

use std::collections::VecDeque;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, LogNormal};

use framewise::planning::cost::{Experience, SizeLaw, Sizes};
use framewise::planning::deal::{Account, Deal};
use framewise::planning::frame_set::FrameSet;
use framewise::planning::pace::{self, Horizon, Patience, Rate};
use framewise::planning::plan::{Knowledge, Plan};
use framewise::planning::queue::Queue;
use framewise::planning::weights::Weights;

mod support;
use support::setting;

const RANKS: [usize; 8] = [2, 8, 32, 128, 512, 2048, 8192, 65_536];
const RANKS_PER_NODE: usize = 64;
const COMMIT_INTERVAL: f64 = 20.0;
const FRAME_BYTES: f64 = 2500.0;
const MOST_BANDWIDTH: f64 = 200e9;

fn main() {
    let most = setting("FRAMEWISE_BENCH_RANKS", 65_536) as usize;
    let per_rank = setting("FRAMEWISE_BENCH_FRAMES", 100);
    let commit = Commit::from_environment();
    println!(
        "schedule: {per_rank} frames per rank, mean 1 s; commit every {COMMIT_INTERVAL} s, {:.0} ms + {:.0} MB/s per node of \
         {RANKS_PER_NODE} ranks\n\
         efficiency: all frames' seconds / (ranks x seconds until the last commit); wait: longest time a worker had nothing to do\n\
         and got frames after all, in mean frames; equal: everybody computes an equal number of frames, nothing is dealt again;\n\
         bound: nobody can do better, the longest frame is not shorter; deal: the longest one on each rank, in ms\n\
         known: nothing; each frame's seconds to 20 %, as from an earlier run; or its size alone: seconds go with its cube, to 20 %,\n\
         are assumed to go with the size and learnt from the frames that are done\n",
        1e3 * commit.latency,
        commit.bandwidth * 1e-6
    );
    println!(
        "{:<10} {:<8} {:>6} {:>9} {:>7} {:>7} {:>7} {:>6} {:>8} {:>6} {:>8} {:>8}",
        "costs",
        "known",
        "ranks",
        "frames",
        "bound",
        "equal",
        "dealt",
        "deals",
        "moved, %",
        "wait",
        "deal, ms",
        "commits"
    );
    for costs in [Costs::Constant, Costs::Lognormal, Costs::Bimodal] {
        for known in [Known::Nothing, Known::Seconds, Known::Sizes] {
            if known != Known::Nothing && costs == Costs::Constant {
                continue;
            }
            for ranks in RANKS.into_iter().filter(|ranks| *ranks <= most) {
                let dealt = Simulation::new(costs, known, ranks, per_rank, commit).run(true);
                let equal =
                    Simulation::new(costs, Known::Nothing, ranks, per_rank, commit).run(false);
                println!(
                    "{:<10} {:<8} {ranks:>6} {:>9} {:>7.3} {:>7.3} {:>7.3} {:>6} {:>8.1} {:>6.2} {:>8.2} {:>8}",
                    costs.name(),
                    known.name(),
                    ranks as u64 * per_rank,
                    dealt.bound,
                    equal.efficiency,
                    dealt.efficiency,
                    dealt.deals,
                    100.0 * dealt.moved,
                    dealt.wait,
                    1e3 * dealt.slowest,
                    dealt.commits,
                );
            }
        }
    }
}

/// What frames cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Costs {
    Constant,
    /// Sigma 1.
    Lognormal,
    /// Every tenth, at random, costs ten times as much.
    Bimodal,
}

impl Costs {
    fn name(self) -> &'static str {
        match self {
            Costs::Constant => "constant",
            Costs::Lognormal => "lognormal",
            Costs::Bimodal => "bimodal",
        }
    }

    /// Seconds of a frame; the mean is 1.
    fn draw(self, random: &mut StdRng) -> f64 {
        match self {
            Costs::Constant => 1.0,
            Costs::Lognormal => lognormal(-0.5, 1.0).sample(random),
            Costs::Bimodal if random.random_bool(0.1) => 10.0 / 1.9,
            Costs::Bimodal => 1.0 / 1.9,
        }
    }
}

/// What is known of the costs before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Nothing,
    /// Each frame's seconds, to 20 %.
    Seconds,
    /// Sizes, but not the law.
    Sizes,
}

impl Known {
    fn name(self) -> &'static str {
        match self {
            Known::Nothing => "no",
            Known::Seconds => "+-20 %",
            Known::Sizes => "sizes",
        }
    }

    /// The plan of frames that will take so many `seconds`, and their sizes.
    fn plan(self, seconds: &[f64], random: &mut StdRng) -> (Plan, Vec<u64>) {
        let frames = FrameSet::all(seconds.len() as u64);
        let error = lognormal(0.0, 0.2);
        let (sizes, factors, assumed): (Vec<u64>, Vec<f64>, _) = match self {
            Known::Nothing => return (Plan::even(frames), Vec::new()),
            Known::Seconds => {
                let guess = |s: &f64| s * error.sample(random);
                let ones = vec![1; seconds.len()];
                (ones, seconds.iter().map(guess).collect(), 0)
            }
            Known::Sizes => {
                let size = |s: &f64| (100.0 * (s * error.sample(random)).cbrt()).round() as u64;
                let ones = vec![1.0; seconds.len()];
                (seconds.iter().map(size).collect(), ones, 1)
            }
        };
        let assumed = SizeLaw::power(assumed);
        let filled = Sizes::fill(frames.len(), &assumed, |each| {
            let frames = sizes.iter().zip(factors);
            frames.for_each(|(size, factor)| each(*size, factor));
            Ok(())
        });
        let knowledge = Knowledge {
            sizes: filled.expect("sizes"),
            experience: Experience::default(),
            assumed,
        };
        (Plan::sized(frames, knowledge), sizes)
    }
}

fn lognormal(mu: f64, sigma: f64) -> LogNormal<f64> {
    LogNormal::new(mu, sigma).expect("a distribution")
}

#[derive(Clone, Copy)]
struct Commit {
    latency: f64,
    bandwidth: f64,
}

impl Commit {
    fn from_environment() -> Self {
        let text = std::env::var("FRAMEWISE_BENCH_COMMIT").unwrap_or_else(|_| "20,1500".into());
        let numbers: Vec<f64> = text.split(',').filter_map(|n| n.parse().ok()).collect();
        let [milliseconds, megabytes] = numbers[..] else {
            panic!("FRAMEWISE_BENCH_COMMIT: milliseconds and MB/s, like 20,1500");
        };
        Self {
            latency: milliseconds * 1e-3,
            bandwidth: megabytes * 1e6,
        }
    }

    fn seconds(self, frames: u64, ranks: usize) -> f64 {
        let nodes = ranks.div_ceil(RANKS_PER_NODE) as f64;
        let bandwidth = (self.bandwidth * nodes).min(MOST_BANDWIDTH);
        self.latency + frames as f64 * FRAME_BYTES / bandwidth
    }
}

struct Outcome {
    efficiency: f64,
    bound: f64,
    deals: u64,
    moved: f64,
    wait: f64,
    commits: u64,
    /// Seconds of the longest deal, on each rank.
    slowest: f64,
}

/// The batch in hand.
struct Running {
    places: FrameSet,
    weight: f64,
    begun: f64,
    end: f64,
}

/// One worker's rank: what is running, what waits behind it, what is not begun.
struct Rank {
    queue: Queue,
    waiting: VecDeque<(FrameSet, f64)>,
    running: Option<Running>,
    waiting_weight: f64,
    quick: Rate,
    steady: Rate,
    batch_frames: u64,
    idle_since: Option<f64>,
    /// The longest time for which it had nothing to do before it got something again.
    waited: f64,
    finished: u64,
}

struct Simulation {
    seconds: Vec<f64>,
    sizes: Vec<u64>,
    plan: Plan,
    /// What frames have taken, on all ranks.
    seen: Experience,
    ranks: Vec<Rank>,
    nodes: Vec<u32>,
    commit: Commit,
}

impl Simulation {
    fn new(costs: Costs, known: Known, ranks: usize, per_rank: u64, commit: Commit) -> Self {
        let mut random = StdRng::seed_from_u64(ranks as u64);
        let frames = ranks as u64 * per_rank;
        let seconds: Vec<f64> = (0..frames).map(|_| costs.draw(&mut random)).collect();
        let (plan, sizes) = known.plan(&seconds, &mut random);
        let nodes: Vec<u32> = (0..ranks).map(|r| (r / RANKS_PER_NODE) as u32).collect();
        let mut accounts = vec![Account::default(); ranks];
        accounts[0].left = FrameSet::all(frames);
        let shares = Deal::new(&accounts, plan.weights(), &nodes).shares();
        let ranks = shares.into_iter().map(|share| Rank {
            queue: Queue::new(share, plan.weights()),
            waiting: VecDeque::new(),
            running: None,
            waiting_weight: 0.0,
            quick: Rate::quick(),
            steady: Rate::steady(),
            batch_frames: 1,
            idle_since: None,
            waited: 0.0,
            finished: 0,
        });
        Self {
            seconds,
            ranks: ranks.collect(),
            sizes,
            plan,
            seen: Experience::default(),
            nodes,
            commit,
        }
    }

    fn collective(&self, bytes: f64) -> f64 {
        5e-6 * (self.ranks.len() as f64).log2().max(1.0) + bytes / 5e9
    }

    fn run(mut self, dealing: bool) -> Outcome {
        let (mut now, mut committed_at, mut committed) = (0.0, 0.0, 0);
        let (mut pulse, mut last_commit) = (Duration::ZERO, 0.0);
        let mut patience = Patience::default();
        let (mut deals, mut moved, mut commits) = (0u64, 0u64, 0u64);
        let mut slowest = 0.0f64;
        let frames = self.seconds.len() as u64;
        loop {
            let until = now + pulse.as_secs_f64() + self.collective(88.0);
            self.advance(now, until, true, last_commit);
            now = until;
            let horizon = self.horizon(now);
            patience.wait(pulse);
            pulse = horizon.pulse(pulse);
            let done: u64 = self.ranks.iter().map(|r| r.finished).sum();
            if now >= committed_at + COMMIT_INTERVAL || done == frames {
                let seconds = self.commit.seconds(done - committed, self.ranks.len())
                    + 10.0 * self.collective(88.0);
                self.advance(now, now + seconds, false, last_commit);
                now += seconds;
                (committed, committed_at, last_commit) = (done, now, seconds);
                commits += 1;
            }
            if done == frames {
                break;
            }
            if dealing && horizon.wants_deal(self.ranks.len()) && patience.is_over() {
                let gone = self.deal(now);
                patience.dealt(gone.0, self.ranks.len());
                slowest = slowest.max(gone.1);
                deals += 1;
                moved += gone.0;
                now += gone.1;
            }
        }
        let each = self.seconds.iter().sum::<f64>() / self.ranks.len() as f64;
        Outcome {
            efficiency: each / now,
            bound: each / self.seconds.iter().copied().fold(each, f64::max),
            deals,
            moved: moved as f64 / frames as f64,
            wait: self.ranks.iter().map(|r| r.waited).fold(0.0, f64::max),
            commits,
            slowest,
        }
    }

    fn advance(&mut self, now: f64, until: f64, feeding: bool, commit: f64) {
        for rank in &mut self.ranks {
            let finished = rank.advance(
                now,
                until,
                feeding.then_some(commit),
                &self.seconds,
                self.plan.weights(),
            );
            if self.plan.is_sized() {
                for place in finished.iter().flat_map(FrameSet::iter) {
                    let (size, seconds) =
                        (self.sizes[place as usize], self.seconds[place as usize]);
                    self.seen.add(size, seconds);
                }
            }
        }
    }

    /// As all ranks do before a deal, and how many bytes each tells the others for it.
    fn learn(&mut self) -> usize {
        if !self.plan.is_sized() {
            return 0;
        }
        let factor = self.plan.learn(&self.seen);
        self.ranks.iter_mut().for_each(|rank| rank.rescale(factor));
        8 * self.seen.encode().len()
    }

    fn horizon(&self, now: f64) -> Horizon {
        let mut horizon = Horizon {
            first: f64::INFINITY,
            ..Horizon::default()
        };
        for rank in &self.ranks {
            let (left, movable) = rank.left(now);
            horizon.first = horizon.first.min(left);
            horizon.last = horizon.last.max(left);
            horizon.movable = horizon.movable.max(movable);
        }
        horizon
    }

    /// Frames that went to other ranks, and how long it took.
    fn deal(&mut self, now: f64) -> (u64, f64) {
        let begun = std::time::Instant::now();
        let told = self.learn();
        let learnt = begun.elapsed().as_secs_f64() + 2.0 * self.collective(told as f64);
        let weights = self.plan.weights();
        let accounts: Vec<_> = self
            .ranks
            .iter_mut()
            .map(|r| r.account(now, weights))
            .collect();
        let bytes: usize = accounts.iter().map(|a| 8 * a.encode().len()).sum();
        let begun = std::time::Instant::now();
        let deal = Deal::new(&accounts, weights, &self.nodes);
        let own = deal.share(0);
        let computed = begun.elapsed().as_secs_f64();
        let shares = deal.shares();
        assert_eq!(own, shares[0]);
        let mut moved = 0;
        for ((rank, share), account) in self.ranks.iter_mut().zip(shares).zip(&accounts) {
            moved += share.difference(&account.left).len();
            rank.queue = Queue::new(share, weights);
        }
        (
            moved,
            learnt + computed + 2.0 * self.collective(bytes as f64),
        )
    }
}

impl Rank {
    /// The worker works from `now` to `until`; only a coordinator that is not in a commit supplies it, for the time of one.
    /// What it finished.
    fn advance(
        &mut self,
        now: f64,
        until: f64,
        supply: Option<f64>,
        seconds: &[f64],
        weights: &Weights,
    ) -> Vec<FrameSet> {
        let mut at = now;
        let mut finished = Vec::new();
        loop {
            if let Some(commit) = supply {
                self.feed(commit, weights);
            }
            match self.running.take() {
                Some(batch) if batch.end > until => {
                    self.running = Some(batch);
                    return finished;
                }
                Some(batch) => {
                    self.finished += batch.places.len();
                    self.quick.add(batch.end - batch.begun, batch.weight);
                    self.steady.add(batch.end - batch.begun, batch.weight);
                    self.batch_frames = self.batch_frames.saturating_mul(8).min(1 << 20);
                    at = batch.end;
                    finished.push(batch.places);
                }
                None => {}
            }
            if self.running.is_none() {
                let Some((places, weight)) = self.waiting.pop_front() else {
                    if self.queue.is_empty() || supply.is_none() {
                        self.idle_since = self.idle_since.or(Some(at));
                        return finished;
                    }
                    continue;
                };
                let cost: f64 = places.iter().map(|place| seconds[place as usize]).sum();
                self.waiting_weight -= weight;
                let since = self.idle_since.take().unwrap_or(at);
                self.waited = self.waited.max(at - since);
                self.running = Some(Running {
                    places,
                    weight,
                    begun: at,
                    end: at + cost,
                });
            }
        }
    }

    fn rescale(&mut self, factor: f64) {
        self.quick.rescale(factor);
        self.steady.rescale(factor);
        self.waiting_weight *= factor;
        let running = self.running.iter_mut().map(|batch| &mut batch.weight);
        let waiting = self.waiting.iter_mut().map(|(_, weight)| weight);
        running.chain(waiting).for_each(|weight| *weight *= factor);
    }

    /// As the engine's desk does.
    fn feed(&mut self, commit: f64, weights: &Weights) {
        while !self.queue.is_empty() {
            let rate = self.quick.seconds_per_weight();
            let in_hand = self.running.as_ref().map_or(0.0, |b| b.weight) + self.waiting_weight;
            let batches = self.waiting.len() + usize::from(self.running.is_some());
            if batches >= 2 && rate.is_none_or(|rate| in_hand * rate >= pace::supply(commit)) {
                return;
            }
            let (most, weight) = match rate {
                None => (1, 0.0),
                Some(rate) => {
                    let left = self.queue.weight() * rate;
                    (self.batch_frames, pace::batch_seconds(left) / rate)
                }
            };
            let places = self.queue.next(most, weight, weights);
            let weight = places.runs().iter().map(|run| weights.of(run)).sum();
            self.waiting_weight += weight;
            self.waiting.push_back((places, weight));
        }
    }

    fn rate(&self, now: f64) -> f64 {
        let begun = self.running.as_ref().map_or(now, |b| b.begun);
        self.steady.seconds_per_weight().unwrap_or(now - begun)
    }

    fn in_hand(&self, now: f64) -> f64 {
        let rate = self.rate(now);
        let running = self
            .running
            .as_ref()
            .map_or(0.0, |b| pace::still(b.weight * rate, now - b.begun));
        running + self.waiting_weight * rate
    }

    fn left(&self, now: f64) -> (f64, f64) {
        let queued = self.queue.weight() * self.rate(now);
        let waiting = self.waiting_weight * self.rate(now);
        (queued + self.in_hand(now), queued + waiting)
    }

    fn account(&mut self, now: f64, weights: &Weights) -> Account {
        let recalled = self.waiting.drain(..).map(|(places, _)| places);
        let left = FrameSet::union(&recalled.chain([self.queue.places()]).collect::<Vec<_>>());
        self.waiting_weight = 0.0;
        self.queue = Queue::new(left.clone(), weights);
        Account {
            left,
            in_hand: self.in_hand(now),
            rate: self.rate(now),
        }
    }
}
