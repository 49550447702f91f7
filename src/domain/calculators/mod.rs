//! Calculators in pure Rust, one file each.

pub mod buckingham_coulomb;
pub mod functions;
pub mod lennard_jones;
pub mod morse;
pub mod null;
pub mod pair;
pub mod stillinger_weber;
