//! Ground floor: what a frame is and what can be computed from it.
//!
//! Nothing here knows MPI, HDF5 or a file. A calculator written against this floor runs on any number of
//! ranks and threads without knowing it.

pub mod calculator;
pub mod calculators;
pub mod cell;
pub mod checksum;
pub mod compare;
pub mod elements;
pub mod error;
pub mod frame;
pub mod kernel;
pub mod kernels;
pub mod label;
pub mod neighbors;
pub mod panics;
pub mod parameters;
pub mod units;
