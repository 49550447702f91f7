//! The disk begins to work while a file is still being written, so that a later sync has less to wait for.
//!
//! It changes when bytes reach the disk and promises nothing: only a sync does. What a kill or a power failure leaves
//! behind is what it could have left without it, since the system may write back at any moment.

use std::fs::File;

mod ffi;

/// Asks the system to write back what it holds of `file`, and does not wait for it. Where the system cannot, nothing
/// happens: the next sync writes everything.
pub fn begin(file: &File) {
    ffi::begin(file);
}
