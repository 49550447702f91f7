//! What can be learnt about this machine without MPI.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::adapters::environment;

/// The first `mpiexec` on PATH and the first line of its `--version`.
pub fn launcher() -> Option<(PathBuf, String)> {
    let path = std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join("mpiexec"))
        .find(|path| path.is_file())?;
    let output = environment::command(&path)
        .arg("--version")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text
        .lines()
        .next()
        .unwrap_or("unknown version")
        .trim()
        .to_owned();
    Some((path, version))
}

/// The processor as the kernel calls it, and the cores this process may use.
pub fn processor() -> String {
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = about
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown", |rest| {
        rest.trim_start_matches([':', '\t', ' ']).trim()
    });
    format!("{model}, {} cores", super::cores::Given::find().count())
}

/// A file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// Its type as the kernel calls it.
    pub kind: String,
    /// Free bytes for this user.
    pub free: u64,
}

/// The file system that holds `folder`.
pub fn file_system(folder: &Path) -> std::io::Result<FileSystem> {
    let folder = folder.canonicalize()?;
    let disk = rustix::fs::statvfs(&folder)?;
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    Ok(FileSystem {
        kind: kind_of(&folder, &mounts).unwrap_or_else(|| "an unknown file system".into()),
        free: disk.f_bavail * disk.f_frsize,
    })
}

/// The type of the longest mount point that is a prefix of `folder` (proc(5): the third field of each line; the
/// last of equal ones is on top).
fn kind_of(folder: &Path, mounts: &str) -> Option<String> {
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let point = fields.next()?.replace("\\040", " ");
            let kind = fields.next()?;
            folder
                .starts_with(&point)
                .then(|| (point.len(), kind.to_owned()))
        })
        .max_by_key(|(length, _)| *length)
        .map(|(_, kind)| kind)
}

/// Whether a file can be made in `folder`.
pub fn can_write(folder: &Path) -> std::io::Result<()> {
    tempfile::tempfile_in(folder).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_mount_point_counts() {
        let mounts =
            "/dev/a / ext4 rw 0 0\ntmpfs /scr tmpfs rw 0 0\nl /scr/lu\\040stre lustre rw 0 0\n";
        let kind = |path: &str| kind_of(Path::new(path), mounts);
        assert_eq!(kind("/home").as_deref(), Some("ext4"));
        assert_eq!(kind("/scr/x").as_deref(), Some("tmpfs"));
        assert_eq!(kind("/scr/lu stre/x").as_deref(), Some("lustre"));
        assert_eq!(kind("/scratch").as_deref(), Some("ext4"));
    }
}
