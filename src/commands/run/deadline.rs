//! When a run has to begin to stop.

use std::time::Duration;

use crate::adapters::mpi::MpiRanks;
use crate::adapters::walltime;
use crate::domain::error::Result;
use crate::engine::ports::Ranks;
use crate::engine::together::on_first_rank;

use super::config::Walltime;
use super::job::Setting;

/// When to begin to stop, on the clock that began with the process.
pub(super) fn deadline(setting: &Setting<'_>, ranks: &mut MpiRanks) -> Result<Option<Duration>> {
    let (config, started) = (setting.config, setting.started);
    let left = match config.walltime {
        Walltime::In(time) => Some(time),
        // One rank asks the batch system.
        Walltime::Auto => {
            let mine = on_first_rank(ranks, || Ok(walltime::left()))?.flatten();
            let told = ranks.tell(
                0,
                &mine.map_or_else(String::new, |t| t.as_secs().to_string()),
            );
            let left = told.parse().ok().map(Duration::from_secs);
            left.map(|left| started.elapsed() + left)
        }
    };
    let Some(end) = left else { return Ok(None) };
    let reserve = config
        .stop_before
        .unwrap_or_else(|| (end / 10).min(Duration::from_mins(1)));
    tracing::info!(
        "walltime ends in {:.0?}; stopping {reserve:.0?} before",
        end.saturating_sub(started.elapsed())
    );
    Ok(Some(end.saturating_sub(reserve)))
}
