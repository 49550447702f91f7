//! `framewise import`: trajectories of other programs into one H5MD file.
//!
//! Two passes over the sources, a few frames in memory at a time: the first learns sizes, kinds and what is
//! constant, the second writes datasets of known size. Threads read, this one uses what they bring.

use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};

use crate::adapters::cores::Given;
use crate::adapters::hdf5::origin::Origin;
use crate::adapters::hdf5::reason;
use crate::adapters::hdf5::trajectory_writer::{Authorship, TrajectoryWriter};
use crate::adapters::legend::{Legend, Species};
use crate::adapters::signals::Signals;
use crate::adapters::source::schema::{Schema, Survey};
use crate::adapters::source::{Detail, Position};
use crate::adapters::trajectory_files::Hints;
use crate::adapters::trajectory_files::ahead::Ahead;
use crate::adapters::whole_file::WholeFile;
use crate::domain::error::{Error, GoOn, Result};

/// Turn trajectories of other programs into an H5MD file that `framewise run` reads
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  framewise import md.xyz -o md.h5
  framewise import part1.extxyz part2.extxyz -o all.h5
  framewise import prod.xtc --topology start.pdb -o prod.h5
  framewise import prod.dcd --species Ar:108 -o prod.h5
  framewise import conf.gro --species CA=C,HG=H -o conf.h5
  framewise import md.lammpstrj --species 1=Na,2=Cl -o md.h5

Extended XYZ is read exactly, to the last digit, with any cell, per-direction pbc, and every further property
of atoms (kept under /particles/trajectory) and of frames (kept under /observables/trajectory). A real number
that some frames lack is NaN there; an integer that some frames lack becomes real; what fits no number is kept
as text. Anything that cannot be kept is named in a warning.

LAMMPS dumps are text with any columns; elements are those of the column element unless --species says what the
types are. PDB, DCD, XTC, TRR, NetCDF and more need a build with --features chemfiles. Where atoms have names and
no element (GRO, PDB with columns 77 and 78 blank, topologies of force fields), a name that may be another one's,
such as CA, is an element only in a residue of that name; --species CA=C,HG=H says what the others are.")]
pub struct ImportArgs {
    /// Trajectories; several are concatenated in this order
    #[arg(required = true, value_name = "SRC")]
    pub sources: Vec<PathBuf>,

    /// H5MD file to write
    #[arg(short, long, value_name = "X.h5")]
    pub output: PathBuf,

    /// Replace the output if it exists
    #[arg(long)]
    pub overwrite: bool,

    /// File with the species, for formats without them (DCD, XTC, TRR...); --species says what its names stand for
    #[arg(long, value_name = "FILE")]
    pub topology: Option<PathBuf>,

    /// What the atoms are, for formats that do not say it or in types and names of their own: all of them (Ar:108), or what
    /// stands for what (1=Na,2=Cl), as `run` has it. Extended XYZ says it itself
    #[arg(long, value_name = "SPECIES")]
    pub species: Option<String>,

    /// Unit of lengths, for formats that have none: extended XYZ, LAMMPS dumps without UNITS [default: Angstrom]
    #[arg(long, value_name = "UNIT")]
    pub length_unit: Option<String>,

    /// Name to store as the author
    #[arg(long, default_value = "unknown", hide_default_value = true)]
    pub author: String,
}

/// Runs the verb.
pub fn execute(args: &ImportArgs) -> Result<()> {
    let signals = Signals::listen()?;
    let imported = import(args, &|| signals.go_on())?;
    tracing::info!(
        "{}: {} frames, {} atoms in all",
        args.output.display(),
        imported.0,
        imported.1
    );
    Ok(())
}

/// Imports; the numbers of frames and of their atoms.
///
/// # Errors
/// As every error, a wish to stop leaves nothing behind.
pub fn import(args: &ImportArgs, go_on: GoOn<'_>) -> Result<(u64, u64)> {
    import_as(args, None, &|_| Ok(()), go_on)
}

/// Imports into a file that says of which source it is, and gets its name if `looks_right` with it.
///
/// # Errors
/// As every error, a wish to stop leaves nothing behind.
pub fn import_as(
    args: &ImportArgs,
    origin: Option<&Origin>,
    looks_right: &dyn Fn(&Path) -> Result<()>,
    go_on: GoOn<'_>,
) -> Result<(u64, u64)> {
    let legend = Legend::new(args.species.as_deref(), args.length_unit.as_deref())?;
    if args.topology.is_some() && matches!(legend.species, Some(Species::List(_))) {
        return Err(Error::usage(
            "--species names every atom, --topology too: give one of them, or --species NAME=ELEMENT,... for names of the topology",
        ));
    }
    let hints = Hints {
        topology: args.topology.clone(),
        legend,
    };
    let out = WholeFile::create(&args.output, args.overwrite, &args.sources)?;
    let progress = Progress::new(args.sources.len() as u64, go_on);
    let (schema, remarks) = survey(&args.sources, &hints, &progress)?;
    for remark in remarks {
        tracing::warn!("{remark}");
    }
    let (frames, atoms) = (schema.frames, schema.atoms);
    write(args, &hints, (&out, origin), schema, &progress)?;
    looks_right(out.path())?;
    out.publish()?;
    progress.bar.finish_and_clear();
    Ok((frames, atoms))
}

/// What an import was told of its sources, for the file to say.
pub fn said(species: Option<&str>, length_unit: Option<&str>) -> String {
    let options = [("--species", species), ("--length-unit", length_unit)];
    let told = options
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name} {}", value?)));
    told.collect::<Vec<_>>().join(" ")
}

/// Threads that read text; more are waited for by the one that writes.
fn readers() -> usize {
    Given::find().count().min(8)
}

fn survey(
    sources: &[PathBuf],
    hints: &Hints,
    progress: &Progress<'_>,
) -> Result<(Schema, Vec<String>)> {
    let mut survey = Survey::default();
    for (number, path) in sources.iter().enumerate() {
        let mut stream = Ahead::open(path, hints, Detail::Structure, readers())?;
        let mut frames = 0_u64;
        while let Some((frame, position)) = stream.next_frame()? {
            survey.add(frame);
            frames += 1;
            progress.update(frames, number as u64, position)?;
        }
        if frames == 0 {
            return Err(Error::failure(format!(
                "{}: holds no frame, expected at least one",
                path.display()
            )));
        }
    }
    Ok(survey.finish())
}

fn write(
    args: &ImportArgs,
    hints: &Hints,
    (out, origin): (&WholeFile, Option<&Origin>),
    schema: Schema,
    progress: &Progress<'_>,
) -> Result<()> {
    let failed = |e: ::hdf5::Error| {
        Error::failure(format!(
            "{}: cannot be written: {}",
            args.output.display(),
            reason(&e)
        ))
    };
    let changed = |path: &Path| {
        Error::failure(format!(
            "{}: changed while it was read; import it when its program has finished",
            path.display()
        ))
    };
    let authorship = Authorship {
        author: &args.author,
        version: env!("CARGO_PKG_VERSION"),
        said: &said(args.species.as_deref(), args.length_unit.as_deref()),
        origin,
    };
    let mut writer = TrajectoryWriter::create(out.path(), schema, &authorship).map_err(failed)?;
    for renamed in writer.remarks() {
        tracing::warn!("{renamed}");
    }
    let passed = args.sources.len();
    let mut idle = 0;
    for (number, path) in args.sources.iter().enumerate() {
        let mut stream = Ahead::open(path, hints, Detail::Full, readers())?;
        let mut frames = 0_u64;
        while let Some((frame, position)) = stream.next_frame()? {
            if !writer.push(frame).map_err(failed)? {
                return Err(changed(path));
            }
            idle += size_of_val(&frame.positions[..]);
            if idle > BEGUN {
                idle = 0;
                out.begin_write_back();
            }
            frames += 1;
            progress.update(frames, (passed + number) as u64, position)?;
        }
        for remark in stream.remarks() {
            tracing::warn!("{remark}");
        }
    }
    if writer.finish().map_err(failed)? {
        Ok(())
    } else {
        Err(changed(&args.sources[0]))
    }
}

/// Bytes of positions after which the disk is asked to begin.
const BEGUN: usize = 8 << 20;

/// A bar on a terminal, nothing elsewhere; and whether to go on.
struct Progress<'a> {
    bar: ProgressBar,
    go_on: GoOn<'a>,
}

/// Length of the bar for one pass over one source.
const PASS: u64 = 1000;

impl<'a> Progress<'a> {
    fn new(sources: u64, go_on: GoOn<'a>) -> Self {
        let bar = ProgressBar::new(2 * sources * PASS);
        if let Ok(style) =
            ProgressStyle::with_template("import [{bar:40}] {percent}% {msg} ETA {eta}")
        {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar, go_on }
    }

    fn update(&self, frames: u64, passed: u64, position: Position) -> Result<()> {
        if !frames.is_multiple_of(64) {
            return Ok(());
        }
        (self.go_on)()?;
        if self.bar.is_hidden() {
            return Ok(());
        }
        let done = u128::from(position.done) * u128::from(PASS);
        let done = done / u128::from(position.total.max(1));
        self.bar
            .set_position(passed * PASS + (done as u64).min(PASS));
        self.bar.set_message(format!("{frames} frames"));
        Ok(())
    }
}
