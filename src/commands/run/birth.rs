//! The first day of a result file: all ranks write its attributes, then it gets its name.

use std::mem::ManuallyDrop;
use std::path::Path;

use crate::adapters::hdf5::sink::open_parallel;
use crate::adapters::hdf5::{create, failed};
use crate::adapters::mpi::{MpiRanks, RawCommunicator, RawInfo};
use crate::domain::error::{Error, Result};
use crate::engine::ports::Ranks;
use crate::engine::together::{on_first_rank, together};

use super::config::RunConfig;
use super::launch;

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
        let written = create::write_attributes(&file, &attributes).map_err(Error::abandoned);
        together(ranks, written)?;
        let closed = ManuallyDrop::into_inner(file).close();
        close(closed, &temporary, &ranks.name());
        on_first_rank(ranks, || create::publish(&config.result, &attributes))
    });
    if born.is_err() && ranks.rank() == 0 {
        let _ = std::fs::remove_file(&temporary);
    }
    born.map(|_| ())
}

/// A rank that cannot close the file ends the job at once: the others may be waiting for it in the same call, and
/// HDF5 would try again, and crash, at the end of MPI.
pub(super) fn close<T>(closed: hdf5::Result<T>, path: &Path, name: &str) {
    if let Err(error) = closed {
        let doing = format!(
            "cannot close {} (is the disk full? what was committed is safe; run the same command again)",
            path.display()
        );
        launch::give_up(&failed(doing)(error).context(name));
    }
}
