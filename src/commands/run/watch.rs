//! What a run says while it runs, and at its end. Rank 0 only.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use serde_json::json;

use crate::commands::output;
use crate::commands::table::{duration, plural, thousands};
use crate::domain::error::{Error, Result};
use crate::engine::ports::{Observer, Stopping};
use crate::engine::summary::{Progress, Summary};
use crate::planning::status::Status;

use super::bar;
use super::config::{ProgressStyle, RunConfig};

/// Share of the wall time above which it is said that the disk keeps workers waiting.
const HELD: f64 = 0.05;
/// Time between two log lines.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// Shows progress on rank 0, nothing on the others.
pub struct Watch {
    bar: Option<ProgressBar>,
    log: bool,
    first_rank: bool,
    item: &'static str,
    share: u64,
    planned: u64,
    committed: u64,
    failed: u64,
    started: Instant,
    said: Instant,
}

impl Watch {
    /// For `planned` frames or rows of a job on `ranks` ranks.
    pub fn new(config: &RunConfig, first_rank: bool, planned: u64, ranks: usize) -> Self {
        let (style, item) = (config.progress, config.task.item());
        let terminal = std::io::stderr().is_terminal();
        let bar = first_rank
            && match style {
                ProgressStyle::Auto => terminal,
                other => other == ProgressStyle::Bar,
            };
        let log = first_rank && !bar && style != ProgressStyle::None;
        Self {
            bar: bar.then(|| bar::make(planned, item)),
            log,
            first_rank,
            item,
            share: planned / ranks as u64,
            planned,
            committed: 0,
            failed: 0,
            started: Instant::now(),
            said: Instant::now(),
        }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn say(&self) {
        let elapsed = self.started.elapsed().as_secs_f64();
        let rate = self.committed as f64 / elapsed.max(1e-9);
        let left = (self.planned - self.committed) as f64 / rate;
        let item = self.item;
        tracing::info!(
            "{} of {} {item}s committed ({:.1} %), {rate:.1} {item}s/s, about {} left{}",
            thousands(self.committed),
            thousands(self.planned),
            100.0 * self.committed as f64 / self.planned.max(1) as f64,
            duration(left),
            failed_words(self.failed),
        );
    }
}

fn failed_words(failed: u64) -> String {
    match failed {
        0 => String::new(),
        n => format!(", {} failed or not converged", thousands(n)),
    }
}

impl Observer for Watch {
    fn committed(&mut self, progress: &Progress) {
        self.committed = progress.committed.total();
        self.failed = progress.committed.troubled();
        tracing::debug!(
            commit = progress.commits,
            committed = self.committed,
            "committed"
        );
        if let Some(bar) = &self.bar {
            bar.set_position(bar.position().max(self.committed));
            bar.set_message(failed_words(self.failed));
        }
    }

    fn stopping(&mut self, why: Stopping) {
        if !self.first_rank {
            return;
        }
        let time = |t: Duration| duration(t.as_secs_f64());
        match why {
            Stopping::Walltime {
                left,
                reserve: Some(reserve),
            } => tracing::info!(
                "stopping {} before the walltime: longest {} {}, commit {}, margin {}",
                time(left),
                self.item,
                time(reserve.frame),
                time(reserve.commit),
                time(reserve.margin)
            ),
            Stopping::Walltime { left, .. } => {
                tracing::info!("stopping {} before the walltime", time(left));
            }
            Stopping::Asked(grace) => tracing::info!(
                "asked to stop: {}s in hand have {}, then comes the last commit",
                self.item,
                time(grace)
            ),
            Stopping::AtOnce => {
                tracing::warn!(
                    "asked again: {}s in hand are abandoned, the rest is committed",
                    self.item
                );
            }
        }
    }

    fn pulse(&mut self, evaluated_here: u64) {
        if let Some(bar) = &self.bar {
            // All ranks end together: what this rank has done tells how far all are.
            let fraction = evaluated_here as f64 / self.share.max(1) as f64;
            let estimate = (self.planned as f64 * fraction) as u64;
            bar.set_position(self.committed.max(estimate.min(self.planned)));
        }
        if self.log && self.said.elapsed() >= LOG_INTERVAL {
            self.said = Instant::now();
            self.say();
        }
    }
}

/// The final summary, on standard output.
pub fn print_summary(
    summary: &Summary,
    config: &RunConfig,
    team: &str,
    (selected, left): (u64, u64),
) -> Result<()> {
    let (progress, item) = (&summary.progress, config.task.item());
    let seconds = progress.elapsed.as_secs_f64();
    let frames = progress.committed.total();
    let threads: usize = summary.ranks.iter().map(|r| r.threads).sum();
    let by_status: Vec<_> = Status::ALL
        .iter()
        .filter(|s| progress.committed.get(**s) > 0)
        .map(|s| format!("{} {}", thousands(progress.committed.get(*s)), s.name()))
        .collect();
    let result = config.result.display();
    let what = if by_status.is_empty() {
        format!("no {item} computed")
    } else {
        by_status.join(", ")
    };
    output::print(&format!(
        "{result}: {what}; {} of {} selected {item}s left\n  \
         wall     {} ({:.1} {item}s/s) on {team} = {threads}\n  \
         compute  {:.0} % of the workers' time, balance {:.2}\n  \
         commit   {:.1} % of the wall time, {}, {:.2} MB at {:.0} MB/s",
        thousands(left),
        thousands(selected),
        duration(seconds),
        frames as f64 / seconds.max(1e-9),
        100.0 * summary.compute_share(),
        summary.balance(),
        100.0 * summary.commit_share(),
        plural(progress.commits, "commit"),
        summary.bytes() as f64 * 1e-6,
        summary.commit_rate(),
    ))?;
    let held = summary.held_share();
    if held > HELD {
        output::print(&format!(
            "  disk     workers waited for it {:.0} % of their time (framewise bench io measures it and says which settings are faster)",
            100.0 * held
        ))?;
    }
    Ok(())
}

/// What is printed instead when there was nothing to compute.
pub fn print_nothing_to_do(config: &RunConfig, selected: u64, troubled: u64) -> Result<()> {
    let (completed, item) = (thousands(selected - troubled), config.task.item());
    let what = match (selected, troubled) {
        (0, _) => "the selection is empty".to_owned(),
        (_, 0) => format!("all {completed} selected {item}s are completed"),
        _ => format!(
            "{completed} of {} selected {item}s are completed, {} failed or did not converge (framewise status --failed \
             says why, --retry failed computes them again)",
            thousands(selected),
            thousands(troubled)
        ),
    };
    output::print(&format!(
        "{}: {what}; 0 {item}s computed",
        config.result.display()
    ))
}

/// The final summary as JSON.
pub fn write_metrics(summary: &Summary, config: &RunConfig) -> Result<()> {
    let Some(path) = &config.metrics else {
        return Ok(());
    };
    let ranks: Vec<_> = summary
        .ranks
        .iter()
        .enumerate()
        .map(|(rank, r)| {
            json!({
                "rank": rank, "frames": r.frames, "threads": r.threads, "bytes_written": r.bytes,
                "compute_seconds": r.compute, "read_seconds": r.reading, "commit_seconds": r.committing,
                "wait_seconds": summary.waited(r), "held_seconds": r.held, "frames_received": r.received,
            })
        })
        .collect();
    let counts = |status| summary.progress.committed.get(status);
    let value = json!({
        "ending": summary.ending.name(),
        "planned": summary.progress.planned,
        "frames": summary.progress.committed.total(),
        "completed": counts(Status::Completed),
        "not_converged": counts(Status::NotConverged),
        "failed": counts(Status::Failed),
        "commits": summary.progress.commits,
        "start_seconds": summary.ranks.iter().map(|r| r.begun).fold(0.0, f64::max),
        "compute_wall_seconds": summary.computing(),
        "wall_seconds": summary.progress.elapsed.as_secs_f64(),
        "held_share": summary.held_share(),
        "compute_share": summary.compute_share(),
        "commit_share": summary.commit_share(),
        "balance": summary.balance(),
        "bytes_written": summary.bytes(),
        "commit_mb_per_s": summary.commit_rate(),
        "ranks": ranks,
    });
    let text = serde_json::to_string_pretty(&value).unwrap_or_default();
    std::fs::write(path, text + "\n")
        .map_err(|e| Error::failure(format!("--metrics: cannot write {}: {e}", path.display())))
}
