//! Valence electrons and atomic orbitals of GFN1-xTB, GFN2-xTB and IPEA1-xTB, to refuse impossible charges and spins
//! before a library sees them: given more unpaired electrons than there are orbitals, libxtb writes beyond
//! its arrays.
//!
//! Source: occupations and `xtb_getNao` of the neutral atoms in libxtb 6.5.1, occupations and
//! `tblite_get_calculator_orbital_count` in tblite 0.8.0, which are the same; the basis sets are those of
//! Grimme et al., J. Chem. Theory Comput. 13, 1989 (2017), Bannwarth et al., ibid. 15, 1652 (2019) and
//! Ásgeirsson et al., Chem. Sci. 8, 4879 (2017).

/// The heaviest element all methods know (radon).
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

/// Atomic orbitals in IPEA1-xTB: those of GFN1-xTB, and one s more for B to F.
pub fn orbitals_ipea1(z: u8) -> u32 {
    match z {
        5..=9 => 5,
        _ => orbitals_gfn1(z),
    }
}

/// Complains about a charge or a number of unpaired electrons that these atoms cannot have. `species` are atomic numbers
/// of 1 to [`HEAVIEST`], one for each atom; `orbitals` are those of an atom.
pub fn refuse_electrons(
    species: &[u8],
    charge: i32,
    uhf: i32,
    orbitals: impl Fn(u8) -> u32,
) -> Result<(), String> {
    let total: i64 = species.iter().map(|&z| i64::from(electrons(z))).sum();
    let orbitals: i64 = species.iter().map(|&z| i64::from(orbitals(z))).sum();
    let uhf = i64::from(uhf);
    let electrons = total - i64::from(charge);
    if electrons < 0 {
        return Err(format!(
            "charge {charge} takes more than the {total} valence electrons of the frame"
        ));
    }
    if uhf > 0 && (uhf > electrons || (electrons - uhf) % 2 != 0) {
        return Err(format!(
            "uhf {uhf} is impossible: the frame has {electrons} valence electrons at charge {charge}"
        ));
    }
    let unpaired = uhf.max(electrons % 2);
    if electrons + unpaired > 2 * orbitals {
        return Err(format!(
            "{electrons} valence electrons (charge {charge}), {unpaired} of them unpaired, do not fit the \
             {orbitals} orbitals of the frame"
        ));
    }
    Ok(())
}
