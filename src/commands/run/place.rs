//! Whether the result can be where it is wanted: seen before anything is locked, created or computed.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::adapters::hdf5::create::folder_of;
use crate::adapters::hdf5::result_reader::{ResultReader, is_result};
use crate::domain::error::{Error, Result};

use super::config::RunConfig;

/// Links that are followed at most, as Linux does.
const LINKS: usize = 40;

/// The file that the path of a result stands for. Two jobs that name one file differently meet at one lock, and a new
/// file is made where a link points.
pub fn behind_links(path: PathBuf) -> PathBuf {
    let mut path = path;
    for _ in 0..LINKS {
        let Ok(target) = path.read_link() else { break };
        path = folder_of(&path).join(target);
    }
    path
}

/// Refuses places for the result and the metrics that cannot be meant.
pub fn check(config: &RunConfig) -> Result<()> {
    let result = &config.result;
    if result.is_dir() {
        return Err(Error::usage(format!(
            "{}: is a directory; give the name of a file with -o",
            result.display()
        )));
    }
    require_folder(result, "choose another -o")?;
    if let Some(metrics) = &config.metrics {
        require_folder(metrics, "choose another file for --metrics")?;
    }
    let Ok(there) = result.metadata() else {
        return Ok(());
    };
    if !there.is_file() {
        return Err(Error::usage(format!(
            "{}: is not a file; give the name of a file with -o",
            result.display()
        )));
    }
    let same = |input: std::fs::Metadata| (input.dev(), input.ino()) == (there.dev(), there.ino());
    if config.input.metadata().is_ok_and(same) {
        return Err(Error::usage(format!(
            "{}: the result would overwrite the input; choose another -o",
            result.display()
        )));
    }
    if there.nlink() > 1 {
        return Err(Error::failure(format!(
            "{}: is one of {} names (hard links) of a file, and another job may write it under another one; remove the others, or \
             copy it and give the copy with -o",
            result.display(),
            there.nlink()
        )));
    }
    Ok(())
}

fn require_folder(file: &Path, otherwise: &str) -> Result<()> {
    let folder = folder_of(file);
    let what = match folder.metadata() {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => format!("is not a directory; {otherwise}"),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            format!("no such directory; create it or {otherwise}")
        }
        Err(e) => format!("{e}; {otherwise}"),
    };
    Err(Error::failure(format!("{}: {what}", folder.display())))
}

/// Opens a file that is there already under the result's name. It is only ever a result of framewise: nothing else
/// is touched.
pub fn open_existing(path: &Path) -> Result<ResultReader> {
    let shown = path.display();
    let or_another = |e: Error| {
        Error::failure(format!(
            "{e}, or choose another -o to begin again (this run would go on with it)"
        ))
    };
    if !is_result(path).map_err(or_another)? {
        return Err(Error::failure(format!(
            "{shown}: exists and is not a result of framewise; choose another -o"
        )));
    }
    let reader = ResultReader::open(path).map_err(or_another)?;
    reader.require_contiguous()?;
    Ok(reader)
}
