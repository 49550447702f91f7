//! Collective calls of HDF5 on a new file and at the close of any: who guards them, since they cannot guard themselves.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::adapters::hdf5::failed;
use crate::adapters::mpi::MpiRanks;
use crate::domain::error::{Error, Result};
use crate::engine::ports::Ranks;
use crate::engine::together::together;

use super::launch;

/// Some kilobytes are written in these calls, and all the rest has been synced before: they take this long on no disk
/// that works.
const PATIENCE: Duration = Duration::from_secs(8);
/// Where several ranks wait in vain, the first one speaks: longer than a launcher takes to end the others, which it asks
/// before it kills them.
const HEAD_START: Duration = Duration::from_secs(3);

/// Calls `act`, which is collective inside HDF5, and ends the job when it does not come back. When a write fails on one
/// rank, HDF5 leaves the call in the middle, and its next collective call meets an earlier one of the others: all ranks
/// then wait for ever, the one that knows the error as well. `remains` is removed then.
pub(super) fn guarded<T>(
    ranks: &MpiRanks,
    doing: &str,
    remains: Option<&Path>,
    act: impl FnOnce() -> T,
) -> T {
    let (over, watched) = mpsc::channel();
    if ranks.size() > 1 {
        let error = Error::failure(format!(
            "cannot {doing}: a rank does not come back from it (disk full, over quota, or gone?); what was committed is safe, \
             run the same command again"
        ));
        let error = error.context(ranks.name());
        let patience = match ranks.rank() {
            0 => PATIENCE,
            _ => PATIENCE + HEAD_START,
        };
        let remains = remains.map(Path::to_owned);
        std::thread::spawn(move || guard(&watched, patience, &error, remains));
    }
    let outcome = act();
    let _ = over.send(());
    outcome
}

fn guard(over: &Receiver<()>, patience: Duration, error: &Error, remains: Option<PathBuf>) {
    if over.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
        if let Some(path) = remains {
            let _ = std::fs::remove_file(path);
        }
        launch::give_up(error);
    }
}

/// Closes `path` on all ranks; an error anywhere is an error everywhere, and the file then counts as abandoned: HDF5
/// would try again, and crash, at the end of MPI. Collective.
pub fn close(
    ranks: &mut MpiRanks,
    path: &Path,
    remains: Option<&Path>,
    close: impl FnOnce() -> hdf5::Result<()>,
) -> Result<()> {
    let doing = format!("close {}", path.display());
    let closed = guarded(ranks, &doing, remains, close);
    let doing = format!(
        "cannot {doing} (is the disk full? what was committed is safe; run the same command again)"
    );
    let closed = closed.map_err(|error| failed(doing)(error).abandoned());
    together(ranks, closed)
}
