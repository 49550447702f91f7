//! A file that rank 0 puts into the folder, for all nodes to see: do they mean the same folder?

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use tempfile::NamedTempFile;

use crate::adapters::mpi::MpiRanks;
use crate::adapters::owner::Owner;
use crate::engine::ports::Ranks;

/// How long a node may take to see it: clients of NFS keep what they know of a folder for up to a minute, but look again
/// for a name that they have never seen.
const PATIENCE: Duration = Duration::from_secs(5);
/// How its name begins.
const PREFIX: &str = ".framewise-doctor-";
/// One so much older than another was left behind by a `doctor` that was killed.
const LEFT_BEHIND: Duration = Duration::from_mins(10);

/// The file as one rank knows it.
pub(super) struct Probe {
    path: PathBuf,
    content: String,
    /// Rank 0's, which removes it in the end.
    _file: Option<NamedTempFile>,
}

impl Probe {
    /// Puts it there; `None` where rank 0 cannot, which is told elsewhere. Collective.
    pub fn put(folder: &Path, ranks: &mut MpiRanks) -> Option<Self> {
        let content = Owner::this_process().key();
        let file = (ranks.rank() == 0).then(|| write(folder, &content).ok());
        let file = file.flatten();
        // A name and what is in it, both without spaces: the folder is every rank's own.
        let name = file.as_ref().and_then(|file| file.path().file_name());
        let name = name.map(|name| name.to_string_lossy().into_owned());
        let told = name.map_or_else(String::new, |name| format!("{name} {content}"));
        let told = ranks.tell(0, &told);
        told.split_once(' ').map(|(name, content)| Self {
            path: folder.join(name),
            content: content.to_owned(),
            _file: file,
        })
    }

    /// Why this node does not see it as it was written.
    pub fn look(&self) -> Option<String> {
        let begun = Instant::now();
        loop {
            let why = match std::fs::read_to_string(&self.path) {
                Ok(text) if text == self.content => return None,
                Ok(_) => "a file that rank 0 has written there reads differently".to_owned(),
                Err(e) => format!("a file that rank 0 has put there is not seen: {e}"),
            };
            if begun.elapsed() > PATIENCE {
                return Some(why);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn write(folder: &Path, content: &str) -> std::io::Result<NamedTempFile> {
    let builder = tempfile::Builder::new().prefix(PREFIX).tempfile_in(folder);
    let mut file = builder?;
    file.write_all(content.as_bytes())?;
    file.as_file().sync_all()?;
    remove_what_was_left(folder, file.as_file().metadata()?.modified()?);
    Ok(file)
}

/// As far as they may be removed; `now` by the clock of the file system.
fn remove_what_was_left(folder: &Path, now: SystemTime) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let made = entry.metadata().and_then(|data| data.modified()).ok();
        let age = made.and_then(|made| now.duration_since(made).ok());
        if age.is_some_and(|age| age > LEFT_BEHIND) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
