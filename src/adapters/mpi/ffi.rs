//! The MPI calls that the `mpi` crate does not offer.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

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

/// Makes the empty file `path`, which must not exist, on this rank alone: the moment in which a file system heeds
/// `hints` about stripes.
pub fn make_file(path: &Path, hints: &[(String, String)]) -> Result<()> {
    let hints = info(hints)?;
    let name = CString::new(path.as_os_str().as_bytes());
    let name = name.map_err(|_| Error::usage(format!("{}: has a zero byte", path.display())))?;
    let mode = mpi_sys::MPI_MODE_CREATE | mpi_sys::MPI_MODE_EXCL | mpi_sys::MPI_MODE_RDWR;
    // SAFETY: MPI is initialised (callers hold a `World`) and the communicator is this process alone, so that nobody is
    // waited for; `name` ends in a zero byte and outlives the call; `file` is a valid place for the handle, which is
    // closed only after it was opened.
    unsafe {
        let mut file = mpi_sys::RSMPI_FILE_NULL;
        let info = hints.unwrap_or(mpi_sys::RSMPI_INFO_NULL);
        let alone = mpi_sys::RSMPI_COMM_SELF;
        let code = mpi_sys::MPI_File_open(alone, name.as_ptr(), mode as i32, info, &raw mut file);
        check(code, "MPI_File_open")?;
        check(mpi_sys::MPI_File_close(&raw mut file), "MPI_File_close")
    }
}

fn check(code: std::ffi::c_int, what: &str) -> Result<()> {
    // MPI_SUCCESS is 0 by the standard.
    if code == 0 {
        return Ok(());
    }
    let mut text = [0u8; mpi_sys::MPI_MAX_ERROR_STRING as usize];
    let mut length = 0;
    // SAFETY: MPI is initialised (callers hold a `World`); the text has room for the longest message, as the standard
    // asks, and the length is a valid place for a number.
    unsafe { mpi_sys::MPI_Error_string(code, text.as_mut_ptr().cast(), &raw mut length) };
    let text = String::from_utf8_lossy(&text[..usize::try_from(length).unwrap_or(0)]);
    Err(Error::failure(format!("{what} failed: {text}")))
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

/// A launcher may stop listening to what ranks say as soon as one aborts (MPICH's does): their words get this start.
const LAST_WORDS: Duration = Duration::from_millis(100);

fn abort_world(code: i32) {
    std::thread::sleep(LAST_WORDS);
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
