//! A table of what is one number for a frame, as Apache Parquet, uncompressed: for pandas, polars, `DuckDB`.

use std::fs::File;
use std::io;
use std::sync::Arc;

use ::parquet::column::writer::ColumnWriter;
use ::parquet::data_type::ByteArray;
use ::parquet::errors::{ParquetError, Result as Written};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;

use super::{Row, Sink};
use crate::domain::cell::norm;
use crate::domain::compare::outliers::formula;
use crate::planning::status::Status;

/// Energies in eV, forces in eV/Å. Null: not completed, without atoms, not measured.
const SCHEMA: &str = "message frames {
    required int64 frame;
    required int32 n_atoms;
    required binary formula (UTF8);
    required int32 status;
    optional double energy;
    optional double energy_per_atom;
    optional double max_force;
    optional float seconds;
}";

/// Rows of a group.
const GROUP: usize = 1 << 16;

/// A table that is being filled.
pub struct Table {
    writer: SerializedFileWriter<File>,
    frame: Vec<i64>,
    atoms: Vec<i32>,
    formula: Vec<ByteArray>,
    status: Vec<i32>,
    energy: Vec<f64>,
    per_atom: Vec<f64>,
    force: Vec<f64>,
    seconds: Vec<f32>,
}

impl Table {
    /// Into an empty file.
    pub fn new(file: File) -> io::Result<Self> {
        let create = || -> Written<SerializedFileWriter<File>> {
            let schema = Arc::new(parse_message_type(SCHEMA)?);
            let creator = concat!("framewise ", env!("CARGO_PKG_VERSION"));
            let properties = WriterProperties::builder().set_created_by(creator.into());
            SerializedFileWriter::new(file, schema, Arc::new(properties.build()))
        };
        Ok(Self {
            writer: create().map_err(failed)?,
            frame: Vec::new(),
            atoms: Vec::new(),
            formula: Vec::new(),
            status: Vec::new(),
            energy: Vec::new(),
            per_atom: Vec::new(),
            force: Vec::new(),
            seconds: Vec::new(),
        })
    }

    fn flush(&mut self) -> Written<()> {
        if self.frame.is_empty() {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        let mut doubles = [&self.energy, &self.per_atom, &self.force].into_iter();
        let mut integers = [&self.atoms, &self.status].into_iter();
        while let Some(mut column) = group.next_column()? {
            match column.untyped() {
                ColumnWriter::Int64ColumnWriter(out) => {
                    out.write_batch(&self.frame, None, None)?;
                }
                ColumnWriter::Int32ColumnWriter(out) => {
                    let values = integers.next().map_or(&[][..], |v| v);
                    out.write_batch(values, None, None)?;
                }
                ColumnWriter::ByteArrayColumnWriter(out) => {
                    out.write_batch(&self.formula, None, None)?;
                }
                ColumnWriter::DoubleColumnWriter(out) => {
                    let values = doubles.next().map_or(&[][..], |v| v);
                    let there = values.iter().map(|x| i16::from(!x.is_nan()));
                    let numbers = values.iter().copied().filter(|x| !x.is_nan());
                    let (there, numbers) = (there.collect::<Vec<_>>(), numbers.collect::<Vec<_>>());
                    out.write_batch(&numbers, Some(&there), None)?;
                }
                ColumnWriter::FloatColumnWriter(out) => {
                    let there = self.seconds.iter().map(|x| i16::from(!x.is_nan()));
                    let numbers = self.seconds.iter().copied().filter(|x| !x.is_nan());
                    let (there, numbers) = (there.collect::<Vec<_>>(), numbers.collect::<Vec<_>>());
                    out.write_batch(&numbers, Some(&there), None)?;
                }
                _ => return Err(ParquetError::General("a column of another type".into())),
            }
            column.close()?;
        }
        group.close()?;
        drop((doubles, integers));
        self.frame.clear();
        self.atoms.clear();
        self.formula.clear();
        self.status.clear();
        self.energy.clear();
        self.per_atom.clear();
        self.force.clear();
        self.seconds.clear();
        Ok(())
    }
}

fn failed(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        error => io::Error::other(error),
    }
}

impl Sink for Table {
    fn write(&mut self, row: &Row<'_>) -> io::Result<()> {
        let labelled = &row.labelled;
        let species = labelled.frame.species;
        let mut composition: Vec<(u8, u32)> = Vec::new();
        for z in species {
            match composition.iter_mut().find(|(y, _)| y == z) {
                Some((_, n)) => *n += 1,
                None => composition.push((*z, 1)),
            }
        }
        let completed = row.status == Status::Completed.code();
        let known = |x: f64| {
            if completed && x.is_finite() {
                x
            } else {
                f64::NAN
            }
        };
        let largest = labelled.forces.iter().map(|f| norm(*f)).fold(0.0, f64::max);
        self.frame.push(labelled.index as i64);
        self.atoms.push(species.len() as i32);
        self.formula.push(formula(&composition).as_str().into());
        self.status.push(row.status as i32);
        self.energy.push(known(labelled.energy));
        self.per_atom
            .push(known(labelled.energy / species.len() as f64));
        self.force.push(known(largest));
        self.seconds.push(row.seconds);
        if self.frame.len() < GROUP {
            return Ok(());
        }
        self.flush().map_err(failed)
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.flush().map_err(failed)?;
        self.writer.close().map_err(failed)?;
        Ok(())
    }
}
