//! Memory does not grow with the number of frames: trajectories and results go through in pieces.
//!
//! `FRAMEWISE_STREAM_FRAMES=1000000 cargo nextest run --test streams --no-capture` takes a million frames, and tells.

mod support;

use std::fs::File;
use std::io::{BufWriter, Write as _};

use support::folder::Folder;
use support::launch::program;
use support::python::script;

/// Greatest resident set of each verb (MB).
const MOST: f64 = 500.0;

/// A text with `n` frames of three atoms, no two of them alike.
fn write(folder: &Folder, n: u64) {
    let mut out = BufWriter::new(File::create(folder.path("in.xyz")).unwrap());
    for i in 0..n {
        let x = (i as f64 * 0.618).fract();
        writeln!(
            out,
            "3\nLattice=\"9 0 0 0 9 0 0 0 9\" Properties=species:S:1:pos:R:3:charge:R:1 weight={x}\n\
             O {x} 0 0 {x}\nH 1 {x} 0 0.5\nH 0 1 {x} -0.5"
        )
        .unwrap();
    }
}

#[test]
fn every_verb_takes_a_long_trajectory_in_pieces() {
    let frames = std::env::var("FRAMEWISE_STREAM_FRAMES");
    let frames = frames.map_or(100_000, |text| text.parse().unwrap());
    let folder = Folder::new();
    write(&folder, frames);
    for line in [
        "import in.xyz -o in.h5",
        "run in.h5 -o r.h5 -c null --carry all -q",
        "export in.h5 -o as_it_came.xyz",
        "export r.h5 -o out.xyz",
        "export r.h5 -o out.npz",
        "export r.h5 -o out.parquet",
        "export r.h5 -o out.dump",
        "repack r.h5 -o p.h5",
        "repack r.h5 -o q.h5 --chunks atom --float32 position,forces",
        "compare r.h5 p.h5",
        "compare r.h5 out.xyz",
        "verify p.h5",
        "status p.h5",
        "ls in.h5",
        "link r.h5 p.h5 -o l.h5",
        "verify l.h5",
    ] {
        let said = script("peak.py", &folder)
            .arg(program())
            .args(line.split(' '))
            .output()
            .unwrap();
        let (told, error) = [&said.stdout, &said.stderr]
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            .into();
        assert!(said.status.success(), "{line}: {error}");
        let numbers: Vec<f64> = told
            .split_whitespace()
            .map(|w| w.parse().unwrap())
            .collect();
        println!("{:7.1} MB {:6.1} s  {line}", numbers[0], numbers[1]);
        assert!(numbers[0] < MOST, "{line}: {} MB", numbers[0]);
    }
}
