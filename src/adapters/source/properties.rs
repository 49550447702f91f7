//! Properties of many frames and of their atoms, those of a block of frames one after the other.

use super::values::Values;

/// What is known of every frame, or of every atom.
#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    /// As it is called.
    pub name: String,
    /// Of one frame or one atom; empty for one value.
    pub shape: Vec<usize>,
    /// Those of all frames, or of all atoms of all frames.
    pub values: Values,
}

impl Property {
    /// Values of one frame or one atom.
    pub fn width(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether all values of these frames or atoms stand for one that is not there: NaN, or an empty text.
    pub fn is_missing(&self, rows: std::ops::Range<usize>) -> bool {
        let (start, end) = (rows.start * self.width(), rows.end * self.width());
        match &self.values {
            Values::Real(v) => v[start..end].iter().all(|x| x.is_nan()),
            Values::Text(v) => (start..end).all(|k| v.get(k).is_empty()),
            Values::Integer(_) | Values::Logical(_) => start == end,
        }
    }
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Properties {
    /// A row for each frame.
    pub of_frames: Vec<Property>,
    /// A row for each atom.
    pub of_atoms: Vec<Property>,
}
