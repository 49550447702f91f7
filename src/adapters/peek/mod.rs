//! Whether processes may read each other's memory: Open MPI's shared memory does so with long messages, and a container's
//! filter of system calls may forbid it.

mod ffi;

/// What the kernel says to it.
pub fn allowed() -> std::io::Result<()> {
    ffi::copy_a_word()
}

/// Whether this process is in a container, as far as containers leave traces.
pub fn in_container() -> bool {
    let traces = ["/.dockerenv", "/run/.containerenv", "/.singularity.d"];
    traces
        .iter()
        .any(|path| std::path::Path::new(path).exists())
        || std::env::var_os("container").is_some()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_process_is_told_whether_it_may() {
        // Both are answers; a crash is none.
        let _ = super::allowed();
        let _ = super::in_container();
    }
}
