//! Top floor: one file per verb.

pub mod import;
