//! NaN and "undefined" in every place of a new result: each rank writes its share, once, at addresses that HDF5 has given.
//!
//! A small file is filled by one rank: the others would only wait for the same disk. What a kill leaves behind: a
//! temporary file that the next creation removes; nothing here touches a file that has its name.

use std::fs::File as PlainFile;
use std::ops::Range;
use std::path::Path;

use crate::domain::error::{Error, GoOn, Result};
use crate::planning::partition::part;
use crate::planning::status::Status;

use super::create::temporary;
use super::layout;
use super::pace::Pace;
use super::readback::Place;
use super::rows::stored::StoredRows;
use super::{has_molar_forces, open_read_only};

/// Fewer bytes than this per rank are not worth a second rank.
const SHARE: u64 = 64 << 20;
/// Bytes of all ranks in one step: some seconds on a slow disk, and all ranks agree after it.
const STEP: u64 = 512 << 20;

/// A place of the file and what is written into it over and over.
#[derive(Debug)]
struct Fill {
    bytes: Range<u64>,
    pattern: Vec<u8>,
}

/// One rank's share of the filling.
pub struct Filler<'a> {
    pace: Pace<'a>,
    fills: Vec<Fill>,
    /// Of all bytes that are to be filled, one dataset behind the other: those that are left for this rank.
    left: Range<u64>,
    step: u64,
    steps: u64,
}

impl<'a> Filler<'a> {
    /// Looks where the datasets of the temporary file of `result` are. `share`: this rank and the number of ranks.
    pub fn open(result: &'a Path, share: (u64, u64), go_on: GoOn<'a>) -> Result<Self> {
        Self::cut(result, share, (SHARE, STEP), go_on)
    }

    /// As [`open`](Self::open), with other sizes: the least share of a rank, and a step of all of them.
    pub fn cut(
        result: &'a Path,
        (rank, ranks): (u64, u64),
        (least, step): (u64, u64),
        go_on: GoOn<'a>,
    ) -> Result<Self> {
        let path = temporary(result);
        let fills = fills(&path)?;
        let total: u64 = fills.iter().map(|f| f.bytes.end - f.bytes.start).sum();
        let workers = (total / least).clamp(1, ranks);
        // Shares begin at whole numbers, which have 4 or 8 bytes.
        let left = if rank < workers {
            part(total / 8, rank, workers)
        } else {
            0..0
        };
        let end = if rank + 1 == workers {
            total
        } else {
            8 * left.end
        };
        let step = (step / workers).max(8) / 8 * 8;
        let file = PlainFile::options()
            .write(true)
            .open(&path)
            .map_err(|e| Error::failure(format!("cannot create {}: {e}", result.display())))?;
        Ok(Self {
            pace: Pace::new(file, result, go_on),
            fills,
            left: 8 * left.start..end,
            step,
            steps: (total.div_ceil(workers) + 8).div_ceil(step),
        })
    }

    /// How many steps there are, the same number on every rank.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Fills a part of this rank's share.
    ///
    /// # Errors
    /// The disk is full or gone, or somebody has asked to stop.
    pub fn step(&mut self) -> Result<()> {
        let now = self.left.start..self.left.end.min(self.left.start + self.step);
        self.left.start = now.end.max(now.start);
        let mut before = 0;
        for fill in &self.fills {
            let length = fill.bytes.end - fill.bytes.start;
            let from = now.start.clamp(before, before + length) - before;
            let to = now.end.clamp(before, before + length) - before;
            if from < to {
                let start = fill.bytes.start + from;
                self.pace.fill(start, to - from, &fill.pattern)?;
            }
            before += length;
        }
        Ok(())
    }

    /// Returns when all that this rank has written is on the disk.
    pub fn end(self) -> Result<()> {
        self.pace.end()
    }
}

/// What is to be filled, in the order of the file.
fn fills(path: &Path) -> Result<Vec<Fill>> {
    let file = open_read_only(path)?;
    let nan = f64::NAN.to_ne_bytes();
    let mut fills = Vec::new();
    let undefined = Status::Undefined.code().to_ne_bytes();
    let no_time = f32::NAN.to_ne_bytes();
    let mut wanted = vec![
        (layout::STATUS.to_owned(), &undefined[..]),
        (layout::CHECKSUM.to_owned(), &[0; 8]),
        (layout::SECONDS.to_owned(), &no_time),
    ];
    match StoredRows::of(&file)? {
        None => {
            let mut groups = vec![layout::FORCES, layout::ENERGY, layout::STRESS];
            if has_molar_forces(&file) {
                groups.push(layout::MOLAR_FORCES);
            }
            let values = groups.iter().map(|group| format!("{group}/value"));
            wanted.extend(values.map(|name| (name, &nan[..])));
        }
        Some(rows) => {
            let blank = rows.layout.specs().iter().map(|spec| spec.element.blank());
            wanted.extend(rows.paths().into_iter().zip(blank));
            wanted.push((rows.completed(), &[0; 8]));
        }
    }
    for (name, pattern) in wanted {
        let dataset = file
            .dataset(&name)
            .map_err(super::failed(format!("{}: {name}", path.display())))?;
        let rows = dataset.shape().first().copied().unwrap_or(0) as u64;
        let piece = Place::of(&dataset)?.bytes_of(&(0..rows));
        if piece.length > 0 {
            fills.push(Fill {
                bytes: piece.at..piece.at + piece.length,
                pattern: pattern.to_vec(),
            });
        }
    }
    // Elements of 8 bytes first: then a share that begins at a multiple of 8 begins at an element. Zeros are the same
    // wherever a share begins.
    fills.sort_by_key(|fill| {
        let zeros = fill.pattern.iter().all(|byte| *byte == 0);
        (zeros, fill.pattern.len() < 8, fill.bytes.start)
    });
    Ok(fills)
}
