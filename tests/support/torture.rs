//! Tests that torture: how long, and what they say at the end.
//!
//! The ordinary suite runs a short version of each. `FRAMEWISE_TORTURE=N` makes them N times as long as
//! `scripts/torture` has them by default, the finite ones until they are exhaustive; that script adds up the lines
//! they print.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// `N` of `FRAMEWISE_TORTURE=N`; 0 in the ordinary suite.
pub fn factor() -> usize {
    std::env::var("FRAMEWISE_TORTURE").map_or(0, |n| n.parse().expect("FRAMEWISE_TORTURE: N"))
}

/// How many: `short` in the ordinary suite, else `long` times the factor.
pub fn number(short: usize, long: usize) -> usize {
    if factor() == 0 {
        short
    } else {
        long * factor()
    }
}

/// As many of them as [`number`] says, without repetition; all, in their order, if there are no more.
pub fn sample<T>(mut all: Vec<T>, short: usize, long: usize) -> Vec<T> {
    let wanted = number(short, long);
    let mut dice = Dice(all.len() as u64);
    while all.len() > wanted {
        all.swap_remove(dice.below(all.len()));
    }
    all
}

/// The shortest of three recordings that are made at once, as the runs that follow are: how often a run commits, and with it
/// how many events it has, depends on the clock. `record` is told which of the three it is.
pub fn shortest<T: Send>(record: impl Fn(usize) -> Vec<T> + Sync) -> Vec<T> {
    let record = &record;
    std::thread::scope(|scope| {
        let recording = [0, 1, 2].map(|k| scope.spawn(move || record(k)));
        let recorded = recording.map(|thread| thread.join().unwrap());
        recorded.into_iter().min_by_key(Vec::len).unwrap()
    })
}

/// What must never come of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoiled {
    /// Something that was committed is not there any more.
    Lost,
    /// Something is not as an undisturbed run leaves it.
    Wrong,
    /// Something had to be killed.
    Hung,
}

/// What went wrong, and how.
pub type Complaint = (Spoiled, String);

/// Complains unless it is so.
pub fn require(so: bool, what: Spoiled, why: impl Display) -> Result<(), Complaint> {
    if so {
        Ok(())
    } else {
        Err((what, why.to_string()))
    }
}

/// Counts what was tried and what came of it.
pub struct Tally {
    what: &'static str,
    tried: AtomicUsize,
    complaints: Mutex<Vec<Complaint>>,
    longest: Mutex<Duration>,
    begun: Instant,
}

impl Tally {
    /// `what` names the row of the table.
    pub fn of(what: &'static str) -> Self {
        Self {
            what,
            tried: AtomicUsize::new(0),
            complaints: Mutex::default(),
            longest: Mutex::default(),
            begun: Instant::now(),
        }
    }

    /// Tries all of them, several at a time; a panic is something wrong. What `act` returns says whether it counts.
    pub fn each<T: Sync + std::fmt::Debug>(
        &self,
        at_a_time: usize,
        items: &[T],
        act: impl Fn(usize, &T) -> Result<bool, Complaint> + Sync,
    ) {
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = items.get(index) else { break };
                self.one(&format!("{item:?}"), || act(index, item));
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..at_a_time {
                scope.spawn(work);
            }
        });
    }

    /// Tries one; says whether it counted and nothing came of it.
    pub fn one(&self, shown: &str, act: impl FnOnce() -> Result<bool, Complaint>) -> bool {
        let begun = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or(panic.downcast_ref::<&str>().copied());
            Err((Spoiled::Wrong, text.unwrap_or("a panic").to_owned()))
        });
        let mut longest = self.longest.lock().unwrap();
        *longest = begun.elapsed().max(*longest);
        drop(longest);
        let fine = matches!(outcome, Ok(true));
        if !matches!(outcome, Ok(false)) {
            self.tried.fetch_add(1, Ordering::Relaxed);
        }
        if let Err((what, why)) = outcome {
            eprintln!("{} {shown}: {what:?}: {why}\n", self.what);
            let why = format!("{shown}: {why}");
            self.complaints.lock().unwrap().push((what, why));
        }
        fine
    }

    /// How many were tried.
    pub fn tried(&self) -> usize {
        self.tried.load(Ordering::Relaxed)
    }

    /// Prints the line for `scripts/torture`; fails if anything was spoiled, or if fewer than `least` were tried.
    #[track_caller]
    pub fn finish(self, least: usize) {
        let complaints = self.complaints.into_inner().unwrap();
        let count = |what| complaints.iter().filter(|(w, _)| *w == what).count();
        let tried = self.tried.into_inner();
        println!(
            "torture: {} {tried} lost {} wrong {} hung {} ({:.0} s, longest {:.1} s)",
            self.what,
            count(Spoiled::Lost),
            count(Spoiled::Wrong),
            count(Spoiled::Hung),
            self.begun.elapsed().as_secs_f64(),
            self.longest.into_inner().unwrap().as_secs_f64(),
        );
        if let Some((what, why)) = complaints.first() {
            panic!(
                "{} of {tried}, the first: {what:?}: {why}",
                complaints.len()
            );
        }
        assert!(tried >= least, "only {tried} {}", self.what);
    }
}

/// Numbers that look random and are the same for the same seed (splitmix64; Steele, Lea, Flood 2014).
pub struct Dice(pub u64);

impl Dice {
    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.roll() % n as u64) as usize
    }
}
