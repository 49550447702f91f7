//! Third floor: the outside world. MPI, HDF5, file formats, foreign engines, the operating system.
//!
//! `unsafe` lives only here, in the files named `ffi.rs` and in `environment.rs`.

pub mod ase;
pub mod batch;
pub mod calculators;
#[cfg(feature = "chemfiles")]
pub mod chemfiles;
pub mod choice;
pub mod cores;
pub mod environment;
pub mod exit;
pub mod export;
pub mod extxyz;
pub mod file_system;
pub mod guard;
pub mod hdf5;
pub mod ipi;
pub mod isolate;
pub mod journal;
pub mod kernels;
#[cfg(feature = "kim")]
pub mod kim;
pub mod labels;
pub mod lammps_dump;
pub mod legend;
pub mod lock;
pub mod machine;
pub mod measure;
pub mod mpi;
pub mod owner;
pub mod peek;
pub mod plugin;
pub mod program;
pub mod python;
pub mod quota;
pub mod redo;
pub mod share;
pub mod signals;
pub mod source;
pub mod storage_lock;
#[cfg(feature = "tblite")]
pub mod tblite;
#[cfg(any(feature = "xtb", feature = "tblite"))]
pub mod tight_binding;
pub mod trajectory_files;
pub mod walltime;
pub mod whole_file;
pub mod write_back;
#[cfg(feature = "xtb")]
pub mod xtb;
