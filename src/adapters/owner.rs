//! Who holds a lock or a lease, and whether that process still lives.

use std::fs;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::batch::{self, Batch};

/// A process, in words that mean something on other hosts and after a reboot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Host name of rank 0.
    pub host: String,
    /// Process id of rank 0.
    pub pid: u32,
    /// When that process started, in clock ticks since boot: tells a reused pid.
    #[serde(default)]
    pub started: u64,
    /// SLURM, PBS or LSF job, empty outside.
    #[serde(default)]
    pub job: String,
    /// Rises with every takeover. It is for people: what fences an orphan is the token.
    #[serde(default)]
    pub epoch: u64,
    /// Which batch system knows the job.
    #[serde(default)]
    pub batch: Option<Batch>,
    /// How often the batch system has started that job again.
    #[serde(default)]
    pub restarts: u64,
    /// The boot of that host: a process of an earlier boot is dead.
    #[serde(default)]
    pub boot: String,
    /// The process id namespace: in another one (a container) the pid says nothing.
    #[serde(default)]
    pub space: String,
    /// Drawn anew for every lock and lease, never twice: two that look alike are the same.
    #[serde(default)]
    pub token: String,
    /// With `shared`: how often the lock is touched at least, in milliseconds.
    #[serde(default)]
    pub beat: u64,
    /// Held for a commit by one of several jobs that share the result, not for the life of one job.
    #[serde(default)]
    pub shared: bool,
}

/// What is known about the life of an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It lives.
    Alive,
    /// It is dead, and how that is known.
    Dead(String),
    /// It cannot be seen from here.
    Unknown,
}

impl Owner {
    /// This process, with a new token.
    pub fn this_process() -> Self {
        let pid = std::process::id();
        let (batch, job, restarts) = batch::this_job();
        let mut owner = Self {
            host: host(),
            pid,
            started: start_of(pid).unwrap_or(0),
            job,
            epoch: 1,
            batch,
            restarts,
            boot: line_of("/proc/sys/kernel/random/boot_id"),
            space: pid_namespace(),
            token: String::new(),
            beat: 0,
            shared: false,
        };
        owner.renew();
        owner
    }

    /// Draws another token.
    pub fn renew(&mut self) {
        // Each is seeded by the system's random numbers.
        let draw = || RandomState::new().build_hasher().finish();
        let place = format!("{} {} {} {}", self.host, self.boot, self.space, self.pid);
        self.token = format!("{:016x}{:016x}", draw() ^ xxh3_64(place.as_bytes()), draw());
    }

    /// A name for files about this owner, whatever stands in its token.
    pub fn key(&self) -> String {
        let Self {
            host,
            pid,
            started,
            epoch,
            token,
            ..
        } = self;
        let all = format!("{token} {host} {pid} {started} {epoch}");
        format!("{:016x}", xxh3_64(all.as_bytes()))
    }

    /// For messages: `pid 17 on node4, job 2301`.
    pub fn shown(&self) -> String {
        let job = match self.job.as_str() {
            "" => String::new(),
            job => format!(", job {job}"),
        };
        format!("pid {} on {}{job}", self.pid, self.host)
    }

    /// Whether it lives, as far as can be seen from this process without asking anybody.
    pub fn fate_nearby(&self, here: &Self) -> Fate {
        let known = |a: &str, b: &str| !a.is_empty() && !b.is_empty();
        if self.job == here.job && self.batch.is_some() && self.restarts < here.restarts {
            return Fate::Dead(format!("job {} has been started again since", self.job));
        }
        if self.host != here.host {
            return Fate::Unknown;
        }
        if known(&self.boot, &here.boot) && self.boot != here.boot {
            // Many machines may go by this name.
            if self.host.starts_with("localhost") {
                return Fate::Unknown;
            }
            return Fate::Dead("the host has been started again since".into());
        }
        if known(&self.space, &here.space) && self.space != here.space {
            return Fate::Unknown;
        }
        if start_of(self.pid) == Some(self.started) {
            Fate::Alive
        } else {
            Fate::Dead(String::new())
        }
    }

    /// Whether it lives; asks the batch system where that is the only one to know.
    pub fn fate(&self, here: &Self) -> Fate {
        match self.fate_nearby(here) {
            Fate::Unknown => match self.batch {
                Some(batch) if batch.says_over(&self.job) == Some(true) => Fate::Dead(format!(
                    "job {} is over, says {}",
                    self.job,
                    batch.command()
                )),
                _ => Fate::Unknown,
            },
            known => known,
        }
    }
}

/// This process in a few letters, for the name of a file that is nobody's but its own.
pub fn trace() -> String {
    let pid = std::process::id();
    let started = start_of(pid).unwrap_or(0);
    format!("{:08x}-{pid}-{started}", xxh3_64(host().as_bytes()) as u32)
}

/// Whether the process of a [`trace`] was one of this host and lives no more.
pub fn is_gone(trace: &str) -> bool {
    let mut parts = trace.split('-');
    let here = format!("{:08x}", xxh3_64(host().as_bytes()) as u32);
    let (Some(host), Some(pid), Some(started), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let (Ok(pid), Ok(started)) = (pid.parse(), started.parse::<u64>()) else {
        return false;
    };
    host == here && start_of(pid) != Some(started)
}

/// The name of this host.
pub fn host() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

fn line_of(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| String::new(), |text| text.trim().to_owned())
}

fn pid_namespace() -> String {
    fs::read_link("/proc/self/ns/pid").map_or_else(
        |_| String::new(),
        |name| name.to_string_lossy().into_owned(),
    )
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
    fn death_is_seen_where_it_can_be_and_never_guessed() {
        let here = Owner::this_process();
        let dead = |owner: &Owner| matches!(owner.fate_nearby(&here), Fate::Dead(_));
        let like = |change: &dyn Fn(&mut Owner)| {
            let mut owner = here.clone();
            change(&mut owner);
            owner
        };
        assert_eq!(here.fate_nearby(&here), Fate::Alive);
        assert!(dead(&like(&|o| o.started = 1)), "the pid is another's now");
        assert!(dead(&like(&|o| o.pid = 1 << 30)), "no such process");
        assert!(dead(&like(&|o| o.boot = "an earlier one".into())));
        let far = |o: &mut Owner| o.host = "elsewhere".into();
        assert_eq!(like(&far).fate_nearby(&here), Fate::Unknown);
        let contained = like(&|o| {
            o.space = "pid:[1]".into();
            o.started = 1;
        });
        assert_eq!(contained.fate_nearby(&here), Fate::Unknown);
        let namesakes = |o: &mut Owner| {
            o.host = "localhost".into();
            o.boot = "another".into();
        };
        let local = like(&|o| o.host = "localhost".into());
        assert_eq!(like(&namesakes).fate_nearby(&local), Fate::Unknown);
    }

    /// A node is lost, SLURM starts the job again elsewhere, and the old processes live on as orphans.
    #[test]
    fn an_earlier_start_of_the_same_job_is_over() {
        let job = |host: &str, restarts| Owner {
            host: host.into(),
            job: "77".into(),
            batch: Some(Batch::Slurm),
            restarts,
            ..Owner::default()
        };
        let now = job("n2", 1);
        assert!(matches!(job("n1", 0).fate_nearby(&now), Fate::Dead(_)));
        // Another step of the same job.
        assert_eq!(job("n1", 1).fate_nearby(&now), Fate::Unknown);
    }

    #[test]
    fn tokens_differ() {
        let mut owner = Owner::this_process();
        let mut tokens = std::collections::BTreeSet::new();
        for _ in 0..1000 {
            owner.renew();
            assert!(tokens.insert(owner.token.clone()));
        }
    }
}
