//! framewise as a library: a program of one's own that is framewise with one more calculator ([`run`]) or one more
//! kernel on rows ([`map`]).

mod frames;
mod rows;

pub use frames::{Kernel, run};
pub use rows::{RowKernel, map};
