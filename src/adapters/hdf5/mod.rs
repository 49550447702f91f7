pub mod slab;
pub mod trajectory_writer;
