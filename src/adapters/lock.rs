//! `RESULT.lock`: one job at a time writes a result file.
//!
//! The lock is a small file made with `O_EXCL`, which works without `flock`. It names its owner and an epoch; the
//! epoch rises with every takeover, and a job re-reads it before every commit, so that an orphan that wakes up
//! after a takeover finds itself fenced out.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::domain::error::{Error, Result};

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Host name of rank 0.
    pub host: String,
    /// Process id of rank 0.
    pub pid: u32,
    /// When that process started, in clock ticks since boot: tells a reused pid.
    pub started: u64,
    /// SLURM, PBS or LSF job, empty outside.
    pub job: String,
    /// Rises with every takeover.
    pub epoch: u64,
}

/// A lock that is held; dropping it lets go.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    owner: Owner,
}

/// `RESULT.lock`.
pub fn path_of(result: &Path) -> PathBuf {
    let mut name = result.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

impl Lock {
    /// Takes the lock of `result`; takes it over from an owner on this host that is dead.
    pub fn take(result: &Path) -> Result<Self> {
        let path = path_of(result);
        let mut owner = this_process();
        loop {
            match create(&path, &owner) {
                Ok(()) => return Ok(Self { path, owner }),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(unwritable(&path, &e)),
            }
            let Some(other) = read(&path)? else { continue };
            if !is_dead(&other, &owner.host) {
                return Err(held(result, &path, &other));
            }
            tracing::warn!(
                "{}: its owner (pid {} on {}) is dead; taking it over",
                path.display(),
                other.pid,
                other.host
            );
            owner.epoch = other.epoch + 1;
            // Another job may have taken it over since it was read: what was moved aside is looked at again.
            let aside = path.with_extension(format!("lock.dead-{}-{}", other.pid, owner.pid));
            if fs::rename(&path, &aside).is_ok() {
                let moved = read(&aside);
                if !matches!(&moved, Ok(Some(owner)) if *owner == other) {
                    // A live lock goes back, unless a third job has taken the free place meanwhile; then its owner
                    // finds out at its next commit.
                    let _ = fs::hard_link(&aside, &path);
                }
                let _ = fs::remove_file(&aside);
            }
        }
    }

    /// Errors when the lock is not ours any more.
    pub fn check(&self) -> Result<()> {
        match read(&self.path)? {
            Some(owner) if owner == self.owner => Ok(()),
            Some(other) => Err(Error::failure(format!(
                "{}: taken over by pid {} on {}; this job writes nothing more",
                self.path.display(),
                other.pid,
                other.host
            ))),
            None => Err(Error::failure(format!(
                "{}: somebody removed the lock; this job writes nothing more",
                self.path.display()
            ))),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.check().is_ok() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn create(path: &Path, owner: &Owner) -> std::io::Result<()> {
    // A lock that is found empty would have no owner: write aside, then link into place, which fails if it exists.
    let aside = path.with_extension(format!("lock.new-{}", owner.pid));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&aside)?;
    let text = serde_json::to_vec(owner)?;
    let made = file
        .write_all(&text)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&aside, path));
    let _ = fs::remove_file(&aside);
    made
}

fn read(path: &Path) -> Result<Option<Owner>> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|_| {
            Error::failure(format!(
                "{}: not a lock of framewise; remove it if no job is writing",
                path.display()
            ))
        }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(unwritable(path, &e)),
    }
}

fn unwritable(path: &Path, e: &std::io::Error) -> Error {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    Error::failure(format!(
        "cannot write {}: {e}; choose another -o or make {} writable",
        path.display(),
        folder.unwrap_or(Path::new(".")).display()
    ))
}

fn held(result: &Path, path: &Path, other: &Owner) -> Error {
    let job = if other.job.is_empty() {
        String::new()
    } else {
        format!(", job {}", other.job)
    };
    Error::failure(format!(
        "{} is being written by pid {} on {}{job}; wait for it, or remove {} if that job is gone",
        result.display(),
        other.pid,
        other.host,
        path.display()
    ))
}

fn this_process() -> Owner {
    let pid = std::process::id();
    let job = ["SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID"]
        .iter()
        .find_map(|name| std::env::var(name).ok())
        .unwrap_or_default();
    Owner {
        host: host(),
        pid,
        started: start_of(pid).unwrap_or(0),
        job,
        epoch: 1,
    }
}

/// The name of this host.
pub fn host() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

fn is_dead(owner: &Owner, here: &str) -> bool {
    owner.host == here && start_of(owner.pid) != Some(owner.started)
}

/// Start time of a process from `/proc/PID/stat` (field 22, proc(5)); `None` when there is no such process or it
/// is a zombie.
fn start_of(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace();
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_owner_is_named_and_a_dead_one_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let result = folder.path().join("r.h5");
        let lock = Lock::take(&result).unwrap();
        let error = Lock::take(&result).unwrap_err();
        assert!(
            error
                .message
                .contains(&format!("pid {}", std::process::id())),
            "{error}"
        );
        lock.check().unwrap();
        drop(lock);
        assert!(!path_of(&result).exists());

        let dead = Owner {
            pid: std::process::id(),
            started: 1,
            epoch: 7,
            ..this_process()
        };
        create(&path_of(&result), &dead).unwrap();
        let lock = Lock::take(&result).unwrap();
        assert_eq!(lock.owner.epoch, 8);
        lock.check().unwrap();
        fs::write(path_of(&result), serde_json::to_vec(&dead).unwrap()).unwrap();
        assert!(
            lock.check()
                .unwrap_err()
                .message
                .contains("writes nothing more")
        );
        drop(lock);
        assert!(path_of(&result).exists(), "a lock that is not ours stays");
    }
}
