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
        let left = match config.share {
            None => summary.progress.planned - committed.total(),
            Some(_) => undefined(config, selected)?,
        };
        watch::print_summary(
            summary,
            config,
            setting.team.words(),
            (selected.len(), left),
        )?;
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
    let item = config.task.item();
    for (frame, message) in shown.iter().zip(reader.messages(&shown)?) {
        tracing::warn!("{item} {frame}: {message}");
    }
    let more = failed.len() - shown.len();
    if more > 0 {
        let result = config.result.display();
        tracing::warn!("and {more} {item}s more: framewise status {result} --failed");
    }
    Ok(())
}

/// Selected frames that failed or did not converge. Where several jobs share the result, those of all jobs count: the
/// exit code tells about the selection.
pub(super) fn troubled(
    config: &RunConfig,
    selected: &FrameSet,
    job: &Job,
    summary: &Summary,
) -> Result<u64> {
    if config.share.is_none() || job.pending.is_empty() {
        return Ok(job.troubled + summary.progress.committed.troubled());
    }
    let states = ResultReader::open(&config.result)?.states()?;
    let troubled = states.of_any(&[Status::Failed, Status::NotConverged]);
    Ok(troubled.intersection(selected).len())
}

/// Selected frames that nobody has computed.
fn undefined(config: &RunConfig, selected: &FrameSet) -> Result<u64> {
    let states = ResultReader::open(&config.result)?.states()?;
    Ok(states.of(Status::Undefined).intersection(selected).len())
}
