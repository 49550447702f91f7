//! Valence electrons and atomic orbitals of GFN1-xTB and GFN2-xTB, to refuse impossible charges and spins
//! before the library sees them: given more unpaired electrons than there are orbitals, libxtb writes beyond
//! its arrays.
//!
//! Source: occupations and `xtb_getNao` of the neutral atoms in libxtb 6.5.1; the basis sets are those of
//! Grimme et al., J. Chem. Theory Comput. 13, 1989 (2017) and Bannwarth et al., ibid. 15, 1652 (2019).

/// The heaviest element both methods know (radon).
pub const HEAVIEST: u8 = 86;

/// Valence electrons of the neutral atom; the 4f electrons of the lanthanides are in the core.
pub fn electrons(z: u8) -> u32 {
    let core = match z {
        0..=2 => 0,
        3..=10 => 2,
        11..=18 => 10,
        19..=29 => 18,
        30..=36 => 28,
        37..=47 => 36,
        48..=54 => 46,
        55..=56 => 54,
        57..=71 => return 3,
        72..=79 => 68,
        _ => 78,
    };
    u32::from(z - core)
}

/// Atomic orbitals in GFN1-xTB.
pub fn orbitals_gfn1(z: u8) -> u32 {
    match z {
        1 => 2,
        2 => 1,
        3..=9 | 11..=12 | 19 | 30 | 37 | 48 | 55 | 80..=83 => 4,
        _ => 9,
    }
}

/// Atomic orbitals in GFN2-xTB.
pub fn orbitals_gfn2(z: u8) -> u32 {
    match z {
        1 => 1,
        2..=9 | 11 | 19 | 30 | 37 | 48 | 55 | 80..=84 => 4,
        _ => 9,
    }
}
