//! `plugin`: the C example of the documentation, compiled against the header that the program prints, and libraries that
//! are not as they should be.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use framewise::adapters::hdf5::result_reader::ResultReader;
use framewise::domain::cell::Cell;
use framewise::domain::frame::{Frame, FrameBlock};
use framewise::planning::frame_set::FrameSet;
use support::folder::Folder;
use support::results::{assert_same, read};

const FRAMES: usize = 20;
const POISONED: usize = 7;

/// Frames of two atoms, one frame with an atom far away, and the header.
fn folder() -> Folder {
    let folder = Folder::new();
    let mut frames = FrameBlock::default();
    for i in 0..FRAMES {
        let x = if i == POISONED { 95.0 } else { 0.25 };
        let positions = [[x, 0.0, 0.5 * i as f64], [1.5, -2.0, 1.0 / (i + 3) as f64]];
        frames.push(
            i as u64,
            Frame {
                species: &[8, 1],
                positions: &positions,
                cell: Cell::periodic([[20.0, 0.0, 0.0], [0.0, 21.0, 0.0], [0.0, 0.5, 22.0]]),
            },
        );
    }
    folder.import_frames("in", &frames);
    let header = folder.alone("calculators plugin --header").expect(0);
    fs::write(folder.path("framewise_plugin.h"), header.stdout).unwrap();
    folder
}

/// Compiles a C file of the repository against the printed header, with no warning.
fn compile(folder: &Folder, source: &str, library: &str, more: &[&str]) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    // Away from the header of the repository.
    fs::copy(&source, folder.path("source.c")).unwrap();
    let status = Command::new("cc")
        .current_dir(folder.path(""))
        .args([
            "-std=c99",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-D_DEFAULT_SOURCE",
        ])
        .args(["-shared", "-fPIC", "-O2", "source.c", "-o", library])
        .args(more)
        .status();
    assert!(
        status.unwrap().success(),
        "cc compiles {}",
        source.display()
    );
}

#[test]
fn the_example_of_the_documentation_computes_springs() {
    let folder = folder();
    compile(&folder, "src/adapters/plugin/springs.c", "springs.so", &[]);
    // C++ reads the header, too.
    let mut command = Command::new("cc");
    command
        .current_dir(folder.path(""))
        .args(["-x", "c++", "-fsyntax-only"]);
    let status = command
        .args(["-Wall", "-Werror", "framewise_plugin.h"])
        .status();
    assert!(status.unwrap().success());
    let job = |result: &str| {
        format!("run in.h5 -o {result} -c plugin:springs.so -p k=2.5 --oversubscribe")
    };
    folder.alone(&job("one.h5")).expect(0);
    let found = read(&folder.path("one.h5"));
    let input = support::xyz::read(folder.path("in.xyz").to_str().unwrap());
    for i in 0..FRAMES {
        let mut energy = 0.0;
        for (k, r) in input.frame(i).positions.iter().enumerate() {
            for d in 0..3 {
                energy += 0.5 * 2.5 * r[d] * r[d];
                let force = found.forces[found.offsets[i] + k][d];
                assert_eq!(force.to_bits(), (-2.5 * r[d]).to_bits());
            }
        }
        assert_eq!(found.energy[i].to_bits(), energy.to_bits(), "frame {i}");
        assert!(found.stress[i].as_flattened().iter().all(|x| x.is_nan()));
    }
    for (ranks, more) in [(2, "-t 2"), (3, "-t 1 --isolate")] {
        let result = format!("r{ranks}.h5");
        folder
            .on(ranks, &format!("{} {more}", job(&result)))
            .expect(0);
        assert_same(&folder.path(&result), &folder.path("one.h5"));
    }
    // A path with a slash is the same library, but another job: it is recorded as typed.
    let reader = ResultReader::open(&folder.path("one.h5")).unwrap();
    let parameters = reader.attribute("parameters").unwrap();
    let known = "{\"k\":\"2.5\",\"library\":\"springs.so\",\"library_xxh3\":\"";
    assert!(parameters.starts_with(known), "{parameters}");
    assert_eq!(reader.attribute("level_of_theory"), Some("springs"));
}

#[test]
fn a_library_that_was_built_anew_is_another_job() {
    let folder = folder();
    compile(&folder, "src/adapters/plugin/springs.c", "springs.so", &[]);
    let job = "run in.h5 -o r.h5 -c plugin:springs.so -p k=2.5";
    folder.alone(&format!("{job} --frames 0:3")).expect(0);
    compile(
        &folder,
        "src/adapters/plugin/springs.c",
        "springs.so",
        &["-DNDEBUG", "-O3", "-g"],
    );
    folder.alone(job).expect(1).error("parameter library_xxh3");
}

#[test]
fn a_library_that_does_not_fit_is_refused_before_anything_is_created() {
    let folder = folder();
    let faulty = "tests/plugins/faulty.c";
    compile(&folder, "src/adapters/plugin/springs.c", "springs.so", &[]);
    compile(&folder, faulty, "old.so", &["-DVERSION=0"]);
    compile(&folder, faulty, "cut.so", &["-DWITHOUT_CREATE"]);
    compile(&folder, faulty, "faulty.so", &[]);
    fs::write(folder.path("text.so"), "no library").unwrap();
    for (code, calculator, told) in [
        (
            2,
            "plugin",
            "calculator plugin needs its library: --calculator plugin:PATH",
        ),
        (
            1,
            "plugin:gone.so",
            "gone.so cannot be loaded: gone.so: cannot open shared object file",
        ),
        (1, "plugin:text.so", "text.so cannot be loaded"),
        (
            1,
            "plugin:libm.so.6",
            "libm.so.6 is no framewise plug-in: it has no function framewise_plugin_version",
        ),
        (
            1,
            "plugin:old.so",
            "was built for version 0 of the plug-in interface, this framewise has version 1",
        ),
        (
            1,
            "plugin:cut.so",
            "it has no function framewise_plugin_create",
        ),
        (
            1,
            "plugin:springs.so",
            "springs.so: springs need --param k=NUMBER (eV/Angstrom^2)",
        ),
        (
            1,
            "plugin:springs.so -p k=two",
            "springs need --param k=NUMBER",
        ),
        (
            1,
            "plugin:springs.so -p stiffness=2",
            "springs know no parameter stiffness",
        ),
        (2, "null:3", "null takes nothing after its name"),
    ] {
        let run = folder
            .on(2, &format!("run in.h5 -o r.h5 -c {calculator}"))
            .refused(code);
        assert!(run.stderr.contains(told), "{calculator}: {run}");
        assert_eq!(run.stderr.matches("error: ").count(), 1, "{run}");
        assert!(!folder.path("r.h5").exists(), "{calculator}");
    }
    // No check, and no calculator: the job ends with what there is to say.
    let run = folder
        .on(2, "run in.h5 -o r.h5 -c plugin:faulty.so -p how=refuse")
        .expect(1);
    let told =
        "cannot set up the calculator: faulty.so: it makes no calculator and does not say why";
    assert!(run.stderr.contains(told), "{run}");
}

#[test]
fn whatever_a_library_answers_costs_one_frame() {
    let folder = folder();
    compile(&folder, "tests/plugins/faulty.c", "faulty.so", &[]);
    let long = "x".repeat(1024);
    for (how, status, reason) in [
        ("nan", 3, "the force on atom 1 is not finite"),
        ("stress", 3, "the stress is not finite"),
        ("unconverged", 2, "two lines"),
        ("endless", 3, &*long),
        ("strange", 3, "the plug-in answers 77, which means nothing"),
        ("crash", 3, "the engine's process died: signal 6 (SIGABRT)"),
    ] {
        let isolate = if how == "crash" { "--isolate" } else { "" };
        let command =
            format!("run in.h5 -o {how}.h5 -c plugin:faulty.so -p how={how} -t 1 {isolate}");
        folder.on(2, &command).expect(3);
        let path = folder.path(&format!("{how}.h5"));
        let found = read(&path);
        for i in 0..FRAMES {
            assert_eq!(
                found.status[i],
                if i == POISONED { status } else { 0 },
                "{how} {i}"
            );
            // The cell's first number, one for the direction that repeats, and the first species.
            assert!(i == POISONED || found.energy[i] == 29.0);
        }
        let frame = FrameSet::from_runs(vec![POISONED as u64..POISONED as u64 + 1]);
        let message = ResultReader::open(&path).unwrap().messages(&frame).unwrap();
        assert!(
            reason.starts_with(&message[0]) && !message[0].is_empty(),
            "{how}: {message:?}"
        );
    }
}
