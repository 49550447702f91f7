//! What the high-level crate lacks: row selections of any shape, empty selections that take part, transfer
//! properties, and the question whether a write really was collective.
//!
//! Rows are entries of a dataset's first axis. Every call runs inside `hdf5::sync::sync`, which holds the
//! library's lock.

mod collective;
mod handle;
mod selection;

use std::ffi::c_uint;
use std::ops::Range;
use std::ptr::null_mut;

use hdf5::types::{FloatSize, IntSize, TypeDescriptor};
use hdf5::{Dataset, Datatype, H5Type};
use hdf5_sys::h5::H5get_libversion;
use hdf5_sys::h5d::{H5Dread, H5Dwrite};
use hdf5_sys::h5f::{H5F_OBJ_ALL, H5Fget_obj_count};
use hdf5_sys::h5i::hid_t;
use hdf5_sys::h5p::H5Pset_buffer;
use hdf5_sys::h5t::{
    H5T_NATIVE_DOUBLE, H5T_NATIVE_FLOAT, H5T_NATIVE_INT32, H5T_NATIVE_INT64, H5T_NATIVE_UINT64,
};

use crate::domain::error::{Error, Result};

pub use collective::Transfer;

use collective::{check_collective, transfer_list};
use handle::{check, check_with};
use selection::{memory_space, select};

/// Bytes converted at once when the file has another type of number. HDF5 zeroes the buffer for each read, and has one of
/// 1 MiB by default: longer than a frame.
const CONVERTED: usize = 32 << 10;

/// Elements in one row of `dataset`.
pub fn row_elements(dataset: &Dataset) -> usize {
    dataset.shape().iter().skip(1).product()
}

/// Writes `data` to the rows `rows` (ascending, disjoint) of `dataset`. With [`Transfer::Collective`] every rank
/// has to call it, one with nothing to write with empty rows; it errors when HDF5 did not do it collectively.
///
/// # Errors
/// HDF5 refused, the number of elements does not fit the rows, or the write was not collective; the error then
/// says why in words.
pub fn write_rows<T: H5Type>(
    dataset: &Dataset,
    rows: &[Range<u64>],
    data: &[T],
    transfer: Transfer,
) -> Result<()> {
    write(
        dataset,
        rows,
        data,
        (data.len(), transfer),
        MemoryType::of::<T>,
    )
}

/// As [`write_rows`], of elements as they lie in the file.
pub fn write_bytes(
    dataset: &Dataset,
    rows: &[Range<u64>],
    bytes: &[u8],
    transfer: Transfer,
) -> Result<()> {
    let stored = dataset.dtype().map_err(super::failed("stored type"))?;
    let elements = bytes.len() / stored.size().max(1);
    write(dataset, rows, bytes, (elements, transfer), || {
        Ok(MemoryType::Made(stored))
    })
}

/// Writes `data`, which are `elements` elements of the type that `memory_type` makes.
fn write<T>(
    dataset: &Dataset,
    rows: &[Range<u64>],
    data: &[T],
    (elements, transfer): (usize, Transfer),
    memory_type: impl FnOnce() -> Result<MemoryType>,
) -> Result<()> {
    let (rows, elements, error) = match check_length(dataset, rows, elements) {
        Ok(_) => (rows, elements, None),
        // The other ranks are in the collective call already: take part with nothing, then complain.
        Err(error) if transfer == Transfer::Collective => (&[][..], 0, Some(error)),
        Err(error) => return Err(error),
    };
    let written = hdf5::sync::sync(|| {
        let file_space = select(dataset, rows)?;
        let memory_space = memory_space(elements)?;
        let plist = transfer_list(transfer)?;
        let memory_type = memory_type()?;
        // SAFETY: all handles are open; `memory_space` selects `elements` elements of `data`, which has no fewer of the
        // type that both callers declare, and as many are selected in the file (checked above).
        let code = unsafe {
            H5Dwrite(
                dataset.id(),
                memory_type.id(),
                memory_space.id,
                file_space.id,
                plist.id,
                data.as_ptr().cast(),
            )
        };
        check_with(code, || cannot_write(dataset))?;
        match transfer {
            Transfer::Collective => check_collective(dataset, &plist),
            Transfer::Independent => Ok(()),
        }
    });
    error.map_or(written, Err)
}

fn cannot_write(dataset: &Dataset) -> String {
    format!(
        "cannot write {} of {} (disk full, over quota, or gone? see df; then run the same command again)",
        dataset.name(),
        dataset.filename()
    )
}

/// Runs of rows in one call of HDF5. A selection of more of them costs more than its share: its parts no longer fit into
/// the processor's caches.
const MOST_RUNS: usize = 1 << 15;

/// Reads the rows `rows` (ascending, disjoint) of `dataset` into `data`; HDF5 converts numbers to `T`.
pub fn read_rows<T: H5Type>(dataset: &Dataset, rows: &[Range<u64>], data: &mut [T]) -> Result<()> {
    read(dataset, rows, data, 1, MemoryType::of::<T>)
}

/// As [`read_rows`], of elements that become `memory` on the way.
pub fn read_bytes(
    dataset: &Dataset,
    rows: &[Range<u64>],
    (memory, bytes): (&Datatype, &mut [u8]),
) -> Result<()> {
    read(dataset, rows, bytes, memory.size().max(1), || {
        Ok(MemoryType::Made(memory.clone()))
    })
}

/// Reads into `data`, of which `width` make up an element of the type that `memory_type` makes.
fn read<T>(
    dataset: &Dataset,
    rows: &[Range<u64>],
    data: &mut [T],
    width: usize,
    memory_type: impl FnOnce() -> Result<MemoryType>,
) -> Result<()> {
    let elements = check_length(dataset, rows, data.len() / width)?;
    if data.is_empty() {
        return Ok(());
    }
    hdf5::sync::sync(|| {
        let memory_type = memory_type()?;
        let plist = transfer_list(Transfer::Independent)?;
        // SAFETY: the list is open; without buffers given HDF5 makes its own.
        let code = unsafe { H5Pset_buffer(plist.id, CONVERTED, null_mut(), null_mut()) };
        check(code, "conversion buffer")?;
        let mut rest = data;
        for rows in rows.chunks(MOST_RUNS) {
            let wanted = rows.iter().map(|r| r.end - r.start).sum::<u64>() as usize * elements;
            let (now, later) = rest.split_at_mut(wanted * width);
            rest = later;
            let file_space = select(dataset, rows)?;
            let memory_space = memory_space(wanted)?;
            // SAFETY: as in `write_rows`; HDF5 writes the selected elements, as many as `now` has, into
            // `now`: both callers declare the type that it is made of.
            let code = unsafe {
                H5Dread(
                    dataset.id(),
                    memory_type.id(),
                    memory_space.id,
                    file_space.id,
                    plist.id,
                    now.as_mut_ptr().cast(),
                )
            };
            check_with(code, || {
                let help = super::missing_plug_in(dataset);
                format!(
                    "cannot read {} of {}{help}",
                    dataset.name(),
                    dataset.filename()
                )
            })?;
        }
        Ok(())
    })
}

/// How elements lie in memory: one of HDF5's own types where there is one, since making a type costs more than reading a
/// few rows.
enum MemoryType {
    Native(hid_t),
    Made(Datatype),
}

impl MemoryType {
    fn of<T: H5Type>() -> Result<Self> {
        Ok(match T::type_descriptor() {
            TypeDescriptor::Float(FloatSize::U8) => Self::Native(*H5T_NATIVE_DOUBLE),
            TypeDescriptor::Float(FloatSize::U4) => Self::Native(*H5T_NATIVE_FLOAT),
            TypeDescriptor::Integer(IntSize::U8) => Self::Native(*H5T_NATIVE_INT64),
            TypeDescriptor::Integer(IntSize::U4) => Self::Native(*H5T_NATIVE_INT32),
            TypeDescriptor::Unsigned(IntSize::U8) => Self::Native(*H5T_NATIVE_UINT64),
            _ => Self::Made(Datatype::from_type::<T>().map_err(super::failed("memory type"))?),
        })
    }

    fn id(&self) -> hid_t {
        match self {
            Self::Native(id) => *id,
            Self::Made(made) => made.id(),
        }
    }
}

/// Errors unless so many elements fit the rows; returns the elements of a row.
fn check_length(dataset: &Dataset, rows: &[Range<u64>], elements: usize) -> Result<usize> {
    let shape = dataset.shape();
    let row = shape.iter().skip(1).product::<usize>();
    let wanted = rows.iter().map(|r| r.end - r.start).sum::<u64>() * row as u64;
    let last = rows.last().map_or(0, |r| r.end);
    let have = shape.first().copied().unwrap_or(0) as u64;
    if wanted != elements as u64 || last > have {
        return Err(Error::failure(format!(
            "{} has {have} rows of {row} elements; {elements} elements for rows up to {last} do not fit",
            dataset.name(),
        )));
    }
    Ok(row)
}

/// Objects of HDF5 files that this process has open. A close that failed leaves its object behind: HDF5 would try
/// again, and crash, at the end of MPI.
pub fn open_objects() -> usize {
    // SAFETY: counting changes nothing; the identifiers are the documented "all files" and "all kinds".
    let count = hdf5::sync::sync(|| unsafe { H5Fget_obj_count(H5F_OBJ_ALL.into(), H5F_OBJ_ALL) });
    usize::try_from(count).unwrap_or(0)
}

/// Version of the HDF5 library in use.
pub fn library_version() -> (u32, u32, u32) {
    let (mut major, mut minor, mut patch): (c_uint, c_uint, c_uint) = (0, 0, 0);
    // SAFETY: the three places are valid for writing.
    hdf5::sync::sync(|| unsafe {
        H5get_libversion(&raw mut major, &raw mut minor, &raw mut patch)
    });
    (major, minor, patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_back_where_they_were_written_for_any_selection() {
        let folder = tempfile::tempdir().unwrap();
        let file = hdf5::File::create(folder.path().join("rows.h5")).unwrap();
        let n = 97u64;
        let dataset = file
            .new_dataset::<f64>()
            .shape((n as usize, 2, 3))
            .create("d")
            .unwrap();
        let mut expected = vec![0.0; n as usize * 6];
        let selections: [&[Range<u64>]; 5] = [
            &[0..97],
            &[3..4, 9..10, 15..16],
            &[0..2, 5..6, 7..11, 50..51, 96..97],
            &[],
            &[12..13, 14..15, 17..18, 21..22, 30..31, 44..45],
        ];
        for (k, rows) in selections.iter().enumerate() {
            let values: Vec<f64> = rows
                .iter()
                .flat_map(|r| r.start * 6..r.end * 6)
                .map(|i| i as f64 + 1000.0 * k as f64)
                .collect();
            for (value, at) in values
                .iter()
                .zip(rows.iter().flat_map(|r| r.start * 6..r.end * 6))
            {
                expected[at as usize] = *value;
            }
            write_rows(&dataset, rows, &values, Transfer::Independent).unwrap();
            let mut back = vec![f64::NAN; values.len()];
            read_rows(&dataset, rows, &mut back).unwrap();
            assert_eq!(back, values);
        }
        assert_eq!(dataset.read_raw::<f64>().unwrap(), expected);
        assert!(write_rows(&dataset, &[0..1], &[0.0; 5], Transfer::Independent).is_err());
        assert!(read_rows(&dataset, &[96..98], &mut [0.0; 12]).is_err());
    }
}
