//! Several inputs in one launch.

mod support;

use std::fs;

use rustix::process::Signal;

use support::folder::{Folder, perturbed};
use support::results::{assert_same, completed, read};

const LJ: &str = "--calculator lennard-jones -p epsilon=0.01 -p sigma=3 -p cutoff=6";

#[test]
fn each_input_gets_the_result_of_a_run_of_its_own_whatever_its_format() {
    let folder = Folder::new();
    folder.import_frames("a", &perturbed("argon_npt.xyz", 23, 8));
    folder.import_frames("b", &perturbed("argon_npt.xyz", 40, 20));
    folder.bring("argon.xyz");
    folder.import("argon");
    for name in ["a", "b", "argon"] {
        folder
            .alone(&format!("run {name}.h5 -o {name}.own.h5 {LJ}"))
            .expect(0);
    }
    let command = format!("run a.h5 b.h5 argon.xyz -o out/ {LJ}");
    // The largest first, and a table at the end.
    let run = folder.on(2, &command).expect(0);
    let run = run
        .says("3 inputs with 83 frames")
        .says("frames per input: mean 27.7");
    let at = |name: &str| run.stdout.find(&format!("out/{name}.h5: ")).unwrap();
    assert!(at("argon") < at("b") && at("b") < at("a"), "{run}");
    let table = run.stdout.lines().last().unwrap().to_owned();
    assert!(
        table.contains("out/a.h5") && table.contains("completed"),
        "{run}"
    );
    for name in ["a", "b"] {
        let (found, own) = (format!("out/{name}.h5"), format!("{name}.own.h5"));
        assert_same(&folder.path(&found), &folder.path(&own));
    }
    assert_eq!(completed(&folder.path("out/argon.h5")), 20);
    let names = fs::read_dir(folder.path("out")).unwrap();
    let mut names: Vec<_> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["a.h5", "argon.frames.h5", "argon.h5", "b.h5"]);
    // Again: nothing is computed or touched, the import neither.
    let changed = |name: &str| {
        let path = folder.path(&format!("out/{name}"));
        path.metadata().unwrap().modified().unwrap()
    };
    let before: Vec<_> = names.iter().map(|name| changed(name)).collect();
    folder.on(3, &command).expect(0);
    let after: Vec<_> = names.iter().map(|name| changed(name)).collect();
    assert_eq!(before, after);
}

#[test]
fn a_bad_input_stops_no_other_and_is_an_error_in_the_end() {
    let folder = Folder::new();
    folder.import_frames("good", &perturbed("argon_npt.xyz", 7, 8));
    folder.import_frames("other", &perturbed("argon_npt.xyz", 9, 8));
    fs::write(folder.path("bad.h5"), b"\x89HDF\r\n\x1a\nand nothing else").unwrap();
    fs::write(folder.path("text.xyz"), "three\n").unwrap();
    let listed = "# inputs\nbad.h5\ngood.h5\tfirst.h5\ntext.xyz\nnone.h5\nother.h5\n";
    fs::write(folder.path("list"), listed).unwrap();
    for ranks in [1, 2] {
        let command = format!("run --manifest list -o out{ranks} {LJ}");
        let launch = match ranks {
            1 => folder.alone(&command),
            _ => folder.on(ranks, &command),
        };
        let run = launch
            .expect(1)
            .says("error: bad.h5: ")
            .says("error: text.xyz:1: ")
            .says("error: none.h5: ")
            .says("error: 3 of 5 inputs could not be computed");
        assert_eq!(run.stderr.matches("error: ").count(), 4, "{run}");
        assert_eq!(completed(&folder.path(&format!("out{ranks}/first.h5"))), 7);
        assert_eq!(completed(&folder.path(&format!("out{ranks}/other.h5"))), 9);
    }
    // A result that is another job's is wrong with one of them, too.
    let other = LJ.replace("cutoff=6", "cutoff=5");
    fs::remove_file(folder.path("out1/other.h5")).unwrap();
    fs::write(folder.path("list"), "good.h5\tfirst.h5\nother.h5\n").unwrap();
    folder
        .on(2, &format!("run --manifest list -o out1 {other}"))
        .expect(1)
        .says("out1/first.h5 was made with parameter cutoff 6")
        .says("1 of 2 inputs could not be computed");
    assert_eq!(completed(&folder.path("out1/other.h5")), 9);
}

#[test]
fn failures_and_stops_come_out_in_the_exit_code() {
    let folder = Folder::new();
    for name in ["a", "b"] {
        folder.import_frames(name, &perturbed("argon_npt.xyz", 400, 200));
    }
    let slow = "--calculator lennard-jones -p epsilon=0.01 -p sigma=3 -p cutoff=30 -t 1";
    let command = format!("run a.h5 b.h5 -o out/ {slow}");
    let mut run = folder.alone(&command).start();
    run.wait_for("frames to compute");
    run.signal(Signal::TERM);
    run.end().expect(75);
    // The second was not begun.
    assert!(!folder.path("out/b.h5").exists());
    let quick = "--calculator null";
    folder
        .on(2, &format!("run a.h5 b.h5 -o quick {quick}"))
        .expect(0);
    // One frame of one of them fails.
    let mut frames = perturbed("argon_npt.xyz", 5, 8);
    frames.positions[3] = [f64::NAN; 3];
    folder.import_frames("c", &frames);
    folder
        .on(2, &format!("run a.h5 c.h5 -o quick {quick}"))
        .expect(3);
}

#[test]
fn mistakes_are_one_line_and_nothing_is_made() {
    let folder = Folder::new();
    folder.import_frames("a", &perturbed("argon_npt.xyz", 3, 8));
    fs::create_dir(folder.path("x")).unwrap();
    fs::copy(folder.path("a.h5"), folder.path("x/a.h5")).unwrap();
    fs::write(folder.path("file"), "").unwrap();
    let before = folder.names();
    for (command, what) in [
        (
            "run a.h5 x/a.h5 -o out --calculator null",
            "both results would be out/a.h5",
        ),
        ("run a.h5 x/a.h5 --calculator null", "-o FOLDER is missing"),
        (
            "run a.h5 a.xyz -o file --calculator null",
            "is not a folder",
        ),
        ("run a.h5 x/b.h5 -o out --calculator nul", "nul"),
        (
            "run a.h5 x/b.h5 -o out --calculator null --metrics m.json",
            "--metrics",
        ),
        (
            "run --manifest none -o out --calculator null",
            "--manifest none",
        ),
        (
            "run --manifest file -o out --calculator null",
            "names no input",
        ),
    ] {
        folder.alone(command).expect(2).error(what);
        folder.on(2, command).refused(2).error(what);
        assert_eq!(folder.names(), before, "{command}");
    }
}

/// One atom of argon for each number, at this place.
fn line_of_argon(folder: &Folder, name: &str, places: &[f64]) {
    let frame = |x: &f64| format!("1\nProperties=species:S:1:pos:R:3\nAr {x:?} 0.0 0.0\n");
    let text: String = places.iter().map(frame).collect();
    fs::write(folder.path(name), text).unwrap();
}

const NULL: &str = "--calculator null";

/// Files beside results whose names are those of imports: only what a run has made of the same source is used or replaced.
#[test]
fn a_file_that_is_in_the_place_of_an_import_is_neither_used_nor_replaced() {
    let folder = Folder::new();
    line_of_argon(&folder, "md.xyz", &[1.0, 2.0]);
    line_of_argon(&folder, "b.xyz", &[3.0]);
    folder.import("b");
    let result = format!("run b.h5 -o older.h5 {NULL}");
    folder.alone(&result).expect(0);
    fs::create_dir(folder.path("made")).unwrap();
    let by_run = format!("run b.xyz md.xyz -o made {NULL}");
    folder.alone(&by_run).expect(0);
    fs::create_dir(folder.path("out")).unwrap();
    let there = folder.path("out/md.frames.h5");
    for (stranger, why) in [
        // A result, an import of the user's, a text, and what a run has made of something else.
        ("older.h5", "no run has made it"),
        ("b.h5", "no run has made it"),
        ("b.xyz", "no run has made it"),
        ("made/b.frames.h5", "it holds the frames of "),
    ] {
        fs::copy(folder.path(stranger), &there).unwrap();
        for more in ["", "--overwrite"] {
            let command = format!("run md.xyz b.xyz -o out {NULL} {more}");
            let run = folder.alone(&command).expect(1);
            let run = run.says("error: out/md.frames.h5: is in the way of an import of md.xyz: ");
            assert!(run.stderr.contains(why), "{run}");
            let (found, given) = (fs::read(&there), fs::read(folder.path(stranger)));
            assert!(found.unwrap() == given.unwrap(), "{stranger}");
            assert!(!folder.path("out/md.h5").exists());
            assert_eq!(completed(&folder.path("out/b.h5")), 1);
        }
    }
    fs::remove_file(&there).unwrap();
    std::os::unix::fs::symlink("nowhere", &there).unwrap();
    let command = format!("run md.xyz b.xyz -o out {NULL}");
    folder.alone(&command).expect(1).says("no run has made it");
    fs::remove_file(&there).unwrap();
    folder.alone(&command).expect(0);
    assert_eq!(completed(&folder.path("out/md.h5")), 2);
}

#[test]
fn an_input_that_has_changed_is_imported_anew_and_its_result_is_another() {
    let folder = Folder::new();
    line_of_argon(&folder, "md.xyz", &[1.0, 2.0]);
    line_of_argon(&folder, "b.xyz", &[3.0]);
    let import = folder.path("out/md.frames.h5");
    let energies = || read(&folder.path("out/md.h5")).energy;
    for geometry in ["copy", "link"] {
        line_of_argon(&folder, "md.xyz", &[1.0, 2.0]);
        let command = format!("run md.xyz b.xyz -o out {NULL} --geometry {geometry}");
        folder.alone(&command).expect(0);
        assert_eq!(energies(), [1.0, 2.0]);
        let before = fs::read(&import).unwrap();
        let last = import.metadata().unwrap().modified().unwrap();
        // The same bytes with another time are the same frames.
        let touch = |time| {
            let mut file = fs::File::options();
            let file = file.append(true).open(folder.path("md.xyz")).unwrap();
            file.set_modified(time).unwrap();
        };
        touch(last + std::time::Duration::from_secs(5));
        folder
            .alone(&command)
            .expect(0)
            .says_somewhere("all 2 selected frames are completed");
        // Others with an older time, of as many bytes: as by mv, cp -p, rsync.
        line_of_argon(&folder, "md.xyz", &[1.5, 2.5]);
        touch(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000));
        let imported = fs::read(&import).unwrap();
        for more in ["", "--overwrite --frames 0"] {
            folder.alone(&format!("{command} {more}")).expect(1).says(
                "error: out/md.h5 was made with another input: its geometry is not that of md.xyz",
            );
            // What the result may have links to is what it was.
            assert!(fs::read(&import).unwrap() == imported);
        }
        assert_eq!(energies(), [1.0, 2.0]);
        folder
            .on(2, &format!("{command} --overwrite"))
            .expect(0)
            .says("--overwrite replaces it");
        assert_eq!(energies(), [1.5, 2.5]);
        assert!(fs::read(&import).unwrap() != before);
        // Without a result there is nothing to be careful of.
        fs::remove_file(folder.path("out/md.h5")).unwrap();
        line_of_argon(&folder, "md.xyz", &[4.0, 5.0, 6.0]);
        folder.alone(&command).expect(0);
        assert_eq!(energies(), [4.0, 5.0, 6.0]);
        fs::remove_dir_all(folder.path("out")).unwrap();
    }
}

#[test]
fn imports_and_results_have_names_of_their_own() {
    let folder = Folder::new();
    for name in ["md", "md.frames"] {
        line_of_argon(&folder, &format!("{name}.xyz"), &[1.0]);
    }
    folder.import("md");
    fs::write(folder.path("list"), "md.xyz\tx.h5\nmd.frames.xyz\tx.hdf5\n").unwrap();
    let before = folder.names();
    for (command, what) in [
        (
            "run md.xyz md.frames.xyz -o out -c null",
            "md.xyz: is imported into out/md.frames.h5, where the result of md.frames.xyz would be",
        ),
        (
            "run md.frames.xyz md.xyz -o out -c null",
            "md.xyz: is imported into out/md.frames.h5, where the result of md.frames.xyz would be",
        ),
        (
            "run --manifest list -o out -c null",
            "md.xyz and md.frames.xyz: both would be imported into out/x.frames.h5",
        ),
    ] {
        folder.alone(command).expect(2).error(what);
        assert_eq!(folder.names(), before, "{command}");
    }
    // What needs no import takes no name.
    folder
        .alone("run md.h5 md.frames.xyz -o out -c null")
        .expect(0);
    assert_eq!(completed(&folder.path("out/md.frames.h5")), 1);
}

#[test]
fn a_manifest_may_name_folders_below_that_of_the_results() {
    let folder = Folder::new();
    line_of_argon(&folder, "a.xyz", &[1.0]);
    line_of_argon(&folder, "b.xyz", &[2.0]);
    folder.import("b");
    fs::write(
        folder.path("list"),
        "a.xyz\tx/y/a.h5\nb.h5\tz/b.h5\nnone.h5\tn/n.h5\n",
    )
    .unwrap();
    folder
        .on(2, "run --manifest list -o out -c null")
        .expect(1)
        .says("1 of 3 inputs could not be computed");
    assert_eq!(completed(&folder.path("out/x/y/a.h5")), 1);
    assert_eq!(completed(&folder.path("out/z/b.h5")), 1);
    assert!(!folder.path("out/n").exists());
}
