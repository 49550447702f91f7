//! A journal of bytes that are to change in a file: all of them change, whoever is killed when.
//!
//! The journal names the file by its inode: it is of no use to another one that has taken its name. It is written and synced as a whole, with its own checksum at its end; then the bytes are written to their
//! places; then it is removed. A journal that is complete can be applied any number of times, one that is not says that
//! the file was not touched.

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use crate::domain::error::{Error, Result};

/// Begins every journal; the last digits are the version of its format.
const MAGIC: &[u8; 16] = b"framewise-redo02";
/// In place of a position: the journal ends, its checksum follows.
const END: u64 = u64::MAX;

/// A journal that is being written. It vanishes unless it is [committed](Self::commit).
pub struct Journal {
    file: BufWriter<File>,
    path: PathBuf,
    hash: Xxh3,
    before: u64,
    length: u64,
    complete: bool,
}

impl Drop for Journal {
    fn drop(&mut self) {
        if !self.complete {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Journal {
    /// Begins the journal at `path` of changes to the file `of`.
    pub fn create(of: &Path, path: &Path) -> Result<Self> {
        let doing = |e: std::io::Error| {
            Error::failure(format!("{}: cannot be created: {e}", path.display()))
        };
        let found = fs::metadata(of).map_err(doing)?;
        let before = found.len();
        let mut journal = Self {
            file: BufWriter::new(File::create(path).map_err(doing)?),
            path: path.to_owned(),
            hash: Xxh3::new(),
            before,
            length: before,
            complete: false,
        };
        journal
            .put(MAGIC)
            .and_then(|()| journal.put(&found.ino().to_le_bytes()))
            .map_err(doing)?;
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
        // From here on it is the only way to a whole file.
        self.complete = true;
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
    let complete = of_complete(path).map_err(doing)?;
    if let Some(inode) = complete {
        if fs::metadata(target).map_err(doing)?.ino() != inode {
            return Err(Error::failure(format!(
                "{}: was begun for another file of this name ({} has been replaced since?); remove it to go on without what it \
                 would complete",
                path.display(),
                target.display()
            )));
        }
        let file = OpenOptions::new().write(true).open(target).map_err(doing)?;
        apply(path, &file)?;
    }
    remove(path).map_err(doing)?;
    Ok(complete.is_some())
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

    /// Calls `each` with every piece, then `end` with the length of the file; the inode of the file, or nothing when this is
    /// no whole journal.
    fn all(
        mut self,
        mut each: impl FnMut(u64, &[u8]) -> std::io::Result<()>,
        end: impl FnOnce(u64) -> std::io::Result<()>,
    ) -> std::io::Result<Option<u64>> {
        let mut magic = [0; 16];
        self.take(&mut magic)?;
        if &magic != MAGIC {
            return Ok(None);
        }
        let inode = self.number()?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            let at = self.number()?;
            let mut left = self.number()?;
            if at == END {
                let found = self.hash.digest();
                let mut stored = [0; 8];
                self.file.read_exact(&mut stored)?;
                end(left)?;
                return Ok((found == u64::from_le_bytes(stored)).then_some(inode));
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

/// The inode of the file that a complete journal is of.
fn of_complete(path: &Path) -> std::io::Result<Option<u64>> {
    match entries(path)?.all(|_, _| Ok(()), |_| Ok(())) {
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(folder: &Path) -> (PathBuf, PathBuf) {
        let (file, path) = (folder.join("file"), folder.join("journal"));
        fs::write(&file, b"abcdefgh").unwrap();
        let mut journal = Journal::create(&file, &path).unwrap();
        journal.add(2, b"XY").unwrap();
        journal.add(10, b"end").unwrap();
        journal.complete = true;
        let length = journal.length;
        journal.put(&END.to_le_bytes()).unwrap();
        journal.put(&length.to_le_bytes()).unwrap();
        let digest = journal.hash.digest();
        journal.file.write_all(&digest.to_le_bytes()).unwrap();
        journal.file.flush().unwrap();
        (file, path)
    }

    #[test]
    fn a_whole_journal_is_applied_and_a_part_of_one_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let (file, path) = journal(folder.path());
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(!recover(&file, &path).unwrap(), "{length}");
            assert_eq!(fs::read(&file).unwrap(), b"abcdefgh");
        }
        for changed in 16..whole.len() {
            let mut bytes = whole.clone();
            bytes[changed] ^= 1;
            fs::write(&path, bytes).unwrap();
            let recovered = recover(&file, &path);
            assert!(!recovered.unwrap_or(false), "{changed}");
            assert_eq!(fs::read(&file).unwrap(), b"abcdefgh");
        }
        fs::write(&path, &whole).unwrap();
        assert!(recover(&file, &path).unwrap());
        assert_eq!(fs::read(&file).unwrap(), b"abXYefgh\0\0end");
        assert!(!path.exists());
    }

    #[test]
    fn another_file_of_the_name_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let (file, path) = journal(folder.path());
        fs::rename(&file, folder.path().join("old")).unwrap();
        fs::write(&file, b"another").unwrap();
        let error = recover(&file, &path).unwrap_err();
        assert!(
            error.message.contains("another file of this name"),
            "{error}"
        );
        assert_eq!(fs::read(&file).unwrap(), b"another");
        assert!(path.exists());
    }

    #[test]
    fn one_that_is_not_committed_vanishes() {
        let folder = tempfile::tempdir().unwrap();
        let (file, path) = (folder.path().join("file"), folder.path().join("journal"));
        fs::write(&file, b"abc").unwrap();
        let mut journal = Journal::create(&file, &path).unwrap();
        journal.add(0, b"x").unwrap();
        drop(journal);
        assert!(!path.exists());
    }
}
