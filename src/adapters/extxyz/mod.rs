//! Extended XYZ, read and written exactly.
//!
//! Grammar: <https://github.com/libAtoms/extxyz>, with the habits of ASE where the two differ. Every double
//! comes back to its last bit; cells may have any orientation and handedness.

pub mod chop;
pub mod comment;
pub mod properties;
pub mod reader;
mod spelling;
pub mod writer;
