//! Frames that were in hand when the job died: which of them are to be computed last, and which no more.
//!
//! A death is *known* when the process could still mark the frame whose evaluation raised the signal or called
//! `exit`. Two of these condemn a frame. A death without a mark (SIGKILL: the out-of-memory killer, a lost node, the
//! user) may have nothing to do with the frames in hand, and storms of kills must not condemn innocent ones: it counts
//! only while nothing gets committed between the deaths, makes a frame first a suspect that is computed after all
//! others, and condemns it after [`DEATHS`] in a row of which at least [`ALONE`] found it alone in hand.

use std::collections::BTreeMap;

use super::frame_set::FrameSet;

/// Known crashes that condemn a frame.
pub const CRASHES: u32 = 2;
/// Unmarked deaths in a row that condemn a frame.
pub const DEATHS: u32 = 5;
/// How many of these, at least, with no other frame in hand anywhere in the job.
pub const ALONE: u32 = 2;
/// Unmarked deaths in a row after which a frame is computed after all others, one at a time on each rank.
const CAREFUL: u32 = 2;
/// As many more, and nothing else is in hand anywhere meanwhile.
const SOLITARY: u32 = 3;

/// Mark of a frame whose evaluation called `exit`; other marks are numbers of signals.
pub const EXIT: u32 = 1 << 16;

/// What is known of one frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Deaths that this frame's evaluation caused.
    pub crashes: u32,
    /// Unmarked deaths in a row with this frame in hand.
    pub deaths: u32,
    /// How many of these with no other frame in hand.
    pub alone: u32,
    /// Mark of the last known crash, 0 without one.
    pub how: u32,
}

/// What one rank has left behind in the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastSeen {
    /// Frames in hand, each with its mark (0: none).
    pub in_hand: Vec<(u64, u32)>,
    /// Mark of a crash on a thread that had no frame in hand (a helper thread of an engine), 0 without one.
    pub stray: u32,
    /// The rank had been asked to stop, or left its work by itself.
    pub left: bool,
    /// It has committed since it began.
    pub committed: bool,
    /// It was computing suspects, one at a time.
    pub careful: bool,
}

impl LastSeen {
    /// The frame that a crash points to, with its mark. A helper thread's crash points to the only frame in hand.
    fn crashed(&self) -> Vec<(u64, u32)> {
        match (&self.in_hand[..], self.stray) {
            ([(frame, 0)], stray) if stray != 0 => vec![(*frame, stray)],
            _ => self.in_hand.iter().filter(|f| f.1 != 0).copied().collect(),
        }
    }
}

/// What is known of all suspects of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tallies(pub BTreeMap<u64, Tally>);

impl Tallies {
    /// Counts one death of the job, as its ranks have left it.
    pub fn count(&mut self, ranks: &[LastSeen]) {
        let crashed: Vec<_> = ranks.iter().flat_map(LastSeen::crashed).collect();
        for (frame, how) in &crashed {
            let tally = self.0.entry(*frame).or_default();
            tally.crashes += 1;
            tally.how = *how;
        }
        // One death explains all: the other ranks went down with it.
        if !crashed.is_empty() {
            return;
        }
        let dead = || ranks.iter().filter(|rank| !rank.left);
        let alone = dead().map(|rank| rank.in_hand.len()).sum::<usize>() == 1;
        for rank in dead() {
            for (frame, _) in &rank.in_hand {
                let tally = self.0.entry(*frame).or_default();
                if rank.committed && !rank.careful {
                    // Whatever killed the job let it come forward with this frame in the queue.
                    (tally.deaths, tally.alone) = (0, 0);
                }
                tally.deaths += 1;
                tally.alone += u32::from(alone && rank.careful);
            }
        }
    }

    /// Forgets all frames but these.
    pub fn keep_only(&mut self, frames: &FrameSet) {
        self.0.retain(|frame, _| frames.contains(*frame));
    }

    /// The frames that are not to be computed again.
    pub fn condemned(&self) -> impl Iterator<Item = (u64, &Tally)> {
        let all = self.0.iter().map(|(frame, tally)| (*frame, tally));
        all.filter(|(_, t)| t.crashes >= CRASHES || (t.deaths >= DEATHS && t.alone >= ALONE))
    }

    /// `pending` in the order of work: what all workers compute, then the suspects that each rank computes one at a
    /// time, then those that are computed with nothing else in hand.
    pub fn phases(&self, pending: FrameSet) -> [FrameSet; 3] {
        if self.0.is_empty() {
            return [pending, FrameSet::empty(), FrameSet::empty()];
        }
        let suspects = |wanted: &dyn Fn(&Tally) -> bool| -> FrameSet {
            let chosen = self.0.iter().filter(|(_, tally)| wanted(tally));
            let runs: FrameSet = chosen.map(|(frame, _)| *frame..frame + 1).collect();
            runs.intersection(&pending)
        };
        let solitary = suspects(&|t| t.deaths >= SOLITARY);
        let careful = suspects(&|t| t.deaths < SOLITARY && (t.deaths >= CAREFUL || t.crashes > 0));
        let rest = pending.difference(&solitary).difference(&careful);
        [rest, careful, solitary]
    }
}

impl Tally {
    /// Why a frame is not computed again; fits into a stored message.
    pub fn verdict(&self) -> String {
        let (deaths, how) = if self.crashes >= CRASHES {
            (self.crashes, mark_name(self.how))
        } else {
            (self.deaths, "killed; out of memory?".into())
        };
        format!(
            "in hand at {deaths} deaths of the job ({how}); --retry failed tries it again, --isolate keeps the job alive"
        )
    }
}

/// What a mark says.
pub fn mark_name(mark: u32) -> String {
    let name = match mark {
        EXIT => "the engine called exit",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        other => return format!("signal {other}"),
    };
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(in_hand: &[(u64, u32)]) -> LastSeen {
        LastSeen {
            in_hand: in_hand.to_vec(),
            ..LastSeen::default()
        }
    }

    fn condemned(tallies: &Tallies) -> Vec<u64> {
        tallies.condemned().map(|(frame, _)| frame).collect()
    }

    #[test]
    fn two_known_crashes_condemn_a_frame_and_nobody_else() {
        let mut tallies = Tallies::default();
        let death = [rank(&[(7, 11), (8, 0)]), rank(&[(20, 0)])];
        tallies.count(&death);
        let pending = FrameSet::all(30);
        let [rest, careful, solitary] = tallies.phases(pending.clone());
        assert_eq!((careful.encode(), rest.len()), ("7:8".into(), 29));
        assert!(solitary.is_empty() && condemned(&tallies).is_empty());
        tallies.count(&death);
        assert_eq!(condemned(&tallies), [7]);
        assert!(!tallies.0.contains_key(&8) && !tallies.0.contains_key(&20));
        let text = tallies.0[&7].verdict();
        assert!(
            text.contains("2 deaths of the job (SIGSEGV)") && text.len() <= 128,
            "{text}"
        );
    }

    #[test]
    fn a_helper_threads_crash_points_to_the_only_frame_in_hand() {
        let mut tallies = Tallies::default();
        let mut one = rank(&[(3, 0)]);
        one.stray = 8;
        tallies.count(&[one.clone(), rank(&[(4, 0)])]);
        assert_eq!(
            (tallies.0[&3].crashes, tallies.0.contains_key(&4)),
            (1, false)
        );
        // With two in hand it points to neither.
        one.in_hand.push((5, 0));
        tallies.count(&[one]);
        assert_eq!((tallies.0[&3].crashes, tallies.0[&5].crashes), (1, 0));
        assert_eq!((tallies.0[&3].deaths, tallies.0[&5].deaths), (1, 1));
    }

    #[test]
    fn unmarked_deaths_condemn_only_what_died_alone_again_and_again() {
        let mut tallies = Tallies::default();
        let pending = FrameSet::all(10);
        // Crowded deaths never condemn, however many.
        for _ in 0..20 {
            tallies.count(&[rank(&[(1, 0), (2, 0)])]);
        }
        assert!(condemned(&tallies).is_empty());
        assert_eq!(tallies.phases(pending.clone())[2].encode(), "1:3");
        let mut solitary = rank(&[(1, 0)]);
        (solitary.careful, solitary.committed) = (true, true);
        tallies.count(&[solitary.clone(), rank(&[])]);
        assert!(condemned(&tallies).is_empty());
        tallies.count(&[solitary, rank(&[])]);
        assert_eq!(condemned(&tallies), [1]);
    }

    #[test]
    fn progress_between_deaths_absolves_and_ranks_that_were_told_to_stop_do_not_count() {
        let mut tallies = Tallies::default();
        let mut progress = rank(&[(1, 0)]);
        progress.committed = true;
        for _ in 0..20 {
            tallies.count(&[progress.clone()]);
            assert_eq!(tallies.0[&1].deaths, 1);
        }
        let mut told = rank(&[(5, 0)]);
        told.left = true;
        for _ in 0..20 {
            tallies.count(&[told.clone()]);
        }
        assert!(!tallies.0.contains_key(&5));
        assert_eq!(tallies.phases(FrameSet::all(9))[0], FrameSet::all(9));
    }

    #[test]
    fn every_verdict_fits_into_a_message() {
        for how in [EXIT, 4, 6, 7, 8, 9, 11, 64] {
            let crashed = Tally {
                crashes: 999,
                how,
                ..Tally::default()
            };
            let killed = Tally {
                deaths: 9999,
                ..Tally::default()
            };
            assert!(crashed.verdict().len() <= 128 && killed.verdict().len() <= 128);
        }
    }
}
