//! `framewise run`: evaluate frames; the same command resumes.
//!
//! [`args`] is what was typed, [`config`] what it means, [`launch`] the start and end of an MPI job, [`job`] the life
//! of a job, which has a [`task`], calculators on `frames` here: [`place`] where its result can be, `prepare`, `found` and [`existing`]
//! what there is to do, `recheck` whether results are still there, `team` how many workers compute where, `weigh` what frames will
//! cost, `poison` which of them have taken a run down, `birth` of a new file, `closing` it, `deadline` when to
//! stop ([`walltime`] as typed), [`watch`] what is said meanwhile, `ending` what is said at the end.
//! [`several`] jobs, one after the other, where there are several inputs.

pub mod args;
mod bar;
mod birth;
mod closing;
pub mod config;
mod deadline;
mod ending;
pub mod existing;
mod found;
mod frames;
pub mod job;
pub mod job_args;
pub mod launch;
pub mod place;
mod poison;
mod prepare;
mod recheck;
pub mod several;
pub mod task;
pub mod team;
pub mod walltime;
pub mod watch;
mod weigh;
