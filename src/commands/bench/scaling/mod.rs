//! `framewise bench scaling`: strong and weak scaling of whole runs, as tables and plots.
//!
//! A driver, which starts `framewise run` through the launcher of the place for each number of ranks and reads what
//! `--metrics` says: what is measured is what people run, from the start of the launcher to its end. Each number of ranks
//! has its turn, then all have another one.

mod plots;
mod points;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::adapters::cores;
use crate::adapters::hdf5::input::Input;
use crate::adapters::machine;
use crate::adapters::measure::frames::Recipe;
use crate::adapters::measure::launch::{Job, Launcher};
use crate::adapters::mpi::launcher::promised_size;
use crate::adapters::signals::Signals;
use crate::commands::output::print;
use crate::commands::table::plural;
use crate::domain::error::{Error, Result};
use crate::engine::ports::Stop;

use super::engine::{Engine, engine, parameters_or_argon, substance, usual_atoms};
use super::figures::Scaling;
use points::{Point, Run};

/// Frames of a made-up trajectory for strong scaling.
const FRAMES: u64 = 20_000;
/// Frames for each rank of a made-up trajectory for weak scaling.
const FRAMES_PER_RANK: u64 = 10_000;

/// Measure strong and weak scaling of whole runs; writes tables and plots
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  framewise bench scaling --ranks 1,2,4 -o scaling
  framewise bench scaling md.h5 --calculator xtb --param method=gfn2 --ranks 1,2 -o scaling
  framewise bench scaling --ranks 128,256,512 --launcher 'srun -n {ranks} -c {threads}' --scratch /scratch/me -o scaling
  framewise bench scaling --sigma 1 --ranks 1,2 -o lognormal -- --checkpoint-interval 5s

On a cluster: sbatch scripts/scaling. What follows -- goes to `framewise run`.")]
pub struct ScalingArgs {
    /// Trajectory [default: frames made up for the calculator: argon, silicon or water]
    #[arg(value_name = "INPUT")]
    pub input: Option<PathBuf>,

    /// Folder for tables and plots
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,

    /// Replace the tables and plots of an earlier measurement
    #[arg(long)]
    pub overwrite: bool,

    /// Numbers of ranks [default: 1, 2, 4... up to the cores of this process]
    #[arg(short = 'n', long, value_name = "LIST", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub ranks: Vec<u32>,

    /// Worker threads of each rank
    #[arg(short, long, value_name = "T", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: u32,

    /// How to start ranks; {ranks} and {threads} stand for numbers [default: srun in a SLURM job, else mpiexec]
    #[arg(long, value_name = "TEMPLATE")]
    pub launcher: Option<String>,

    /// Measure only one of them
    #[arg(long, value_name = "strong|weak", value_parser = ["strong", "weak"])]
    pub only: Option<String>,

    /// What evaluates the frames
    #[arg(short, long, value_name = "NAME", default_value = "lennard-jones")]
    pub calculator: String,

    /// Parameter of the calculator, repeatable; lennard-jones without any is argon
    #[arg(short, long, value_name = "K=V")]
    pub param: Vec<String>,

    /// Group of the input that holds the frames
    #[arg(long, value_name = "K", requires = "input")]
    pub key: Option<String>,

    /// Frames for strong scaling [default: 20000, of an input all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub frames: Option<u64>,

    /// Frames of each rank for weak scaling [default: 10000, of an input what there is for the most ranks]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub frames_per_rank: Option<u64>,

    /// Atoms of a made-up frame [default: 256, of water 18]
    #[arg(long, value_name = "N", conflicts_with = "input", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub atoms: Option<u32>,

    /// Made-up frames of different sizes: standard deviation of the logarithm of the number of atoms
    #[arg(
        long,
        value_name = "S",
        default_value_t = 0.0,
        conflicts_with = "input"
    )]
    pub sigma: f64,

    /// Turns of each number of ranks
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeats: u32,

    /// Where inputs and results are put while they are needed, seen by all nodes [default: DIR]
    #[arg(long, value_name = "FOLDER")]
    pub scratch: Option<PathBuf>,

    /// Further arguments of `framewise run`
    #[arg(last = true, value_name = "ARGUMENTS")]
    pub arguments: Vec<String>,
}

/// Files of a measurement.
const FILES: [&str; 4] = ["scaling.md", "scaling.csv", "runs.csv", "strong.svg"];

/// A launcher inside a rank of another one starts nothing.
pub fn refuse_launcher() -> Result<()> {
    match promised_size() {
        None => Ok(()),
        Some(_) => Err(Error::usage(
            "bench scaling starts ranks itself: start it without mpiexec or srun (in a batch script: framewise bench scaling ...)",
        )),
    }
}

/// Runs the verb.
pub fn execute(args: &ScalingArgs) -> Result<ExitCode> {
    if !(0.0..=3.0).contains(&args.sigma) {
        return Err(Error::usage("--sigma: from 0 to 3"));
    }
    let signals = Signals::listen()?;
    let output = prepare_output(args)?;
    let mut work = Work::new(args)?;
    let runs = work.runs(args, &|| signals.wish() != Stop::No);
    let runs = match runs {
        Err(_) if signals.wish() != Stop::No => {
            return Err(Error {
                message: "asked to stop before the end of the measurement".into(),
                ..Error::stopped()
            });
        }
        other => other?,
    };
    write(args, &work, &runs, &output)?;
    Ok(ExitCode::SUCCESS)
}

fn prepare_output(args: &ScalingArgs) -> Result<PathBuf> {
    let shown = args.output.display();
    let cannot =
        |e: std::io::Error| Error::failure(format!("{shown}: {e}; name another folder with -o"));
    std::fs::create_dir_all(&args.output).map_err(cannot)?;
    let there = FILES.iter().find(|name| args.output.join(name).exists());
    if let (Some(name), false) = (there, args.overwrite) {
        return Err(Error::usage(format!(
            "{}: exists already; choose another -o, or --overwrite to replace it",
            args.output.join(name).display()
        )));
    }
    args.output.canonicalize().map_err(cannot)
}

/// What is run.
struct Work {
    launcher: Launcher,
    program: PathBuf,
    ranks: Vec<usize>,
    threads: usize,
    /// Arguments of every run.
    arguments: Vec<String>,
    calculator: String,
    frames: Frames,
    scratch: tempfile::TempDir,
}

/// Where frames come from.
enum Frames {
    /// A file with so many.
    Given(PathBuf, u64),
    /// Made up: how.
    Made(Recipe),
}

impl Frames {
    fn of(args: &ScalingArgs, engine: &Engine) -> Result<Self> {
        if let Some(path) = &args.input {
            let input = Input::open(path, args.key.as_deref())?;
            let absolute = path
                .canonicalize()
                .map_err(|e| Error::unreadable(path, &e))?;
            return Ok(Self::Given(absolute, input.frames()));
        }
        let substance = substance(engine)?;
        Ok(Self::Made(Recipe {
            substance,
            frames: 0,
            atoms: usual_atoms(substance, args.atoms),
            sigma: args.sigma,
        }))
    }
}

impl Work {
    fn new(args: &ScalingArgs) -> Result<Self> {
        let param = parameters_or_argon(&args.calculator, &args.param);
        let engine = engine(&args.calculator, &param)?;
        let launcher = match &args.launcher {
            Some(template) => Launcher::new(template)?,
            None => Launcher::of_this_place()?,
        };
        let frames = Frames::of(args, &engine)?;
        let mut arguments = vec!["--calculator".to_owned(), args.calculator.clone()];
        arguments.extend(
            param
                .into_iter()
                .flat_map(|pair| ["--param".to_owned(), pair]),
        );
        if let Some(key) = &args.key {
            arguments.extend(["--key".to_owned(), key.clone()]);
        }
        let place = args.scratch.as_ref().unwrap_or(&args.output);
        let scratch = place.canonicalize().and_then(|place| {
            tempfile::Builder::new()
                .prefix("framewise-scaling.")
                .tempdir_in(place)
        });
        let scratch = scratch.map_err(|e| {
            Error::failure(format!(
                "{}: {e}; name a folder with --scratch",
                place.display()
            ))
        })?;
        let program = std::env::current_exe()
            .map_err(|e| Error::failure(format!("cannot find this program: {e}")))?;
        let given = engine.parameters.canonical().into_iter();
        let words = given.map(|(key, value)| format!(" {key}={value}"));
        Ok(Self {
            launcher,
            program,
            ranks: rank_counts(args),
            threads: args.threads as usize,
            arguments,
            calculator: args.calculator.clone() + &words.collect::<String>(),
            frames,
            scratch,
        })
    }

    /// Every turn of every number of ranks.
    fn runs(&mut self, args: &ScalingArgs, stop: &dyn Fn() -> bool) -> Result<Vec<Run>> {
        let wanted = |scaling: &Scaling| {
            args.only
                .as_deref()
                .is_none_or(|only| only == scaling.name())
        };
        let scalings: Vec<_> = [Scaling::Strong, Scaling::Weak]
            .into_iter()
            .filter(wanted)
            .collect();
        let mut runs = Vec::new();
        for turn in 1..=args.repeats {
            for scaling in &scalings {
                for ranks in self.ranks.clone() {
                    if stop() {
                        return Err(Error::stopped());
                    }
                    let run = self.run(args, *scaling, ranks, turn)?;
                    tracing::info!(
                        "{} scaling, {}, turn {turn} of {}: {:.2} s",
                        scaling.name(),
                        plural(ranks as u64, "rank"),
                        args.repeats,
                        run.whole
                    );
                    runs.push(run);
                }
            }
        }
        Ok(runs)
    }

    fn run(&self, args: &ScalingArgs, scaling: Scaling, ranks: usize, turn: u32) -> Result<Run> {
        let frames = self.count(args, scaling, ranks)?;
        let mut arguments = self.arguments.clone();
        let input = match &self.frames {
            Frames::Given(path, all) => {
                if frames < *all {
                    arguments.extend(["--frames".to_owned(), format!("0:{frames}")]);
                }
                path.clone()
            }
            Frames::Made(recipe) => {
                let path = self.scratch.path().join(format!("input-{frames}.h5"));
                if !path.exists() {
                    Recipe { frames, ..*recipe }.write(&path)?;
                }
                path
            }
        };
        arguments.extend(args.arguments.iter().cloned());
        let job = Job {
            launcher: self.launcher.clone(),
            program: self.program.clone(),
            ranks,
            threads: self.threads,
            input,
            result: self.scratch.path().join("result.h5"),
            arguments,
        };
        let (whole, metrics) = job.run()?;
        Run::of(scaling, turn, (ranks, self.threads), whole, &metrics)
            .filter(|run| run.frames == frames)
            .ok_or_else(|| {
                Error::failure(format!(
                    "the run on {ranks} ranks did not compute {frames} frames"
                ))
            })
    }

    /// How many frames a run has.
    fn count(&self, args: &ScalingArgs, scaling: Scaling, ranks: usize) -> Result<u64> {
        let most = self.ranks.iter().copied().max().unwrap_or(1) as u64;
        let (wished, there) = match (&self.frames, scaling) {
            (Frames::Given(_, all), Scaling::Strong) => (args.frames.unwrap_or(*all), *all),
            (Frames::Given(_, all), Scaling::Weak) => (
                args.frames_per_rank.unwrap_or(all / most) * ranks as u64,
                *all,
            ),
            (Frames::Made(_), Scaling::Strong) => (args.frames.unwrap_or(FRAMES), u64::MAX),
            (Frames::Made(_), Scaling::Weak) => (
                args.frames_per_rank.unwrap_or(FRAMES_PER_RANK) * ranks as u64,
                u64::MAX,
            ),
        };
        if wished == 0 || wished > there {
            return Err(Error::usage(format!(
                "{} scaling on {ranks} ranks wants {wished} frames, and the input has {there}; choose fewer with --frames or \
                 --frames-per-rank, or fewer --ranks",
                scaling.name()
            )));
        }
        Ok(wished)
    }

    /// What was measured, in words, for the head of the tables. No host names: tables are for everybody.
    fn description(&self, args: &ScalingArgs) -> Vec<(&'static str, String)> {
        let frames = match &self.frames {
            Frames::Given(path, all) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                format!("{name}, {}", plural(*all, "frame"))
            }
            Frames::Made(recipe) if recipe.sigma == 0.0 => {
                format!(
                    "made up, {} atoms of {}",
                    recipe.atoms,
                    recipe.substance.name()
                )
            }
            Frames::Made(recipe) => format!(
                "made up, {} atoms of {} in the mean, lognormal with sigma {}",
                recipe.atoms,
                recipe.substance.name(),
                recipe.sigma
            ),
        };
        let scratch = machine::file_system(self.scratch.path());
        let now = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
        vec![
            ("date", now[..10].to_owned()),
            ("framewise", env!("CARGO_PKG_VERSION").to_owned()),
            ("calculator", self.calculator.clone()),
            ("frames", frames),
            ("launcher", self.launcher.template()),
            ("threads per rank", self.threads.to_string()),
            ("further arguments", args.arguments.join(" ")),
            ("processor", machine::processor()),
            (
                "file system",
                scratch.map_or_else(|_| "unknown".into(), |disk| disk.kind),
            ),
            ("turns", args.repeats.to_string()),
        ]
    }
}

fn rank_counts(args: &ScalingArgs) -> Vec<usize> {
    let mut counts: Vec<usize> = args.ranks.iter().map(|n| *n as usize).collect();
    if counts.is_empty() {
        let cores = cores::Given::find().count() / (args.threads as usize).max(1);
        counts = (0..usize::BITS)
            .map(|k| 1 << k)
            .take_while(|n| *n <= cores.max(1))
            .collect();
    }
    counts.sort_unstable();
    counts.dedup();
    counts
}

/// Tables and plots.
fn write(args: &ScalingArgs, work: &Work, runs: &[Run], output: &Path) -> Result<()> {
    let save = |name: &str, text: &str| {
        let path = output.join(name);
        std::fs::write(&path, text)
            .map_err(|e| Error::failure(format!("cannot write {}: {e}", path.display())))
    };
    let mut text = String::new();
    let mut markdown = "# Scaling\n\n| | |\n|---|---|\n".to_owned();
    for (what, value) in work
        .description(args)
        .iter()
        .filter(|(_, value)| !value.is_empty())
    {
        markdown += &format!("| {what} | {value} |\n");
    }
    let mut csv = points::csv_header();
    for scaling in [Scaling::Strong, Scaling::Weak] {
        let points = Point::all(runs, scaling);
        if points.is_empty() {
            continue;
        }
        text += &format!("{}\n\n", points::text(scaling, &points));
        markdown += &format!("\n{}", points::markdown(scaling, &points));
        csv += &points::csv(scaling, &points);
        let plot = plots::svg(scaling, &points, &work.calculator)?;
        save(&format!("{}.svg", scaling.name()), &plot)?;
    }
    markdown += points::LEGEND;
    save("scaling.md", &markdown)?;
    save("scaling.csv", &csv)?;
    save("runs.csv", &points::runs_csv(runs))?;
    print(&format!(
        "{text}{}\ntables and plots: {}",
        points::LEGEND.trim_start(),
        args.output.display()
    ))
}
