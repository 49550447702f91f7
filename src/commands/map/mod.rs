//! `framewise map`: a kernel on every row of an array. Its life is that of `framewise run`; [`args`] is what was typed,
//! [`rows`] what is computed of what.

pub mod args;
pub mod rows;
