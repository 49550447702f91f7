//! framewise evaluates every frame of a large trajectory with a calculator, on any number of MPI ranks, into
//! one HDF5 file that opens everywhere and that no kill can spoil.
//!
//! # Floors
//!
//! A room may use only the floors below it; `tests/floors.rs` checks it.
//!
//! | floor | what is there | knows |
//! |---|---|---|
//! | [`commands`] | one file per verb | everything |
//! | [`adapters`] | MPI, HDF5, file formats, foreign engines; the only `unsafe` | the outside |
//! | [`engine`] | the loop, against ports: source, sink, ranks, clock | threads |
//! | [`planning`] | selections, shares, states of frames | nothing outside |
//! | [`domain`] | frames, units, cells, calculators in pure Rust | nothing outside |

//!
//! # A program of one's own
//!
//! [`run`] is framewise with one more calculator, a [`Kernel`]; [`map`] is framewise with one more kernel on rows of arrays, a
//! [`RowKernel`].

pub mod adapters;
pub mod commands;
pub mod domain;
pub mod engine;
pub mod planning;

pub use commands::library::{Kernel, RowKernel, map, run};
pub use domain::calculator::{Failure, Results};
pub use domain::frame::Frame;
pub use domain::kernel::{Element, ResultSpec, Row, RowDescription, RowResults};
pub use domain::parameters::{ParameterError, ParameterSpec, ParameterType, Parameters};

/// The examples of the README compile and hold.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
