//! What black-box tests share: folders, launches of the real program, results read back serially.

// Each test binary uses a part of it.
#![allow(dead_code)]

pub mod cluster;
pub mod containers;
pub mod derivatives;
pub mod evaluated;
pub mod folder;
pub mod job;
pub mod launch;
pub mod poison;
pub mod power;
pub mod results;
pub mod scenario;
pub mod tap;
pub mod torture;
pub mod xyz;
