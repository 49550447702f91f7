//! The first day of a result file: all ranks write its attributes, then it gets its name.

use std::mem::ManuallyDrop;

use crate::adapters::hdf5::create;
use crate::adapters::hdf5::sink::open_parallel;
use crate::adapters::mpi::{MpiRanks, RawCommunicator, RawInfo};
use crate::domain::error::{Error, Result};
use crate::engine::ports::Ranks;
use crate::engine::together::{on_first_rank, together};

use super::closing::{close, guarded};
use super::config::RunConfig;

/// All ranks write the attributes into the new file, then rank 0 gives it its name.
pub(super) fn give_birth(
    config: &RunConfig,
    file: (RawCommunicator, Option<RawInfo>),
    ranks: &mut MpiRanks,
    attributes: Option<&Vec<(&'static str, String)>>,
) -> Result<()> {
    let text = attributes.map_or_else(String::new, |a| {
        serde_json::to_string(a).unwrap_or_default()
    });
    let text = ranks.tell(0, &text);
    let attributes = serde_json::from_str::<Vec<(String, String)>>(&text)
        .map_err(|e| Error::failure(format!("rank 0 sent unreadable attributes: {e}")));
    let attributes = together(ranks, attributes)?;
    let temporary = create::temporary(&config.result);
    // A file that is not closed by all ranks is not closed by any: see `Kind::Abandoned`.
    let file = open_parallel(&temporary, file.0, file.1).map(ManuallyDrop::new);
    let born = together(ranks, file.map_err(Error::abandoned)).and_then(|file| {
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
