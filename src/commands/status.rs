//! `framewise status`: how far a result is. Serial, read-only, also while a run goes on.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::adapters::hdf5::history::Run;
use crate::adapters::hdf5::layout::attribute;
use crate::adapters::hdf5::result_reader::ResultReader;
use crate::adapters::hdf5::rows::jobs;
use crate::domain::error::Result;
use crate::planning::status::{Status, StatusCounts};

use super::output::{print, print_json};
use super::table::{duration, table, thousands};

/// Counts by status, progress, rate, ETA, run history
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  framewise status result.h5
  framewise status result.h5 --watch
  framewise status result.h5 --failed
  framewise status result.h5 --json | jq .completed")]
pub struct StatusArgs {
    /// Result file
    #[arg(value_name = "RESULT")]
    pub result: PathBuf,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Look again every so many seconds, until nothing is undefined
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "5")]
    pub watch: Option<f64>,

    /// List frames that failed or did not converge, with the reason
    #[arg(long)]
    pub failed: bool,
}

/// Runs listed from the history.
const RUNS_SHOWN: usize = 8;

/// The end of the year 9999, in seconds since 1970.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// Runs the verb.
pub fn execute(args: &StatusArgs) -> Result<ExitCode> {
    loop {
        let report = Report::read(args)?;
        if args.json {
            print_json(&report.json())?;
        } else {
            print(&report.text())?;
        }
        let over = report.counts.get(Status::Undefined) == 0;
        match args.watch {
            Some(seconds) if !over => {
                let pause = Duration::try_from_secs_f64(seconds).unwrap_or_default();
                std::thread::sleep(
                    pause.clamp(Duration::from_millis(100), Duration::from_hours(1)),
                );
            }
            _ => return Ok(ExitCode::SUCCESS),
        }
    }
}

struct Report {
    path: PathBuf,
    attributes: Vec<(&'static str, String)>,
    /// Frames or rows.
    item: &'static str,
    size: String,
    /// Groups of other jobs on the same rows.
    others: Vec<String>,
    counts: StatusCounts,
    unknown: u64,
    history: Vec<Run>,
    failed: Option<Vec<(u64, Status, String)>>,
}

impl Report {
    fn read(args: &StatusArgs) -> Result<Self> {
        let reader = ResultReader::open(&args.result)?;
        let (counts, unknown) = reader.counts()?;
        let shown: &[&'static str] = match reader.rows() {
            None => &[
                attribute::CALCULATOR,
                attribute::LEVEL_OF_THEORY,
                attribute::PARAMETERS,
                attribute::INPUT,
            ],
            Some(_) => &[
                attribute::KERNEL,
                attribute::PARAMETERS,
                attribute::INPUT,
                attribute::KEY,
            ],
        };
        Ok(Self {
            path: args.result.clone(),
            attributes: shown
                .iter()
                .map(|name| {
                    (
                        *name,
                        reader.attribute(name).unwrap_or("unknown").to_owned(),
                    )
                })
                .collect(),
            item: reader.item(),
            others: match reader.rows() {
                None => Vec::new(),
                Some(_) => jobs::others(&args.result)?,
            },
            size: match (reader.rows(), reader.atoms()) {
                (Some(rows), _) => format!("results in {}", rows.group),
                (None, Some(atoms)) => format!("{atoms} atoms each"),
                (None, None) => format!("{} atoms in all", thousands(reader.total_atoms())),
            },
            counts,
            unknown,
            history: reader.history()?,
            failed: args.failed.then(|| failures(&reader)).transpose()?,
        })
    }

    /// Frames per second and seconds left, of a run that seems to go on.
    fn pace(&self) -> Option<(f64, f64)> {
        let run = self.history.last().filter(|run| run.state == "running")?;
        let rate = run.committed as f64 / run.elapsed.max(1e-9);
        let left = run.planned.saturating_sub(run.committed) as f64;
        (rate > 0.0).then(|| (rate, left / rate))
    }

    fn text(&self) -> String {
        let total = self.counts.total() + self.unknown;
        let mut text = format!(
            "{}: {} {}s, {}\n",
            self.path.display(),
            thousands(total),
            self.item,
            self.size
        );
        for (name, value) in &self.attributes {
            text += &format!("  {:<18}{value}\n", name.replace('_', " "));
        }
        for group in &self.others {
            text += &format!("  {:<18}{group}\n", "also holds");
        }
        let share = |n: u64| format!("{:.1} %", 100.0 * n as f64 / total.max(1) as f64);
        let mut rows: Vec<_> = Status::ALL
            .iter()
            .map(|s| (s.code().to_string(), s.name(), self.counts.get(*s)))
            .collect();
        if self.unknown > 0 {
            rows.push(("?".into(), "unknown code", self.unknown));
        }
        let rows = rows
            .into_iter()
            .map(|(code, name, n)| vec![code, name.into(), thousands(n), share(n)]);
        text += &table(
            &["status", "", &format!("{}s", self.item), "share"],
            rows,
            &[0, 2, 3],
        );
        if let Some((rate, left)) = self.pace() {
            text += &format!(
                "\n{rate:.1} {}s/s, about {} left at the last commit",
                self.item,
                duration(left)
            );
        }
        if !self.history.is_empty() {
            text += "\n\n";
            text += &self.history_table();
        }
        if let Some(failed) = &self.failed {
            let rows = failed.iter().map(|(frame, status, why)| {
                vec![frame.to_string(), status.name().into(), why.clone()]
            });
            text += "\n\n";
            text += &table(&[self.item, "status", "reason"], rows, &[0]);
        }
        text
    }

    fn history_table(&self) -> String {
        let skipped = self.history.len().saturating_sub(RUNS_SHOWN);
        let rows = self.history.iter().skip(skipped).map(|run| {
            // A damaged history may hold a time beyond what can be printed.
            let seconds = Duration::from_secs_f64(run.started.clamp(0.0, LAST_SECOND));
            let started = UNIX_EPOCH + seconds;
            vec![
                run.number.to_string(),
                humantime::format_rfc3339_seconds(started).to_string(),
                duration(run.elapsed),
                format!("{} x {}", run.ranks, run.threads),
                thousands(run.committed),
                run.host.clone(),
                state(run),
            ]
        });
        table(
            &[
                "run",
                "started",
                "for",
                "ranks",
                &format!("{}s", self.item),
                "host",
                "state",
            ],
            rows,
            &[0, 2, 3, 4],
        )
    }

    fn json(&self) -> serde_json::Value {
        let total = self.counts.total() + self.unknown;
        let mut value = json!({
            "result": self.path.display().to_string(),
            "item": self.item,
            "frames": total,
            "completed": self.counts.get(Status::Completed),
            "undefined": self.counts.get(Status::Undefined),
            "not_converged": self.counts.get(Status::NotConverged),
            "failed": self.counts.get(Status::Failed),
            "unknown": self.unknown,
            "progress": self.counts.get(Status::Completed) as f64 / total.max(1) as f64,
            "rate": self.pace().map(|(rate, _)| rate),
            "eta_seconds": self.pace().map(|(_, left)| left),
            "runs": self.history,
        });
        for (name, text) in &self.attributes {
            value[*name] = text.as_str().into();
        }
        let parameters = self
            .attributes
            .iter()
            .find(|(name, _)| *name == attribute::PARAMETERS);
        let parameters = parameters.and_then(|(_, text)| serde_json::from_str(text).ok());
        if let Some(parameters) = parameters {
            let parameters: serde_json::Value = parameters;
            value[attribute::PARAMETERS] = parameters;
        }
        if !self.others.is_empty() {
            value["also_holds"] = json!(self.others);
        }
        if let Some(failed) = &self.failed {
            let list = failed.iter().map(|(frame, status, why)| {
                json!({"frame": frame, "status": status.code(), "reason": why})
            });
            value["failures"] = list.collect();
        }
        value
    }
}

/// `running` in the file of a job that was killed stays there: say since when nothing was heard.
fn state(run: &Run) -> String {
    if run.state != "running" {
        return run.state.clone();
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let silent = now.as_secs_f64() - run.started - run.elapsed;
    format!("running or killed, last commit {} ago", duration(silent))
}

fn failures(reader: &ResultReader) -> Result<Vec<(u64, Status, String)>> {
    let mut list = Vec::new();
    let states = reader.states()?;
    for status in [Status::NotConverged, Status::Failed] {
        let frames = states.of(status);
        let messages = reader.messages(frames)?;
        list.extend(
            frames
                .iter()
                .zip(messages)
                .map(|(frame, why)| (frame, status, why)),
        );
    }
    list.sort_by_key(|(frame, ..)| *frame);
    Ok(list)
}
