//! What can be learnt about this machine without MPI.

use std::io::Read as _;
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
    let cores = super::cores::Given::find().count();
    format!("{}, {cores} cores", processor_name())
}

/// The processor as the kernel calls it.
pub fn processor_name() -> String {
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = about
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown", |rest| {
        rest.trim_start_matches([':', '\t', ' ']).trim()
    });
    model.to_owned()
}

/// A file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// Its type as the kernel calls it.
    pub kind: String,
    /// What is mounted: a device, a server's folder.
    pub source: String,
    /// Its mount options, comma between.
    pub options: String,
    /// Free bytes for this user.
    pub free: u64,
    /// All its bytes.
    pub size: u64,
}

impl FileSystem {
    /// Whether a mount option is set.
    pub fn has_option(&self, name: &str) -> bool {
        self.options.split(',').any(|option| option == name)
    }
}

/// The file system that holds `folder`.
pub fn file_system(folder: &Path) -> std::io::Result<FileSystem> {
    let folder = folder.canonicalize()?;
    let disk = rustix::fs::statvfs(&folder)?;
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let [source, kind, options] = mount_of(&folder, &mounts)
        .unwrap_or_else(|| ["", "an unknown file system", ""].map(str::to_owned));
    Ok(FileSystem {
        kind,
        source,
        options,
        free: disk.f_bavail * disk.f_frsize,
        size: disk.f_blocks * disk.f_frsize,
    })
}

/// What is mounted, its type and its options, of the longest mount point that is a prefix of `folder` (proc(5); the last of
/// equal ones is on top).
fn mount_of(folder: &Path, mounts: &str) -> Option<[String; 3]> {
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let source = fields.next()?;
            let point = fields.next()?.replace("\\040", " ");
            let rest = [source, fields.next()?, fields.next()?];
            let holds = folder.starts_with(&point);
            holds.then(|| (point.len(), rest.map(str::to_owned)))
        })
        .max_by_key(|(length, _)| *length)
        .map(|(_, mount)| mount)
}

/// Memory of this machine in bytes, all of it and what is free for programs, by the tightest of the kernel and the control
/// groups of this process; `None` where `/proc` does not tell.
pub fn memory() -> Option<(u64, u64)> {
    let about = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kilobytes = |name: &str| -> Option<u64> {
        let line = about.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let (all, free) = (
        1024 * kilobytes("MemTotal:")?,
        1024 * kilobytes("MemAvailable:")?,
    );
    let limit = memory_limit().unwrap_or(u64::MAX);
    Some((all.min(limit), free.min(limit)))
}

/// The bound of the innermost control group that can be seen from here: inside a container its own, under a batch system
/// often the job's (cgroups(7), version 2 and 1).
fn memory_limit() -> Option<u64> {
    let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let read = |path: PathBuf| -> Option<u64> {
        let text = std::fs::read_to_string(path).ok()?;
        text.trim().parse().ok()
    };
    let limits = own.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let (root, name) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => return None,
        };
        let mut group = Path::new(root).join(path.trim_start_matches('/'));
        let mut least = None;
        loop {
            if let Some(limit) = read(group.join(name)) {
                least = Some(least.map_or(limit, |known: u64| known.min(limit)));
            }
            if !group.pop() || !group.starts_with(root) {
                return least;
            }
        }
    });
    limits.min()
}

/// The shared libraries in this process, each once.
pub fn mapped_libraries() -> Vec<PathBuf> {
    libraries_in(&std::fs::read_to_string("/proc/self/maps").unwrap_or_default())
}

fn libraries_in(maps: &str) -> Vec<PathBuf> {
    let mut found: Vec<_> = maps
        .lines()
        .filter_map(|line| Some(PathBuf::from(&line[line.find('/')?..])))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with(".so") || name.contains(".so.")
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

/// What tells the file of this program from others, as a number, and its path.
pub fn program() -> Option<(u64, PathBuf)> {
    let path = std::env::current_exe().ok()?;
    // The file that runs, whatever has taken its name since.
    let mut file = std::fs::File::open("/proc/self/exe").ok()?;
    let mut hash = xxhash_rust::xxh3::Xxh3::new();
    let mut block = vec![0; 1 << 20];
    loop {
        match file.read(&mut block).ok()? {
            0 => return Some((hash.digest(), path)),
            n => hash.update(&block[..n]),
        }
    }
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
        let kind = |path: &str| mount_of(Path::new(path), mounts).map(|[_, kind, _]| kind);
        assert_eq!(kind("/home").as_deref(), Some("ext4"));
        assert_eq!(kind("/scr/x").as_deref(), Some("tmpfs"));
        assert_eq!(kind("/scr/lu stre/x").as_deref(), Some("lustre"));
        assert_eq!(kind("/scratch").as_deref(), Some("ext4"));
    }

    #[test]
    fn libraries_are_found_among_what_is_mapped() {
        let maps = "7f0-7f1 r--p 00000000 fe:00 1 /usr/lib/libmpi.so.40.30.4\n\
                    7f1-7f2 r-xp 00000000 fe:00 1 /usr/lib/libmpi.so.40.30.4\n\
                    7f3-7f4 rw-p 00000000 00:00 0 [heap]\n7f5-7f6 rw-p 00000000 00:00 0\n\
                    7f7-7f8 r--p 00000000 fe:00 2 /usr/bin/framewise\n";
        assert_eq!(
            libraries_in(maps),
            [PathBuf::from("/usr/lib/libmpi.so.40.30.4")]
        );
    }

    #[test]
    fn this_machine_tells_about_itself() {
        let (all, free) = memory().unwrap();
        assert!(all >= free && free > 0);
        assert_eq!(program().unwrap().0, program().unwrap().0);
        assert!(
            !file_system(Path::new("/proc"))
                .unwrap()
                .has_option("nonsense")
        );
    }
}
