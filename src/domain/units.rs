//! Units, in one place.
//!
//! | quantity  | unit      |
//! |-----------|-----------|
//! | length    | Å         |
//! | energy    | eV        |
//! | force     | eV/Å      |
//! | stress    | eV/Å³     |
//! | mass      | u         |
//!
//! Constants are CODATA 2018 unless said otherwise
//! (E. Tiesinga et al., Rev. Mod. Phys. 93, 025010, 2021).

/// Bohr radius in Å (CODATA 2018).
pub const BOHR: f64 = 0.529_177_210_903;

/// Hartree in eV (CODATA 2018).
pub const HARTREE: f64 = 27.211_386_245_988;

/// eV in kJ/mol: the elementary charge times Avogadro's number, both exact (SI 2019).
pub const KJ_PER_MOL: f64 = 96.485_332_123_310_02;

/// 1 eV/Å³ in `GPa` (exact since 2019).
pub const EV_PER_CUBIC_ANGSTROM_IN_GPA: f64 = 160.217_663_4;

/// How many Å one of the named length unit is; `None` for a name nobody uses for a length.
///
/// Spellings as found in H5MD files (<https://www.nongnu.org/h5md/modules/units.html>) and in practice.
pub fn length_in_angstrom(unit: &str) -> Option<f64> {
    match unit.trim() {
        "" | "Angstrom" | "angstrom" | "Å" | "\u{212b}" | "A" | "Ang" | "ang" => Some(1.0),
        "nm" | "nanometer" => Some(10.0),
        "pm" => Some(0.01),
        "bohr" | "Bohr" | "a0" | "au" => Some(BOHR),
        "m" => Some(1e10),
        _ => None,
    }
}
