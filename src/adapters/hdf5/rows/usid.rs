//! The conventions of pyUSID (<https://pycroscopy.github.io/USID>): a Main dataset of positions x spectrum, and the four
//! ancillary datasets that say what its rows and columns are.

use ::hdf5::types::VarLenUnicode;
use ::hdf5::{
    Dataset, File, Group, H5Type, Location, ObjectReference1, ReferencedObject,
    Result as Hdf5Result,
};

use crate::domain::kernel::{Axis, ResultSpec};

use super::super::{join, texts_attribute, write_text};

/// Attributes of a Main dataset that lead to its ancillary ones: what its rows are, then what its columns are.
const POSITION: [&str; 2] = ["Position_Indices", "Position_Values"];
/// See [`POSITION`].
const SPECTROSCOPIC: [&str; 2] = ["Spectroscopic_Indices", "Spectroscopic_Values"];
/// Longer spectra are not read for the sake of their axes.
const MOST_VALUES: usize = 1 << 24;

/// The ancillary dataset to which an attribute of `dataset` leads.
fn ancillary(file: &File, dataset: &Dataset, name: &str) -> Option<Dataset> {
    let attribute = dataset.attr(name).ok()?;
    let reference = attribute.read_scalar::<ObjectReference1>().ok()?;
    match file.dereference(&reference) {
        Ok(ReferencedObject::Dataset(found)) => Some(found),
        _ => None,
    }
}

/// Both ancillary datasets, where `dataset` has them and they are as long as `length` along axis `along`.
fn pair(
    file: &File,
    dataset: &Dataset,
    names: [&str; 2],
    (along, length): (usize, usize),
) -> Option<[Dataset; 2]> {
    let [a, b] = names.map(|name| ancillary(file, dataset, name));
    let found = [a?, b?];
    let fits = |d: &Dataset| d.ndim() == 2 && d.shape()[along] == length;
    found.iter().all(fits).then_some(found)
}

/// What the columns of a Main dataset stand for; nothing where it is none.
pub(super) fn axes(file: &File, dataset: &Dataset, elements: usize) -> Vec<Axis> {
    let Some([_, values]) = pair(file, dataset, SPECTROSCOPIC, (1, elements)) else {
        return Vec::new();
    };
    if values.size() > MOST_VALUES {
        return Vec::new();
    }
    let labels = texts_attribute(&values, "labels").unwrap_or_default();
    let units = texts_attribute(&values, "units").unwrap_or_default();
    let Ok(numbers) = values.read_raw::<f64>() else {
        return Vec::new();
    };
    let text = |texts: &[String], k: usize| texts.get(k).cloned().unwrap_or_default();
    let rows = numbers.chunks(elements).enumerate();
    rows.map(|(k, row)| Axis {
        name: text(&labels, k),
        unit: text(&units, k),
        values: row.to_vec(),
    })
    .collect()
}

/// A new group of results, and the input that they are of.
pub(super) struct Results<'a> {
    pub file: &'a File,
    pub group: &'a Group,
    pub source: &'a Dataset,
    /// Number of rows, and shape of one row of the source.
    pub rows: usize,
    pub shape: &'a [usize],
}

impl Results<'_> {
    /// Makes the results Main datasets: ancillary ones copied from the source where it is one, plain ones elsewhere.
    pub(super) fn make_main(&self, specs: &[ResultSpec]) -> Hdf5Result<()> {
        let input = self.source.file()?;
        let elements: usize = self.shape.iter().product();
        match pair(&input, self.source, POSITION, (0, self.rows)) {
            Some(found) => self.copy(&found, POSITION)?,
            None => self.plain(POSITION, &[self.rows], ["Position", "a.u."], true)?,
        }
        let mut made: Vec<(&[usize], [String; 2])> = Vec::new();
        for spec in specs {
            let shape = &spec.shape[..];
            let known = made.iter().find(|(other, _)| *other == shape);
            let names = if let Some((_, names)) = known {
                names.clone()
            } else {
                let first = made.is_empty();
                let names = SPECTROSCOPIC.map(|name| {
                    if first {
                        name.to_owned()
                    } else {
                        format!("{}_{name}", spec.name)
                    }
                });
                let both = [names[0].as_str(), names[1].as_str()];
                let of_source = (shape == self.shape)
                    .then(|| pair(&input, self.source, SPECTROSCOPIC, (1, elements)))
                    .flatten();
                match of_source {
                    Some(found) => self.copy(&found, both)?,
                    None => self.plain(both, shape, ["Index", "a.u."], false)?,
                }
                made.push((shape, names.clone()));
                names
            };
            self.refer(spec, &names)?;
        }
        Ok(())
    }

    fn copy(&self, found: &[Dataset; 2], names: [&str; 2]) -> Hdf5Result<()> {
        for (dataset, name) in found.iter().zip(names) {
            dataset.copy_to(self.group, name)?;
        }
        Ok(())
    }

    /// Dimensions that are counted: one for each axis of `shape`, the last one fastest, or a single one without axes.
    fn plain(
        &self,
        names: [&str; 2],
        shape: &[usize],
        [label, unit]: [&str; 2],
        upright: bool,
    ) -> Hdf5Result<()> {
        let one = [1];
        let shape = if shape.is_empty() { &one } else { shape };
        let elements: usize = shape.iter().product();
        let counted = |axis: usize| {
            let below: usize = shape[axis + 1..].iter().product();
            (0..elements).map(move |i| (i / below % shape[axis]) as u32)
        };
        let indices: Vec<u32> = (0..shape.len()).flat_map(counted).collect();
        let values: Vec<f64> = indices.iter().map(|n| f64::from(*n)).collect();
        // Rows of positions have one axis: upright or not, its numbers lie in the same order.
        let extent = if upright {
            (elements, shape.len())
        } else {
            (shape.len(), elements)
        };
        let labels: Vec<String> = match shape.len() {
            1 => vec![label.to_owned()],
            n => (0..n).map(|k| format!("{label} {k}")).collect(),
        };
        let units = vec![unit.to_owned(); labels.len()];
        let written = |dataset: &Dataset| {
            write_texts(dataset, "labels", &labels)?;
            write_texts(dataset, "units", &units)
        };
        written(&write(self.group, names[0], extent, &indices)?)?;
        written(&write(self.group, names[1], extent, &values)?)
    }

    /// The attributes that make a dataset a Main one.
    fn refer(&self, spec: &ResultSpec, spectroscopic: &[String; 2]) -> Hdf5Result<()> {
        let dataset = self.group.dataset(&spec.name)?;
        write_text(&dataset, "quantity", &spec.quantity)?;
        write_text(&dataset, "units", &spec.unit)?;
        let folder = self.group.name();
        let positions = POSITION.into_iter().map(|name| (name, name.to_owned()));
        let columns = SPECTROSCOPIC.into_iter().zip(spectroscopic.iter().cloned());
        for (attribute, name) in positions.chain(columns) {
            let target = self
                .file
                .reference::<ObjectReference1>(&join(&folder, &name))?;
            let made = dataset.new_attr::<ObjectReference1>().create(attribute)?;
            made.write_scalar(&target)?;
        }
        Ok(())
    }
}

fn write<T: H5Type>(
    group: &Group,
    name: &str,
    extent: (usize, usize),
    data: &[T],
) -> Hdf5Result<Dataset> {
    let dataset = group
        .new_dataset::<T>()
        .obj_track_times(false)
        .shape(extent)
        .create(name)?;
    if !data.is_empty() {
        dataset.write_raw(data)?;
    }
    Ok(dataset)
}

fn write_texts(object: &Location, name: &str, texts: &[String]) -> Hdf5Result<()> {
    let values: Vec<VarLenUnicode> = texts
        .iter()
        .map(|text| text.parse().unwrap_or_default())
        .collect();
    let attribute = object.new_attr::<VarLenUnicode>().shape(values.len());
    attribute.create(name)?.write_raw(&values)
}
