//! Into a copy that takes the file's place.
//!
//! What a kill leaves behind at each line: the file as it was, and beside it an unfinished copy that the next merge
//! removes; after the rename, the file with all results.

use std::fs;
use std::path::Path;

use ::hdf5::{Dataset, H5Type};

use crate::adapters::lock::beside;
use crate::adapters::whole_file::replace;
use crate::domain::error::{Error, GoOn, Result};
use crate::planning::frame_set::FrameSet;

use super::super::create::folder_of;
use super::super::result_reader::ResultReader;
use super::super::{ffi, open_read_only};
use super::plan::Part;
use super::write::{Merged, Pen, write_all};

/// `FILE.merging`.
const SUFFIX: &str = ".merging";

struct Hdf5;

impl Pen for Hdf5 {
    fn write<T: H5Type + Copy>(
        &mut self,
        dataset: &Dataset,
        rows: &FrameSet,
        values: &[T],
    ) -> Result<()> {
        ffi::write_rows(dataset, rows.runs(), values, ffi::Transfer::Independent)
    }
}

/// Writes `parts` of `result` at `level` into the file `into`.
pub fn merge(
    into: &Path,
    result: &ResultReader,
    parts: &[Part],
    level: &str,
    go_on: GoOn<'_>,
) -> Result<Vec<Merged>> {
    let copy = beside(into, SUFFIX);
    let merged = write_copy(into, &copy, result, parts, level, go_on).and_then(|merged| {
        replace(&copy, into)
            .map_err(|e| Error::failure(format!("{}: cannot be replaced: {e}", into.display())))?;
        Ok(merged)
    });
    if merged.is_err() {
        let _ = fs::remove_file(&copy);
    }
    // Whoever reads it knows nothing of the copy.
    let named = |text: &str| text.replace(&*copy.to_string_lossy(), &into.to_string_lossy());
    merged.map_err(|error| Error {
        message: named(&error.message),
        ..error
    })
}

/// What a merge that was killed has left.
pub fn tidy(into: &Path) {
    let _ = fs::remove_file(beside(into, SUFFIX));
}

fn write_copy(
    into: &Path,
    copy: &Path,
    result: &ResultReader,
    parts: &[Part],
    level: &str,
    go_on: GoOn<'_>,
) -> Result<Vec<Merged>> {
    let shown = into.display();
    check_space(into, parts)?;
    // The system copies by reference where the file system can.
    fs::copy(into, copy).map_err(|e| Error::failure(format!("{shown}: cannot be copied: {e}")))?;
    go_on()?;
    let from = open_read_only(into)?;
    write_all((&from, copy), &mut Hdf5, result, parts, level, go_on)
}

/// Says how much is missing before anything is written.
fn check_space(into: &Path, parts: &[Part]) -> Result<()> {
    let folder = folder_of(into);
    let size = fs::metadata(into).map_or(0, |found| found.len());
    let added = parts
        .iter()
        .map(|part| (part.frames.end - part.frames.start) * (24 * part.atoms as u64 + 16) + 4096);
    let needed = size + added.sum::<u64>();
    match rustix::fs::statvfs(&folder) {
        Ok(disk) if disk.f_bavail * disk.f_frsize < needed => Err(Error::failure(format!(
            "{}: its copy needs {:.1} MB, and {} has {:.1} MB free; free some, or --direct writes without a copy",
            into.display(),
            needed as f64 * 1e-6,
            folder.display(),
            (disk.f_bavail * disk.f_frsize) as f64 * 1e-6
        ))),
        _ => Ok(()),
    }
}
