//! Files that appear complete or not at all: temporary name in the same directory, sync, rename, sync the
//! directory.

use std::fs::File;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::adapters::{owner, write_back};
use crate::domain::error::{Error, Result};

/// Characters of a target's name that are part of the temporary one.
const LONGEST: usize = 40;
/// How temporary names end.
const SUFFIX: &str = ".partial";

/// A file under a temporary name; it vanishes unless it is [published](Self::publish).
#[derive(Debug)]
pub struct WholeFile {
    temporary: NamedTempFile,
    target: PathBuf,
    overwrite: bool,
}

impl WholeFile {
    /// Begins a file that will be `target`. Refuses an existing one unless `overwrite`, and a target that is
    /// one of `inputs` under whatever name.
    pub fn create(target: &Path, overwrite: bool, inputs: &[PathBuf]) -> Result<Self> {
        let shown = target.display();
        if let Ok(there) = std::fs::metadata(target) {
            let identity = |m: &std::fs::Metadata| (m.dev(), m.ino());
            for input in inputs {
                if std::fs::metadata(input).is_ok_and(|m| identity(&m) == identity(&there)) {
                    return Err(Error::usage(format!(
                        "{shown}: output and input {} are the same file; choose another name with -o",
                        input.display()
                    )));
                }
            }
            if there.is_dir() {
                return Err(Error::usage(format!(
                    "{shown}: is a directory; give the name of a file with -o"
                )));
            }
            if !overwrite {
                return Err(Error::usage(format!(
                    "{shown}: exists already; choose another name, or --overwrite to replace it"
                )));
            }
        }
        let name = target
            .file_name()
            .ok_or_else(|| Error::usage(format!("{shown}: is not the name of a file")))?
            .to_string_lossy();
        // Names have an end.
        let name: String = name.chars().take(LONGEST).collect();
        let prefix = format!(".{name}.");
        tidy(directory(target), &prefix);
        let temporary = tempfile::Builder::new()
            .prefix(&format!("{prefix}{}.", owner::trace()))
            .suffix(SUFFIX)
            .permissions(std::fs::Permissions::from_mode(0o666))
            .tempfile_in(directory(target))
            .map_err(|e| {
                // The error's own text names the temporary file, which is nobody's concern.
                Error::failure(match e.kind() {
                    std::io::ErrorKind::NotFound => format!(
                        "{}: no such directory; create it or choose another name with -o",
                        directory(target).display()
                    ),
                    kind => {
                        format!("{shown}: cannot be created: {kind}; choose another name with -o")
                    }
                })
            })?;
        Ok(Self {
            temporary,
            target: target.to_owned(),
            overwrite,
        })
    }

    /// The temporary name.
    pub fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// The temporary file.
    pub fn file(&mut self) -> &mut File {
        self.temporary.as_file_mut()
    }

    /// The disk may begin with what has been written so far: less to wait for at the end.
    pub fn begin_write_back(&self) {
        write_back::begin(self.temporary.as_file());
    }

    /// Syncs the file and gives it its name.
    pub fn publish(self) -> Result<()> {
        let shown = self.target.display().to_string();
        let failed =
            |e: std::io::Error| Error::failure(format!("{shown}: cannot be completed: {e}"));
        self.temporary.as_file().sync_all().map_err(failed)?;
        let renamed = if self.overwrite {
            self.temporary.persist(&self.target)
        } else {
            self.temporary.persist_noclobber(&self.target)
        };
        renamed.map_err(|e| failed(e.error))?;
        File::open(directory(&self.target))
            .and_then(|d| d.sync_all())
            .map_err(failed)
    }
}

/// Removes the temporary files of processes of this host that were killed.
fn tidy(folder: &Path, prefix: &str) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let inner = name
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_suffix(SUFFIX));
        let trace = inner.and_then(|inner| inner.split('.').next());
        if trace.is_some_and(owner::is_gone) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Gives the file at `from` the name `to`, of the same directory: sync, rename, sync the directory.
pub fn replace(from: &Path, to: &Path) -> std::io::Result<()> {
    File::open(from)?.sync_all()?;
    std::fs::rename(from, to)?;
    // Some network file systems cannot sync a directory; the rename has happened all the same.
    let _ = File::open(directory(to))?.sync_all();
    Ok(())
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}
