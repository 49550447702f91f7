//! `framewise export`: completed frames for training, for ASE, for LAMMPS, for `NumPy`; scalars for tables.

mod filter;
mod frames;
mod split;

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::adapters::export::{Contents, Format, Sink, begin, text};
use crate::adapters::extxyz::writer::Names;
use crate::adapters::signals::Signals;
use crate::adapters::whole_file::WholeFile;
use crate::domain::error::{Error, GoOn, Result};
use crate::planning::frame_set::FrameSet;
use crate::planning::selection::Selection;

use filter::{Filter, Window};
use frames::Frames;
use split::Split;

/// Write the completed frames of a result for training and other programs
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  framewise export labels.h5 -o train.extxyz
  framewise export labels.h5 --frames ::10 -o validation.extxyz
  framewise export labels.h5 --style mace --split train=0.8,valid=0.1,test=0.1 --seed 1 -o water.extxyz
  framewise export labels.h5 --max-force 30 --energy-window=-60:-40 -o calm.extxyz
  framewise export labels.h5 -o labels.npz
  framewise export labels.h5 -o scalars.parquet
  framewise export labels.h5 -o - | head
  framewise export trajectory.h5 -o as_it_came.extxyz

ase.io.read('train.extxyz', ':') gives atoms with positions, cell, pbc and a calculator with energy (eV), forces
(eV/Å) and stress (eV/Å³). Every number reads back to the same bits. Frames that are not completed are left out;
frame= is the index of the frame in the result. Works while a run is going on.

--style: ase writes energy, forces, stress, which ASE takes into the calculator; mace writes REF_energy, REF_forces,
REF_stress, the default --energy_key, --forces_key, --stress_key of mace_run_train, and metatrain the same, to be named
in its options (targets: energy: {key: REF_energy, forces: {key: REF_forces}, stress: {key: REF_stress}}): ASE keeps
names other than its own in atoms.info and atoms.arrays, where both look for them.

--split writes water_train.extxyz and so on. Where a frame goes depends on its index and the seed alone, by a hash: it
stays there when more frames are completed, and shares are kept on average. Shares that add up to less than 1 leave
frames out.

Further properties of frames and atoms go along: in a result those that `run --carry` took over, in a trajectory all that
`import` kept. Values that are missing (NaN, an empty text) are left out in extended XYZ.

extxyz: numbers with all their digits. lammps-dump: id type element xu yu zu fx fy fz, the type being the atomic number;
frames whose cells are not of LAMMPS' restricted triclinic kind are turned, positions and forces alike. npz: frame,
energy, stress, cell, pbc, species, positions, forces; sets of frames of different sizes have the atoms of all frames
one after the other, and offsets; properties that are numbers are further arrays, a property of atoms with the name of one of
frames as NAME_atoms. parquet: frame, n_atoms, formula,
status, energy, energy_per_atom, max_force, seconds, properties that are one value for each frame; one row for each
selected frame, completed or not, unless there is a filter or a split.")]
pub struct ExportArgs {
    /// Result of `framewise run`, or a trajectory, without results
    #[arg(value_name = "RESULT")]
    pub file: PathBuf,

    /// File to write; - for standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,

    /// Group of the frames in a trajectory that holds several
    #[arg(long, value_name = "GROUP")]
    pub key: Option<String>,

    /// Frames, as indices and Python slices
    #[arg(long, value_name = "0:1000:2,5,7", allow_hyphen_values = true)]
    pub frames: Option<Selection>,

    /// Replace the output if it exists
    #[arg(long)]
    pub overwrite: bool,

    /// What to write [default: as the name of the output ends: .npz, .parquet, .dump or .lammpstrj, else extxyz]
    #[arg(long, value_enum)]
    pub format: Option<Kind>,

    /// Names of the labels in extended XYZ
    #[arg(long, value_enum, default_value_t = Style::Ase)]
    pub style: Style,

    /// Name of the energy in extended XYZ
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub energy_key: Option<String>,

    /// Name of the forces in extended XYZ
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub forces_key: Option<String>,

    /// Name of the stress in extended XYZ
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub stress_key: Option<String>,

    /// Several files, frames dealt out by these shares
    #[arg(long, value_name = "train=0.8,...")]
    pub split: Option<Split>,

    /// Another seed deals frames out in another way
    #[arg(long, value_name = "N", default_value_t = 0, requires = "split")]
    pub seed: u64,

    /// Leave out frames with a larger force on any atom (eV/Å)
    #[arg(long, value_name = "X")]
    pub max_force: Option<f64>,

    /// Leave out frames of other energies per atom (eV/atom)
    #[arg(long, value_name = "LO:HI", allow_hyphen_values = true)]
    pub energy_window: Option<Window>,
}

/// What can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Extended XYZ
    Extxyz,
    /// Dump of LAMMPS
    LammpsDump,
    /// Arrays of `NumPy`
    Npz,
    /// Table of scalars
    Parquet,
}

/// What labels are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Style {
    /// energy, forces, stress
    Ase,
    /// `REF_energy`, `REF_forces`, `REF_stress`
    Mace,
    /// `REF_energy`, `REF_forces`, `REF_stress`
    Metatrain,
}

fn name(text: &str) -> std::result::Result<String, String> {
    let is_plain = |c: char| c.is_alphanumeric() || "_-.+".contains(c);
    if text.is_empty() || !text.chars().all(is_plain) {
        return Err("a name of letters, digits and _ is expected, like REF_energy".into());
    }
    Ok(text.to_owned())
}

impl ExportArgs {
    /// All completed frames of a result as extended XYZ for ASE.
    pub fn new(file: PathBuf, output: PathBuf) -> Self {
        Self {
            file,
            output,
            key: None,
            frames: None,
            overwrite: false,
            format: None,
            style: Style::Ase,
            energy_key: None,
            forces_key: None,
            stress_key: None,
            split: None,
            seed: 0,
            max_force: None,
            energy_window: None,
        }
    }

    fn format(&self) -> Format {
        match self.format {
            None => Format::of(&self.output),
            Some(Kind::Extxyz) => Format::Extxyz,
            Some(Kind::LammpsDump) => Format::LammpsDump,
            Some(Kind::Npz) => Format::Npz,
            Some(Kind::Parquet) => Format::Parquet,
        }
    }

    fn names(&self) -> Names {
        let names = match self.style {
            Style::Ase => Names::default(),
            Style::Mace | Style::Metatrain => Names::prefixed("REF_"),
        };
        Names {
            energy: self.energy_key.clone().unwrap_or(names.energy),
            forces: self.forces_key.clone().unwrap_or(names.forces),
            stress: self.stress_key.clone().unwrap_or(names.stress),
        }
    }

    /// Names of labels that would make another thing of the file.
    fn check(&self) -> Result<()> {
        let names = self.names();
        let own = ["species", "pos", "Lattice", "Properties", "pbc", "frame"];
        let all = [
            ("--energy-key", &names.energy),
            ("--forces-key", &names.forces),
            ("--stress-key", &names.stress),
        ];
        for (k, (option, name)) in all.iter().enumerate() {
            let is_own = own.iter().any(|own| own.eq_ignore_ascii_case(name));
            if is_own || all[..k].iter().any(|(_, other)| other == name) {
                return Err(Error::usage(format!(
                    "{option} {name}: is the name of something else in the file; choose another"
                )));
            }
        }
        Ok(())
    }

    fn filters(&self) -> bool {
        self.split.is_some() || self.max_force.is_some() || self.energy_window.is_some()
    }
}

/// Runs the verb.
pub fn execute(args: &ExportArgs) -> Result<()> {
    let signals = Signals::listen()?;
    export(args, &|| signals.go_on())
}

/// Exports.
///
/// # Errors
/// As every error, a wish to stop leaves nothing behind.
pub fn export(args: &ExportArgs, go_on: GoOn<'_>) -> Result<()> {
    args.check()?;
    let mut source = Frames::open(&args.file, args.key.as_deref())?;
    let shown = args.file.display();
    if !source.has_labels() && (args.max_force.is_some() || args.energy_window.is_some()) {
        return Err(Error::usage(format!(
            "{shown}: holds frames but no results of framewise; --max-force and --energy-window need energies and forces"
        )));
    }
    let selected = match &args.frames {
        Some(selection) => selection
            .resolve(source.count())
            .map_err(|why| Error::usage(format!("--frames: {why} ({shown})")))?,
        None => FrameSet::all(source.count()),
    };
    let completed = source.completed()?.intersection(&selected);
    let format = args.format();
    let everything = format == Format::Parquet && !args.filters();
    let frames = if everything {
        selected.clone()
    } else {
        completed.clone()
    };
    if frames.is_empty() && !source.has_labels() {
        return Err(Error::failure(format!("{shown}: holds no frames")));
    }
    if frames.is_empty() {
        return Err(Error::failure(format!(
            "{shown}: none of the {} selected frames is completed; `framewise status {shown}` shows which are",
            selected.len()
        )));
    }
    let contents = source.contents(format, args.names());
    let mut filter = Filter::new(args.max_force, args.energy_window);
    if args.output == Path::new("-") {
        let Some(written) = to_pipe(args, &mut source, frames, &mut filter, go_on)? else {
            return Ok(());
        };
        if written == 0 {
            return Err(none_left(args, &completed, &filter));
        }
        say(&source, "standard output", written, (&selected, &completed));
        if let Some(said) = filter.said() {
            tracing::info!("{said}");
        }
        return Ok(());
    }
    let paths = match &args.split {
        Some(split) => split.paths(&args.output),
        None => vec![args.output.clone()],
    };
    let mut files = Vec::new();
    for path in paths {
        files.push(Target::begin(args, path, &contents)?);
    }
    let choose = |frame| match &args.split {
        Some(split) => split.of(frame, args.seed),
        None => Some(0),
    };
    source.for_each(frames, go_on, &mut |row| {
        if !filter.keeps(&row.labelled) {
            return Ok(());
        }
        let Some(file) = choose(row.labelled.index).and_then(|k| files.get_mut(k)) else {
            return Ok(());
        };
        file.frames += 1;
        file.sink.write(row).map_err(|e| broken(&file.path, &e))
    })?;
    if files.iter().all(|file| file.frames == 0) {
        return Err(none_left(args, &completed, &filter));
    }
    let mut whole = Vec::new();
    for file in files {
        if file.frames == 0 {
            tracing::warn!("{}: not written, no frame falls to it", file.path.display());
            continue;
        }
        file.sink.finish().map_err(|e| broken(&file.path, &e))?;
        whole.push((file.path, file.frames, file.file));
    }
    for (path, frames, file) in whole {
        file.publish()?;
        let name = path.display().to_string();
        say(&source, &name, frames, (&selected, &completed));
    }
    if let Some(said) = filter.said() {
        tracing::info!("{said}");
    }
    Ok(())
}

fn none_left(args: &ExportArgs, completed: &FrameSet, filter: &Filter) -> Error {
    Error::failure(format!(
        "{}: none of {} completed frames is left ({})",
        args.file.display(),
        completed.len(),
        filter.said().unwrap_or_default()
    ))
}

/// Says how many frames were written.
fn say(source: &Frames, into: &str, frames: u64, (selected, completed): (&FrameSet, &FrameSet)) {
    if source.has_labels() {
        tracing::info!(
            "{into}: {frames} frames; {} of {} selected frames are not completed",
            selected.len() - completed.len(),
            selected.len()
        );
    } else {
        tracing::info!("{into}: {frames} frames, without results");
    }
}

/// A file under a temporary name.
struct Target {
    path: PathBuf,
    file: WholeFile,
    sink: Box<dyn Sink>,
    frames: u64,
}

impl Target {
    fn begin(args: &ExportArgs, path: PathBuf, contents: &Contents) -> Result<Self> {
        let inputs = [args.file.clone()];
        let mut file = WholeFile::create(&path, args.overwrite, &inputs)?;
        let begun = file.file().try_clone();
        let begun = begun.and_then(|out| begin(args.format(), out, contents));
        Ok(Self {
            sink: begun.map_err(|e| broken(&path, &e))?,
            file,
            path,
            frames: 0,
        })
    }
}

fn broken(path: &Path, error: &io::Error) -> Error {
    Error::failure(format!("{}: cannot be written: {error}", path.display()))
}

/// How many frames were written; none where the reader had seen enough before the end.
fn to_pipe(
    args: &ExportArgs,
    source: &mut Frames,
    frames: FrameSet,
    filter: &mut Filter,
    go_on: GoOn<'_>,
) -> Result<Option<u64>> {
    let format = args.format();
    if args.split.is_some() || !format.is_text() {
        return Err(Error::usage(
            "-o -: one file of text can be written to standard output; give the name of a file",
        ));
    }
    let out = io::stdout().lock();
    let mut sink: Box<dyn Sink> = match format {
        Format::LammpsDump => Box::new(text::LammpsDump::new(out)),
        _ => Box::new(text::Extxyz::new(out, args.names())),
    };
    // The reader of a pipe that has seen enough is no failure.
    let mut closed = false;
    let mut written = 0;
    let failed = |e: &io::Error| Error::failure(format!("standard output: {e}"));
    let done = source.for_each(frames, go_on, &mut |row| {
        if !filter.keeps(&row.labelled) {
            return Ok(());
        }
        written += 1;
        sink.write(row).map_err(|e| {
            closed = e.kind() == ErrorKind::BrokenPipe;
            failed(&e)
        })
    });
    if closed {
        return Ok(None);
    }
    done?;
    match sink.finish() {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(None),
        Err(e) => Err(failed(&e)),
        Ok(()) => Ok(Some(written)),
    }
}
