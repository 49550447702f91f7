//! Several inputs in one launch.

mod support;

use std::fs;

use rustix::process::Signal;

use support::folder::{Folder, perturbed};
use support::results::{assert_same, completed};

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
        folder.on(2, command).expect(2).error(what);
        assert_eq!(folder.names(), before, "{command}");
    }
}
