//! Calls that the high-level crate lacks.

use std::ffi::CString;

use ::hdf5::{Attribute, Dataset, Location};
use hdf5_sys::h5a::{H5Aclose, H5Acreate2, H5Aread, H5Awrite};
use hdf5_sys::h5d::{H5Dread, H5Dwrite};
use hdf5_sys::h5p::{H5P_DEFAULT, H5Pget_virtual_count, H5Pget_virtual_filename};
use hdf5_sys::h5s::H5S_ALL;
use hdf5_sys::h5z::H5Zfilter_avail;

/// Copies all values of a dataset that are nothing but bytes, into one of the same type and shape. (`H5Ocopy` crashes where a
/// write fails.)
pub(super) fn copy_values(from: &Dataset, to: &Dataset) -> hdf5::Result<()> {
    let kind = from.dtype()?;
    let mut bytes = vec![0_u8; kind.size() * from.size()];
    hdf5::sync::sync(|| {
        // SAFETY: the dataset is open, and `bytes` has room for all of its elements of the type that it is read as.
        let read = unsafe {
            let all = (H5S_ALL, H5S_ALL, H5P_DEFAULT);
            let target = bytes.as_mut_ptr().cast();
            H5Dread(from.id(), kind.id(), all.0, all.1, all.2, target)
        };
        // SAFETY: as above; the other one has as many elements.
        let written = unsafe {
            let all = (H5S_ALL, H5S_ALL, H5P_DEFAULT);
            let source = bytes.as_ptr().cast();
            H5Dwrite(to.id(), kind.id(), all.0, all.1, all.2, source)
        };
        if read.min(written) < 0 {
            return Err(hdf5::Error::query().unwrap_or_else(|_| "values".into()));
        }
        Ok(())
    })
}

/// Copies an attribute whose values are nothing but bytes, with its type.
pub(super) fn copy_attribute(from: &Attribute, to: &Location, name: &str) -> hdf5::Result<()> {
    let (kind, space) = (from.dtype()?, from.space()?);
    let mut bytes = vec![0_u8; kind.size() * from.size()];
    let text = CString::new(name).map_err(|e| hdf5::Error::from(e.to_string()))?;
    hdf5::sync::sync(|| {
        // SAFETY: the attribute is open, and `bytes` has room for all of its elements of the type that it is read as.
        let read = unsafe { H5Aread(from.id(), kind.id(), bytes.as_mut_ptr().cast()) };
        if read < 0 {
            return Err(hdf5::Error::query().unwrap_or_else(|_| "attribute".into()));
        }
        // SAFETY: object, type and space are open, and the name is a C string that lives through the call.
        let made = unsafe {
            H5Acreate2(
                to.id(),
                text.as_ptr(),
                kind.id(),
                space.id(),
                H5P_DEFAULT,
                H5P_DEFAULT,
            )
        };
        if made < 0 {
            return Err(hdf5::Error::query().unwrap_or_else(|_| "attribute".into()));
        }
        // SAFETY: the new attribute has the same elements of the same type; it is closed once, here.
        let ended = unsafe {
            let written = H5Awrite(made, kind.id(), bytes.as_ptr().cast());
            H5Aclose(made).min(written)
        };
        if ended < 0 {
            return Err(hdf5::Error::query().unwrap_or_else(|_| "attribute".into()));
        }
        Ok(())
    })
}

/// Names of the files that a virtual dataset shows, as they are stored.
pub(super) fn shown_files(dataset: &Dataset) -> hdf5::Result<Vec<String>> {
    let list = dataset.dcpl()?;
    let unknown = || hdf5::Error::query().unwrap_or_else(|_| "virtual dataset".into());
    hdf5::sync::sync(|| {
        let mut count = 0;
        // SAFETY: the list is open, and the count is a valid place for a number.
        if unsafe { H5Pget_virtual_count(list.id(), &raw mut count) } < 0 {
            return Err(unknown());
        }
        let mut names: Vec<String> = Vec::new();
        for k in 0..count {
            // SAFETY: without a buffer it tells the length, and `k` is one of the parts.
            let length = unsafe { H5Pget_virtual_filename(list.id(), k, std::ptr::null_mut(), 0) };
            let length = usize::try_from(length).map_err(|_| unknown())?;
            let mut bytes = vec![0_u8; length + 1];
            // SAFETY: the buffer has room for the name and the zero behind it.
            let read = unsafe {
                H5Pget_virtual_filename(list.id(), k, bytes.as_mut_ptr().cast(), length + 1)
            };
            if read < 0 {
                return Err(unknown());
            }
            let name = String::from_utf8_lossy(&bytes[..length]).into_owned();
            // A file with many parts has them one after the other.
            if names.last() != Some(&name) {
                names.push(name);
            }
        }
        Ok(names)
    })
}

/// Whether the library has this filter, or finds a plug-in for it.
pub(super) fn filter_available(filter: i32) -> bool {
    // SAFETY: a number is all that is given.
    hdf5::sync::sync(|| unsafe { H5Zfilter_avail(filter) > 0 })
}
