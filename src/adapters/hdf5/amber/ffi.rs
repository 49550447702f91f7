//! Text attributes that end with a zero byte: netCDF takes no others for text, and the high-level crate makes none.

use std::ffi::CString;

use hdf5::Location;
use hdf5_sys::h5a::{H5Aclose, H5Acreate2, H5Awrite};
use hdf5_sys::h5p::H5P_DEFAULT;
use hdf5_sys::h5s::{H5S_SCALAR, H5Sclose, H5Screate};
use hdf5_sys::h5t::{H5T_C_S1, H5Tclose, H5Tcopy, H5Tset_size};

/// Writes `text` as an attribute of one byte more.
pub(super) fn write_text(object: &Location, name: &str, text: &str) -> hdf5::Result<()> {
    let without_zero = |_| hdf5::Error::from("text with a zero byte");
    let name = CString::new(name).map_err(without_zero)?;
    let bytes = CString::new(text).map_err(without_zero)?;
    let bytes = bytes.as_bytes_with_nul();
    let written = hdf5::sync::sync(|| {
        // SAFETY: identifiers are made and closed here, `object` outlives the calls, `name` ends with a zero byte, and `bytes`
        // is as long as the type says.
        unsafe {
            let kind = H5Tcopy(*H5T_C_S1);
            let space = H5Screate(H5S_SCALAR);
            let mut done = H5Tset_size(kind, bytes.len());
            let attribute = H5Acreate2(
                object.id(),
                name.as_ptr(),
                kind,
                space,
                H5P_DEFAULT,
                H5P_DEFAULT,
            );
            if done >= 0 && attribute >= 0 {
                done = H5Awrite(attribute, kind, bytes.as_ptr().cast());
                done = done.min(H5Aclose(attribute));
            } else {
                done = -1;
            }
            done.min(H5Sclose(space)).min(H5Tclose(kind))
        }
    });
    if written < 0 {
        let name = name.to_string_lossy();
        return Err(hdf5::Error::from(format!("cannot write attribute {name}")));
    }
    Ok(())
}
