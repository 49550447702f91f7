//! How large each input is. Those of other formats are imported for it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::adapters::hdf5::has_signature;
use crate::adapters::hdf5::input::Input;
use crate::commands::import::{ImportArgs, import};
use crate::domain::error::{GoOn, Kind, Result};

use super::super::args::RunArgs;
use super::Assignment;

/// An input that was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sized {
    /// As given.
    pub input: PathBuf,
    /// Where its frames are in HDF5.
    pub frames_in: PathBuf,
    /// Result file.
    pub result: PathBuf,
    /// Number of frames.
    pub frames: u64,
    /// Atoms of all frames together.
    pub atoms: u64,
    /// Why it cannot be computed.
    pub defect: Option<String>,
}

impl Sized {
    /// Looks at all inputs; the largest comes first.
    ///
    /// # Errors
    /// A wish to stop, and nothing else.
    pub fn all(args: &RunArgs, assignments: &[Assignment], go_on: GoOn<'_>) -> Result<Vec<Self>> {
        let mut all = Vec::with_capacity(assignments.len());
        for one in assignments {
            go_on()?;
            all.push(Self::of(args, one, go_on)?);
        }
        // The order of those that are equally large is that in which they were given.
        all.sort_by_key(|one| std::cmp::Reverse((one.atoms, one.frames)));
        Ok(all)
    }

    fn of(args: &RunArgs, one: &Assignment, go_on: GoOn<'_>) -> Result<Self> {
        let mut sized = Self {
            input: one.input.clone(),
            frames_in: one.input.clone(),
            result: one.result.clone(),
            ..Self::default()
        };
        let looked = frames_in(one, go_on).and_then(|path| {
            sized.frames_in.clone_from(&path);
            let input = Input::open_as(&path, &args.asked()?)?;
            (sized.frames, sized.atoms) = (input.frames(), input.total_atoms());
            Ok(())
        });
        match looked {
            Err(stopped) if stopped.kind == Kind::Stopped => return Err(stopped),
            other => sized.defect = other.err().map(|error| error.message),
        }
        Ok(sized)
    }
}

/// The HDF5 file with the frames of an input: itself, or what it is imported into beside the result, unless that was done
/// after the last change of the input.
fn frames_in(one: &Assignment, go_on: GoOn<'_>) -> Result<PathBuf> {
    if !one.input.is_file() || has_signature(&one.input).unwrap_or(true) {
        return Ok(one.input.clone());
    }
    let imported = one.result.with_extension("frames.h5");
    if !is_newer(&imported, &one.input) {
        let args = ImportArgs {
            sources: vec![one.input.clone()],
            output: imported.clone(),
            overwrite: true,
            topology: None,
            species: None,
            author: "unknown".into(),
        };
        import(&args, go_on)?;
    }
    Ok(imported)
}

fn is_newer(file: &Path, than: &Path) -> bool {
    let changed = |path: &Path| path.metadata().and_then(|found| found.modified());
    match (changed(file), changed(than)) {
        (Ok(file), Ok(than)) => file > than,
        _ => false,
    }
}
