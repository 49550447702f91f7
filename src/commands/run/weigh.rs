//! What the frames to compute will cost, as far as it can be known before they are: by their sizes and by the seconds
//! that frames of this result have taken before. Rank 0 looks, the others are told.

use std::path::Path;

use crate::adapters::hdf5::input::Input;
use crate::adapters::hdf5::seconds::Seconds;
use crate::domain::calculator::Factory;
use crate::domain::error::Result;
use crate::engine::ports::Ranks;
use crate::engine::together::on_first_rank;
use crate::planning::cost::{Experience, SizeLaw, Sizes};
use crate::planning::frame_set::FrameSet;
use crate::planning::plan::{Knowledge, Plan};
use crate::planning::weights::BLOCKS;

/// Where it is seen what frames have taken.
#[derive(Clone, Copy)]
pub(super) struct Earlier<'a> {
    /// The result.
    pub result: &'a Path,
    /// What computes.
    pub factory: &'a dyn Factory,
    /// The result has just been created: nobody has computed anything.
    pub created: bool,
}

/// The trajectory is looked at in so many places, so many frames in each.
const WINDOWS: u64 = 256;
/// See [`WINDOWS`].
const WINDOW: u64 = 256;
/// Measured frames of a window that say something about those around it.
const ENOUGH: usize = 8;
/// Costs within this factor are one cost: not worth weighing.
const EVEN: f64 = 1.25;

/// The plan of `pending`, the same on every rank. Collective.
pub(super) fn plan(
    earlier: &Earlier<'_>,
    ranks: &mut dyn Ranks,
    input: &mut Input,
    pending: &FrameSet,
    assumed: SizeLaw,
) -> Result<Plan> {
    let known = on_first_rank(ranks, || look(earlier, input, pending, assumed))?;
    let mine = known.flatten();
    let sizes = mine.as_ref().map(|known| known.sizes.encode());
    let told = ranks.exchange(&sizes.unwrap_or_default());
    let Some(sizes) = Sizes::decode(&told[0]) else {
        return Ok(Plan::even(pending.clone()));
    };
    let experience = mine.map(|known| known.experience.encode());
    let experience = Experience::decode(&ranks.exchange(&experience.unwrap_or_default())[0]);
    let knowledge = Knowledge {
        sizes,
        experience,
        assumed,
    };
    Ok(Plan::sized(pending.clone(), knowledge))
}

/// What frames of different sizes have taken in earlier runs; on rank 0 alone. Others may be writing seconds meanwhile: a
/// few that are half there do no harm. Collective.
pub(super) fn for_leases(
    earlier: &Earlier<'_>,
    ranks: &mut dyn Ranks,
    input: &mut Input,
) -> Result<Experience> {
    let seen = on_first_rank(ranks, || {
        if earlier.created || input.atoms().is_some() {
            return Ok(Experience::default());
        }
        Ok(seen(earlier, input)?.0)
    })?;
    Ok(seen.unwrap_or_default())
}

/// What frames have taken in earlier runs; of each window of frames that is looked at.
fn seen(earlier: &Earlier<'_>, input: &mut Input) -> Result<(Experience, Vec<Window>)> {
    let seconds = Seconds::open(earlier.result)?;
    let mut experience = Experience::default();
    let mut windows = Vec::new();
    for frames in sample(input.frames()) {
        let mut sizes = Vec::new();
        let size_of = |z| earlier.factory.size_of(z);
        input.for_each_size(&frames, size_of, |size| sizes.push(size))?;
        let taken = seconds.read(&frames)?;
        let measured = sizes
            .into_iter()
            .zip(taken)
            .filter(|(_, s)| *s > 0.0 && s.is_finite());
        let measured: Vec<(u64, f64)> = measured.map(|(n, s)| (n, f64::from(s))).collect();
        for (size, seconds) in &measured {
            experience.add(*size, *seconds);
        }
        windows.push(measured);
    }
    Ok((experience, windows))
}

/// Measured frames that are neighbours: sizes and seconds.
type Window = Vec<(u64, f64)>;

/// What is known; `None` where all frames cost the same, for all that is known.
fn look(
    earlier: &Earlier<'_>,
    input: &mut Input,
    pending: &FrameSet,
    assumed: SizeLaw,
) -> Result<Option<Knowledge>> {
    let created = earlier.created;
    let ragged = input.atoms().is_none();
    if pending.is_empty() || (created && !ragged) {
        return Ok(None);
    }
    let size_of = |z| earlier.factory.size_of(z);
    let (experience, windows) = if created {
        Default::default()
    } else {
        seen(earlier, input)?
    };
    let law = experience.law().unwrap_or(assumed);
    let factors: Vec<Option<f64>> = windows.iter().map(|w| factor(w, &law)).collect();
    let own = if created || pending.len() > BLOCKS {
        Vec::new()
    } else {
        Seconds::open(earlier.result)?.read(pending)?
    };
    let uneven = |factor: f64| !(1.0 / EVEN..EVEN).contains(&factor);
    let told = factors.iter().flatten().any(|f| uneven(*f)) || own.iter().any(|s| *s > 0.0);
    if !ragged && !told {
        return Ok(None);
    }
    let mut frames = pending
        .iter()
        .zip(own.into_iter().map(Some).chain(std::iter::repeat(None)));
    let last = input.frames();
    let sizes = Sizes::fill(pending.len(), &law, |each| {
        input.for_each_size(pending, size_of, |size| {
            let Some((frame, own)) = frames.next() else {
                return;
            };
            let said = law.seconds(size as f64);
            let factor = match own {
                Some(own) if own > 0.0 && own.is_finite() && said > 0.0 => f64::from(own) / said,
                _ => nearest(&factors, frame, last),
            };
            each(size, factor);
        })
    })?;
    Ok(Some(Knowledge {
        sizes,
        experience,
        assumed,
    }))
}

/// Windows spread evenly over `frames` frames; all of them in a short trajectory.
fn sample(frames: u64) -> impl Iterator<Item = FrameSet> {
    let spacing = frames.div_ceil(WINDOWS).max(1);
    (0..frames.div_ceil(spacing)).map(move |i| {
        let start = i * spacing;
        FrameSet::from_runs(vec![start..(start + spacing.min(WINDOW)).min(frames)])
    })
}

/// How many times longer than the law says the frames of a window have taken.
fn factor(measured: &[(u64, f64)], law: &SizeLaw) -> Option<f64> {
    let taken: f64 = measured.iter().map(|(_, seconds)| seconds).sum();
    let said: f64 = measured
        .iter()
        .map(|(size, _)| law.seconds(*size as f64))
        .sum();
    (measured.len() >= ENOUGH && said > 0.0).then(|| taken / said)
}

/// The factor of the window in which `frame` is, or of the next one that has one.
fn nearest(factors: &[Option<f64>], frame: u64, frames: u64) -> f64 {
    let spacing = frames.div_ceil(WINDOWS).max(1);
    let here = (frame / spacing) as usize;
    (0..factors.len())
        .find_map(|away| {
            let before = here
                .checked_sub(away)
                .and_then(|i| factors.get(i).copied().flatten());
            before.or_else(|| factors.get(here + away).copied().flatten())
        })
        .unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_trajectory_is_looked_at_as_a_whole_and_a_long_one_in_many_places() {
        let all: Vec<u64> = sample(1000)
            .flat_map(|w| w.iter().collect::<Vec<_>>())
            .collect();
        assert!(all.into_iter().eq(0..1000));
        let windows: Vec<FrameSet> = sample(10_000_000).collect();
        assert_eq!(windows.len(), 256);
        assert!(windows.iter().all(|w| w.len() == WINDOW));
        assert_eq!(sample(0).count(), 0);
    }

    #[test]
    fn frames_without_measured_neighbours_take_the_factor_of_the_next_window() {
        let factors = [None, Some(2.0), None, None, Some(5.0)];
        let at = |window: u64| nearest(&factors, window * 10, 2560);
        assert_eq!(
            [at(0), at(1), at(2), at(3), at(4)],
            [2.0, 2.0, 2.0, 5.0, 5.0]
        );
        assert_eq!(nearest(&[None, None], 3, 20), 1.0);
        assert_eq!(nearest(&[], 3, 20), 1.0);
    }
}
