//! One round's commit: every step of it agreed by all ranks.

use std::time::{Duration, Instant};

use crate::domain::error::Result;
use crate::engine::commit::{Ready, Rows};
use crate::engine::ports::{Look, More, Trouble, Verdict, Vote};
use crate::engine::together::on_first_rank;
use crate::planning::status::Status;

use super::Coordinator;

impl Coordinator<'_> {
    /// Agrees that all ranks are well after one step of a commit.
    pub(super) fn step(&mut self, result: Result<()>) -> Result<()> {
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

    /// Two phases: results, checksums, read back and sync; only then states, sync, read back.
    pub(super) fn commit(&mut self) -> Result<()> {
        let begun = Instant::now();
        // What comes back from workers during the commit belongs to the next one.
        let mut ready = std::mem::take(&mut self.desk.ready);
        self.desk.committing = ready.bytes();
        self.desk.behind = false;
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

    pub(super) fn write(&mut self, ready: &Ready, verdict: Verdict) -> Result<()> {
        if self.desk.settings.shared && !self.turn()? {
            self.discard();
            return Ok(());
        }
        let begun = Instant::now();
        let begin = self.desk.at_the_disk(|| self.sink.begin());
        self.step(begin)?;
        let mut there = Ok(());
        for slab in 0..verdict.slabs as usize {
            ready.fill_results(slab, &mut self.rows);
            self.desk.summary.bytes += result_bytes(&self.rows);
            let write = || self.sink.write_results(&self.rows);
            let written = self.desk.at_the_disk(write);
            self.step(written)?;
            // A rank's rows may have been written by another one: on the same node they can be looked at now, while
            // the disk is busy with them...
            if self.one_node {
                there = there.and_then(|()| self.check(Look::AtOnce));
            }
        }
        let synced = self.desk.at_the_disk(|| self.sink.sync());
        self.step(synced)?;
        // ...and else only after its sync.
        if !self.one_node {
            for slab in 0..verdict.slabs as usize {
                ready.fill_results(slab, &mut self.rows);
                there = there.and_then(|()| self.check(Look::Later));
            }
        }
        self.step(there)?;

        let results = begun.elapsed();
        ready.fill_status(&mut self.rows);
        self.desk.summary.bytes += 8 * self.rows.statuses.len() as u64;
        let write = || self.sink.write_status(&self.rows, verdict.messages);
        let written = self.desk.at_the_disk(write);
        self.step(written)?;
        let synced = self.desk.at_the_disk(|| self.sink.sync());
        self.step(synced)?;
        let check = || self.sink.check_status(&self.rows, verdict.messages);
        let there = self.desk.at_the_disk(check);
        self.step(there)?;
        self.desk
            .adapt_round(begun.elapsed(), begun.elapsed().saturating_sub(results));

        self.count();
        let record = || self.sink.record(&self.progress);
        let recorded = self.desk.at_the_disk(record);
        self.step(recorded)?;
        if self.desk.settings.shared {
            // The record too is on the disk before another job writes.
            let synced = self.desk.at_the_disk(|| self.sink.sync());
            self.step(synced)?;
            let ended = self.sink.end();
            self.step(ended)?;
        }
        self.observer.committed(&self.progress);
        Ok(())
    }

    /// Whether the rows of a slab are in the file.
    fn check(&mut self, look: Look) -> Result<()> {
        let check = || self.sink.check_results(&self.rows, look);
        self.desk.at_the_disk(check)
    }

    /// Waits, where several jobs share the result, until it is this one's turn to write. False when another job has
    /// taken its frames.
    pub(super) fn turn(&mut self) -> Result<bool> {
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

    pub(super) fn discard(&mut self) {
        self.desk.forget();
        self.progress.planned -= self.leased;
        self.leased = 0;
    }

    /// Asks for more frames of a shared result; false when all are done.
    pub(super) fn more(&mut self) -> Result<bool> {
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
                let plan = self.weigh(frames)?;
                self.first_deal(plan);
                Ok(true)
            }
        }
    }

    pub(super) fn count(&mut self) {
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
}

fn result_bytes(rows: &Rows) -> u64 {
    let frames = rows.energies.len() as u64;
    (8 + 72) * frames
        + 24 * rows.forces.len() as u64
        + 8 * rows.packed.len() as u64
        + 12 * rows.checksums.len() as u64
}
