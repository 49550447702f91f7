//! The life of a run: start, create or resume, rounds, stop (see the contract's "Life of a run").

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::adapters::file_system::{self, Kind as FileSystem};
use crate::adapters::guard::Guard;
use crate::adapters::hdf5::create::folder_of;
use crate::adapters::hdf5::history::Run;
use crate::adapters::hdf5::rows::stored::StoredRows;
use crate::adapters::hdf5::sink::ResultSink;
use crate::adapters::journal::Stripe;
use crate::adapters::lock;
use crate::adapters::mpi::{self, MpiRanks, RawCommunicator, RawInfo, World};
use crate::adapters::signals::Signals;
use crate::commands::table::plural;
use crate::domain::error::{Error, Kind, Result};
use crate::engine::ports::{Clock, Ranks, Sink};
use crate::engine::run::{Ports, run as run_engine};
use crate::engine::settings::{Deadline, Settings};
use crate::engine::summary::{Ending, Summary};
use crate::engine::together::{on_first_rank, same_everywhere, together};
use crate::planning::cost::Experience;
use crate::planning::frame_set::FrameSet;
use crate::planning::partition::share;
use crate::planning::plan::Plan;
use crate::planning::suspects::Tallies;

use super::birth::give_birth;
use super::closing::close;
use super::config::RunConfig;
use super::deadline::deadline;
use super::ending::{self, nothing_to_do, report};
use super::existing;
use super::poison;
use super::prepare::{Job, prepare};
use super::task::Material;
use super::team::Team;
use super::watch::Watch;

/// How the verb ended, for the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every selected frame is completed.
    Completed,
    /// Nothing is left, but some selected frames failed or did not converge.
    SomeFailed,
    /// Stopped in good order before the end.
    Stopped,
}

struct WallClock(Instant);

impl Clock for WallClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// What every step of the run on this rank uses.
pub struct Setting<'a> {
    /// What to do.
    pub config: &'a RunConfig,
    /// The workers.
    pub team: Team,
    /// MPI.
    pub world: &'a World,
    /// Signals of this process.
    pub signals: &'a Signals,
    /// When the process began: the walltime counts from then.
    pub launched: Instant,
    /// When the job began.
    pub started: Instant,
    /// Whether to print the summary.
    pub talkative: bool,
}

impl Setting<'_> {
    /// Worker threads of this rank.
    pub fn threads(&self) -> usize {
        self.team.workers()
    }
}

/// Runs the job on this rank.
pub fn run(setting: &Setting<'_>, ranks: &mut MpiRanks) -> Result<Outcome> {
    let config = setting.config;
    agree_on_program(config, ranks)?;
    let mut input = together(ranks, config.task.open(&config.input))?;
    let seen = together(ranks, input.glance())?;
    same_everywhere(ranks, ("inputs", ONE_FILE), &seen)?;
    // The others are told what is left of it.
    let selected = on_first_rank(ranks, || select(config, input.count()))?.unwrap_or_default();
    let info = hints(config, ranks)?;
    let prepared = on_first_rank(ranks, || prepare(setting, input.as_mut(), &selected));
    let prepared = match prepared {
        Err(stopped) if stopped.kind == Kind::Stopped => {
            return Ok(stopped_early(setting, ranks, &stopped));
        }
        other => other?,
    };
    let (first, job) = prepared.unzip();
    let job = ranks.tell(0, &job.map_or_else(String::new, |job| job.encode()));
    let job = Job::decode(&job).ok_or_else(|| Error::failure("rank 0 sent an unreadable job"));
    let job = together(ranks, job)?;
    input.settle_in(&job.group);
    let file = (setting.world.raw(), info);
    if job.created {
        let attributes = first.as_ref().map(|f| &f.attributes);
        match give_birth(setting, file, ranks, attributes) {
            Err(stopped) if stopped.kind == Kind::Stopped => {
                return Ok(stopped_early(setting, ranks, &stopped));
            }
            other => other?,
        }
    }
    let (guard, tallies) = first.map(|f| (f.guard, f.journal)).unzip();
    let summary = if job.planned() == 0 {
        nothing_to_do(ranks.size())
    } else {
        let intent = existing::intent(config, &selected);
        let deadline = deadline(setting, ranks)?;
        let journal = poison::begin(setting, ranks, tallies.as_ref())?;
        // Frames of a shared result come in leases and are weighed then.
        let (plan, experience) = if config.share.is_some() {
            let seen = input.experience(ranks, &config.result, job.created)?;
            (Plan::even(FrameSet::empty()), seen)
        } else {
            let pending = &job.pending[0];
            let plan = input.plan(ranks, &config.result, pending, job.created)?;
            (plan, Experience::default())
        };
        let sink = open_sink(
            setting,
            ranks,
            (file, input.stored().cloned()),
            guard,
            &job,
            intent,
        )?;
        let told = (journal, tallies);
        let frames = (input, plan, experience);
        compute(setting, ranks, sink, frames, &job, deadline, told)?
    };
    let counted = on_first_rank(ranks, || {
        report(setting, &selected, &job, &summary)?;
        ending::troubled(config, &selected, &job, &summary)
    })?;
    let told = ranks.tell(0, &counted.map_or_else(String::new, |n| n.to_string()));
    let troubled: u64 = told.parse().unwrap_or(0);
    Ok(match (summary.ending, troubled) {
        (Ending::Stopped | Ending::Failed, _) => Outcome::Stopped,
        (Ending::Done, 0) => Outcome::Completed,
        (Ending::Done, _) => Outcome::SomeFailed,
    })
}

/// Hints for MPI-IO: what suits the file system as rank 0 sees it, and what the user says.
fn hints(config: &RunConfig, ranks: &mut MpiRanks) -> Result<Option<RawInfo>> {
    let folder = folder_of(&config.result);
    let chosen = file_system::hints(&folder, &config.hints);
    let told = serde_json::to_string(&chosen).unwrap_or_default();
    let told = ranks.tell(0, &told);
    let chosen: Vec<(String, String)> = serde_json::from_str(&told).unwrap_or(chosen);
    if ranks.rank() == 0 {
        let kind = FileSystem::of(&folder).map_or("an unknown file system", FileSystem::name);
        let pairs = chosen.iter().map(|(key, value)| format!("{key}={value}"));
        tracing::debug!(
            "MPI-IO hints for {kind}: {}",
            pairs.collect::<Vec<_>>().join(" ")
        );
    }
    together(ranks, mpi::info(&chosen))
}

/// What to do when ranks see different files.
const ONE_FILE: &str = "give a path that is the same file on every node";
/// What to do when ranks differ.
const SAME: &str = "start all ranks with the same command and program";

/// Says that somebody asked to stop before a frame was computed.
fn stopped_early(setting: &Setting<'_>, ranks: &MpiRanks, stopped: &Error) -> Outcome {
    if ranks.rank() == 0 {
        tracing::info!("{}: {stopped}", setting.config.result.display());
    }
    Outcome::Stopped
}

/// Arguments, versions and libraries are the same on all ranks, or the job ends here.
fn agree_on_program(config: &RunConfig, ranks: &mut MpiRanks) -> Result<()> {
    let (a, b, c) = crate::adapters::hdf5::ffi::library_version();
    let program = format!(
        "framewise {}, HDF5 {a}.{b}.{c}, {}",
        env!("CARGO_PKG_VERSION"),
        mpi::library_version()
    );
    same_everywhere(ranks, ("programs", SAME), &program)?;
    let arguments = format!(
        "{} {} {} selection {:?} chunk {:?} overwrite {} retry {:?} share {:?} verify {} interval {:?} memory {} io {:?} \
         aggregate {:?} hints {:?} threads {:?} pin {} oversubscribe {} timeout {:?} failures {:?} walltime {:?} \
         before {:?}",
        config.input.display(),
        config.result.display(),
        config.task.words(),
        config.selection,
        config.chunk,
        config.overwrite,
        config.retry,
        config.share,
        config.verify_on_resume,
        config.checkpoint_interval,
        config.max_memory,
        config.transfer,
        config.aggregate,
        config.hints,
        config.threads,
        config.pin,
        config.oversubscribe,
        config.frame_timeout,
        config.max_failures,
        config.walltime,
        config.stop_before,
    );
    same_everywhere(ranks, ("arguments", SAME), &arguments)
}

fn select(config: &RunConfig, frames: u64) -> Result<FrameSet> {
    let selected = match &config.selection {
        None => FrameSet::all(frames),
        Some(selection) => selection.resolve(frames).map_err(|e| {
            Error::usage(format!(
                "{}: {e} ({})",
                config.task.selector(),
                config.input.display()
            ))
        })?,
    };
    Ok(config
        .chunk
        .map_or_else(|| selected.clone(), |chunk| chunk.of(&selected)))
}

/// Opens the result on all ranks.
fn open_sink(
    setting: &Setting<'_>,
    ranks: &mut MpiRanks,
    (file, stored): ((RawCommunicator, Option<RawInfo>), Option<StoredRows>),
    guard: Option<Guard>,
    job: &Job,
    intent: String,
) -> Result<ResultSink> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let run = Run {
        number: job.run_number,
        started: now.as_secs_f64() - setting.started.elapsed().as_secs_f64(),
        planned: job.planned(),
        ranks: ranks.size(),
        threads: setting.threads(),
        host: lock::host(),
        intent,
        ..Run::default()
    };
    let sink = ResultSink::open_stored(
        &setting.config.result,
        file,
        setting.config.transfer,
        guard,
        (run, stored),
    );
    // Dropping a sink closes it, which is collective: not before all ranks have one.
    let sink = together(ranks, sink.map(ManuallyDrop::new).map_err(Error::abandoned))?;
    let node = setting.world.node(setting.config.aggregate);
    Ok(ManuallyDrop::into_inner(sink).aggregated(node))
}

/// How much longer than `--frame-timeout` a worker may wait for an engine in a process of its own: to start, to take a
/// frame, to be killed.
const ISOLATED: Duration = Duration::from_secs(10);

/// The rounds.
fn compute(
    setting: &Setting<'_>,
    ranks: &mut MpiRanks,
    mut sink: ResultSink,
    (mut input, plan, experience): (Box<dyn Material>, Plan, Experience),
    job: &Job,
    deadline: Option<Deadline>,
    (journal, tallies): (Arc<Stripe>, Option<(u64, Tallies)>),
) -> Result<Summary> {
    let config = setting.config;
    let [rest, careful, solitary] = &job.pending;
    // Nothing else is in hand anywhere while a solitary frame is computed.
    let solitary = match ranks.rank() {
        0 => solitary.clone(),
        _ => FrameSet::empty(),
    };
    // Jobs that share a result keep no suspects: foreign engines run in processes of their own there.
    let suspects = match config.share {
        None => vec![share(careful, ranks.rank(), ranks.size()), solitary],
        Some(_) => Vec::new(),
    };
    let settings = Settings {
        threads: setting.threads(),
        checkpoint_interval: config.checkpoint_interval,
        max_memory: config.max_memory,
        deadline,
        // In a process of its own the engine is killed by its worker, which then goes on; the worker itself is given up
        // when even that takes long.
        frame_timeout: config.frame_timeout.map(|limit| {
            if config.task.keeps_time() {
                limit + ISOLATED + config.task.leeway()
            } else {
                limit
            }
        }),
        max_failures: config.max_failures,
        suspects,
        shared: config.share.is_some(),
        assumed: input.assumed(),
        experience,
        on_start: setting.team.on_start(),
        ..Settings::default()
    };
    let planned = job.planned();
    let later = planned - rest.len();
    if ranks.rank() == 0 && later > 0 {
        tracing::warn!(
            "{} in hand when the job died: computed last, one at a time",
            plural(later, config.task.item())
        );
    }
    tracing::debug!(threads = settings.threads, host = lock::host(), "workers");
    if ranks.rank() == 0 {
        tracing::info!(
            "{}: {} to compute with {} on {}",
            config.result.display(),
            plural(planned, config.task.item()),
            config.task.name(),
            setting.team.words(),
        );
    }
    let mut watch = Watch::new(config, ranks.rank() == 0, planned, ranks.size());
    if settings.shared {
        // Frames come in leases; others may open the file now.
        sink.end()?;
    }
    let work = input.work();
    let ports = Ports {
        ranks: &mut *ranks,
        source: input.source(),
        sink: &mut sink,
        clock: &WallClock(setting.started),
        observer: &mut watch,
        interrupt: &|| setting.signals.wish(),
        journal: &poison::port(&journal),
    };
    let summary = run_engine(&settings, work, plan, later, ports);
    watch.finish();
    journal.leave();
    if let (Ok(summary), Some((_, tallies)), None) = (&summary, &tallies, config.share) {
        poison::end(config, tallies, job, summary.ending);
    }
    // All ranks left the loop with the same outcome, so all of them close, or none; and HDF5 writes at close.
    if matches!(&summary, Err(e) if matches!(e.kind, Kind::Abandoned | Kind::Alone)) {
        sink.abandon();
        return summary;
    }
    if let Err(error) = on_first_rank(ranks, || sink.settle(&mut || ())) {
        sink.abandon();
        let error = match error.kind {
            Kind::Alone => error,
            _ => error.abandoned(),
        };
        return summary.and(Err(error));
    }
    let closed = close(ranks, &config.result, None, || sink.close());
    summary.and_then(|summary| closed.map(|()| summary))
}
