//! What rank 0 does alone before the ranks open the file: take the lock, then create the file or see what is left
//! to do in it.

use std::path::Path;
use std::time::Duration;

use crate::adapters::guard::Guard;
use crate::adapters::hdf5::create;
use crate::adapters::hdf5::layout::attribute;
use crate::adapters::lock::Lock;
use crate::adapters::mpi;
use crate::adapters::share::{self, Member, Part};
use crate::domain::error::{Error, Result};
use crate::engine::ports::Stop;
use crate::planning::frame_set::FrameSet;
use crate::planning::suspects::Tallies;

use super::existing::{self, Standing};
use super::found::{Found, Wanted};
use super::job::Setting;
use super::task::Material;
use super::{place, poison};

/// What rank 0 keeps to itself.
pub(super) struct First {
    pub guard: Guard,
    pub attributes: Vec<(&'static str, String)>,
    /// What the journal is to begin with: the job's number and what earlier deaths have told.
    pub journal: (u64, Tallies),
}

/// What rank 0 tells the others.
pub(super) struct Job {
    pub created: bool,
    pub run_number: u64,
    pub troubled: u64,
    /// Frames to compute, in three phases, see [`Tallies::phases`].
    pub pending: [FrameSet; 3],
    /// Where results of rows are; empty where they are those of frames.
    pub group: String,
}

impl Job {
    /// Number of frames to compute.
    pub fn planned(&self) -> u64 {
        self.pending.iter().map(FrameSet::len).sum()
    }

    /// Whether the frame is to be computed.
    pub fn contains(&self, frame: u64) -> bool {
        self.pending.iter().any(|phase| phase.contains(frame))
    }

    /// In few characters: half of 10^7 frames may be pending at random.
    pub fn encode(&self) -> String {
        let Self {
            created,
            run_number,
            troubled,
            pending,
            group,
        } = self;
        let [rest, careful, solitary] = pending.each_ref().map(FrameSet::pack);
        format!("{created} {run_number} {troubled} {rest} {careful} {solitary} {group}")
    }

    pub fn decode(text: &str) -> Option<Self> {
        // Names of groups may have spaces in them.
        let mut parts = text.splitn(7, ' ');
        Some(Self {
            created: parts.next()?.parse().ok()?,
            run_number: parts.next()?.parse().ok()?,
            troubled: parts.next()?.parse().ok()?,
            pending: [
                FrameSet::unpack(parts.next()?)?,
                FrameSet::unpack(parts.next()?)?,
                FrameSet::unpack(parts.next()?)?,
            ],
            group: parts.next()?.to_owned(),
        })
    }
}

/// How long a job takes that looks whether those on other hosts that share a result are alive.
const PATIENCE: Duration = Duration::from_mins(1);
/// Commits in the time of one lease.
const COMMITS_PER_LEASE: u32 = 4;

/// The right to write.
fn guard(setting: &Setting<'_>) -> Result<Guard> {
    let config = setting.config;
    let Some(patience) = config.share else {
        let lock = Lock::take(&config.result)?;
        share::refuse_if_shared(&config.result, PATIENCE)?;
        return Ok(Guard::Alone(lock));
    };
    let part = Part {
        workers: setting.team.workers_of_all() as u64,
        wanted: COMMITS_PER_LEASE * config.checkpoint_interval,
        patience,
    };
    let stop = || setting.signals.wish() > Stop::No;
    // Nobody when a signal came while others kept this job waiting.
    let member = Member::join(&config.result, part, &stop)?.ok_or_else(Error::stopped)?;
    Ok(Guard::Shared(Box::new(member)))
}

/// Rank 0 alone: take the lock, then create the file or see what is left to do in it. Files of any size are read and
/// written here: a wish to stop is an error of kind [`Kind::Stopped`](crate::domain::error::Kind::Stopped) at the next
/// block.
pub(super) fn prepare(
    setting: &Setting<'_>,
    input: &mut dyn Material,
    selected: &FrameSet,
) -> Result<(First, Job)> {
    let config = setting.config;
    let go_on = &|| setting.signals.go_on();
    place::check(config)?;
    let mut guard = guard(setting)?;
    let identity = input.identity(go_on)?;
    let found = if config.result.exists() {
        let wanted = Wanted {
            config,
            identity: &identity,
            selected,
            library: input.library(),
            in_company: guard.in_company()?,
        };
        wanted.found(go_on)?
    } else {
        Found::Replaceable
    };
    let beside = matches!(found, Found::Others);
    let (created, standing, tallies) = match found {
        Found::Own {
            standing,
            tallies,
            group,
        } => {
            input.settle_in(&group);
            (false, standing, tallies)
        }
        Found::Others | Found::Replaceable => {
            let standing = Standing {
                pending: selected.clone(),
                reset: FrameSet::empty(),
                troubled: 0,
                run_number: 1,
            };
            (true, standing, Tallies::default())
        }
    };
    input.check(&standing.pending, go_on)?;
    let journal = (poison::identity_number(&identity), tallies.clone());
    let mut attributes = identity;
    if created {
        let make = |path: &Path| mpi::make_striped(path, &config.hints);
        input.lay_out(&config.result, beside, &make, go_on)?;
        attributes.extend(create::version_attributes(&mpi::library_version()));
        attributes.extend(input.library().map(|name| (attribute::LIBRARY, name)));
        attributes.extend(input.settings().map(|how| (attribute::SETTINGS, how)));
    } else {
        if !standing.reset.is_empty() {
            existing::reset(&config.result, &standing.reset, go_on)?;
        }
        // Among jobs that share the result somebody else may be in between.
        if config.share.is_none() {
            existing::mend_completed(&config.result, go_on)?;
        }
    }
    let run_number = guard.begin(standing.run_number, &standing.pending)?;
    let job = Job {
        created,
        run_number,
        troubled: standing.troubled,
        pending: tallies.phases(standing.pending),
        group: input
            .stored()
            .map_or_else(String::new, |rows| rows.group.clone()),
    };
    if config.share.is_none() && (created || job.planned() == 0) {
        poison::tidy(config, &journal);
    }
    let first = First {
        guard,
        attributes,
        journal,
    };
    Ok((first, job))
}
