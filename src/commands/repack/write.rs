//! The rounds: one unit of the same dataset on each rank, written collectively.

use std::mem::ManuallyDrop;
use std::path::Path;

use ::hdf5::{File, FileBuilder};

use crate::adapters::hdf5::failed;
use crate::adapters::hdf5::ffi::Transfer;
use crate::adapters::hdf5::repack::fill::{Reader, Unit, Values, write as write_unit};
use crate::adapters::hdf5::sink::open_parallel;
use crate::adapters::mpi::MpiRanks;
use crate::domain::error::{Error, Kind, Result};
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
    let size = ranks.size();
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
    // Dropping the file closes it, which is collective: not unless all ranks have it, and after nothing went wrong.
    let opened = opened.map(ManuallyDrop::new).map_err(Error::abandoned);
    let file = together(ranks, opened)?;
    let filled = fill(setting, ranks, reader, units, (&file, transfer));
    match filled {
        Err(error) if error.kind != Kind::Stopped && size > 1 => return Err(error.abandoned()),
        _ => {}
    }
    let closed = close(ranks, path, Some(path), || {
        ManuallyDrop::into_inner(file).close()
    });
    filled.and(closed)
}

/// The rounds of all pieces. Collective: a rank with nothing to write takes part, as does one with an error.
fn fill(
    setting: &Setting<'_>,
    ranks: &mut MpiRanks,
    reader: &mut Reader<'_>,
    units: &[Unit],
    (file, transfer): (&File, Transfer),
) -> Result<()> {
    let (rank, size) = (ranks.rank(), ranks.size());
    for (k, piece) in setting.pieces.iter().enumerate() {
        let of_piece: Vec<&Unit> = units.iter().filter(|unit| unit.piece == k).collect();
        let dataset = file.dataset(&piece.path).map(ManuallyDrop::new);
        let dataset = dataset.map_err(failed(&piece.path));
        let dataset = together(ranks, dataset)?;
        for round in of_piece.chunks(size) {
            let mine = round.get(rank);
            let read = mine.map(|unit| reader.read(unit)).transpose();
            let go_on = setting.signals.go_on();
            let (rows, values, error) = match read {
                Ok(Some(values)) => (mine.map(|unit| unit.rows.clone()), values, None),
                Ok(None) => (None, Values::Bytes(&[]), None),
                Err(error) => (None, Values::Bytes(&[]), Some(error)),
            };
            let written = write_unit(&dataset, rows.as_slice(), &values, transfer);
            let ended = error.map_or(written, Err).and(go_on);
            if let Err(error) = together(ranks, ended) {
                if error.kind == Kind::Stopped || size == 1 {
                    drop(ManuallyDrop::into_inner(dataset));
                }
                return Err(error);
            }
        }
        drop(ManuallyDrop::into_inner(dataset));
    }
    Ok(())
}
