//! What an import was made of, for those imports that `run` makes on its way: a file beside a result is used again only where
//! it is of the very source, and replaced only where it is one of these.

use std::fs::File;
use std::io::{Read, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use ::hdf5::{Group, H5Type};
use xxhash_rust::xxh3::Xxh3;

use super::{open_read_only, text_attribute, write_text};
use crate::domain::error::{Error, GoOn, Result};

/// Attributes of the creator.
const SOURCE: &str = "import_source";
const BYTES: &str = "import_source_bytes";
const MODIFIED: &str = "import_source_modified_ns";
const HASH: &str = "import_source_hash";

/// Sources of no more bytes are hashed whole.
const WHOLE: u64 = 256 << 20;
/// Of larger ones, this many evenly spaced pieces, first and last included.
const PIECES: u64 = 4096;
/// Bytes of a piece.
const PIECE: u64 = WHOLE / PIECES;

/// A source as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Where it is, from the root.
    pub path: String,
    bytes: u64,
    /// Nanoseconds since 1970: a copy with an older time is another file, too.
    modified: i64,
    /// XXH3-64 over its bytes, or over 4096 evenly spaced pieces of 64 KiB where there are more than 256 MiB.
    hash: String,
}

impl Origin {
    /// Looks at a source.
    pub fn of(source: &Path, go_on: GoOn<'_>) -> Result<Self> {
        let unreadable = |e| Error::unreadable(source, &e);
        let found = source.metadata().map_err(unreadable)?;
        let whole = source.canonicalize().map_err(unreadable)?;
        let seconds = found.mtime().saturating_mul(1_000_000_000);
        let mut hash = Xxh3::new();
        let mut file = File::open(source).map_err(unreadable)?;
        let mut piece = vec![0; PIECE as usize];
        for at in starts(found.len()) {
            go_on()?;
            file.seek(SeekFrom::Start(at)).map_err(unreadable)?;
            let mut length = 0;
            // One read may bring a part.
            while length < piece.len() {
                match file.read(&mut piece[length..]).map_err(unreadable)? {
                    0 => break,
                    n => length += n,
                }
            }
            hash.update(&piece[..length]);
        }
        Ok(Self {
            path: whole.to_string_lossy().into_owned(),
            bytes: found.len(),
            modified: seconds.saturating_add(found.mtime_nsec()),
            hash: format!("{:016x}", hash.digest()),
        })
    }

    /// What the file at `path` says it was made of; none where it is not an import that a run has made.
    pub fn recorded(path: &Path) -> Option<Self> {
        let creator = open_read_only(path).ok()?.group("h5md/creator").ok()?;
        Some(Self {
            path: text_attribute(&creator, SOURCE)?,
            bytes: number(&creator, BYTES)?,
            modified: number(&creator, MODIFIED)?,
            hash: text_attribute(&creator, HASH)?,
        })
    }

    /// Whether it has the bytes of `other`, wherever and since whenever they lie.
    pub fn has_bytes_of(&self, other: &Self) -> bool {
        (self.bytes, &self.hash) == (other.bytes, &other.hash)
    }

    pub(super) fn write(&self, creator: &Group) -> ::hdf5::Result<()> {
        write_text(creator, SOURCE, &self.path)?;
        write_text(creator, HASH, &self.hash)?;
        let bytes = creator.new_attr::<u64>().create(BYTES)?;
        bytes.write_scalar(&self.bytes)?;
        let modified = creator.new_attr::<i64>().create(MODIFIED)?;
        modified.write_scalar(&self.modified)
    }
}

fn number<T: H5Type>(creator: &Group, name: &str) -> Option<T> {
    creator.attr(name).ok()?.read_scalar().ok()
}

/// Where the pieces of a file begin that are hashed.
fn starts(bytes: u64) -> impl Iterator<Item = u64> {
    let (pieces, last) = if bytes <= WHOLE {
        (bytes.div_ceil(PIECE), None)
    } else {
        (PIECES, Some(bytes - PIECE))
    };
    (0..pieces).map(move |k| match last {
        None => k * PIECE,
        Some(last) => (u128::from(k) * u128::from(last) / u128::from(PIECES - 1)) as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_hashed_whole_or_from_the_first_byte_to_the_last() {
        let all = |bytes| starts(bytes).collect::<Vec<_>>();
        assert_eq!(all(0), [0; 0]);
        assert_eq!(all(1), [0]);
        assert_eq!(all(PIECE + 1), [0, PIECE]);
        assert_eq!(all(WHOLE).len() as u64, PIECES);
        let large = all(WHOLE * 100 + 7);
        assert_eq!(large.len() as u64, PIECES);
        assert_eq!((large[0], large[4095] + PIECE), (0, WHOLE * 100 + 7));
        assert!(large.windows(2).all(|pair| pair[0] + PIECE <= pair[1]));
    }

    #[test]
    fn a_source_is_told_from_every_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.xyz");
        let of = |path: &Path| Origin::of(path, &|| Ok(())).unwrap();
        std::fs::write(&path, "one").unwrap();
        let first = of(&path);
        assert_eq!(first, of(&path));
        let file = File::options().append(true).open(&path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        let older = of(&path);
        assert!(older != first && older.has_bytes_of(&first));
        std::fs::write(&path, "two").unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        assert!(of(&path) != older && !of(&path).has_bytes_of(&older));
    }
}
