//! The units that models may use, in ours.
//!
//! Constants: CODATA 2018 (E. Tiesinga et al., Rev. Mod. Phys. 93, 025010, 2021); the Joule is exact.

use crate::domain::units::{BOHR, HARTREE};

/// Elementary charge (C).
const CHARGE: f64 = 1.602_176_634e-19;
/// Avogadro constant (1/mol).
const AVOGADRO: f64 = 6.022_140_76e23;
/// Atomic mass constant (kg).
const DALTON: f64 = 1.660_539_066_60e-27;

/// One of the library's units of length in Å.
pub fn length(unit: &str) -> Option<f64> {
    Some(match unit {
        "A" => 1.0,
        "Bohr" => BOHR,
        "cm" => 1e8,
        "m" => 1e10,
        "nm" => 10.0,
        _ => return None,
    })
}

/// One of the library's units of energy in eV.
pub fn energy(unit: &str) -> Option<f64> {
    Some(match unit {
        "eV" => 1.0,
        "Hartree" => HARTREE,
        "J" => 1.0 / CHARGE,
        "erg" => 1e-7 / CHARGE,
        "kcal_mol" => 4184.0 / AVOGADRO / CHARGE,
        // 1 Å/ps is 100 m/s.
        "amu_A2_per_ps2" => 1e4 * DALTON / CHARGE,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_those_of_the_tables() {
        assert!((energy("kcal_mol").unwrap() - 0.043_364_104).abs() < 1e-9);
        assert!((energy("amu_A2_per_ps2").unwrap() - 1.036_426_97e-4).abs() < 1e-12);
        assert!((energy("erg").unwrap() / 6.241_509_074e11 - 1.0).abs() < 1e-9);
        assert_eq!((length("nm"), length("furlong")), (Some(10.0), None));
    }
}
