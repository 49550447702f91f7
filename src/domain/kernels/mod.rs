//! Kernels in pure Rust, one file each.

pub mod fft_filter;
pub mod pca_projection;
pub mod sho_fit;
pub mod statistics;
