//! The rounds: one unit of the same dataset on each rank, written collectively.

use std::path::Path;

use ::hdf5::FileBuilder;

use crate::adapters::hdf5::failed;
use crate::adapters::hdf5::ffi::Transfer;
use crate::adapters::hdf5::repack::fill::{Reader, Unit, Values, write as write_unit};
use crate::adapters::hdf5::sink::open_parallel;
use crate::adapters::mpi::MpiRanks;
use crate::domain::error::{Error, Result};
use crate::engine::ports::Ranks;
use crate::engine::together::together;

use super::super::run::closing::close;
use super::Setting;

/// Fills the pieces of the file at `path`. Collective.
pub(super) fn write(
    setting: &Setting<'_>,
    ranks: &mut MpiRanks,
    reader: &mut Reader<'_>,
    units: &[Unit],
    path: &Path,
) -> Result<()> {
    let (rank, size) = (ranks.rank(), ranks.size());
    // One rank needs no MPI-IO, and what HDF5 does alone is faster.
    let opened = if size == 1 {
        let mut builder = FileBuilder::new();
        builder.with_fapl(::hdf5::plist::file_access::FileAccessBuilder::libver_earliest);
        let opened = builder.open_rw(path);
        opened.map_err(failed(format!("cannot open {}", path.display())))
    } else {
        open_parallel(path, setting.world.raw(), None)
    };
    let transfer = if size == 1 {
        Transfer::Independent
    } else {
        Transfer::Collective
    };
    let file = together(ranks, opened.map_err(Error::abandoned))?;
    for (k, piece) in setting.pieces.iter().enumerate() {
        let of_piece: Vec<&Unit> = units.iter().filter(|unit| unit.piece == k).collect();
        let dataset = file.dataset(&piece.path).map_err(failed(format!(
            "{}: {}",
            path.display(),
            piece.path
        )));
        let dataset = together(ranks, dataset.map_err(Error::abandoned))?;
        for round in of_piece.chunks(size) {
            let mine = round.get(rank);
            let read = mine.map(|unit| reader.read(unit)).transpose();
            let go_on = setting.signals.go_on();
            // Whoever has nothing takes part with nothing, whoever has an error as well.
            let (rows, values, error) = match read {
                Ok(Some(values)) => (mine.map(|unit| unit.rows.clone()), values, None),
                Ok(None) => (None, Values::Bytes(&[]), None),
                Err(error) => (None, Values::Bytes(&[]), Some(error)),
            };
            let written = write_unit(&dataset, rows.as_slice(), &values, transfer);
            let ended = error.map_or(written, Err).and(go_on);
            together(ranks, ended)?;
        }
    }
    close(ranks, path, Some(path), || file.close())
}
