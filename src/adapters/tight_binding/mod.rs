//! What `xtb` and `tblite` have in common: both are Fortran libraries with a C interface, of the same methods.
//!
//! An engine ([`engine::Engine`]) says how a molecule is prepared and evaluated; everything else is here.
//!
//! - Every frame gets a fresh molecule and fresh results: updating one of them would start each SCF from the charges of
//!   the last frame, and results would depend on the order of frames. Parameters and basis set are loaded once for each
//!   list of elements ([`engine::MOST_PREPARED`] of them are kept): they depend on nothing else.
//! - Same bytes on every rank and worker, as long as `OMP_NUM_THREADS` is unset or 1. With more OpenMP threads the last
//!   bits of the gradient change from run to run.
//! - Workers of one process evaluate at the same time; only loading, and making the molecule of a frame (some
//!   microseconds), are serialised.
//! - `uhf` 0 with an odd number of electrons means one unpaired electron. Any other impossible spin fails its frame.
//! - Lengths are converted with [`BOHR`](crate::domain::units::BOHR) (CODATA 2018).

pub mod engine;
pub mod ffi;
pub mod library;
pub mod molecule;
pub mod settings;
pub mod valence;
