//! `RESULT.lock`: one job at a time writes a result file.
//!
//! The lock is a small file that names its owner and is put in place whole with `link(2)`, or with `O_EXCL` where the
//! file system has no links; `flock` is not needed. Each lock has a token of its own, drawn anew every time. A job
//! reads its lock again before every write that matters, so that an orphan that wakes up after a takeover finds
//! another token and writes nothing. (The epoch counts takeovers for people. It begins at 1 again after a lock was
//! let go in good order, and that is harmless: no token is ever drawn twice.)
//!
//! Names have no compare-and-swap, so there is one rule: **whoever removes or replaces a lock first holds the claim
//! of that lock**, the file `RESULT.lock.after-KEY` where KEY stands for the lock's token, and then looks again whether
//! the lock is still the one it has claimed. A claim is placed as a lock is. While a lock stands, nobody removes its
//! claim but the one who placed it; should that one die, the next has to claim the claim, by the same rule. So of
//! many jobs that find the same dead owner exactly one follows it, however slow the others are: they get their claim
//! when it is of no use any more, see another lock, and begin again.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::domain::error::{Error, Result};

pub use super::owner::host;
use super::owner::{Fate, Owner};

/// A lock that is held; dropping it lets go.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    owner: Owner,
}

/// What became of an attempt to take a lock.
#[derive(Debug)]
pub enum Attempt {
    /// It is ours.
    Taken(Lock),
    /// This one has it, and is not known to be dead.
    Held(Owner),
}

/// Says how it is known that an owner is dead, or nothing: see [`Owner::fate`].
pub type Judge<'a> = &'a mut dyn FnMut(&Owner) -> Option<String>;

/// Losing a race means that somebody else has won it: so many times in a row is no race.
const RACES: usize = 200;
/// A file that is being written where there are no links is unfinished for less than this.
const UNFINISHED: Duration = Duration::from_secs(2);
/// Files of unknown owners that were needed for a moment are in the way after this long.
const FORGOTTEN: Duration = Duration::from_hours(1);

/// `RESULT.lock`.
pub fn path_of(result: &Path) -> PathBuf {
    beside(result, ".lock")
}

/// A path with `suffix` after its name.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

impl Lock {
    /// Takes the lock of `result` for the life of this job; takes it over from an owner that is known to be dead.
    pub fn take(result: &Path) -> Result<Self> {
        let me = Owner::this_process();
        let mut judge = |owner: &Owner| match owner.fate(&me) {
            Fate::Dead(why) => Some(why),
            _ => None,
        };
        match Self::attempt(result, &me, &mut judge)? {
            Attempt::Taken(lock) => {
                lock.clear_up();
                Ok(lock)
            }
            Attempt::Held(other) => Err(held(result, &other, &me)),
        }
    }

    /// Tries once to take the lock as `me`, with a token that was not used before.
    pub fn attempt(result: &Path, me: &Owner, judge: Judge<'_>) -> Result<Attempt> {
        let path = path_of(result);
        let mut owner = me.clone();
        for _ in 0..RACES {
            if place(&path, &path, &owner)? {
                return Ok(Attempt::Taken(Self { path, owner }));
            }
            let Some(other) = read(&path)? else { continue };
            let Some(why) = judge(&other) else {
                return Ok(Attempt::Held(other));
            };
            owner.epoch = other.epoch + 1;
            match follow(&path, &other, &owner, judge)? {
                Succession::Ours => {
                    let why = if why.is_empty() {
                        "is dead".to_owned()
                    } else {
                        format!("is gone: {why}")
                    };
                    tracing::warn!(
                        "{}: its owner (pid {} on {}) {why}; taking it over",
                        path.display(),
                        other.pid,
                        other.host
                    );
                    return Ok(Attempt::Taken(Self { path, owner }));
                }
                Succession::Claimed(by) => return Ok(Attempt::Held(by)),
                Succession::Changed => {}
            }
        }
        Err(Error::failure(format!(
            "{}: others keep taking it; run the same command again",
            path.display()
        )))
    }

    /// Errors when the lock is not ours any more.
    pub fn check(&self) -> Result<()> {
        match read(&self.path)? {
            Some(owner) if owner == self.owner => Ok(()),
            Some(other) => Err(Error::failure(format!(
                "{}: taken over by {}; this job writes nothing more",
                self.path.display(),
                other.shown()
            ))),
            None => Err(Error::failure(format!(
                "{}: somebody removed the lock; this job writes nothing more",
                self.path.display()
            ))),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes what dead jobs left around the lock: files on their way into place, claims of earlier locks. Whoever is
    /// slow and alive finds its file gone and begins again.
    pub fn clear_up(&self) {
        let (Some(folder), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return;
        };
        let folder = if folder == Path::new("") {
            Path::new(".")
        } else {
            folder
        };
        let name = name.to_string_lossy();
        let current = claim_of(&self.path, &self.owner);
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = folder.join(entry.file_name());
            let found = entry.file_name().to_string_lossy().into_owned();
            let rest = found.strip_prefix(name.as_ref()).unwrap_or("");
            let ours = rest.starts_with(".new-") || rest.starts_with(".after-");
            let same = current.file_name() == Some(entry.file_name().as_os_str());
            if ours && !same && is_left_over(&path, &self.owner) {
                tracing::debug!(file = %path.display(), "left by a dead job, removed");
                let _ = fs::remove_file(&path);
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.check().is_err() {
            return;
        }
        // Somebody who takes us for dead may be about to replace it. The claim has a token of its own: under that of the
        // lock it would be the claim of itself, and whoever followed us after a kill here would never come to its end.
        let (mut me, mut nobody) = (self.owner.clone(), |_: &Owner| None);
        me.renew();
        let claims = match claim(&self.path, &self.owner, &me, &mut nobody) {
            Ok(Claim::Ours(claims)) => claims,
            Ok(_) => return,
            // On a full disk nobody can write a claim, neither can those who would take it over.
            Err(_) => Vec::new(),
        };
        if self.check().is_ok() {
            let _ = fs::remove_file(&self.path);
        }
        let_go(&claims);
    }
}

enum Succession {
    /// The lock is ours.
    Ours,
    /// This one is about to replace it.
    Claimed(Owner),
    /// It is another lock by now.
    Changed,
}

/// Replaces the lock of `other`, who is dead, by that of `me`, unless it is another one by now.
fn follow(path: &Path, other: &Owner, me: &Owner, judge: Judge<'_>) -> Result<Succession> {
    let claims = match claim(path, other, me, judge)? {
        Claim::Ours(claims) => claims,
        Claim::Others(by) => return Ok(Succession::Claimed(by)),
        Claim::Changed => return Ok(Succession::Changed),
    };
    between();
    let replaced = match read(path) {
        Ok(Some(owner)) if owner == *other => {
            between();
            replace(path, me).map(|()| Succession::Ours)
        }
        Ok(_) => Ok(Succession::Changed),
        Err(e) => Err(e),
    };
    let_go(&claims);
    replaced
}

enum Claim {
    /// Ours; below it those of dead jobs that wanted the same, from the lock's upwards.
    Ours(Vec<PathBuf>),
    /// Somebody else's, who is not known to be dead.
    Others(Owner),
    /// It came or went meanwhile.
    Changed,
}

/// Claims the lock at `path` that `holder` holds.
fn claim(path: &Path, holder: &Owner, me: &Owner, judge: Judge<'_>) -> Result<Claim> {
    let mut below: Vec<(PathBuf, Owner)> = Vec::new();
    let mut subject = holder.clone();
    // A claim upon a claim upon a claim...: as many jobs as that died within the same moments.
    for _ in 0..RACES {
        let file = claim_of(path, &subject);
        if place(path, &file, me)? {
            let mut claims = vec![file.clone()];
            for (dead, owner) in &below {
                if !matches!(read(dead), Ok(Some(now)) if now == *owner) {
                    let_go(&claims);
                    return Ok(Claim::Changed);
                }
            }
            claims.splice(0..0, below.into_iter().map(|(dead, _)| dead));
            return Ok(Claim::Ours(claims));
        }
        match read(&file)? {
            None => return Ok(Claim::Changed),
            Some(owner) if judge(&owner).is_some() => {
                subject = owner.clone();
                below.push((file, owner));
            }
            Some(owner) => return Ok(Claim::Others(owner)),
        }
    }
    Ok(Claim::Changed)
}

/// Removes claims; ours, the last, keeps others away from those below it.
fn let_go(claims: &[PathBuf]) {
    for claim in claims {
        let _ = fs::remove_file(claim);
    }
}

fn claim_of(path: &Path, holder: &Owner) -> PathBuf {
    beside(path, &format!(".after-{}", holder.key()))
}

/// Where a test may lose time.
fn between() {
    #[cfg(test)]
    tests::lose_time();
}

/// A file of `owner` beside the lock at `path`, complete and on the disk, that nobody looks at yet.
fn write_aside(path: &Path, owner: &Owner) -> std::io::Result<PathBuf> {
    let aside = beside(path, &format!(".new-{}", owner.key()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&aside)?;
    let written = file
        .write_all(&serde_json::to_vec(owner)?)
        .and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(&aside);
    }
    written.map(|()| aside)
}

/// Puts `owner` into the new file `at`; false when there is one already.
fn place(lock: &Path, at: &Path, owner: &Owner) -> Result<bool> {
    let unwritable = |e: std::io::Error| unwritable(at, &e);
    loop {
        let aside = write_aside(lock, owner).map_err(unwritable)?;
        between();
        let linked = fs::hard_link(&aside, at);
        let _ = fs::remove_file(&aside);
        let Err(e) = linked else { return Ok(true) };
        match e.kind() {
            // A network file system may say so of a request that it has answered before.
            ErrorKind::AlreadyExists => return Ok(read(at)?.is_some_and(|there| there == *owner)),
            // Taken for a dead job's.
            ErrorKind::NotFound
                if at
                    .parent()
                    .is_some_and(|p| p == Path::new("") || p.is_dir()) => {}
            ErrorKind::PermissionDenied | ErrorKind::Unsupported | ErrorKind::TooManyLinks => {
                return place_without_links(at, owner).map_err(unwritable);
            }
            _ => match e.raw_os_error() {
                // What Linux says where there are no links (link(2)): EPERM, ENOSYS.
                Some(1 | 38) => return place_without_links(at, owner).map_err(unwritable),
                _ => return Err(unwritable(e)),
            },
        }
    }
}

/// For a moment the file is there and empty: see [`read`].
fn place_without_links(at: &Path, owner: &Owner) -> std::io::Result<bool> {
    let mut file = match OpenOptions::new().write(true).create_new(true).open(at) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => return Ok(false),
        other => other?,
    };
    let written = file
        .write_all(&serde_json::to_vec(owner)?)
        .and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(at);
    }
    written.map(|()| true)
}

fn replace(path: &Path, owner: &Owner) -> Result<()> {
    loop {
        let replaced = write_aside(path, owner).and_then(|aside| fs::rename(aside, path));
        match replaced {
            // Taken for a dead job's, see `clear_up`.
            Err(e) if e.kind() == ErrorKind::NotFound && path.exists() => {}
            other => return other.map_err(|e| unwritable(path, &e)),
        }
    }
}

/// Who stands in a lock or claim; `None` when there is none.
fn read(path: &Path) -> Result<Option<Owner>> {
    let begun = SystemTime::now();
    loop {
        match fs::read(path) {
            Ok(text) => {
                if let Ok(owner) = serde_json::from_slice(&text) {
                    return Ok(Some(owner));
                }
            }
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(unwritable(path, &e)),
        }
        // Somebody may be writing it.
        if begun.elapsed().is_ok_and(|time| time > UNFINISHED) {
            return Err(Error::failure(format!(
                "{}: not a lock of framewise; remove it if no job is writing",
                path.display()
            )));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_left_over(path: &Path, me: &Owner) -> bool {
    let owner = fs::read(path)
        .ok()
        .and_then(|text| serde_json::from_slice::<Owner>(&text).ok());
    let arriving = path.to_string_lossy().contains(".lock.new-");
    match owner.map(|owner| owner.fate_nearby(me)) {
        Some(Fate::Dead(_)) => true,
        Some(Fate::Alive) => false,
        // Killed before it was written; or its writer writes it again.
        None if arriving => true,
        _ => fs::metadata(path)
            .and_then(|meta| meta.modified())
            .is_ok_and(|age| age.elapsed().is_ok_and(|age| age > FORGOTTEN)),
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

/// What a job is told that may not write.
pub fn held(result: &Path, other: &Owner, me: &Owner) -> Error {
    let unseen = if other.fate_nearby(me) == Fate::Unknown {
        ", which cannot be seen from this host"
    } else {
        ""
    };
    Error::failure(format!(
        "{} is being written by {}{unseen}; wait for it, or remove {} if that job is gone",
        result.display(),
        other.shown(),
        path_of(result).display()
    ))
}

#[cfg(test)]
mod tests;
