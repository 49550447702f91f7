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

pub mod adapters;
pub mod commands;
pub mod domain;
pub mod engine;
pub mod planning;

/// The examples of the README compile and hold.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
