//! What is made of damaged files: verbs that write make a sound file, or none, and change nothing that was there.
//!
//! A fault inside HDF5 itself (a memory fault, a loop) is counted, as in `damaged_files`: it must leave as little.

mod support;

use std::fs;

use framewise::adapters::hdf5::result_block::ResultBlock;
use serde_json::Value;

use support::damage::{Damage, damages};
use support::folder::Folder;
use support::launch::Launch;
use support::python::said;
use support::results::{bits, read};

/// Damages per file, in the ordinary suite and for each N of `FRAMEWISE_TORTURE=N`.
const DAMAGES: (usize, usize) = (40, 250);
const KEY: &str = "training/argon";

/// How a launch on a damaged file ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Done,
    /// One line said why not.
    Refused,
    /// HDF5 crashed or did not come back.
    Fault,
}

/// Runs it; a panic fails.
fn ending(launch: Launch, damage: &Damage) -> Ending {
    let finished = launch
        .variable("HDF5_USE_FILE_LOCKING", "FALSE")
        .start()
        .end();
    assert!(
        !finished.stderr.contains("panicked") && !finished.stderr.contains("memory allocation"),
        "{damage:?}: {finished}"
    );
    if finished.signal.is_some() || !finished.overdue.is_empty() {
        eprintln!("{damage:?}: a fault of HDF5: {finished}");
        return Ending::Fault;
    }
    if finished.code == Some(0) {
        return Ending::Done;
    }
    let errors = finished.stderr.lines();
    let errors = errors.filter(|line| line.starts_with("error: ")).count();
    assert!(
        errors >= 1 && finished.code < Some(128),
        "{damage:?}: {finished}"
    );
    Ending::Refused
}

/// Looks at each damage of a file; fails where many end inside HDF5, or where none is refused or none is harmless.
fn each(whole: &[u8], mut act: impl FnMut(&Damage, &[u8]) -> Ending) {
    let damages = damages(DAMAGES);
    let endings: Vec<_> = damages.iter().map(|d| act(d, &d.apply(whole))).collect();
    let count = |what| endings.iter().filter(|e| **e == what).count();
    let [done, refused, faults] = [Ending::Done, Ending::Refused, Ending::Fault].map(count);
    println!(
        "torture: inputs {} lost 0 wrong 0 hung 0 ({faults} crashed HDF5 itself)",
        endings.len()
    );
    println!("{done} done, {refused} refused");
    assert!(refused > 0 && done > 0, "{done} done, {refused} refused");
    assert!(faults * 20 <= endings.len(), "HDF5 fails on {faults}");
}

/// Fails unless frames that are said to be completed have the results that they had.
fn assert_same_frames(found: &ResultBlock, expected: &ResultBlock, damage: &Damage) {
    assert_eq!(found.status.len(), expected.status.len(), "{damage:?}");
    for i in (0..found.status.len()).filter(|i| found.status[*i] == 0) {
        let all = |results: &ResultBlock| {
            let atoms = results.offsets[i]..results.offsets[i + 1];
            let mut numbers = vec![results.energy[i]];
            numbers.extend(results.forces[atoms].as_flattened());
            bits(&numbers)
        };
        assert_eq!(all(found), all(expected), "{damage:?}: frame {i}");
    }
}

fn names_but(folder: &Folder, but: &[&str]) -> Vec<String> {
    let mut names = folder.names();
    names.retain(|name| !but.contains(&name.as_str()));
    names
}

#[test]
fn a_repacked_file_has_the_frames_of_the_original_or_is_not_there() {
    for input in ["argon", "ragged"] {
        let folder = Folder::new();
        folder.bring(&format!("{input}.xyz"));
        folder.import(input);
        folder
            .alone(&format!("run {input}.h5 -o r.h5 --calculator null"))
            .expect(0);
        let whole = fs::read(folder.path("r.h5")).unwrap();
        let before = folder.names();
        let expected = read(&folder.path("r.h5"));
        each(&whole, |damage, bytes| {
            fs::write(folder.path("damaged.h5"), bytes).unwrap();
            let launch = folder.alone("repack damaged.h5 -o packed.h5");
            let ending = ending(launch, damage);
            if ending == Ending::Done {
                folder.alone("verify packed.h5").expect(0);
                assert_same_frames(&read(&folder.path("packed.h5")), &expected, damage);
                fs::remove_file(folder.path("packed.h5")).unwrap();
            }
            let left = names_but(&folder, &["damaged.h5"]);
            // A process that HDF5 has killed cannot clean up; the next one does.
            if ending != Ending::Fault {
                assert_eq!(left, before, "{damage:?}");
            }
            ending
        });
    }
}

#[test]
fn damaged_results_are_merged_where_they_are_sound_or_not_at_all() {
    let folder = Folder::new();
    folder.bring("mbe.h5");
    folder
        .alone(&format!("run mbe.h5 --key {KEY} -o r.h5 --calculator null"))
        .expect(0);
    let expected = read(&folder.path("r.h5"));
    let whole = fs::read(folder.path("r.h5")).unwrap();
    let target = fs::read(folder.path("mbe.h5")).unwrap();
    for direct in ["", " --direct"] {
        each(&whole, |damage, bytes| {
            fs::write(folder.path("damaged.h5"), bytes).unwrap();
            let launch = folder.alone(&format!("merge damaged.h5 --into mbe.h5{direct}"));
            let ending = ending(launch, damage);
            if ending == Ending::Done {
                let levels = said("structures.py", &folder, ["read", "mbe.h5", KEY]);
                let levels: Value = serde_json::from_str(&levels).unwrap();
                let level = levels.as_object().unwrap().values().next().unwrap();
                for (i, energy) in expected.energy.iter().enumerate() {
                    // The null calculator's structures have 108 atoms.
                    let merged = &level["energy"][i];
                    assert!(
                        merged.is_null() || *merged == energy / 108.0,
                        "{damage:?}: frame {i}"
                    );
                }
                fs::write(folder.path("mbe.h5"), &target).unwrap();
            }
            let now = fs::read(folder.path("mbe.h5")).unwrap();
            assert!(now == target, "{damage:?}: {ending:?}");
            if ending != Ending::Fault {
                let left = names_but(&folder, &["mbe.h5.lock"]);
                assert_eq!(left, ["damaged.h5", "mbe.h5", "r.h5"], "{damage:?}");
            }
            ending
        });
    }
}

#[test]
fn a_damaged_file_that_takes_results_is_not_made_worse() {
    let folder = Folder::new();
    folder.bring("mbe.h5");
    folder
        .alone(&format!("run mbe.h5 --key {KEY} -o r.h5 --calculator null"))
        .expect(0);
    let whole = fs::read(folder.path("mbe.h5")).unwrap();
    for direct in ["", " --direct"] {
        each(&whole, |damage, bytes| {
            let target = folder.path("damaged.h5");
            fs::write(&target, bytes).unwrap();
            let launch = folder.alone(&format!("merge r.h5 --into damaged.h5{direct}"));
            let ending = ending(launch, damage);
            if ending != Ending::Done {
                let now = fs::read(&target).unwrap();
                assert!(now == bytes, "{damage:?}: {ending:?}");
            }
            if ending != Ending::Fault {
                let left = names_but(&folder, &["damaged.h5.lock"]);
                assert_eq!(left, ["damaged.h5", "mbe.h5", "r.h5"], "{damage:?}");
            }
            ending
        });
    }
}
