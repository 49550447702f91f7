//! `sync_file_range`, which is Linux's own.

use std::fs::File;

/// Starts writing dirty pages of the whole file. Unlike with a wait, no error is reported here, and none is taken from
/// the next sync.
#[cfg(target_os = "linux")]
pub fn begin(file: &File) {
    use std::os::fd::AsRawFd;

    let descriptor = file.as_raw_fd();
    // SAFETY: plain numbers, and the descriptor is open as long as `file` is borrowed.
    unsafe {
        libc::sync_file_range(descriptor, 0, 0, libc::SYNC_FILE_RANGE_WRITE);
    }
}

#[cfg(not(target_os = "linux"))]
pub fn begin(_: &File) {}
