//! Rows of several datasets, brought together on the node, written by collective hyperslab writes, dataset by dataset.

use std::mem::ManuallyDrop;
use std::ops::Range;
use std::path::Path;

use ::hdf5::{Dataset, File};

use crate::adapters::mpi::node::{Load, Node, Piece, append};
use crate::adapters::mpi::{RawCommunicator, RawInfo};
use crate::domain::error::{Error, Result};

use super::failed;
use super::ffi::{Transfer, write_bytes};
use super::readback::Place;
use super::sink::open_parallel;

/// A dataset, open for writing on all ranks, and where it is.
pub struct Target {
    dataset: Dataset,
    /// Where its rows are.
    pub place: Place,
}

impl Target {
    /// Whether it has rows of three numbers, as arrays have whose rows are atoms.
    pub fn is_flat(&self) -> bool {
        self.dataset.ndim() == 2
    }
}

/// Rows (ascending, disjoint) of a dataset, and their bytes.
pub type Column<'a> = (&'a Target, &'a [Range<u64>], &'a [u8]);

/// The file of a result, open over MPI on all ranks. Every method is collective unless it is for independent transfer.
pub struct Writer {
    file: File,
    node: Option<Node>,
    transfer: Transfer,
    pieces: Vec<Piece>,
    rows: Vec<Range<u64>>,
    /// The last write was that of the node.
    gathered: bool,
}

impl Writer {
    /// Opens the file and what `names` says of it. Collective. Where it fails on one rank alone the file stays open: closing it is
    /// collective, too.
    pub fn open(
        path: &Path,
        (world, info): (RawCommunicator, Option<RawInfo>),
        transfer: Transfer,
        names: impl FnOnce(&File) -> Vec<String>,
    ) -> Result<(Self, Vec<Target>)> {
        let file = open_parallel(path, world, info)?;
        let names = names(&file);
        // Every rank opens all of them, whatever became of the first: opening is collective.
        let open = |name: &String| {
            let opened = file.dataset(name);
            opened.map_err(failed(format!("{}: dataset {name}", path.display())))
        };
        let datasets: Vec<Result<Dataset>> = names.iter().map(open).collect();
        let kept = ManuallyDrop::new(file.clone());
        let mut targets = Vec::with_capacity(names.len());
        for dataset in datasets {
            let dataset = dataset.map_err(Error::abandoned)?;
            let place = Place::of(&dataset).map_err(Error::abandoned)?;
            targets.push(Target { dataset, place });
        }
        drop(ManuallyDrop::into_inner(kept));
        let writer = Self {
            file,
            node: None,
            transfer,
            pieces: Vec::new(),
            rows: Vec::new(),
            gathered: false,
        };
        Ok((writer, targets))
    }

    /// Writes through the leaders of `node` what is scattered.
    #[must_use]
    pub fn aggregated(self, node: Option<Node>) -> Self {
        Self { node, ..self }
    }

    /// Writes the columns of all ranks, which bring the same datasets.
    ///
    /// After a write that failed, none: HDF5 leaves such a call in the middle, so that the next collective call of this
    /// rank would meet an earlier one of the others, and all would wait for ever. The agreement that follows has patience
    /// with the others, and ends the job when they do not come.
    pub fn write(&mut self, columns: &mut [Column<'_>]) -> Result<()> {
        // In the order of the file, on every rank.
        columns.sort_unstable_by_key(|(target, ..)| target.place.address());
        self.pieces.clear();
        self.gathered = false;
        if let Some(node) = &mut self.node {
            for (target, rows, _) in &*columns {
                for run in *rows {
                    append(&mut self.pieces, target.place.bytes_of(run));
                }
            }
            let blocks: Vec<&[u8]> = columns.iter().map(|(.., bytes)| *bytes).collect();
            if let Load::Others(pieces, data) = node.gather(&self.pieces, &blocks) {
                self.gathered = true;
                return each_column(
                    columns,
                    (pieces, data),
                    &mut self.rows,
                    |target, rows, bytes| write_bytes(&target.dataset, rows, bytes, self.transfer),
                );
            }
        }
        self.write_own(columns)
    }

    /// What the last [`write`](Self::write), of the same columns, has written from here, for itself or for its node, each
    /// column once. An error unless its node has been given what these columns hold: so every rank answers for its own
    /// rows on their way to those who write them, and for what it wrote on its way to the file.
    pub fn written(
        &mut self,
        columns: &mut [Column<'_>],
        mut each: impl FnMut(&Target, &[Range<u64>], &[u8]) -> Result<()>,
    ) -> Result<()> {
        columns.sort_unstable_by_key(|(target, ..)| target.place.address());
        match (self.gathered, &self.node) {
            (true, Some(node)) => {
                let blocks: Vec<&[u8]> = columns.iter().map(|(.., bytes)| *bytes).collect();
                if !node.holds(&self.pieces, &blocks) {
                    return Err(Error::failure(
                        "rows that this rank brought are not in the shared memory of its node (is the memory faulty? \
                         --aggregate off does without it); run the same command again",
                    ));
                }
                each_column(columns, node.load(), &mut self.rows, each)
            }
            _ => columns
                .iter()
                .try_for_each(|(target, rows, bytes)| each(target, rows, bytes)),
        }
    }

    /// Writes the columns without asking the node.
    pub fn write_own(&self, columns: &[Column<'_>]) -> Result<()> {
        columns.iter().try_for_each(|(target, rows, bytes)| {
            write_bytes(&target.dataset, rows, bytes, self.transfer)
        })
    }

    /// Hands what was written to the file system.
    pub fn sync(&mut self) -> Result<()> {
        self.file
            .flush()
            .map_err(failed("cannot sync the result to disk"))
    }

    /// Closes the file, once its datasets are.
    pub fn close(self) -> ::hdf5::Result<()> {
        self.file.close()
    }
}

/// Calls `each` with the rows and bytes of each dataset of `columns` in `pieces` of the file, which hold `data`, whole rows
/// of these datasets.
fn each_column(
    columns: &[Column<'_>],
    (pieces, data): (&[Piece], &[u8]),
    rows: &mut Vec<Range<u64>>,
    mut each: impl FnMut(&Target, &[Range<u64>], &[u8]) -> Result<()>,
) -> Result<()> {
    let mut rest = data;
    for (target, ..) in columns {
        rows.clear();
        let mut bytes = 0;
        for piece in pieces {
            // A piece may end in one dataset and begin in the one before.
            let run = target.place.rows_in(piece);
            if run.start < run.end {
                bytes += target.place.bytes(&run);
                rows.push(run);
            }
        }
        let (now, later) = rest.split_at(bytes.min(rest.len()));
        rest = later;
        each(target, rows, now)?;
    }
    Ok(())
}
