//! Rows of any array of numbers: its first axis is the position. Opened read-only with the serial driver.

pub mod arrays;
pub mod create;
mod element;
pub mod jobs;
pub mod stored;
mod usid;

use std::path::{Path, PathBuf};

use ::hdf5::{Dataset, Datatype, File, Group};

use crate::domain::error::{Error, Result};
use crate::domain::frame::FrameBlock;
use crate::domain::kernel::{Element, RowDescription};
use crate::domain::parameters::did_you_mean;
use crate::engine::ports::Source;
use crate::planning::frame_set::FrameSet;

use super::{failed, ffi, open_read_only, require_room, text_attribute};

/// Rows that are read at a time take about so many bytes.
const BLOCK_BYTES: u64 = 16 << 20;
/// Datasets that are named when the wanted one is missing, and how far to look for them.
const SHOWN: usize = 8;
/// See [`SHOWN`].
const SEARCH: (usize, usize) = (12, 10_000);

/// An array, open for reading.
pub struct RowInput {
    path: PathBuf,
    dataset: Dataset,
    rows: u64,
    stored: Element,
    description: RowDescription,
    /// How elements lie in memory, and how they are called there.
    memory: (Element, Datatype),
}

impl RowInput {
    /// Opens the array at `name` of the file.
    pub fn open(path: &Path, name: &str) -> Result<Self> {
        let file = open_read_only(path)?;
        let shown = path.display();
        let Ok(dataset) = file.dataset(name) else {
            return Err(missing(path, &file, name));
        };
        let name = dataset.name();
        let stored = element::of(&dataset)
            .map_err(|what| Error::failure(format!("{shown}: dataset {name} {what}")))?;
        require_room(path, &dataset)?;
        let shape = dataset.shape();
        let Some((rows, row)) = shape.split_first() else {
            return Err(Error::failure(format!(
                "{shown}: dataset {name} is one number; the first axis of an array is the position"
            )));
        };
        if row.contains(&0) {
            return Err(Error::failure(format!(
                "{shown}: dataset {name} has shape {shape:?}: its rows are empty"
            )));
        }
        let text = |attribute| text_attribute(&dataset, attribute).unwrap_or_default();
        let description = RowDescription {
            element: Some(stored),
            shape: row.to_vec(),
            unit: text("units"),
            quantity: text("quantity"),
            axes: usid::axes(&file, &dataset, row.iter().product()),
        };
        let memory = memory(&dataset, stored.widest())?;
        Ok(Self {
            path: path.to_owned(),
            rows: *rows as u64,
            stored,
            description,
            memory,
            dataset,
        })
    }

    /// Rows are handed over in this type from now on.
    pub fn hand_over_as(&mut self, element: Element) -> Result<()> {
        self.memory = memory(&self.dataset, element)?;
        Ok(())
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Type of the elements as stored.
    pub fn stored(&self) -> Element {
        self.stored
    }

    /// What the rows have in common.
    pub fn description(&self) -> &RowDescription {
        &self.description
    }

    /// Full name of the dataset.
    pub fn name(&self) -> String {
        self.dataset.name()
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of one row in memory.
    pub fn row_bytes(&self) -> usize {
        self.description.elements() * self.memory.0.size()
    }

    /// Rows that are worth reading at a time.
    pub fn block_rows(&self) -> u64 {
        (BLOCK_BYTES / self.row_bytes().max(1) as u64).max(1)
    }

    pub(super) fn dataset(&self) -> &Dataset {
        &self.dataset
    }
}

fn memory(dataset: &Dataset, element: Element) -> Result<(Element, Datatype)> {
    let made = element::datatype(element, Some(dataset));
    made.map(|made| (element, made))
        .map_err(failed("memory type"))
}

impl Source for RowInput {
    fn read(&mut self, frames: &FrameSet, block: &mut FrameBlock) -> Result<()> {
        let bytes = block.place_rows(frames.iter(), self.row_bytes());
        ffi::read_bytes(&self.dataset, frames.runs(), (&self.memory.1, bytes))
    }
}

/// Says which datasets there are.
fn missing(path: &Path, file: &File, name: &str) -> Error {
    let mut found = Vec::new();
    let mut budget = SEARCH.1;
    if let Ok(root) = file.group("/") {
        search(&root, SEARCH.0, &mut budget, &mut found);
    }
    // The order in which files list their members is nobody's.
    found.sort();
    let what = if file.group(name).is_ok() {
        "is a group, not a dataset"
    } else {
        "does not exist"
    };
    let near = did_you_mean(
        name.trim_start_matches('/'),
        found.iter().map(|n| n.trim_start_matches('/')),
    );
    let more = found.len().saturating_sub(SHOWN);
    found.truncate(SHOWN);
    if more > 0 {
        found.push(format!("and {more} more"));
    }
    let has = if found.is_empty() {
        "no dataset of numbers".to_owned()
    } else {
        found.join(", ")
    };
    Error::failure(format!(
        "{}: --dataset {name:?} {what}{near}; the file has {has}",
        path.display()
    ))
}

/// Datasets of numbers, a bounded search.
fn search(group: &Group, depth: usize, budget: &mut usize, found: &mut Vec<String>) {
    if *budget == 0 {
        return;
    }
    *budget -= 1;
    for dataset in group.datasets().unwrap_or_default() {
        if !dataset.is_scalar() && element::of(&dataset).is_ok() {
            found.push(dataset.name());
        }
    }
    if depth > 0 {
        for child in group.groups().unwrap_or_default() {
            search(&child, depth - 1, budget, found);
        }
    }
}
