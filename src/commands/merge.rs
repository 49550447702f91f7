//! `framewise merge`: results into the structures that they are of, where mbe-automation looks for them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::adapters::hdf5::ground_truth::{Merged, copy, direct, plan};
use crate::adapters::hdf5::layout::attribute;
use crate::adapters::hdf5::result_reader::ResultReader;
use crate::adapters::signals::Signals;
use crate::adapters::storage_lock::{StorageLock, keep_writers_out};
use crate::domain::error::{Error, Result};

use super::run::place::behind_links;
use super::table::plural;

/// Write results into the structures of an mbe-automation file
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  framewise merge labels.h5 --into structures.h5
  framewise merge labels.h5 --into structures.h5 --key training/water --level-of-theory xtb/gfn2
  framewise merge labels.h5 --into huge.h5 --direct

Energies per atom, forces and states go into the group ground_truth of each structure, beside the levels of theory
that are there. Completed frames replace what is there; a completed frame is never marked as anything else. Results
of a part of the frames, or of a job that goes on, may be merged, and merged again later. Structures have to be what
was computed, to the last bit.

The file is locked as mbe-automation locks it (FILE.lock). A copy of it is changed and takes its name at the end: a
kill leaves the file as it was. --direct changes the file itself, for files that are too large to copy: what is to
change is written into a journal first, and after a kill the next merge completes it; until then the file may not
open.")]
pub struct MergeArgs {
    /// Result of `framewise run`
    #[arg(value_name = "RESULT")]
    pub result: PathBuf,

    /// File with the structures
    #[arg(long, value_name = "STRUCTURE.h5")]
    pub into: PathBuf,

    /// Group of the structure [default: what was computed]
    #[arg(long, value_name = "K")]
    pub key: Option<String>,

    /// Name under which the results are stored there [default: that of the result]
    #[arg(long, value_name = "NAME")]
    pub level_of_theory: Option<String>,

    /// Change the file itself, not a copy
    #[arg(long)]
    pub direct: bool,

    /// How long to wait for other programs that have the file
    #[arg(long, value_name = "TIME", default_value = "5m")]
    pub lock_timeout: humantime::Duration,
}

/// Runs the verb.
pub fn execute(args: &MergeArgs) -> Result<()> {
    let signals = Signals::listen()?;
    let go_on = &|| signals.go_on();
    let into = behind_links(args.into.clone());
    let mut result = ResultReader::open(&args.result)?;
    result.require_frames()?;
    check(args, &into)?;
    let level = match &args.level_of_theory {
        Some(level) => level.clone(),
        None => result
            .attribute(attribute::LEVEL_OF_THEORY)
            .map(str::to_owned)
            .ok_or_else(|| {
                Error::usage("--level-of-theory: the result does not say which it is")
            })?,
    };
    if level.is_empty() || level.contains('\0') {
        return Err(Error::usage(format!(
            "--level-of-theory {level:?}: give a name"
        )));
    }
    let _lock = StorageLock::take(&into, Duration::from(args.lock_timeout), go_on)?;
    let _alone = keep_writers_out(&into, args.direct)?;
    copy::tidy(&into);
    direct::recover(&into)?;
    let parts = plan::plan(&mut result, &into, args.key.as_deref(), go_on)?;
    let way = if args.direct {
        direct::merge
    } else {
        copy::merge
    };
    let merged = way(&into, &result, &parts, &level, go_on)?;
    say(&into, &level, &merged);
    Ok(())
}

fn check(args: &MergeArgs, into: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let found = into.metadata().map_err(|e| Error::unreadable(into, &e))?;
    let same = args
        .result
        .metadata()
        .is_ok_and(|result| (result.dev(), result.ino()) == (found.dev(), found.ino()));
    if same {
        return Err(Error::usage(format!(
            "{}: is the result itself; --into wants the file with the structures",
            into.display()
        )));
    }
    if found.nlink() > 1 && !args.direct {
        return Err(Error::failure(format!(
            "{}: has {} names (hard links), and a copy would take one of them; --direct changes the file itself",
            into.display(),
            found.nlink()
        )));
    }
    Ok(())
}

fn say(into: &Path, level: &str, merged: &[Merged]) {
    let sum = |of: fn(&Merged) -> u64| merged.iter().map(of).sum::<u64>();
    let renewed = sum(|one| one.renewed);
    tracing::info!(
        "{}: {} of {} completed at {level:?}{}; {} marked as failed or not converged, {} as before",
        into.display(),
        plural(sum(|one| one.completed) + renewed, "frame"),
        plural(merged.len() as u64, "structure"),
        match renewed {
            0 => String::new(),
            n => format!(", {n} of them not for the first time"),
        },
        sum(|one| one.troubled),
        sum(|one| one.untouched),
    );
}
