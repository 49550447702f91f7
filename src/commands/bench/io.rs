//! `framewise bench io`: commits to this disk by these ranks, in every way that `run` can write, against plain writes of
//! the same bytes by the same ranks.
//!
//! The columns are h5bench's (<https://h5bench.readthedocs.io>): the raw rate counts the calls of `H5Dwrite` alone; the
//! observed rate everything from the opening of the file to its close. Creation happens once in the life of a file, and
//! is named apart.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::adapters::hdf5::ffi::{Transfer, open_objects};
use crate::adapters::machine;
use crate::adapters::measure::commit::{disk_bytes, measure};
use crate::adapters::measure::outcome::{Outcome, Plan, Way};
use crate::adapters::measure::pattern::Pattern;
use crate::adapters::mpi::node::Aggregate;
use crate::adapters::mpi::{MpiRanks, World};
use crate::adapters::signals::Signals;
use crate::commands::cli::Talk;
use crate::commands::logging;
use crate::commands::output::print;
use crate::commands::run::config;
use crate::commands::run::launch::{leave, meet, refuse};
use crate::domain::error::{Error, Kind, Result};
use crate::engine::ports::{Ranks, Stop};
use crate::engine::together::{on_first_rank, same_everywhere, together};

use super::report;

/// Measure commits to a disk, in every way that `run` can write, against plain writes of the same bytes
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  framewise bench io
  mpiexec -n 4 framewise bench io /scratch/me --size 1GB
  srun -n 512 framewise bench io /scratch/me --size 64GB --hint romio_cb_write=enable --hint cb_nodes=8 --csv

The folder needs about six times --size; what is put there is removed.")]
pub struct IoArgs {
    /// A folder on the disk to measure, seen by all ranks
    #[arg(value_name = "FOLDER", default_value = ".")]
    pub folder: PathBuf,

    /// Bytes of results in one commit of all ranks together
    #[arg(long, value_name = "SIZE", default_value = "256MB")]
    pub size: String,

    /// Atoms of a frame: 24 bytes of forces each, beside 92 bytes for the frame
    #[arg(long, visible_alias = "atoms", value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub frames_atoms: u32,

    /// Turns of each way of writing
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub repeats: u64,

    /// Measure also with these MPI-IO hints, all of them together; repeatable
    #[arg(long, value_name = "K=V")]
    pub hint: Vec<String>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Print comma-separated values
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
}

/// Runs the verb on every rank of the job.
pub fn execute(args: &IoArgs, talk: &Talk) -> ExitCode {
    let signals = Signals::listen();
    let world = match World::initialize() {
        Ok(world) => world,
        Err(error) => return refuse(&error),
    };
    logging::start(talk, Some(world.ranks().rank()), None);
    let outcome = run(args, &world, &mut world.ranks(), signals);
    meet(&mut world.ranks(), outcome.as_ref().err());
    if let Err(error) = &outcome
        && (error.kind == Kind::Abandoned || open_objects() > 0)
    {
        leave(error);
    }
    drop(world);
    outcome.map_or_else(
        |error| ExitCode::from(error.exit_code()),
        |()| ExitCode::SUCCESS,
    )
}

fn run(args: &IoArgs, world: &World, ranks: &mut MpiRanks, signals: Result<Signals>) -> Result<()> {
    let plan = together(ranks, plan(args))?;
    let advice = "start the same command on every rank";
    same_everywhere(
        ranks,
        ("the commands of the ranks", advice),
        &format!("{args:?}"),
    )?;
    let signals = together(ranks, signals)?;
    let go_on = || match signals.wish() {
        Stop::No => Ok(()),
        _ => Err(Error {
            message: "asked to stop before the end of the measurement".into(),
            ..Error::stopped()
        }),
    };
    // Removed when it goes out of scope, whatever happened.
    let place = on_first_rank(ranks, || workplace(&args.folder, &plan))?;
    let folder = place.as_ref().map(|p| p.path().display().to_string());
    let folder = PathBuf::from(ranks.tell(0, &folder.unwrap_or_default()));
    let seen = if folder.is_dir() {
        Ok(())
    } else {
        Err(Error::failure(format!(
            "{}: this rank does not see the folder; name one on a file system that all nodes share",
            folder.display()
        )))
    };
    together(ranks, seen)?;
    let outcome = measure(world, ranks, &folder, &plan, &go_on)?;
    let size = ranks.size();
    on_first_rank(ranks, || say(args, &plan, &outcome, size))?;
    Ok(())
}

fn plan(args: &IoArgs) -> Result<Plan> {
    let size: bytesize::ByteSize = args.size.trim().parse().map_err(|_| {
        Error::usage(format!(
            "--size: {:?} is not a size; write 256MB or 4GiB",
            args.size
        ))
    })?;
    let hints = config::hints(&args.hint)?;
    let mut sets = vec![Vec::new()];
    if !hints.is_empty() {
        sets.push(hints);
    }
    let ways = sets.into_iter().flat_map(|hints| {
        [
            (Transfer::Collective, Aggregate::Auto),
            (Transfer::Collective, Aggregate::Off),
            (Transfer::Independent, Aggregate::Auto),
            (Transfer::Independent, Aggregate::Off),
        ]
        .map(|(transfer, aggregate)| Way {
            transfer,
            aggregate,
            hints: hints.clone(),
        })
    });
    Ok(Plan {
        atoms: args.frames_atoms as usize,
        bytes: size.as_u64(),
        repeats: args.repeats,
        patterns: Pattern::ALL.to_vec(),
        ways: ways.collect(),
    })
}

/// An empty folder for the files of the measurement.
fn workplace(folder: &Path, plan: &Plan) -> Result<tempfile::TempDir> {
    let shown = folder.display();
    let disk = machine::file_system(folder)
        .map_err(|e| Error::failure(format!("{shown}: {e}; create it or name another folder")))?;
    let needed = disk_bytes(plan);
    if disk.free < needed {
        return Err(Error::failure(format!(
            "{shown}: {:.1} GB are needed and {:.1} GB are free; measure with a smaller --size",
            needed as f64 * 1e-9,
            disk.free as f64 * 1e-9
        )));
    }
    let folder = folder
        .canonicalize()
        .map_err(|e| Error::failure(format!("{shown}: {e}")))?;
    tempfile::Builder::new()
        .prefix("framewise-bench.")
        .tempdir_in(folder)
        .map_err(|e| {
            Error::failure(format!(
                "{shown}: cannot be written: {e}; name another folder"
            ))
        })
}

fn say(args: &IoArgs, plan: &Plan, outcome: &Outcome, ranks: usize) -> Result<()> {
    let disk = machine::file_system(&args.folder).map_or_else(|_| String::new(), |disk| disk.kind);
    let report = report::Report::new(plan, outcome, ranks, &disk);
    print(&match (args.json, args.csv) {
        (true, _) => report.json(),
        (_, true) => report.csv(),
        _ => report.text(),
    })
}
