//! The results that are shown, as they are before anything of them is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ::hdf5::types::TypeDescriptor;
use ::hdf5::{File, Group};

use super::super::create::folder_of;
use super::super::result_reader::ResultReader;
use super::super::{failed, layout, open_read_only, text_attribute};
use crate::domain::error::Result;

/// A result that is shown.
pub(super) struct Source {
    pub path: PathBuf,
    /// What each dataset is, by path. Files are not kept open: there may be more of them than a process may have.
    pub datasets: BTreeMap<String, Stored>,
    pub frames: usize,
    pub total_atoms: usize,
    /// Atoms in each frame; `None` where they differ.
    pub atoms: Option<usize>,
}

/// A dataset of a source.
pub(super) struct Stored {
    pub shape: Vec<usize>,
    pub kind: TypeDescriptor,
    pub unit: Option<String>,
}

impl Source {
    pub fn new(path: &Path, reader: &ResultReader) -> Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            frames: reader.n_frames() as usize,
            total_atoms: reader.total_atoms() as usize,
            atoms: reader.atoms().map(|atoms| atoms as usize),
            datasets: datasets(path)?,
        })
    }
}

/// What has the name of a group of which values are shown.
pub(super) const SHOWN: [&str; 3] = ["/particles", "/observables", layout::FRAMEWISE];

pub(super) fn open(path: &Path) -> ::hdf5::Result<File> {
    open_read_only(path).map_err(|e| ::hdf5::Error::from(e.message))
}

/// What a source has that may be shown.
fn datasets(path: &Path) -> Result<BTreeMap<String, Stored>> {
    let file = open_read_only(path)?;
    let mut found = BTreeMap::new();
    for top in SHOWN.into_iter().chain([layout::AMBER]) {
        if let Ok(group) = file.group(top) {
            collect(&group, top, &mut found).map_err(failed(path.display()))?;
        }
    }
    Ok(found)
}

fn collect(group: &Group, at: &str, found: &mut BTreeMap<String, Stored>) -> ::hdf5::Result<()> {
    for name in group.member_names()? {
        let path = format!("{at}/{name}");
        if let Ok(dataset) = group.dataset(&name) {
            if let Ok(kind) = dataset.dtype()?.to_descriptor() {
                let (shape, unit) = (dataset.shape(), text_attribute(&dataset, "unit"));
                found.insert(path, Stored { shape, kind, unit });
            }
        } else if let Ok(child) = group.group(&name) {
            collect(&child, &path, found)?;
        }
    }
    Ok(())
}

/// In which units two sources have a dataset, where not all have it in the same: numbers that stand one after the other
/// have one unit.
pub(super) fn differing_units(sources: &[Source], path: &str) -> Option<String> {
    let all = sources
        .iter()
        .map(|source| Some((source, source.datasets.get(path)?)));
    let all = all.collect::<Option<Vec<_>>>()?;
    let (first, known) = all.first()?;
    let (other, differs) = all.iter().find(|(_, stored)| stored.unit != known.unit)?;
    let said = |stored: &Stored| match &stored.unit {
        Some(unit) => format!("in {unit}"),
        None => "without a unit".to_owned(),
    };
    Some(format!(
        "is {} in {} and {} in {}",
        said(known),
        first.path.display(),
        said(differs),
        other.path.display()
    ))
}

/// A name as HDF5 takes it in virtual datasets, where a percent sign begins a number of blocks.
pub(super) fn literal(name: &str) -> String {
    name.replace('%', "%%")
}

/// The path of a source as seen from the folder of the target: they can be moved together. Absolute where there is no way.
pub(super) fn seen_from(target: &Path, source: &Path) -> String {
    let (Ok(source), Ok(folder)) = (source.canonicalize(), folder_of(target).canonicalize()) else {
        return source.display().to_string();
    };
    match source.strip_prefix(&folder) {
        Ok(inside) => inside.display().to_string(),
        Err(_) => source.display().to_string(),
    }
}
