//! The process environment, set once before anything else runs.
//!
//! The only `unsafe` here is `std::env::set_var`.

use std::ffi::OsStr;
use std::process::Command;
use std::sync::OnceLock;

use crate::adapters::mpi::launcher;
use crate::adapters::mpi::quick_start::{self, Settings};

/// Variables and the values they get unless the user has set them.
///
/// `OpenMP`, `OpenBLAS` and MKL read theirs when they are loaded, later than `main` begins. framewise brings its own
/// parallelism (ranks and workers); a library that starts one thread per core in each of them makes everybody
/// slower, and with more than one OpenMP thread the last bit of xtb's gradient changes from run to run.
///
/// HDF5's own file locks would make readers and a run block each other, and fail on file systems without locks;
/// `RESULT.lock` guards writers instead.
///
/// Open MPI's I/O layer looks for a way to share file pointers, which nobody here uses, at each opening; one of the
/// ways tries locks in a file `RESULT.locktest.RANK`, which a kill leaves behind.
///
/// The same layer reads what lies between short pieces of a collective write and writes it back: rows of other frames,
/// which may be on their way from somebody else.
pub const VARIABLES: [(&str, &str); 6] = [
    ("OMP_NUM_THREADS", "1"),
    ("OPENBLAS_NUM_THREADS", "1"),
    ("MKL_NUM_THREADS", "1"),
    ("HDF5_USE_FILE_LOCKING", "FALSE"),
    ("OMPI_MCA_sharedfp", "^lockedfile"),
    ("OMPI_MCA_fbtl_posix_write_datasieving", "0"),
];

/// What was set for the MPI of this process alone.
static OWN: OnceLock<Settings> = OnceLock::new();

/// A command that other programs may be: what [`prepare`] chose for the MPI of this process is not meant for theirs.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in OWN.get().into_iter().flatten() {
        command.env_remove(name);
    }
    command
}

/// What lets MPI start quickly where this job is.
fn quick_start() -> Settings {
    let variable = |name: &str| std::env::var(name).ok();
    if !launcher::is_on_one_node(variable) {
        return Vec::new();
    }
    let files = quick_start::parameter_files(variable);
    let texts = files
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok());
    quick_start::settings(variable, texts)
}

/// Sets [`VARIABLES`] and what lets MPI start quickly unless the user has set them. Call it first thing in `main`.
///
/// Returns false, and changes nothing, when the process already has other threads (changing the environment
/// then is a data race) or when that cannot be found out (`/proc` is missing).
pub fn prepare() -> bool {
    let alone = std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1);
    if !alone {
        return false;
    }
    let is_set = |name: &str| std::env::var_os(name).is_some();
    let own = quick_start();
    let unset = VARIABLES.into_iter().filter(|(name, _)| !is_set(name));
    for (name, value) in unset.chain(own.iter().copied()) {
        // SAFETY: this is the only thread of the process (checked above), so nobody reads or writes
        // the environment at the same time.
        unsafe { std::env::set_var(name, value) };
    }
    let _ = OWN.set(own);
    true
}

/// Variables with which engines are told to use several threads.
const ENGINE_THREADS: [&str; 3] = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"];

/// The variable that asks for most threads in each engine, and how many, where any asks for more than one. Of a list for
/// nested levels (`OMP_NUM_THREADS=4,2`) the first number counts.
pub fn engine_threads() -> Option<(&'static str, usize)> {
    most_threads(|name| std::env::var(name).ok())
}

fn most_threads(variable: impl Fn(&str) -> Option<String>) -> Option<(&'static str, usize)> {
    let asked = ENGINE_THREADS.into_iter().filter_map(|name| {
        let text = variable(name)?;
        let threads = text.split(',').next()?.trim().parse::<usize>().ok()?;
        (threads > 1).then_some((name, threads))
    });
    // The first of equal ones.
    asked.rev().max_by_key(|(_, threads)| *threads)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_variable_that_asks_for_most_threads_is_named() {
        let with = |set: &[(&str, &str)]| {
            super::most_threads(|name| {
                let found = set.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(with(&[("OMP_NUM_THREADS", "1")]), None);
        assert_eq!(with(&[("OMP_NUM_THREADS", "")]), None);
        let nested = with(&[("OMP_NUM_THREADS", "4,2"), ("MKL_NUM_THREADS", "4")]);
        assert_eq!(nested, Some(("OMP_NUM_THREADS", 4)));
        let blas = with(&[("OPENBLAS_NUM_THREADS", "8"), ("OMP_NUM_THREADS", "2")]);
        assert_eq!(blas, Some(("OPENBLAS_NUM_THREADS", 8)));
    }

    #[test]
    fn a_process_with_threads_is_left_alone() {
        // The test harness runs this on a second thread.
        let before: Vec<_> = std::env::vars_os().collect();
        assert!(!super::prepare());
        assert_eq!(std::env::vars_os().collect::<Vec<_>>(), before);
    }
}
