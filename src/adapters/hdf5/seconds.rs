//! How long frames of a result have taken.

use std::path::Path;

use ::hdf5::Dataset;

use crate::domain::error::Result;
use crate::planning::frame_set::FrameSet;

use super::{dataset, ffi, layout, open_read_only};

/// The seconds of a result, open for reading.
pub struct Seconds(Dataset);

impl Seconds {
    /// Of the result at `path`.
    pub fn open(path: &Path) -> Result<Self> {
        let file = open_read_only(path)?;
        let root = file
            .group("/")
            .map_err(super::failed(path.display().to_string()))?;
        Ok(Self(dataset(path, &root, layout::SECONDS)?))
    }

    /// Seconds of each of `frames`, NaN where nothing was measured.
    pub fn read(&self, frames: &FrameSet) -> Result<Vec<f32>> {
        let mut seconds = vec![f32::NAN; frames.len() as usize];
        ffi::read_rows(&self.0, frames.runs(), &mut seconds)?;
        Ok(seconds)
    }
}
