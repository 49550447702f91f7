//! What a process has to do to become another program's: first thing, while it has one thread and no files of its own.

use std::io::Result;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::Signal;

/// Signals that are for the job; its ranks decide what becomes of its programs.
const FOR_THE_JOB: [i32; 6] = [
    libc::SIGINT,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGXCPU,
];

/// Does not hear the signals that are for the job.
pub fn ignore_signals_for_the_job() {
    for signal in FOR_THE_JOB {
        // SAFETY: to ignore a signal has no preconditions.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Closes all files but the standard three: files of MPI and HDF5 that are open in the parent, whose locks, sockets and
/// pipes must not live on here. Only for the first line of a process.
pub fn let_go_of_files() -> Result<()> {
    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for file in open.into_iter().filter(|file| *file > 2) {
        // SAFETY: this is the first thing the process does: nothing here has opened a file beyond the standard three,
        // so that none is in use. The folder that was just listed is closed already, which is an error without effect.
        unsafe { libc::close(file) };
    }
    Ok(())
}

/// Whether the process of that number has started this one and still lives.
pub fn is_parent(pid: u32) -> bool {
    let ours = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    ours.and_then(|pid| u32::try_from(pid).ok()) == Some(pid)
}

/// What `command` starts leads a group of its own, and is killed by the kernel when the thread that has started it is gone.
pub(super) fn end_with_us(command: &mut Command) {
    command.process_group(0);
    let parent = std::process::id();
    // SAFETY: the closure only makes system calls that are safe between fork and exec; it allocates nothing.
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            if is_parent(parent) {
                return Ok(());
            }
            Err(std::io::Error::from_raw_os_error(libc::ESRCH))
        });
    }
}
