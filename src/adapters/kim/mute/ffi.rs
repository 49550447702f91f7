//! Standard output while a library may print.

use std::ffi::c_int;
use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::ptr::{null, null_mut};

use libloading::os::unix::{Library, RTLD_LAZY};

/// Only a library that is there already (dlopen(3)).
const RTLD_NOLOAD: c_int = 4;

/// Does something while what is printed to standard output is thrown away: some models introduce themselves there, where
/// the user's pipe expects something else.
pub fn quietly<T>(action: impl FnOnce() -> T) -> T {
    flush();
    let saved = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3).ok();
    let nowhere = OpenOptions::new().write(true).open("/dev/null").ok();
    let Some((saved, nowhere)) = saved.zip(nowhere) else {
        return action();
    };
    if rustix::stdio::dup2_stdout(&nowhere).is_err() {
        return action();
    }
    let _restored = Saved(saved);
    action()
}

/// The real standard output, put back when it is dropped.
struct Saved(OwnedFd);

impl Drop for Saved {
    fn drop(&mut self) {
        flush();
        let _ = rustix::stdio::dup2_stdout(&self.0);
    }
}

/// Writes what C and Fortran libraries have printed and kept.
fn flush() {
    // SAFETY: null means all streams.
    unsafe { libc::fflush(null_mut()) };
    // SAFETY: nothing is loaded, so no initialiser runs; of the function's argument null means all units.
    unsafe {
        let Ok(fortran) = Library::open(Some("libgfortran.so.5"), RTLD_LAZY | RTLD_NOLOAD) else {
            return;
        };
        if let Ok(flush) = fortran.get::<unsafe extern "C" fn(*const c_int)>(b"_gfortran_flush_i4")
        {
            flush(null());
        }
    }
}
