//! Frames that take the whole job down: what the last run has left in its journal, and the journal of this one.

use std::path::Path;
use std::sync::Arc;

use ::hdf5::FileBuilder;
use xxhash_rust::xxh3::xxh3_64;

use crate::adapters::hdf5::create::Message;
use crate::adapters::hdf5::failed;
use crate::adapters::hdf5::ffi::{Transfer, write_rows};
use crate::adapters::hdf5::layout::{self, attribute};
use crate::adapters::hdf5::result_reader::ResultReader;
use crate::adapters::journal::{self, Header, Past, Stripe};
use crate::adapters::{lock, mpi::MpiRanks};
use crate::commands::table::plural;
use crate::domain::error::{Error, Result};
use crate::engine::journal::Journal;
use crate::engine::ports::{Ranks, Stop};
use crate::engine::summary::Ending;
use crate::engine::together::on_first_rank;
use crate::planning::frame_set::FrameSet;
use crate::planning::status::Status;
use crate::planning::suspects::Tallies;

use super::config::RunConfig;
use super::existing::Identity;
use super::job::Setting;
use super::prepare::Job;

/// Frames that are named when they are condemned.
const SHOWN: usize = 5;

/// What makes two runs runs of one job, as a number: the input's path and group may change.
pub(super) fn identity_number(identity: &Identity) -> u64 {
    let parts = identity
        .iter()
        .filter(|(name, _)| ![attribute::KEY, attribute::INPUT].contains(name));
    let text: Vec<_> = parts
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    xxh3_64(text.join("\n").as_bytes())
}

/// What the last run of this job has left of a result with so many frames.
pub(super) fn past(config: &RunConfig, identity: &Identity, frames: u64) -> Option<Past> {
    let path = journal::path_of(&config.result, None);
    journal::read(&path, identity_number(identity), frames)
}

/// Counts the last death and makes the frames that have caused too many of them failed ones, which are returned. Rank
/// 0, under the lock, while nobody has the file open. The old journal stays until [`begin`] replaces it: a kill before
/// that leads to the same counts again.
pub(super) fn settle(config: &RunConfig, past: Past) -> Result<(Tallies, FrameSet)> {
    let mut tallies = past.tallies;
    tallies.count(&past.ranks);
    if tallies.0.is_empty() {
        return Ok((tallies, FrameSet::empty()));
    }
    let states = ResultReader::open(&config.result)?.states()?;
    let undefined = states.of(Status::Undefined);
    tallies.keep_only(undefined);
    let condemned: Vec<_> = tallies
        .condemned()
        .map(|(frame, tally)| (frame, tally.verdict()))
        .collect();
    let frames: FrameSet = condemned
        .iter()
        .map(|(frame, _)| *frame..frame + 1)
        .collect();
    let item = config.task.item();
    if !condemned.is_empty() {
        quarantine(&config.result, &frames, &condemned)?;
        for (frame, verdict) in condemned.iter().take(SHOWN) {
            tracing::warn!("{item} {frame} is not computed again: {verdict}");
        }
        if condemned.len() > SHOWN {
            let more = plural((condemned.len() - SHOWN) as u64, item);
            tracing::warn!("and {more} more: framewise status --failed");
        }
    }
    tallies.keep_only(&undefined.difference(&frames));
    Ok((tallies, frames))
}

/// Stores why, then that these frames failed, each synced. A kill between leaves undefined frames with a message, which
/// the next start condemns again. Raw data only, no metadata changes.
fn quarantine(path: &Path, frames: &FrameSet, why: &[(u64, String)]) -> Result<()> {
    let doing = || failed(format!("cannot set frames of {} aside", path.display()));
    let mut builder = FileBuilder::new();
    builder.with_fapl(|fapl| fapl.libver_earliest());
    let file = builder.open_rw(path).map_err(doing())?;
    let sync = || -> Result<()> {
        file.flush().map_err(doing())?;
        std::fs::File::open(path)
            .and_then(|plain| plain.sync_all())
            .map_err(|e| Error::failure(format!("cannot sync {}: {e}", path.display())))
    };
    let message = file.dataset(layout::MESSAGE).map_err(doing())?;
    let texts: Vec<Message> = why
        .iter()
        .map(|(_, text)| text.parse().unwrap_or_default())
        .collect();
    write_rows(&message, frames.runs(), &texts, Transfer::Independent)?;
    sync()?;
    let status = file.dataset(layout::STATUS).map_err(doing())?;
    let codes = vec![Status::Failed.code(); texts.len()];
    write_rows(&status, frames.runs(), &codes, Transfer::Independent)?;
    sync()
}

/// The journal of this run. Collective. Without one the run goes on: nothing is remembered of a death.
pub(super) fn begin(
    setting: &Setting<'_>,
    ranks: &mut MpiRanks,
    first: Option<&(u64, Tallies)>,
) -> Result<Arc<Stripe>> {
    let path = journal::path_of(&setting.config.result, None);
    let threads = setting.threads();
    let most = ranks
        .gather(&[threads as f64])
        .iter()
        .map(|row| row[0] as u64)
        .max();
    let size = ranks.size() as u64;
    let made = on_first_rank(ranks, || {
        if setting.config.share.is_some() {
            // A job among many dies alone: what it had in hand the others compute, whose journals these are not.
            return Ok(Err(Error::failure(
                "jobs that share a result keep no journal",
            )));
        }
        let (identity, tallies) = first.cloned().unwrap_or_default();
        let header = Header {
            identity,
            ranks: size,
            threads: most.unwrap_or(1),
            tallies,
        };
        Ok(journal::create(&path, &header))
    })?;
    if let (Some(Err(error)), None) = (&made, setting.config.share) {
        tracing::warn!("{error}; a frame that crashes the job will not be recognised");
    }
    let made = ranks.tell(
        0,
        if matches!(made, Some(Ok(()))) {
            "made"
        } else {
            ""
        },
    );
    let rank = ranks.rank();
    let opened = match made.as_str() {
        "" => Err(Error::failure("there is no journal")),
        _ => Stripe::open(&path, rank),
    };
    let stripe = opened.unwrap_or_else(|error| {
        tracing::debug!("frames in hand are not remembered: {error}");
        Stripe::in_memory(threads)
    });
    let prefix = match size {
        1 => String::new(),
        _ => format!("rank {rank} on {}: ", lock::host()),
    };
    if let Err(error) = stripe.guard(prefix) {
        tracing::debug!("frames in hand are not marked at a crash: {error}");
    }
    if setting.signals.wish() > Stop::No {
        stripe.asked_to_stop();
    }
    Ok(Arc::new(stripe))
}

/// The journal as the engine sees it.
pub(super) fn port(stripe: &Arc<Stripe>) -> Arc<dyn Journal> {
    Arc::<Stripe>::clone(stripe)
}

/// The journal of a run that has nothing to compute, or that begins with a new file: what an earlier run has left is
/// counted now and must not be counted again.
pub(super) fn tidy(config: &RunConfig, (identity, tallies): &(u64, Tallies)) {
    let path = journal::path_of(&config.result, None);
    if tallies.0.is_empty() {
        return journal::remove(&path);
    }
    let header = Header {
        identity: *identity,
        tallies: tallies.clone(),
        ..Header::default()
    };
    if let Err(error) = journal::create(&path, &header) {
        tracing::debug!("{error}");
    }
}

/// After a good end, on rank 0 and while the lock is held: removes the journal unless it knows of suspects that are
/// still to be computed.
pub(super) fn end(config: &RunConfig, tallies: &Tallies, job: &Job, ending: Ending) {
    let mut left = tallies.clone();
    if ending == Ending::Done {
        left.0.retain(|frame, _| !job.contains(*frame));
    }
    if left.0.is_empty() {
        journal::remove(&journal::path_of(&config.result, None));
    }
}
