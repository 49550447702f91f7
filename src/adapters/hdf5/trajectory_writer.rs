//! H5MD 1.1 trajectories (<https://nongnu.org/h5md/h5md.html>), written in one pass into datasets of known
//! size, by one process with the serial driver.
//!
//! | path | shape | what |
//! |---|---|---|
//! | `/particles/trajectory/position/value` | (F, A, 3) | Å; (ΣA, 3) with `offsets` (F+1) when frames differ in size |
//! | `/particles/trajectory/position/{step,time}` | (F) | the source's step and time (ps), else the frame's index |
//! | `/particles/trajectory/species` | (A) | atomic numbers; `species/value` (F, A) or (ΣA) when they vary |
//! | `/particles/trajectory/box/edges` | (3, 3) | rows are cell vectors, Å; `edges/value` (F, 3, 3) when they vary |
//! | `/particles/trajectory/box/periodic` | (F, 3) | only when frames differ in their periodic directions |
//! | `/particles/trajectory/<name>/value` | (F, A, ...) or (ΣA, ...) | every further property of atoms |
//! | `/observables/trajectory/<name>/value` | (F, ...) | every further property of frames |
//!
//! Every `step` and `time` is a hard link to the position's. The attribute `source` of `time` says
//! `frame index` where the source has no time. A `/` in a name becomes U+2215, and a name that is taken gets a `_`; the
//! attribute `name` of the group then says what the source called it. What `run` imports on its way says what it was made of, in
//! attributes of the creator, see [`Origin`].

use std::collections::HashSet;
use std::path::Path;

use hdf5::types::VarLenUnicode;
use hdf5::{File, Group};
use ndarray::arr1;

use super::origin::Origin;
use super::slab::{Slab, TextSlab};
use super::write_text;
use crate::adapters::source::SourceFrame;
use crate::adapters::source::schema::{Field, Schema};
use crate::adapters::source::values::{Kind, Values};

/// What the user said of the sources, an attribute of the creator.
pub const SAID: &str = "import_options";
/// Bytes gathered before they are written.
const ROUND: usize = 8 << 20;

/// Names under `/particles/trajectory` that are not free.
const RESERVED: [&str; 4] = ["position", "species", "box", "offsets"];

/// Attribute of the group of a property: its name in the source, where the group has another.
pub(super) const NAME: &str = "name";

/// Writes one trajectory.
#[derive(Debug)]
pub struct TrajectoryWriter {
    file: File,
    schema: Schema,
    frames: u64,
    atoms: u64,
    positions: Slab<f64>,
    steps: Slab<i64>,
    times: Slab<f64>,
    offsets: Option<Slab<i64>>,
    species: Option<Slab<i32>>,
    edges: Option<Slab<f64>>,
    periodic: Option<Slab<u8>>,
    columns: Vec<Sink>,
    keys: Vec<Sink>,
    renamed: Vec<String>,
}

/// What a file says about its making.
#[derive(Clone, Debug)]
pub struct Authorship<'a> {
    /// H5MD's author.
    pub author: &'a str,
    /// Version of the creator, framewise.
    pub version: &'a str,
    /// What the user said of the sources; nothing, mostly.
    pub said: &'a str,
    /// The source, of an import that a run has made.
    pub origin: Option<&'a Origin>,
}

#[derive(Debug)]
enum Sink {
    Real(Slab<f64>),
    Integer(Slab<i64>),
    Logical(Slab<bool>),
    Text(TextSlab),
}

impl TrajectoryWriter {
    /// Creates the file at `path` with everything at its final size.
    pub fn create(path: &Path, schema: Schema, authorship: &Authorship<'_>) -> hdf5::Result<Self> {
        let file = File::with_options()
            .with_fapl(|p| p.sec2().libver_earliest())
            .create(path)?;
        let h5md = file.create_group("h5md")?;
        h5md.new_attr_builder()
            .with_data(&arr1(&[1_i32, 1]))
            .create("version")?;
        write_text(&*h5md.create_group("author")?, "name", authorship.author)?;
        let creator = h5md.create_group("creator")?;
        write_text(&creator, "name", "framewise")?;
        write_text(&creator, "version", authorship.version)?;
        if !authorship.said.is_empty() {
            write_text(&creator, SAID, authorship.said)?;
        }
        if let Some(origin) = authorship.origin {
            origin.write(&creator)?;
        }

        let group = file.create_group("particles")?.create_group("trajectory")?;
        let frames = schema.frames as usize;
        let (rows, per_row): (usize, Vec<usize>) = if schema.ragged {
            (schema.atoms as usize, Vec::new())
        } else {
            (frames, vec![schema.first_atoms])
        };
        let of_atoms = |shape: &[usize]| [&per_row[..], shape].concat();

        let position = group.create_group("position")?;
        let positions = Slab::create(&position, "value", rows, &of_atoms(&[3]))?;
        write_text(positions.dataset(), "unit", "Angstrom")?;
        let steps = Slab::create(&position, "step", frames, &[])?;
        let times = Slab::create(&position, "time", frames, &[])?;
        write_text(times.dataset(), "unit", "ps")?;
        if !schema.has_times {
            write_text(times.dataset(), "source", "frame index")?;
        }
        let link = |to: &Group| -> hdf5::Result<()> {
            for name in ["step", "time"] {
                let target = format!("/particles/trajectory/position/{name}");
                file.link_hard(&target, &format!("{}/{name}", to.name()))?;
            }
            Ok(())
        };

        let mut offsets = None;
        if schema.ragged {
            let mut slab = Slab::create(&group, "offsets", frames + 1, &[])?;
            slab.buffer().push(0);
            offsets = Some(slab);
        }
        let mut species = None;
        if let Some(numbers) = &schema.species {
            let numbers: Vec<i32> = numbers.iter().map(|z| i32::from(*z)).collect();
            group
                .new_dataset_builder()
                .obj_track_times(false)
                .with_data(&numbers)
                .create("species")?;
        } else {
            let into = group.create_group("species")?;
            species = Some(Slab::create(&into, "value", rows, &per_row)?);
            link(&into)?;
        }

        let cell = group.create_group("box")?;
        cell.new_attr::<i32>()
            .create("dimension")?
            .write_scalar(&3)?;
        let boundary = schema
            .periodic
            .map(|p| vlen(if p { "periodic" } else { "none" }));
        let [a, b, c] = boundary;
        cell.new_attr_builder()
            .with_data(&arr1(&[a?, b?, c?]))
            .create("boundary")?;
        let mut edges = None;
        match schema.vectors {
            Some(vectors) if schema.has_cell => {
                let constant = cell
                    .new_dataset_builder()
                    .obj_track_times(false)
                    .with_data(&ndarray::arr2(&vectors))
                    .create("edges")?;
                write_text(&constant, "unit", "Angstrom")?;
            }
            None => {
                let into = cell.create_group("edges")?;
                let slab = Slab::create(&into, "value", frames, &[3, 3])?;
                write_text(slab.dataset(), "unit", "Angstrom")?;
                link(&into)?;
                edges = Some(slab);
            }
            Some(_) => {}
        }
        let mut periodic = None;
        if schema.mixed {
            periodic = Some(Slab::create(&cell, "periodic", frames, &[3])?);
        }

        let mut renamed = Vec::new();
        let mut taken: HashSet<String> = RESERVED.iter().map(|&s| s.to_owned()).collect();
        let mut columns = Vec::new();
        for field in &schema.columns {
            let into = group_of(&group, field, &mut taken, &mut renamed)?;
            columns.push(Sink::create(&into, field, rows, &of_atoms(&field.shape))?);
            link(&into)?;
        }
        let mut keys = Vec::new();
        if !schema.keys.is_empty() {
            let group = file
                .create_group("observables")?
                .create_group("trajectory")?;
            let mut taken = HashSet::new();
            for field in &schema.keys {
                let into = group_of(&group, field, &mut taken, &mut renamed)?;
                keys.push(Sink::create(&into, field, frames, &field.shape)?);
                link(&into)?;
            }
        }
        Ok(Self {
            file,
            schema,
            frames: 0,
            atoms: 0,
            positions,
            steps,
            times,
            offsets,
            species,
            edges,
            periodic,
            columns,
            keys,
            renamed,
        })
    }

    /// One line for each property that has another name in the file than in the source.
    pub fn remarks(&self) -> &[String] {
        &self.renamed
    }

    /// Appends a frame that fits the schema. `Err` from HDF5; `Ok(false)` when it does not fit, because the
    /// source changed since the first pass.
    pub fn push(&mut self, frame: &SourceFrame) -> hdf5::Result<bool> {
        let schema = &self.schema;
        let atoms = frame.len();
        let fits = self.frames < schema.frames
            && frame.positions.len() == atoms
            && (schema.ragged || atoms == schema.first_atoms)
            && self.atoms + atoms as u64 <= schema.atoms
            && schema.species.as_ref().is_none_or(|s| *s == frame.species)
            && frame
                .columns
                .iter()
                .all(|c| c.values.len() == c.width * atoms);
        if !fits {
            return Ok(false);
        }
        let index = self.frames;
        self.positions
            .buffer()
            .extend_from_slice(frame.positions.as_flattened());
        let step = frame.step.filter(|_| schema.has_steps);
        self.steps.buffer().push(step.unwrap_or(index as i64));
        let time = frame.time.filter(|_| schema.has_times);
        self.times.buffer().push(time.unwrap_or(index as f64));
        self.frames += 1;
        self.atoms += atoms as u64;
        if let Some(slab) = &mut self.offsets {
            slab.buffer().push(self.atoms as i64);
        }
        if let Some(slab) = &mut self.species {
            slab.buffer()
                .extend(frame.species.iter().map(|z| i32::from(*z)));
        }
        if let Some(slab) = &mut self.edges {
            slab.buffer()
                .extend_from_slice(frame.cell.vectors.as_flattened());
        }
        if let Some(slab) = &mut self.periodic {
            slab.buffer().extend(frame.cell.periodic.map(u8::from));
        }
        for (field, sink) in schema.columns.iter().zip(&mut self.columns) {
            let column = frame.columns.iter().find(|c| c.name == field.name);
            let count = atoms * field.shape.iter().product::<usize>();
            if !sink.append(column.map(|c| (&c.values, None)), count)? {
                return Ok(false);
            }
        }
        for (field, sink) in schema.keys.iter().zip(&mut self.keys) {
            let key = frame.keys.iter().find(|k| k.name == field.name);
            let count = field.shape.iter().product();
            if !sink.append(key.map(|k| (&k.values, Some(k.text.as_str()))), count)? {
                return Ok(false);
            }
        }
        if self.waiting() >= ROUND {
            self.flush()?;
        }
        Ok(true)
    }

    fn waiting(&self) -> usize {
        let sinks = self.columns.iter().chain(&self.keys);
        self.positions.waiting()
            + self.steps.waiting() * 8
            + sinks.map(Sink::waiting).sum::<usize>()
    }

    fn flush(&mut self) -> hdf5::Result<()> {
        self.positions.flush()?;
        self.steps.flush()?;
        self.times.flush()?;
        self.offsets.as_mut().map_or(Ok(()), Slab::flush)?;
        self.species.as_mut().map_or(Ok(()), Slab::flush)?;
        self.edges.as_mut().map_or(Ok(()), Slab::flush)?;
        self.periodic.as_mut().map_or(Ok(()), Slab::flush)?;
        self.columns
            .iter_mut()
            .chain(&mut self.keys)
            .try_for_each(Sink::flush)
    }

    /// Writes the rest and closes the file. `Ok(false)` when frames are missing.
    pub fn finish(mut self) -> hdf5::Result<bool> {
        self.flush()?;
        let complete = self.frames == self.schema.frames
            && self.atoms == self.schema.atoms
            && self.positions.is_complete()
            && self.columns.iter().chain(&self.keys).all(Sink::is_complete);
        let file = self.file.clone();
        drop(self);
        file.flush()?;
        file.close()?;
        Ok(complete)
    }
}

impl Sink {
    fn create(group: &Group, field: &Field, rows: usize, row: &[usize]) -> hdf5::Result<Self> {
        Ok(match field.kind {
            Kind::Real => {
                let slab = Slab::create(group, "value", rows, row)?;
                if let Some(unit) = field.unit {
                    write_text(slab.dataset(), "unit", unit)?;
                }
                Self::Real(slab)
            }
            Kind::Integer => Self::Integer(Slab::create(group, "value", rows, row)?),
            Kind::Logical => Self::Logical(Slab::create(group, "value", rows, row)?),
            Kind::Text => Self::Text(TextSlab::create(
                group,
                "value",
                rows,
                row,
                field.text_bytes,
            )?),
        })
    }

    /// Appends `count` values, or NaN or empty texts where the frame has none. `Ok(false)` when they do not fit.
    fn append(
        &mut self,
        given: Option<(&Values, Option<&str>)>,
        count: usize,
    ) -> hdf5::Result<bool> {
        if count == 0 {
            // A frame without atoms may declare columns of any kind.
            return Ok(true);
        }
        match (self, given) {
            (Self::Text(slab), Some((_, Some(text)))) => slab.push(text)?,
            (Self::Text(slab), Some((values, None))) => {
                if values.len() != count {
                    return Ok(false);
                }
                match values {
                    Values::Text(v) => v.iter().try_for_each(|t| slab.push(t))?,
                    Values::Real(v) => v.iter().try_for_each(|x| slab.push(&format!("{x:?}")))?,
                    Values::Integer(v) => v.iter().try_for_each(|x| slab.push(&x.to_string()))?,
                    Values::Logical(v) => v
                        .iter()
                        .try_for_each(|x| slab.push(if *x { "T" } else { "F" }))?,
                }
            }
            (Self::Text(slab), None) => (0..count).try_for_each(|_| slab.push(""))?,
            (_, Some((values, _))) if values.len() != count => return Ok(false),
            (Self::Real(slab), Some((Values::Real(v), _))) => slab.buffer().extend_from_slice(v),
            (Self::Real(slab), Some((Values::Integer(v), _))) => {
                slab.buffer().extend(v.iter().map(|x| *x as f64));
            }
            (Self::Real(slab), None) => {
                slab.buffer().extend(std::iter::repeat_n(f64::NAN, count));
            }
            (Self::Integer(slab), Some((Values::Integer(v), _))) => {
                slab.buffer().extend_from_slice(v);
            }
            (Self::Logical(slab), Some((Values::Logical(v), _))) => {
                slab.buffer().extend_from_slice(v);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn waiting(&self) -> usize {
        match self {
            Self::Real(slab) => slab.waiting(),
            Self::Integer(slab) => slab.waiting(),
            Self::Logical(slab) => slab.waiting(),
            Self::Text(slab) => slab.waiting(),
        }
    }

    fn flush(&mut self) -> hdf5::Result<()> {
        match self {
            Self::Real(slab) => slab.flush(),
            Self::Integer(slab) => slab.flush(),
            Self::Logical(slab) => slab.flush(),
            Self::Text(slab) => slab.flush(),
        }
    }

    fn is_complete(&self) -> bool {
        match self {
            Self::Real(slab) => slab.is_complete(),
            Self::Integer(slab) => slab.is_complete(),
            Self::Logical(slab) => slab.is_complete(),
            Self::Text(slab) => slab.is_complete(),
        }
    }
}

/// The group of a property.
fn group_of(
    parent: &Group,
    field: &Field,
    taken: &mut HashSet<String>,
    renamed: &mut Vec<String>,
) -> hdf5::Result<Group> {
    let name = free_name(&field.name, taken, renamed);
    let group = parent.create_group(&name)?;
    if name != field.name {
        write_text(&group, NAME, &field.name)?;
    }
    Ok(group)
}

/// A name HDF5 accepts and nobody else has.
fn free_name(name: &str, taken: &mut HashSet<String>, renamed: &mut Vec<String>) -> String {
    let mut free = name.replace('/', "\u{2215}");
    if free == "." {
        "\u{2024}".clone_into(&mut free);
    }
    let plain = free.clone();
    while !taken.insert(free.clone()) {
        free.push('_');
    }
    if free != plain {
        renamed.push(format!(
            "property {name:?} is stored as {free:?}: that name is taken"
        ));
    }
    free
}

fn vlen(text: &str) -> hdf5::Result<VarLenUnicode> {
    text.parse()
        .map_err(|e| hdf5::Error::from(format!("{text:?}: {e}")))
}
