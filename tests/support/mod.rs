//! What black-box tests share: folders, launches of the real program, results read back serially.

// Each test binary uses a part of it.
#![allow(dead_code)]

pub mod cluster;
pub mod containers;
pub mod damage;
pub mod derivatives;
pub mod evaluated;
pub mod folder;
pub mod hosts;
pub mod job;
pub mod launch;
pub mod mpi;
pub mod poison;
pub mod power;
pub mod processes;
pub mod python;
pub mod results;
pub mod scenario;
pub mod tap;
pub mod torture;
pub mod work;
pub mod xyz;
