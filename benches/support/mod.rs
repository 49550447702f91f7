//! What the benchmarks share: trajectories of any size, launches of MPI, medians.
#![allow(dead_code, reason = "every benchmark uses another part")]

use std::path::{Path, PathBuf};
use std::process::Command;

use framewise::adapters::measure::frames::{Recipe, Substance};
use framewise::adapters::measure::launch::Launcher;

/// Set in the environment of children that a benchmark starts of itself.
pub const CHILD: &str = "FRAMEWISE_BENCH_CHILD";

/// Writes a periodic trajectory of `frames` frames of `atoms` argon atoms.
pub fn trajectory(path: &Path, frames: u64, atoms: usize) {
    let recipe = Recipe {
        substance: Substance::Argon,
        frames,
        atoms,
        sigma: 0.0,
    };
    recipe.write(path).expect("a new trajectory");
}

/// `mpiexec -n RANKS`, with what Open MPI wants said as root and on few cores. The caller adds the program.
pub fn launcher(ranks: usize) -> Command {
    let launcher = Launcher::of_this_place().expect("mpiexec");
    launcher.command(ranks, 1)
}

/// A new directory for large files: below `FRAMEWISE_BENCH_DIR`, or in cargo's directory for tests.
pub fn folder() -> tempfile::TempDir {
    let parent = std::env::var_os("FRAMEWISE_BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    tempfile::tempdir_in(&parent).expect("FRAMEWISE_BENCH_DIR, a directory to write in")
}

/// A number from the environment, to make a run shorter or longer.
pub fn setting(name: &str, default: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text}: not a number"))
    })
}

/// Smallest, middle and largest of some numbers.
pub fn spread(values: &[f64]) -> (f64, f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    (
        sorted[0],
        sorted[sorted.len() / 2],
        sorted[sorted.len() - 1],
    )
}
