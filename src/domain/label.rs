//! What a level of theory says of a frame.

use super::frame::all_finite;

/// What is known of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Label<'a> {
    /// Total energy (eV).
    pub energy: f64,
    /// Forces (eV/Å), where there are any.
    pub forces: Option<&'a [[f64; 3]]>,
    /// Stress (eV/Å³, sign of ASE), where there is one.
    pub stress: Option<[[f64; 3]; 3]>,
}

impl Label<'_> {
    /// Whether all that is there is a number.
    pub fn is_finite(&self) -> bool {
        let stress = self.stress.unwrap_or_default();
        self.energy.is_finite()
            && self.forces.is_none_or(|f| all_finite(f.as_flattened()))
            && all_finite(stress.as_flattened())
    }
}

/// Nine numbers, row by row, or six in the order of Voigt: xx, yy, zz, yz, xz, xy. Other numbers are none.
pub fn tensor_from(numbers: &[f64]) -> Option<[[f64; 3]; 3]> {
    match (numbers.as_chunks::<3>(), numbers) {
        ((&[a, b, c], []), _) => Some([a, b, c]),
        (_, &[xx, yy, zz, yz, xz, xy]) => Some([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]),
        _ => None,
    }
}
