//! What a dataset of species means: atomic numbers, numbers with names (H5MD 1.1 has them as an enumeration), or names.

use std::collections::BTreeMap;

use ::hdf5::Dataset;
use ::hdf5::types::{FixedAscii, FixedUnicode, TypeDescriptor, VarLenAscii, VarLenUnicode};

use crate::domain::elements;
use crate::domain::error::Result;

use super::super::super::{failed, lossy};
use super::super::legend::Species as Said;
use super::examine::{At, atomic_number};

/// What the numbers of a dataset stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kinds {
    /// Atomic numbers.
    Numbers,
    /// Each one for this element.
    Named(BTreeMap<i64, u8>),
}

impl Kinds {
    /// The element.
    pub(super) fn of(&self, number: i64) -> Option<u8> {
        match self {
            Self::Numbers => atomic_number(number),
            Self::Named(table) => table.get(&number).copied(),
        }
    }

    /// As above; whoever means none is told apart by the largest number.
    pub(super) fn or_unknown(&self, number: i64) -> u8 {
        self.of(number).unwrap_or(u8::MAX)
    }
}

/// Longest name that is read from text of fixed length.
const LONGEST: usize = 64;

impl At<'_> {
    /// What the numbers of `dataset` stand for; `None` where it holds text.
    pub(super) fn kinds(&self, dataset: &Dataset, said: Option<&Said>) -> Result<Option<Kinds>> {
        let name = dataset.name();
        let stored = dataset.dtype().and_then(|t| t.to_descriptor());
        match stored.map_err(failed(format!("{}: dataset {name}", self.path.display())))? {
            TypeDescriptor::Integer(_) | TypeDescriptor::Unsigned(_) => {
                let Some(Said::Named(named)) = said else {
                    return Ok(Some(Kinds::Numbers));
                };
                let table = named.iter().filter_map(|(name, z)| Some((name.parse().ok()?, *z)));
                Ok(Some(Kinds::Named(table.collect())))
            }
            TypeDescriptor::Enum(kind) => {
                let mut table = BTreeMap::new();
                for member in &kind.members {
                    let value = member.value as i64;
                    let element = said
                        .and_then(|said| said.of(&member.name).or_else(|| said.of(&value.to_string())))
                        .or_else(|| exactly(&member.name));
                    let element = element.ok_or_else(|| self.unknown(&name, &member.name))?;
                    table.insert(value, element);
                }
                Ok(Some(Kinds::Named(table)))
            }
            TypeDescriptor::FixedAscii(_)
            | TypeDescriptor::FixedUnicode(_)
            | TypeDescriptor::VarLenAscii
            | TypeDescriptor::VarLenUnicode => Ok(None),
            other => Err(self.error(format!(
                "dataset {name} holds {other}, expected atomic numbers, an enumeration of symbols, or symbols; --species says what \
                 the atoms are"
            ))),
        }
    }

    /// The elements that a dataset of names means.
    pub(super) fn named(&self, dataset: &Dataset, said: Option<&Said>) -> Result<Vec<u8>> {
        let name = dataset.name();
        let texts = texts(dataset);
        let texts = texts.map_err(failed(format!("{}: dataset {name}", self.path.display())))?;
        let element = |text: &String| {
            let text = text.trim_matches(['\0', ' ']);
            let element = said
                .and_then(|said| said.of(text))
                .or_else(|| exactly(text));
            element.ok_or_else(|| self.unknown(&name, text))
        };
        texts.iter().map(element).collect()
    }

    fn unknown(&self, dataset: &str, name: &str) -> crate::domain::error::Error {
        self.error(format!(
            "dataset {dataset}: {name:?} is not the symbol of an element; say which it is: --species {name}=O"
        ))
    }
}

/// `CA` is a carbon and `Ca` is calcium: the case has to be right.
fn exactly(symbol: &str) -> Option<u8> {
    elements::atomic_number(symbol).filter(|z| elements::symbol(*z) == symbol)
}

fn texts(dataset: &Dataset) -> ::hdf5::Result<Vec<String>> {
    let all = |texts: Vec<&[u8]>| texts.into_iter().map(lossy).collect();
    Ok(match dataset.dtype()?.to_descriptor()? {
        TypeDescriptor::FixedAscii(_) => {
            let read = dataset.read_raw::<FixedAscii<LONGEST>>()?;
            all(read.iter().map(FixedAscii::as_bytes).collect())
        }
        TypeDescriptor::FixedUnicode(_) => {
            let read = dataset.read_raw::<FixedUnicode<LONGEST>>()?;
            all(read.iter().map(FixedUnicode::as_bytes).collect())
        }
        TypeDescriptor::VarLenAscii => {
            let read = dataset.read_raw::<VarLenAscii>()?;
            all(read.iter().map(VarLenAscii::as_bytes).collect())
        }
        _ => {
            let read = dataset.read_raw::<VarLenUnicode>()?;
            all(read.iter().map(VarLenUnicode::as_bytes).collect())
        }
    })
}
