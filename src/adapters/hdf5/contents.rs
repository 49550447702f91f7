//! What a new result holds beside what is computed.

use super::carry::Carried;
use super::geometry::Geometry;

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// Positions: copied or linked.
    pub geometry: Geometry,
    /// Forces in kJ/mol/Å once more, for readers that refuse eV.
    pub molar_forces: bool,
    /// Properties of atoms of the input.
    pub carry: Vec<Carried>,
}

impl From<Geometry> for Contents {
    fn from(geometry: Geometry) -> Self {
        Self {
            geometry,
            ..Self::default()
        }
    }
}
