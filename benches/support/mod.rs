//! What the benchmarks share: trajectories of any size, launches of MPI, medians.
#![allow(dead_code, reason = "every benchmark uses another part")]

use std::path::{Path, PathBuf};
use std::process::Command;

use framewise::adapters::hdf5::trajectory_writer::{Authorship, TrajectoryWriter};
use framewise::adapters::source::SourceFrame;
use framewise::adapters::source::schema::Schema;
use framewise::domain::cell::Cell;

/// Set in the environment of children that a benchmark starts of itself.
pub const CHILD: &str = "FRAMEWISE_BENCH_CHILD";

/// A multiplicative congruential generator (Knuth's MMIX constants), -1..1: the same numbers on every machine.
pub fn random(state: &mut u64) -> f64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

/// The numbers `0..n` in random order, the same on every rank and machine.
pub fn shuffled(n: u64) -> Vec<u64> {
    let mut numbers: Vec<u64> = (0..n).collect();
    let mut state = 4711;
    for i in (1..n as usize).rev() {
        let j = ((random(&mut state) + 1.0) / 2.0 * (i + 1) as f64) as usize;
        numbers.swap(i, j.min(i));
    }
    numbers
}

/// Writes a periodic trajectory of `frames` frames of `atoms` argon atoms, frame by frame.
pub fn trajectory(path: &Path, frames: u64, atoms: usize) {
    let edge = 3.7 * (atoms as f64).cbrt();
    let frame_cell = Cell::periodic([[edge, 0.0, 0.0], [0.0, edge, 0.0], [0.0, 0.0, edge]]);
    let schema = Schema {
        frames,
        atoms: frames * atoms as u64,
        first_atoms: atoms,
        species: Some(vec![18; atoms]),
        has_cell: true,
        vectors: Some(frame_cell.vectors),
        periodic: [true; 3],
        ..Schema::default()
    };
    let authorship = Authorship {
        author: "benchmark",
        version: "0",
    };
    let mut writer = TrajectoryWriter::create(path, schema, &authorship).expect("a new trajectory");
    let mut frame = SourceFrame {
        species: vec![18; atoms],
        positions: vec![[0.0; 3]; atoms],
        cell: frame_cell,
        has_cell: true,
        ..SourceFrame::default()
    };
    let mut state = 1;
    for _ in 0..frames {
        for r in &mut frame.positions {
            *r = [0; 3].map(|_| 0.5 * edge * (1.0 + random(&mut state)));
        }
        assert!(
            writer.push(&frame).expect("a write"),
            "the frame fits its schema"
        );
    }
    assert!(writer.finish().expect("a close"), "all frames are there");
}

/// `mpiexec -n RANKS`, with what Open MPI wants said as root and on few cores.
pub fn launcher(ranks: usize) -> Command {
    let installed = |name: &str| Command::new(name).arg("--version").output().ok();
    // Where several MPIs are installed, `mpiexec` may be another one's.
    let name = ["mpiexec.openmpi", "mpiexec"]
        .into_iter()
        .find(|name| installed(name).is_some())
        .expect("mpiexec: install openmpi-bin or load your cluster's MPI module");
    let version = installed(name).map_or_else(String::new, |o| {
        String::from_utf8_lossy(&o.stdout).into_owned()
    });
    let mut command = Command::new(name);
    command.args(["-n", &ranks.to_string()]);
    if version.contains("Open MPI") || version.contains("OpenRTE") {
        if rustix::process::geteuid().is_root() {
            command.arg("--allow-run-as-root");
        }
        if ranks > std::thread::available_parallelism().map_or(1, usize::from) {
            command.arg("--oversubscribe");
        }
    }
    command
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
