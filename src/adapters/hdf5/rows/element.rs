//! Types of elements as HDF5 has them.

use ::hdf5::types::{CompoundField, CompoundType, FloatSize, IntSize, TypeDescriptor};
use ::hdf5::{Dataset, Datatype};

use crate::domain::kernel::Element;

/// Type of the elements of a dataset, or what they are instead.
pub(super) fn of(dataset: &Dataset) -> Result<Element, String> {
    let described = dataset.dtype().and_then(|t| t.to_descriptor());
    let Ok(described) = described else {
        return Err(
            "holds elements of a type that is not known here; convert it to numbers".into(),
        );
    };
    from(&described).ok_or_else(|| {
        format!("holds {described}, expected numbers (whole, real, or complex as pairs of them)")
    })
}

fn from(described: &TypeDescriptor) -> Option<Element> {
    use IntSize::{U1, U2, U4, U8};
    Some(match described {
        TypeDescriptor::Integer(U1) => Element::I8,
        TypeDescriptor::Integer(U2) => Element::I16,
        TypeDescriptor::Integer(U4) => Element::I32,
        TypeDescriptor::Integer(U8) => Element::I64,
        TypeDescriptor::Unsigned(U1) => Element::U8,
        TypeDescriptor::Unsigned(U2) => Element::U16,
        TypeDescriptor::Unsigned(U4) => Element::U32,
        TypeDescriptor::Unsigned(U8) => Element::U64,
        TypeDescriptor::Float(FloatSize::U4) => Element::F32,
        TypeDescriptor::Float(FloatSize::U8) => Element::F64,
        TypeDescriptor::Compound(pair) => match &pair.fields[..] {
            [a, b] if is_pair(a, b) => match (from(&a.ty)?, from(&b.ty)?) {
                (Element::F32, Element::F32) => Element::C64,
                (Element::F64, Element::F64) => Element::C128,
                _ => return None,
            },
            _ => return None,
        },
        _ => return None,
    })
}

/// Whether two fields are the parts of a complex number, under one of the names that programs give them.
fn is_pair(a: &CompoundField, b: &CompoundField) -> bool {
    const NAMES: [(&str, &str); 3] = [("r", "i"), ("real", "imag"), ("re", "im")];
    NAMES.iter().any(|(re, im)| a.name == *re && b.name == *im)
}

/// The type of elements in this machine's byte order; parts of complex numbers are called as those of `like`, or as h5py
/// calls them.
pub fn datatype(element: Element, like: Option<&Dataset>) -> ::hdf5::Result<Datatype> {
    Datatype::from_descriptor(&descriptor(element, like))
}

fn descriptor(element: Element, like: Option<&Dataset>) -> TypeDescriptor {
    use IntSize::{U1, U2, U4, U8};
    match element {
        Element::I8 => TypeDescriptor::Integer(U1),
        Element::I16 => TypeDescriptor::Integer(U2),
        Element::I32 => TypeDescriptor::Integer(U4),
        Element::I64 => TypeDescriptor::Integer(U8),
        Element::U8 => TypeDescriptor::Unsigned(U1),
        Element::U16 => TypeDescriptor::Unsigned(U2),
        Element::U32 => TypeDescriptor::Unsigned(U4),
        Element::U64 => TypeDescriptor::Unsigned(U8),
        Element::F32 => TypeDescriptor::Float(FloatSize::U4),
        Element::F64 => TypeDescriptor::Float(FloatSize::U8),
        Element::C64 => pair(FloatSize::U4, like),
        Element::C128 => pair(FloatSize::U8, like),
    }
}

fn pair(size: FloatSize, like: Option<&Dataset>) -> TypeDescriptor {
    let like = like.and_then(|dataset| dataset.dtype().ok()?.to_descriptor().ok());
    let names = match like {
        Some(TypeDescriptor::Compound(pair)) if pair.fields.len() == 2 => {
            [pair.fields[0].name.clone(), pair.fields[1].name.clone()]
        }
        _ => ["r".to_owned(), "i".to_owned()],
    };
    let width = size as usize;
    let fields = names.into_iter().enumerate().map(|(index, name)| {
        CompoundField::new(&name, TypeDescriptor::Float(size), index * width, index)
    });
    TypeDescriptor::Compound(CompoundType {
        fields: fields.collect(),
        size: 2 * width,
    })
}
