//! First floor: which frames, on which rank, in which state. Pure functions of their arguments.

pub mod frame_set;
pub mod lease;
pub mod partition;
pub mod reserve;
pub mod selection;
pub mod status;
pub mod suspects;
