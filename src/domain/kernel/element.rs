//! Types of elements of arrays.

use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, Immutable, KnownLayout};

/// The type of an element of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // the names say it
pub enum Element {
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F32,
    F64,
    /// Real and imaginary part, two f32.
    C64,
    /// Real and imaginary part, two f64.
    C128,
}

impl Element {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 | Self::C64 => 8,
            Self::C128 => 16,
        }
    }

    /// Whether an element has two parts.
    pub fn is_complex(self) -> bool {
        matches!(self, Self::C64 | Self::C128)
    }

    /// Double precision: what kernels compute with unless they want it otherwise.
    #[must_use]
    pub fn widest(self) -> Self {
        if self.is_complex() {
            Self::C128
        } else {
            Self::F64
        }
    }

    /// What is stored of a result that was not computed, as bytes: NaN, and zero in whole numbers.
    pub fn blank(self) -> &'static [u8] {
        const NAN32: [u8; 4] = f32::NAN.to_ne_bytes();
        const NAN64: [u8; 8] = f64::NAN.to_ne_bytes();
        match self {
            Self::F32 | Self::C64 => &NAN32,
            Self::F64 | Self::C128 => &NAN64,
            _ => &[0; 8],
        }
    }

    /// Whether some number in `bytes` is NaN or infinite.
    pub(super) fn has_hole(self, bytes: &[u8]) -> bool {
        match self {
            Self::F32 | Self::C64 => view::<f32>(bytes).iter().any(|x| !x.is_finite()),
            Self::F64 | Self::C128 => view::<f64>(bytes).iter().any(|x| !x.is_finite()),
            _ => false,
        }
    }
}

/// `bytes` as numbers; none where they are no such numbers.
pub(super) fn view<T: FromBytes + KnownLayout + Immutable>(bytes: &[u8]) -> &[T] {
    <[T]>::ref_from_bytes(bytes).unwrap_or_default()
}
