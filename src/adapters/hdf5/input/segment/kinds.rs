//! What a dataset of species means: atomic numbers, numbers with names (H5MD 1.1 has them as an enumeration), or names.

use std::collections::BTreeMap;
use std::ops::Range;

use ::hdf5::datatype::ByteOrder;
use ::hdf5::types::{EnumType, TypeDescriptor, VarLenAscii, VarLenUnicode};
use ::hdf5::{Dataset, H5Type};
use ndarray::s;

use crate::domain::elements;
use crate::domain::error::{Error, Result};

use super::super::super::{failed, ffi, lossy};
use super::examine::{At, atomic_number};
use super::padded::NOTHING;
use crate::adapters::legend::Species as Said;

/// What the numbers of a dataset stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kinds {
    /// Atomic numbers.
    Numbers,
    /// Each one for this element.
    Named(BTreeMap<i64, u8>),
    /// Whole numbers that are stored as reals, as `ZnH5MD` does, and what they stand for if not for atomic numbers.
    Whole(Option<BTreeMap<i64, u8>>),
    /// There are names in their place, which mean this, too.
    Words(Option<Said>),
}

impl Kinds {
    /// The element.
    pub(super) fn of(&self, number: i64) -> Option<u8> {
        match self {
            Self::Numbers | Self::Words(_) | Self::Whole(None) => atomic_number(number),
            Self::Named(table) | Self::Whole(Some(table)) => table.get(&number).copied(),
        }
    }

    /// Why the number is none.
    pub(super) fn why_not(&self, number: i64) -> String {
        match self {
            Self::Whole(_) if number == NOTHING => "NaN is not an atomic number".into(),
            Self::Numbers | Self::Words(_) | Self::Whole(None) => {
                format!("{number} is not an atomic number (0 to 118)")
            }
            Self::Named(table) | Self::Whole(Some(table)) => {
                let known: Vec<_> = table
                    .iter()
                    .map(|(number, z)| format!("{number}={}", elements::symbol(*z)))
                    .collect();
                format!(
                    "{number} is none of {}, and where some numbers are named all of them have to be",
                    known.join(",")
                )
            }
        }
    }

    /// As above; whoever means none is told apart by the largest number.
    pub(super) fn or_unknown(&self, number: i64) -> u8 {
        self.of(number).unwrap_or(u8::MAX)
    }

    /// Reads the numbers of `rows`; those of names are atomic numbers.
    pub(super) fn read(
        &self,
        dataset: &Dataset,
        rows: &[Range<u64>],
        numbers: &mut [i64],
    ) -> Result<()> {
        let said = match self {
            Self::Words(said) => said,
            Self::Whole(_) => return read_whole(dataset, rows, numbers),
            Self::Numbers | Self::Named(_) => return ffi::read_rows(dataset, rows, numbers),
        };
        let doing = || format!("cannot read {} of {}", dataset.name(), dataset.filename());
        let words = words(dataset, rows).map_err(failed(doing()))?;
        if words.len() != numbers.len() {
            let (found, expected) = (words.len(), numbers.len());
            return Err(Error::failure(format!(
                "{}: {found} names where there should be {expected}",
                doing()
            )));
        }
        for (number, word) in numbers.iter_mut().zip(&words) {
            let element = element(word, said.as_ref());
            let unknown = || Error::failure(unknown(&dataset.filename(), &dataset.name(), word));
            *number = i64::from(element.ok_or_else(unknown)?);
        }
        Ok(())
    }
}

impl At<'_> {
    /// What the numbers of `dataset` stand for, or its names.
    pub(super) fn kinds(&self, dataset: &Dataset, said: Option<&Said>) -> Result<Kinds> {
        let name = dataset.name();
        let shown = || format!("{}: dataset {name}", self.path.display());
        let stored = dataset.dtype().map_err(failed(shown()))?;
        match stored.to_descriptor().map_err(failed(shown()))? {
            TypeDescriptor::Integer(_) | TypeDescriptor::Unsigned(_) => {
                Ok(numbered(said).map_or(Kinds::Numbers, Kinds::Named))
            }
            TypeDescriptor::Float(_) => Ok(Kinds::Whole(numbered(said))),
            TypeDescriptor::Enum(kind) => {
                let mut table = BTreeMap::new();
                let swapped = stored.byte_order() == ByteOrder::BigEndian;
                for member in &kind.members {
                    let value = value(&kind, member.value, swapped);
                    let element = said
                        .and_then(|said| said.of(&member.name).or_else(|| said.of(&value.to_string())))
                        .or_else(|| elements::exactly(&member.name));
                    let shown = self.path.display().to_string();
                    let unknown = || Error::failure(unknown(&shown, &name, &member.name));
                    table.insert(value, element.ok_or_else(unknown)?);
                }
                Ok(Kinds::Named(table))
            }
            TypeDescriptor::FixedAscii(_)
            | TypeDescriptor::FixedUnicode(_)
            | TypeDescriptor::VarLenAscii
            | TypeDescriptor::VarLenUnicode => Ok(Kinds::Words(said.cloned())),
            other => Err(self.error(format!(
                "dataset {name} holds {other}, expected atomic numbers, an enumeration of symbols, or symbols; --species says what \
                 the atoms are"
            ))),
        }
    }
}

/// Which numbers stand for which elements, where the user says so.
fn numbered(said: Option<&Said>) -> Option<BTreeMap<i64, u8>> {
    let Some(Said::Named(named)) = said else {
        return None;
    };
    let table = named.iter();
    let table = table.filter_map(|(name, z)| Some((name.parse().ok()?, *z)));
    Some(table.collect())
}

/// Reads reals that have to be whole numbers, or NaN where a frame is filled up.
fn read_whole(dataset: &Dataset, rows: &[Range<u64>], numbers: &mut [i64]) -> Result<()> {
    let mut reals = vec![0.0f64; numbers.len()];
    ffi::read_rows(dataset, rows, &mut reals)?;
    for (number, real) in numbers.iter_mut().zip(&reals) {
        if real.is_nan() {
            *number = NOTHING;
            continue;
        }
        // What no integer holds would become that of what fills up.
        if real.fract() != 0.0 || real.abs() > f64::from(i32::MAX) {
            return Err(Error::failure(format!(
                "{}: dataset {}: {real:?} is not an atomic number; --species says what the atoms are",
                dataset.filename(),
                dataset.name()
            )));
        }
        *number = *real as i64;
    }
    Ok(())
}

/// A member's value, of which HDF5 gives the first bytes as the file has them.
fn value(kind: &EnumType, given: u64, swapped: bool) -> i64 {
    let size = kind.size as usize;
    let mut bytes = given.to_ne_bytes();
    if swapped {
        bytes[..size].reverse();
    }
    if kind.signed && bytes[size - 1] >= 0x80 {
        bytes[size..].fill(0xff);
        return i64::from_le_bytes(bytes);
    }
    // As HDF5 reads larger ones into numbers with a sign.
    i64::try_from(u64::from_le_bytes(bytes)).unwrap_or(i64::MAX)
}

fn element(word: &str, said: Option<&Said>) -> Option<u8> {
    let named = said.and_then(|said| said.of(word));
    named.or_else(|| elements::exactly(word))
}

fn unknown(file: &str, dataset: &str, name: &str) -> String {
    format!(
        "{file}: dataset {dataset}: {name:?} is not the symbol of an element; say which it is: --species {name}=O"
    )
}

/// The names in some rows, without what fills them up.
fn words(dataset: &Dataset, rows: &[Range<u64>]) -> ::hdf5::Result<Vec<String>> {
    let stored = dataset.dtype()?;
    match stored.to_descriptor()? {
        TypeDescriptor::VarLenAscii => varying(dataset, rows, VarLenAscii::as_bytes),
        TypeDescriptor::VarLenUnicode => varying(dataset, rows, VarLenUnicode::as_bytes),
        _ => {
            let wide = stored.size().max(1);
            let count = rows.iter().map(|r| r.end - r.start).sum::<u64>() as usize;
            let mut bytes = vec![0; count * ffi::row_elements(dataset) * wide];
            ffi::read_bytes(dataset, rows, (&stored, &mut bytes))
                .map_err(|error| ::hdf5::Error::Internal(error.message))?;
            Ok(bytes.chunks(wide).map(bare).collect())
        }
    }
}

fn varying<T: H5Type>(
    dataset: &Dataset,
    rows: &[Range<u64>],
    bytes: impl Fn(&T) -> &[u8],
) -> ::hdf5::Result<Vec<String>> {
    let mut all = Vec::new();
    for run in rows {
        let (start, end) = (run.start as usize, run.end as usize);
        if dataset.ndim() == 1 {
            let read = dataset.read_slice_1d::<T, _>(s![start..end])?;
            all.extend(read.iter().map(|word| bare(bytes(word))));
        } else {
            let read = dataset.read_slice_2d::<T, _>(s![start..end, ..])?;
            all.extend(read.iter().map(|word| bare(bytes(word))));
        }
    }
    Ok(all)
}

fn bare(bytes: &[u8]) -> String {
    let text = bytes.split(|b| *b == 0).next().unwrap_or_default();
    lossy(text).trim_matches(' ').to_owned()
}
