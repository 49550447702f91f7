//! The MPI that the program is linked with, and what it takes to start ranks of it.
//!
//! A test that is about one MPI alone asks [`Mpi::linked`], and says why where it does.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rustix::process::getuid;

/// Names the launcher of the MPI with which `FRAMEWISE_PROGRAM` was built.
const LAUNCHER: &str = "FRAMEWISE_LAUNCHER";

/// The rank of a process, as a shell says it: variables of each MPI's own launcher.
pub const RANK: &str = "${OMPI_COMM_WORLD_RANK-$PMI_RANK}";

/// Open MPI's launcher gives the ranks seconds to end when one of them has ended with another code than 0. Where all ranks
/// refuse a command there is nothing to wait for, and hundreds of tests do that.
pub const NO_GRACE: (&str, &str) = ("OMPI_MCA_odls_base_sigkill_timeout", "0");

/// A family of MPI libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mpi {
    /// Open MPI.
    Open,
    /// MPICH and what is made of it.
    Mpich,
}

impl Mpi {
    /// That of the program. The tests are linked with the same one, unless another build of the program was named: then
    /// its launcher tells.
    pub fn linked() -> Self {
        static LINKED: OnceLock<Mpi> = OnceLock::new();
        *LINKED.get_or_init(|| {
            if std::env::var_os("FRAMEWISE_PROGRAM").is_none() {
                return Self::in_words(&framewise::adapters::mpi::library_version());
            }
            let launcher = mpiexec_of(None);
            let asked = Command::new(&launcher).arg("--version").output();
            let asked = asked.unwrap_or_else(|e| panic!("{}: {e}", launcher.display()));
            Self::in_words(&String::from_utf8_lossy(&asked.stdout))
        })
    }

    fn in_words(version: &str) -> Self {
        if version.contains("Open MPI") || version.contains("OpenRTE") {
            Self::Open
        } else {
            Self::Mpich
        }
    }

    /// Its launcher with the flags that more ranks than cores, and root, need.
    pub fn launcher(self) -> (OsString, Vec<&'static str>) {
        let mut flags = Vec::new();
        if self == Self::Open {
            flags.push("--oversubscribe");
            if getuid().is_root() {
                flags.push("--allow-run-as-root");
            }
        }
        (mpiexec_of(Some(self)), flags)
    }

    /// A folder in which its launcher is called `mpiexec`, as where its module was loaded.
    pub fn folder(self) -> &'static Path {
        static FOLDER: OnceLock<PathBuf> = OnceLock::new();
        FOLDER.get_or_init(|| self.make_folder())
    }

    fn make_folder(self) -> PathBuf {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("mpiexec-{self:?}"));
        fs::create_dir_all(&folder).unwrap();
        // No link: Hydra looks for its helpers beside itself. Renamed, since other tests do the same now.
        let script = tempfile::NamedTempFile::new_in(&folder).unwrap();
        // By its bare name: a path would tell Open MPI to put its own folder before all others. A bare `mpiexec` would find this.
        let found = mpiexec_of(Some(self));
        let launcher = match Path::new(&found).file_name() {
            Some(name) if name != "mpiexec" => name.to_string_lossy().into_owned(),
            _ => on_path(&found),
        };
        fs::write(&script, format!("#!/bin/sh\nexec {launcher} \"$@\"\n")).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        // Written and closed before it has the name, or whoever starts it meets ETXTBSY.
        script
            .into_temp_path()
            .persist(folder.join("mpiexec"))
            .unwrap();
        folder
    }
}

/// Where the system finds a program.
fn on_path(program: &OsString) -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| panic!("{} is not on the path", program.display()))
        .display()
        .to_string()
}

/// Where several MPIs are installed, `mpiexec` may be another one's.
fn mpiexec_of(mpi: Option<Mpi>) -> OsString {
    if let Some(launcher) = std::env::var_os(LAUNCHER) {
        return launcher;
    }
    let own = match mpi {
        Some(Mpi::Mpich) => "mpiexec.mpich",
        _ => "mpiexec.openmpi",
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(own))
        .find(|candidate| candidate.is_file())
        .map_or_else(|| "mpiexec".into(), Into::into)
}
