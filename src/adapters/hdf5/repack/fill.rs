//! Values from the source into the chunks of the new file, by all ranks.
//!
//! A unit is what fills whole chunks of one dataset. Units are dealt out round-robin, and a round is one unit on each rank,
//! written collectively: HDF5 compresses chunks where they are and agrees on their places.

use std::ops::Range;

use ::hdf5::{Dataset, File};

use crate::domain::checksum::checksum;
use crate::domain::error::{Error, Result};
use crate::planning::frame_set::FrameSet;
use crate::planning::status::Status;

use super::super::result_block::ResultBlock;
use super::super::result_reader::ResultReader;
use super::super::{failed, ffi, layout};
use super::plan::Piece;

/// Rows of a piece that fill whole chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Which piece.
    pub piece: usize,
    /// Its rows.
    pub rows: Range<u64>,
}

/// Bytes of a unit where chunks are smaller.
const UNIT: u64 = 8 << 20;

/// All units, in the order of their pieces.
pub fn units(pieces: &[Piece]) -> Vec<Unit> {
    let mut all = Vec::new();
    for (k, piece) in pieces.iter().enumerate() {
        let chunk = piece.chunk[0] as u64;
        let bytes = chunk * piece.row_bytes as u64;
        let rows = chunk * (UNIT / bytes.max(1)).max(1);
        let mut start = 0;
        while start < piece.rows {
            let end = (start + rows).min(piece.rows);
            all.push(Unit {
                piece: k,
                rows: start..end,
            });
            start = end;
        }
    }
    all
}

/// Reads units of the source as they are to be stored.
pub struct Reader<'a> {
    source: &'a File,
    result: &'a ResultReader,
    pieces: &'a [Piece],
    bytes: Vec<u8>,
    singles: Vec<f32>,
    block: ResultBlock,
}

/// The values of a unit.
pub enum Values<'a> {
    /// As the source has them.
    Bytes(&'a [u8]),
    /// Rounded.
    Singles(&'a [f32]),
}

impl<'a> Reader<'a> {
    /// Reads `pieces` of `source`, of which `result` knows the meaning.
    pub fn new(source: &'a File, result: &'a ResultReader, pieces: &'a [Piece]) -> Self {
        Self {
            source,
            result,
            pieces,
            bytes: Vec::new(),
            singles: Vec::new(),
            block: ResultBlock::default(),
        }
    }

    /// The values of a unit as they are to be stored.
    pub fn read(&mut self, unit: &Unit) -> Result<Values<'_>> {
        let piece = &self.pieces[unit.piece];
        let doing = || failed(format!("{}: {}", self.source.filename(), piece.path));
        let dataset = self.source.dataset(&piece.path).map_err(doing())?;
        let rows = std::slice::from_ref(&unit.rows);
        let n = (unit.rows.end - unit.rows.start) as usize;
        if piece.single {
            self.singles
                .resize(n * piece.row_bytes / size_of::<f64>(), 0.0);
            ffi::read_rows(&dataset, rows, &mut self.singles)?;
            return Ok(Values::Singles(&self.singles));
        }
        if piece.path == layout::CHECKSUM && self.pieces.iter().any(|other| other.single) {
            self.checksums(&unit.rows)?;
            return Ok(Values::Bytes(&self.bytes));
        }
        let stored = dataset.dtype().map_err(doing())?;
        self.bytes.resize(n * piece.row_bytes, 0);
        ffi::read_bytes(&dataset, rows, (&stored, &mut self.bytes))?;
        Ok(Values::Bytes(&self.bytes))
    }

    /// Those of the results as they will be read back: rounded where they are. What is rounded has to be what was computed.
    fn checksums(&mut self, rows: &Range<u64>) -> Result<()> {
        let is_single = |path: &str| {
            let value = format!("{path}/value");
            self.pieces.iter().any(|p| p.single && p.path == value)
        };
        let single = [layout::ENERGY, layout::FORCES, layout::STRESS].map(is_single);
        let round = |x: &mut f64, single| {
            if single {
                *x = f64::from(*x as f32);
            }
        };
        self.bytes.clear();
        let mut rest = FrameSet::from_runs(vec![rows.clone()]);
        while !rest.is_empty() {
            let part = rest.split_front(1 << 12);
            self.result.read_results(&part, &mut self.block)?;
            if let Some(i) = self.block.first_wrong() {
                let frame = part.iter().nth(i).unwrap_or_default();
                return Err(Error::failure(format!(
                    "{}: frame {frame}: does not match its checksum; see `framewise verify`, and if a job is writing wait for its end",
                    self.source.filename()
                )));
            }
            let block = &mut self.block;
            for i in 0..block.status.len() {
                let atoms = block.offsets[i]..block.offsets[i + 1];
                let forces = &mut block.forces[atoms];
                let sum = if block.status[i] == Status::Completed.code() {
                    round(&mut block.energy[i], single[0]);
                    for x in forces.as_flattened_mut() {
                        round(x, single[1]);
                    }
                    for x in block.stress[i].as_flattened_mut() {
                        round(x, single[2]);
                    }
                    checksum(block.energy[i], forces, &block.stress[i])
                } else {
                    block.checksum[i]
                };
                self.bytes.extend(sum.to_ne_bytes());
            }
        }
        Ok(())
    }
}

/// Writes a unit, or takes part with nothing. Collective where `transfer` is.
pub fn write(
    dataset: &Dataset,
    rows: &[Range<u64>],
    values: &Values<'_>,
    transfer: ffi::Transfer,
) -> Result<()> {
    match values {
        Values::Bytes(bytes) => ffi::write_bytes(dataset, rows, bytes, transfer),
        Values::Singles(values) => ffi::write_rows(dataset, rows, values, transfer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_cover_every_row_once_in_whole_chunks() {
        let piece = |rows, row_bytes, chunk| Piece {
            path: "/x".into(),
            rows,
            row_bytes,
            chunk: vec![chunk],
            single: false,
        };
        let pieces = [piece(10, 8, 3), piece(1_000_000, 240, 4369), piece(0, 8, 1)];
        let units = units(&pieces);
        for (k, piece) in pieces.iter().enumerate() {
            let mine: Vec<_> = units.iter().filter(|unit| unit.piece == k).collect();
            let mut next = 0;
            for unit in mine {
                assert_eq!(unit.rows.start, next);
                assert_eq!(next % piece.chunk[0] as u64, 0);
                next = unit.rows.end;
            }
            assert_eq!(next, piece.rows);
        }
    }
}
