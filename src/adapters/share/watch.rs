//! Whether other jobs live, by what can be seen of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crate::adapters::owner::{Fate, Owner};

/// Owners that are remembered.
const MOST_SEEN: usize = 4096;

/// Watches files of others, to see whether they are touched.
pub(super) struct Watch {
    pub(super) me: Owner,
    patience: Duration,
    seen: BTreeMap<String, Sighting>,
}

struct Sighting {
    modified: Option<SystemTime>,
    since: Instant,
}

impl Watch {
    pub(super) fn new(me: Owner, patience: Duration) -> Self {
        Self {
            me,
            patience,
            seen: BTreeMap::new(),
        }
    }

    /// Whether the owner is known to be dead, and how. The batch system is asked once.
    pub(super) fn is_dead(&mut self, owner: &Owner) -> Option<String> {
        let fate = if self.seen.contains_key(&owner.key()) {
            owner.fate_nearby(&self.me)
        } else {
            owner.fate(&self.me)
        };
        self.seen.entry(owner.key()).or_insert(Sighting {
            modified: None,
            since: Instant::now(),
        });
        match fate {
            Fate::Dead(why) => Some(why),
            _ => None,
        }
    }

    /// Whether it is known to be dead, or has not touched `file` for as long as patience lasts.
    pub(super) fn is_gone(&mut self, owner: &Owner, file: &Path, beat: f64) -> Option<String> {
        if let Some(why) = self.is_dead(owner) {
            return Some(why);
        }
        let silence = self.silence(&owner.key(), file);
        let enough = self
            .patience
            .max(Duration::try_from_secs_f64(beat * 4.0).unwrap_or_default());
        (silence > enough).then(|| format!("has shown no life for {:.0} s", silence.as_secs_f64()))
    }

    fn silence(&mut self, key: &str, file: &Path) -> Duration {
        // A file is opened so that a network file system looks again.
        let modified = fs::File::open(file)
            .and_then(|f| f.metadata()?.modified())
            .ok();
        let now = Instant::now();
        // Every lock has a key of its own.
        if self.seen.len() > MOST_SEEN {
            self.seen.clear();
        }
        let sighting = self.seen.entry(key.to_owned()).or_insert(Sighting {
            modified,
            since: now,
        });
        if sighting.modified != modified {
            (sighting.modified, sighting.since) = (modified, now);
        }
        sighting.since.elapsed()
    }

    /// Whether `file` has been touched since it was first asked for.
    pub(super) fn changes(&mut self, file: &Path) -> bool {
        let key = file.to_string_lossy().into_owned();
        let known = self.seen.get(&key).map(|s| s.modified);
        self.silence(&key, file);
        known.is_some_and(|before| before != self.seen[&key].modified)
    }
}
