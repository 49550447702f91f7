//! How large each input is. Those of other formats are imported for it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::adapters::hdf5::input::Input;
use crate::domain::error::{GoOn, Kind, Result};

use super::super::args::RunArgs;
use super::imported;
use super::{Assignment, job_args, make_folder};

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
        let looked = imported::frames_in(args, one, go_on).and_then(|path| {
            sized.frames_in.clone_from(&path);
            let input = Input::open_as(&path, &sized.args(args).asked()?)?;
            (sized.frames, sized.atoms) = (input.frames(), input.total_atoms());
            make_folder(&one.result)
        });
        match looked {
            Err(stopped) if stopped.kind == Kind::Stopped => return Err(stopped),
            other => sized.defect = other.err().map(|error| error.message),
        }
        Ok(sized)
    }

    /// The command for its frames: what was said of an input that was imported was said to the import.
    pub fn args(&self, args: &RunArgs) -> RunArgs {
        let mut args = job_args(args, &self.frames_in, &self.result);
        if self.frames_in != self.input {
            (args.species, args.length_unit) = (None, None);
        }
        args
    }
}
