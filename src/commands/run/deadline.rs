//! When the job will be ended from outside.

use std::time::Duration;

use crate::adapters::mpi::MpiRanks;
use crate::adapters::walltime;
use crate::domain::error::Result;
use crate::engine::ports::Ranks;
use crate::engine::settings::Deadline;
use crate::engine::together::on_first_rank;

use super::job::Setting;
use super::walltime::Walltime;

/// When the job will be ended, on the clock that began with it.
pub(super) fn deadline(setting: &Setting<'_>, ranks: &mut MpiRanks) -> Result<Option<Deadline>> {
    let (config, started) = (setting.config, setting.started);
    let end = match config.walltime {
        Walltime::In(time) => Some(time.saturating_sub(started - setting.launched)),
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
    let Some(end) = end else { return Ok(None) };
    let left = end.saturating_sub(started.elapsed());
    let before = config.stop_before.map_or_else(
        || "before as long as the longest frame and a commit take".to_owned(),
        |before| format!("{before:.0?} before"),
    );
    let left = humantime::format_duration(Duration::from_secs(left.as_secs()));
    tracing::info!("walltime ends in {left}; stopping {before}");
    Ok(Some(Deadline {
        end,
        before: config.stop_before,
    }))
}
