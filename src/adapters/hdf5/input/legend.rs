//! What the user says of a file that does not say it itself.

use std::collections::BTreeMap;

use crate::domain::elements;
use crate::domain::error::{Error, Result};
use crate::domain::units::length_in_angstrom;

use crate::adapters::trajectory_files::parse_species;

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

impl Species {
    fn parse(text: &str) -> Result<Self> {
        if !text.contains('=') {
            return Ok(Self::List(parse_species(text)?));
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
    pub(super) fn of(&self, name: &str) -> Option<u8> {
        match self {
            Self::List(_) => None,
            Self::Named(named) => named.get(name).copied(),
        }
    }
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
}
