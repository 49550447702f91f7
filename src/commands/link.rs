//! `framewise link`: several results as one, without a copy.

use std::path::PathBuf;

use rustix::process::{Resource, getrlimit};

use crate::adapters::hdf5::link::link;
use crate::adapters::whole_file::WholeFile;
use crate::domain::error::Result;

use super::table::plural;

/// Show several results as one file
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  framewise link results/*.h5 -o all.h5
  framewise export all.h5 -o train.extxyz

The file holds virtual datasets (HDF5 1.10): nothing is copied, and what a run goes on to compute shows at once. Whatever
reads a result reads it: status, verify, export, compare, h5py, OVITO where it opens each of them and the numbers of atoms
are the same. What is not in one unit in all of them is left out, and said. Frames of a result that is moved away are
undefined; files in the folder of the link, or below it, may be moved together with it. `repack` makes a file of its own of
it.")]
pub struct LinkArgs {
    /// Results of `framewise run`, in the order of their frames
    #[arg(required = true, value_name = "RESULT")]
    pub results: Vec<PathBuf>,

    /// File to write
    #[arg(short, long, value_name = "ALL.h5")]
    pub output: PathBuf,

    /// Replace the output if it exists
    #[arg(long)]
    pub overwrite: bool,
}

/// Runs the verb.
pub fn execute(args: &LinkArgs) -> Result<()> {
    let file = WholeFile::create(&args.output, args.overwrite, &args.results)?;
    warn_of_open_files(args.results.len() as u64);
    let linked = link(file.path(), &args.output, &args.results)?;
    file.publish()?;
    tracing::info!(
        "{}: {} with {} of {}",
        args.output.display(),
        plural(linked.frames, "frame"),
        plural(linked.atoms, "atom"),
        plural(args.results.len() as u64, "result"),
    );
    Ok(())
}

/// Files that a process has open beside the results.
const OTHERS: u64 = 32;

/// HDF5 has all results open while it reads the link, and takes one that it cannot open for one that is not there.
fn warn_of_open_files(results: u64) {
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if results + OTHERS > most {
        tracing::warn!(
            "{results} results, but a process may have {most} files open here: frames of the others will look undefined; raise the \
             limit where the link is read (ulimit -n {})",
            (results + OTHERS).next_power_of_two()
        );
    }
}
