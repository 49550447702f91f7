//! The coordinator's loop: read, hand out, agree, commit, until nothing is left or the job must stop.
//!
//! At every pulse all ranks exchange votes; a commit happens when any rank wants one (the interval has passed,
//! its memory is full) or when nobody has work left. A commit takes what has been evaluated so far and leaves
//! the workers alone: they go on during the writes. Each step of a commit is followed by an agreement, so that
//! no rank waits in a collective for one that has failed.

mod dealing;
mod round;
mod stop;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::domain::error::Result;
use crate::planning::pace::Patience;
use crate::planning::plan::Plan;

use super::commit::Rows;
use super::desk::Desk;
use super::evaluator::Work;
use super::journal::Journal;
use super::ports::{Clock, Observer, Ranks, Sink, Source, Stop, Trouble, Verdict, Vote};
use super::settings::{Deadline, Settings};
use super::summary::{Progress, Summary};

/// The outside.
pub struct Ports<'a> {
    /// The ranks of the job.
    pub ranks: &'a mut dyn Ranks,
    /// Where frames come from.
    pub source: &'a mut dyn Source,
    /// Where results go.
    pub sink: &'a mut dyn Sink,
    /// Time since the run began.
    pub clock: &'a dyn Clock,
    /// Who watches.
    pub observer: &'a mut dyn Observer,
    /// Signals received by this process.
    pub interrupt: &'a dyn Fn() -> Stop,
    /// What remembers the frames in hand.
    pub journal: &'a Arc<dyn Journal>,
}

/// Evaluates the frames of `plan`, the same on every rank, then the suspects, `later` frames on all ranks together, and
/// commits them. Collective. On an error every rank returns the same message.
#[allow(clippy::needless_pass_by_value)] // the ports belong to this run
pub fn run(
    settings: &Settings,
    work: impl Into<Work>,
    plan: Plan,
    later: u64,
    ports: Ports<'_>,
) -> Result<Summary> {
    let desk = Desk::new(settings, &work.into(), ports.journal, ports.source);
    let planned = plan.len() + later;
    let nodes = ports.ranks.nodes();
    let mut coordinator = Coordinator {
        desk,
        ranks: ports.ranks,
        sink: ports.sink,
        clock: ports.clock,
        observer: ports.observer,
        interrupt: ports.interrupt,
        journal: ports.journal.as_ref(),
        rows: Rows::default(),
        progress: Progress {
            planned,
            ..Progress::default()
        },
        committed_at: Duration::ZERO,
        leased: 0,
        complete: false,
        longest: Duration::ZERO,
        longest_commit: None,
        urgency: Stop::No,
        stop_by: None,
        one_node: is_one(&nodes),
        nodes,
        patience: Patience::default(),
        evaluated: 0,
    };
    coordinator.first_deal(plan);
    coordinator.desk.summary.begun = coordinator.clock.now().as_secs_f64();
    coordinator.run()
}

/// Whether all ranks are on one node.
pub(crate) fn is_one(nodes: &[u32]) -> bool {
    nodes.windows(2).all(|pair| pair[0] == pair[1])
}

/// Between two looks whether the others agree: most are there at once, and a commit agrees a dozen times.
const LOOK: Range<Duration> = Duration::from_micros(15)..Duration::from_micros(500);

struct Coordinator<'a> {
    desk: Desk<'a>,
    ranks: &'a mut dyn Ranks,
    sink: &'a mut dyn Sink,
    clock: &'a dyn Clock,
    observer: &'a mut dyn Observer,
    interrupt: &'a dyn Fn() -> Stop,
    journal: &'a dyn Journal,
    rows: Rows,
    progress: Progress,
    committed_at: Duration,
    /// Frames of the lease, of all ranks, that are not committed.
    leased: u64,
    /// Of the frames that are shared none is left.
    complete: bool,
    /// The longest frame of any rank, as of the last agreement.
    longest: Duration,
    longest_commit: Option<Duration>,
    /// How urgently the run is stopping, and when frames in hand are abandoned.
    urgency: Stop,
    stop_by: Option<Duration>,
    /// The node of each rank, and whether it is the same one.
    nodes: Vec<u32>,
    one_node: bool,
    patience: Patience,
    /// Frames that had come back when it was last looked.
    evaluated: u64,
}

impl Coordinator<'_> {
    fn run(mut self) -> Result<Summary> {
        let mut pulse = Duration::ZERO;
        loop {
            self.work_until_there_is_something_to_say(pulse);
            self.observer.pulse(self.desk.evaluated);
            let verdict = self.agree()?;
            self.patience.wait(pulse);
            pulse = verdict.horizon().pulse(pulse);
            self.longest = self.longest.max(Duration::from_micros(verdict.longest));
            self.heed(verdict.stop);
            // A rank may still be waiting for long frames; their results are given up when patience ends.
            let now = verdict.stop == Stop::Now || verdict.trouble.is_some();
            let ending = !verdict.busy || now;
            if verdict.commit || ending {
                self.commit()?;
            }
            self.deal_again(&verdict)?;
            if verdict.trouble.is_some() {
                let error = self.tell_error(verdict);
                return Err(self.end_with(error));
            }
            if let Some(error) = self.too_many_failures() {
                return Err(self.end_with(error));
            }
            if ending && !now && !self.desk.stopping && self.desk.next_suspects() {
                self.journal.careful();
                pulse = Duration::ZERO;
            } else if ending {
                let last = !self.desk.settings.shared || now || self.desk.stopping;
                if last || !self.more().map_err(|error| self.end_with(error))? {
                    return self.finish();
                }
                if self.leased > 0 {
                    pulse = Duration::ZERO;
                }
            }
            if self.stop_by.is_some_and(|by| self.clock.now() >= by) {
                self.desk.pool = None;
            }
        }
    }

    /// Serves the workers until the pulse is over or something should be said at once.
    fn work_until_there_is_something_to_say(&mut self, pulse: Duration) {
        let end = Instant::now() + pulse;
        let mut silent = true;
        while silent {
            let left = end.saturating_duration_since(Instant::now());
            self.desk.work(left.min(Duration::from_millis(20)));
            self.note_the_last_frame();
            let vote = self.vote();
            let said = vote.commit || !vote.busy || vote.trouble > Trouble::No;
            silent = !left.is_zero() && !said && vote.stop == Stop::No;
        }
        // Having nothing left to do is no reason to vote without pause while others compute.
        if !self.desk.busy() {
            self.desk
                .work(end.saturating_duration_since(Instant::now()).min(pulse / 2));
        }
    }

    fn vote(&self) -> Vote {
        let due = self.clock.now() >= self.committed_at + self.desk.settings.checkpoint_interval;
        let since = self.clock.now().saturating_sub(self.committed_at);
        let full = self.desk.memory_is_full() || self.desk.round_is_full(since);
        let longest = self.desk.longest_frame();
        let (left, movable) = self.desk.left();
        let walltime = match self.desk.settings.deadline {
            Some(Deadline { end, before }) => {
                let reserve = before.unwrap_or_else(|| self.reserve(end, longest).total());
                let near = self.clock.now() + reserve >= end;
                if near { Stop::AtWalltime } else { Stop::No }
            }
            None => Stop::No,
        };
        Vote {
            trouble: self.desk.error.as_ref().map_or(Trouble::No, |(t, _)| *t),
            stop: walltime.max((self.interrupt)()),
            commit: !self.desk.ready.is_empty()
                && (due || full || self.desk.careful || self.fails_too_often()),
            busy: self.desk.busy(),
            messages: self.desk.ready.has_messages(),
            slabs: 0,
            longest: longest.as_micros() as u64,
            left: (left * 1e6) as u64,
            movable: (movable * 1e6) as u64,
        }
    }

    fn agree(&mut self) -> Result<Verdict> {
        let vote = self.vote();
        self.agree_on(vote)
    }

    /// Notes when the last frame came back.
    fn note_the_last_frame(&mut self) {
        if self.desk.evaluated > self.evaluated {
            self.evaluated = self.desk.evaluated;
            self.desk.summary.ended = self.clock.now().as_secs_f64();
        }
    }

    fn agree_on(&mut self, vote: Vote) -> Result<Verdict> {
        let desk = &mut self.desk;
        let mut look = LOOK.start;
        let verdict = self.ranks.agree(vote, &mut || {
            desk.work(look);
            look = (2 * look).min(LOOK.end);
        });
        self.note_the_last_frame();
        // Without a verdict, this rank has an error and the others will not hear of it.
        verdict.ok_or_else(|| self.own_error().alone())
    }
}
