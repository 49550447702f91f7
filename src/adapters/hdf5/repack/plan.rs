//! What is in a file, and what becomes of each dataset.

use std::collections::BTreeMap;

use ::hdf5::dataset::Layout;
use ::hdf5::types::TypeDescriptor;
use ::hdf5::{Dataset, File, Group, IndexType, IterationOrder, LinkType};

use crate::domain::error::{Error, Result};

use super::super::layout;
use super::{Access, Wishes, ffi, row_bytes};

/// A dataset that is stored anew, in chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its path.
    pub path: String,
    /// Its first axis.
    pub rows: u64,
    /// Bytes of one of its rows, in the source.
    pub row_bytes: usize,
    /// Shape of a chunk.
    pub chunk: Vec<usize>,
    /// Doubles become single precision.
    pub single: bool,
}

impl Piece {
    /// As people call it: the name of the group whose `value` it is, or its own.
    pub fn name(&self) -> &str {
        let path = self.path.strip_suffix("/value").unwrap_or(&self.path);
        path.rsplit('/').next().unwrap_or(path)
    }
}

/// What is at a path of the source, in the order in which it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A group.
    Group(String),
    /// An object that was met before under another name.
    Link(String, String),
    /// A dataset that is copied as it is.
    Whole(String),
    /// A dataset that is stored anew.
    Piece(Piece),
}

/// Smaller datasets are copied as they are.
const SMALL: u64 = 4 << 10;
/// Bytes of a chunk, about.
const CHUNK: usize = 1 << 20;
/// Bytes of the rows of one chunk, all atoms: what a rank has in hand.
const UNIT: usize = 32 << 20;
/// How deep groups are.
const DEPTH: usize = 32;

/// Everything in the file. Data behind external links are brought in.
pub fn plan(file: &File, wishes: &Wishes) -> Result<Vec<Item>> {
    let failed = |e| super::super::failed(format!("{}: cannot be read", file.filename()))(e);
    let root = file.group("/").map_err(failed)?;
    let mut walk = Walk {
        wishes,
        met: BTreeMap::new(),
        items: Vec::new(),
    };
    walk.group(&root, "", DEPTH).map_err(failed)?;
    let unknown = |name: &&String| !walk.items.iter().any(|item| item.is_single(name));
    if let Some(name) = wishes.single.iter().find(unknown) {
        return Err(Error::usage(format!(
            "--float32 {name}: {} has no dataset of doubles of that name; for instance forces, stress, position",
            file.filename()
        )));
    }
    Ok(walk.items)
}

impl Item {
    fn is_single(&self, name: &str) -> bool {
        matches!(self, Self::Piece(piece) if piece.single && is_named(&piece.path, name))
    }
}

/// Refuses a virtual dataset that shows a file which is not there: it would be undefined for good in a copy.
fn require_sources(dataset: &Dataset) -> ::hdf5::Result<()> {
    if dataset.layout() != Layout::Virtual {
        return Ok(());
    }
    let shown_in = std::path::PathBuf::from(dataset.filename());
    let folder = shown_in.parent().unwrap_or(std::path::Path::new(""));
    for name in ffi::shown_files(dataset)? {
        let name = name.replace("%%", "%");
        // A dot is the file itself.
        if name != "." && !folder.join(&name).exists() {
            return Err(::hdf5::Error::from(format!(
                "{} shows {name}, which is not there; bring it back to its place",
                dataset.name()
            )));
        }
    }
    Ok(())
}

/// Whether `name` is that of the dataset, or of the group whose `value` it is.
fn is_named(path: &str, name: &str) -> bool {
    let path = path.strip_suffix("/value").unwrap_or(path);
    path == name || path.rsplit('/').next() == Some(name)
}

struct Walk<'a> {
    wishes: &'a Wishes,
    met: BTreeMap<String, String>,
    items: Vec<Item>,
}

impl Walk<'_> {
    fn group(&mut self, group: &Group, at: &str, depth: usize) -> ::hdf5::Result<()> {
        let mut links = group.links(IndexType::Name, IterationOrder::Increasing)?;
        // Everything in it has a better name elsewhere, under which it is to be met first.
        links.sort_by_key(|(name, _)| at.is_empty() && *name == layout::AMBER.trim_matches('/'));
        for (name, link) in links {
            let path = format!("{at}/{name}");
            if let Ok(dataset) = group.dataset(&name) {
                if link.link_type == LinkType::Hard && self.is_known(&dataset, &path)? {
                    continue;
                }
                require_sources(&dataset)?;
                let item = self.dataset(&dataset, &path);
                self.items.push(item);
            } else if let (1.., Ok(child)) = (depth, group.group(&name)) {
                if self.is_known(&child, &path)? {
                    continue;
                }
                self.items.push(Item::Group(path.clone()));
                self.group(&child, &path, depth - 1)?;
            } else if link.link_type != LinkType::Hard {
                return Err(::hdf5::Error::from(format!(
                    "{path} is a link to data that are not there; bring the file with them (for instance the input) back to its place"
                )));
            }
        }
        Ok(())
    }

    /// Whether the object has another name already: then it gets a link.
    fn is_known(&mut self, object: &::hdf5::Location, path: &str) -> ::hdf5::Result<bool> {
        let info = object.loc_info()?;
        if info.num_links < 2 {
            return Ok(false);
        }
        let token = format!("{:?} {:?}", info.fileno, info.token);
        let first = self.met.entry(token).or_insert_with(|| path.to_owned());
        let known = first != path;
        if known {
            self.items.push(Item::Link(path.to_owned(), first.clone()));
        }
        Ok(known)
    }

    fn dataset(&self, dataset: &Dataset, path: &str) -> Item {
        let shape = dataset.shape();
        let Ok(kind) = dataset.dtype().and_then(|stored| stored.to_descriptor()) else {
            return Item::Whole(path.to_owned());
        };
        let plain = matches!(
            kind,
            TypeDescriptor::Integer(_)
                | TypeDescriptor::Unsigned(_)
                | TypeDescriptor::Float(_)
                | TypeDescriptor::Boolean
                | TypeDescriptor::FixedAscii(_)
                | TypeDescriptor::FixedUnicode(_)
                | TypeDescriptor::Compound(_)
        );
        let row_bytes = row_bytes(dataset);
        let rows = shape.first().map_or(0, |n| *n as u64);
        let named = self.wishes.single.iter().any(|name| is_named(path, name));
        // Checksums are of what will be read back.
        let changes = named || (path == layout::CHECKSUM && !self.wishes.single.is_empty());
        let small = rows * (row_bytes as u64) < SMALL;
        // A virtual dataset is brought in: a copy of it would go on to show what is in other files.
        let shown = dataset.layout() == Layout::Virtual;
        if !plain || rows == 0 || (small && !changes && !shown) {
            return Item::Whole(path.to_owned());
        }
        let double = kind == TypeDescriptor::Float(::hdf5::types::FloatSize::U8);
        Item::Piece(Piece {
            chunk: chunk(&shape, row_bytes, self.wishes.access),
            path: path.to_owned(),
            rows,
            row_bytes,
            single: double && named && path != layout::CHECKSUM,
        })
    }
}

/// The shape of a chunk of about a megabyte.
fn chunk(shape: &[usize], row_bytes: usize, access: Access) -> Vec<usize> {
    let mut chunk = shape.to_vec();
    let row_bytes = row_bytes.max(1);
    match access {
        Access::Atom if shape.len() == 3 && shape[1] > 3 => {
            let frames = (UNIT / row_bytes).clamp(1, shape[0].max(1));
            let per_atom = frames * row_bytes / shape[1];
            chunk[0] = frames;
            chunk[1] = (CHUNK / per_atom.max(1)).clamp(1, shape[1]);
        }
        _ => chunk[0] = (CHUNK / row_bytes).clamp(1, shape[0].max(1)),
    }
    chunk
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_of_frames_or_of_atoms() {
        let row = 24 * 1000;
        assert_eq!(chunk(&[5000, 1000, 3], row, Access::Frame), [43, 1000, 3]);
        assert_eq!(chunk(&[5000, 1000, 3], row, Access::Atom), [1398, 31, 3]);
        assert_eq!(chunk(&[10, 1000, 3], row, Access::Atom), [10, 1000, 3]);
        assert_eq!(chunk(&[3], 8, Access::Atom), [3]);
        // Rows of more than a megabyte are chunks by themselves.
        assert_eq!(
            chunk(&[7, 100_000, 3], 2_400_000, Access::Frame),
            [1, 100_000, 3]
        );
    }

    #[test]
    fn datasets_are_named_by_their_groups() {
        assert!(is_named("/particles/trajectory/forces/value", "forces"));
        assert!(is_named(
            "/particles/trajectory/forces/value",
            "/particles/trajectory/forces"
        ));
        assert!(!is_named("/particles/trajectory/forces/value", "value"));
        assert!(is_named("/a/Raw_Data", "Raw_Data"));
    }
}
