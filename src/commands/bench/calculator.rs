//! `framewise bench calculator`: one calculator on the cores of this machine, without MPI and without a disk.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::adapters::cores;
use crate::adapters::hdf5::input::Input;
use crate::adapters::measure::frames::Recipe;
use crate::commands::output::{print, print_json};
use crate::commands::table::{plural, table, thousands};
use crate::domain::calculator::{Factory, Failure, Home, Results};
use crate::domain::calculators::null;
use crate::domain::error::{Error, Result};
use crate::domain::frame::FrameBlock;
use crate::domain::panics::guarded;
use crate::engine::ports::Source;
use crate::planning::frame_set::FrameSet;

use super::engine::{Engine, engine, parameters_or_argon, substance, usual_atoms};
use super::figures::{Spread, quantile, ratio};

/// Frames of an input that are held in memory, at most.
const MOST_ATOMS: u64 = 4_000_000;
/// Times kept by one thread: beyond, frames are only counted.
const MOST_TIMES: usize = 1 << 20;
/// What `run --isolate` adds to a frame, in seconds: two messages over a pipe.
const ISOLATION: f64 = 10e-6;

/// Measure one calculator on this machine's cores: frames per second and thread, time per frame
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  framewise bench calculator lennard-jones
  framewise bench calculator lennard-jones --param epsilon=0.0104 --param sigma=3.4 --param cutoff=8.5 md.h5
  framewise bench calculator xtb --param method=gfn1 --atoms 18 --seconds 5")]
pub struct CalculatorArgs {
    /// What to measure, see `framewise calculators`
    #[arg(value_name = "NAME")]
    pub name: String,

    /// Trajectory whose frames are evaluated [default: frames made up for it: argon, silicon or water]
    #[arg(value_name = "INPUT")]
    pub input: Option<PathBuf>,

    /// Parameter of the calculator, repeatable; lennard-jones without any is argon
    #[arg(short, long, value_name = "K=V")]
    pub param: Vec<String>,

    /// Group of the input that holds the frames
    #[arg(long, value_name = "K", requires = "input")]
    pub key: Option<String>,

    /// Atoms of a made-up frame [default: 256, of water 18]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000), conflicts_with = "input")]
    pub atoms: Option<u32>,

    /// Frames, taken in turn
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub frames: u32,

    /// Numbers of threads [default: 1, 2, 4... up to the cores of this process]
    #[arg(short, long, value_name = "LIST", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Vec<u16>,

    /// How long each number of threads has its turn
    #[arg(long, value_name = "S", default_value_t = 1.0)]
    pub seconds: f64,

    /// Turns of each number of threads
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeats: u32,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What one number of threads did, in all its turns.
struct Line {
    threads: usize,
    /// Frames per second of all threads, one entry per turn.
    rates: Vec<f64>,
    /// Seconds of single frames, ascending.
    times: Vec<f64>,
}

/// Runs the verb.
pub fn execute(args: &CalculatorArgs) -> Result<ExitCode> {
    if !(args.seconds > 0.0 && args.seconds <= 3600.0) {
        return Err(Error::usage("--seconds: more than 0, at most 3600"));
    }
    let engine = engine(&args.name, &parameters_or_argon(&args.name, &args.param))?;
    let (frames, what) = frames(args, &engine)?;
    let counts = thread_counts(args);
    let time = Duration::from_secs_f64(args.seconds);
    let mut lines: Vec<_> = counts
        .iter()
        .map(|threads| Line {
            threads: *threads,
            rates: Vec::new(),
            times: Vec::new(),
        })
        .collect();
    for _ in 0..args.repeats {
        for line in &mut lines {
            let turn = measure(engine.factory.as_ref(), &frames, line.threads, time)?;
            line.rates.push(turn.rate);
            line.times.extend(turn.times);
        }
    }
    for line in &mut lines {
        line.times.sort_by(f64::total_cmp);
    }
    let overhead = measure(
        &null::Null,
        &frames,
        1,
        time.min(Duration::from_millis(300)),
    )?;
    let overhead = 1.0 / overhead.rate;
    let advice = advice(&lines, overhead, engine.kind.home == Home::Library);
    if args.json {
        print_json(&as_json(args, &engine, &what, &lines, overhead, &advice))?;
    } else {
        print(&as_text(args, &engine, &what, &lines, overhead, &advice))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The frames, and what they are in words.
fn frames(args: &CalculatorArgs, engine: &Engine) -> Result<(FrameBlock, String)> {
    let Some(path) = &args.input else {
        let substance = substance(engine)?;
        let atoms = usual_atoms(substance, args.atoms);
        let recipe = Recipe {
            substance,
            frames: u64::from(args.frames),
            atoms,
            sigma: 0.0,
        };
        if recipe.frames * atoms as u64 > MOST_ATOMS {
            return Err(Error::usage(format!(
                "{} of {} are too many for memory; fewer --frames or --atoms",
                plural(recipe.frames, "frame"),
                plural(atoms as u64, "atom")
            )));
        }
        return Ok((
            recipe.block(),
            format!("of {} atoms of {}", atoms, substance.name()),
        ));
    };
    let mut input = Input::open(path, args.key.as_deref())?;
    let mean = input.total_atoms() / input.frames().max(1);
    let most = (MOST_ATOMS / mean.max(1)).max(1);
    let count = u64::from(args.frames).min(input.frames()).min(most);
    if count == 0 {
        return Err(Error::failure(format!("{}: has no frames", path.display())));
    }
    // Spread over the trajectory: its beginning may be unlike the rest.
    let stride = input.frames() / count;
    let chosen: FrameSet = (0..count).map(|k| k * stride..k * stride + 1).collect();
    let mut block = FrameBlock::default();
    input.read(&chosen, &mut block)?;
    let mut species = block.species.clone();
    species.sort_unstable();
    species.dedup();
    engine
        .factory
        .check_species(&species)
        .map_err(|why| Error::failure(format!("{}: {why}", path.display())))?;
    let mean = block.positions.len() / block.len();
    Ok((
        block,
        format!("of {}, {mean} atoms in the mean", path.display()),
    ))
}

fn thread_counts(args: &CalculatorArgs) -> Vec<usize> {
    let mut counts: Vec<usize> = args.threads.iter().map(|n| usize::from(*n)).collect();
    if counts.is_empty() {
        let cores = cores::Given::find().count();
        counts = (0..usize::BITS)
            .map(|k| 1 << k)
            .take_while(|n| *n < cores)
            .collect();
        counts.push(cores);
    }
    counts.sort_unstable();
    counts.dedup();
    counts
}

/// One turn of some threads.
struct Turn {
    /// Frames per second of all threads together.
    rate: f64,
    /// Seconds of single frames.
    times: Vec<f64>,
}

/// Lets `threads` threads evaluate the frames over and over for `time`, each with a calculator of its own.
fn measure(
    factory: &dyn Factory,
    frames: &FrameBlock,
    threads: usize,
    time: Duration,
) -> Result<Turn> {
    let start = Barrier::new(threads);
    let work = |number: usize| one_thread(factory, frames, number, time, &start);
    let done: Vec<_> = std::thread::scope(|scope| {
        let work = &work;
        let handles: Vec<_> = (0..threads).map(|n| scope.spawn(move || work(n))).collect();
        let ended = handles.into_iter().map(|handle| {
            let broken = |_| Err("a thread broke".to_owned());
            handle.join().unwrap_or_else(broken)
        });
        ended.collect()
    });
    let mut turn = Turn {
        rate: 0.0,
        times: Vec::new(),
    };
    for thread in done {
        let (count, seconds, times) = thread.map_err(Error::failure)?;
        turn.rate += ratio(count as f64, seconds);
        turn.times.extend(times);
    }
    Ok(turn)
}

type Done = std::result::Result<(u64, f64, Vec<f64>), String>;

fn one_thread(
    factory: &dyn Factory,
    frames: &FrameBlock,
    number: usize,
    time: Duration,
    start: &Barrier,
) -> Done {
    let built = guarded(|| factory.build()).unwrap_or_else(Err);
    let mut forces = vec![[0.0; 3]; frames.positions.len()];
    let mut times = Vec::with_capacity(4096);
    // Whoever fails comes to the barrier all the same: the others wait there.
    start.wait();
    let mut calculator = built.map_err(|why| format!("the calculator cannot be built: {why}"))?;
    let begun = Instant::now();
    let (mut before, mut count) = (begun, 0);
    // Threads begin at different frames, so that they do not read the same memory at the same time.
    let mut next = number * 7 % frames.len();
    let appetite = calculator.appetite();
    // As a worker does: one that takes many frames by one call is told of those that come next.
    let mut announced = if appetite > 1 { next } else { usize::MAX };
    loop {
        if next == announced {
            let end = frames.len().min(next + appetite);
            announced = end % frames.len();
            guarded(|| calculator.announce(&mut (next..end).map(|i| frames.frame(i))))?;
        }
        let frame = frames.frame(next);
        let forces = &mut forces[..frame.len()];
        forces.fill([0.0; 3]);
        let (mut energy, mut stress) = (0.0, [[f64::NAN; 3]; 3]);
        let mut results = Results {
            energy: &mut energy,
            forces,
            stress: &mut stress,
        };
        let evaluated = guarded(|| calculator.evaluate(&frame, &mut results));
        std::hint::black_box((energy, stress));
        let why = match evaluated {
            Ok(Ok(())) => None,
            Ok(Err(
                Failure::Failed(why) | Failure::NotConverged(why) | Failure::Unavailable(why),
            ))
            | Err(why) => Some(why),
        };
        if let Some(why) = why {
            let frame = frames.indices[next];
            return Err(format!("frame {frame}: {why}; measure with other frames"));
        }
        let now = Instant::now();
        if times.len() < MOST_TIMES {
            times.push((now - before).as_secs_f64());
        }
        (before, count) = (now, count + 1);
        if now - begun >= time {
            return Ok((count, (now - begun).as_secs_f64(), times));
        }
        next = (next + 1) % frames.len();
    }
}

/// Which number of threads to use, and what else the times say.
fn advice(lines: &[Line], overhead: f64, foreign: bool) -> Vec<String> {
    let rate = |line: &Line| Spread::of(line.rates.iter().copied()).median;
    let first = &lines[0];
    let efficiency = |line: &Line| {
        ratio(
            rate(line) * first.threads as f64,
            rate(first) * line.threads as f64,
        )
    };
    let mut advice = Vec::new();
    // The best, unless a smaller number does nearly as much.
    let most = lines.iter().map(rate).fold(0.0, f64::max);
    if let Some(best) = lines.iter().find(|line| rate(line) >= 0.97 * most) {
        advice.push(format!(
            "workers on this machine: {} (ranks x --threads); {:.2} times the frames of {}, efficiency {:.2}",
            best.threads,
            ratio(rate(best), rate(first)),
            plural(first.threads as u64, "thread"),
            efficiency(best),
        ));
        if lines.last().is_some_and(|all| efficiency(all) < 0.8) {
            advice.push(
                "on all cores the efficiency is low: other work on this machine, or threads that share memory bandwidth, caches or cores; compare ranks x 1 thread \
                 with `framewise bench scaling`"
                    .into(),
            );
        }
    }
    let median = quantile(&first.times, 0.5);
    if median < 20.0 * overhead {
        advice.push(format!(
            "a frame costs {:.1} times what an empty calculator does: reading and writing will decide; measure them with \
             `framewise bench io`",
            ratio(median, overhead)
        ));
    }
    if foreign {
        advice.push(format!(
            "--isolate would add about {:.1} % to each frame ({:.0} us)",
            100.0 * ratio(ISOLATION, median),
            ISOLATION * 1e6
        ));
    }
    let longest = quantile(&first.times, 0.99);
    if longest > 3.0 * median {
        advice.push(format!(
            "one frame in a hundred takes {:.1} times the median: shares are balanced by measured cost, so let several frames \
             come on each worker",
            ratio(longest, median)
        ));
    }
    advice
}

fn as_text(
    args: &CalculatorArgs,
    engine: &Engine,
    what: &str,
    lines: &[Line],
    overhead: f64,
    advice: &[String],
) -> String {
    let first = Spread::of(lines[0].rates.iter().copied()).median / lines[0].threads as f64;
    let microseconds = |seconds: f64| match seconds * 1e6 {
        us if us < 10.0 => format!("{us:.2}"),
        us if us < 1000.0 => format!("{us:.1}"),
        us => thousands(us.round() as u64),
    };
    let rows = lines.iter().map(|line| {
        let rate = Spread::of(line.rates.iter().copied());
        let at = |q| microseconds(quantile(&line.times, q));
        vec![
            line.threads.to_string(),
            number(rate.median),
            format!("({}..{})", number(rate.low), number(rate.high)),
            number(rate.median / line.threads as f64),
            format!("{:.2}", ratio(rate.median / line.threads as f64, first)),
            at(0.1),
            at(0.5),
            at(0.9),
            at(0.99),
            at(1.0),
        ]
    });
    let header = [
        "threads",
        "frames/s",
        "",
        "per thread",
        "efficiency",
        "us: 10 %",
        "median",
        "90 %",
        "99 %",
        "longest",
    ];
    let mut text = format!(
        "{}: {} {what}, {} turns of {} s, medians (smallest..largest)\n\n",
        described(engine),
        plural(u64::from(args.frames), "frame"),
        args.repeats,
        args.seconds,
    );
    text += &table(&header, rows, &[0, 1, 3, 4, 5, 6, 7, 8, 9]);
    text += &format!(
        "\n\nnull calculator on the same frames: {} us per frame, the clock included\n",
        microseconds(overhead)
    );
    for line in advice {
        text += &format!("\n- {line}");
    }
    text
}

fn number(x: f64) -> String {
    if x < 100.0 {
        format!("{x:.1}")
    } else {
        thousands(x.round() as u64)
    }
}

fn described(engine: &Engine) -> String {
    let given = engine.parameters.canonical().into_iter();
    let words: Vec<_> = given.map(|(key, value)| format!("{key}={value}")).collect();
    format!("{} {}", engine.kind.name, words.join(" "))
        .trim_end()
        .to_owned()
}

fn as_json(
    args: &CalculatorArgs,
    engine: &Engine,
    what: &str,
    lines: &[Line],
    overhead: f64,
    advice: &[String],
) -> Value {
    let lines = lines.iter().map(|line| {
        let at = |q| quantile(&line.times, q);
        json!({
            "threads": line.threads,
            "frames_per_second": line.rates,
            "seconds_per_frame": {"p10": at(0.1), "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": at(1.0)},
        })
    });
    json!({
        "calculator": described(engine),
        "frames": format!("{} {what}", args.frames),
        "threads": lines.collect::<Vec<_>>(),
        "null_seconds_per_frame": overhead,
        "advice": advice,
    })
}
