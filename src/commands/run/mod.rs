//! `framewise run`: evaluate frames; the same command resumes.
//!
//! [`args`] is what was typed, [`config`] what it means, [`launch`] the start and end of an MPI job, [`job`] the
//! life of a run, [`place`] where its result can be, [`watch`] what it says meanwhile.

pub mod args;
mod bar;
pub mod config;
pub mod existing;
pub mod job;
pub mod launch;
pub mod place;
pub mod watch;
