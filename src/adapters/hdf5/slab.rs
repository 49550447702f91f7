//! Rows of one dataset, gathered in memory and written many at a time.

use std::str::FromStr;

use hdf5::types::{FixedUnicode, VarLenUnicode};
use hdf5::{Dataset, Group, H5Type, Hyperslab, SliceOrIndex};
use ndarray::{ArrayViewD, IxDyn};

/// Rows of a dataset that are written in order, once.
#[derive(Debug)]
pub struct Slab<T> {
    dataset: Dataset,
    row: Vec<usize>,
    row_len: usize,
    written: usize,
    buffer: Vec<T>,
}

impl<T: H5Type> Slab<T> {
    /// Creates the dataset `name` of `rows` rows of shape `row`, contiguous and without a time stamp.
    pub fn create(group: &Group, name: &str, rows: usize, row: &[usize]) -> hdf5::Result<Self> {
        let shape: Vec<usize> = std::iter::once(rows).chain(row.iter().copied()).collect();
        let dataset = group
            .new_dataset::<T>()
            .obj_track_times(false)
            .shape(shape)
            .create(name)?;
        Ok(Self {
            dataset,
            row: row.to_vec(),
            row_len: row.iter().product(),
            written: 0,
            buffer: Vec::new(),
        })
    }

    /// The dataset.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// Values not yet written; append whole rows.
    pub fn buffer(&mut self) -> &mut Vec<T> {
        &mut self.buffer
    }

    /// Bytes waiting.
    pub fn waiting(&self) -> usize {
        self.buffer.len() * size_of::<T>()
    }

    /// Writes what waits.
    pub fn flush(&mut self) -> hdf5::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let rows = self.buffer.len() / self.row_len;
        let shape: Vec<usize> = std::iter::once(rows).chain(self.row.clone()).collect();
        let mut selected = vec![SliceOrIndex::from(self.written..self.written + rows)];
        selected.extend(self.row.iter().map(|n| SliceOrIndex::from(0..*n)));
        let view = ArrayViewD::from_shape(IxDyn(&shape), &self.buffer)
            .map_err(|e| hdf5::Error::from(e.to_string()))?;
        self.dataset.write_slice(view, Hyperslab::from(selected))?;
        self.written += rows;
        self.buffer.clear();
        Ok(())
    }

    /// Whether all rows are there.
    pub fn is_complete(&self) -> bool {
        self.buffer.is_empty()
            && (self.row_len == 0
                || self.written == self.dataset.shape().first().copied().unwrap_or(0))
    }
}

/// Texts of at most 8, 32, 128 or 512 bytes at fixed length; longer ones at variable length.
#[derive(Debug)]
pub enum TextSlab {
    /// Up to 8 bytes.
    Fixed8(Slab<FixedUnicode<8>>),
    /// Up to 32 bytes.
    Fixed32(Slab<FixedUnicode<32>>),
    /// Up to 128 bytes.
    Fixed128(Slab<FixedUnicode<128>>),
    /// Up to 512 bytes.
    Fixed512(Slab<FixedUnicode<512>>),
    /// Any length; `usize` counts the bytes waiting.
    Variable(Slab<VarLenUnicode>, usize),
}

macro_rules! each_size {
    ($self:expr, $slab:ident => $action:expr) => {
        match $self {
            TextSlab::Fixed8($slab) => $action,
            TextSlab::Fixed32($slab) => $action,
            TextSlab::Fixed128($slab) => $action,
            TextSlab::Fixed512($slab) => $action,
            TextSlab::Variable($slab, _) => $action,
        }
    };
}

impl TextSlab {
    /// As [`Slab::create`], for texts of at most `bytes` bytes.
    pub fn create(
        group: &Group,
        name: &str,
        rows: usize,
        row: &[usize],
        bytes: usize,
    ) -> hdf5::Result<Self> {
        Ok(match bytes {
            0..=8 => Self::Fixed8(Slab::create(group, name, rows, row)?),
            9..=32 => Self::Fixed32(Slab::create(group, name, rows, row)?),
            33..=128 => Self::Fixed128(Slab::create(group, name, rows, row)?),
            129..=512 => Self::Fixed512(Slab::create(group, name, rows, row)?),
            _ => Self::Variable(Slab::create(group, name, rows, row)?, 0),
        })
    }

    /// Appends one text.
    pub fn push(&mut self, text: &str) -> hdf5::Result<()> {
        if let Self::Variable(_, bytes) = self {
            *bytes += text.len();
        }
        each_size!(self, slab => {
            let text = FromStr::from_str(text).map_err(|e| hdf5::Error::from(format!("{e}")))?;
            slab.buffer().push(text);
        });
        Ok(())
    }

    /// Bytes waiting.
    pub fn waiting(&self) -> usize {
        let more = match self {
            Self::Variable(_, bytes) => *bytes,
            _ => 0,
        };
        more + each_size!(self, slab => slab.waiting())
    }

    /// Writes what waits.
    pub fn flush(&mut self) -> hdf5::Result<()> {
        if let Self::Variable(_, bytes) = self {
            *bytes = 0;
        }
        each_size!(self, slab => slab.flush())
    }

    /// Whether all rows are there.
    pub fn is_complete(&self) -> bool {
        each_size!(self, slab => slab.is_complete())
    }
}
