//! How a run stops: in good order, at once, or with an error, on all ranks alike.

use std::time::Duration;

use crate::domain::error::{Error, Kind, Result};
use crate::engine::ports::{Stop, Stopping, Trouble, Verdict};
use crate::engine::settings::Deadline;
use crate::engine::summary::{Ending, RankSummary, Summary};
use crate::planning::reserve::Reserve;

use super::Coordinator;

/// Batch systems send SIGKILL so long after their first signal (SLURM's default `KillWait`).
const KILL_WAIT: Duration = Duration::from_secs(30);

/// How long workers may take to leave when all is done: other programs have to be told, and to end.
const DISMISSAL: Duration = Duration::from_secs(3);

impl Coordinator<'_> {
    /// Whether this rank alone has failures enough to end the job: they are counted at a commit.
    pub(super) fn fails_too_often(&self) -> bool {
        let most = self.desk.settings.max_failures;
        most.is_some_and(|most| self.desk.ready.failures() > most)
    }

    /// What has to be kept before `end`, where `longest` is the longest frame of this rank.
    pub(super) fn reserve(&self, end: Duration, longest: Duration) -> Reserve {
        Reserve::measured(longest.max(self.longest), self.longest_commit, end)
    }

    /// Begins to stop, or makes more haste.
    pub(super) fn heed(&mut self, stop: Stop) {
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

    pub(super) fn call_workers_back(&self) {
        if let Some(pool) = &self.desk.pool {
            pool.stop();
        }
    }

    pub(super) fn too_many_failures(&self) -> Option<Error> {
        let failures = self.progress.committed.troubled();
        let most = self.desk.settings.max_failures?;
        (failures > most).then(|| {
            Error::failure(format!(
                "{failures} {}s failed, more than --max-failures {most}; `framewise status` lists why",
                self.desk.item
            ))
        })
    }

    pub(super) fn own_error(&mut self) -> Error {
        let error = self.desk.error.take().map(|(_, error)| error);
        let error = error.unwrap_or_else(|| Error::failure("the other ranks do not answer"));
        match self.ranks.size() {
            1 => error,
            _ => error.context(self.ranks.name()),
        }
    }

    /// The error of the rank that the verdict names, on every rank.
    pub(super) fn tell_error(&mut self, verdict: Verdict) -> Error {
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
    pub(super) fn end_with(&mut self, error: Error) -> Error {
        self.desk.stopping = true;
        self.desk.pool = None;
        if matches!(error.kind, Kind::Abandoned | Kind::Alone) {
            return error;
        }
        match self.record_end(Ending::Failed) {
            Ok(()) => error,
            Err(alone) if alone.kind == Kind::Alone => alone,
            Err(_) => error.abandoned(),
        }
    }

    pub(super) fn record_end(&mut self, ending: Ending) -> Result<()> {
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

    pub(super) fn finish(mut self) -> Result<Summary> {
        let all = self.progress.committed.total() == self.progress.planned;
        let done = all && (self.complete || !self.desk.settings.shared);
        let ending = if done { Ending::Done } else { Ending::Stopped };
        self.record_end(ending)?;
        if let Some(pool) = self.desk.pool.take() {
            // Who was asked to stop does not wait for frames that are abandoned.
            pool.dismiss(if done { DISMISSAL } else { Duration::ZERO });
        }
        let ranks = self.ranks.gather(&self.desk.summary.to_row());
        Ok(Summary {
            ending,
            progress: self.progress,
            ranks: ranks.iter().map(|row| RankSummary::from_row(row)).collect(),
        })
    }
}
