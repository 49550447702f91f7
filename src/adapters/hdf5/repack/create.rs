//! The new file: rank 0 alone, with the serial driver. Small things are there afterwards; pieces are empty.

use std::path::Path;

use ::hdf5::plist::dataset_create::FillTime;
use ::hdf5::types::{TypeDescriptor, VarLenAscii, VarLenUnicode};
use ::hdf5::{File, FileBuilder, Group};

use crate::domain::error::{Error, Result};

use super::super::{failed, ffi as calls};
use super::plan::{Item, Piece};
use super::{Wishes, attributes, ffi};

/// Makes the file at `path` with everything of `from` but the values of the pieces.
pub fn create(path: &Path, from: &File, items: &[Item], wishes: &Wishes) -> Result<()> {
    let doing = || failed(format!("{}: cannot be created", path.display()));
    let before = calls::open_objects();
    let mut builder = FileBuilder::new();
    builder.with_fapl(::hdf5::plist::file_access::FileAccessBuilder::libver_earliest);
    let to = builder.create(path).map_err(doing())?;
    for item in items {
        match item {
            Item::Group(name) => {
                to.create_group(name).map_err(doing())?;
            }
            Item::Link(name, first) => to.link_hard(first, name).map_err(doing())?,
            Item::Whole(path) => copy(&to, from, path).map_err(doing())?,
            Item::Piece(piece) => make(&to, from, piece, wishes).map_err(doing())?,
        }
    }
    // Now that all objects are there, references find theirs.
    for item in items {
        let copied = match item {
            Item::Group(name) => {
                attributes::copy(&*at(from, name)?, &*at(&to, name)?).map_err(doing())?
            }
            Item::Piece(Piece { path, .. }) | Item::Whole(path) => {
                let pair = (from.dataset(path), to.dataset(path));
                let (from, to) = (pair.0.map_err(doing())?, pair.1.map_err(doing())?);
                attributes::copy(&from, &to).map_err(doing())?
            }
            Item::Link(..) => true,
        };
        if !copied {
            tracing::warn!("some attributes of {item:?} are of a kind that is not copied");
        }
    }
    attributes::copy(&*at(from, "/")?, &*at(&to, "/")?).map_err(doing())?;
    to.flush().and_then(|()| to.close()).map_err(doing())?;
    if calls::open_objects() > before {
        return Err(Error::failure(format!(
            "{}: cannot be created (disk full, over quota?)",
            path.display()
        )));
    }
    Ok(())
}

fn at(file: &File, group: &str) -> Result<Group> {
    let name = if group.is_empty() { "/" } else { group };
    file.group(name)
        .map_err(failed(format!("{}: {name}", file.filename())))
}

/// A dataset as it is, with its values.
fn copy(to: &File, from: &File, path: &str) -> ::hdf5::Result<()> {
    let source = from.dataset(path)?;
    let kind = source.dtype()?;
    let new = to.new_dataset_builder().empty_as(&kind);
    let new = new.shape(source.space()?.extents()?).create(path)?;
    match kind.to_descriptor()? {
        TypeDescriptor::VarLenUnicode => new.write_raw(&source.read_raw::<VarLenUnicode>()?),
        TypeDescriptor::VarLenAscii => new.write_raw(&source.read_raw::<VarLenAscii>()?),
        TypeDescriptor::VarLenArray(_) | TypeDescriptor::Reference(_) => Err(format!(
            "{path} holds {}, which is not copied",
            kind.to_descriptor()?
        )
        .into()),
        _ => ffi::copy_values(&source, &new),
    }
}

fn make(to: &File, from: &File, piece: &Piece, wishes: &Wishes) -> ::hdf5::Result<()> {
    let source = from.dataset(&piece.path)?;
    let kind = if piece.single {
        ::hdf5::Datatype::from_type::<f32>()?
    } else {
        source.dtype()?
    };
    to.new_dataset_builder()
        // The very type: from a description of it HDF5 would make a like one, and convert.
        .empty_as(&kind)
        // The builder's own chunk: it overrules that of the list.
        .chunk(piece.chunk.clone())
        .with_dcpl(|list| {
            list.fill_time(FillTime::Never);
            if wishes.shuffle {
                list.shuffle();
            }
            wishes.codec.add_to(list);
            list
        })
        .shape(source.shape())
        .create(piece.path.as_str())?;
    Ok(())
}
