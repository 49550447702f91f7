//! The same bytes for any number of ranks, threads and rounds, for any selection.

mod support;

use std::collections::BTreeSet;
use std::path::Path;

use framewise::domain::cell::Cell;
use framewise::domain::frame::{Frame, FrameBlock};
use support::folder::{Folder, perturbed};
use support::results::{assert_null, assert_same, frames_by_rank, metrics, read, statuses};

const NULL: &str = "--calculator null";
const LENNARD_JONES: &str =
    "--calculator lennard-jones --param epsilon=0.0104 --param sigma=3.4 --param cutoff=8.5";

/// Runs into `name.h5` and checks that all ranks have taken part.
fn run(folder: &Folder, ranks: usize, name: &str, arguments: &str) -> Vec<u64> {
    let arguments = format!("run in.h5 -o {name}.h5 --metrics {name}.json {arguments}");
    folder.on(ranks, &arguments).expect(0);
    let frames = frames_by_rank(&folder.path(&format!("{name}.json")));
    assert_eq!(frames.len(), ranks, "{arguments}");
    frames
}

fn the_same_bytes_in_every_way(calculator: &str) {
    let folder = Folder::new();
    let frames = perturbed("argon.xyz", 1003, 8);
    folder.import_frames("in", &frames);
    // The reference: no launcher, one thread, one commit.
    folder
        .alone(&format!("run in.h5 -o one.h5 --threads 1 {calculator}"))
        .expect(0);
    let one = folder.path("one.h5");
    assert_eq!(statuses(&one), [0; 1003]);
    if calculator == NULL {
        assert_null(&one, &frames, &|_| true);
    } else {
        let results = read(&one);
        assert!(results.energy.iter().all(|e| e.is_finite() && *e != 0.0));
    }
    for (ranks, how) in [
        (1, "--threads 3 --oversubscribe"),
        (2, "--threads 1"),
        (3, "--threads 1"),
        (4, "--threads 1"),
        (2, "--threads 3 --oversubscribe --io independent"),
        (
            4,
            "--threads 1 --io independent --checkpoint-interval 0.001",
        ),
    ] {
        let name = format!("r{ranks}");
        let by_rank = run(&folder, ranks, &name, &format!("{how} {calculator}"));
        assert_eq!(by_rank.iter().sum::<u64>(), 1003, "{ranks} {how}");
        assert!(by_rank.iter().all(|n| *n > 0), "{ranks} {how}: {by_rank:?}");
        let result = folder.path(&format!("{name}.h5"));
        assert_same(&result, &one);
        std::fs::remove_file(result).unwrap();
    }
}

#[test]
fn null_writes_the_same_bytes_in_every_way() {
    the_same_bytes_in_every_way(NULL);
}

#[test]
fn lennard_jones_writes_the_same_bytes_in_every_way() {
    the_same_bytes_in_every_way(LENNARD_JONES);
}

/// Rounds end because the interval is over, or because memory is full; neither leaves a trace in the file.
#[test]
fn many_rounds_write_the_same_bytes_as_one() {
    let folder = Folder::new();
    // Four atoms and thousands of images of them: more work than bytes.
    let dense = LENNARD_JONES.replace("8.5", "70");
    for (input, frames, atoms, calculator, how, ranks_and_threads) in [
        (
            "argon_small_cell.xyz",
            503,
            4,
            dense.as_str(),
            "--checkpoint-interval 0.001",
            [(3, 1), (2, 1)],
        ),
        (
            "argon.xyz",
            2003,
            108,
            NULL,
            "--max-memory 1MiB",
            [(3, 1), (2, 3)],
        ),
    ] {
        folder.import_frames("in", &perturbed(input, frames, atoms));
        run(&folder, 2, "one", &format!("--threads 1 {calculator}"));
        let commits = |name: &str| metrics(&folder.path(name))["commits"].as_u64();
        // One, unless a busy machine left all frames to one rank, which then has a full round.
        let few = commits("one.json");
        for (ranks, threads) in ranks_and_threads {
            let by_rank = run(
                &folder,
                ranks,
                "many",
                &format!("--threads {threads} {how} {calculator}"),
            );
            assert!(by_rank.iter().all(|n| *n > 0), "{how}: {by_rank:?}");
            assert!(commits("many.json") > few, "{how}: {ranks} ranks");
            assert_same(&folder.path("many.h5"), &folder.path("one.h5"));
            std::fs::remove_file(folder.path("many.h5")).unwrap();
        }
        std::fs::remove_file(folder.path("in.h5")).unwrap();
        std::fs::remove_file(folder.path("one.h5")).unwrap();
    }
}

#[test]
fn more_ranks_than_frames() {
    let folder = Folder::new();
    let frames = perturbed("argon.xyz", 3, 8);
    folder.import_frames("in", &frames);
    for calculator in [NULL, LENNARD_JONES] {
        let by_rank = run(&folder, 1, "one", calculator);
        assert_eq!(by_rank, [3]);
        for how in ["", "--io independent"] {
            let by_rank = run(&folder, 5, "five", &format!("{how} {calculator}"));
            assert_eq!(by_rank.iter().sum::<u64>(), 3, "{by_rank:?}");
            assert_eq!(by_rank.iter().filter(|n| **n > 0).count(), 3);
            assert_same(&folder.path("five.h5"), &folder.path("one.h5"));
            std::fs::remove_file(folder.path("five.h5")).unwrap();
        }
        std::fs::remove_file(folder.path("one.h5")).unwrap();
    }
}

#[test]
fn unselected_frames_are_nan_and_undefined() {
    let folder = Folder::new();
    let frames = perturbed("argon.xyz", 1003, 3);
    folder.import_frames("in", &frames);
    let mut selected: BTreeSet<u64> = (0..1003).step_by(7).collect();
    selected.extend([5, 1002]);
    let chosen = selected.len() as u64;
    for ranks in [1, 3] {
        let arguments = format!("--frames 0:1003:7,5,-1 {NULL}");
        let name = format!("some{ranks}");
        let by_rank = run(&folder, ranks, &name, &arguments);
        assert_eq!(by_rank.iter().sum::<u64>(), chosen);
        let result = folder.path(&format!("{name}.h5"));
        assert_null(&result, &frames, &|frame| selected.contains(&frame));
    }
    assert_same(&folder.path("some3.h5"), &folder.path("some1.h5"));
    for (ranks, empty) in [(1, "5:5"), (2, "10:3"), (3, "2000:,1003:")] {
        let name = format!("none{ranks}");
        let by_rank = run(&folder, ranks, &name, &format!("--frames {empty} {NULL}"));
        assert_eq!(by_rank, vec![0; ranks]);
        let result = folder.path(&format!("{name}.h5"));
        assert_null(&result, &frames, &|_| false);
        assert_same(&result, &folder.path("none1.h5"));
    }
    // What was empty is filled by a later run.
    run(&folder, 2, "none1", NULL);
    assert_null(&folder.path("none1.h5"), &frames, &|_| true);
}

/// H5MD without frames; importing nothing is refused, but other programs write such files.
fn write_without_frames(path: &Path) {
    let file = hdf5::File::create(path).unwrap();
    let particles = file.create_group("particles/trajectory").unwrap();
    let position = particles.create_group("position").unwrap();
    let values = position.new_dataset::<f64>().shape((0, 2, 3));
    values.create("value").unwrap();
    let species = particles.new_dataset::<i32>().shape((2,));
    let species = species.create("species").unwrap();
    species.write_raw(&[8i32, 1]).unwrap();
}

#[test]
fn a_trajectory_without_frames() {
    let folder = Folder::new();
    write_without_frames(&folder.path("in.h5"));
    for ranks in [1, 2] {
        for how in ["", "--frames 0:7"] {
            let by_rank = run(&folder, ranks, "r", &format!("{how} {NULL}"));
            assert_eq!(by_rank, vec![0; ranks]);
            assert_null(&folder.path("r.h5"), &FrameBlock::default(), &|_| true);
        }
        folder.alone("verify r.h5").expect(0);
        folder.alone("status r.h5").expect(0);
        std::fs::remove_file(folder.path("r.h5")).unwrap();
    }
    let arguments = format!("run in.h5 -o x.h5 --frames 0 {NULL}");
    let refused = folder.on(2, &arguments).refused(2);
    refused.error("frame 0 does not exist");
    assert!(!folder.path("x.h5").exists());
}

#[test]
fn one_frame_and_frames_of_one_atom() {
    let folder = Folder::new();
    let one = perturbed("argon.xyz", 1, 108);
    let atoms = perturbed("argon_single.xyz", 11, 1);
    let mut lonely = FrameBlock::default();
    lonely.push(
        0,
        Frame {
            species: &[1],
            positions: &[[-0.0, 1e-300, 1e17]],
            cell: Cell::OPEN,
        },
    );
    for (name, frames) in [("one", &one), ("atoms", &atoms), ("lonely", &lonely)] {
        folder.import_frames("in", frames);
        for ranks in [1, 2] {
            let result = format!("{name}{ranks}");
            let by_rank = run(&folder, ranks, &result, NULL);
            assert_eq!(by_rank.iter().sum::<u64>(), frames.len() as u64);
            assert_null(&folder.path(&format!("{result}.h5")), frames, &|_| true);
        }
        assert_same(
            &folder.path(&format!("{name}2.h5")),
            &folder.path(&format!("{name}1.h5")),
        );
        std::fs::remove_file(folder.path("in.h5")).unwrap();
    }
}

/// Ragged frames of 1 to 108 atoms in no order.
fn ragged(n: usize) -> FrameBlock {
    let whole = perturbed("argon.xyz", n, 108);
    let mut frames = FrameBlock::default();
    for i in 0..n {
        let atoms = if i % 50 == 17 {
            108
        } else {
            1 + i * i * 37 % 61
        };
        let frame = whole.frame(i);
        let part = Frame {
            species: &frame.species[..atoms],
            positions: &frame.positions[..atoms],
            cell: frame.cell,
        };
        frames.push(i as u64, part);
    }
    frames
}

/// Who computes a frame and who writes it, what was known of its cost and when: nothing of that is in the file.
#[test]
fn frames_of_all_sizes_have_the_same_bytes_however_they_are_dealt_and_written() {
    let folder = Folder::new();
    folder.import_frames("in", &ragged(701));
    run(&folder, 1, "one", &format!("--threads 1 {LENNARD_JONES}"));
    let one = folder.path("one.h5");
    assert_eq!(statuses(&one), [0; 701]);
    for (ranks, how) in [
        (2, "--aggregate off"),
        (3, "--aggregate 1 --checkpoint-interval 0.001"),
        (4, "--aggregate 2"),
        (4, "--aggregate 3 --io independent"),
    ] {
        // First some of the frames, which tell what the others will cost.
        let arguments = format!("--threads 1 {how} {LENNARD_JONES}");
        run(&folder, 2, "r", &format!("--frames 3::5 {arguments}"));
        run(&folder, ranks, "r", &arguments);
        assert_same(&folder.path("r.h5"), &one);
        // Then all of them again, whose costs are known one by one.
        let by_rank = run(&folder, ranks, "r", &format!("--overwrite {arguments}"));
        assert_eq!(by_rank.iter().sum::<u64>(), 701, "{how}");
        assert_same(&folder.path("r.h5"), &one);
        std::fs::remove_file(folder.path("r.h5")).unwrap();
    }
}
