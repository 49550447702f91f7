//! Frames per second of the whole program with a calculator that costs nothing: reading, dealing out, committing.
//!
//! `cargo bench --bench throughput`; `FRAMEWISE_BENCH_FRAMES` (100000) and `FRAMEWISE_BENCH_REPEATS` (5) change what is run.
//!
//! "whole" is from the start of the launcher to its end: MPI's start, the input's fingerprint, the creation of the
//! result, the loop, the close. Read, compute and commit are those of the slowest rank.

use std::path::Path;
use std::process::ExitCode;

mod support;
#[path = "support/watched.rs"]
mod watched;
use support::{CHILD, folder, setting, spread, trajectory};

const ATOMS: usize = 32;

fn main() -> ExitCode {
    if let Some(notes) = std::env::var_os(CHILD) {
        return watched::watch(Path::new(&notes));
    }
    let folder = folder();
    let frames = setting("FRAMEWISE_BENCH_FRAMES", 100_000);
    let repeats = setting("FRAMEWISE_BENCH_REPEATS", 5);
    let input = folder.path().join("input.h5");
    trajectory(&input, frames, ATOMS);
    println!(
        "throughput: {frames} frames of {ATOMS} atoms, null, one worker thread per rank, {repeats} repetitions: \
         median (smallest..largest)\n\n{:<6} {:>26} {:>9} {:>9} {:>9} {:>9}",
        "ranks", "whole, frames/s", "wall s", "read s", "compute s", "commit s"
    );
    let result = folder.path().join("result.h5");
    let mut runs = [Vec::new(), Vec::new()];
    for _ in 0..repeats {
        for ranks in [1, 2] {
            runs[ranks - 1].push(watched::run(ranks, &input, &result, &["--threads", "1"]));
        }
    }
    for (k, runs) in runs.iter().enumerate() {
        let rates: Vec<_> = runs.iter().map(|r| frames as f64 / r.seconds).collect();
        let slowest = |key: &str| -> f64 {
            let each: Vec<_> = runs
                .iter()
                .map(|run| {
                    let ranks = run.metrics["ranks"].as_array().expect("ranks");
                    let seconds = ranks.iter().filter_map(|r| r[key].as_f64());
                    seconds.fold(0.0, f64::max)
                })
                .collect();
            spread(&each).1
        };
        let wall: Vec<_> = runs
            .iter()
            .filter_map(|r| r.metrics["wall_seconds"].as_f64())
            .collect();
        let (low, median, high) = spread(&rates);
        println!(
            "{:<6} {:>26} {:>9.2} {:>9.2} {:>9.2} {:>9.2}",
            k + 1,
            format!("{median:.0} ({low:.0}..{high:.0})"),
            spread(&wall).1,
            slowest("read_seconds"),
            slowest("compute_seconds"),
            slowest("commit_seconds"),
        );
    }
    ExitCode::SUCCESS
}
