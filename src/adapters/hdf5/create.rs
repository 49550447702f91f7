//! Creation of a result file: rank 0 alone, serial driver, temporary name, full size.
//!
//! What a kill leaves behind at each line: before the rename, a temporary file that the next creation removes;
//! after it, a complete result file in which every frame is undefined. Attributes are written by all ranks into
//! the temporary file ([`write_attributes`]); the rename comes last.

use std::fs::{self, File as PlainFile};
use std::path::{Path, PathBuf};

use ::hdf5::plist::dataset_create::{AllocTime, FillTime};
use ::hdf5::types::FixedUnicode;
use ::hdf5::{Dataset, File, FileBuilder, Group, H5Type};

use crate::domain::error::{Error, Result};
use crate::domain::frame::FrameBlock;
use crate::engine::ports::Source;
use crate::planning::frame_set::FrameSet;
use crate::planning::status::Status;

use super::input::Input;
use super::layout::{self, MESSAGE_BYTES, attribute, unit};
use super::{failed, ffi, history, write_text};

/// One stored message.
pub type Message = FixedUnicode<MESSAGE_BYTES>;

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
/// Frames copied at a time.
const COPY_FRAMES: u64 = 4096;

/// `RESULT.creating`: the file before its first day.
pub fn temporary(result: &Path) -> PathBuf {
    let mut name = result.as_os_str().to_owned();
    name.push(".creating");
    name.into()
}

/// Creates the temporary file with all groups and datasets, NaN-filled, on reserved space, and closes it.
pub fn create(result: &Path, input: &mut Input, geometry: Geometry) -> Result<()> {
    let path = temporary(result);
    let done = check_space(result, input, geometry)
        .and_then(|()| remove_if_there(&path))
        .and_then(|()| create_at(&path, result, input, geometry))
        .and_then(|()| reserve(&path));
    if done.is_err() {
        // The error that matters is the first one.
        let _ = fs::remove_file(&path);
    }
    done
}

fn create_at(path: &Path, result: &Path, input: &mut Input, geometry: Geometry) -> Result<()> {
    let doing = || failed(format!("cannot create {}", result.display()));
    // Made by us first: the system's word for what is wrong is clearer than an HDF5 stack.
    PlainFile::create(path).map_err(|e| {
        Error::failure(format!(
            "cannot create {}: {e}; choose another -o",
            result.display()
        ))
    })?;
    let mut builder = FileBuilder::new();
    builder.with_fapl(|fapl| fapl.libver_earliest());
    let file = builder.create(path).map_err(doing())?;
    write_h5md(&file).map_err(doing())?;
    let particles = group(&file, layout::PARTICLES).map_err(doing())?;
    write_time_axis(&file, input)?;
    write_geometry(&particles, result, input, geometry)?;
    create_results(&file, input).map_err(doing())?;
    file.flush().map_err(doing())?;
    file.close().map_err(doing())
}

fn group(file: &File, path: &str) -> ::hdf5::Result<Group> {
    let mut group = file.group("/")?;
    for name in path.trim_matches('/').split('/') {
        group = match group.link_exists(name) {
            true => group.group(name)?,
            false => group.create_group(name)?,
        };
    }
    Ok(group)
}

fn write_h5md(file: &File) -> ::hdf5::Result<()> {
    let h5md = group(file, layout::H5MD)?;
    h5md.new_attr::<i32>()
        .shape((2,))
        .create("version")?
        .write_raw(&[1i32, 1])?;
    let author = h5md.create_group("author")?;
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    write_text(&author, "name", &user.unwrap_or_else(|_| "unknown".into()))?;
    let creator = h5md.create_group("creator")?;
    write_text(&creator, "name", "framewise")?;
    write_text(&creator, "version", env!("CARGO_PKG_VERSION"))
}

/// A contiguous dataset allocated at once and filled with `fill`.
fn filled<T: H5Type + Into<::hdf5::types::OwnedDynValue>>(
    group: &Group,
    name: &str,
    shape: &[usize],
    fill: T,
) -> ::hdf5::Result<Dataset> {
    group
        .new_dataset::<T>()
        .alloc_time(Some(AllocTime::Early))
        .fill_time(FillTime::Alloc)
        .fill_value(fill)
        .shape(shape.to_vec())
        .create(name)
}

/// A contiguous dataset allocated at once and left as the file system gives it: zeros, see [`reserve`].
fn zeroed<T: H5Type>(group: &Group, name: &str, shape: &[usize]) -> ::hdf5::Result<Dataset> {
    group
        .new_dataset::<T>()
        .alloc_time(Some(AllocTime::Early))
        .fill_time(FillTime::Never)
        .shape(shape.to_vec())
        .create(name)
}

fn atoms_shape(input: &Input) -> Vec<usize> {
    match input.atoms() {
        Some(atoms) => vec![input.frames() as usize, atoms, 3],
        None => vec![input.total_atoms() as usize, 3],
    }
}

/// Steps and times of the input, or frame numbers where it has none.
fn write_time_axis(file: &File, input: &Input) -> Result<()> {
    let doing = || failed("cannot write the time axis");
    let frames = input.frames();
    let position = group(file, layout::POSITION).map_err(doing())?;
    let step = zeroed::<i64>(&position, "step", &[frames as usize]).map_err(doing())?;
    let time = zeroed::<f64>(&position, "time", &[frames as usize]).map_err(doing())?;
    write_text(&time, "unit", unit::TIME).map_err(doing())?;
    let (steps, times) = (input.axis("step"), input.axis("time"));
    let mut start = 0;
    while start < frames {
        let rows = start..(start + (1 << 16)).min(frames);
        let mut numbers: Vec<i64> = rows.clone().map(|i| i as i64).collect();
        let mut reals: Vec<f64> = rows.clone().map(|i| i as f64).collect();
        if let Some(steps) = &steps {
            ffi::read_rows(steps, std::slice::from_ref(&rows), &mut numbers)?;
        }
        if let Some(times) = &times {
            ffi::read_rows(times, std::slice::from_ref(&rows), &mut reals)?;
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
        start = rows.end;
    }
    Ok(())
}

/// `name/{step,time}` as hard links to the position's.
fn share_time_axis(group: &Group) -> ::hdf5::Result<()> {
    for name in ["step", "time"] {
        group.link_hard(&format!("{}/{name}", layout::POSITION), name)?;
    }
    Ok(())
}

/// Whether the positions will be copied.
fn copies(input: &Input, geometry: Geometry) -> bool {
    match (geometry, input.linkable_positions()) {
        (Geometry::Copy, _) | (_, None) => true,
        (Geometry::Auto, Some(_)) => 24 * input.total_atoms() <= COPY_BYTES,
        (Geometry::Link, Some(_)) => false,
    }
}

fn write_geometry(
    particles: &Group,
    result: &Path,
    input: &mut Input,
    geometry: Geometry,
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
    if let Some(constant) = input.constant_species() {
        let numbers: Vec<i32> = constant.iter().map(|z| i32::from(*z)).collect();
        let species = zeroed::<i32>(particles, "species", &[numbers.len()]).map_err(doing())?;
        ffi::write_rows(
            &species,
            &[0..numbers.len() as u64],
            &numbers,
            ffi::Transfer::Independent,
        )?;
    } else {
        let species = particles.create_group("species").map_err(doing())?;
        share_time_axis(&species).map_err(doing())?;
        let shape = atoms_shape(input);
        let shape = &shape[..shape.len() - 1];
        places.species = Some(zeroed::<i32>(&species, "value", shape).map_err(doing())?);
    }
    create_box(particles, input, &mut places).map_err(doing())?;
    let periodic = copy_frames(input, &places)?;
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
}

fn create_box(particles: &Group, input: &Input, places: &mut Places) -> ::hdf5::Result<()> {
    let frames = input.frames() as usize;
    let group = particles.create_group("box")?;
    group
        .new_attr::<i32>()
        .create("dimension")?
        .write_scalar(&3i32)?;
    match (input.constant_cell(), input.has_cells()) {
        (_, false) => {}
        (Some(cell), true) => {
            let edges = group.new_dataset::<f64>().shape((3, 3)).create("edges")?;
            edges.write_raw(cell.vectors.as_flattened())?;
            write_text(&edges, "unit", unit::LENGTH)?;
        }
        (None, true) => {
            let edges = group.create_group("edges")?;
            share_time_axis(&edges)?;
            let values = zeroed::<f64>(&edges, "value", &[frames, 3, 3])?;
            write_text(&values, "unit", unit::LENGTH)?;
            places.edges = Some(values);
        }
    }
    if input.constant_periodic().is_none() {
        places.periodic = Some(zeroed::<u8>(&group, "periodic", &[frames, 3])?);
    }
    Ok(())
}

/// Writes the box's `boundary`: periodic where any frame is.
fn write_boundary(particles: &Group, periodic: [bool; 3]) -> ::hdf5::Result<()> {
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
fn copy_frames(input: &mut Input, places: &Places) -> Result<[bool; 3]> {
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
        let frames = rest.split_front(COPY_FRAMES);
        input.read(&frames, &mut block)?;
        let first = block.first_atoms.first().copied().unwrap_or(0);
        let atoms = first..first + block.positions.len() as u64;
        let rows = if input.atoms().is_some() {
            frames.clone()
        } else {
            FrameSet::from_runs(vec![atoms])
        };
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

fn create_results(file: &File, input: &Input) -> ::hdf5::Result<()> {
    let frames = input.frames() as usize;
    for (path, shape, unit) in [
        (layout::FORCES, atoms_shape(input), unit::FORCE),
        (layout::ENERGY, vec![frames], unit::ENERGY),
        (layout::STRESS, vec![frames, 3, 3], unit::STRESS),
    ] {
        let group = group(file, path)?;
        let values = filled(&group, "value", &shape, f64::NAN)?;
        write_text(&values, "unit", unit)?;
        share_time_axis(&group)?;
    }
    let ours = group(file, layout::FRAMEWISE)?;
    filled(&ours, "status", &[frames], Status::Undefined.code())?;
    filled(&ours, "checksum", &[frames], 0u64)?;
    filled(&ours, "seconds", &[frames], f32::NAN)?;
    zeroed::<Message>(&ours, "message", &[frames])?;
    history::create(&ours)
}

/// Makes sure that the file system has really given the space: later writes must not fail for want of it.
fn reserve(path: &Path) -> Result<()> {
    let doing = |e: std::io::Error| {
        Error::failure(format!("cannot reserve space for {}: {e}", path.display()))
    };
    let file = PlainFile::options().write(true).open(path).map_err(doing)?;
    let length = file.metadata().map_err(doing)?.len();
    match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, length) {
        Ok(()) => {}
        // Not every file system can; what was filled is reserved all the same.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS | rustix::io::Errno::INVAL) => {
        }
        Err(e) => return Err(doing(e.into())),
    }
    file.sync_all().map_err(doing)
}

/// Says how much is missing before anything is written.
fn check_space(result: &Path, input: &Input, geometry: Geometry) -> Result<()> {
    let (frames, atoms) = (input.frames(), input.total_atoms());
    let copied = if copies(input, geometry) {
        24 * atoms
    } else {
        0
    };
    let per_frame = 8 + 72 + 8 + 8 + 4 + MESSAGE_BYTES as u64 + 16 + 72 + 8 + 3;
    let needed = copied + 24 * atoms + 4 * atoms + per_frame * frames + (1 << 17);
    let folder = folder_of(result);
    let Ok(disk) = rustix::fs::statvfs(&folder) else {
        return Err(Error::failure(format!(
            "{}: no such directory; create it or choose another -o",
            folder.display()
        )));
    };
    let free = disk.f_bavail * disk.f_frsize;
    if free < needed {
        return Err(Error::failure(format!(
            "{} needs about {} but {} has {} free: {} are missing",
            result.display(),
            megabytes(needed),
            folder.display(),
            megabytes(free),
            megabytes(needed - free)
        )));
    }
    Ok(())
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 * 1e-6)
}

/// The directory of a path that may have none.
pub fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::failure(format!(
            "cannot remove {}: {e}",
            path.display()
        ))),
        _ => Ok(()),
    }
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

/// The attributes of the job, in the order they are written. Collective over an MPI file: every rank writes the
/// same values.
pub fn write_attributes(file: &File, attributes: &[(String, String)]) -> Result<()> {
    let ours = file
        .group(layout::FRAMEWISE)
        .map_err(failed("cannot write attributes"))?;
    for (name, value) in attributes {
        write_text(&ours, name, value).map_err(failed(format!("cannot write attribute {name}")))?;
    }
    file.flush().map_err(failed("cannot write attributes"))
}

/// The attributes that describe the machine rather than the job.
pub fn version_attributes(mpi: &str) -> Vec<(&'static str, String)> {
    let (major, minor, patch) = ffi::library_version();
    vec![
        (
            attribute::FRAMEWISE_VERSION,
            env!("CARGO_PKG_VERSION").to_owned(),
        ),
        (attribute::HDF5_VERSION, format!("{major}.{minor}.{patch}")),
        (attribute::MPI_VERSION, mpi.to_owned()),
    ]
}

/// Gives the temporary file its name: sync, rename, sync the directory.
pub fn publish(result: &Path) -> Result<()> {
    let from = temporary(result);
    let doing =
        |e: std::io::Error| Error::failure(format!("cannot create {}: {e}", result.display()));
    PlainFile::open(&from)
        .and_then(|f| f.sync_all())
        .map_err(doing)?;
    fs::rename(&from, result).map_err(doing)?;
    let folder = PlainFile::open(folder_of(result)).map_err(doing)?;
    // Some network file systems cannot sync a directory; the rename has happened all the same.
    let _ = folder.sync_all();
    Ok(())
}
