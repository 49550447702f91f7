//! Second floor: the loop of a run, written against ports.
//!
//! On every rank one thread, the coordinator, reads frames, talks to the other ranks and writes; worker threads
//! compute. [`run`] is the coordinator's loop. It meets the outside only through the traits in [`ports`], so
//! that it can be tested in one process with threads as ranks and memory as disk.

pub mod batch;
pub mod commit;
mod desk;
pub mod evaluator;
pub mod journal;
pub mod pool;
pub mod ports;
pub mod run;
pub mod settings;
pub mod summary;
pub mod together;
mod worker;
