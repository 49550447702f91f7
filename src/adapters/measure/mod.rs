//! What the measuring verb and the benchmarks share: frames made up for the purpose, commits that are timed against
//! plain writes of the same bytes, launches of the whole program.

pub mod commit;
pub mod frames;
pub mod launch;
pub mod outcome;
pub mod pattern;
