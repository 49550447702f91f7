//! The coordinator's loop: read, hand out, agree, commit, until nothing is left or the job must stop.
//!
//! At every pulse all ranks exchange votes; a commit happens when any rank wants one (the interval has passed,
//! its memory is full) or when nobody has work left. A commit takes what has been evaluated so far and leaves
//! the workers alone: they go on during the writes. Each step of a commit is followed by an agreement, so that
//! no rank waits in a collective for one that has failed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::domain::calculator::Factory;
use crate::domain::error::{Error, Kind, Result};
use crate::planning::frame_set::FrameSet;
use crate::planning::partition::{EqualShares, Partition};
use crate::planning::reserve::Reserve;
use crate::planning::status::Status;

use super::commit::{Ready, Rows};
use super::desk::Desk;
use super::journal::Journal;
use super::ports::{
    Clock, More, Observer, Ranks, Sink, Source, Stop, Stopping, Trouble, Verdict, Vote,
};
use super::summary::{Ending, Progress, RankSummary, Summary};
use super::together::on_first_rank;

/// What the loop has to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Worker threads of this rank.
    pub threads: usize,
    /// Time between commits.
    pub checkpoint_interval: Duration,
    /// Bound on frames and results held in memory by this rank, in bytes.
    pub max_memory: u64,
    /// Most bytes of results in one collective write of one rank (some MPI-IO layers fail above 2 GiB).
    pub slab: u64,
    /// When the job will be ended.
    pub deadline: Option<Deadline>,
    /// How long frames in hand may go on after a signal, at most.
    pub grace: Duration,
    /// How long one frame may take.
    pub frame_timeout: Option<Duration>,
    /// Stop with an error after this many failed frames of the whole job.
    pub max_failures: Option<u64>,
    /// Frames of this rank that may end the process: sets that are computed one after the other, after all others of
    /// all ranks are committed, one frame at a time and each committed before the next. As many on every rank.
    pub suspects: Vec<FrameSet>,
    /// Several jobs fill the result: the sink says which frames are this one's, lease after lease.
    pub shared: bool,
}

/// When the job will be ended from outside, on the run's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// The end.
    pub end: Duration,
    /// Begin to stop so long before; `None`: as long as frames and commits have been seen to take.
    pub before: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            threads: 1,
            checkpoint_interval: Duration::from_mins(1),
            max_memory: 512 << 20,
            slab: 256 << 20,
            deadline: None,
            grace: Duration::from_secs(20),
            frame_timeout: None,
            max_failures: None,
            suspects: Vec::new(),
            shared: false,
        }
    }
}

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

/// Batch systems send SIGKILL so long after their first signal (SLURM's default `KillWait`).
const KILL_WAIT: Duration = Duration::from_secs(30);
/// Shortest and longest time between two agreements of an undisturbed run.
const PULSE: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(100));
/// Evaluates the frames `share` of this rank and its suspects (those of all ranks together are `planned` frames) and
/// commits them. Collective. On an error every rank returns the same message.
#[allow(clippy::needless_pass_by_value)] // the ports belong to this run
pub fn run(
    settings: &Settings,
    factory: &Arc<dyn Factory>,
    share: FrameSet,
    planned: u64,
    ports: Ports<'_>,
) -> Result<Summary> {
    let desk = Desk::new(settings, factory, ports.journal, share, ports.source);
    Coordinator {
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
    }
    .run()
}

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
}

impl Coordinator<'_> {
    fn run(mut self) -> Result<Summary> {
        let mut pulse = PULSE.0;
        loop {
            self.work_until_there_is_something_to_say(pulse);
            pulse = (pulse * 2).min(PULSE.1);
            self.observer.pulse(self.desk.evaluated);
            let verdict = self.agree()?;
            self.longest = self.longest.max(Duration::from_micros(verdict.longest));
            self.heed(verdict.stop);
            // A rank may still be waiting for long frames; their results are given up when patience ends.
            let now = verdict.stop == Stop::Now || verdict.trouble.is_some();
            let ending = !verdict.busy || now;
            if verdict.commit || ending {
                self.commit()?;
            }
            if verdict.trouble.is_some() {
                let error = self.tell_error(verdict);
                return Err(self.end_with(error));
            }
            if let Some(error) = self.too_many_failures() {
                return Err(self.end_with(error));
            }
            if ending && !now && !self.desk.stopping && self.desk.next_suspects() {
                self.journal.careful();
                pulse = PULSE.0;
            } else if ending {
                if !self.desk.settings.shared || now || self.desk.stopping || !self.more()? {
                    return self.finish();
                }
                if self.leased > 0 {
                    pulse = PULSE.0;
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
            commit: !self.desk.ready.is_empty() && (due || full || self.desk.careful),
            busy: self.desk.busy(),
            messages: self.desk.ready.has_messages(),
            slabs: 0,
            longest: longest.as_micros() as u64,
        }
    }

    /// What has to be kept before `end`, where `longest` is the longest frame of this rank.
    fn reserve(&self, end: Duration, longest: Duration) -> Reserve {
        Reserve::measured(longest.max(self.longest), self.longest_commit, end)
    }

    /// Begins to stop, or makes more haste.
    fn heed(&mut self, stop: Stop) {
        if stop <= self.urgency {
            return;
        }
        self.urgency = stop;
        let now = self.clock.now();
        let (by, why) = match (stop, self.desk.settings.deadline) {
            (Stop::AtWalltime, Some(Deadline { end, before })) => {
                let reserve = self.reserve(end, Duration::ZERO);
                let tail = before.map_or(reserve.tail(), |before| reserve.tail().min(before / 2));
                let why = Stopping::Walltime {
                    left: end.saturating_sub(now),
                    reserve: before.is_none().then_some(reserve),
                };
                (end.saturating_sub(tail), why)
            }
            (Stop::Now, _) => (now, Stopping::AtOnce),
            _ => {
                let commit = 2 * self.longest_commit.unwrap_or_default();
                let grace = KILL_WAIT.saturating_sub(commit + Duration::from_secs(2));
                let grace = self.desk.settings.grace.min(grace);
                (now + grace, Stopping::Asked(grace))
            }
        };
        self.stop_by = Some(self.stop_by.map_or(by, |earlier| earlier.min(by)));
        self.desk.stopping = true;
        self.call_workers_back();
        self.observer.stopping(why);
    }

    fn agree(&mut self) -> Result<Verdict> {
        let vote = self.vote();
        self.agree_on(vote)
    }

    fn agree_on(&mut self, vote: Vote) -> Result<Verdict> {
        let desk = &mut self.desk;
        let verdict = self
            .ranks
            .agree(vote, &mut || desk.work(Duration::from_micros(500)));
        // Without a verdict, this rank has an error and the others will not hear of it.
        verdict.ok_or_else(|| self.own_error().alone())
    }

    fn own_error(&mut self) -> Error {
        let error = self.desk.error.take().map(|(_, error)| error);
        let error = error.unwrap_or_else(|| Error::failure("the other ranks do not answer"));
        match self.ranks.size() {
            1 => error,
            _ => error.context(self.ranks.name()),
        }
    }

    fn call_workers_back(&self) {
        if let Some(pool) = &self.desk.pool {
            pool.stop();
        }
    }

    /// Agrees that all ranks are well after one step of a commit.
    fn step(&mut self, result: Result<()>) -> Result<()> {
        if let Err(error) = result {
            self.desk.error = Some((Trouble::Writing, error));
        }
        let vote = Vote::about(match &self.desk.error {
            Some((Trouble::Writing, _)) => Trouble::Writing,
            _ => Trouble::No,
        });
        let verdict = self.agree_on(vote)?;
        match verdict.trouble {
            None => Ok(()),
            Some(_) => Err(self.tell_error(verdict)),
        }
    }

    /// Two phases: results, checksums, sync, read back; only then states, sync, read back.
    fn commit(&mut self) -> Result<()> {
        let begun = Instant::now();
        // What comes back from workers during the commit belongs to the next one.
        let mut ready = std::mem::take(&mut self.desk.ready);
        self.desk.committing = ready.bytes();
        let vote = Vote {
            slabs: ready.cut(self.desk.settings.slab),
            messages: ready.has_messages(),
            ..Vote::default()
        };
        let verdict = self.agree_on(vote)?;
        if verdict.slabs > 0 {
            self.journal.committing(ready.hull());
            self.write(&ready, verdict)?;
            self.journal.committed();
        }
        self.desk.spare.extend(ready.drain());
        self.desk.committing = 0;
        self.desk.last_commit = begun.elapsed();
        if verdict.slabs > 0 {
            self.longest_commit = self.longest_commit.max(Some(begun.elapsed()));
        }
        self.desk.summary.committing += begun.elapsed().as_secs_f64();
        self.committed_at = self.clock.now();
        Ok(())
    }

    fn write(&mut self, ready: &Ready, verdict: Verdict) -> Result<()> {
        if self.desk.settings.shared && !self.turn()? {
            self.discard();
            return Ok(());
        }
        let begin = self.sink.begin();
        self.step(begin)?;
        for slab in 0..verdict.slabs as usize {
            ready.fill_results(slab, &mut self.rows);
            self.desk.summary.bytes += result_bytes(&self.rows);
            let written = self.sink.write_results(&self.rows);
            self.step(written)?;
            // A rank's rows may have been written by another one: only after its sync can they be looked at.
            let synced = self.sink.sync();
            self.step(synced)?;
            let there = self.sink.check_results(&self.rows);
            self.step(there)?;
        }

        ready.fill_status(&mut self.rows);
        self.desk.summary.bytes += 8 * self.rows.statuses.len() as u64;
        let written = self.sink.write_status(&self.rows, verdict.messages);
        self.step(written)?;
        let synced = self.sink.sync();
        self.step(synced)?;
        let there = self.sink.check_status(&self.rows, verdict.messages);
        self.step(there)?;

        self.count();
        let recorded = self.sink.record(&self.progress);
        self.step(recorded)?;
        if self.desk.settings.shared {
            // The record too is on the disk before another job writes.
            let synced = self.sink.sync();
            self.step(synced)?;
            let ended = self.sink.end();
            self.step(ended)?;
        }
        self.observer.committed(&self.progress);
        Ok(())
    }

    /// Waits, where several jobs share the result, until it is this one's turn to write. False when another job has
    /// taken its frames.
    fn turn(&mut self) -> Result<bool> {
        let desk = &mut self.desk;
        let turn = self
            .sink
            .turn(&mut || desk.work(Duration::from_micros(500)));
        let lost = matches!(turn, Ok(false));
        self.step(turn.map(|_| ()))?;
        Ok(self
            .ranks
            .tell(0, if lost { "lost" } else { "" })
            .is_empty())
    }

    fn discard(&mut self) {
        self.desk.forget();
        self.progress.planned -= self.leased;
        self.leased = 0;
    }

    /// Asks for more frames of a shared result; false when all are done.
    fn more(&mut self) -> Result<bool> {
        let sink = &mut self.sink;
        let more = on_first_rank(self.ranks, || sink.more())?;
        let told = more.map_or_else(String::new, |more| more.encode());
        match More::decode(&self.ranks.tell(0, &told)) {
            More::Nothing => {
                self.complete = true;
                Ok(false)
            }
            More::Wait => Ok(true),
            More::Frames(frames) => {
                self.leased = frames.len();
                self.progress.planned += frames.len();
                let (rank, size) = (self.ranks.rank(), self.ranks.size());
                self.desk.pending = EqualShares.share(&frames, rank, size);
                Ok(true)
            }
        }
    }

    fn count(&mut self) {
        let counts = self.rows.counts();
        self.desk.summary.frames += counts.total();
        let mut sums = <[u64; 4]>::from(counts).map(|n| n as f64);
        self.ranks.sum(&mut sums);
        for (status, n) in Status::ALL.into_iter().zip(sums) {
            self.progress.committed.add(status, n as u64);
        }
        self.leased = self.leased.saturating_sub(sums.iter().sum::<f64>() as u64);
        self.progress.commits += 1;
        self.progress.elapsed = self.clock.now();
    }

    fn too_many_failures(&self) -> Option<Error> {
        let failures = self.progress.committed.troubled();
        let most = self.desk.settings.max_failures?;
        (failures > most).then(|| {
            Error::failure(format!(
                "{failures} frames failed, more than --max-failures {most}; `framewise status` lists why"
            ))
        })
    }

    /// The error of the rank that the verdict names, on every rank.
    fn tell_error(&mut self, verdict: Verdict) -> Error {
        let from = verdict.trouble.map_or(0, |(_, rank)| rank);
        let mine = match &self.desk.error {
            Some(_) => self.own_error().message,
            None => String::new(),
        };
        let error = Error::failure(self.ranks.tell(from, &mine));
        match verdict.trouble {
            Some((Trouble::Writing, _)) => error.abandoned(),
            _ => error,
        }
    }

    /// The error that ends the run on all ranks; the history tells that it did.
    fn end_with(&mut self, error: Error) -> Error {
        self.desk.stopping = true;
        self.desk.pool = None;
        if error.kind == Kind::Abandoned {
            return error;
        }
        match self.record_end(Ending::Failed) {
            Ok(()) => error,
            Err(alone) if alone.kind == Kind::Alone => alone,
            Err(_) => error.abandoned(),
        }
    }

    fn record_end(&mut self, ending: Ending) -> Result<()> {
        // An orphan must not even write its record, and nobody writes out of turn.
        let desk = &mut self.desk;
        let settled = self
            .sink
            .settle(&mut || desk.work(Duration::from_micros(500)));
        self.step(settled)?;
        self.progress.ended = Some(ending);
        self.progress.elapsed = self.clock.now();
        let recorded = self.sink.record(&self.progress);
        self.step(recorded)?;
        let synced = self.sink.sync();
        self.step(synced)
    }

    fn finish(mut self) -> Result<Summary> {
        let all = self.progress.committed.total() == self.progress.planned;
        let done = all && (self.complete || !self.desk.settings.shared);
        let ending = if done { Ending::Done } else { Ending::Stopped };
        self.record_end(ending)?;
        let ranks = self.ranks.gather(&self.desk.summary.to_row());
        Ok(Summary {
            ending,
            progress: self.progress,
            ranks: ranks.iter().map(|row| RankSummary::from_row(row)).collect(),
        })
    }
}

fn result_bytes(rows: &Rows) -> u64 {
    let frames = rows.energies.len() as u64;
    (8 + 72 + 8 + 4) * frames + 24 * rows.forces.len() as u64
}
