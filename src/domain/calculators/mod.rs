//! Calculators in pure Rust, one file each.

pub mod null;
