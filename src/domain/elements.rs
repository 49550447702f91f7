//! Chemical elements: symbols and atomic numbers.

/// Symbols by atomic number; number 0 is a dummy atom, `X`.
#[rustfmt::skip]
pub const SYMBOLS: [&str; 119] = [
    "X", "H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S",
    "Cl", "Ar", "K", "Ca", "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As",
    "Se", "Br", "Kr", "Rb", "Sr", "Y", "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn",
    "Sb", "Te", "I", "Xe", "Cs", "Ba", "La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho",
    "Er", "Tm", "Yb", "Lu", "Hf", "Ta", "W", "Re", "Os", "Ir", "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po",
    "At", "Rn", "Fr", "Ra", "Ac", "Th", "Pa", "U", "Np", "Pu", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md",
    "No", "Lr", "Rf", "Db", "Sg", "Bh", "Hs", "Mt", "Ds", "Rg", "Cn", "Nh", "Fl", "Mc", "Lv", "Ts", "Og",
];

/// The symbol of an atomic number; `?` beyond the table.
pub fn symbol(number: u8) -> &'static str {
    SYMBOLS.get(usize::from(number)).copied().unwrap_or("?")
}

/// The atomic number of a symbol, exact case first (`Co` is not `CO`), then any case.
pub fn atomic_number(symbol: &str) -> Option<u8> {
    SYMBOLS
        .iter()
        .position(|s| *s == symbol)
        .or_else(|| SYMBOLS.iter().position(|s| s.eq_ignore_ascii_case(symbol)))
        .map(|z| z as u8)
}

/// The atomic number of a symbol in the right case: `CA` is a carbon and `Ca` is calcium.
pub fn exactly(symbol: &str) -> Option<u8> {
    let found = SYMBOLS.iter().position(|s| *s == symbol);
    found.map(|z| z as u8)
}

/// Reads `18` or `Ar`.
pub fn parse(text: &str) -> Option<u8> {
    match text.parse::<u8>() {
        Ok(z) if usize::from(z) < SYMBOLS.len() => Some(z),
        Ok(_) => None,
        Err(_) => atomic_number(text),
    }
}

/// The formula of some atoms in the order of Hill: carbon, hydrogen, then by symbol; without carbon all by symbol.
pub fn formula(species: &[u8]) -> String {
    let mut counts = [0_usize; 256];
    for z in species {
        counts[usize::from(*z)] += 1;
    }
    let mut present: Vec<u8> = (0..=255).filter(|z| counts[usize::from(*z)] > 0).collect();
    let with_carbon = present.contains(&6);
    present.sort_by_key(|z| match z {
        6 => (0, ""),
        1 if with_carbon => (1, ""),
        _ => (2, symbol(*z)),
    });
    let part = |z: &u8| match counts[usize::from(*z)] {
        1 => symbol(*z).to_owned(),
        n => format!("{}{n}", symbol(*z)),
    };
    present.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_and_numbers_are_inverse() {
        for z in 0..=118 {
            assert_eq!(atomic_number(symbol(z)), Some(z));
        }
        assert_eq!(parse("ar"), Some(18));
        assert_eq!(parse("36"), Some(36));
        assert_eq!(parse("119"), None);
        assert_eq!(parse("Zz"), None);
    }

    #[test]
    fn formulas_are_in_the_order_of_hill() {
        assert_eq!(formula(&[1, 8, 1]), "H2O");
        assert_eq!(formula(&[8, 1, 6, 1, 1, 1]), "CH4O");
        assert_eq!(formula(&[]), "");
    }
}
