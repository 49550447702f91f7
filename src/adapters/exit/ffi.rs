//! `atexit`, which the standard library does not offer.

use std::ffi::c_int;

unsafe extern "C" {
    fn atexit(call: extern "C" fn()) -> c_int;
}

/// Has `call` made when the process exits, before everything that was registered earlier.
pub fn at_exit(call: extern "C" fn()) {
    // SAFETY: `call` is a function without arguments that lives as long as the program, as C asks for. Where there is
    // no room for another function, nothing is registered and nothing else happens.
    unsafe { atexit(call) };
}
