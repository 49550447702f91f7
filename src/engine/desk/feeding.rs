//! What the workers are given next, and how much of it.

use std::time::Instant;

use crate::domain::error::Result;
use crate::planning::frame_set::FrameSet;
use crate::planning::pace;

use super::{Batch, Desk};

/// Largest batch in bytes: a few of them make up the memory of a round.
const BATCH_BYTES: u64 = 4 << 20;

impl Desk<'_> {
    /// Hands out batches until every worker has enough for the time a commit takes, or memory is full.
    pub(super) fn feed(&mut self) -> Result<()> {
        self.note_waits(self.held);
        while self.wants_feeding() {
            let places = self.next_places();
            self.hand_out(places)?;
        }
        self.held = self.is_held();
        Ok(())
    }

    fn next_places(&mut self) -> FrameSet {
        let rate = self.quick.seconds_per_weight();
        let threads = self.settings.threads.max(1) as f64;
        let (most, weight) = match rate {
            _ if self.careful => (1, 0.0),
            None => (1, 0.0),
            Some(rate) => {
                let left = self.queue.weight() * rate / threads;
                let weight = pace::batch_seconds(left) / rate;
                self.queue.level(weight);
                (self.batch_frames, weight)
            }
        };
        self.queue.next(most, weight, self.plan.weights())
    }

    fn wants_feeding(&self) -> bool {
        let Some(pool) = &self.pool else { return false };
        if self.stopping || self.error.is_some() || self.queue.is_empty() {
            return false;
        }
        let nothing_in_hand = pool.batches_in_hand() == 0 && self.ready.is_empty();
        if self.careful {
            return nothing_in_hand && self.committing == 0;
        }
        if self.is_held() && !nothing_in_hand {
            return false;
        }
        let least = 2 * pool.threads();
        if pool.batches_in_hand() < least {
            return true;
        }
        let supply = pace::supply(self.last_commit.as_secs_f64()) * pool.threads() as f64;
        let rate = self.quick.seconds_per_weight();
        let enough = rate.is_none_or(|rate| pool.weight_in_hand() * rate >= supply);
        !enough && pool.bytes_in_hand() < self.round()
    }

    /// Whether what has been computed has to be written before more is handed out.
    fn is_held(&self) -> bool {
        self.disk_is_behind() || self.bytes() > self.settings.max_memory
    }

    fn hand_out(&mut self, places: FrameSet) -> Result<()> {
        let frames = self.plan.frames_at(&places);
        let mut batch = self.read(&frames)?;
        // Frames may be larger than those that set the batch size: keep batches within bounds from now on.
        let limit = BATCH_BYTES.min(self.settings.max_memory / 16).max(1);
        self.most_frames = (frames.len() * limit / batch.bytes_needed().max(1)).max(1);
        self.frame_bytes = self
            .frame_bytes
            .max(batch.bytes_needed() / frames.len().max(1));
        self.batch_frames = self.batch_frames.min(self.most_frames);
        batch.reserve_results();
        let weights = self.plan.weights();
        let weight = places.runs().iter().map(|run| weights.of(run)).sum();
        if let Some(pool) = &mut self.pool {
            pool.submit(places, weight, batch);
        }
        Ok(())
    }

    pub(super) fn read(&mut self, frames: &FrameSet) -> Result<Batch> {
        let mut batch = self.spare.pop().unwrap_or_else(|| Batch {
            layout: self.layout.clone(),
            ..Batch::default()
        });
        let begun = Instant::now();
        let result = self.source.read(frames, &mut batch.block);
        self.summary.reading += begun.elapsed().as_secs_f64();
        result.map(|()| batch)
    }
}
