//! Commit bandwidth: `framewise bench io` on 1 and on 2 ranks. What is measured, and how, is in
//! `src/adapters/measure/commit.rs`: results through the program's own sink, against a plain `pwrite` + `fsync` of the
//! same bytes by the same ranks, in turns.
//!
//! `cargo bench --bench commit`; `FRAMEWISE_BENCH_MB` (256), `FRAMEWISE_BENCH_ATOMS` (100), `FRAMEWISE_BENCH_REPEATS` (5)
//! and `FRAMEWISE_BENCH_RANKS` (2: the runs are on 1 and 2 ranks) change what is run.

mod support;
use support::{folder, launcher, setting};

fn main() {
    for ranks in 1..=setting("FRAMEWISE_BENCH_RANKS", 2) as usize {
        let folder = folder();
        let done = launcher(ranks)
            .arg(env!("CARGO_BIN_EXE_framewise"))
            .args(["bench", "io"])
            .arg(folder.path())
            .arg(format!("--size={}MB", setting("FRAMEWISE_BENCH_MB", 256)))
            .arg(format!("--atoms={}", setting("FRAMEWISE_BENCH_ATOMS", 100)))
            .arg(format!(
                "--repeats={}",
                setting("FRAMEWISE_BENCH_REPEATS", 5)
            ))
            .status()
            .expect("mpiexec starts");
        assert!(done.success(), "the ranks failed: {done}");
        println!();
    }
}
