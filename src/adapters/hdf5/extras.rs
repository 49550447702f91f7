//! Reads what a file says of its frames and atoms besides geometry and results: what `import` kept of another format, what
//! `run --carry` took over, what other writers of H5MD stored.

use std::collections::BTreeSet;
use std::ops::Range;

use ::hdf5::types::{TypeDescriptor, VarLenAscii, VarLenUnicode};
use ::hdf5::{Dataset, H5Type};

use super::input::{Found, Rows, Segment};
use super::trajectory_writer::NAME;
use super::{failed, ffi, layout, lossy, text_attribute};
use crate::adapters::source::properties::{Properties, Property};
use crate::adapters::source::values::{Kind, Texts, Values};
use crate::domain::error::Result;
use crate::domain::frame::FrameBlock;
use crate::planning::frame_set::FrameSet;

/// What stands for a slash in names.
const SLASH: char = '\u{2215}';

/// All that a group of frames has.
pub struct Extras {
    of_frames: Vec<Extra>,
    of_atoms: Vec<Extra>,
    /// What is left out, and why.
    left_out: Vec<(String, String)>,
}

struct Extra {
    name: String,
    kind: Kind,
    found: Found,
    /// Those of one frame, where all frames share them; read once.
    shared: Option<Values>,
}

impl Extras {
    /// Looks for them. Those of results are none.
    pub fn find(segment: &Segment, is_result: bool) -> Self {
        let is_ours = |found: &Found| {
            let name = found.dataset.name();
            let mut all = [
                layout::ENERGY,
                layout::STRESS,
                layout::FORCES,
                layout::MOLAR_FORCES,
            ]
            .into_iter();
            is_result && all.any(|group| name.strip_suffix("/value") == Some(group))
        };
        let mut left_out = segment.without_place();
        let mut gather = |names: Vec<String>, find: &dyn Fn(&str) -> Option<Found>| {
            let found = names.into_iter().filter_map(|name| {
                let found = find(&name)?;
                let Some(kind) = kind(&found.dataset) else {
                    left_out.push((
                        name,
                        "it holds neither numbers, nor truths, nor text".into(),
                    ));
                    return None;
                };
                let extra = Extra {
                    kind,
                    name: source_name(&found).unwrap_or_else(|| name.replace(SLASH, "/")),
                    found,
                    shared: None,
                };
                (!is_ours(&extra.found)).then_some(extra)
            });
            found.collect::<Vec<_>>()
        };
        Self {
            of_frames: gather(segment.names_of_frames(), &|name| segment.of_frames(name)),
            of_atoms: gather(segment.names_of_atoms(), &|name| segment.of_atoms(name)),
            left_out,
        }
    }

    /// None.
    pub fn none() -> Self {
        Self {
            of_frames: Vec::new(),
            of_atoms: Vec::new(),
            left_out: Vec::new(),
        }
    }

    /// What the file has besides and is not among them, and why.
    pub fn left_out(&self) -> &[(String, String)] {
        &self.left_out
    }

    /// Leaves those out whose names are taken, of frames and of atoms; returns their names.
    pub fn without(&mut self, taken: &[Vec<String>; 2]) -> BTreeSet<String> {
        let mut left = BTreeSet::new();
        for (extras, taken) in [&mut self.of_frames, &mut self.of_atoms]
            .into_iter()
            .zip(taken)
        {
            extras.retain(|extra| {
                let is_taken = taken
                    .iter()
                    .any(|name| name.eq_ignore_ascii_case(&extra.name));
                if is_taken {
                    left.insert(extra.name.clone());
                }
                !is_taken
            });
        }
        left
    }

    /// Their names, kinds and shapes, without values.
    pub fn begin(&self) -> Properties {
        let begin = |extras: &[Extra]| {
            let each = extras.iter().map(|extra| Property {
                name: extra.name.clone(),
                shape: extra.found.of_one.clone(),
                values: Values::new(extra.kind),
            });
            each.collect()
        };
        Properties {
            of_frames: begin(&self.of_frames),
            of_atoms: begin(&self.of_atoms),
        }
    }

    /// Reads those of `frames`, whose geometry is in `block`, replacing what was in `properties`,
    /// which [`begin`](Self::begin) made.
    pub fn read(
        &mut self,
        frames: &FrameSet,
        block: &FrameBlock,
        properties: &mut Properties,
    ) -> Result<()> {
        for (extra, property) in self.of_frames.iter().zip(&mut properties.of_frames) {
            read(&extra.found.dataset, frames.runs(), &mut property.values)?;
        }
        let is_ragged = self
            .of_atoms
            .iter()
            .any(|extra| extra.found.atoms.is_none());
        let atoms = if is_ragged {
            let sizes = block.offsets.windows(2).map(|o| (o[1] - o[0]) as u64);
            let runs = block.first_atoms.iter().zip(sizes);
            runs.map(|(first, size)| *first..first + size).collect()
        } else {
            frames.clone()
        };
        for (extra, property) in self.of_atoms.iter_mut().zip(&mut properties.of_atoms) {
            let dataset = &extra.found.dataset;
            if extra.found.rows == Rows::FixedAtoms {
                let shared = match &mut extra.shared {
                    Some(shared) => shared,
                    none => {
                        let rows = 0..dataset.shape()[0] as u64;
                        let mut values = Values::new(extra.kind);
                        read(dataset, std::slice::from_ref(&rows), &mut values)?;
                        none.insert(values)
                    }
                };
                property.values.set_repeated(shared, block.len());
            } else if extra.found.rows == Rows::PaddedAtoms {
                read(dataset, frames.runs(), &mut property.values)?;
                let of_one: usize = property.shape.iter().product();
                let sizes = block.offsets.windows(2).map(|o| (o[1] - o[0]) * of_one);
                let width = ffi::row_elements(dataset);
                property.values.keep_first(width, sizes);
            } else {
                read(dataset, atoms.runs(), &mut property.values)?;
            }
        }
        Ok(())
    }
}

/// What the property was called where it was imported from.
pub(super) fn source_name(found: &Found) -> Option<String> {
    let path = found.dataset.name();
    let group = path.strip_suffix("/value")?;
    let group = found.dataset.file().ok()?.group(group).ok()?;
    text_attribute(&group, NAME)
}

/// What a dataset holds; none where it is neither numbers, nor truths, nor text.
pub fn kind(dataset: &Dataset) -> Option<Kind> {
    use TypeDescriptor as T;
    Some(match dataset.dtype().ok()?.to_descriptor().ok()? {
        T::Float(_) => Kind::Real,
        T::Integer(_) | T::Unsigned(_) => Kind::Integer,
        T::Boolean => Kind::Logical,
        T::FixedAscii(_) | T::FixedUnicode(_) | T::VarLenAscii | T::VarLenUnicode => Kind::Text,
        _ => return None,
    })
}

/// Reads rows of a dataset.
fn read(dataset: &Dataset, rows: &[Range<u64>], into: &mut Values) -> Result<()> {
    let frames: u64 = rows.iter().map(|r| r.end - r.start).sum();
    let n = frames as usize * ffi::row_elements(dataset);
    match into {
        Values::Real(v) => {
            v.resize(n, 0.0);
            ffi::read_rows(dataset, rows, v)
        }
        Values::Integer(v) => {
            v.resize(n, 0);
            ffi::read_rows(dataset, rows, v)
        }
        Values::Logical(v) => {
            let stored = dataset.dtype().map_err(failed(dataset.name()))?;
            let mut bytes = vec![0; n * stored.size()];
            ffi::read_bytes(dataset, rows, (&stored, &mut bytes))?;
            v.clear();
            v.extend(
                bytes
                    .chunks(stored.size())
                    .map(|b| b.iter().any(|b| *b != 0)),
            );
            Ok(())
        }
        Values::Text(texts) => {
            texts.clear();
            read_texts(dataset, rows, n, texts)
        }
    }
}

fn read_texts(dataset: &Dataset, rows: &[Range<u64>], n: usize, into: &mut Texts) -> Result<()> {
    let doing = || failed(format!("cannot read {}", dataset.name()));
    let stored = dataset.dtype().map_err(doing())?;
    match stored.to_descriptor().map_err(doing())? {
        TypeDescriptor::VarLenUnicode => {
            each_long::<VarLenUnicode>(dataset, rows, |text| into.push(text.as_str()))
        }
        TypeDescriptor::VarLenAscii => {
            each_long::<VarLenAscii>(dataset, rows, |text| into.push(&lossy(text.as_bytes())))
        }
        _ => {
            let width = stored.size();
            let mut bytes = vec![0; n * width];
            ffi::read_bytes(dataset, rows, (&stored, &mut bytes))?;
            for text in bytes.chunks(width.max(1)) {
                let end = text.iter().position(|b| *b == 0).unwrap_or(width);
                into.push(lossy(&text[..end]).trim_end());
            }
            Ok(())
        }
    }
}

/// Texts of any length are allocated one by one.
fn each_long<T: H5Type>(
    dataset: &Dataset,
    rows: &[Range<u64>],
    mut each: impl FnMut(&T),
) -> Result<()> {
    for run in rows {
        let mut selection = vec![::hdf5::SliceOrIndex::from(
            run.start as usize..run.end as usize,
        )];
        let rest = dataset.shape();
        selection.extend(rest[1..].iter().map(|n| ::hdf5::SliceOrIndex::from(0..*n)));
        let read: ndarray::ArrayD<T> = dataset
            .read_slice(::hdf5::Hyperslab::from(selection))
            .map_err(failed(format!("cannot read {}", dataset.name())))?;
        read.iter().for_each(&mut each);
    }
    Ok(())
}
