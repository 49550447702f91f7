//! Creation of a result file: rank 0 alone, serial driver, temporary name, full size.
//!
//! HDF5 lays out the datasets and gives them their places; they are filled afterwards, by all ranks (see
//! [`fill`](super::fill); HDF5 itself would write gigabytes in one call of one rank). A wish to stop removes the temporary file. What a kill
//! leaves behind at each line: before the rename, a temporary file that the next creation removes; after it, a complete
//! result file in which every frame is undefined. Attributes are written by all ranks into the temporary file
//! ([`write_attributes`]); the rename comes last.

use std::fs::{self, File as PlainFile};
use std::path::{Path, PathBuf};

use ::hdf5::plist::dataset_create::{AllocTime, FillTime};
use ::hdf5::types::{FixedUnicode, TypeDescriptor};
use ::hdf5::{Dataset, File, FileBuilder, Group, H5Type};

use crate::adapters::whole_file::replace;
use crate::domain::error::{Error, GoOn, Result};
use crate::planning::status::Status;

use super::carry;
use super::contents::Contents;
use super::fill::Filler;
use super::geometry::{
    Geometry, copies, has_amber, share_time_axis, write_geometry, write_time_axis,
};
use super::input::Input;
use super::layout::{self, MESSAGE_BYTES, attribute, unit};
use super::pace::Pace;
use super::result_reader::ResultReader;
use super::{amber, failed, ffi, history, segments, write_text};

/// One stored message.
pub type Message = FixedUnicode<MESSAGE_BYTES>;

/// `RESULT.creating`: the file before its first day.
pub fn temporary(result: &Path) -> PathBuf {
    let mut name = result.as_os_str().to_owned();
    name.push(".creating");
    name.into()
}

/// Large datasets begin where a stripe or a block of a parallel file system does: 4 MiB is the default stripe of Lustre
/// and a multiple of GPFS's usual blocks. Smaller ones are not worth the holes.
const ALIGNED: (u64, u64) = (64 << 20, 4 << 20);

/// Makes the empty file first, where somebody else than the system has to (stripes); it does not exist then.
pub type Make<'a> = &'a dyn Fn(&Path);

/// [`lay_out`], then fills everything: what a single process does.
pub fn create(
    result: &Path,
    input: &mut Input,
    contents: impl Into<Contents>,
    go_on: GoOn<'_>,
) -> Result<()> {
    lay_out(result, input, contents, &|_| (), go_on)?;
    let filled = Filler::open(result, (0, 1), go_on).and_then(|mut filler| {
        (0..filler.steps()).try_for_each(|_| filler.step())?;
        filler.end()
    });
    if filled.is_err() {
        let _ = fs::remove_file(temporary(result));
    }
    filled
}

/// Creates the temporary file with all groups and datasets on reserved space, the results not filled yet, and closes it.
///
/// # Errors
/// As every error, a wish to stop leaves nothing behind.
pub fn lay_out(
    result: &Path,
    input: &mut Input,
    contents: impl Into<Contents>,
    make: Make<'_>,
    go_on: GoOn<'_>,
) -> Result<()> {
    let contents = contents.into();
    let geometry = contents.geometry;
    let carried = carry::find(input, &contents.carry)?;
    let mut needed = space(input, geometry);
    needed += carried.iter().map(carry::Property::bytes).sum::<u64>();
    if contents.molar_forces {
        needed += 24 * input.total_atoms();
    }
    lay_out_with(
        result,
        (Base::Nothing, needed),
        make,
        go_on,
        |file, pace| {
            let doing = || failed(format!("cannot create {}", result.display()));
            write_h5md(file).map_err(doing())?;
            let particles = group(file, layout::PARTICLES).map_err(doing())?;
            write_time_axis(file, input, pace)?;
            write_geometry(&particles, result, input, geometry, pace)?;
            for property in &carried {
                property.write(file, input.atoms().is_none(), pace)?;
            }
            create_results(file, input, contents.molar_forces).map_err(doing())?;
            match input.atoms() {
                Some(atoms) if has_amber(input, geometry) => {
                    amber::link(file, input.frames() as usize, atoms).map_err(doing())
                }
                _ => Ok(()),
            }
        },
    )
}

/// What a new file is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// Nothing.
    Nothing,
    /// A copy of the result that is there: it stays as it is until the new file takes its name.
    Copy,
}

/// As [`lay_out`], for a file into which `write` puts groups and datasets of about `needed` bytes.
pub(super) fn lay_out_with(
    result: &Path,
    (base, needed): (Base, u64),
    make: Make<'_>,
    go_on: GoOn<'_>,
    write: impl FnOnce(&File, &mut Pace<'_>) -> Result<()>,
) -> Result<()> {
    let path = temporary(result);
    let there = match base {
        Base::Nothing => 0,
        Base::Copy => fs::metadata(result).map_or(0, |found| found.len()),
    };
    let done = check_space(result, needed + there)
        .and_then(|()| remove_if_there(&path))
        .and_then(|()| {
            make(&path);
            create_at(&path, result, base, go_on, write)
        })
        .and_then(|()| go_on());
    if done.is_err() {
        // The error that matters is the first one.
        let _ = fs::remove_file(&path);
    }
    done
}

fn create_at(
    path: &Path,
    result: &Path,
    base: Base,
    go_on: GoOn<'_>,
    write: impl FnOnce(&File, &mut Pace<'_>) -> Result<()>,
) -> Result<()> {
    let doing = || failed(format!("cannot create {}", result.display()));
    // Made by us first: the system's word for what is wrong is clearer than an HDF5 stack.
    let plain = PlainFile::create(path).map_err(|e| {
        Error::failure(format!(
            "cannot create {}: {e}; choose another -o",
            result.display()
        ))
    })?;
    let mut pace = Pace::new(plain, result, go_on);
    let before = ffi::open_objects();
    let mut builder = FileBuilder::new();
    builder.with_fapl(|fapl| fapl.libver_earliest().alignment(ALIGNED.0, ALIGNED.1));
    let file = match base {
        Base::Nothing => builder.create(path),
        Base::Copy => {
            pace.copy(result)?;
            builder.open_rw(path)
        }
    };
    let file = file.map_err(doing())?;
    write(&file, &mut pace)?;
    file.flush().map_err(doing())?;
    // The file closes with the last of its objects.
    file.close().map_err(doing())?;
    if ffi::open_objects() > before {
        return Err(Error::failure(format!(
            "cannot create {}: a write failed at close (disk full, over quota, or gone?)",
            result.display()
        )));
    }
    pace.reserve()?;
    pace.end()
}

pub(super) fn group(file: &File, path: &str) -> ::hdf5::Result<Group> {
    let mut group = file.group("/")?;
    for name in path.trim_matches('/').split('/') {
        group = if group.link_exists(name) {
            group.group(name)?
        } else {
            group.create_group(name)?
        };
    }
    Ok(group)
}

pub(super) fn write_h5md(file: &File) -> ::hdf5::Result<()> {
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
    write_text(&creator, "version", env!("CARGO_PKG_VERSION"))?;
    // Whoever sets `unit` declares it.
    let units = h5md.create_group("modules")?.create_group("units")?;
    units
        .new_attr::<i32>()
        .shape((2,))
        .create("version")?
        .write_raw(&[1i32, 0])
}

/// A contiguous dataset allocated at once, whose fill value is for us to write, see [`fill`](super::fill).
fn filled<T: H5Type + Into<::hdf5::types::OwnedDynValue>>(
    group: &Group,
    name: &str,
    shape: &[usize],
    value: T,
) -> ::hdf5::Result<Dataset> {
    group
        .new_dataset::<T>()
        .alloc_time(Some(AllocTime::Early))
        .fill_time(FillTime::Never)
        .fill_value(value)
        .shape(shape.to_vec())
        .create(name)
}

/// A contiguous dataset allocated at once and left as the file system gives it: zeros, see [`Pace::reserve`].
pub(super) fn zeroed<T: H5Type>(
    group: &Group,
    name: &str,
    shape: &[usize],
) -> ::hdf5::Result<Dataset> {
    zeroed_as(group, name, &T::type_descriptor(), shape)
}

/// As [`zeroed`], of elements that are known while the program runs.
pub(super) fn zeroed_as(
    group: &Group,
    name: &str,
    element: &TypeDescriptor,
    shape: &[usize],
) -> ::hdf5::Result<Dataset> {
    group
        .new_dataset_builder()
        .empty_as(element)
        .alloc_time(Some(AllocTime::Early))
        .fill_time(FillTime::Never)
        .shape(shape.to_vec())
        .create(name)
}

pub(super) fn atoms_shape(input: &Input) -> Vec<usize> {
    match input.atoms() {
        Some(atoms) => vec![input.frames() as usize, atoms, 3],
        None => vec![input.total_atoms() as usize, 3],
    }
}

/// The datasets of results.
fn create_results(file: &File, input: &Input, molar_forces: bool) -> ::hdf5::Result<()> {
    let frames = input.frames() as usize;
    let mut sets = vec![
        (layout::FORCES, atoms_shape(input), unit::FORCE),
        (layout::ENERGY, vec![frames], unit::ENERGY),
        (layout::STRESS, vec![frames, 3, 3], unit::STRESS),
    ];
    if molar_forces {
        sets.push((layout::MOLAR_FORCES, atoms_shape(input), unit::MOLAR_FORCE));
    }
    for (path, shape, unit) in sets {
        let group = group(file, path)?;
        let values = filled(&group, "value", &shape, f64::NAN)?;
        write_text(&values, "unit", unit)?;
        share_time_axis(&group)?;
    }
    create_books(file, frames)?;
    segments::write(file, input)
}

/// The datasets that tell the state of each frame or row, and the history.
pub(super) fn create_books(file: &File, frames: usize) -> ::hdf5::Result<()> {
    let ours = group(file, layout::FRAMEWISE)?;
    filled(&ours, "status", &[frames], Status::Undefined.code())?;
    filled(&ours, "checksum", &[frames], 0u64)?;
    filled(&ours, "seconds", &[frames], f32::NAN)?;
    zeroed::<Message>(&ours, "message", &[frames])?;
    history::create(&ours)?;
    Ok(())
}

/// Bytes that the result will take, about.
pub fn space(input: &Input, geometry: Geometry) -> u64 {
    let (frames, atoms) = (input.frames(), input.total_atoms());
    let copied = if copies(input, geometry) {
        24 * atoms
    } else {
        0
    };
    // Energy, stress, status, checksum, seconds, step and time, cell, offsets, periodic, AMBER's cell and frames.
    let per_frame = 8 + 72 + 8 + 8 + 4 + MESSAGE_BYTES as u64 + 16 + 72 + 8 + 3 + 48 + 4;
    let segments = segments::bytes(input);
    copied + 24 * atoms + 4 * atoms + per_frame * frames + segments + (1 << 17)
}

/// Says how much is missing before anything is written.
fn check_space(result: &Path, needed: u64) -> Result<()> {
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

/// The attributes of the job, in the order they are written. Collective over an MPI file: every rank writes the
/// same values.
pub fn write_attributes(file: &File, attributes: &[(String, String)]) -> Result<()> {
    let ours = file
        .group(layout::FRAMEWISE)
        .map_err(failed("cannot write attributes"))?;
    // Every rank makes every call, whatever became of the last one: the others are in it.
    let mut written = Ok(());
    for (name, value) in attributes {
        let one = write_text(&ours, name, value);
        written = written.and(one.map_err(failed(format!("cannot write attribute {name}"))));
    }
    let flushed = file.flush().map_err(failed("cannot write attributes"));
    written.and(flushed)
}

/// A layer that reports success when nothing was written leaves zeros behind, and a state of zero says "completed".
fn check_newborn(result: &Path, from: &Path, attributes: &[(String, String)]) -> Result<()> {
    let lost = |what: String| {
        Error::failure(format!(
            "cannot create {}: {what}, although every write was reported as a success (disk full, over quota?)",
            result.display()
        ))
    };
    let reader = ResultReader::open(from)
        .map_err(|e| lost(format!("the new file cannot be read back ({e})")))?;
    let frames = reader.n_frames();
    let undefined = reader.counts()?.0.get(Status::Undefined);
    if undefined != frames {
        return Err(lost(format!(
            "{} of {frames} states of the new file are not there",
            frames - undefined
        )));
    }
    match attributes
        .iter()
        .find(|(k, v)| reader.attribute(k) != Some(v))
    {
        None => Ok(()),
        Some((name, _)) => Err(lost(format!(
            "attribute {name} of the new file is not there"
        ))),
    }
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

/// Gives the temporary file of a job that begins its name: sync, look at it, rename, sync the directory.
pub fn publish(result: &Path, attributes: &[(String, String)]) -> Result<()> {
    give_name(result, |from| check_newborn(result, from, attributes))
}

/// Gives the temporary file its name, after a look at it.
pub(super) fn give_name(result: &Path, look: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let from = temporary(result);
    let doing =
        |e: std::io::Error| Error::failure(format!("cannot create {}: {e}", result.display()));
    PlainFile::open(&from)
        .and_then(|f| f.sync_all())
        .map_err(doing)?;
    look(&from)?;
    replace(&from, result).map_err(doing)
}
