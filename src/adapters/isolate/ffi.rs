//! What a process has to do to become an engine: first thing, while it has one thread and no files of its own.

use std::fs::File;
use std::io::{Error, Result};

use rustix::process::Signal;

/// Signals that are for the job; its ranks decide what becomes of the engine.
const NOT_FOR_US: [i32; 6] = [
    libc::SIGINT,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGXCPU,
];

/// Ends with the parent, lets go of the files that the parent did not mean to hand down, and takes standard input and
/// output for the conversation: what the engine prints goes to standard error, and there is nothing to read for it.
pub(super) fn become_engine(parent: u32) -> Result<(File, File)> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let ours = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if ours.and_then(|pid| u32::try_from(pid).ok()) != Some(parent) {
        return Err(Error::other("the parent is gone"));
    }
    for signal in NOT_FOR_US {
        // SAFETY: to ignore a signal has no preconditions.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // Rust's own handler, which tells a stack overflow, would swallow a signal that an engine raises itself.
        // SAFETY: the default action has no preconditions.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // Files of MPI and HDF5 that are open in the parent: no lock, no socket, no pipe must live on here.
    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for file in open.into_iter().filter(|file| *file > 2) {
        // SAFETY: this is the first thing the process does: nothing here has opened a file beyond the standard three,
        // so that none is in use. The folder that was just listed is closed already, which is an error without effect.
        unsafe { libc::close(file) };
    }
    let frames = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let answers = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok((frames.into(), answers.into()))
}
