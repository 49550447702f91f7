//! Inputs of other formats: their frames are imported into a file beside the result.
//!
//! That file has a name that nobody has chosen, so it is used only where it says of itself that a run has made it of this very
//! source, and replaces nothing but an import of the same source. What a result has links to is not changed under it.

use std::path::{Path, PathBuf};

use crate::adapters::hdf5::fingerprint::fingerprint;
use crate::adapters::hdf5::input::Input;
use crate::adapters::hdf5::layout::attribute;
use crate::adapters::hdf5::origin::Origin;
use crate::adapters::hdf5::result_reader::ResultReader;
use crate::adapters::hdf5::trajectory_writer::SAID;
use crate::adapters::hdf5::{has_signature, open_read_only, text_attribute};
use crate::commands::import::{ImportArgs, import_as, said};
use crate::domain::error::{Error, GoOn, Result};

use super::super::args::RunArgs;
use super::{Assignment, make_folder};

/// Where an input is imported.
pub(super) fn beside(result: &Path) -> PathBuf {
    result.with_extension("frames.h5")
}

/// Whether it has to be.
pub(super) fn is_needed(input: &Path) -> bool {
    input.is_file() && !has_signature(input).unwrap_or(true)
}

/// The HDF5 file with the frames of an input: itself, or what it is imported into, unless that was done of the same source,
/// and was told the same of it.
pub(super) fn frames_in(args: &RunArgs, one: &Assignment, go_on: GoOn<'_>) -> Result<PathBuf> {
    if !is_needed(&one.input) {
        return Ok(one.input.clone());
    }
    let imported = beside(&one.result);
    let origin = Origin::of(&one.input, go_on)?;
    let told = said(args.species.as_deref(), args.length_unit.as_deref());
    let is_there =
        || Origin::recorded(&imported).as_ref() == Some(&origin) && told == told_before(&imported);
    if is_there() {
        return Ok(imported);
    }
    let replaces = may_be_replaced(&imported, &origin, one)?;
    make_folder(&one.result)?;
    let command = ImportArgs {
        sources: vec![one.input.clone()],
        output: imported.clone(),
        overwrite: replaces,
        topology: None,
        species: args.species.clone(),
        length_unit: args.length_unit.clone(),
        author: "unknown".into(),
    };
    let looks_right = |made: &Path| suits_result(args, one, made, go_on);
    match import_as(&command, Some(&origin), &looks_right, go_on) {
        // A job that shares the result was faster.
        Err(_) if !replaces && is_there() => {}
        done => drop(done?),
    }
    Ok(imported)
}

/// Whether there is an import that a new one of `origin` replaces; an error where something else is in its place.
fn may_be_replaced(imported: &Path, origin: &Origin, one: &Assignment) -> Result<bool> {
    if imported.symlink_metadata().is_err() {
        return Ok(false);
    }
    let (shown, input) = (imported.display(), one.input.display());
    let away = "move it away, or name the result otherwise in a --manifest, after a tab";
    match Origin::recorded(imported) {
        Some(other) if other.path == origin.path || other.has_bytes_of(origin) => Ok(true),
        Some(other) => Err(Error::failure(format!(
            "{shown}: is in the way of an import of {input}: it holds the frames of {}; {away}",
            other.path
        ))),
        None => Err(Error::failure(format!(
            "{shown}: is in the way of an import of {input}: no run has made it; {away}"
        ))),
    }
}

/// Whether a result that is there already is of these frames: `run` would refuse to go on with it, but positions that it
/// has as links would be others by then.
fn suits_result(args: &RunArgs, one: &Assignment, made: &Path, go_on: GoOn<'_>) -> Result<()> {
    if args.job.overwrite && args.frames.is_none() && args.job.chunk.is_none() {
        return Ok(());
    }
    // What cannot be read is for `run` to say.
    let Ok(reader) = ResultReader::open(&one.result) else {
        return Ok(());
    };
    // What was said of the input was said to the import.
    let asked = RunArgs {
        species: None,
        length_unit: None,
        ..args.clone()
    };
    let mut input = Input::open_as(made, &asked.asked()?)?;
    let recorded = reader.attribute(attribute::INPUT_FINGERPRINT);
    if recorded == Some(&fingerprint(&mut input, go_on)?) {
        return Ok(());
    }
    Err(Error::failure(format!(
        "{} was made with another input: its geometry is not that of {}, which has changed since; choose another -o, or \
         --overwrite all frames to replace it",
        one.result.display(),
        one.input.display()
    )))
}

/// What an earlier import was told.
fn told_before(imported: &Path) -> String {
    let creator = open_read_only(imported).map(|file| file.group("h5md/creator"));
    let told = creator.map(|creator| creator.map(|creator| text_attribute(&creator, SAID)));
    told.ok()
        .and_then(|told| told.ok().flatten())
        .unwrap_or_default()
}
