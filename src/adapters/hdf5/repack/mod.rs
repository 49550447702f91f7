//! A compressed, rechunked copy of a result: [`plan`] what is there, `create` the new file, [`fill`] it by all ranks, [`check`]
//! it. Only a copy is ever compressed: a file that is being worked on would lose chunks by a kill.

mod attributes;
pub mod check;
pub mod create;
mod ffi;
pub mod fill;
pub mod plan;

pub(super) use attributes::copy as copy_attributes;

use ::hdf5::Dataset;
use ::hdf5::plist::dataset_create::DatasetCreateBuilder;

/// How chunks are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Not at all.
    None,
    /// DEFLATE, level 0 to 9: every HDF5 library has it.
    Gzip(u8),
    /// Zstandard, level 1 to 22: a plug-in of HDF5.
    Zstd(u8),
    /// Blosc with its LZ4, level 0 to 9: a plug-in of HDF5.
    Blosc(u8),
}

/// Numbers of the filters that are plug-ins (<https://github.com/HDFGroup/hdf5_plugins>, registered filters).
const ZSTD: i32 = 32_015;
const BLOSC: i32 = 32_001;

impl Codec {
    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip(_) => "gzip",
            Self::Zstd(_) => "zstd",
            Self::Blosc(_) => "blosc",
        }
    }

    /// Whether this HDF5 library, with its plug-ins, can write it.
    pub fn is_available(self) -> bool {
        match self {
            Self::None => true,
            Self::Gzip(_) => ::hdf5::filters::deflate_available(),
            Self::Zstd(_) => ffi::filter_available(ZSTD),
            Self::Blosc(_) => ffi::filter_available(BLOSC),
        }
    }

    fn add_to(self, list: &mut DatasetCreateBuilder) {
        match self {
            Self::None => {}
            Self::Gzip(level) => {
                list.deflate(level);
            }
            Self::Zstd(level) => {
                list.add_filter(ZSTD, &[u32::from(level)]);
            }
            // Reserved (4), level, no shuffle of its own, LZ4.
            Self::Blosc(level) => {
                list.add_filter(BLOSC, &[0, 0, 0, 0, u32::from(level), 0, 1]);
            }
        }
    }
}

/// Which access chunks are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Some frames, all of their atoms.
    Frame,
    /// Some atoms, many frames.
    Atom,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wishes {
    /// How to compress.
    pub codec: Codec,
    /// Bytes of the same significance together first.
    pub shuffle: bool,
    /// Shape of the chunks.
    pub access: Access,
    /// Datasets of doubles that become single precision, by the last part of their paths that tells them.
    pub single: Vec<String>,
}

/// Bytes in one row of a dataset, as stored.
fn row_bytes(dataset: &Dataset) -> usize {
    super::ffi::row_elements(dataset) * dataset.dtype().map_or(1, |stored| stored.size())
}
