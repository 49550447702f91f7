//! Costs that do not grow with the frames: what a start reads, what ranks tell each other, system calls.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use framewise::adapters::hdf5::input::Input;
use framewise::adapters::hdf5::layout::STATUS;
use framewise::domain::cell::Cell;
use framewise::domain::frame::{Frame, FrameBlock};
use framewise::engine::ports::Source as _;
use framewise::planning::frame_set::FrameSet;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use support::folder::{Folder, perturbed};
use support::launch::program;
use support::results::{assert_same, metrics};

/// Numbers that look random and are the same everywhere (Knuth's MMIX constants).
fn random(state: &mut u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// Frames of one to four atoms, or of three, each with elements of its own.
fn mixed(n: u64, ragged: bool) -> FrameBlock {
    let mut frames = FrameBlock::default();
    let mut state = 5;
    for i in 0..n {
        let atoms = if ragged {
            1 + random(&mut state) % 4
        } else {
            3
        };
        let species: Vec<_> = (0..atoms)
            .map(|_| 1 + (random(&mut state) % 86) as u8)
            .collect();
        let positions: Vec<_> = (0..atoms).map(|k| [k as f64, i as f64, 0.5]).collect();
        let frame = Frame {
            species: &species,
            positions: &positions,
            cell: Cell::OPEN,
        };
        frames.push(i, frame);
    }
    frames
}

/// A start reads the species alone, in pieces that hold more than the frames it looks for.
#[test]
fn the_elements_of_any_set_of_frames_are_those_that_are_read_with_it() {
    let folder = Folder::new();
    for ragged in [false, true] {
        let n = 600;
        let name = if ragged { "ragged" } else { "equal" };
        folder.import_frames(name, &mixed(n, ragged));
        let path = folder.path(&format!("{name}.h5"));
        let mut input = Input::open(&path, None).unwrap();
        let mut state = 11;
        for share in [1, 2, 9, 150] {
            let chosen = (0..n).filter(|_| random(&mut state).is_multiple_of(share));
            let frames: FrameSet = chosen.map(|f| f..f + 1).collect();
            let mut block = FrameBlock::default();
            input.read(&frames, &mut block).unwrap();
            let expected: BTreeSet<_> = block.species.iter().copied().collect();
            let found = input.species_present(&frames, &|| Ok(())).unwrap();
            assert!(
                expected.iter().eq(&found),
                "{ragged} 1/{share}: {expected:?}, {found:?}"
            );
        }
        let none = input.species_present(&FrameSet::empty(), &|| Ok(()));
        assert!(none.unwrap().is_empty());
    }
}

/// Half of the frames at random: a set of many runs, for every rank.
#[test]
fn a_result_with_holes_everywhere_is_filled() {
    let folder = Folder::new();
    let n = 3000;
    folder.import_frames("in", &perturbed("argon.xyz", n, 3));
    let job = "run in.h5 -c null --metrics m.json";
    folder.alone(&format!("{job} -o whole.h5")).expect(0);
    fs::copy(folder.path("whole.h5"), folder.path("r.h5")).unwrap();
    let mut state = 3;
    let codes: Vec<_> = (0..n).map(|_| (random(&mut state) % 2) as i64).collect();
    let file = hdf5::File::open_rw(folder.path("r.h5")).unwrap();
    file.dataset(STATUS).unwrap().write_raw(&codes).unwrap();
    drop(file);
    folder.on(3, &format!("{job} -o r.h5")).expect(0);
    let planned = metrics(&folder.path("m.json"))["planned"].as_u64().unwrap();
    assert_eq!(planned, codes.iter().sum::<i64>() as u64);
    assert_same(&folder.path("r.h5"), &folder.path("whole.h5"));
}

/// Calls of read and write of one run, from `/proc/PID/io` (proc(5)) of the process that has ended.
fn calls(folder: &Folder, frames: u64) -> u64 {
    let mut run = Command::new(program())
        .current_dir(folder.path("."))
        .args([
            "run",
            "in.h5",
            "-o",
            "c.h5",
            "-q",
            "-c",
            "null",
            "-t",
            "1",
            "--overwrite",
        ])
        .args(["--frames", &format!(":{frames}"), "--progress", "none"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(Pid::from_child(&run)), ended).unwrap();
    let text = fs::read_to_string(format!("/proc/{}/io", run.id())).unwrap();
    assert!(run.wait().unwrap().success());
    let number = |name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().parse().unwrap()
    };
    number("syscr:") + number("syscw:")
}

#[test]
fn frames_cost_no_system_calls_of_their_own() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon.xyz", 20_000, 3));
    folder
        .alone("run in.h5 -o c.h5 -c null --frames 0")
        .expect(0);
    let (few, many) = (calls(&folder, 1000), calls(&folder, 20_000));
    let each = (many as f64 - few as f64) / 19_000.0;
    assert!(each < 0.05, "{few} calls for 1000 frames, {many} for 20000");
}
