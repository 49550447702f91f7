//! The outside: MPI, HDF5, file formats, foreign engines. The only floor with `unsafe`.

pub mod environment;
#[cfg(feature = "xtb")]
pub mod xtb;
