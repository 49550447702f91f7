//! Whether the new file has what the old one has.

use ::hdf5::File;

use crate::domain::error::{Error, Result};

use super::super::{failed, ffi};
use super::fill::{Reader, Unit, Values};
use super::plan::Piece;

/// Compares the units of one rank, byte by byte with what was to be stored; the largest error that
/// rounding has made in each piece.
pub fn check(
    new: &File,
    reader: &mut Reader<'_>,
    source: &File,
    pieces: &[Piece],
    units: &[Unit],
) -> Result<Vec<f64>> {
    let mut bytes = Vec::new();
    let mut singles = Vec::new();
    let mut doubles = Vec::new();
    let mut worst = vec![0.0_f64; pieces.len()];
    for unit in units {
        let piece = &pieces[unit.piece];
        let doing = || failed(format!("{}: {}", new.filename(), piece.path));
        let dataset = new.dataset(&piece.path).map_err(doing())?;
        let rows = std::slice::from_ref(&unit.rows);
        let same = match reader.read(unit)? {
            Values::Bytes(expected) => {
                let stored = dataset.dtype().map_err(doing())?;
                bytes.resize(expected.len(), 0);
                ffi::read_bytes(&dataset, rows, (&stored, &mut bytes))?;
                bytes == expected
            }
            Values::Singles(expected) => {
                singles.resize(expected.len(), 0.0_f32);
                ffi::read_rows(&dataset, rows, &mut singles)?;
                let bits = |x: &f32| x.to_bits();
                singles.iter().map(bits).eq(expected.iter().map(bits))
            }
        };
        if !same {
            return Err(Error::failure(format!(
                "{}: rows {} to {} of {} are not what was written; the original is untouched",
                new.filename(),
                unit.rows.start,
                unit.rows.end - 1,
                piece.path
            )));
        }
        if piece.single {
            let exact = source.dataset(&piece.path).map_err(doing())?;
            doubles.resize(singles.len(), 0.0_f64);
            ffi::read_rows(&exact, rows, &mut doubles)?;
            let errors = doubles.iter().zip(&singles);
            let errors = errors.map(|(x, rounded)| (x - f64::from(*rounded)).abs());
            let largest = errors.filter(|e| !e.is_nan()).fold(0.0, f64::max);
            if largest.is_infinite() {
                return Err(Error::failure(format!(
                    "{}: rows {} to {} of {} have numbers beyond single precision; leave --float32 {} out",
                    source.filename(),
                    unit.rows.start,
                    unit.rows.end - 1,
                    piece.path,
                    piece.name()
                )));
            }
            worst[unit.piece] = worst[unit.piece].max(largest);
        }
    }
    Ok(worst)
}
