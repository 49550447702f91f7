//! Third floor: the outside world. MPI, HDF5, file formats, foreign engines, the operating system.
//!
//! `unsafe` lives only here, in the files named `ffi.rs`.

pub mod hdf5;
pub mod lock;
pub mod mpi;
pub mod signals;
