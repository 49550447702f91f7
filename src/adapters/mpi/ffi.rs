//! The MPI calls that the `mpi` crate does not offer.

use std::ffi::CString;

use crate::domain::error::{Error, Result};

/// `MPI_Comm`.
pub type RawCommunicator = mpi_sys::MPI_Comm;
/// `MPI_Info`.
pub type RawInfo = mpi_sys::MPI_Info;

/// A new `MPI_Info`, freed with the process; `None` without hints.
pub fn info(hints: &[(String, String)]) -> Result<Option<RawInfo>> {
    if hints.is_empty() {
        return Ok(None);
    }
    // SAFETY: reading a constant that the MPI headers define; valid at any time.
    let mut info = unsafe { mpi_sys::RSMPI_INFO_NULL };
    // SAFETY: MPI is initialised (callers hold a `World`); `info` is a valid place for the handle.
    let code = unsafe { mpi_sys::MPI_Info_create(&raw mut info) };
    check(code, "MPI_Info_create")?;
    for (key, value) in hints {
        let (Ok(k), Ok(v)) = (CString::new(key.as_str()), CString::new(value.as_str())) else {
            return Err(Error::usage(format!(
                "--hint {key}={value}: has a zero byte"
            )));
        };
        // SAFETY: `info` was just created; both strings end in a zero byte and outlive the call, which copies them.
        let code = unsafe { mpi_sys::MPI_Info_set(info, k.as_ptr(), v.as_ptr()) };
        check(code, "MPI_Info_set")?;
    }
    Ok(Some(info))
}

fn check(code: std::ffi::c_int, what: &str) -> Result<()> {
    // MPI_SUCCESS is 0 by the standard.
    if code == 0 {
        return Ok(());
    }
    Err(Error::failure(format!(
        "{what} failed with MPI error {code}"
    )))
}

/// `MPI_Abort` on the world.
pub fn abort(code: i32) -> ! {
    abort_world(code);
    std::process::exit(code)
}

/// `MPI_Abort` on the world, and where that returns, the end without the handlers of `exit`.
pub fn abort_at_once(code: i32) -> ! {
    abort_world(code);
    // SAFETY: no preconditions.
    unsafe { libc::_exit(code) }
}

fn abort_world(code: i32) {
    let (mut initialised, mut finalised) = (0, 0);
    // SAFETY: MPI_Initialized and MPI_Finalized may be called at any time from any thread; MPI_Abort only while
    // MPI is up, which is what they tell.
    unsafe {
        mpi_sys::MPI_Initialized(&raw mut initialised);
        mpi_sys::MPI_Finalized(&raw mut finalised);
        if initialised != 0 && finalised == 0 {
            mpi_sys::MPI_Abort(mpi_sys::RSMPI_COMM_WORLD, code);
        }
    }
}
