//! Where the results of a file are: those of frames have their places, those of rows say where they are.

use std::sync::Arc;

use ::hdf5::{Dataset, Datatype, File, Group};
use serde::{Deserialize, Serialize};

use crate::domain::error::{Error, Result};
use crate::domain::kernel::{Layout, ResultSpec};

use super::super::layout::{self, attribute};
use super::super::{failed, ffi, join, text_attribute};
use super::element;

/// pyUSID's own word for the rows that are done: (N) u8, 1 where they are.
const COMPLETED: &str = "completed_positions";
/// More results than this no kernel has: the file is damaged.
const MOST: usize = 4096;

/// Results of rows in a file.
#[derive(Clone, Debug)]
pub struct StoredRows {
    /// The group that holds them.
    pub group: String,
    /// What one row has.
    pub layout: Arc<Layout>,
}

/// [`StoredRows`] as the file says it.
#[derive(Serialize, Deserialize)]
struct Said {
    group: String,
    results: Vec<ResultSpec>,
}

impl StoredRows {
    /// What `file` says; `None` where its results are those of frames.
    pub fn of(file: &File) -> Result<Option<Self>> {
        let Ok(ours) = file.group(layout::FRAMEWISE) else {
            return Ok(None);
        };
        if ours.attr(attribute::RESULTS).is_err() {
            return Ok(None);
        }
        let Some(said) = Self::said_in(&ours) else {
            return Err(Error::failure(format!(
                "{}: attribute {} of {} says nothing that makes sense: the file is damaged",
                file.filename(),
                attribute::RESULTS,
                layout::FRAMEWISE
            )));
        };
        Ok(Some(said))
    }

    /// What the books of a job say, if that makes sense.
    pub(super) fn said_in(books: &Group) -> Option<Self> {
        let text = text_attribute(books, attribute::RESULTS)?;
        let said = serde_json::from_str::<Said>(&text).ok()?;
        let sound = said.results.len() <= MOST && !too_large(&said);
        sound.then(|| Self {
            group: said.group,
            layout: Arc::new(Layout::new(said.results)),
        })
    }

    /// As the file says it.
    pub fn encode(&self) -> String {
        let said = Said {
            group: self.group.clone(),
            results: self.layout.specs().to_vec(),
        };
        serde_json::to_string(&said).unwrap_or_default()
    }

    /// The dataset of result `k`.
    pub fn path(&self, k: usize) -> String {
        join(&self.group, &self.layout.specs()[k].name)
    }

    /// All datasets of results, in the order in which checksums take them.
    pub fn paths(&self) -> Vec<String> {
        let specs = 0..self.layout.specs().len();
        specs.map(|k| self.path(k)).collect()
    }

    /// The dataset that tells pyUSID which rows are done.
    pub fn completed(&self) -> String {
        join(&self.group, COMPLETED)
    }

    /// Name of [`completed`](Self::completed) in its group.
    pub(super) const COMPLETED: &'static str = COMPLETED;

    /// How elements of result `k` lie in memory.
    pub fn memory(&self, k: usize) -> Result<Datatype> {
        element::datatype(self.layout.specs()[k].element, None).map_err(failed("memory type"))
    }

    /// Whether `dataset` holds what is said of result `k`.
    pub fn fits(&self, k: usize, dataset: &Dataset) -> bool {
        let spec = &self.layout.specs()[k];
        ffi::row_elements(dataset) == spec.elements() && element::of(dataset) == Ok(spec.element)
    }

    /// Copies result `k` of rows that lie packed one after the other into `column`.
    pub fn unpack(&self, k: usize, packed: &[u8], column: &mut Vec<u8>) {
        column.clear();
        let part = self.layout.part(k);
        for row in packed.chunks_exact(8 * self.layout.words().max(1)) {
            column.extend_from_slice(&row[part.clone()]);
        }
    }

    /// The other way round.
    pub fn pack(&self, k: usize, column: &[u8], packed: &mut [u8]) {
        let part = self.layout.part(k);
        let rows = packed.chunks_exact_mut(8 * self.layout.words().max(1));
        for (row, bytes) in rows.zip(column.chunks_exact(part.len().max(1))) {
            row[part.clone()].copy_from_slice(bytes);
        }
    }
}

/// Whether the results of a row cannot be as large as is said.
fn too_large(said: &Said) -> bool {
    let bytes = |spec: &ResultSpec| {
        let elements = spec.shape.iter().try_fold(1usize, |n, m| n.checked_mul(*m));
        elements.and_then(|n| n.checked_mul(spec.element.size()))
    };
    let mut sizes = said.results.iter().map(bytes);
    let total = sizes.try_fold(0usize, |sum, bytes| sum.checked_add(bytes?));
    total.is_none_or(|bytes| bytes > 1 << 32)
}
