//! Two calls that the high-level crate lacks.

use std::ffi::CString;

use ::hdf5::Group;
use hdf5_sys::h5o::H5Ocopy;
use hdf5_sys::h5p::H5P_DEFAULT;
use hdf5_sys::h5z::H5Zfilter_avail;

use crate::domain::error::{Error, Result};

/// Copies the object `name` of `from`, with its values and attributes, to the same name in `to`.
pub(super) fn copy_object(from: &Group, to: &Group, name: &str) -> Result<()> {
    let doing = |why: &str| {
        Error::failure(format!(
            "{}: {}/{name} cannot be copied{why}",
            from.filename(),
            from.name().trim_end_matches('/')
        ))
    };
    let text = CString::new(name).map_err(|_| doing(": its name has a zero byte"))?;
    // SAFETY: both groups are open, the name is a C string that lives through the call, and both lists are the default ones.
    let code = hdf5::sync::sync(|| unsafe {
        H5Ocopy(
            from.id(),
            text.as_ptr(),
            to.id(),
            text.as_ptr(),
            H5P_DEFAULT,
            H5P_DEFAULT,
        )
    });
    if code < 0 {
        return Err(doing(""));
    }
    Ok(())
}

/// Whether the library has this filter, or finds a plug-in for it.
pub(super) fn filter_available(filter: i32) -> bool {
    // SAFETY: a number is all that is given.
    hdf5::sync::sync(|| unsafe { H5Zfilter_avail(filter) > 0 })
}
