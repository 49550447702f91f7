//! Results go into the structures that they are of, and into no others; nobody loses anything by it.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use support::folder::Folder;
use support::python::{said, script};
use support::results::read;
use support::tap::{Fault, Moment, Strike, Tap, Victims};
use support::torture::sample;

const KEY: &str = "training/argon";

fn folder() -> Folder {
    let folder = Folder::new();
    folder.bring("mbe.h5");
    folder
}

/// What a script that locks and reads as mbe-automation does is told to do, and says.
fn structures(arguments: &[&str], folder: &Folder) -> String {
    said("structures.py", folder, arguments)
}

/// All levels of theory of a structure.
fn levels(folder: &Folder, key: &str) -> BTreeMap<String, Value> {
    serde_json::from_str(&structures(&["read", "mbe.h5", key], folder)).unwrap()
}

/// Fails unless a level has what the results `name` have: of completed frames energies per atom, forces, and all states.
#[track_caller]
fn assert_merged(level: &Value, result: &Path, atoms: f64) {
    let expected = read(result);
    for (i, status) in expected.status.iter().enumerate() {
        assert_eq!(level["status"][i], *status, "frame {i}");
        let forces = &expected.forces[expected.offsets[i]..expected.offsets[i + 1]];
        if *status == 0 {
            assert_eq!(level["energy"][i], expected.energy[i] / atoms, "frame {i}");
            assert_eq!(level["forces"][i], serde_json::json!(forces), "frame {i}");
        } else {
            assert!(level["energy"][i].is_null(), "frame {i}");
            assert!(level["forces"][i][0][0].is_null(), "frame {i}");
        }
    }
}

fn run(folder: &Folder, options: &str) {
    let command = format!("run mbe.h5 --calculator null {options}");
    folder.alone(&command).expect(0);
}

#[test]
fn results_of_disjoint_selections_become_their_union_in_either_way() {
    for direct in ["", " --direct"] {
        let folder = folder();
        run(&folder, &format!("--key {KEY} -o whole.h5"));
        for (frames, name) in [("0:2", "a.h5"), ("2:4", "b.h5"), ("4", "c.h5")] {
            run(&folder, &format!("--key {KEY} -o {name} --frames {frames}"));
        }
        let merge = |name: &str| {
            let command = format!("merge {name} --into mbe.h5 --level-of-theory xtb/gfn2{direct}");
            folder.alone(&command).expect(0)
        };
        merge("a.h5").says("2 frames of 1 structure completed");
        assert_merged(
            &levels(&folder, KEY)["xtb/gfn2"],
            &folder.path("a.h5"),
            108.0,
        );
        merge("c.h5");
        merge("b.h5");
        assert_merged(
            &levels(&folder, KEY)["xtb/gfn2"],
            &folder.path("whole.h5"),
            108.0,
        );
        // Another level stands beside it; the first one is as it was.
        folder
            .alone(&format!("merge whole.h5 --into mbe.h5{direct}"))
            .expect(0);
        let found = levels(&folder, KEY);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["null", "xtb/gfn2"]);
        assert_eq!(found["null"], found["xtb/gfn2"]);
        // Once more changes nothing.
        merge("whole.h5").says(
            "5 frames of 1 structure completed at \"xtb/gfn2\", 5 of them not for the first time",
        );
        assert_eq!(levels(&folder, KEY), found);
        let left = folder.names();
        assert_eq!(
            left,
            ["a.h5", "b.h5", "c.h5", "mbe.h5", "mbe.h5.lock", "whole.h5"]
        );
        h5dump(&folder.path("mbe.h5"));
    }
}

/// All of the file can be read by a program that is not ours.
fn h5dump(path: &Path) {
    let output = Command::new("h5dump").arg(path).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
}

#[test]
fn what_is_completed_stays_completed() {
    for direct in ["", " --direct"] {
        let folder = folder();
        // Frames 0 and 4 cannot be computed.
        for frame in ["0", "4"] {
            structures(&["set", "mbe.h5", KEY, frame, "nan"], &folder);
        }
        structures(&["prepare", "mbe.h5", KEY, "null", "42"], &folder);
        folder
            .alone(&format!(
                "run mbe.h5 --key {KEY} -o r.h5 --calculator null --frames 0,1,4"
            ))
            .expect(3);
        folder
            .alone(&format!("merge r.h5 --into mbe.h5{direct}"))
            .expect(0)
            .says("1 frame of 1 structure completed at \"null\"; 1 marked as failed or not converged, 3 as before");
        let level = &levels(&folder, KEY)["null"];
        // Frame 0 was completed by somebody else; 1 is now; 2 and 3 did not converge, and nobody has tried again; 4 failed.
        assert_eq!(level["status"], serde_json::json!([0, 0, 2, 2, 3]));
        assert_eq!(level["energy"][0], 42.0);
        assert_eq!(
            level["energy"][1],
            read(&folder.path("r.h5")).energy[1] / 108.0
        );
        assert!((2..5).all(|i| level["energy"][i].is_null()));
    }
}

#[test]
fn other_geometries_and_other_groups_are_refused_and_nothing_changes() {
    let folder = folder();
    run(&folder, &format!("--key {KEY} -o r.h5"));
    run(&folder, "--keys training/** -o all.h5");
    let refused = |command: &str, what: &str| {
        let before = fs::read(folder.path("mbe.h5")).unwrap();
        folder.alone(command).expect(1).error(what);
        assert!(
            fs::read(folder.path("mbe.h5")).unwrap() == before,
            "{command}"
        );
    };
    let merge = "merge r.h5 --into mbe.h5";
    refused(
        &format!("{merge} --key training/single"),
        "has 1 frames, the result 5",
    );
    refused(
        &format!("{merge} --key training/argon_npt"),
        "training/argon_npt: frame 0 differs: these results belong to another geometry, nothing was changed",
    );
    refused(
        &format!("{merge} --key nowhere"),
        "there is no group \"nowhere\"",
    );
    refused(
        "merge all.h5 --into mbe.h5 --key nowhere",
        "the result has no frames of such a group",
    );
    structures(&["set", "mbe.h5", KEY, "3", "0.125"], &folder);
    for direct in ["", " --direct"] {
        refused(
            &format!("{merge}{direct}"),
            "group /training/argon: frame 3 differs",
        );
        refused(
            &format!("merge all.h5 --into mbe.h5{direct}"),
            "group /training/argon: frame 3 differs",
        );
    }
    // The others of the same job are what they were.
    folder
        .alone("merge all.h5 --into mbe.h5 --key training/single")
        .expect(0);
    folder.bring("argon.xyz");
    folder.import("argon");
    folder
        .alone("merge r.h5 --into argon.h5 --key trajectory")
        .expect(1)
        .error("no structure of mbe-automation");
    folder
        .alone("merge r.h5 --into r.h5")
        .expect(2)
        .error("is the result itself");
    folder
        .alone("merge r.h5 --into none.h5")
        .expect(1)
        .error("none.h5");
    fs::hard_link(folder.path("mbe.h5"), folder.path("also.h5")).unwrap();
    folder
        .alone("merge all.h5 --into mbe.h5 --key training/single")
        .expect(1)
        .error("has 2 names (hard links)");
}

#[test]
fn a_link_to_the_file_stays_a_link() {
    let folder = folder();
    run(&folder, &format!("--key {KEY} -o r.h5"));
    std::os::unix::fs::symlink("mbe.h5", folder.path("link.h5")).unwrap();
    folder.alone("merge r.h5 --into link.h5").expect(0);
    assert!(folder.path("link.h5").is_symlink());
    assert!(levels(&folder, KEY).contains_key("null"));
}

/// Datasets that are there keep their type, their chunks and their place.
#[test]
fn datasets_of_other_programs_are_written_as_they_are() {
    for kind in ["float32", "chunked", "legacy"] {
        let folder = folder();
        structures(&["odd", "mbe.h5", KEY, "null", kind], &folder);
        run(&folder, &format!("--key {KEY} -o r.h5 --frames 1:3"));
        let before = fs::read(folder.path("mbe.h5")).unwrap();
        let direct = folder.alone("merge r.h5 --into mbe.h5 --direct");
        if kind == "legacy" {
            direct.expect(0);
        } else {
            direct.expect(1).error("merge without it");
            assert!(fs::read(folder.path("mbe.h5")).unwrap() == before);
        }
        folder.alone("merge r.h5 --into mbe.h5").expect(0);
        let level = &levels(&folder, KEY)["null"];
        let energy = read(&folder.path("r.h5")).energy;
        for i in 0..5 {
            let found = level["energy"][i].as_f64();
            match (kind, i) {
                ("float32", 1 | 2) => {
                    let rounded = f64::from((energy[i] / 108.0) as f32);
                    assert_eq!(found, Some(rounded));
                }
                (_, 1 | 2) => assert_eq!(found, Some(energy[i] / 108.0)),
                // Without states all of them count as completed.
                ("legacy", _) => assert_eq!(found, Some(7.0)),
                _ => assert_eq!(found, None),
            }
        }
        let states = [[1, 0, 0, 1, 1], [0; 5]][usize::from(kind == "legacy")];
        assert_eq!(level["status"], serde_json::json!(states), "{kind}");
    }
}

/// Holds the lock of the file until it is dropped.
struct Holder(Child);

impl Holder {
    fn of(folder: &Folder) -> Self {
        Self::by(folder, &["lock", "mbe.h5", "60"], "held")
    }

    /// What a script holds that then says so.
    fn by(folder: &Folder, arguments: &[&str], says: &str) -> Self {
        let mut child = script("structures.py", folder)
            .args(arguments)
            .env_remove("HDF5_USE_FILE_LOCKING")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line.trim_end(), says);
        Self(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn programs_that_have_the_file_are_waited_for() {
    let folder = folder();
    run(&folder, &format!("--key {KEY} -o r.h5"));
    let holder = Holder::of(&folder);
    folder
        .alone("merge r.h5 --into mbe.h5 --lock-timeout 1s")
        .expect(1)
        .error("is locked by another program");
    let mut waiting = folder.alone("merge r.h5 --into mbe.h5").start();
    waiting.wait_for("waiting for another program's lock");
    assert!(levels_unlocked(&folder).is_none());
    drop(holder);
    waiting.finish().expect(0);
    assert!(levels(&folder, KEY).contains_key("null"));
}

/// The group of results, for somebody who does not wait for the lock.
fn levels_unlocked(folder: &Folder) -> Option<hdf5::Group> {
    let file = hdf5::File::open(folder.path("mbe.h5")).unwrap();
    file.group(&format!("{KEY}/ground_truth")).ok()
}

/// What is in a file: every dataset with its bytes, as HDF5 reads them.
fn contents(path: &Path) -> BTreeMap<String, Vec<u8>> {
    fn collect(group: &hdf5::Group, found: &mut BTreeMap<String, Vec<u8>>) {
        for dataset in group.datasets().unwrap() {
            let name = dataset.name();
            let numbers: Vec<f64> = dataset.read_raw().unwrap();
            found.insert(name, numbers.iter().flat_map(|x| x.to_le_bytes()).collect());
        }
        for child in group.groups().unwrap() {
            collect(&child, found);
        }
    }
    let mut found = BTreeMap::new();
    let file = hdf5::File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    collect(&file, &mut found);
    found
}

/// A kill at any write, sync or rename: the file is as it was, or has everything; --direct may leave one that the next merge
/// completes.
#[test]
fn kills_at_any_point_lose_nothing() {
    let folder = folder();
    run(&folder, "--keys training/** -o r.h5");
    // Of one group there are results of this level already.
    structures(&["prepare", "mbe.h5", KEY, "null", "42"], &folder);
    let target = folder.path("mbe.h5");
    let before = folder.path("before.h5");
    fs::copy(&target, &before).unwrap();
    let old = contents(&before);
    for direct in ["", " --direct"] {
        let merge = format!("merge r.h5 --into mbe.h5{direct}");
        let restore = || -> PathBuf {
            fs::copy(&before, &target).unwrap();
            target.clone()
        };
        let tap = Tap::on(&restore()).logged();
        tap.put_on(folder.alone(&merge)).expect(0);
        let recorded = tap.log();
        let whole = contents(&target);
        assert!(whole.len() > old.len() + 20);
        let (mut fired, mut torn) = (0, 0);
        for (k, event) in sample((1..=recorded.len() as u64).collect(), 24, usize::MAX)
            .into_iter()
            .enumerate()
        {
            restore();
            let moment = [Moment::Before, Moment::Torn, Moment::After][k % 3];
            let strike = Strike::Kill(moment, Victims::All);
            let tap = Tap::on(&target).strike(strike, event);
            let died = tap.put_on(folder.alone(&merge)).run();
            fired += usize::from(tap.fired().is_some());
            let now = std::panic::catch_unwind(|| contents(&target)).ok();
            let good = now.is_some_and(|now| now == old || now == whole);
            if direct.is_empty() {
                assert!(good, "{moment:?} {event}: {died}");
            }
            torn += usize::from(!good);
            // Whoever merges next, in either way, finds a whole file.
            let next = ["merge r.h5 --into mbe.h5", merge.as_str()][k % 2];
            folder.alone(next).expect(0);
            assert!(contents(&target) == whole, "{moment:?} {event}: {died}");
            let left = ["before.h5", "mbe.h5", "mbe.h5.lock", "r.h5"];
            assert_eq!(folder.names(), left, "{moment:?} {event}");
        }
        assert!(fired > 5, "{fired} of {} events{direct}", recorded.len());
        println!(
            "{} events, {fired} kills, {torn} files to be completed{direct}",
            recorded.len()
        );
    }
}

/// A disk that is full from some write on: one line of error, the file as it was or whole, and the next merge makes it whole.
#[test]
fn a_full_disk_loses_nothing() {
    let folder = folder();
    run(&folder, "--keys training/** -o r.h5");
    let target = folder.path("mbe.h5");
    let before = folder.path("before.h5");
    fs::copy(&target, &before).unwrap();
    let old = contents(&before);
    for direct in ["", " --direct"] {
        let merge = format!("merge r.h5 --into mbe.h5{direct}");
        let restore = || fs::copy(&before, &target).unwrap();
        restore();
        let tap = Tap::on(&target).logged();
        tap.put_on(folder.alone(&merge)).expect(0);
        let recorded = tap.log();
        let whole = contents(&target);
        let mut fired = 0;
        for event in sample((1..=recorded.len() as u64).collect(), 24, usize::MAX) {
            restore();
            let tap = Tap::on(&target).strike(Strike::Fault(Fault::NoSpace, true), event);
            let failed = tap.put_on(folder.alone(&merge)).run();
            if tap.fired().is_some() && failed.code != Some(0) {
                fired += 1;
                failed.expect(1).error("");
            }
            let now = std::panic::catch_unwind(|| contents(&target)).ok();
            let good = now.is_some_and(|now| now == old || now == whole);
            assert!(good || !direct.is_empty(), "{event}");
            folder.alone(&merge).expect(0);
            assert!(contents(&target) == whole, "{event}");
            let left = ["before.h5", "mbe.h5", "mbe.h5.lock", "r.h5"];
            assert_eq!(folder.names(), left, "{event}");
        }
        assert!(fired > 5, "{fired} of {}", recorded.len());
    }
}

#[test]
fn what_is_not_what_was_computed_is_not_merged() {
    for direct in ["", " --direct"] {
        let folder = folder();
        run(&folder, &format!("--key {KEY} -o r.h5"));
        {
            let file = hdf5::File::open_rw(folder.path("r.h5")).unwrap();
            let forces = file.dataset("particles/trajectory/forces/value").unwrap();
            let one = ndarray::arr3(&[[[7.0]]]);
            forces.write_slice(&one, (3..4, 5..6, 1..2)).unwrap();
        }
        let before = contents(&folder.path("mbe.h5"));
        folder
            .alone(&format!("merge r.h5 --into mbe.h5{direct}"))
            .expect(1)
            .error("r.h5: frame 3: does not match its checksum");
        assert!(contents(&folder.path("mbe.h5")) == before);
    }
}

/// Energies of all frames without states: the forces that others lack cannot be told from those that are there.
#[test]
fn a_level_of_energies_alone_is_left_alone() {
    let folder = folder();
    structures(&["odd", "mbe.h5", KEY, "null", "energies"], &folder);
    run(&folder, &format!("--key {KEY} -o r.h5 --frames 1:3"));
    let before = fs::read(folder.path("mbe.h5")).unwrap();
    for direct in ["", " --direct"] {
        folder
            .alone(&format!("merge r.h5 --into mbe.h5{direct}"))
            .expect(1)
            .error("has energies of all frames, no forces and no states");
        assert!(fs::read(folder.path("mbe.h5")).unwrap() == before);
    }
    folder
        .alone("merge r.h5 --into mbe.h5 --level-of-theory other")
        .expect(0);
}

/// A program that does not know the lock of mbe-automation has HDF5's.
#[test]
fn what_others_are_writing_is_not_lost() {
    let folder = folder();
    run(&folder, &format!("--key {KEY} -o r.h5"));
    let open = |mode: &str| Holder::by(&folder, &["open", "mbe.h5", mode, "60"], "open");
    let writer = open("r+");
    let before = fs::read(folder.path("mbe.h5")).unwrap();
    for (direct, what) in [
        ("", "has it open for writing"),
        (
            " --direct",
            "has it open, and --direct changes it under its hands",
        ),
    ] {
        folder
            .alone(&format!("merge r.h5 --into mbe.h5{direct}"))
            .expect(1)
            .error(what);
        assert!(fs::read(folder.path("mbe.h5")).unwrap() == before);
    }
    drop(writer);
    let _reader = open("r");
    folder
        .alone("merge r.h5 --into mbe.h5 --direct")
        .expect(1)
        .error("merge without --direct");
    // Who reads goes on to read what was there.
    folder.alone("merge r.h5 --into mbe.h5").expect(0);
}
