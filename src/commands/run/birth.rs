//! The first day of a result file: all ranks fill it, each its share, and write its attributes; then it gets its name.
//!
//! What a kill leaves behind at each line: a temporary file, which the next creation removes, up to the rename; after it a
//! complete result.

use std::mem::ManuallyDrop;

use crate::adapters::hdf5::create;
use crate::adapters::hdf5::fill::Filler;
use crate::adapters::hdf5::sink::open_parallel;
use crate::adapters::mpi::{MpiRanks, RawCommunicator, RawInfo};
use crate::domain::error::{Error, Result};
use crate::engine::ports::Ranks;
use crate::engine::together::{on_first_rank, together};

use super::closing::{close, guarded};
use super::job::Setting;

/// All ranks fill the new file and write its attributes, then rank 0 gives it its name.
pub(super) fn give_birth(
    setting: &Setting<'_>,
    file: (RawCommunicator, Option<RawInfo>),
    ranks: &mut MpiRanks,
    attributes: Option<&Vec<(&'static str, String)>>,
) -> Result<()> {
    let config = setting.config;
    let text = attributes.map_or_else(String::new, |a| {
        serde_json::to_string(a).unwrap_or_default()
    });
    let text = ranks.tell(0, &text);
    let attributes = serde_json::from_str::<Vec<(String, String)>>(&text)
        .map_err(|e| Error::failure(format!("rank 0 sent unreadable attributes: {e}")));
    let attributes = together(ranks, attributes)?;
    let temporary = create::temporary(&config.result);
    let born = fill(setting, ranks).and_then(|()| {
        // A file that is not closed by all ranks is not closed by any: see `Kind::Abandoned`.
        let file = open_parallel(&temporary, file.0, file.1).map(ManuallyDrop::new);
        let file = together(ranks, file.map_err(Error::abandoned))?;
        let doing = format!("create {}", config.result.display());
        let written = guarded(ranks, &doing, Some(&temporary), || {
            create::write_attributes(&file, &attributes)
        });
        together(ranks, written.map_err(Error::abandoned))?;
        let file = ManuallyDrop::into_inner(file);
        close(ranks, &temporary, Some(&temporary), || file.close())?;
        on_first_rank(ranks, || create::publish(&config.result, &attributes))
    });
    // Each rank tries: it may be the only one that comes here.
    if born.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    born.map(|_| ())
}

/// Every rank fills its share, in steps that all ranks take together: a wish to stop, or a full disk, on one of them is
/// heard by all after the step.
fn fill(setting: &Setting<'_>, ranks: &mut MpiRanks) -> Result<()> {
    let go_on = || setting.signals.go_on();
    let share = (ranks.rank() as u64, ranks.size() as u64);
    let filler = Filler::open(&setting.config.result, share, &go_on);
    let mut filler = together(ranks, filler)?;
    for _ in 0..filler.steps() {
        let filled = filler.step();
        together(ranks, filled)?;
    }
    let ended = filler.end().and_then(|()| go_on());
    together(ranks, ended)
}
