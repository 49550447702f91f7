//! `framewise export`: names, splits, filters and formats, with programs that are not ours as readers.

mod support;

use std::collections::BTreeSet;
use std::fs;

use support::folder::{Folder, perturbed};
use support::python::said;

const LJ: &str =
    "--calculator lennard-jones --param epsilon=0.0104 --param sigma=3.4 --param cutoff=8.5";

fn python(folder: &Folder, action: &str, names: &[&str]) {
    said("export.py", folder, std::iter::once(&action).chain(names));
}

/// A result of some of the frames of a file of `tests/data`.
fn result(folder: &Folder, name: &str, frames: &str) -> String {
    folder.bring(&format!("{name}.xyz"));
    folder.import(name);
    let run = format!("run {name}.h5 -o {name}.r.h5 {LJ} {frames}");
    folder.alone(&run).expect(0);
    format!("{name}.r.h5")
}

fn frames_of(folder: &Folder, name: &str) -> BTreeSet<u64> {
    let text = fs::read_to_string(folder.path(name)).unwrap();
    let keys = text
        .split_whitespace()
        .filter_map(|w| w.strip_prefix("frame="));
    keys.map(|n| n.parse().unwrap()).collect()
}

#[test]
fn every_format_is_read_by_others_bit_for_bit() {
    let folder = Folder::new();
    for (name, frames) in [
        ("argon", "--frames 0:12,15"),
        ("ragged", ""),
        ("argon_triclinic", ""),
        ("argon_slab", ""),
        ("argon_cluster", ""),
    ] {
        let result = result(&folder, name, frames);
        for suffix in ["npz", "dump"] {
            let file = format!("{name}.{suffix}");
            folder
                .alone(&format!("export {result} -o {file}"))
                .expect(0);
            python(&folder, suffix, &[&result, &file]);
            // The same bytes again.
            let again = format!("again.{suffix}");
            folder
                .alone(&format!("export {result} -o {again} --overwrite"))
                .expect(0);
            let read = |name: &str| fs::read(folder.path(name)).unwrap();
            assert!(read(&file) == read(&again), "{file}");
        }
    }
    for name in ["argon", "ragged"] {
        let (result, file) = (format!("{name}.r.h5"), format!("{name}.parquet"));
        folder
            .alone(&format!("export {result} -o {file}"))
            .expect(0);
        python(&folder, "parquet", &[&result, &file]);
    }
    // Frame 2 of these is left-handed; the two before it are turned.
    let rotated = result(&folder, "argon_rotated", "");
    folder
        .alone(&format!("export {rotated} -o rotated.dump"))
        .expect(1)
        .error("rotated.dump: cannot be written: frame 2: its cell is left-handed");
    folder
        .alone("run argon_rotated.h5 -o two.h5 --frames :2 -c null")
        .expect(0);
    folder.alone("export two.h5 -o two.dump").expect(0);
    python(&folder, "dump", &["two.h5", "two.dump"]);
    // Nothing is left of what could not be finished.
    assert!(!folder.path("rotated.dump").exists());
    assert!(folder.names().iter().all(|name| !name.contains("partial")));
}

#[test]
fn labels_have_the_names_that_training_programs_look_for() {
    let folder = Folder::new();
    let result = result(&folder, "argon", "--frames 3:7");
    for (more, file) in [
        ("--style mace", "mace.xyz"),
        ("--style metatrain", "metatrain.xyz"),
        (
            "--energy-key REF_energy --forces-key REF_forces --stress-key REF_stress",
            "named.xyz",
        ),
    ] {
        folder
            .alone(&format!("export {result} {more} -o {file}"))
            .expect(0);
        python(&folder, "named", &[&result, file]);
    }
    folder
        .alone(&format!("export {result} -o x.xyz --energy-key"))
        .arg("a b")
        .expect(2)
        .says("a name of letters, digits and _ is expected");
}

#[test]
fn a_split_deals_every_frame_out_once_and_for_good() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_small_cell.xyz", 300, 4));
    folder
        .alone("run in.h5 -o r.h5 -c null --frames 0:200")
        .expect(0);
    let split = "--split train=0.8,valid=0.1,test=0.1 --seed 1";
    folder
        .alone(&format!("export r.h5 {split} -o some.xyz"))
        .expect(0);
    let parts = |stem: &str| {
        ["train", "valid", "test"].map(|p| frames_of(&folder, &format!("{stem}_{p}.xyz")))
    };
    let some = parts("some");
    let all: BTreeSet<u64> = some.iter().flatten().copied().collect();
    assert_eq!(all, (0..200).collect());
    assert_eq!(some.iter().map(BTreeSet::len).sum::<usize>(), 200);
    assert!(
        some[0].len() > 130 && some[1].len() > 5 && some[2].len() > 5,
        "{some:?}"
    );
    // When more frames are completed nothing goes from the test set into training.
    folder.alone("run in.h5 -o r.h5 -c null").expect(0);
    folder
        .alone(&format!("export r.h5 {split} -o more.xyz"))
        .expect(0);
    for (before, after) in some.iter().zip(&parts("more")) {
        let kept: BTreeSet<u64> = after.iter().copied().filter(|f| *f < 200).collect();
        assert_eq!(*before, kept);
    }
    folder
        .alone("export r.h5 --split train=0.8,valid=0.1,test=0.1 --seed 2 -o other.xyz")
        .expect(0);
    assert_ne!(parts("other"), parts("more"));
    // What is there is not replaced, and then nothing is written at all.
    fs::remove_file(folder.path("more_train.xyz")).unwrap();
    folder
        .alone(&format!("export r.h5 {split} -o more.xyz"))
        .expect(2)
        .error("more_valid.xyz: exists already");
    assert!(!folder.path("more_train.xyz").exists());
    folder
        .alone("export r.h5 --split train=0.8,test=0.3 -o x.xyz")
        .expect(2)
        .says("more than 1");
    folder
        .alone("export r.h5 --split train=0.8 -o -")
        .expect(2)
        .error("give the name of a file");
}

#[test]
fn filters_leave_frames_out_and_say_how_many() {
    let folder = Folder::new();
    let result = result(&folder, "ragged", "");
    folder
        .alone(&format!("export {result} -o all.xyz"))
        .expect(0);
    // Water clusters with O-H bonds far up a wall, then two frames of argon, which are bound.
    let said = folder
        .alone(&format!(
            "export {result} -o bound.xyz --energy-window :0 --max-force 100"
        ))
        .expect(0);
    let (all, bound) = (
        frames_of(&folder, "all.xyz"),
        frames_of(&folder, "bound.xyz"),
    );
    assert_eq!((all.len(), bound), (12, BTreeSet::from([10, 11])));
    let said = said.says("left out: 10 by --energy-window, 0 by --max-force");
    assert!(said.stderr.contains("bound.xyz: 2 frames"), "{said}");
    folder
        .alone(&format!(
            "export {result} -o none.xyz --energy-window=-1e9:-1e8"
        ))
        .expect(1)
        .error("none of 12 completed frames is left (left out: 12 by --energy-window)");
    assert!(!folder.path("none.xyz").exists());
}

#[test]
fn properties_go_through_import_run_and_export() {
    let folder = Folder::new();
    let check = |action: &str, names: &[&str]| {
        said(
            "interchange.py",
            &folder,
            std::iter::once(&action).chain(names),
        );
    };
    for kind in ["constant", "varying", "ragged"] {
        let source = format!("{kind}.xyz");
        check("write", &[kind, &source]);
        folder.import(kind);
        // What was imported, as it came.
        for (file, action) in [
            (format!("{kind}.out.xyz"), "same"),
            (format!("{kind}.npz"), "arrays"),
            (format!("{kind}.parquet"), "table"),
        ] {
            folder
                .alone(&format!("export {kind}.h5 -o {file}"))
                .expect(0);
            check(action, &[&source, &file]);
        }
        // The same bytes again, by way of a second import.
        fs::copy(
            folder.path(&format!("{kind}.out.xyz")),
            folder.path("again.xyz"),
        )
        .unwrap();
        folder
            .alone("import again.xyz -o again.h5 --overwrite")
            .expect(0);
        folder
            .alone("export again.h5 -o again.out.xyz --overwrite")
            .expect(0);
        let read = |name: &str| fs::read(folder.path(name)).unwrap();
        assert!(read("again.xyz") == read("again.out.xyz"), "{kind}");
        // With results beside them.
        folder
            .on(
                2,
                &format!("run {kind}.h5 -o {kind}.r.h5 -c null --carry all"),
            )
            .expect(0)
            .says("--carry all: longer is left out: it holds texts of any length");
        folder
            .alone(&format!("export {kind}.r.h5 -o {kind}.r.xyz"))
            .expect(0);
        check("same", &[&source, &format!("{kind}.r.xyz")]);
    }
    folder
        .alone("export constant.h5 -o x.xyz --max-force 1")
        .expect(2)
        .error("constant.h5: holds frames but no results");
    folder
        .alone("export constant.r.h5 -o x.xyz --key trajectory")
        .expect(2)
        .error("is a result, all of whose frames are in one group");
}

#[test]
fn labels_of_others_are_not_taken_for_results() {
    let folder = Folder::new();
    let text = "1\nProperties=species:S:1:pos:R:3:forces:R:3 energy=-1.5 frame=7 pbc=\"F F F\"\n\
                Ar 0.0 0.0 0.0 0.0 0.0 0.25\n";
    fs::write(folder.path("dft.xyz"), text).unwrap();
    folder.import("dft");
    folder.alone("export dft.h5 -o same.xyz").expect(0);
    assert_eq!(fs::read_to_string(folder.path("same.xyz")).unwrap(), text);
    folder
        .alone("run dft.h5 -o r.h5 -c null --carry all")
        .expect(0);
    folder
        .alone("export r.h5 -o r.xyz")
        .expect(0)
        .says("property \"frame\" is left out");
    let written = fs::read_to_string(folder.path("r.xyz")).unwrap();
    for expected in [
        "Properties=species:S:1:pos:R:3:forces:R:3:input_forces:R:3 energy=0.0",
        " frame=0 input_energy=-1.5 ",
        "Ar 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.25",
    ] {
        assert!(written.contains(expected), "{written}");
    }
}

/// A result whose frame 3 is not what was computed.
fn damaged(folder: &Folder) {
    result(folder, "argon", "");
    let file = hdf5::File::open_rw(folder.path("argon.r.h5")).unwrap();
    let forces = file.dataset("particles/trajectory/forces/value").unwrap();
    let one = ndarray::arr3(&[[[7.0]]]);
    forces.write_slice(&one, (3..4, 5..6, 1..2)).unwrap();
}

#[test]
fn nothing_is_made_of_numbers_that_are_not_those_computed() {
    let folder = Folder::new();
    damaged(&folder);
    for name in ["x.xyz", "x.npz", "x.parquet", "x.dump"] {
        folder
            .alone(&format!("export argon.r.h5 -o {name}"))
            .expect(1)
            .error("argon.r.h5: frame 3: does not match its checksum");
        assert!(!folder.path(name).exists());
    }
    folder
        .alone("export argon.r.h5 -o x.xyz --frames 0:3")
        .expect(0);
    folder
        .alone("compare argon.r.h5 argon.r.h5")
        .expect(1)
        .error("frame 3: does not match its checksum");
}

#[test]
fn labels_do_not_take_the_names_of_other_things() {
    let folder = Folder::new();
    result(&folder, "argon", "");
    for options in [
        "--energy-key pos",
        "--forces-key Species",
        "--stress-key lattice",
        "--energy-key frame",
        "--energy-key x --stress-key x",
    ] {
        folder
            .alone(&format!("export argon.r.h5 -o x.xyz {options}"))
            .expect(2)
            .error("is the name of something else in the file");
    }
}

/// What ends before its time leaves nothing, or what the next one removes.
#[test]
fn nothing_stays_of_what_is_not_completed() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_npt.xyz", 20_000, 100));
    folder.alone("run in.h5 -o r.h5 -c null").expect(0);
    let partial = |folder: &Folder| {
        let names = folder.names().into_iter();
        names.filter(|name| name.ends_with(".partial")).count()
    };
    let begun = |signal: rustix::process::Signal| {
        let running = folder.alone("export r.h5 -o x.xyz").start();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while partial(&folder) == 0 {
            assert!(std::time::Instant::now() < deadline);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        running.signal(signal);
        running.finish()
    };
    begun(rustix::process::Signal::TERM).expect(75);
    assert_eq!(partial(&folder), 0);
    begun(rustix::process::Signal::KILL);
    assert_eq!(partial(&folder), 1);
    folder.alone("export r.h5 -o x.xyz --frames :3").expect(0);
    assert_eq!(partial(&folder), 0);
}

#[test]
fn frames_and_atoms_may_have_a_property_of_the_same_name() {
    let folder = Folder::new();
    let frame = |x: f64| {
        format!(
            "2\nProperties=species:S:1:pos:R:3:charge:R:1:tag:S:1 charge={x} tag=one charge_atoms={}\n\
             Ar 0 0 0 {x} p\nAr 3 0 0 -{x} q\n",
            x + 10.0
        )
    };
    fs::write(folder.path("in.xyz"), frame(1.5) + &frame(2.5)).unwrap();
    folder.import("in");
    folder
        .alone("export in.h5 -o in.npz")
        .expect(0)
        .says("in.h5: property \"charge\" is stored as \"charge_atoms_\": that name is taken");
    folder
        .alone("run in.h5 -o r.h5 -c null --carry all")
        .expect(0);
    folder.alone("export r.h5 -o r.npz").expect(0);
    python(&folder, "same_names", &["in.npz", "r.npz"]);
    // They go into extended XYZ as they came, where frames and atoms have names of their own.
    let said = folder.alone("export in.h5 -o in.out.xyz").expect(0);
    assert!(!said.stderr.contains("is stored as"), "{said}");
    let text = fs::read_to_string(folder.path("in.out.xyz")).unwrap();
    assert!(
        text.contains(":charge:R:1") && text.contains(" charge=1.5"),
        "{text}"
    );
}

#[test]
fn standard_output_is_told_of_as_a_file_is() {
    let folder = Folder::new();
    let result = result(&folder, "argon", "--frames :12");
    let said = folder
        .alone(&format!("export {result} -o - --max-force 1e9"))
        .expect(0);
    assert_eq!(said.stdout.matches("Lattice=").count(), 12);
    for text in [
        "standard output: 12 frames; 8 of 20 selected frames are not completed",
        "left out: 0 by --max-force",
    ] {
        assert!(said.stderr.contains(text), "{said}");
        assert!(!said.stdout.contains(text), "{said}");
    }
    for output in ["-", "none.xyz"] {
        let said = folder
            .alone(&format!("export {result} -o {output} --max-force 1e-9"))
            .expect(1)
            .error("none of 12 completed frames is left (left out: 12 by --max-force)");
        assert!(said.stdout.is_empty(), "{said}");
        assert!(!folder.path(output).exists());
    }
}
