//! A property on its way from the input into the result.

use ::hdf5::types::{FloatSize, IntSize, TypeDescriptor};
use ::hdf5::{Dataset, File};

use super::super::create::{atoms_shape, group, zeroed_as};
use super::super::extras::source_name;
use super::super::geometry::{mark_fixed, share_time_axis};
use super::super::input::{Found, Input, Rows, Segment, without_padding};
use super::super::pace::Pace;
use super::super::trajectory_writer::NAME;
use super::super::{failed, ffi, join, layout, reason, text_attribute, write_text};
use super::{ALL, Carried, PREFIX, is_free};
use crate::domain::error::{Error, Result};
use crate::domain::parameters::did_you_mean;
use crate::domain::units::h5md_unit;

/// Units of velocities that `MDAnalysis` knows (2.11, `coordinates/H5MD.py`).
const VELOCITIES: [&str; 10] = [
    "Angstrom ps-1",
    "A ps-1",
    "Angstrom fs-1",
    "A fs-1",
    "Angstrom AKMA-1",
    "A AKMA-1",
    "nm ps-1",
    "nm ns-1",
    "pm ps-1",
    "m s-1",
];
/// Bytes that are read and written at a time.
const BLOCK: usize = 8 << 20;

/// A property of the input, and its place in the result.
pub struct Property {
    name: String,
    /// What it was called before it was imported, where that is another name.
    before: Option<String>,
    /// In each group of frames.
    parts: Vec<Found>,
    /// Its elements in the result.
    element: TypeDescriptor,
    unit: Option<String>,
    /// Shape in the result.
    shape: Vec<usize>,
}

/// Looks for everything that was asked for.
pub fn find(input: &Input, carry: &[Carried]) -> Result<Vec<Property>> {
    let mut found: Vec<Property> = Vec::new();
    for carried in carry {
        if carried.name == ALL && carried.source == ALL {
            let have: Vec<_> = found.iter().map(Property::place).collect();
            let all = everything(input).into_iter();
            found.extend(all.filter(|p| !have.contains(&p.place())));
        } else {
            found.push(Property::find(input, carried)?);
        }
    }
    Ok(found)
}

/// All that every group of frames has; what cannot be carried over is said.
fn everything(input: &Input) -> Vec<Property> {
    type Finder<'a> = &'a dyn Fn(&Segment, &str) -> Option<Found>;
    let Some(first) = input.groups().first() else {
        return Vec::new();
    };
    let of_atoms = first.names_of_atoms();
    let of_frames = first.names_of_frames();
    let kinds: [(Vec<String>, Finder<'_>); 2] = [
        (of_atoms, &|segment, name| segment.of_atoms(name)),
        (of_frames, &|segment, name| segment.of_frames(name)),
    ];
    let mut all = Vec::new();
    let left_out = |name: &str, why: &str| {
        let path = input.path().display();
        tracing::warn!("{path}: --carry all: {name} is left out: {why}");
    };
    for (name, why) in first.without_place() {
        left_out(&name, &why);
    }
    for (names, find) in kinds {
        for source in names {
            let name = if is_free(&source) {
                source.clone()
            } else {
                format!("{PREFIX}{source}")
            };
            let parts = input.groups().iter();
            let parts = parts.map(|segment| find(segment, &source)).collect();
            let made = match parts {
                Some(parts) => Property::of(input, name, parts, None).map(Property::with_old_name),
                None => Err("other groups do not have it".into()),
            };
            match made {
                Ok(property) => all.push(property),
                Err(why) => left_out(&source, &why),
            }
        }
    }
    all
}

/// `ZnH5MD` 0.4 writes `atoms.get_velocities()` as it is (`serialization/base.py`) and names another unit.
fn warn_of_ase_units(input: &Input, unit: Option<&str>) {
    let Some(first) = input.groups().first() else {
        return;
    };
    let creator = first
        .group()
        .file()
        .and_then(|file| file.group("/h5md/creator"));
    let name = creator
        .ok()
        .and_then(|creator| text_attribute(&creator, "name"));
    if name.as_deref() == Some("znh5md") && unit == Some("Angstrom fs-1") {
        tracing::warn!(
            "{}: velocities: ZnH5MD stores those of ASE, in Å per 10.18 fs, and says Angstrom fs-1; they are carried over as they are",
            input.path().display()
        );
    }
}

impl Property {
    /// Bytes that it takes in the result.
    pub fn bytes(&self) -> u64 {
        let elements = self.shape.iter().map(|n| *n as u64).product::<u64>();
        self.element.size() as u64 * elements
    }

    /// The group that it will be.
    fn place(&self) -> String {
        let of_frames = self.parts.first().is_some_and(|p| p.rows == Rows::Frames);
        let parent = if of_frames {
            layout::OBSERVABLES
        } else {
            layout::PARTICLES
        };
        join(parent, &self.name)
    }

    /// Looks for it in the input.
    fn find(input: &Input, carried: &Carried) -> Result<Self> {
        let error = |what: String| {
            Error::failure(format!(
                "{}: --carry {carried}: {what}",
                input.path().display()
            ))
        };
        let name = &carried.source;
        let parts = input.property(name).map_err(|segment| {
            let known = segment.properties();
            let near = did_you_mean(name, known.iter().map(String::as_str));
            let has = if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            };
            let key = segment.key();
            error(format!(
                "there is no property {name:?} of atoms or frames{near}; {key} has {has}"
            ))
        })?;
        Self::of(input, carried.name.clone(), parts, carried.unit.as_ref()).map_err(error)
    }

    /// Of what the groups of frames have, or why it cannot be carried over.
    fn of(
        input: &Input,
        name: String,
        parts: Vec<Found>,
        unit: Option<&String>,
    ) -> std::result::Result<Self, String> {
        let mut element = TypeDescriptor::Integer(IntSize::U8);
        let recorded = parts.first().and_then(|part| part.unit.clone());
        let recorded = recorded.map(|unit| h5md_unit(&unit));
        let same = |part: &Found| {
            let one = &parts[0];
            let spelled = |found: &Found| found.unit.as_deref().map(h5md_unit);
            (spelled(part), &part.of_one) == (spelled(one), &one.of_one)
                && (part.rows == Rows::Frames) == (one.rows == Rows::Frames)
        };
        for (k, part) in parts.iter().enumerate() {
            let stored = part.dataset.dtype().and_then(|t| t.to_descriptor());
            let becomes = match stored {
                Ok(TypeDescriptor::Float(_)) => TypeDescriptor::Float(FloatSize::U8),
                Ok(TypeDescriptor::Integer(_) | TypeDescriptor::Unsigned(_)) => {
                    TypeDescriptor::Integer(IntSize::U8)
                }
                Ok(
                    plain @ (TypeDescriptor::Boolean
                    | TypeDescriptor::FixedAscii(_)
                    | TypeDescriptor::FixedUnicode(_)),
                ) => plain,
                Ok(TypeDescriptor::VarLenAscii | TypeDescriptor::VarLenUnicode) => {
                    return Err(
                        "it holds texts of any length, expected numbers or texts of one length"
                            .into(),
                    );
                }
                Ok(other) => return Err(format!("it holds {other}, expected numbers")),
                Err(e) => return Err(reason(&e)),
            };
            let is_number = |t: &TypeDescriptor| {
                matches!(t, TypeDescriptor::Float(_) | TypeDescriptor::Integer(_))
            };
            element = match (k, is_number(&element), is_number(&becomes)) {
                (0, ..) => becomes,
                (_, true, true) if element != becomes => TypeDescriptor::Float(FloatSize::U8),
                _ if element == becomes => element,
                _ => {
                    let place = part.dataset.name();
                    return Err(format!(
                        "{place} has another type than in the groups before it"
                    ));
                }
            };
            if !same(part) {
                let place = part.dataset.name();
                return Err(format!(
                    "{place} has another unit or shape than in the groups before it"
                ));
            }
        }
        if let (Some(given), Some(recorded)) = (unit, &recorded)
            && h5md_unit(given) != *recorded
        {
            return Err(format!(
                "its unit is {recorded:?} in the input; leave {given:?} out, numbers are not converted"
            ));
        }
        let unit = recorded.or_else(|| unit.map(|unit| h5md_unit(unit)));
        // MDAnalysis opens no file that has velocities without a unit, or in another one than these.
        if name == "velocity" {
            match unit.as_deref() {
                None => {
                    return Err("the input says no unit of it; say which one it is, as in velocity:'Angstrom ps-1'".into());
                }
                Some(unit) if !VELOCITIES.contains(&unit) => {
                    return Err(format!(
                        "its unit is {unit:?}, and MDAnalysis opens no file with velocities in it; another name keeps them: input_velocity=velocity"
                    ));
                }
                Some(_) => {}
            }
            warn_of_ase_units(input, unit.as_deref());
        }
        let of_frames = parts.first().is_some_and(|p| p.rows == Rows::Frames);
        let mut shape = if of_frames {
            vec![input.frames() as usize]
        } else {
            let mut shape = atoms_shape(input);
            shape.pop();
            shape
        };
        shape.extend(parts.iter().take(1).flat_map(|part| &part.of_one));
        Ok(Self {
            name,
            before: None,
            parts,
            element,
            unit,
            shape,
        })
    }

    /// Keeps the name that it had before it was imported.
    fn with_old_name(self) -> Self {
        let is_renamed = self.name.starts_with(PREFIX);
        let before = self.parts.first().and_then(source_name);
        Self {
            before: before.filter(|_| !is_renamed),
            ..self
        }
    }

    /// Copies it into the result. `flat`: rows of atoms are atoms there, not frames.
    pub fn write(&self, file: &File, flat: bool, pace: &mut Pace<'_>) -> Result<()> {
        let doing = || failed(format!("cannot carry {} over", self.name));
        let group = group(file, &self.place()).map_err(doing())?;
        share_time_axis(&group).map_err(doing())?;
        if let Some(before) = &self.before {
            write_text(&group, NAME, before).map_err(doing())?;
        }
        let values = zeroed_as(&group, "value", &self.element, &self.shape).map_err(doing())?;
        if let Some(unit) = &self.unit {
            write_text(&values, "unit", unit).map_err(doing())?;
        }
        if let [only] = &self.parts[..]
            && only.rows == Rows::FixedAtoms
        {
            mark_fixed(&values).map_err(doing())?;
        }
        let mut to = Appended {
            of_one: self.parts.first().map_or(1, |p| p.of_one.iter().product()),
            width: self.element.size(),
            values,
            flat,
            next: 0,
            pace,
        };
        self.parts.iter().try_for_each(|part| to.append(part))
    }
}

/// A dataset of the result that is being filled.
struct Appended<'a, 'b> {
    values: Dataset,
    /// Bytes of an element, and elements of one frame or atom.
    width: usize,
    of_one: usize,
    flat: bool,
    next: u64,
    pace: &'a mut Pace<'b>,
}

impl Appended<'_, '_> {
    /// Elements as they lie in the result.
    fn push(&mut self, bytes: &[u8], part: &Found) -> Result<()> {
        let row = match part.atoms {
            Some(atoms) if !self.flat && part.rows != Rows::Frames => atoms * self.of_one,
            _ => self.of_one,
        };
        let rows = (bytes.len() / (row * self.width).max(1)) as u64;
        let run = self.next..self.next + rows;
        self.next = run.end;
        let independent = ffi::Transfer::Independent;
        ffi::write_bytes(&self.values, std::slice::from_ref(&run), bytes, independent)?;
        self.pace.wrote(bytes.len() as u64)
    }

    /// What a group of frames has.
    fn append(&mut self, part: &Found) -> Result<()> {
        let memory = self.values.dtype().map_err(failed("stored type"))?;
        let per_row = ffi::row_elements(&part.dataset) * self.width;
        let rows = part.dataset.shape().first().copied().unwrap_or(0) as u64;
        let at_once = (BLOCK / per_row.max(1)).max(1) as u64;
        let mut block = Vec::new();
        if part.rows == Rows::FixedAtoms {
            block.resize(rows as usize * per_row, 0);
            let all = 0..rows;
            ffi::read_bytes(
                &part.dataset,
                std::slice::from_ref(&all),
                (&memory, &mut block),
            )?;
            let times = (BLOCK / block.len().max(1)).max(1) as u64;
            let repeated = block.repeat(times.min(part.frames) as usize);
            let mut left = part.frames;
            while left > 0 && !block.is_empty() {
                let now = left.min(times);
                self.push(&repeated[..now as usize * block.len()], part)?;
                left -= now;
            }
            return Ok(());
        }
        let mut start = 0;
        while start < rows {
            let run = start..(start + at_once).min(rows);
            block.resize((run.end - run.start) as usize * per_row, 0);
            ffi::read_bytes(
                &part.dataset,
                std::slice::from_ref(&run),
                (&memory, &mut block),
            )?;
            if part.rows == Rows::PaddedAtoms {
                let firsts = &part.firsts[run.start as usize..=run.end as usize];
                let offsets: Vec<_> = firsts.iter().map(|f| (f - firsts[0]) as usize).collect();
                let width = part.dataset.shape()[1];
                let rows = without_padding(&block, width, self.of_one * self.width, &offsets);
                self.push(&rows.collect::<Vec<_>>().concat(), part)?;
            } else {
                self.push(&block, part)?;
            }
            start = run.end;
        }
        Ok(())
    }
}
