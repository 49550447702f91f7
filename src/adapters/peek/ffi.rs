//! `process_vm_readv(2)`, which has no safe wrapper in the crates that are used here.

use std::io;

/// Copies a word of this process to another place of it, as it is copied from one process to another.
pub(super) fn copy_a_word() -> io::Result<()> {
    let from = 7_u64;
    let mut to = 0_u64;
    let place = |at: *mut u64| libc::iovec {
        iov_base: at.cast(),
        iov_len: size_of::<u64>(),
    };
    let (local, remote) = (place(&raw mut to), place((&raw const from).cast_mut()));
    // SAFETY: both places are one word of this function's own, of which the call reads one and writes the other; the process
    // is this one.
    let copied = unsafe {
        libc::process_vm_readv(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0)
    };
    if copied == size_of::<u64>() as isize && to == from {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
