//! Into the file itself, for files that are too large to copy.
//!
//! HDF5 never touches the file. It makes the new datasets in a *shadow*: the file without the data of its large contiguous
//! datasets, which stay holes. New data then go to the places in the file that HDF5 has found for them, where nothing
//! points yet; all other changes, of metadata and of data that were there, become a journal of bytes (see
//! [`redo`]), which is synced before the first of them is made.
//!
//! What a kill leaves behind at each line: before the journal is complete, the file as it was (and longer, with bytes that
//! nothing points to); after that, a file that the next merge completes from the journal before it does anything else.

use std::fs::{self, File as PlainFile, OpenOptions};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use ::hdf5::{Dataset, File, Group, H5Type};
use zerocopy::{Immutable, IntoBytes};

use crate::adapters::lock::beside;
use crate::adapters::redo::{self, Journal};
use crate::domain::error::{Error, GoOn, Result};
use crate::planning::frame_set::FrameSet;

use super::super::result_reader::ResultReader;
use super::super::{failed, open_read_only};
use super::plan::Part;
use super::write::{Merged, Pen, write_all};

/// `FILE.merge-shadow`, and the journal.
const SHADOW: &str = ".merge-shadow";
const JOURNAL: &str = ".merge-journal";
/// Data of smaller datasets are copied into the shadow: to skip them would not pay.
const LARGE: u64 = 64 << 10;
/// Bytes that are compared at a time.
const BLOCK: usize = 1 << 20;

/// Completes, or forgets, what a merge that was killed has left. Whoever holds the lock of the file calls it first.
pub fn recover(into: &Path) -> Result<()> {
    let _ = fs::remove_file(beside(into, SHADOW));
    if redo::recover(into, &beside(into, JOURNAL))? {
        tracing::warn!(
            "{}: a merge that had been interrupted is completed now",
            into.display()
        );
    }
    Ok(())
}

/// Writes `parts` of `result` at `level` into the file `into`.
pub fn merge(
    into: &Path,
    result: &ResultReader,
    parts: &[Part],
    level: &str,
    go_on: GoOn<'_>,
) -> Result<Vec<Merged>> {
    let shadow = beside(into, SHADOW);
    let merged = merge_by(&shadow, into, result, parts, level, go_on);
    let _ = fs::remove_file(&shadow);
    // Whoever reads it knows nothing of the shadow.
    let named = |text: &str| text.replace(&*shadow.to_string_lossy(), &into.to_string_lossy());
    merged.map_err(|error| Error {
        message: named(&error.message),
        ..error
    })
}

fn merge_by(
    shadow: &Path,
    into: &Path,
    result: &ResultReader,
    parts: &[Part],
    level: &str,
    go_on: GoOn<'_>,
) -> Result<Vec<Merged>> {
    let shown = into.display();
    let doing = |e: std::io::Error| Error::failure(format!("{shown}: cannot be merged into: {e}"));
    let from = open_read_only(into)?;
    let mut holes = large_data(&from)?;
    cast(into, shadow, &holes, go_on)?;
    let mut pen = Planner {
        file: OpenOptions::new()
            .read(true)
            .write(true)
            .open(into)
            .map_err(doing)?,
        journal: Journal::create(into, &beside(into, JOURNAL))?,
        fresh: Vec::new(),
    };
    let merged = write_all((&from, shadow), &mut pen, result, parts, level, go_on)?;
    drop(from);
    let Planner {
        file,
        mut journal,
        fresh,
    } = pen;
    holes.extend(fresh);
    holes.sort_unstable_by_key(|hole| hole.start);
    changes(&file, shadow, &holes, &mut journal).map_err(doing)?;
    // What the journal will point to has to be there first.
    file.sync_all().map_err(doing)?;
    journal.commit(&file)?;
    Ok(merged)
}

/// Writes new data to their places at once, and plans what changes those that are there.
struct Planner {
    file: PlainFile,
    journal: Journal,
    /// Where new data are that are written at once.
    fresh: Vec<Range<u64>>,
}

impl Pen for Planner {
    fn write<T: H5Type + Copy + IntoBytes + Immutable>(
        &mut self,
        dataset: &Dataset,
        rows: &FrameSet,
        values: &[T],
    ) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let place = place::<T>(dataset)?;
        let row =
            (place.end - place.start) / dataset.shape().first().map_or(1, |n| *n as u64).max(1);
        // What begins behind the end of the file was not in it, and nothing in it points there.
        let is_fresh = place.start >= self.journal.length_before();
        // A dataset comes block by block, beside two others.
        let known = self.fresh.iter().rev().take(3).any(|other| *other == place);
        if is_fresh && !known {
            self.fresh.push(place.clone());
        }
        let mut bytes = values.as_bytes();
        for run in rows.runs() {
            let (now, rest) = bytes.split_at(((run.end - run.start) * row) as usize);
            bytes = rest;
            let at = place.start + run.start * row;
            if is_fresh {
                self.file.write_all_at(now, at).map_err(|e| {
                    Error::failure(format!("{}: cannot be written: {e}", dataset.filename()))
                })?;
            } else {
                self.journal.add(at, now)?;
            }
        }
        Ok(())
    }
}

/// Where the data of a dataset are in the file, if they lie there as they do in memory.
fn place<T: H5Type>(dataset: &Dataset) -> Result<Range<u64>> {
    let refused = |what: &str| {
        Error::failure(format!(
            "{}: dataset {} {what}, and --direct writes only data that lie in one piece; merge without it",
            dataset.filename(),
            dataset.name()
        ))
    };
    let native = ::hdf5::Datatype::from_type::<T>()
        .is_ok_and(|native| dataset.dtype().is_ok_and(|stored| stored == native));
    if !native {
        return Err(refused("has numbers of another type"));
    }
    let bytes = (dataset.size() * size_of::<T>()) as u64;
    match dataset.offset() {
        Some(offset) if !dataset.is_chunked() => Ok(offset..offset + bytes),
        _ => Err(refused("is in pieces (chunks)")),
    }
}

/// Where the data of large contiguous datasets are, ascending.
fn large_data(file: &File) -> Result<Vec<Range<u64>>> {
    let mut found = Vec::new();
    let root = file
        .group("/")
        .map_err(failed(format!("{}: cannot be read", file.filename())))?;
    collect(&root, 32, &mut found);
    found.sort_unstable_by_key(|place| place.start);
    // Hard links name a dataset more than once.
    found.dedup();
    Ok(found)
}

fn collect(group: &Group, depth: usize, found: &mut Vec<Range<u64>>) {
    // By name: of what it has opened in another way HDF5 finds the name by a walk through the whole file.
    for name in group.member_names().unwrap_or_default() {
        if let Ok(dataset) = group.dataset(&name) {
            let bytes = dataset.storage_size();
            let offset = dataset.offset().filter(|_| !dataset.is_chunked());
            if let (Some(offset), LARGE..) = (offset, bytes) {
                found.push(offset..offset + bytes);
            }
        } else if let (1.., Ok(child)) = (depth, group.group(&name)) {
            collect(&child, depth - 1, found);
        }
    }
}

/// Copies the file without `holes`.
fn cast(into: &Path, shadow: &Path, holes: &[Range<u64>], go_on: GoOn<'_>) -> Result<()> {
    let doing = |e: std::io::Error| {
        Error::failure(format!(
            "{}: its shadow cannot be made: {e}",
            into.display()
        ))
    };
    let from = PlainFile::open(into).map_err(doing)?;
    let length = from.metadata().map_err(doing)?.len();
    let to = PlainFile::create(shadow).map_err(doing)?;
    to.set_len(length).map_err(doing)?;
    let mut buffer = vec![0; BLOCK];
    for range in between(holes, length) {
        let mut at = range.start;
        while at < range.end {
            go_on()?;
            let now = (range.end - at).min(BLOCK as u64) as usize;
            from.read_exact_at(&mut buffer[..now], at).map_err(doing)?;
            to.write_all_at(&buffer[..now], at).map_err(doing)?;
            at += now as u64;
        }
    }
    Ok(())
}

/// What is not a hole, up to `length`.
fn between(holes: &[Range<u64>], length: u64) -> Vec<Range<u64>> {
    let mut parts = Vec::with_capacity(holes.len() + 1);
    let mut at = 0;
    for hole in holes {
        if at < hole.start {
            parts.push(at..hole.start.min(length));
        }
        at = at.max(hole.end);
    }
    if at < length {
        parts.push(at..length);
    }
    parts
}

/// Adds to the journal where the shadow differs from the file.
fn changes(
    file: &PlainFile,
    shadow: &Path,
    holes: &[Range<u64>],
    journal: &mut Journal,
) -> std::io::Result<()> {
    let cast = PlainFile::open(shadow)?;
    let length = cast.metadata()?.len();
    journal.grow_to(length);
    let (mut was, mut is) = (vec![0; BLOCK], vec![0; BLOCK]);
    for range in between(holes, length) {
        let mut at = range.start;
        while at < range.end {
            let now = (range.end - at).min(BLOCK as u64) as usize;
            cast.read_exact_at(&mut is[..now], at)?;
            let there = read_to_end(file, &mut was[..now], at)?;
            // Behind the end of the file there is nothing.
            was[there..now].fill(0);
            for (first, last) in different(&was[..now], &is[..now]) {
                journal
                    .add(at + first as u64, &is[first..last])
                    .map_err(std::io::Error::other)?;
            }
            at += now as u64;
        }
    }
    Ok(())
}

fn read_to_end(file: &PlainFile, buffer: &mut [u8], at: u64) -> std::io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read_at(&mut buffer[read..], at + read as u64)? {
            0 => break,
            n => read += n,
        }
    }
    Ok(read)
}

/// Where two buffers differ. Not a byte more: what lies between may change for another reason.
fn different(was: &[u8], is: &[u8]) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (k, (a, b)) in was.chunks(64).zip(is.chunks(64)).enumerate() {
        if a == b {
            continue;
        }
        for i in (0..b.len()).filter(|i| a[*i] != b[*i]) {
            let at = 64 * k + i;
            match found.last_mut() {
                Some(previous) if previous.1 == at => previous.1 = at + 1,
                _ => found.push((at, at + 1)),
            }
        }
    }
    found
}
