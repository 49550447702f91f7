//! `framewise compare`: two levels of theory, or a result and its reference, on the same frames. Serial, read-only, also
//! while a run goes on.

mod limits;
mod plots;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::adapters::labels::matching::for_each_pair;
use crate::adapters::labels::names::Names;
use crate::adapters::labels::spool::Spool;
use crate::adapters::labels::{Side, Tally, Which};
use crate::domain::compare::Comparison;
use crate::domain::compare::energies::Shifted;
use crate::domain::error::{Error, Result};
use crate::planning::frame_set::FrameSet;
use crate::planning::selection::Selection;

use super::output::{print, print_json};
use limits::Limit;
use report::Report;

/// Say by how much energies, forces and stresses of A differ from those of B
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  framewise compare gfn1.h5 gfn2.h5
  framewise compare result.h5 reference.extxyz --labels-b energy=REF_energy,forces=REF_forces
  framewise compare data.h5 data.h5 --key training/water --level-a hf --level-b 'pbe/def2-svp'
  framewise compare result.h5 reference.h5 --frames -1000: --fail-above force_max=0.1
  framewise compare result.h5 reference.extxyz -o comparison --outliers 20
  framewise compare new.h5 old.h5 --fail-above force_rmse=0.05,energy_shifted_mae=0.002

A and B are results of `framewise run` (completed frames count, also while it goes on), groups of mbe-automation
with ground_truth, H5MD files with observables, or extended XYZ. An error is A - B: B is the reference. Frames are
matched by index (that of extended XYZ is its frame=, which `framewise export` writes, else its place), and only
after their species, cells and positions are seen to be the same. Frames with NaN are counted and left out.

Energies are compared per atom: as they are; without the mean error; and without one constant per element, fitted by
least squares to total energies, since levels of theory have zeros of their own. Forces are compared by component,
by vector, and by angle where both are above 0.001 eV/Å; stresses by their six components. Quantiles are good to
0.4 %, everything else to the last digits. --json has all in eV, Å and degrees.

Figures for --fail-above: energy, energy_total, energy_mean_removed, energy_shifted, force, force_vector, stress, each
with _mae, _rmse, _max, _mean (its size), and force_angle_mean; in eV/atom, eV, eV/Å, eV/Å³, degrees.
Exit code 1 when one of them is above its limit, or not defined.")]
pub struct CompareArgs {
    /// What is judged
    #[arg(value_name = "A")]
    pub a: PathBuf,

    /// What it is judged by
    #[arg(value_name = "B")]
    pub b: PathBuf,

    /// Group of the frames in A and in B
    #[arg(long, value_name = "K")]
    pub key: Option<String>,

    /// Group in A
    #[arg(long, value_name = "K", conflicts_with = "key")]
    pub key_a: Option<String>,

    /// Group in B
    #[arg(long, value_name = "K", conflicts_with = "key")]
    pub key_b: Option<String>,

    /// Level of theory of A, where its group has several
    #[arg(long, value_name = "NAME")]
    pub level_a: Option<String>,

    /// Level of theory of B, where its group has several
    #[arg(long, value_name = "NAME")]
    pub level_b: Option<String>,

    /// Names of A's labels in extended XYZ or H5MD, by default energy, forces, stress, or the only names that end so
    #[arg(long, value_name = "energy=REF_energy,forces=...")]
    pub labels_a: Option<Names>,

    /// Names of B's labels
    #[arg(long, value_name = "energy=REF_energy,forces=...")]
    pub labels_b: Option<Names>,

    /// Frames, as indices and Python slices; counted in A, or in B where A is text
    #[arg(long, value_name = "0:1000:2,5,7", allow_hyphen_values = true)]
    pub frames: Option<Selection>,

    /// Number frames of extended XYZ as they come, whatever frame= says
    #[arg(long)]
    pub by_position: bool,

    /// Positions and cells may differ by this much (Å)
    #[arg(long, value_name = "X", default_value_t = 1e-5)]
    pub tolerance: f64,

    /// Frames to list that differ most
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub outliers: u16,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Folder for plots (SVG and PNG) and comparison.json; made if it is not there
    #[arg(short, long, value_name = "DIR", visible_alias = "plots")]
    pub output: Option<PathBuf>,

    /// Replace plots that exist
    #[arg(long, requires = "output")]
    pub overwrite: bool,

    /// Exit with 1 when a figure is above its limit; repeatable
    #[arg(long, value_name = "FIGURE=X,...", value_delimiter = ',')]
    pub fail_above: Vec<Limit>,
}

/// What was compared, and what came of it.
pub struct Compared {
    /// A and B, for people.
    names: [String; 2],
    tallies: [Tally; 2],
    /// Frames that `--frames` names.
    selected: Option<u64>,
    /// Frames that are completed in both, of those that are selected.
    common: u64,
    found: Comparison,
    shifted: Shifted,
}

/// Runs the verb.
pub fn execute(args: &CompareArgs) -> Result<ExitCode> {
    if !(args.tolerance >= 0.0 && args.tolerance.is_finite()) {
        return Err(Error::usage(format!(
            "--tolerance: {} is not a length; give one in Å, like 1e-5",
            args.tolerance
        )));
    }
    let compared = compare(args)?;
    let report = Report::new(&compared);
    let json = report.json();
    if let Some(folder) = &args.output {
        plots::write(folder, args.overwrite, &compared, &json)?;
    }
    if args.json {
        print_json(&json)?;
    } else {
        print(&report.text())?;
    }
    let mut code = ExitCode::SUCCESS;
    for limit in &args.fail_above {
        if let Some(why) = limit.exceeded(&compared) {
            tracing::error!("{why}");
            code = ExitCode::from(1);
        }
    }
    Ok(code)
}

fn compare(args: &CompareArgs) -> Result<Compared> {
    let which = |key: &Option<String>, level: &Option<String>, names: &Option<Names>| Which {
        key: key.clone().or_else(|| args.key.clone()),
        level: level.clone(),
        names: names.clone().unwrap_or_default(),
        by_position: args.by_position,
    };
    let mut sides = [
        Side::open(&args.a, &which(&args.key_a, &args.level_a, &args.labels_a))?,
        Side::open(&args.b, &which(&args.key_b, &args.level_b, &args.labels_b))?,
    ];
    let only = args.frames.as_ref().map(|s| selected(s, &sides));
    let only = only.transpose()?;
    let outliers = usize::from(args.outliers);
    let (mut found, mut spool) = (Comparison::new(outliers), Spool::default());
    let common = for_each_pair(&mut sides, only.as_ref(), args.tolerance, &mut |pair| {
        let [a, b] = &pair.labels;
        match found.add(pair.index, &pair.frame, [a, b]) {
            Some(record) => spool.push(record),
            None => Ok(()),
        }
    })?;
    let names = sides.each_ref().map(Side::description);
    let tallies = sides.each_ref().map(Side::tally);
    let selected = only.map(|frames| frames.len());
    if found.frames == 0 {
        return Err(nothing(&names, &tallies, (selected, common), &found));
    }
    let offsets = found.energies.offsets(|each| spool.each(each))?;
    let mut shifted = Shifted::new(&found.energies, offsets, outliers);
    spool.each(&mut |record| shifted.add(record))?;
    Ok(Compared {
        names,
        tallies,
        selected,
        common,
        found,
        shifted,
    })
}

/// The frames that `--frames` names. How many a text has is known at its end only.
fn selected(selection: &Selection, sides: &[Side; 2]) -> Result<FrameSet> {
    let stored = sides.iter().find(|side| matches!(side, Side::Stored(_)));
    let stored = stored.ok_or_else(|| {
        Error::usage("--frames: counts the frames of an HDF5 file, and both A and B are text; `framewise import` makes HDF5 of text")
    })?;
    let frames = selection.resolve(stored.tally().frames);
    frames.map_err(|why| Error::usage(format!("--frames: {why} ({})", stored.path().display())))
}

/// Why there is nothing to compare.
fn nothing(
    names: &[String; 2],
    tallies: &[Tally; 2],
    (selected, common): (Option<u64>, u64),
    found: &Comparison,
) -> Error {
    let has = |k: usize| {
        format!(
            "{} has {} of {} frames completed",
            names[k], tallies[k].completed, tallies[k].frames
        )
    };
    if common == 0 {
        return Error::failure(format!(
            "no frame {}is completed in both: {}, {}",
            selected.map_or_else(String::new, |n| format!(
                "of the {n} that --frames selects "
            )),
            has(0),
            has(1)
        ));
    }
    Error::failure(format!(
        "none of the {common} frames that are completed in both can be compared: {} have results that are not finite, {} have no atom ({}, {})",
        found.not_finite.0, found.empty, names[0], names[1]
    ))
}
