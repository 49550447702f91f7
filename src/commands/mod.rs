//! Top floor: one file per verb.

pub mod export;
pub mod import;
