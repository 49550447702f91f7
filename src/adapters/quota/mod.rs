//! How much of a file system this user may still fill: from its own command where there is one, else from the kernel.
//!
//! None of them was tried on a disk with a quota: the call of the kernel, and what `lfs quota` (Lustre) and `quota` (NFS)
//! print, are after their manual pages.

mod ffi;

use std::path::Path;

use crate::adapters::environment;
use crate::adapters::file_system::Kind;
use crate::adapters::machine::FileSystem;
use crate::adapters::walltime::output_of;

/// A bound on what may be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Who says so.
    pub by: &'static str,
    /// Bytes used.
    pub used: u64,
    /// Bytes that may be used.
    pub limit: u64,
}

impl Quota {
    /// Bytes that may still be stored.
    pub fn left(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}

/// The tightest quota on `folder`, which is on `disk`; `None` where there is none, or nobody tells.
pub fn of(folder: &Path, kind: Kind, disk: &FileSystem) -> Option<Quota> {
    let found = match kind {
        Kind::Lustre => {
            let of = |whose: &str, id: u32| {
                let mut command = environment::command("lfs");
                command.args(["quota", "-q", whose, &id.to_string()]);
                from_lfs(&output_of(command.arg(folder))?)
            };
            let user = of("-u", rustix::process::getuid().as_raw());
            let group = of("-g", rustix::process::getgid().as_raw());
            user.into_iter()
                .chain(group)
                .map(|(used, limit)| ("lfs quota", used, limit))
                .collect()
        }
        Kind::Nfs => {
            let told = output_of(environment::command("quota").args(["-w", "-v"]));
            let found = told.and_then(|text| from_quota(&text, &disk.source));
            found
                .map(|(used, limit)| ("quota", used, limit))
                .into_iter()
                .collect()
        }
        _ if disk.source.starts_with('/') => {
            let found = ffi::of_user(&disk.source, rustix::process::getuid().as_raw());
            found
                .map(|(used, limit)| ("the kernel", used, limit))
                .into_iter()
                .collect()
        }
        _ => Vec::new(),
    };
    let bounds = found.into_iter().filter(|(_, _, limit)| *limit > 0);
    bounds
        .map(|(by, used, limit)| Quota { by, used, limit })
        .min_by_key(Quota::left)
}

/// Kilobytes used and their hard limit in the words after a file system's name: `used soft hard ...`, with a star at what is
/// exceeded.
fn numbers<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<(u64, u64)> {
    let mut number = || words.next()?.trim_end_matches('*').parse::<u64>().ok();
    let (used, soft, hard) = (number()?, number()?, number()?);
    // Above the soft limit is a grace of days: a job should not begin there.
    let limit = [soft, hard].into_iter().filter(|limit| *limit > 0).min();
    Some((
        used.saturating_mul(1024),
        limit.unwrap_or(0).saturating_mul(1024),
    ))
}

/// `lfs quota -q`: a long name of a file system stands on a line of its own.
fn from_lfs(text: &str) -> Option<(u64, u64)> {
    let mut words = text.split_whitespace();
    words.find(|word| word.starts_with('/'))?;
    numbers(words)
}

/// `quota -w -v`: one line for each file system, by what is mounted.
fn from_quota(text: &str, source: &str) -> Option<(u64, u64)> {
    let mut lines = text.lines().map(str::split_whitespace);
    let line = lines.find_map(|mut words| (words.next()? == source).then_some(words))?;
    numbers(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KB: u64 = 1024;

    /// Samples of the Lustre manual ("Working with Quotas") and of quota(1).
    #[test]
    fn commands_tell_what_is_used_and_its_limit() {
        let plain =
            "        /mnt/lustre   20 102400 204800       -       4       0       0       -\n";
        assert_eq!(from_lfs(plain), Some((20 * KB, 102_400 * KB)));
        let long = "/scratch/of/a/site\n  300*  0 200 6d23h 4 0 0 -\n";
        assert_eq!(from_lfs(long), Some((300 * KB, 200 * KB)));
        let none = "/mnt/lustre 20 0 0 - 4 0 0 -";
        assert_eq!(from_lfs(none), Some((20 * KB, 0)));
        assert_eq!(from_lfs("user 7 does not exist"), None);
        let nfs = "Disk quotas for user me (uid 7):\n     Filesystem  blocks   quota   limit   grace   files\n\
                   server:/home  500  900  1000    7  0  0\n /dev/sda1 1 2 3\n";
        assert_eq!(from_quota(nfs, "server:/home"), Some((500 * KB, 900 * KB)));
        assert_eq!(from_quota(nfs, "/dev/sdb"), None);
    }

    #[test]
    fn what_is_left_is_never_less_than_nothing() {
        let quota = |used, limit| Quota {
            by: "x",
            used,
            limit,
        };
        assert_eq!(quota(3, 10).left(), 7);
        assert_eq!(quota(11, 10).left(), 0);
        assert_eq!(ffi::of_user("/no/such/device", 0), None);
    }
}
