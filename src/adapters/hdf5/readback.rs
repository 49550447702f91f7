//! What was written is read back past HDF5 and the MPI-IO layer, through a file descriptor of our own, and synced
//! through it too. Some layers report success when the disk is full, and some drop the error of a sync: here the
//! operating system itself says what it has.
//!
//! Datasets are contiguous and allocated at creation, so a row is at a fixed place of the file.

use std::fs::File as PlainFile;
use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use ::hdf5::Dataset;

use crate::adapters::mpi::node::Piece;
use crate::adapters::write_back;
use crate::domain::error::{Error, Result};

use super::ffi::row_elements;

/// Most bytes read at once.
const WINDOW_BYTES: u64 = 256 << 10;
/// Rows closer together than this are read at once, with what lies between them.
const GAP_BYTES: u64 = 4 << 10;

/// Where a dataset's rows are in the file.
#[derive(Clone, Debug)]
pub struct Place {
    name: String,
    address: u64,
    row_bytes: u64,
    rows: u64,
}

impl Place {
    /// Of a contiguous dataset.
    pub fn of(dataset: &Dataset) -> Result<Self> {
        let element = dataset.dtype().map_or(0, |t| t.size());
        let row_bytes = (row_elements(dataset) * element) as u64;
        let address = match dataset.offset() {
            Some(address) => address,
            // Nothing is stored where there are no rows.
            None if dataset.size() == 0 => 0,
            None => {
                return Err(Error::failure(format!(
                    "{}: {} is not contiguous: a run writes only into files as framewise creates them, not into compressed \
                     copies; choose another -o",
                    dataset.filename(),
                    dataset.name()
                )));
            }
        };
        Ok(Self {
            name: dataset.name(),
            address,
            row_bytes,
            rows: dataset.shape().first().copied().unwrap_or(1) as u64,
        })
    }

    /// Where its first row begins.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// The rows that a piece of the file holds, whole ones, of those that are here.
    pub fn rows_in(&self, piece: &Piece) -> Range<u64> {
        let row =
            |at: u64| (at.saturating_sub(self.address) / self.row_bytes.max(1)).min(self.rows);
        row(piece.at)..row(piece.at + piece.length)
    }

    /// Bytes of so many rows.
    pub fn bytes(&self, rows: &Range<u64>) -> usize {
        ((rows.end - rows.start) * self.row_bytes) as usize
    }

    /// Where rows are in the file.
    pub fn bytes_of(&self, rows: &Range<u64>) -> Piece {
        Piece {
            at: self.address + rows.start * self.row_bytes,
            length: (rows.end - rows.start) * self.row_bytes,
        }
    }
}

/// A part of some rows: in the file, and in the bytes that were written.
#[derive(Clone, Copy, Debug)]
struct Part {
    at: u64,
    written: usize,
    length: usize,
}

/// A file open beside HDF5. Its buffers live as long as the run.
#[derive(Debug)]
pub struct ReadBack {
    path: PathBuf,
    file: PlainFile,
    length: u64,
    buffer: Vec<u8>,
    window: Vec<Part>,
}

impl ReadBack {
    /// Opens `path`. An error of the disk that happens from now on is seen by the next [`sync`](Self::sync).
    pub fn open(path: &Path) -> Result<Self> {
        let file = PlainFile::open(path).map_err(|e| Error::unreadable(path, &e))?;
        let length = file.metadata().map_err(|e| Error::unreadable(path, &e))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            length: length.len(),
            buffer: Vec::new(),
            window: Vec::new(),
        })
    }

    /// Returns when the operating system says that what was written is on the disk.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|e| {
            Error::failure(format!(
                "cannot sync {}: {e} (disk full, over quota, or gone? see df; then run the same command again)",
                self.path.display()
            ))
        })
    }

    /// The disk may begin with what this node has written so far.
    pub fn begin_write_back(&self) {
        write_back::begin(&self.file);
    }

    /// Errors unless the path still leads to the file that was opened, at its full length: somebody may have removed,
    /// replaced or emptied it, and what is written then is written for nobody.
    pub fn require_file(&self) -> Result<()> {
        let shown = self.path.display();
        let changed = |what: &str| {
            Err(Error::failure(format!(
                "{shown}: somebody has {what} the result while this job wrote it; this job writes nothing more"
            )))
        };
        let Ok(there) = self.path.metadata() else {
            return changed("removed");
        };
        let ours = self
            .file
            .metadata()
            .map_err(|e| Error::unreadable(&self.path, &e))?;
        if (there.dev(), there.ino()) != (ours.dev(), ours.ino()) {
            return changed("replaced");
        }
        if there.len() < self.length {
            return changed("cut");
        }
        Ok(())
    }

    /// Reads consecutive rows.
    pub fn read(&self, place: &Place, rows: &Range<u64>, into: &mut [u8]) -> Result<()> {
        let Piece { at, length } = place.bytes_of(rows);
        self.file
            .read_exact_at(&mut into[..length as usize], at)
            .map_err(|e| Error::unreadable(&self.path, &e))
    }

    /// Errors unless the rows `rows` (ascending, disjoint) of the dataset at `place` are `written`.
    pub fn compare(&mut self, place: &Place, rows: &[Range<u64>], written: &[u8]) -> Result<()> {
        let Some(_) = self.first_difference(place, rows, written)? else {
            return Ok(());
        };
        // Network file systems promise only to see what others wrote before the file was opened.
        self.file = PlainFile::open(&self.path).map_err(|e| Error::unreadable(&self.path, &e))?;
        let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed);
        match self.first_difference(place, rows, written)? {
            None => Ok(()),
            Some(row) => Err(Error::failure(format!(
                "{}: row {row} of {} is not what was written, although the write was reported as a success (disk full, over quota, \
                 or gone? see df; then run the same command again)",
                self.path.display(),
                place.name
            ))),
        }
    }

    /// The first row that is not as written.
    fn first_difference(
        &mut self,
        place: &Place,
        rows: &[Range<u64>],
        written: &[u8],
    ) -> Result<Option<u64>> {
        self.window.clear();
        for part in parts(place, rows) {
            if let (Some(first), Some(last)) = (self.window.first(), self.window.last()) {
                let gap = part.at - (last.at + last.length as u64);
                if gap > GAP_BYTES || part.at + part.length as u64 - first.at > WINDOW_BYTES {
                    if let Some(row) = self.compare_window(place, written)? {
                        return Ok(Some(row));
                    }
                    self.window.clear();
                }
            }
            self.window.push(part);
        }
        self.compare_window(place, written)
    }

    fn compare_window(&mut self, place: &Place, written: &[u8]) -> Result<Option<u64>> {
        let (Some(first), Some(last)) = (self.window.first(), self.window.last()) else {
            return Ok(None);
        };
        let start = first.at;
        let span = (last.at - start) as usize + last.length;
        self.buffer.resize(span.max(self.buffer.len()), 0);
        let found = &mut self.buffer[..span];
        match self.file.read_exact_at(found, place.address + start) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => {
                return Ok(Some(start / place.row_bytes));
            }
            Err(e) => return Err(Error::unreadable(&self.path, &e)),
        }
        let wrong = self.window.iter().find(|part| {
            let at = (part.at - start) as usize;
            found[at..at + part.length] != written[part.written..part.written + part.length]
        });
        Ok(wrong.map(|part| part.at / place.row_bytes))
    }
}

/// Runs of rows in parts of at most a window.
fn parts<'a>(place: &'a Place, rows: &'a [Range<u64>]) -> impl Iterator<Item = Part> + 'a {
    let mut written = 0;
    rows.iter().flat_map(move |run| {
        let (start, end) = (run.start * place.row_bytes, run.end * place.row_bytes);
        let before = written;
        written += (end - start) as usize;
        (start..end)
            .step_by(WINDOW_BYTES as usize)
            .map(move |at| Part {
                at,
                written: before + (at - start) as usize,
                length: (end - at).min(WINDOW_BYTES) as usize,
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// A file whose every byte tells its place, and a dataset of rows of `row_bytes` at byte 10 of it.
    fn file(bytes: usize, row_bytes: u64) -> (tempfile::NamedTempFile, Vec<u8>, Place) {
        let content: Vec<u8> = (0..bytes).map(|i| (i * 7 + i / 256) as u8).collect();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&content).unwrap();
        let place = Place {
            name: "/d".into(),
            address: 10,
            row_bytes,
            rows: 200_000,
        };
        (file, content, place)
    }

    fn rows_of(content: &[u8], place: &Place, rows: &[Range<u64>]) -> Vec<u8> {
        let run = |r: &Range<u64>| {
            let at = |row: u64| (place.address + row * place.row_bytes) as usize;
            content[at(r.start)..at(r.end)].to_vec()
        };
        rows.iter().flat_map(run).collect()
    }

    #[test]
    fn right_rows_pass_and_one_wrong_byte_is_found_wherever_it_is() {
        let (file, content, place) = file(5 << 20, 24);
        let mut back = ReadBack::open(file.path()).unwrap();
        let selections: [&[Range<u64>]; 5] = [
            &[0..200_000],
            &[3..4, 5..6, 9..10],
            &[0..1, 1000..1001, 90_000..90_003, 140_000..200_000],
            &[7..8],
            &[],
        ];
        for rows in selections {
            let right = rows_of(&content, &place, rows);
            back.compare(&place, rows, &right).unwrap();
            for at in [0, right.len() / 3, right.len().saturating_sub(1)] {
                let mut wrong = right.clone();
                let Some(byte) = wrong.get_mut(at) else {
                    continue;
                };
                *byte ^= 1;
                let error = back.compare(&place, rows, &wrong).unwrap_err();
                assert!(error.message.contains("is not what was written"), "{error}");
            }
        }
    }

    #[test]
    fn rows_beyond_the_end_of_the_file_are_wrong() {
        let (file, content, place) = file(1000, 24);
        let mut back = ReadBack::open(file.path()).unwrap();
        let mut right = rows_of(&content, &place, &[0..41]);
        back.compare(&place, &[0..41], &right).unwrap();
        right.extend([0; 24]);
        let error = back.compare(&place, &[0..42], &right).unwrap_err();
        assert!(
            error.message.contains("of /d is not what was written"),
            "{error}"
        );
    }
}
