//! What a job computes of what. All the rest of its life is the same for frames and for rows.

use std::path::Path;
use std::time::Duration;

use crate::adapters::hdf5::create::Make;
use crate::adapters::hdf5::rows::stored::StoredRows;
use crate::adapters::mpi::MpiRanks;
use crate::domain::error::{GoOn, Result};
use crate::engine::evaluator::Work;
use crate::engine::ports::Source;
use crate::planning::cost::{Experience, SizeLaw};
use crate::planning::frame_set::FrameSet;
use crate::planning::plan::Plan;

use super::existing::Identity;

/// What was asked for, before its input is opened.
pub trait Task: Send + Sync {
    /// What one of the things is called that are computed: frame, row.
    fn item(&self) -> &'static str;
    /// The flag that selects some of them.
    fn selector(&self) -> &'static str;
    /// What computes, in messages.
    fn name(&self) -> &str;
    /// All that was asked for, in one line: it has to be the same on every rank.
    fn words(&self) -> String;
    /// Whether what computes sees itself that nothing takes longer than it may.
    fn keeps_time(&self) -> bool {
        false
    }
    /// How much longer than it may a frame or row may be in hand then: to start what computes it.
    fn leeway(&self) -> Duration {
        Duration::ZERO
    }
    /// Opens the input, on every rank.
    fn open(&self, input: &Path) -> Result<Box<dyn Material>>;
}

/// An opened input and what is to be made of it.
pub trait Material: Source {
    /// As a source for the engine.
    fn source(&mut self) -> &mut dyn Source;
    /// What every worker does.
    fn work(&self) -> Work;
    /// How many frames or rows there are.
    fn count(&self) -> u64;
    /// What ranks that see another file find out by.
    fn glance(&mut self) -> Result<String>;
    /// What makes the job, and where its input is. Looks at the input.
    fn identity(&mut self, go_on: GoOn<'_>) -> Result<Identity>;
    /// Parameters that change no results, as a JSON object, where there are some.
    fn settings(&self) -> Option<String> {
        None
    }
    /// The library that computes and its version, where there is one.
    fn library(&self) -> Option<String> {
        None
    }
    /// Whether all that is `pending` can be computed.
    fn check(&mut self, pending: &FrameSet, go_on: GoOn<'_>) -> Result<()> {
        let _ = (pending, go_on);
        Ok(())
    }
    /// Lays the result out, see `create::lay_out`; `beside` the jobs of the file that is there, where it can have several.
    fn lay_out(
        &mut self,
        result: &Path,
        beside: bool,
        make: Make<'_>,
        go_on: GoOn<'_>,
    ) -> Result<()>;
    /// Where results of rows are in it.
    fn stored(&self) -> Option<&StoredRows> {
        None
    }
    /// Results of rows are in this group.
    fn settle_in(&mut self, group: &str) {
        let _ = group;
    }
    /// The plan of `pending`, the same on every rank. Collective.
    fn plan(
        &mut self,
        ranks: &mut MpiRanks,
        result: &Path,
        pending: &FrameSet,
        created: bool,
    ) -> Result<Plan> {
        let _ = (ranks, result, created);
        Ok(Plan::even(pending.clone()))
    }
    /// How costs go with sizes before anything was measured.
    fn assumed(&self) -> SizeLaw {
        SizeLaw::power(1)
    }
    /// What has been seen in earlier runs, where frames come in leases. Collective.
    fn experience(
        &mut self,
        ranks: &mut MpiRanks,
        result: &Path,
        created: bool,
    ) -> Result<Experience> {
        let _ = (ranks, result, created);
        Ok(Experience::default())
    }
}
