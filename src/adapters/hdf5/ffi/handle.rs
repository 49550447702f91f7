//! Identifiers of HDF5 that close themselves, and why HDF5 refused something.

use hdf5_sys::h5::herr_t;
use hdf5_sys::h5i::hid_t;
use hdf5_sys::h5s::H5Sclose;

use crate::domain::error::{Error, Result};

/// An open dataspace or property list that closes itself.
pub(super) struct Handle {
    pub(super) id: hid_t,
    pub(super) close: unsafe extern "C" fn(hid_t) -> herr_t,
}

impl Handle {
    pub(super) fn space(id: hid_t) -> Result<Self> {
        Self {
            id,
            close: H5Sclose,
        }
        .valid("dataspace")
    }

    pub(super) fn valid(self, what: &str) -> Result<Self> {
        if self.id < 0 {
            return Err(Error::failure(format!(
                "HDF5 refused a {what}: {}",
                last_reason()
            )));
        }
        Ok(self)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.id >= 0 {
            // SAFETY: the handle was opened by HDF5 and is closed once, here, under the library's lock.
            hdf5::sync::sync(|| unsafe { (self.close)(self.id) });
        }
    }
}

fn last_reason() -> String {
    hdf5::Error::query().map_or_else(|_| "no reason given".into(), |e| super::super::reason(&e))
}

pub(super) fn check(code: herr_t, doing: &str) -> Result<()> {
    check_with(code, || doing.to_owned())
}

/// As [`check`], where the words take calls of HDF5: each call forgets why the last one failed.
pub(super) fn check_with(code: herr_t, doing: impl FnOnce() -> String) -> Result<()> {
    if code < 0 {
        let reason = last_reason();
        return Err(Error::failure(format!("{}: {reason}", doing())));
    }
    Ok(())
}
