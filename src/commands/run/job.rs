//! The life of a run: start, create or resume, rounds, stop (see the contract's "Life of a run").

use std::mem::ManuallyDrop;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::adapters::cores;
use crate::adapters::hdf5::fingerprint::fingerprint;
use crate::adapters::hdf5::history::Run;
use crate::adapters::hdf5::input::Input;
use crate::adapters::hdf5::result_reader::ResultReader;
use crate::adapters::hdf5::sink::{ResultSink, open_parallel};
use crate::adapters::hdf5::{create, failed};
use crate::adapters::lock::{self, Lock};
use crate::adapters::mpi::{self, MpiRanks, RawCommunicator, RawInfo, World};
use crate::adapters::signals::Signals;
use crate::adapters::walltime;
use crate::commands::table::plural;
use crate::domain::error::{Error, Kind, Result};
use crate::engine::ports::{Clock, Ranks};
use crate::engine::run::{Ports, Settings, run as run_engine};
use crate::engine::summary::{Ending, Progress, RankSummary, Summary};
use crate::engine::together::{on_first_rank, same_everywhere, together};
use crate::planning::frame_set::FrameSet;
use crate::planning::partition::{EqualShares, Partition};
use crate::planning::status::Status;

use super::config::{RunConfig, Walltime};
use super::existing::{self, Identity, Standing};
use super::launch;
use super::place;
use super::watch::{self, Watch};

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

/// Failed frames that are named at the end.
const FAILURES_SHOWN: usize = 5;

/// What every step of the run on this rank uses.
pub struct Setting<'a> {
    /// What to do.
    pub config: &'a RunConfig,
    /// MPI.
    pub world: &'a World,
    /// Signals of this process.
    pub signals: &'a Signals,
    /// When the process began.
    pub started: Instant,
    /// Whether to print the summary.
    pub talkative: bool,
}

/// Runs the job on this rank.
pub fn run(setting: &Setting<'_>, ranks: &mut MpiRanks) -> Result<Outcome> {
    let config = setting.config;
    agree_on_program(config, ranks)?;
    let mut input = together(ranks, Input::open(&config.input, config.key.as_deref()))?;
    let selected = together(ranks, select(config, input.frames()))?;
    let info = together(ranks, mpi::info(&config.hints))?;
    let prepared = on_first_rank(ranks, || prepare(config, &mut input, &selected))?;
    let (first, job) = match prepared {
        Some((first, job)) => (Some(first), job.encode()),
        None => (None, String::new()),
    };
    let job = Job::decode(&ranks.tell(0, &job))
        .ok_or_else(|| Error::failure("rank 0 sent an unreadable job"))?;
    let file = (setting.world.raw(), info);
    if job.created {
        let attributes = first.as_ref().map(|f| &f.attributes);
        give_birth(config, file, ranks, attributes)?;
    }
    let lock = first.map(|f| f.lock);
    let summary = if job.pending.is_empty() {
        nothing_to_do(ranks.size())
    } else {
        let intent = existing::intent(config, &selected);
        let deadline = deadline(setting, ranks)?;
        let sink = open_sink(setting, ranks, file, lock, &job, intent)?;
        compute(setting, ranks, sink, input, &job, deadline)?
    };
    on_first_rank(ranks, || report(setting, &selected, &job, &summary))?;
    let troubled = job.troubled + summary.progress.committed.troubled();
    Ok(match (summary.ending, troubled) {
        (Ending::Stopped, _) => Outcome::Stopped,
        (Ending::Done, 0) => Outcome::Completed,
        (Ending::Done, _) => Outcome::SomeFailed,
    })
}

/// Arguments, versions and libraries are the same on all ranks, or the job ends here.
fn agree_on_program(config: &RunConfig, ranks: &mut MpiRanks) -> Result<()> {
    let (a, b, c) = crate::adapters::hdf5::ffi::library_version();
    let program = format!(
        "framewise {}, HDF5 {a}.{b}.{c}, {}",
        env!("CARGO_PKG_VERSION"),
        mpi::library_version()
    );
    same_everywhere(ranks, "programs", &program)?;
    let arguments = format!(
        "{} {} {} {} key {:?} level {} frames {:?} chunk {:?} overwrite {} retry {:?} interval {:?} memory {} io {:?} hints {:?} \
         threads {:?} timeout {:?} failures {:?} geometry {:?} walltime {:?} before {:?}",
        config.input.display(),
        config.result.display(),
        config.calculator.name,
        config.parameters_json(),
        config.key,
        config.level_of_theory,
        config.selection,
        config.chunk,
        config.overwrite,
        config.retry,
        config.checkpoint_interval,
        config.max_memory,
        config.transfer,
        config.hints,
        config.threads,
        config.frame_timeout,
        config.max_failures,
        config.geometry,
        config.walltime,
        config.stop_before,
    );
    same_everywhere(ranks, "arguments", &arguments)
}

fn select(config: &RunConfig, frames: u64) -> Result<FrameSet> {
    let selected = match &config.selection {
        None => FrameSet::all(frames),
        Some(selection) => selection
            .resolve(frames)
            .map_err(|e| Error::usage(format!("--frames: {e} ({})", config.input.display())))?,
    };
    Ok(config
        .chunk
        .map_or_else(|| selected.clone(), |chunk| chunk.of(&selected)))
}

/// What rank 0 keeps to itself.
struct First {
    lock: Lock,
    attributes: Vec<(&'static str, String)>,
}

/// What rank 0 tells the others.
struct Job {
    created: bool,
    run_number: u64,
    troubled: u64,
    pending: FrameSet,
}

impl Job {
    fn encode(&self) -> String {
        let Self {
            created,
            run_number,
            troubled,
            pending,
        } = self;
        format!("{created} {run_number} {troubled} {}", pending.encode())
    }

    fn decode(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, ' ');
        Some(Self {
            created: parts.next()?.parse().ok()?,
            run_number: parts.next()?.parse().ok()?,
            troubled: parts.next()?.parse().ok()?,
            pending: FrameSet::decode(parts.next()?)?,
        })
    }
}

/// Rank 0 alone: take the lock, then create the file or see what is left to do in it.
fn prepare(config: &RunConfig, input: &mut Input, selected: &FrameSet) -> Result<(First, Job)> {
    place::check(config)?;
    let lock = Lock::take(&config.result)?;
    let fingerprint = fingerprint(input)?;
    let identity = existing::identity(config, input, fingerprint);
    let standing = if config.result.exists() {
        look_at_existing(config, &identity, selected)?
    } else {
        None
    };
    let created = standing.is_none();
    let standing = standing.unwrap_or_else(|| Standing {
        pending: selected.clone(),
        reset: FrameSet::empty(),
        troubled: 0,
        run_number: 1,
    });
    let species = input.species_present(&standing.pending)?;
    config
        .factory
        .check_species(&species)
        .map_err(|e| Error::failure(format!("{}: {e}", config.input.display())))?;
    let mut attributes = identity;
    if created {
        create::create(&config.result, input, config.geometry)?;
        attributes.extend(create::version_attributes(&mpi::library_version()));
    } else if !standing.reset.is_empty() {
        existing::reset(&config.result, &standing.reset)?;
    }
    let job = Job {
        created,
        run_number: standing.run_number,
        troubled: standing.troubled,
        pending: standing.pending,
    };
    Ok((First { lock, attributes }, job))
}

/// `None` when the file is to be replaced by a new one.
fn look_at_existing(
    config: &RunConfig,
    identity: &Identity,
    selected: &FrameSet,
) -> Result<Option<Standing>> {
    let reader = place::open_existing(&config.result)?;
    let Some(difference) = existing::difference(&reader, identity) else {
        return existing::standing(&reader, config, selected).map(Some);
    };
    let shown = config.result.display();
    if config.overwrite && *selected == FrameSet::all(reader.n_frames()) {
        tracing::warn!("{shown} was made with {difference}; --overwrite replaces it");
        return Ok(None);
    }
    Err(Error::failure(format!(
        "{shown} was made with {difference}; choose another -o, or --overwrite all frames to replace it"
    )))
}

/// All ranks write the attributes into the new file, then rank 0 gives it its name.
fn give_birth(
    config: &RunConfig,
    file: (RawCommunicator, Option<RawInfo>),
    ranks: &mut MpiRanks,
    attributes: Option<&Vec<(&'static str, String)>>,
) -> Result<()> {
    let text = attributes.map_or_else(String::new, |a| {
        serde_json::to_string(a).unwrap_or_default()
    });
    let text = ranks.tell(0, &text);
    let attributes: Vec<(String, String)> = serde_json::from_str(&text)
        .map_err(|e| Error::failure(format!("rank 0 sent unreadable attributes: {e}")))?;
    let temporary = create::temporary(&config.result);
    // A file that is not closed by all ranks is not closed by any: see `Kind::Abandoned`.
    let file = open_parallel(&temporary, file.0, file.1).map(ManuallyDrop::new);
    let born = together(ranks, file.map_err(Error::abandoned)).and_then(|file| {
        let written = create::write_attributes(&file, &attributes).map_err(Error::abandoned);
        together(ranks, written)?;
        close(ManuallyDrop::into_inner(file).close(), &temporary);
        on_first_rank(ranks, || create::publish(&config.result))
    });
    if born.is_err() && ranks.rank() == 0 {
        let _ = std::fs::remove_file(&temporary);
    }
    born.map(|_| ())
}

/// Opens the result on all ranks.
fn open_sink(
    setting: &Setting<'_>,
    ranks: &mut MpiRanks,
    file: (RawCommunicator, Option<RawInfo>),
    lock: Option<Lock>,
    job: &Job,
    intent: String,
) -> Result<ResultSink> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let run = Run {
        number: job.run_number,
        started: now.as_secs_f64() - setting.started.elapsed().as_secs_f64(),
        planned: job.pending.len(),
        ranks: ranks.size(),
        threads: setting.threads(),
        host: lock::host(),
        intent,
        ..Run::default()
    };
    let sink = ResultSink::open(
        &setting.config.result,
        file,
        setting.config.transfer,
        lock,
        run,
    );
    // Dropping a sink closes it, which is collective: not before all ranks have one.
    let sink = together(ranks, sink.map(ManuallyDrop::new).map_err(Error::abandoned))?;
    Ok(ManuallyDrop::into_inner(sink))
}

/// A rank that cannot close the file ends the job at once: the others may be waiting for it in the same call, and
/// HDF5 would try again, and crash, at the end of MPI.
fn close<T>(closed: hdf5::Result<T>, path: &Path) {
    if let Err(error) = closed {
        let doing = format!(
            "cannot close {} (is the disk full? what was committed is safe; run the same command again)",
            path.display()
        );
        launch::give_up(&failed(doing)(error));
    }
}

/// The rounds.
fn compute(
    setting: &Setting<'_>,
    ranks: &mut MpiRanks,
    mut sink: ResultSink,
    mut input: Input,
    job: &Job,
    deadline: Option<Duration>,
) -> Result<Summary> {
    let config = setting.config;
    let settings = Settings {
        threads: setting.threads(),
        checkpoint_interval: config.checkpoint_interval,
        max_memory: config.max_memory,
        deadline,
        frame_timeout: config.frame_timeout,
        max_failures: config.max_failures,
        ..Settings::default()
    };
    let planned = job.pending.len();
    let share = EqualShares.share(&job.pending, ranks.rank(), ranks.size());
    tracing::debug!(
        frames = share.len(),
        threads = settings.threads,
        host = lock::host(),
        "share"
    );
    if ranks.rank() == 0 {
        tracing::info!(
            "{}: {} to compute with {} on {} x {}",
            config.result.display(),
            plural(planned, "frame"),
            config.level_of_theory,
            plural(ranks.size() as u64, "rank"),
            plural(settings.threads as u64, "thread"),
        );
    }
    let mut watch = Watch::new(config.progress, ranks.rank() == 0, planned, share.len());
    let ports = Ports {
        ranks,
        source: &mut input,
        sink: &mut sink,
        clock: &WallClock(setting.started),
        observer: &mut watch,
        interrupt: &|| setting.signals.wish(),
    };
    let summary = run_engine(&settings, &config.factory, share, planned, ports);
    watch.finish();
    // All ranks left the loop with the same outcome, so all of them close, or none.
    match &summary {
        Err(error) if error.kind == Kind::Abandoned => sink.abandon(),
        _ => close(sink.close(), &config.result),
    }
    summary
}

/// When to begin to stop, on the clock that began with the process.
fn deadline(setting: &Setting<'_>, ranks: &mut MpiRanks) -> Result<Option<Duration>> {
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

impl Setting<'_> {
    /// Worker threads of this rank: as asked, or the cores it may use.
    fn threads(&self) -> usize {
        let local = self.world.local_ranks();
        self.config
            .threads
            .unwrap_or_else(|| cores::for_each_rank(local))
    }
}

/// A run that had nothing to compute and has not touched the file.
fn nothing_to_do(ranks: usize) -> Summary {
    Summary {
        ending: Ending::Done,
        progress: Progress::default(),
        ranks: vec![RankSummary::default(); ranks],
    }
}

/// What is said at the end, on rank 0.
fn report(setting: &Setting<'_>, selected: &FrameSet, job: &Job, summary: &Summary) -> Result<()> {
    let config = setting.config;
    watch::write_metrics(summary, config)?;
    let committed = &summary.progress.committed;
    if setting.talkative && job.pending.is_empty() {
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
fn name_failures(config: &RunConfig, selected: &FrameSet) -> Result<()> {
    let reader = ResultReader::open(&config.result)?;
    let failed = reader
        .frames_with(&[Status::Failed, Status::NotConverged])?
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
