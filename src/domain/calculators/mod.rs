//! Calculators in pure Rust, one file each.

pub mod lennard_jones;
pub mod null;
pub mod pair;
