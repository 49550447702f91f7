//! The process ends when this program says so, not when an engine inside it does.
//!
//! Fortran's `stop` and C's `exit` end the whole process, with the engine's exit code: 0 perhaps, which would tell that
//! every frame is completed.

mod ffi;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set when this program is about to leave.
static LEAVING: AtomicBool = AtomicBool::new(false);
/// This rank, as errors name it.
static NAME: OnceLock<String> = OnceLock::new();

/// From now on an exit that was not announced by [`announce`] is an error with exit code 1, said by this rank, whose
/// name stands in front of it.
pub fn guard(name: String) {
    if NAME.set(name).is_ok() {
        ffi::at_exit(explain);
    }
}

/// This program is about to leave.
pub fn announce() {
    LEAVING.store(true, Ordering::Release);
}

/// Leaves at once, whatever other threads are doing: no destructors, no `MPI_Finalize`.
pub fn at_once(code: i32) -> ! {
    signal_hook::low_level::exit(code)
}

/// What stands in front of this rank's errors; empty before it is known, and where there is one rank.
pub fn name() -> &'static str {
    NAME.get().map_or("", String::as_str)
}

extern "C" fn explain() {
    if LEAVING.load(Ordering::Acquire) {
        return;
    }
    let name = name();
    eprintln!(
        "error: {name}the calculator ended the process (exit, or stop in Fortran); all ranks end; what was committed is \
         safe, run the same command again"
    );
    at_once(1)
}
