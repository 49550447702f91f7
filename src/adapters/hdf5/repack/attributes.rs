//! Attributes from one file to another.

use ::hdf5::types::{TypeDescriptor, VarLenArray, VarLenUnicode};
use ::hdf5::{Attribute, File, H5Type, Location, ObjectReference1, ReferencedObject};

use super::super::texts;
use super::ffi;

/// Copies the attributes of `from` to `to`; false when some are of a kind that cannot be copied. References go to the object
/// of the same name; those to an object that is not there are left out.
pub(in super::super) fn copy(from: &Location, to: &Location) -> ::hdf5::Result<bool> {
    let mut all = true;
    for name in from.attr_names()? {
        let attribute = from.attr(&name)?;
        all &= copy_one(from, &attribute, to, &name)?;
    }
    Ok(all)
}

fn copy_one(
    from: &Location,
    attribute: &Attribute,
    to: &Location,
    name: &str,
) -> ::hdf5::Result<bool> {
    let Ok(kind) = attribute.dtype()?.to_descriptor() else {
        return Ok(false);
    };
    match kind {
        TypeDescriptor::Reference(_) => references(from, attribute, to, name)?,
        TypeDescriptor::VarLenArray(inner) if matches!(*inner, TypeDescriptor::Reference(_)) => {
            lists_of_references(from, attribute, to, name)?;
        }
        TypeDescriptor::VarLenUnicode | TypeDescriptor::VarLenAscii => match texts(attribute) {
            Some(texts) => write_texts(&texts, attribute, to, name)?,
            None => return Ok(false),
        },
        TypeDescriptor::VarLenArray(_) | TypeDescriptor::Compound(_) => return Ok(false),
        _ => ffi::copy_attribute(attribute, to, name)?,
    }
    Ok(true)
}

fn write<T: H5Type>(
    from: &Attribute,
    to: &Location,
    name: &str,
    values: &[T],
) -> ::hdf5::Result<()> {
    let new = to.new_attr::<T>().shape(from.shape()).create(name)?;
    new.write_raw(values)
}

fn write_texts(
    texts: &[String],
    from: &Attribute,
    to: &Location,
    name: &str,
) -> ::hdf5::Result<()> {
    let values: Result<Vec<VarLenUnicode>, _> = texts.iter().map(|text| text.parse()).collect();
    let values = values.map_err(|e| ::hdf5::Error::from(e.to_string()))?;
    write(from, to, name, &values)
}

/// The same reference in the other file; one to nothing stays one.
fn moved(from: &File, to: &File, reference: ObjectReference1) -> ::hdf5::Result<ObjectReference1> {
    let name = match from.dereference(&reference) {
        Ok(ReferencedObject::Dataset(found)) => found.name(),
        Ok(ReferencedObject::Group(found)) => found.name(),
        _ => "/".into(),
    };
    to.reference::<ObjectReference1>(&name)
}

fn references(of: &Location, from: &Attribute, to: &Location, name: &str) -> ::hdf5::Result<()> {
    let (here, there) = (of.file()?, to.file()?);
    let values = from.read_raw::<ObjectReference1>()?;
    let values = values.iter().map(|value| moved(&here, &there, *value));
    match values.collect::<::hdf5::Result<Vec<_>>>() {
        Ok(values) => write(from, to, name, &values),
        // What it refers to is not there.
        Err(_) => Ok(()),
    }
}

fn lists_of_references(
    of: &Location,
    from: &Attribute,
    to: &Location,
    name: &str,
) -> ::hdf5::Result<()> {
    let (here, there) = (of.file()?, to.file()?);
    let values = from.read_raw::<VarLenArray<ObjectReference1>>()?;
    let mut lists = Vec::with_capacity(values.len());
    for list in &values {
        let list = list.iter().map(|value| moved(&here, &there, *value));
        // What it refers to is not there.
        let Ok(list) = list.collect::<::hdf5::Result<Vec<_>>>() else {
            return Ok(());
        };
        lists.push(VarLenArray::from_slice(&list));
    }
    write(from, to, name, &lists)
}
