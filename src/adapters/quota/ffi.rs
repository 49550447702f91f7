//! quotactl(2), which has no safe wrapper in the crates that are used here.

use std::ffi::CString;
use std::mem::MaybeUninit;

/// Bytes used and the bound of them that the kernel keeps for a user on a device; zero is no bound. `None` where there is no
/// such thing.
pub(super) fn of_user(device: &str, user: u32) -> Option<(u64, u64)> {
    let device = CString::new(device).ok()?;
    let command = libc::QCMD(libc::Q_GETQUOTA, libc::USRQUOTA);
    let mut found = MaybeUninit::<libc::dqblk>::zeroed();
    // SAFETY: the device's name ends in a zero byte and outlives the call; for Q_GETQUOTA the kernel writes one `dqblk`, for
    // which there is room.
    let code = unsafe {
        libc::quotactl(
            command,
            device.as_ptr(),
            user as i32,
            found.as_mut_ptr().cast(),
        )
    };
    if code != 0 {
        return None;
    }
    // SAFETY: all its fields are numbers, zero until the kernel wrote them.
    let found = unsafe { found.assume_init() };
    // Bounds are in blocks of 1024 bytes, what is used is in bytes (sys/quota.h).
    Some((
        found.dqb_curspace,
        found.dqb_bhardlimit.saturating_mul(1024),
    ))
}
