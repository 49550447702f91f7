#[cfg(feature = "chemfiles")]
pub mod chemfiles;
pub mod extxyz;
pub mod hdf5;
pub mod source;
pub mod trajectory_files;
pub mod whole_file;
