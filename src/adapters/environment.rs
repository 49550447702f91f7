//! The process environment, set once before anything else runs.
//!
//! The only `unsafe` here is `std::env::set_var`.

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
pub const VARIABLES: [(&str, &str); 5] = [
    ("OMP_NUM_THREADS", "1"),
    ("OPENBLAS_NUM_THREADS", "1"),
    ("MKL_NUM_THREADS", "1"),
    ("HDF5_USE_FILE_LOCKING", "FALSE"),
    ("OMPI_MCA_sharedfp", "^lockedfile"),
];

/// Sets [`VARIABLES`] unless the user has set them. Call it first thing in `main`.
///
/// Returns false, and changes nothing, when the process already has other threads (changing the environment
/// then is a data race) or when that cannot be found out (`/proc` is missing).
pub fn prepare() -> bool {
    let alone = std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1);
    if !alone {
        return false;
    }
    for (name, value) in VARIABLES {
        if std::env::var_os(name).is_none() {
            // SAFETY: this is the only thread of the process (checked above), so nobody reads or writes
            // the environment at the same time.
            unsafe { std::env::set_var(name, value) };
        }
    }
    true
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_process_with_threads_is_left_alone() {
        // The test harness runs this on a second thread.
        let before: Vec<_> = std::env::vars_os().collect();
        assert!(!super::prepare());
        assert_eq!(std::env::vars_os().collect::<Vec<_>>(), before);
    }
}
