//! What a process has to do to become an engine: first thing, while it has one thread and no files of its own.

use std::fs::File;
use std::io::{Error, Result};

use rustix::process::Signal;

use crate::adapters::program;

/// Ends with the parent, lets go of the files that the parent did not mean to hand down, and takes standard input and
/// output for the conversation: what the engine prints goes to standard error, and there is nothing to read for it.
pub(super) fn become_engine(parent: u32) -> Result<(File, File)> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if !program::is_parent(parent) {
        return Err(Error::other("the parent is gone"));
    }
    program::ignore_signals_for_the_job();
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // Rust's own handler, which tells a stack overflow, would swallow a signal that an engine raises itself.
        // SAFETY: the default action has no preconditions.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    program::let_go_of_files()?;
    let frames = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let answers = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok((frames.into(), answers.into()))
}
