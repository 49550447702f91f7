//! The process environment, set once before anything else runs.
//!
//! The only `unsafe` here is `std::env::set_var`.

/// Variables that the runtimes of `OpenMP`, `OpenBLAS` and MKL read when they are loaded, later than `main` begins.
///
/// framewise brings its own parallelism (ranks and workers); a library that starts one thread per core in each
/// of them makes everybody slower. And with more than one OpenMP thread the last bit of xtb's gradient changes
/// from run to run.
pub const THREAD_VARIABLES: [&str; 3] =
    ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"];

/// Sets [`THREAD_VARIABLES`] to 1 unless the user has set them. Call it first thing in `main`.
///
/// Returns false, and changes nothing, when the process already has other threads (changing the environment
/// then is a data race) or when that cannot be found out (`/proc` is missing).
pub fn prepare() -> bool {
    let alone = std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1);
    if !alone {
        return false;
    }
    for name in THREAD_VARIABLES {
        if std::env::var_os(name).is_none() {
            // SAFETY: this is the only thread of the process (checked above), so nobody reads or writes
            // the environment at the same time.
            unsafe { std::env::set_var(name, "1") };
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
