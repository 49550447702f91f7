//! Every kind of input that `run` takes, through the program: what is computed and what is read back.

mod support;

use std::fmt::Write as _;

use framewise::adapters::hdf5::result_block::ResultBlock;
use framewise::adapters::hdf5::result_reader::ResultReader;
use framewise::domain::cell::Cell;
use framewise::domain::frame::{Frame, FrameBlock};
use framewise::planning::frame_set::FrameSet;
use serde_json::Value;
use support::folder::Folder;
use support::results::{assert_null, assert_same, bits, read, statuses};
use support::xyz;

/// The first `n` frames.
fn first(frames: &FrameBlock, n: usize) -> FrameBlock {
    let mut some = FrameBlock::default();
    (0..n).for_each(|i| some.push(i as u64, frames.frame(i)));
    some
}

/// One file after another.
fn joined(names: &[&str]) -> FrameBlock {
    let mut all = FrameBlock::default();
    for name in names {
        let frames = xyz::read(name);
        for i in 0..frames.len() {
            all.push(all.len() as u64, frames.frame(i));
        }
    }
    all
}

#[track_caller]
fn assert_same_frames(found: &FrameBlock, expected: &FrameBlock, what: &str) {
    assert_eq!(found.offsets, expected.offsets, "{what}");
    assert_eq!(found.species, expected.species, "{what}");
    let positions = |block: &FrameBlock| bits(block.positions.as_flattened());
    assert!(positions(found) == positions(expected), "{what}: positions");
    for (a, b) in found.cells.iter().zip(&expected.cells) {
        assert_eq!(a.periodic, b.periodic, "{what}");
        let vectors = |cell: &Cell| bits(cell.vectors.as_flattened());
        assert_eq!(vectors(a), vectors(b), "{what}");
    }
}

/// Runs `null` on one rank and on three, and reads results and geometry back.
#[track_caller]
fn check(folder: &Folder, input: &str, frames: &FrameBlock) {
    for (ranks, name) in [(0, "alone.h5"), (3, "three.h5")] {
        let command = format!("run {input} -o {name} --calculator null");
        match ranks {
            0 => folder.alone(&command).expect(0),
            _ => folder.on(ranks, &command).expect(0),
        };
        assert_null(&folder.path(name), frames, &|_| true);
    }
    assert_same(&folder.path("three.h5"), &folder.path("alone.h5"));
    let mut reader = ResultReader::open(&folder.path("three.h5")).unwrap();
    let (mut geometry, mut results) = (FrameBlock::default(), ResultBlock::default());
    let all = FrameSet::all(frames.len() as u64);
    reader.read(&all, &mut geometry, &mut results).unwrap();
    drop(reader);
    assert_same_frames(&geometry, frames, input);
    for name in ["alone.h5", "three.h5"] {
        std::fs::remove_file(folder.path(name)).unwrap();
    }
}

#[test]
fn h5md_from_import() {
    let folder = Folder::new();
    // A fixed cell; cells per frame; no cell; a slab; fixed and ragged mixtures of these.
    for names in [
        &["argon.xyz"][..],
        &["argon_npt.xyz"],
        &["argon_cluster.xyz"],
        &["argon_slab.xyz"],
        &["argon_triclinic.xyz", "argon_rotated.xyz"],
        &["argon_npt.xyz", "argon_slab.xyz"],
        &["ragged.xyz"],
        &["charged.xyz", "argon_single.xyz", "silicon.xyz"],
    ] {
        for name in names {
            folder.bring(name);
        }
        let sources = names.join(" ");
        folder
            .alone(&format!("import {sources} -o in.h5"))
            .expect(0);
        check(&folder, "in.h5", &joined(names));
        std::fs::remove_file(folder.path("in.h5")).unwrap();
    }
}

#[test]
fn h5md_with_species_per_frame() {
    let folder = Folder::new();
    let source = xyz::read("ArKr.xyz");
    let mut frames = FrameBlock::default();
    for i in 0..source.len() {
        let frame = source.frame(i);
        let mut species = frame.species.to_vec();
        species.rotate_left(17 * i);
        let frame = Frame {
            species: &species,
            ..frame
        };
        frames.push(i as u64, frame);
    }
    folder.import_frames("in", &frames);
    check(&folder, "in.h5", &frames);
}

#[test]
fn some_frames_of_a_ragged_set() {
    let folder = Folder::new();
    folder.bring("ragged.xyz");
    folder.import("ragged");
    let frames = xyz::read("ragged.xyz");
    for ranks in [1, 2, 4] {
        let name = format!("r{ranks}.h5");
        let command =
            format!("run ragged.h5 -o {name} --calculator null --frames 0,3:8:2,-1 --overwrite");
        folder.on(ranks, &command).expect(0);
        let selected = |frame| [0, 3, 5, 7, 11].contains(&frame);
        assert_null(&folder.path(&name), &frames, &selected);
        assert_same(&folder.path(&name), &folder.path("r1.h5"));
    }
    // Again, over what is there: places of forces are looked up in the result.
    let command = "run ragged.h5 -o r4.h5 --calculator null --frames 3:7 --overwrite";
    folder.on(2, command).expect(0);
    let selected = |frame| [0, 3, 4, 5, 6, 7, 11].contains(&frame);
    assert_null(&folder.path("r4.h5"), &frames, &selected);
}

/// A group of `mbe.h5` as its datasets have it.
fn mbe(key: &str) -> FrameBlock {
    let file = hdf5::File::open(xyz::data("mbe.h5")).unwrap();
    let group = file.group(key).unwrap();
    let positions = group.dataset("positions (Å)").unwrap();
    let shape = positions.shape();
    let (n, atoms) = match shape[..] {
        [atoms, 3] => (1, atoms),
        [n, atoms, 3] => (n, atoms),
        _ => panic!("{key}: {shape:?}"),
    };
    let positions = positions.read_raw::<f64>().unwrap();
    let numbers = group.dataset("atomic_numbers").unwrap();
    let numbers = numbers.read_raw::<i64>().unwrap();
    let species: Vec<u8> = numbers.iter().map(|z| u8::try_from(*z).unwrap()).collect();
    let periodic: bool = group.attr("periodic").unwrap().read_scalar().unwrap();
    let cells = group.dataset("cell_vectors (Å)").ok();
    let cells = cells.map_or(vec![0.0; 9], |d| d.read_raw::<f64>().unwrap());
    let mut frames = FrameBlock::default();
    for i in 0..n {
        let rows = positions[3 * atoms * i..3 * atoms * (i + 1)].as_chunks().0;
        let row = if cells.len() > 9 { i } else { 0 };
        let vectors = cells[9 * row..9 * row + 9].as_chunks::<3>().0;
        let of = if species.len() > atoms { atoms * i } else { 0 };
        let frame = Frame {
            species: &species[of..of + atoms],
            positions: rows,
            cell: Cell {
                vectors: vectors.try_into().unwrap(),
                periodic: [periodic; 3],
            },
        };
        frames.push(i as u64, frame);
    }
    frames
}

#[test]
fn groups_of_mbe_automation() {
    let folder = Folder::new();
    folder.bring("mbe.h5");
    let cluster = "training/md_sampling/cluster[dyn:T=260.00]/finite_subsystems";
    let inside = |n: usize| format!("{cluster}/n={n}/cluster_of_molecules");
    for (key, group, source) in [
        ("training/argon", None, Some(("argon.xyz", 5))),
        ("training/argon_npt", None, Some(("argon_npt.xyz", 5))),
        ("training/single", None, Some(("argon_cluster.xyz", 1))),
        ("training/single_periodic", None, Some(("silicon.xyz", 1))),
        ("training/per_frame_species", None, None),
        ("training/ground_truth", None, Some(("silicon.xyz", 2))),
        ("md/argon_npt", None, Some(("argon_npt.xyz", 5))),
        (&format!("{cluster}/n=1"), Some(inside(1)), None),
        (&format!("/{}", inside(2)), Some(inside(2)), None),
        (
            &format!("{cluster}/n=6"),
            Some(inside(6)),
            Some(("water6.xyz", 5)),
        ),
    ] {
        let frames = mbe(group.as_deref().unwrap_or(key));
        if let Some((name, n)) = source {
            assert_same_frames(&frames, &first(&xyz::read(name), n), key);
        }
        check(&folder, &format!("mbe.h5 --key {key}"), &frames);
    }
    // The order of the atoms is another one in every frame.
    let permuted = mbe("training/per_frame_species");
    assert_ne!(permuted.frame(0).species, permuted.frame(1).species);

    let unnamed = folder.on(2, "run mbe.h5 -o r.h5 --calculator null");
    let error = unnamed.expect(1).error("choose one with --key");
    assert!(error.stderr.contains("training/argon"), "{error}");
    let missing = folder.on(
        2,
        "run mbe.h5 -o r.h5 --calculator null --key training/argo",
    );
    missing
        .expect(1)
        .error("there is no group \"training/argo\"");
    assert!(!folder.path("r.h5").exists());
}

/// The results that LAMMPS got for the same frames: species, cells and directions reach the calculator.
#[test]
fn lennard_jones_of_every_frame_is_that_of_lammps() {
    let folder = Folder::new();
    for (name, key) in [
        ("argon_npt", ""),
        ("argon_slab", ""),
        ("ragged", ""),
        ("argon_npt", "--key md/argon_npt"),
    ] {
        folder.bring(&format!("{name}.xyz"));
        folder.bring("mbe.h5");
        let input = if key.is_empty() {
            folder.import(name);
            format!("{name}.h5")
        } else {
            format!("mbe.h5 {key}")
        };
        let text = std::fs::read(xyz::data(&format!("{name}.reference.json"))).unwrap();
        let reference: Value = serde_json::from_slice(&text).unwrap();
        let parameters = arguments(&reference["parameters"]);
        let command = format!("run {input} -o r.h5 --calculator lennard-jones {parameters}");
        folder.on(3, &command).expect(0);
        let found = read(&folder.path("r.h5"));
        let frames = reference["frames"].as_array().unwrap();
        assert_eq!(statuses(&folder.path("r.h5")), vec![0; frames.len()]);
        for (i, frame) in frames.iter().enumerate() {
            let energy = frame["energy"].as_f64().unwrap();
            let difference = (found.energy[i] - energy).abs();
            assert!(
                difference <= 1e-9 * energy.abs(),
                "{name} {i}: {difference}"
            );
            let forces: Vec<f64> = numbers(&frame["forces"]);
            let mine = found.forces[found.offsets[i]..found.offsets[i + 1]].as_flattened();
            assert_eq!(mine.len(), forces.len());
            let largest = forces.iter().fold(1e-6, |a: f64, x| a.max(x.abs()));
            let close = |(x, y): (&f64, &f64)| (x - y).abs() <= 1e-9 * largest;
            assert!(mine.iter().zip(&forces).all(close), "{name} {i}: forces");
        }
        std::fs::remove_file(folder.path("r.h5")).unwrap();
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(list) => list.iter().flat_map(numbers).collect(),
        number => vec![number.as_f64().unwrap()],
    }
}

/// Parameters of a reference as a user types them.
fn arguments(parameters: &Value) -> String {
    assert_eq!(parameters["shift"], false);
    let mut text = format!("--param cutoff={}", parameters["cutoff"]);
    for (pair, values) in parameters["pairs"].as_object().unwrap() {
        for name in ["epsilon", "sigma"] {
            let _ = write!(text, " --param {name}.{pair}={}", values[name]);
        }
    }
    text
}
