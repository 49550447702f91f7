//! First floor: which frames, on which rank, in which state. Pure functions of their arguments.

pub mod cores;
pub mod cost;
pub mod deal;
pub mod frame_set;
pub mod lease;
pub mod pace;
pub mod partition;
pub mod plan;
pub mod queue;
pub mod reserve;
pub mod selection;
pub mod status;
pub mod suspects;
pub mod weights;
