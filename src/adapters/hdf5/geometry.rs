//! The geometry inside a result: copied from the input, or linked to it.

use std::path::Path;

use ::hdf5::{Dataset, File, Group, H5Type};

use crate::domain::error::Result;
use crate::domain::frame::FrameBlock;
use crate::engine::ports::Source;
use crate::planning::frame_set::FrameSet;

use super::create::{atoms_shape, folder_of, group, zeroed};
use super::input::{Axis, Input};
use super::layout::{self, unit};
use super::pace::Pace;
use super::{amber, failed, ffi, text_attribute, write_text};

/// Whether the input's positions are copied into the result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Geometry {
    /// Copied up to [`COPY_BYTES`], linked above.
    #[default]
    Auto,
    /// Always copied.
    Copy,
    /// Always linked, where the input's layout allows.
    Link,
}

/// Positions up to this many bytes are copied by default: the result then opens without its input.
pub const COPY_BYTES: u64 = 1 << 30;

/// Steps and times of the input, or frame numbers where it has none.
pub(super) fn write_time_axis(file: &File, input: &Input, pace: &mut Pace<'_>) -> Result<()> {
    let doing = || failed("cannot write the time axis");
    let frames = input.frames();
    let position = group(file, layout::POSITION).map_err(doing())?;
    let step = zeroed::<i64>(&position, "step", &[frames as usize]).map_err(doing())?;
    let time = zeroed::<f64>(&position, "time", &[frames as usize]).map_err(doing())?;
    let (steps, times) = (input.axis("step"), input.axis("time"));
    let unit = match &times {
        Some(Axis::Values(times)) => text_attribute(times, "unit"),
        Some(Axis::Even(.., unit)) => unit.clone(),
        None => None,
    };
    let unit = unit.unwrap_or_else(|| unit::TIME.to_owned());
    write_text(&time, "unit", &unit).map_err(doing())?;
    let mut start = 0;
    while start < frames {
        let rows = start..(start + (1 << 16)).min(frames);
        let mut numbers: Vec<i64> = rows.clone().map(|i| i as i64).collect();
        let mut reals: Vec<f64> = rows.clone().map(|i| i as f64).collect();
        match &steps {
            Some(Axis::Values(steps)) => {
                ffi::read_rows(steps, std::slice::from_ref(&rows), &mut numbers)?;
            }
            Some(Axis::Even(first, increment, _)) => {
                for step in &mut numbers {
                    *step = *first as i64 + *step * *increment as i64;
                }
            }
            None => {}
        }
        match &times {
            Some(Axis::Values(times)) => {
                ffi::read_rows(times, std::slice::from_ref(&rows), &mut reals)?;
            }
            Some(Axis::Even(first, increment, _)) => {
                for time in &mut reals {
                    *time = first + *time * increment;
                }
            }
            None => {}
        }
        ffi::write_rows(
            &step,
            std::slice::from_ref(&rows),
            &numbers,
            ffi::Transfer::Independent,
        )?;
        ffi::write_rows(
            &time,
            std::slice::from_ref(&rows),
            &reals,
            ffi::Transfer::Independent,
        )?;
        pace.wrote(16 * (rows.end - rows.start))?;
        start = rows.end;
    }
    Ok(())
}

/// `name/{step,time}` as hard links to the position's.
pub(super) fn share_time_axis(group: &Group) -> ::hdf5::Result<()> {
    for name in ["step", "time"] {
        group.link_hard(&format!("{}/{name}", layout::POSITION), name)?;
    }
    Ok(())
}

/// Whether the positions will be copied.
pub(super) fn copies(input: &Input, geometry: Geometry) -> bool {
    match (geometry, input.linkable_positions()) {
        (Geometry::Copy, _) | (_, None) => true,
        (Geometry::Auto, Some(_)) => 24 * input.total_atoms() <= COPY_BYTES,
        (Geometry::Link, Some(_)) => false,
    }
}

pub(super) fn write_geometry(
    particles: &Group,
    result: &Path,
    input: &mut Input,
    geometry: Geometry,
    pace: &mut Pace<'_>,
) -> Result<()> {
    let doing = || failed("cannot write the geometry");
    let frames = input.frames() as usize;
    let position = particles.group("position").map_err(doing())?;
    let copy = copies(input, geometry);
    let mut places = Places::default();
    if copy {
        let values = zeroed::<f64>(&position, "value", &atoms_shape(input)).map_err(doing())?;
        write_text(&values, "unit", unit::LENGTH).map_err(doing())?;
        places.positions = Some(values);
    } else if let Some(name) = input.linkable_positions() {
        let target = relative(input.path(), result);
        position
            .link_external(&target, &name, "value")
            .map_err(doing())?;
    }
    if input.atoms().is_none() {
        places.offsets = Some(zeroed::<i64>(particles, "offsets", &[frames + 1]).map_err(doing())?);
    }
    let species = particles.create_group("species").map_err(doing())?;
    share_time_axis(&species).map_err(doing())?;
    let shape = atoms_shape(input);
    let shape = &shape[..shape.len() - 1];
    let species = zeroed::<i32>(&species, "value", shape).map_err(doing())?;
    if let Some(constant) = input.constant_species() {
        let numbers: Vec<i32> = constant.iter().map(|z| i32::from(*z)).collect();
        mark_fixed(&species).map_err(doing())?;
        repeat(&species, &numbers, input.frames(), pace)?;
    } else {
        places.species = Some(species);
    }
    create_box(particles, input, &mut places, pace)?;
    let periodic = copy_frames(input, &places, pace)?;
    write_boundary(particles, periodic).map_err(doing())
}

/// Datasets that are filled frame by frame.
#[derive(Default)]
struct Places {
    positions: Option<Dataset>,
    offsets: Option<Dataset>,
    species: Option<Dataset>,
    edges: Option<Dataset>,
    periodic: Option<Dataset>,
    amber: Option<amber::Cells>,
}

/// Whether `/AMBER` is made: of frames with the same number of atoms whose positions are in the file itself.
pub(super) fn has_amber(input: &Input, geometry: Geometry) -> bool {
    input.atoms().is_some() && copies(input, geometry)
}

fn create_box(
    particles: &Group,
    input: &Input,
    places: &mut Places,
    pace: &mut Pace<'_>,
) -> Result<()> {
    let doing = || failed("cannot write the box");
    let frames = input.frames() as usize;
    let group = particles.create_group("box").map_err(doing())?;
    group
        .new_attr::<i32>()
        .create("dimension")
        .and_then(|dimension| dimension.write_scalar(&3i32))
        .map_err(doing())?;
    let per_frame = |name: &str| -> ::hdf5::Result<Group> {
        let made = group.create_group(name)?;
        share_time_axis(&made)?;
        Ok(made)
    };
    let edges = per_frame("edges").map_err(doing())?;
    let edges = zeroed::<f64>(&edges, "value", &[frames, 3, 3]).map_err(doing())?;
    write_text(&edges, "unit", unit::LENGTH).map_err(doing())?;
    let mut amber = None;
    // As `has_amber` says.
    if input.atoms().is_some() && places.positions.is_some() {
        let file = particles.file().map_err(doing())?;
        amber = Some(amber::Cells::create(&file, frames).map_err(doing())?);
    }
    match (input.constant_cell(), input.has_cells()) {
        // The zeros that are there.
        (_, false) => mark_fixed(&edges).map_err(doing())?,
        (Some(cell), true) => {
            mark_fixed(&edges).map_err(doing())?;
            repeat(&edges, cell.vectors.as_flattened(), input.frames(), pace)?;
            if let Some(amber) = &amber {
                let (lengths, angles) = amber::parameters(&cell);
                repeat(&amber.lengths, &lengths, input.frames(), pace)?;
                repeat(&amber.angles, &angles, input.frames(), pace)?;
            }
        }
        (None, true) => {
            places.edges = Some(edges);
            places.amber = amber;
        }
    }
    if input.constant_periodic().is_none() {
        let periodic = zeroed::<u8>(&group, "periodic", &[frames, 3]).map_err(doing())?;
        let again = per_frame("pbc").map_err(doing())?;
        again
            .link_hard(&periodic.name(), "value")
            .map_err(doing())?;
        places.periodic = Some(periodic);
    }
    Ok(())
}

/// Says that all rows are the same.
pub(super) fn mark_fixed(values: &Dataset) -> ::hdf5::Result<()> {
    values
        .new_attr::<u8>()
        .create(layout::FIXED)?
        .write_scalar(&1u8)
}

/// Writes the same row for each of `frames`, about a mebibyte at a time.
fn repeat<T: H5Type + Copy>(
    values: &Dataset,
    row: &[T],
    frames: u64,
    pace: &mut Pace<'_>,
) -> Result<()> {
    let bytes = size_of_val(row).max(1) as u64;
    let at_once = ((1 << 20) / bytes).clamp(1, frames.max(1));
    let rows = row.repeat(at_once as usize);
    let mut start = 0;
    while start < frames {
        let part = start..(start + at_once).min(frames);
        let length = (part.end - part.start) as usize * row.len();
        let independent = ffi::Transfer::Independent;
        ffi::write_rows(
            values,
            std::slice::from_ref(&part),
            &rows[..length],
            independent,
        )?;
        pace.wrote(bytes * (part.end - part.start))?;
        start = part.end;
    }
    Ok(())
}

/// Writes the box's `boundary`: periodic where any frame is.
pub(super) fn write_boundary(particles: &Group, periodic: [bool; 3]) -> ::hdf5::Result<()> {
    use ::hdf5::types::VarLenUnicode;
    let mut words: Vec<VarLenUnicode> = Vec::new();
    for p in periodic {
        let word = if p { "periodic" } else { "none" };
        words.push(word.parse().map_err(|_| ::hdf5::Error::from("boundary"))?);
    }
    let group = particles.group("box")?;
    group
        .new_attr::<VarLenUnicode>()
        .shape((3,))
        .create("boundary")?
        .write_raw(&words)
}

/// Copies what changes from frame to frame; returns the directions in which any frame repeats.
fn copy_frames(input: &mut Input, places: &Places, pace: &mut Pace<'_>) -> Result<[bool; 3]> {
    let independent = ffi::Transfer::Independent;
    let mut any_periodic = input.constant_periodic().unwrap_or([false; 3]);
    let per_frame = [
        &places.positions,
        &places.offsets,
        &places.species,
        &places.edges,
        &places.periodic,
    ];
    let mut rest = FrameSet::empty();
    if per_frame.iter().any(|place| place.is_some()) {
        rest = FrameSet::all(input.frames());
    }
    if let (Some(offsets), true) = (&places.offsets, input.frames() == 0) {
        ffi::write_rows(offsets, &[0..1], &[0i64], independent)?;
    }
    let mut block = FrameBlock::default();
    while !rest.is_empty() {
        let frames = rest.split_front(input.block_frames());
        input.read(&frames, &mut block)?;
        let first = block.first_atoms.first().copied().unwrap_or(0);
        let atoms = first..first + block.positions.len() as u64;
        let rows = if input.atoms().is_some() {
            frames.clone()
        } else {
            FrameSet::from_runs(vec![atoms])
        };
        // Positions are the most of it.
        pace.wrote(size_of_val(block.positions.as_slice()) as u64)?;
        if let Some(positions) = &places.positions {
            ffi::write_rows(
                positions,
                rows.runs(),
                block.positions.as_flattened(),
                independent,
            )?;
        }
        if let Some(offsets) = &places.offsets {
            let start = frames.runs()[0].start;
            let values: Vec<i64> = block
                .offsets
                .iter()
                .map(|o| (first + *o as u64) as i64)
                .collect();
            ffi::write_rows(
                offsets,
                &[start..start + values.len() as u64],
                &values,
                independent,
            )?;
        }
        if let Some(species) = &places.species {
            let numbers: Vec<i32> = block.species.iter().map(|z| i32::from(*z)).collect();
            ffi::write_rows(species, rows.runs(), &numbers, independent)?;
        }
        if let Some(edges) = &places.edges {
            let values: Vec<f64> = block
                .cells
                .iter()
                .flat_map(|c| {
                    *c.vectors
                        .as_flattened()
                        .first_chunk::<9>()
                        .unwrap_or(&[0.0; 9])
                })
                .collect();
            ffi::write_rows(edges, frames.runs(), &values, independent)?;
        }
        if let Some(amber) = &places.amber {
            let cells = block.cells.iter().map(amber::parameters);
            let (lengths, angles): (Vec<_>, Vec<_>) = cells.unzip();
            let (lengths, angles) = (lengths.as_flattened(), angles.as_flattened());
            ffi::write_rows(&amber.lengths, frames.runs(), lengths, independent)?;
            ffi::write_rows(&amber.angles, frames.runs(), angles, independent)?;
        }
        if let Some(periodic) = &places.periodic {
            let values: Vec<u8> = block
                .cells
                .iter()
                .flat_map(|c| c.periodic.map(u8::from))
                .collect();
            ffi::write_rows(periodic, frames.runs(), &values, independent)?;
            for cell in &block.cells {
                for d in 0..3 {
                    any_periodic[d] |= cell.periodic[d];
                }
            }
        }
    }
    Ok(any_periodic)
}

/// The input's path as seen from the result's directory; absolute when they share nothing.
fn relative(input: &Path, result: &Path) -> String {
    let (Ok(input), Ok(folder)) = (input.canonicalize(), folder_of(result).canonicalize()) else {
        return input.display().to_string();
    };
    match input.strip_prefix(&folder) {
        Ok(inside) => inside.display().to_string(),
        Err(_) => input.display().to_string(),
    }
}
