//! HDF5 files: inputs, results, and what the high-level crate lacks.

mod amber;
pub mod audit;
pub mod carry;
pub mod contents;
pub mod create;
pub mod extras;
pub mod ffi;
pub mod fill;
pub mod fingerprint;
pub mod geometry;
pub mod ground_truth;
pub mod history;
pub mod input;
pub mod layout;
pub mod link;
pub mod locate;
pub mod origin;
mod pace;
pub mod readback;
pub mod repack;
pub mod result_block;
pub mod result_reader;
pub mod rows;
pub mod seconds;
pub mod segments;
pub mod sink;
mod slab;
pub mod trajectory_writer;
pub mod write;

use std::fs;
use std::io::Read;
use std::path::Path;

use ::hdf5::{Dataset, File, FileBuilder, Group, H5Type};

use crate::domain::error::{Error, Result};

/// Chunks of a compressed input kept in memory, so that consecutive batches do not decompress them again.
const CHUNK_CACHE_BYTES: usize = 64 << 20;

/// Frames that are read although nobody asked for them where they lie between two that somebody did: selections of many
/// runs cost more.
const READ_GAP: u64 = 64;

/// Reads of fewer bytes fetch so many. The default of 64 KiB is many frames, and frames that are dealt out have their
/// neighbours on other ranks.
const SIEVE_BYTES: usize = 4 << 10;

/// Whether a result has its forces in kJ/mol/Å too. Collective over an MPI file.
fn has_molar_forces(file: &File) -> bool {
    file.link_exists(layout::MOLAR_FORCES)
}

/// Opens an HDF5 file for reading with the serial driver.
pub fn open_read_only(path: &Path) -> Result<File> {
    let shown = path.display();
    let unreadable = |e| Error::unreadable(path, &e);
    let meta = fs::metadata(path).map_err(unreadable)?;
    if meta.len() == 0 && meta.is_file() {
        return Err(Error::failure(format!(
            "{shown}: is empty; copy it again from its source"
        )));
    }
    if meta.is_dir() {
        return Err(Error::failure(format!(
            "{shown}: is a directory, not an HDF5 file"
        )));
    }
    if !meta.is_file() {
        return Err(Error::failure(format!("{shown}: is not a file")));
    }
    if !has_signature(path).map_err(unreadable)? {
        return Err(Error::failure(format!(
            "{shown}: not an HDF5 file; `framewise import {shown} -o X.h5` converts trajectories of other formats"
        )));
    }
    let mut builder = FileBuilder::new();
    builder.with_fapl(|fapl| {
        fapl.chunk_cache(12_421, CHUNK_CACHE_BYTES, 0.9)
            .sieve_buf_size(SIEVE_BYTES)
    });
    builder.open(path).map_err(|e| {
        Error::failure(format!(
            "{shown}: truncated or damaged HDF5 file ({}); copy it again from its source",
            reason(&e)
        ))
    })
}

/// Looks for the format signature at 0, 512, 1024, 2048... (HDF5 file format specification, II.A).
pub fn has_signature(path: &Path) -> std::io::Result<bool> {
    let mut file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    let mut at = 0;
    while at + 8 <= length {
        std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(at))?;
        let mut bytes = [0; 8];
        file.read_exact(&mut bytes)?;
        if &bytes == b"\x89HDF\r\n\x1a\n" {
            return Ok(true);
        }
        at = if at == 0 { 512 } else { at * 2 };
    }
    Ok(false)
}

/// The innermost sentence of an HDF5 error stack.
pub fn reason(error: &::hdf5::Error) -> String {
    let text = match error {
        ::hdf5::Error::HDF5(_) => error
            .stack()
            .and_then(|stack| stack.last().map(|frame| frame.desc().to_owned()))
            .unwrap_or_else(|| "unknown HDF5 error".into()),
        ::hdf5::Error::Internal(text) => text.clone(),
    };
    // "file write failed: time = ..., errno = 28, error message = 'No space left on device', buf = 0x..."
    if let Some((_, system)) = text.split_once("error message = '") {
        return system.split('\'').next().unwrap_or(system).to_owned();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Turns an HDF5 error into one line: `doing` names the action and the object.
pub fn failed(doing: impl std::fmt::Display) -> impl FnOnce(::hdf5::Error) -> Error {
    move |error| Error::failure(format!("{doing}: {}", reason(&error)))
}

/// A text attribute, fixed or variable length; `None` when it is missing or not text.
pub fn text_attribute(object: &::hdf5::Location, name: &str) -> Option<String> {
    let attribute = object.attr(name).ok()?;
    texts(&attribute)?.into_iter().next()
}

/// A text attribute with several elements.
pub fn texts_attribute(object: &::hdf5::Location, name: &str) -> Option<Vec<String>> {
    texts(&object.attr(name).ok()?)
}

/// The texts of an attribute. Files hold what they like, Latin-1 for instance, where they say UTF-8.
fn texts(attribute: &::hdf5::Attribute) -> Option<Vec<String>> {
    use ::hdf5::types::{FixedAscii, FixedUnicode, TypeDescriptor, VarLenAscii, VarLenUnicode};
    // A damaged file may say that there are more than fit into memory.
    const MOST: usize = 4096;
    fn all<T: H5Type>(
        attribute: &::hdf5::Attribute,
        bytes: impl Fn(&T) -> &[u8],
    ) -> Option<Vec<String>> {
        let values = attribute.read_raw::<T>().ok()?;
        Some(values.iter().map(|value| lossy(bytes(value))).collect())
    }
    if attribute.size() > MOST {
        return None;
    }
    match attribute.dtype().ok()?.to_descriptor().ok()? {
        TypeDescriptor::VarLenUnicode => all(attribute, VarLenUnicode::as_bytes),
        TypeDescriptor::VarLenAscii => all(attribute, VarLenAscii::as_bytes),
        TypeDescriptor::FixedUnicode(_) => all(attribute, FixedUnicode::<4096>::as_bytes),
        TypeDescriptor::FixedAscii(_) => all(attribute, FixedAscii::<4096>::as_bytes),
        _ => None,
    }
}

/// Text from a file. The text types of the HDF5 crate take every file for valid UTF-8, which is undefined behaviour
/// where one is not: ask them for bytes only.
pub fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The dataset `name` of `group`, or an error that names path and key.
pub fn dataset(path: &Path, group: &Group, name: &str) -> Result<Dataset> {
    group.dataset(name).map_err(|_| {
        let what = if group.link_exists(name) {
            "is a link to data that are not there; bring the file with them back to its place"
        } else {
            "is missing"
        };
        Error::failure(format!(
            "{}: dataset {} {what}",
            path.display(),
            join(&group.name(), name)
        ))
    })
}

/// What a reader needs who has no plug-in for the filter of a dataset; nothing where there is no such filter.
fn missing_plug_in(dataset: &Dataset) -> String {
    let filters = dataset.filters();
    let missing = filters.iter().find(|filter| !filter.is_available());
    missing.map_or_else(String::new, |filter| {
        format!(
            ", which filter {} has packed: set HDF5_PLUGIN_PATH to where its plug-in is (hdf5plugin brings it)",
            filter.id()
        )
    })
}

/// Refuses a contiguous dataset that has less room in the file than its shape says: a damaged shape would otherwise
/// ask for any amount of memory.
pub fn require_room(path: &Path, dataset: &Dataset) -> Result<()> {
    let element = dataset.dtype().map_or(1, |t| t.size() as u128);
    let shape = dataset.shape();
    let wanted = shape
        .iter()
        .fold(element, |bytes, n| bytes.saturating_mul(*n as u128));
    let stored = u128::from(dataset.storage_size());
    if !dataset.is_chunked() && stored != 0 && stored < wanted {
        return Err(Error::failure(format!(
            "{}: dataset {} has shape {shape:?} but only {stored} bytes: the file is damaged; copy it again from its source",
            path.display(),
            dataset.name()
        )));
    }
    Ok(())
}

/// `group/name` without a doubled slash.
pub fn join(group: &str, name: &str) -> String {
    format!("{}/{name}", group.trim_end_matches('/'))
}

/// Writes a variable-length text attribute (the only kind `MDAnalysis` takes for units).
pub fn write_text(object: &::hdf5::Location, name: &str, text: &str) -> ::hdf5::Result<()> {
    use ::hdf5::types::VarLenUnicode;
    let value: VarLenUnicode = text
        .parse()
        .map_err(|_| ::hdf5::Error::from(format!("attribute {name} has a zero byte")))?;
    object
        .new_attr::<VarLenUnicode>()
        .create(name)?
        .write_scalar(&value)
}
