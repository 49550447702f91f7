//! What is said at the end, on rank 0.

use crate::adapters::hdf5::result_reader::ResultReader;
use crate::domain::error::Result;
use crate::engine::summary::{Ending, Progress, RankSummary, Summary};
use crate::planning::frame_set::FrameSet;
use crate::planning::status::Status;

use super::config::RunConfig;
use super::job::Setting;
use super::prepare::Job;
use super::watch;

/// Failed frames that are named at the end.
const FAILURES_SHOWN: usize = 5;

/// A run that had nothing to compute and has not touched the file.
pub(super) fn nothing_to_do(ranks: usize) -> Summary {
    Summary {
        ending: Ending::Done,
        progress: Progress::default(),
        ranks: vec![RankSummary::default(); ranks],
    }
}

/// What is said at the end, on rank 0.
pub(super) fn report(
    setting: &Setting<'_>,
    selected: &FrameSet,
    job: &Job,
    summary: &Summary,
) -> Result<()> {
    let config = setting.config;
    watch::write_metrics(summary, config)?;
    let committed = &summary.progress.committed;
    if setting.talkative && job.planned() == 0 {
        return watch::print_nothing_to_do(config, selected.len(), job.troubled);
    }
    if setting.talkative {
        let left = summary.progress.planned - committed.total();
        watch::print_summary(summary, config, selected.len(), left)?;
    }
    match committed.troubled() {
        0 => Ok(()),
        _ => name_failures(config, selected),
    }
}

/// Says which frames failed and why: the first few.
pub(super) fn name_failures(config: &RunConfig, selected: &FrameSet) -> Result<()> {
    let reader = ResultReader::open(&config.result)?;
    let failed = reader
        .states()?
        .of_any(&[Status::Failed, Status::NotConverged])
        .intersection(selected);
    let shown = failed.slice(0..FAILURES_SHOWN as u64);
    for (frame, message) in shown.iter().zip(reader.messages(&shown)?) {
        tracing::warn!("frame {frame}: {message}");
    }
    let more = failed.len() - shown.len();
    if more > 0 {
        let result = config.result.display();
        tracing::warn!("and {more} frames more: framewise status {result} --failed");
    }
    Ok(())
}
