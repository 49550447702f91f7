//! Which frames of a result belong to which structure, and whether they are the same frames.

use std::ops::Range;
use std::path::Path;

use crate::domain::error::{Error, GoOn, Result};
use crate::domain::frame::{Frame, FrameBlock};
use crate::engine::ports::Source as _;
use crate::planning::frame_set::FrameSet;

use super::super::fingerprint::fingerprint;
use super::super::input::Input;
use super::super::layout::attribute;
use super::super::result_block::ResultBlock;
use super::super::result_reader::ResultReader;

/// Frames of a result and the structure that they are of.
#[derive(Clone, Debug)]
pub struct Part {
    /// Group of the structure, absolute.
    pub key: String,
    /// Its frames, as the result numbers them.
    pub frames: Range<u64>,
    /// Atoms in each frame.
    pub atoms: usize,
}

/// Frames that are read at a time, for so many bytes of forces or positions.
pub(super) const BLOCK_BYTES: u64 = 16 << 20;

/// The parts of `result` that go into the file `into`: all of them, or the one for `key`. Structures have to have the
/// frames that were computed, to the last bit.
///
/// # Errors
/// A structure is missing, or has other frames.
pub fn plan(
    result: &mut ResultReader,
    into: &Path,
    key: Option<&str>,
    go_on: GoOn<'_>,
) -> Result<Vec<Part>> {
    let all = 0..result.n_frames();
    let segments = result.segments()?;
    let recorded = result.attribute(attribute::KEY).map(str::to_owned);
    let wanted: Vec<(String, Range<u64>)> = match key {
        None if !segments.is_empty() => segments,
        None => vec![(recorded.unwrap_or_default(), all)],
        Some(key) if segments.is_empty() => vec![(key.to_owned(), all)],
        Some(key) => {
            let named = |name: &str| name.trim_matches('/') == key.trim_matches('/');
            let found = segments.iter().find(|(name, _)| named(name));
            let (name, frames) = found.ok_or_else(|| {
                Error::failure(format!(
                    "--key {key}: the result has no frames of such a group; it has {} others, see /parameters/framewise/segments",
                    segments.len()
                ))
            })?;
            vec![(name.clone(), frames.clone())]
        }
    };
    let whole = wanted.len() == 1 && wanted[0].1.end - wanted[0].1.start == result.n_frames();
    let mut parts = Vec::with_capacity(wanted.len());
    for (key, frames) in wanted {
        let mut there = Input::open(into, Some(&key))?;
        let other = |what: String| {
            Error::failure(format!(
                "{}: group {key}: {what}: these results belong to another geometry, nothing was changed",
                into.display()
            ))
        };
        let Some(atoms) = there.atoms() else {
            return Err(Error::failure(format!(
                "{}: group {key} has frames of different sizes, and is no structure of mbe-automation; choose another --key",
                into.display()
            )));
        };
        if !there.is_structure() {
            return Err(Error::failure(format!(
                "{}: group {key} is no structure of mbe-automation; choose another --key, `framewise ls` lists them",
                into.display()
            )));
        }
        let expected = frames.end - frames.start;
        if there.frames() != expected {
            return Err(other(format!(
                "has {} frames, the result {expected}",
                there.frames()
            )));
        }
        let recorded = result
            .attribute(attribute::INPUT_FINGERPRINT)
            .map(str::to_owned);
        // That of several groups is one of them all.
        if whole && recorded.is_some() && recorded != Some(fingerprint(&mut there, go_on)?) {
            same_frames(result, &frames, &mut there, go_on, &other)?;
            return Err(other("is not what was computed".into()));
        }
        same_frames(result, &frames, &mut there, go_on, &other)?;
        parts.push(Part {
            key: there.key(),
            frames,
            atoms,
        });
    }
    Ok(parts)
}

/// Whether the frames of `there` are those of the result.
fn same_frames(
    result: &mut ResultReader,
    frames: &Range<u64>,
    there: &mut Input,
    go_on: GoOn<'_>,
    other: &impl Fn(String) -> Error,
) -> Result<()> {
    let mut rest = FrameSet::from_runs(vec![frames.clone()]);
    let at_once = frames_at_once(there.atoms().unwrap_or(0));
    let (mut computed, mut found) = (FrameBlock::default(), FrameBlock::default());
    let mut results = ResultBlock::default();
    while !rest.is_empty() {
        go_on()?;
        let block = rest.split_front(at_once);
        result.read(&block, &mut computed, &mut results)?;
        let start = block.runs()[0].start - frames.start;
        there.read(
            &FrameSet::from_runs(vec![start..start + block.len()]),
            &mut found,
        )?;
        let differs = (0..found.len()).find(|i| !same(&computed.frame(*i), &found.frame(*i)));
        if let Some(i) = differs {
            return Err(other(format!("frame {} differs", start + i as u64)));
        }
    }
    Ok(())
}

fn same(a: &Frame<'_>, b: &Frame<'_>) -> bool {
    let bits = |x: &f64| x.to_bits();
    let all = |x: &[f64], y: &[f64]| x.iter().map(bits).eq(y.iter().map(bits));
    a.species == b.species
        && all(a.positions.as_flattened(), b.positions.as_flattened())
        && a.cell.periodic == b.cell.periodic
        && (a.cell.periodic == [false; 3]
            || all(a.cell.vectors.as_flattened(), b.cell.vectors.as_flattened()))
}

/// Frames of so many atoms that are read at a time.
pub(super) fn frames_at_once(atoms: usize) -> u64 {
    (BLOCK_BYTES / (24 * atoms as u64 + 64)).max(1)
}
