//! A table of what is one value for a frame, as Apache Parquet, uncompressed: for pandas, polars, `DuckDB`.

use std::fs::File;
use std::io;
use std::sync::Arc;

use ::parquet::basic::{LogicalType, Repetition, Type as PhysicalType};
use ::parquet::column::writer::{ColumnWriter, ColumnWriterImpl};
use ::parquet::data_type::{ByteArray, DataType};
use ::parquet::errors::{ParquetError, Result as Written};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::types::{Type, TypePtr};

use super::{Contents, Row, Sink};
use crate::adapters::source::properties::Property;
use crate::adapters::source::values::Values;
use crate::domain::cell::norm;
use crate::domain::compare::outliers::formula;
use crate::planning::status::Status;

/// Columns of results: energies in eV, forces in eV/Å; null where a frame is not completed, without atoms, not measured.
pub const LABELS: [&str; 5] = [
    "status",
    "energy",
    "energy_per_atom",
    "max_force",
    "seconds",
];

/// Rows of a group.
const GROUP: usize = 1 << 16;

/// Values of one column.
enum Column {
    Int64(Vec<i64>),
    Int32(Vec<i32>),
    /// NaN is null.
    Double(Vec<f64>),
    /// NaN is null.
    Float(Vec<f32>),
    Text(Vec<ByteArray>),
    /// An empty one is null.
    SomeText(Vec<ByteArray>),
    Logical(Vec<bool>),
}

impl Column {
    fn parquet_type(&self, name: &str) -> Written<TypePtr> {
        use PhysicalType as P;
        let (physical, repetition) = match self {
            Self::Int64(_) => (P::INT64, Repetition::REQUIRED),
            Self::Int32(_) => (P::INT32, Repetition::REQUIRED),
            Self::Double(_) => (P::DOUBLE, Repetition::OPTIONAL),
            Self::Float(_) => (P::FLOAT, Repetition::OPTIONAL),
            Self::Text(_) => (P::BYTE_ARRAY, Repetition::REQUIRED),
            Self::SomeText(_) => (P::BYTE_ARRAY, Repetition::OPTIONAL),
            Self::Logical(_) => (P::BOOLEAN, Repetition::REQUIRED),
        };
        let is_text = matches!(self, Self::Text(_) | Self::SomeText(_));
        let built = Type::primitive_type_builder(name, physical)
            .with_repetition(repetition)
            .with_logical_type(is_text.then_some(LogicalType::String))
            .build()?;
        Ok(Arc::new(built))
    }

    /// For a property that is one value for each frame.
    fn of_property(property: &Property) -> Option<Self> {
        property.shape.is_empty().then(|| match property.values {
            Values::Real(_) => Self::Double(Vec::new()),
            Values::Integer(_) => Self::Int64(Vec::new()),
            Values::Logical(_) => Self::Logical(Vec::new()),
            Values::Text(_) => Self::SomeText(Vec::new()),
        })
    }

    fn property(&mut self, values: &Values, row: usize) {
        match (self, values) {
            (Self::Double(v), Values::Real(from)) => v.push(from[row]),
            (Self::Int64(v), Values::Integer(from)) => v.push(from[row]),
            (Self::Logical(v), Values::Logical(from)) => v.push(from[row]),
            (Self::SomeText(v), Values::Text(from)) => v.push(from.get(row).into()),
            _ => {}
        }
    }

    /// Writes the values and forgets them.
    fn write(&mut self, to: &mut ColumnWriter<'_>) -> Written<()> {
        match (self, to) {
            (Self::Int64(v), ColumnWriter::Int64ColumnWriter(out)) => all(out, v),
            (Self::Int32(v), ColumnWriter::Int32ColumnWriter(out)) => all(out, v),
            (Self::Logical(v), ColumnWriter::BoolColumnWriter(out)) => all(out, v),
            (Self::Text(v), ColumnWriter::ByteArrayColumnWriter(out)) => all(out, v),
            (Self::SomeText(v), ColumnWriter::ByteArrayColumnWriter(out)) => {
                some(out, v, ByteArray::is_empty)
            }
            (Self::Double(v), ColumnWriter::DoubleColumnWriter(out)) => {
                some(out, v, |x| x.is_nan())
            }
            (Self::Float(v), ColumnWriter::FloatColumnWriter(out)) => some(out, v, |x| x.is_nan()),
            _ => Err(ParquetError::General("a column of another type".into())),
        }
    }
}

fn all<D: DataType>(out: &mut ColumnWriterImpl<'_, D>, values: &mut Vec<D::T>) -> Written<()> {
    out.write_batch(values, None, None)?;
    values.clear();
    Ok(())
}

fn some<D: DataType>(
    out: &mut ColumnWriterImpl<'_, D>,
    values: &mut Vec<D::T>,
    is_null: impl Fn(&D::T) -> bool,
) -> Written<()> {
    let there: Vec<i16> = values.iter().map(|x| i16::from(!is_null(x))).collect();
    values.retain(|x| !is_null(x));
    out.write_batch(values, Some(&there), None)?;
    values.clear();
    Ok(())
}

/// A table that is being filled.
pub struct Table {
    writer: SerializedFileWriter<File>,
    rows: usize,
    frame: Column,
    columns: Vec<Column>,
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

impl Table {
    /// Into an empty file.
    pub fn new(file: File, contents: &Contents) -> io::Result<Self> {
        let mut names: Vec<&str> = vec!["n_atoms", "formula"];
        let mut columns = vec![Column::Int32(Vec::new()), Column::Text(Vec::new())];
        if contents.has_labels {
            names.extend(LABELS);
            columns.push(Column::Int32(Vec::new()));
            columns.extend((0..3).map(|_| Column::Double(Vec::new())));
            columns.push(Column::Float(Vec::new()));
        }
        for property in &contents.more.of_frames {
            if let Some(column) = Column::of_property(property) {
                names.push(&property.name);
                columns.push(column);
            }
        }
        let frame = Column::Int64(Vec::new());
        let create = || -> Written<SerializedFileWriter<File>> {
            let mut fields = vec![frame.parquet_type("frame")?];
            for (name, column) in names.iter().zip(&columns) {
                fields.push(column.parquet_type(name)?);
            }
            let schema = Type::group_type_builder("frames").with_fields(fields);
            let creator = concat!("framewise ", env!("CARGO_PKG_VERSION"));
            let properties = WriterProperties::builder().set_created_by(creator.into());
            let schema = Arc::new(schema.build()?);
            SerializedFileWriter::new(file, schema, Arc::new(properties.build()))
        };
        Ok(Self {
            writer: create().map_err(failed)?,
            rows: 0,
            frame,
            columns,
        })
    }

    fn flush(&mut self) -> Written<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        for column in std::iter::once(&mut self.frame).chain(&mut self.columns) {
            let next = group.next_column()?;
            let mut next = next.ok_or_else(|| ParquetError::General("a column too many".into()))?;
            column.write(next.untyped())?;
            next.close()?;
        }
        group.close()?;
        self.rows = 0;
        Ok(())
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
        let energy = labelled.label.map_or(f64::NAN, |label| label.energy);
        let forces = labelled.label.and_then(|label| label.forces);
        let largest = forces.map_or(f64::NAN, |forces| {
            forces.iter().map(|f| norm(*f)).fold(0.0, f64::max)
        });
        if let Column::Int64(v) = &mut self.frame {
            v.push(labelled.index as i64);
        }
        let reals = [energy, energy / species.len() as f64, largest].map(known);
        let mut reals = reals.into_iter();
        let mut integers = [species.len() as i32, row.status as i32].into_iter();
        let mut more = labelled.more.properties.of_frames.iter();
        let labels = if labelled.label.is_some() {
            LABELS.len()
        } else {
            0
        };
        let (named, own) = self.columns.split_at_mut(2 + labels);
        for column in named {
            match column {
                Column::Int32(v) => v.extend(integers.next()),
                Column::Double(v) => v.extend(reals.next()),
                Column::Float(v) => v.push(row.seconds),
                Column::Text(v) => v.push(formula(&composition).as_str().into()),
                Column::Int64(_) | Column::SomeText(_) | Column::Logical(_) => {}
            }
        }
        for column in own {
            if let Some(property) = more.find(|p| p.shape.is_empty()) {
                column.property(&property.values, labelled.more.row);
            }
        }
        self.rows += 1;
        if self.rows < GROUP {
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
