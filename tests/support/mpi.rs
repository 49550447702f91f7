//! The MPI that the program is linked with, and what it takes to start ranks of it.
//!
//! A test that is about one MPI alone asks [`Mpi::linked`], and says why where it does.

use std::ffi::OsString;
use std::process::Command;
use std::sync::OnceLock;

use rustix::process::getuid;

/// Names the launcher of the MPI with which `FRAMEWISE_PROGRAM` was built.
const LAUNCHER: &str = "FRAMEWISE_LAUNCHER";

/// The rank of a process, as a shell says it: variables of each MPI's own launcher.
pub const RANK: &str = "${OMPI_COMM_WORLD_RANK-$PMI_RANK}";

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
