//! What the user says of a file that does not say it itself.

use std::collections::BTreeMap;

use crate::domain::elements;
use crate::domain::error::{Error, Result};
use crate::domain::units::length_in_angstrom;

/// What is said. Nothing, by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Legend {
    /// What atoms are.
    pub species: Option<Species>,
    /// The unit of lengths that have none in the file.
    pub length: Option<String>,
}

/// What atoms are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Species {
    /// One after the other, the same in every frame: whatever the file says.
    List(Vec<u8>),
    /// What a number or a name of the file stands for.
    Named(BTreeMap<String, u8>),
}

impl Legend {
    /// Reads `--species` and `--length-unit`.
    pub fn new(species: Option<&str>, length: Option<&str>) -> Result<Self> {
        let known = |unit: &str| length_in_angstrom(unit).filter(|_| !unit.trim().is_empty());
        if let Some(unit) = length
            && known(unit).is_none()
        {
            return Err(Error::usage(format!(
                "--length-unit {unit:?}: is not a length known here; say Angstrom, nm, pm, bohr or m"
            )));
        }
        Ok(Self {
            species: species.map(Species::parse).transpose()?,
            length: length.map(str::to_owned),
        })
    }
}

/// More atoms than this in `--species` is a slip of the pen.
const MOST_ATOMS: usize = 1 << 30;

impl Species {
    fn parse(text: &str) -> Result<Self> {
        if !text.contains('=') {
            return Ok(Self::List(list(text)?));
        }
        let mut named = BTreeMap::new();
        for item in text.split(',') {
            let pair = item.split_once('=');
            let pair = pair.and_then(|(name, element)| {
                Some((name.trim().to_owned(), elements::parse(element.trim())?))
            });
            let (name, number) = pair.ok_or_else(|| {
                Error::usage(format!(
                    "--species: {item:?} does not say what stands for which element; write 1=O,2=H or OW=O,HW=H"
                ))
            })?;
            named.insert(name, number);
        }
        Ok(Self::Named(named))
    }

    /// The element that a number or a name of the file stands for.
    pub fn of(&self, name: &str) -> Option<u8> {
        match self {
            Self::List(_) => None,
            Self::Named(named) => named.get(name).copied(),
        }
    }
}

/// Reads `Ar,Ar,Kr:3`.
fn list(text: &str) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    for item in text.split(',') {
        let wrong = || {
            Error::usage(format!(
                "--species: {item:?} is not an element or an element and a number of atoms; write Ar,Ar,Kr or Ar:108"
            ))
        };
        let (symbol, count) = item.trim().split_once(':').unwrap_or((item.trim(), "1"));
        let number = elements::parse(symbol).ok_or_else(wrong)?;
        let count = count.parse().ok().filter(|n| *n > 0).ok_or_else(wrong)?;
        if count > MOST_ATOMS - all.len().min(MOST_ATOMS) {
            return Err(wrong());
        }
        all.extend(std::iter::repeat_n(number, count));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn species_are_a_list_or_what_names_stand_for() {
        let species = |text| Legend::new(Some(text), None).map(|legend| legend.species.unwrap());
        assert_eq!(species("Ar:2,O").unwrap(), Species::List(vec![18, 18, 8]));
        let named = species("1=O, HW=H").unwrap();
        assert_eq!(
            (named.of("1"), named.of("HW"), named.of("2")),
            (Some(8), Some(1), None)
        );
        assert!(
            species("1=Qq")
                .unwrap_err()
                .message
                .contains("write 1=O,2=H")
        );
        assert!(Legend::new(None, Some("furlong")).is_err());
        assert!(Legend::new(None, Some("")).is_err());
    }

    #[test]
    fn species_are_lists_and_counts() {
        assert_eq!(list("Ar,Kr:2,8").unwrap(), [18, 36, 36, 8]);
        for text in ["", "Ar:0", "Ar:x", "Qq", "Ar:99999999999", "Ar,"] {
            let error = list(text).unwrap_err();
            assert!(
                error.message.contains("write Ar,Ar,Kr or Ar:108"),
                "{text}: {error}"
            );
        }
    }
}
