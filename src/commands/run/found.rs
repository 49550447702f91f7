//! What there is under the name of the result when a job begins.

use crate::adapters::hdf5::layout::attribute;
use crate::adapters::hdf5::result_reader::ResultReader;
use crate::adapters::hdf5::rows::jobs;
use crate::domain::error::{Error, GoOn, Result};
use crate::planning::frame_set::FrameSet;
use crate::planning::suspects::Tallies;

use super::config::RunConfig;
use super::existing::{self, Identity, Standing};
use super::{place, poison};

/// What there is under the name of the result.
pub(super) enum Found {
    /// Nothing, or what is to be replaced.
    Replaceable,
    /// Results of other jobs on the same rows: those of this one have their place beside them.
    Others,
    /// Results of this job.
    Own {
        /// What is left to do.
        standing: Standing,
        /// Which frames are suspected to have ended the job.
        tallies: Tallies,
        /// Where results of rows are.
        group: String,
    },
}

/// What a job wants of it.
pub(super) struct Wanted<'a> {
    pub config: &'a RunConfig,
    pub identity: &'a Identity,
    pub selected: &'a FrameSet,
    /// The foreign library that computes, and its version.
    pub library: Option<String>,
    /// Whether other jobs share the result.
    pub in_company: bool,
}

impl Wanted<'_> {
    /// Looks at the file, and brings the results of this job forward where they lie aside in it.
    pub fn found(&self, go_on: GoOn<'_>) -> Result<Found> {
        let Self {
            config,
            identity,
            selected,
            in_company,
            ..
        } = *self;
        let mut reader = place::open_existing(&config.result)?;
        let mut difference = existing::difference(&reader, identity);
        let shown = config.result.display();
        if let Some(other) = &difference
            && existing::may_lie_beside(&reader, identity)
        {
            drop(reader);
            if config.share.is_some() {
                return Err(Error::failure(format!(
                    "{shown} was made with {other}, and groups are not added to it under --share; choose another -o, or \
                     begin without --share"
                )));
            }
            // Nobody goes on with what is laid aside before it is brought forward again.
            existing::mend_completed(&config.result, go_on)?;
            let Some(books) = existing::laid_aside(&config.result, identity)? else {
                tracing::info!(
                    "{shown} was made with {other}: these results get a group of their own"
                );
                return Ok(Found::Others);
            };
            tracing::info!(
                "{shown} was made with {other}, and holds these results, too: going on with them"
            );
            jobs::bring_forward(&config.result, &books, go_on)?;
            reader = place::open_existing(&config.result)?;
            difference = existing::difference(&reader, identity);
        }
        if let Some(difference) = difference {
            if config.overwrite && *selected == FrameSet::all(reader.n_frames()) {
                tracing::warn!("{shown} was made with {difference}; --overwrite replaces it");
                return Ok(Found::Replaceable);
            }
            return Err(Error::failure(format!(
                "{shown} was made with {difference}; choose another -o, or --overwrite all frames to replace it"
            )));
        }
        let group = reader
            .rows()
            .map_or_else(String::new, |rows| rows.group.clone());
        if config.share.is_some() {
            let standing = existing::standing(&reader, config, selected, in_company, None, go_on)?;
            self.warn_of_other_library(&reader, &standing);
            return Ok(Found::Own {
                standing,
                tallies: Tallies::default(),
                group,
            });
        }
        let frames = reader.n_frames();
        // HDF5 refuses to open for writing what this process has open for reading.
        drop(reader);
        let past = poison::past(config, identity, frames).unwrap_or_default();
        let last_rounds = past.last_rounds().cloned();
        let (tallies, condemned) = poison::settle(config, past)?;
        let reader = place::open_existing(&config.result)?;
        let rounds = last_rounds.as_ref();
        let mut standing =
            existing::standing(&reader, config, selected, in_company, rounds, go_on)?;
        self.warn_of_other_library(&reader, &standing);
        // What has just been condemned is not retried by the same start.
        standing.troubled += standing.reset.intersection(&condemned).len();
        standing.reset = standing.reset.difference(&condemned);
        standing.pending = standing.pending.difference(&condemned);
        Ok(Found::Own {
            standing,
            tallies,
            group,
        })
    }

    /// One result of two versions of an engine is allowed, but not without a word.
    fn warn_of_other_library(&self, reader: &ResultReader, standing: &Standing) {
        if let (Some(was), Some(is)) = (reader.attribute(attribute::LIBRARY), &self.library)
            && was != is
            && !standing.pending.is_empty()
        {
            tracing::warn!("the result was begun with {was}; this run goes on with {is}");
        }
    }
}
