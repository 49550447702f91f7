//! All that a run has to compute, the same on every rank. Frames are dealt out by their place in this list: a place
//! is short to say, whatever the selection looks like.

use std::ops::Range;

use super::cost::{Experience, SizeLaw, Sizes};
use super::frame_set::FrameSet;
use super::weights::Weights;

/// Every so many runs the number of frames before is kept.
const MARK: usize = 64;

/// The frames of a run in ascending order, and what they are expected to cost.
#[derive(Clone, Debug)]
pub struct Plan {
    frames: FrameSet,
    /// Frames before run `MARK * i`.
    marks: Vec<u64>,
    len: u64,
    weights: Weights,
    knowledge: Option<Knowledge>,
}

/// What is known of frames that do not cost the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Knowledge {
    /// Their sizes.
    pub sizes: Sizes,
    /// What frames have taken in earlier runs.
    pub experience: Experience,
    /// What is assumed while there is no experience.
    pub assumed: SizeLaw,
}

impl Knowledge {
    fn weights(&self) -> Weights {
        let law = self.experience.law().unwrap_or(self.assumed);
        self.sizes.weights(&law)
    }
}

impl Plan {
    /// A plan of frames that cost the same, for all that is known.
    pub fn even(frames: FrameSet) -> Self {
        let weights = Weights::even(frames.len());
        Self::new(frames, weights, None)
    }

    /// A plan of frames that cost what their sizes say.
    pub fn sized(frames: FrameSet, knowledge: Knowledge) -> Self {
        let weights = knowledge.weights();
        Self::new(frames, weights, Some(knowledge))
    }

    fn new(frames: FrameSet, weights: Weights, knowledge: Option<Knowledge>) -> Self {
        let (mut marks, mut len) = (Vec::new(), 0);
        for (i, run) in frames.runs().iter().enumerate() {
            if i % MARK == 0 {
                marks.push(len);
            }
            len += run.end - run.start;
        }
        Self {
            frames,
            marks,
            len,
            weights,
            knowledge,
        }
    }

    /// Whether there is something to learn: frames differ in size.
    pub fn is_sized(&self) -> bool {
        self.knowledge.is_some()
    }

    /// Weighs the frames anew by what this run has seen on all ranks, too. Returns how many of the new units of weight
    /// were one of the old.
    pub fn learn(&mut self, seen: &Experience) -> f64 {
        let Some(knowledge) = &self.knowledge else {
            return 1.0;
        };
        let mut all = knowledge.experience.clone();
        all.add_all(seen);
        let Some(law) = all.law() else { return 1.0 };
        let before = self.weights.mean();
        self.weights = knowledge.sizes.weights(&law);
        let now = self.weights.mean();
        if before > 0.0 && now > 0.0 {
            now / before
        } else {
            1.0
        }
    }

    /// Number of frames.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True without frames.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Expected costs by place.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The frames at `places`. Costs as much as there are runs in it, whatever the size of the plan.
    pub fn frames_at(&self, places: &FrameSet) -> FrameSet {
        let mut found = FrameSet::empty();
        for wanted in places.runs() {
            let mark = self.marks.partition_point(|m| *m <= wanted.start);
            let mark = mark.saturating_sub(1);
            let mut before = self.marks.get(mark).copied().unwrap_or(0);
            for run in self.frames.runs().iter().skip(mark * MARK) {
                let length = run.end - run.start;
                let from = wanted.start.saturating_sub(before).min(length);
                let to = wanted.end.saturating_sub(before).min(length);
                found.append(run.start + from..run.start + to);
                before += length;
                if before >= wanted.end {
                    break;
                }
            }
        }
        found
    }

    /// The places of `frames`, all of which are in the plan.
    pub fn places_of(&self, frames: &FrameSet) -> FrameSet {
        let mut found = FrameSet::empty();
        for wanted in frames.runs() {
            let runs = self.frames.runs();
            let at = runs.partition_point(|run| run.end <= wanted.start);
            let mut before = self.marks.get(at / MARK).copied().unwrap_or(0);
            for run in &runs[at / MARK * MARK..at] {
                before += run.end - run.start;
            }
            let mut rest = wanted.clone();
            for run in &runs[at..] {
                if rest.start >= rest.end {
                    break;
                }
                let here: Range<u64> = rest.start.max(run.start)..rest.end.min(run.end);
                found.append(before + here.start - run.start..before + here.end - run.start);
                rest.start = run.end;
                before += run.end - run.start;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn places_and_frames_are_each_others_inverse(
            gaps in prop::collection::vec((1u64..4, 1u64..6), 1..300),
            a in 0u64..900, n in 0u64..900,
        ) {
            let mut frames = FrameSet::empty();
            let mut at = 0;
            for (gap, length) in gaps {
                frames.append(at + gap..at + gap + length);
                at += gap + length;
            }
            let plan = Plan::even(frames.clone());
            prop_assert_eq!(plan.len(), frames.len());
            let (start, end) = (a.min(plan.len()), (a + n).min(plan.len()));
            let places = FrameSet::from_runs(vec![start..end]);
            let found = plan.frames_at(&places);
            prop_assert_eq!(&found, &frames.slice(start..end));
            prop_assert_eq!(plan.places_of(&found), places);
        }
    }
}
