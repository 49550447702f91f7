//! Several jobs that fill one result at once: `RESULT.shared/`, one small file per job.
//!
//! The file of a job is its lease: who it is and which frames it computes. Leases are written and judged only under
//! `RESULT.lock`, which is held for the moment of a claim, for a commit and for the close of the file, never
//! for the time of a computation. So no frame is in two leases, no history slot belongs to two jobs, and all writes to the
//! result (MPI-IO may read, change and write whole blocks) happen one job at a time.
//!
//! A job on this host is dead when its process is; any other one when the batch system says so, or when its file
//! has not been touched for a while *by the watch of the one who looks*: clocks of several hosts are never compared. A
//! job that was taken for dead and wakes up finds its lease gone before it writes, and lets its results go.

mod heart;
mod watch;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::domain::error::{Error, Result};
use crate::engine::ports::More;
use crate::planning::frame_set::FrameSet;
use crate::planning::lease::Terms;

use super::lock::{Attempt, Lock, beside, held, path_of};
use super::owner::{Fate, Owner};
use heart::Heart;
use watch::Watch;

/// What stands in a lease file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Lease {
    owner: Owner,
    /// Number of the run in the history.
    run: u64,
    /// Worker threads of the job.
    workers: u64,
    /// How often the file is touched at least, in seconds.
    beat: f64,
    /// The frames, as `FrameSet::encode` writes them.
    frames: String,
}

impl Lease {
    fn frames(&self) -> FrameSet {
        FrameSet::decode(&self.frames).unwrap_or_default()
    }
}

/// What a job brings when it joins.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Worker threads on all ranks.
    pub workers: u64,
    /// How long a lease should take.
    pub wanted: Duration,
    /// How long a job may show no life before it is taken for dead.
    pub patience: Duration,
}

/// This job among those that share a result. Dropping it gives the lease back.
pub struct Member {
    result: PathBuf,
    file: PathBuf,
    lease: Lease,
    bring: Part,
    lock: Option<Lock>,
    /// The lock is wanted since, and somebody else has it.
    waits: Option<Instant>,
    watch: Watch,
    heart: Option<Heart>,
    /// Frames not known to be done.
    left: FrameSet,
    /// When the lease was claimed, and its size.
    claimed: Option<(Instant, u64)>,
    /// Since when it waits for its turn, or writes, and how long it has done so in this lease.
    away: (Option<Instant>, Duration),
    /// Frames of the lease before, its seconds, and those of them that it was away.
    last: (u64, f64, f64),
    asked: Option<Instant>,
    said: bool,
}

/// Heartbeats in the time after which a job is taken for dead.
const BEATS: u32 = 6;
/// Time between two questions whether others have left frames.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// Shortest and longest pause while another job has the lock.
const PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

fn folder_of(result: &Path) -> PathBuf {
    beside(result, ".shared")
}

impl Member {
    /// Joins the jobs that share `result` and holds the lock until [`release`](Self::release); `None` when `stop` says so
    /// while others have the lock (the first is creating the file).
    pub fn join(result: &Path, bring: Part, stop: &dyn Fn() -> bool) -> Result<Option<Self>> {
        let owner = Owner {
            shared: true,
            beat: (bring.patience / BEATS).as_millis() as u64,
            ..Owner::this_process()
        };
        let file = folder_of(result).join(format!("{}.json", owner.key()));
        let beat = bring.patience / BEATS;
        let heart = Heart::start(file.clone(), path_of(result), beat)
            .map_err(|e| Error::failure(format!("cannot start a thread: {e}")))?;
        let mut member = Self {
            result: result.to_owned(),
            file,
            lease: Lease {
                workers: bring.workers,
                beat: beat.as_secs_f64(),
                owner: owner.clone(),
                ..Lease::default()
            },
            bring,
            lock: None,
            waits: None,
            watch: Watch::new(owner, bring.patience),
            heart: Some(heart),
            left: FrameSet::empty(),
            claimed: None,
            away: (None, Duration::ZERO),
            last: (0, 0.0, 0.0),
            asked: None,
            said: false,
        };
        let mut pause = PAUSE.0;
        while let Some(other) = member.try_lock()? {
            if !other.shared {
                return Err(held(result, &other, &member.lease.owner));
            }
            if stop() {
                return Ok(None);
            }
            member.wait_a_little(&mut pause, &other, "to let others write");
        }
        if let Some(lock) = &member.lock {
            lock.clear_up();
        }
        member.others()?;
        member.write()?;
        Ok(Some(member))
    }

    /// Gives this run its number in the history: `next`, or the first after it that no other job has.
    pub fn number(&mut self, next: u64) -> Result<u64> {
        let others = self.others()?;
        self.lease.run = others.iter().map(|l| l.run + 1).fold(next, u64::max);
        self.write()?;
        Ok(self.lease.run)
    }

    /// Number of this run in the history.
    pub fn run(&self) -> u64 {
        self.lease.run
    }

    /// Whether other jobs share the result now.
    pub fn in_company(&mut self) -> Result<bool> {
        Ok(!self.others()?.is_empty())
    }

    /// Which frames are to be done, by all jobs together.
    pub fn set_left(&mut self, left: FrameSet) {
        self.left = left;
    }

    /// Waits for the lock and takes it. False when our lease has been taken from us: then nothing is to be written.
    pub fn turn(&mut self, meanwhile: &mut dyn FnMut()) -> Result<bool> {
        if !self.still_ours() {
            return Ok(self.say_lost());
        }
        self.settle(meanwhile)?;
        if !self.still_ours() {
            self.release();
            return Ok(self.say_lost());
        }
        Ok(true)
    }

    /// Waits for the lock and takes it, with or without a lease.
    pub fn settle(&mut self, meanwhile: &mut dyn FnMut()) -> Result<()> {
        if let Some(lock) = &self.lock {
            return lock.check();
        }
        let begun = Instant::now();
        self.away.0 = Some(begun);
        let mut pause = PAUSE.0;
        while let Some(other) = self.try_lock()? {
            // One that wants the result for itself goes away when it sees us, unless we were taken for dead.
            if !other.shared && begun.elapsed() > self.bring.patience {
                return Err(held(&self.result, &other, &self.lease.owner));
            }
            meanwhile();
            self.wait_a_little(&mut pause, &other, "to let this job write");
        }
        Ok(())
    }

    /// May this job still write? Only while the lock is ours.
    pub fn check(&self) -> Result<()> {
        match &self.lock {
            Some(lock) => lock.check(),
            None => Err(Error::failure(format!(
                "{}: this job does not hold the lock",
                path_of(&self.result).display()
            ))),
        }
    }

    /// Lets others write.
    pub fn release(&mut self) {
        if let Some(heart) = &self.heart {
            heart.holds(false);
        }
        self.lock = None;
        if let Some(since) = self.away.0.take() {
            self.away.1 += since.elapsed();
        }
    }

    /// Claims frames. `undone` looks which of the frames it is given are still to be done; it is called under the
    /// lock.
    pub fn claim(&mut self, undone: &mut dyn FnMut(&FrameSet) -> Result<FrameSet>) -> Result<More> {
        if let Some((begun, frames)) = self.claimed.take() {
            let away = std::mem::take(&mut self.away.1);
            self.last = (frames, begun.elapsed().as_secs_f64(), away.as_secs_f64());
        }
        if self.asked.is_some_and(|when| when.elapsed() < ASK_AGAIN) {
            return Ok(More::Wait);
        }
        if let Some(other) = self.try_lock()? {
            if self
                .waits
                .is_some_and(|since| since.elapsed() > self.bring.patience)
                && !other.shared
            {
                return Err(held(&self.result, &other, &self.lease.owner));
            }
            return Ok(More::Wait);
        }
        let claim = self.claim_locked(undone);
        // Stopped for long, and taken for dead, anywhere in between: what was claimed may be another job's by now.
        let claim = if self.check().is_ok() {
            claim
        } else {
            let _ = fs::remove_file(&self.file);
            self.asked = None;
            self.say_lost();
            Ok(More::Wait)
        };
        self.release();
        claim
    }

    fn claim_locked(
        &mut self,
        undone: &mut dyn FnMut(&FrameSet) -> Result<FrameSet>,
    ) -> Result<More> {
        self.left = undone(&self.left)?;
        let others = self.others()?;
        let theirs: Vec<_> = others.iter().map(Lease::frames).collect();
        let free = self.left.difference(&FrameSet::union(&theirs));
        let workers = self.lease.workers;
        let terms = Terms {
            workers,
            all_workers: workers + others.iter().map(|l| l.workers).sum::<u64>(),
            last: self.last.0,
            took: self.last.1,
            overhead: self.last.2,
            wanted: self.bring.wanted.as_secs_f64(),
        };
        let frames = terms.take(&free);
        // Ours may have been given away while we were taken for dead.
        if others.iter().any(|l| l.run == self.lease.run) {
            self.lease.run = others.iter().map(|l| l.run + 1).fold(1, u64::max);
        }
        self.lease.frames = frames.encode();
        self.write()?;
        if self.left.is_empty() {
            return Ok(More::Nothing);
        }
        if frames.is_empty() {
            self.asked = Some(Instant::now());
            if !self.said {
                let names: Vec<_> = others.iter().map(|l| l.owner.shown()).collect();
                tracing::info!(
                    "{}: waiting for {} frames that other jobs compute ({})",
                    self.result.display(),
                    self.left.len(),
                    names.join("; ")
                );
            }
            self.said = true;
            return Ok(More::Wait);
        }
        (self.asked, self.said) = (None, false);
        self.claimed = Some((Instant::now(), frames.len()));
        self.away.1 = Duration::ZERO;
        tracing::debug!(frames = %self.lease.frames, "lease");
        Ok(More::Frames(frames))
    }

    /// The leases of all other jobs; those of the dead are removed. Under the lock.
    fn others(&mut self) -> Result<Vec<Lease>> {
        let mut others = Vec::new();
        for (file, lease) in read_all(&self.result)? {
            if file == self.file {
                continue;
            }
            match self.watch.is_gone(&lease.owner, &file, lease.beat) {
                Some(why) => remove_lease(&self.result, &file, &lease, &why),
                None => others.push(lease),
            }
        }
        Ok(others)
    }

    /// Takes the lock, or says who has it.
    fn try_lock(&mut self) -> Result<Option<Owner>> {
        let (watch, path) = (&mut self.watch, path_of(&self.result));
        let mut judge = |owner: &Owner| {
            // The owner of a claim, or of a lock for life: see `Lock::take`.
            if owner.shared {
                // Its own heartbeat counts, which may be slower than ours.
                watch.is_gone(owner, &path, owner.beat as f64 * 1e-3)
            } else {
                watch.is_dead(owner)
            }
        };
        let mut me = self.lease.owner.clone();
        me.renew();
        match Lock::attempt(&self.result, &me, &mut judge)? {
            Attempt::Taken(lock) => {
                self.lock = Some(lock);
                self.waits = None;
                if let Some(heart) = &self.heart {
                    heart.holds(true);
                }
                Ok(None)
            }
            Attempt::Held(other) => {
                self.waits.get_or_insert_with(Instant::now);
                Ok(Some(other))
            }
        }
    }

    fn wait_a_little(&mut self, pause: &mut Duration, other: &Owner, why: &str) {
        let long = self
            .waits
            .is_some_and(|since| since.elapsed() > Duration::from_secs(5));
        if long && !self.said {
            self.said = true;
            tracing::info!(
                "{}: waiting for {} {why}",
                self.result.display(),
                other.shown()
            );
        }
        std::thread::sleep(*pause);
        *pause = (*pause * 2).min(PAUSE.1);
    }

    fn still_ours(&self) -> bool {
        read(&self.file).is_some_and(|lease| lease == self.lease)
    }

    fn say_lost(&mut self) -> bool {
        tracing::warn!(
            "{}: this job showed no life for so long that others have taken its frames; what it has not committed of them is discarded",
            self.result.display()
        );
        self.claimed = None;
        false
    }

    /// Writes the lease, whole or not at all.
    fn write(&self) -> Result<()> {
        let unwritable = |e: std::io::Error| {
            Error::failure(format!("cannot write {}: {e}", self.file.display()))
        };
        let text = serde_json::to_vec(&self.lease).map_err(|e| unwritable(e.into()))?;
        let aside = self.file.with_extension("new");
        for last in [false, true] {
            // A job that leaves removes the folder when it finds it empty.
            fs::create_dir_all(folder_of(&self.result)).map_err(unwritable)?;
            match fs::write(&aside, &text).and_then(|()| fs::rename(&aside, &self.file)) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound && !last => {}
                other => return other.map_err(unwritable),
            }
        }
        Ok(())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.heart = None;
        if self.still_ours() {
            let _ = fs::remove_file(&self.file);
        }
        // Only when it is empty.
        let _ = fs::remove_dir(folder_of(&self.result));
    }
}

/// Before a job takes `result` for itself, whose lock it holds: refuses while jobs that share it are alive, and clears up
/// after dead ones. A job on another host is watched for a while.
pub fn refuse_if_shared(result: &Path, patience: Duration) -> Result<()> {
    let mut watch = Watch::new(Owner::this_process(), patience);
    let mut said = false;
    loop {
        let mut undecided = Vec::new();
        for (file, lease) in read_all(result)? {
            let times = watch.changes(&file);
            match watch.is_gone(&lease.owner, &file, lease.beat) {
                Some(why) => remove_lease(result, &file, &lease, &why),
                None if times || lease.owner.fate_nearby(&watch.me) == Fate::Alive => {
                    return Err(Error::failure(format!(
                        "{} is being filled by {} with --share; wait for it, or join it with --share",
                        result.display(),
                        lease.owner.shown()
                    )));
                }
                None => undecided.push(lease.owner.shown()),
            }
        }
        if undecided.is_empty() {
            let _ = fs::remove_dir(folder_of(result));
            return Ok(());
        }
        if !said {
            said = true;
            tracing::info!(
                "{}: looking whether {} lives, up to {patience:?}",
                result.display(),
                undecided.join("; ")
            );
        }
        std::thread::sleep(PAUSE.1);
    }
}

fn read(file: &Path) -> Option<Lease> {
    serde_json::from_slice(&fs::read(file).ok()?).ok()
}

fn read_all(result: &Path) -> Result<Vec<(PathBuf, Lease)>> {
    let folder = folder_of(result);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::unreadable(&folder, &e)),
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let file = entry.path();
        match read(&file) {
            Some(lease) if file.extension().is_some_and(|e| e == "json") => {
                found.push((file, lease));
            }
            // Somebody is about to write it, or died there: nobody writes without the lock, which is ours.
            _ if file.extension().is_some_and(|e| e == "new") => {
                let _ = fs::remove_file(&file);
            }
            None if file.exists() => {
                return Err(Error::failure(format!(
                    "{}: not a lease of framewise; remove it if no job is writing",
                    file.display()
                )));
            }
            _ => {}
        }
    }
    Ok(found)
}

fn remove_lease(result: &Path, file: &Path, lease: &Lease, why: &str) {
    let why = if why.is_empty() { "is dead" } else { why };
    tracing::warn!(
        "{}: {} {why}; its {} frames are free again",
        result.display(),
        lease.owner.shown(),
        lease.frames().len()
    );
    let _ = fs::remove_file(file);
}
