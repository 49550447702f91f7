//! A journal of bytes that are to change in a file: all of them change, whoever is killed when.
//!
//! The journal is written and synced as a whole, with its own checksum at its end; then the bytes are written to their
//! places; then it is removed. A journal that is complete can be applied any number of times, one that is not says that
//! the file was not touched.

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use crate::domain::error::{Error, Result};

/// Begins every journal; the last digits are the version of its format.
const MAGIC: &[u8; 16] = b"framewise-redo01";
/// In place of a position: the journal ends, its checksum follows.
const END: u64 = u64::MAX;

/// A journal that is being written.
pub struct Journal {
    file: BufWriter<File>,
    path: PathBuf,
    hash: Xxh3,
    before: u64,
    length: u64,
}

impl Journal {
    /// Begins the journal at `path` of changes to the file `of`.
    pub fn create(of: &Path, path: &Path) -> Result<Self> {
        let doing = |e: std::io::Error| {
            Error::failure(format!("{}: cannot be created: {e}", path.display()))
        };
        let before = fs::metadata(of).map_err(doing)?.len();
        let mut journal = Self {
            file: BufWriter::new(File::create(path).map_err(doing)?),
            path: path.to_owned(),
            hash: Xxh3::new(),
            before,
            length: before,
        };
        journal.put(MAGIC).map_err(doing)?;
        Ok(journal)
    }

    /// Bytes of the file before the change.
    pub fn length_before(&self) -> u64 {
        self.before
    }

    /// The file will have at least so many bytes.
    pub fn grow_to(&mut self, length: u64) {
        self.length = self.length.max(length);
    }

    /// Plans `bytes` at position `at`.
    pub fn add(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        self.grow_to(at + bytes.len() as u64);
        self.put(&at.to_le_bytes())
            .and_then(|()| self.put(&(bytes.len() as u64).to_le_bytes()))
            .and_then(|()| self.put(bytes))
            .map_err(|e| Error::failure(format!("{}: cannot be written: {e}", self.path.display())))
    }

    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.hash.update(bytes);
        self.file.write_all(bytes)
    }

    /// Makes the changes.
    pub fn commit(mut self, file: &File) -> Result<()> {
        let path = self.path.clone();
        let doing = |e: std::io::Error| {
            Error::failure(format!("{}: cannot be written: {e}", path.display()))
        };
        let length = self.length;
        self.put(&END.to_le_bytes())
            .and_then(|()| self.put(&length.to_le_bytes()))
            .map_err(doing)?;
        let digest = self.hash.digest();
        self.file
            .write_all(&digest.to_le_bytes())
            .and_then(|()| self.file.flush())
            .and_then(|()| self.file.get_ref().sync_all())
            .and_then(|()| sync_folder(&path))
            .map_err(doing)?;
        apply(&path, file)?;
        remove(&path).map_err(doing)
    }
}

/// Applies a complete journal at `path` to `target`, forgets one that is not; whether there was a complete one.
pub fn recover(target: &Path, path: &Path) -> Result<bool> {
    let doing = |e: std::io::Error| {
        Error::failure(format!("{}: cannot be completed: {e}", target.display()))
    };
    if !path.exists() {
        return Ok(false);
    }
    let complete = is_complete(path).map_err(doing)?;
    if complete {
        let file = OpenOptions::new().write(true).open(target).map_err(doing)?;
        apply(path, &file)?;
    }
    remove(path).map_err(doing)?;
    Ok(complete)
}

/// Reads entry after entry.
struct Entries<R> {
    file: R,
    hash: Xxh3,
}

impl<R: Read> Entries<R> {
    fn take(&mut self, bytes: &mut [u8]) -> std::io::Result<()> {
        self.file.read_exact(bytes)?;
        self.hash.update(bytes);
        Ok(())
    }

    fn number(&mut self) -> std::io::Result<u64> {
        let mut bytes = [0; 8];
        self.take(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Calls `each` with every piece, then `end` with the length of the file; false when this is no whole journal.
    fn all(
        mut self,
        mut each: impl FnMut(u64, &[u8]) -> std::io::Result<()>,
        end: impl FnOnce(u64) -> std::io::Result<()>,
    ) -> std::io::Result<bool> {
        let mut magic = [0; 16];
        self.take(&mut magic)?;
        if &magic != MAGIC {
            return Ok(false);
        }
        let mut buffer = vec![0; 1 << 20];
        loop {
            let at = self.number()?;
            let mut left = self.number()?;
            if at == END {
                let found = self.hash.digest();
                let mut stored = [0; 8];
                self.file.read_exact(&mut stored)?;
                end(left)?;
                return Ok(found == u64::from_le_bytes(stored));
            }
            let mut at = at;
            while left > 0 {
                let now = left.min(buffer.len() as u64) as usize;
                self.take(&mut buffer[..now])?;
                each(at, &buffer[..now])?;
                at += now as u64;
                left -= now as u64;
            }
        }
    }
}

fn entries(path: &Path) -> std::io::Result<Entries<BufReader<File>>> {
    Ok(Entries {
        file: BufReader::new(File::open(path)?),
        hash: Xxh3::new(),
    })
}

fn is_complete(path: &Path) -> std::io::Result<bool> {
    match entries(path)?.all(|_, _| Ok(()), |_| Ok(())) {
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        other => other,
    }
}

fn apply(path: &Path, file: &File) -> Result<()> {
    let write = |at, bytes: &[u8]| file.write_all_at(bytes, at);
    let grow = |length| match file.metadata()?.len() {
        shorter if shorter < length => file.set_len(length),
        _ => Ok(()),
    };
    entries(path)
        .and_then(|entries| entries.all(write, grow))
        .and_then(|_| file.sync_all())
        .map_err(|e| {
            Error::failure(format!(
                "the changes in {} cannot be made: {e}; when there is room, merge again: it begins with them",
                path.display()
            ))
        })
}

fn remove(path: &Path) -> std::io::Result<()> {
    fs::remove_file(path)?;
    sync_folder(path)
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // Some network file systems cannot sync a directory.
    let _ = File::open(folder)?.sync_all();
    Ok(())
}
