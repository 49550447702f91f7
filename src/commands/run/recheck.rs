//! Before a run goes on: are the results that earlier runs have committed still there?
//!
//! A state is written after its results are synced, so no kill makes it lie; a disk, a file system or a careless
//! program can. Frames that do not match their checksum are computed again.

use crate::adapters::hdf5::audit::{audit, mean_bytes};
use crate::adapters::hdf5::result_reader::ResultReader;
use crate::commands::table::{plural, thousands};
use crate::domain::error::{GoOn, Result};
use crate::planning::frame_set::FrameSet;

use super::config::RunConfig;

/// Results up to this size are always checked whole: it takes less time than starting the ranks.
const WHOLE_BYTES: u64 = 256 << 20;
/// Wrong frames that are named.
const SHOWN: usize = 5;

/// Which frames the end of the last run casts a doubt on.
#[derive(Clone, Copy, Debug)]
pub enum Suspicion<'a> {
    /// It ended in good order.
    None,
    /// It died, and these frames were written in its last rounds.
    Some(&'a FrameSet),
    /// It died, and what it wrote last is not known.
    All,
}

/// The frames of `completed` that are not what their states promise. Said in the log.
pub fn recheck(
    reader: &ResultReader,
    config: &RunConfig,
    completed: &FrameSet,
    suspicion: Suspicion<'_>,
    go_on: GoOn<'_>,
) -> Result<FrameSet> {
    let whole = config.verify_on_resume || completed.len() * mean_bytes(reader) <= WHOLE_BYTES;
    let doubtful = match suspicion {
        _ if whole => completed.clone(),
        Suspicion::All => completed.clone(),
        Suspicion::Some(frames) => completed.intersection(frames),
        Suspicion::None => return Ok(FrameSet::empty()),
    };
    let found = audit(reader, &doubtful, go_on)?;
    let (shown, item) = (config.result.display(), config.task.item());
    for (frame, why) in found.wrong.iter().take(SHOWN) {
        tracing::warn!("{shown}: {item} {frame} {why}; it is undefined again and will be computed");
    }
    if found.wrong.len() > SHOWN {
        let more = plural((found.wrong.len() - SHOWN) as u64, &format!("more {item}"));
        tracing::warn!("{shown}: and {more} (framewise verify lists them)");
    }
    if config.verify_on_resume {
        tracing::info!(
            "{shown}: {} completed {item}s checked, {} wrong",
            thousands(found.completed),
            found.wrong.len()
        );
    }
    Ok(found
        .wrong
        .iter()
        .map(|(frame, _)| *frame..*frame + 1)
        .collect())
}
