//! Peak memory and bytes written against the number of frames: the real program, 3-atom frames, `null`.
//!
//! `cargo bench --bench memory`; `FRAMEWISE_BENCH_FRAMES` (3000000) is the largest number of frames.
//!
//! Memory is flat when the peak stops growing with the frames once a run takes several commits; the memory of MPI
//! and HDF5 themselves is the line with one frame. Rank 0 also creates the file: every byte of it once, messages aside.
//! Bytes written are those of creation (the file) and of the results; "times" is what was handed to write calls, by all
//! ranks, over the sum of the two.

use std::path::Path;
use std::process::ExitCode;

mod support;
#[path = "support/watched.rs"]
mod watched;
use support::{CHILD, folder, setting, trajectory};

const ATOMS: u64 = 3;

fn main() -> ExitCode {
    if let Some(notes) = std::env::var_os(CHILD) {
        return watched::watch(Path::new(&notes));
    }
    let folder = folder();
    let most = setting("FRAMEWISE_BENCH_FRAMES", 3_000_000);
    println!(
        "memory: {ATOMS} atoms per frame, null, one worker thread per rank\n\n{:<12} {:>9} {:>6} {:>18} {:>10} {:>11} {:>8} {:>7}",
        "max-memory",
        "frames",
        "ranks",
        "peak MB per rank",
        "file MB",
        "results MB",
        "commits",
        "times"
    );
    for limit in ["512MiB", "16MiB"] {
        for frames in [1, 10_000, 100_000, 1_000_000, 3_000_000] {
            if frames > most {
                continue;
            }
            let input = folder.path().join(format!("input-{frames}.h5"));
            if !input.exists() {
                trajectory(&input, frames, ATOMS as usize);
            }
            for ranks in [1, 2] {
                let result = folder.path().join("result.h5");
                let arguments = ["--threads", "1", "--max-memory", limit];
                let run = watched::run(ranks, &input, &result, &arguments);
                let file = std::fs::metadata(&result).expect("the result").len();
                let results = frames * (8 + 72 + 8 + 4 + 8 + 24 * ATOMS);
                let written: u64 = run.ranks.iter().map(|r| r.written).sum();
                let peaks: Vec<_> = run
                    .ranks
                    .iter()
                    .map(|r| format!("{:.1}", r.memory as f64 * 1e-6))
                    .collect();
                println!(
                    "{limit:<12} {frames:>9} {ranks:>6} {:>18} {:>10.1} {:>11.1} {:>8} {:>7.2}",
                    peaks.join(", "),
                    file as f64 * 1e-6,
                    results as f64 * 1e-6,
                    run.metrics["commits"],
                    written as f64 / (file + results) as f64,
                );
            }
        }
    }
    ExitCode::SUCCESS
}
