//! The program of the library's documentation, built and launched as its author would.

mod support;

use std::path::PathBuf;

use support::folder::{Folder, perturbed};
use support::launch::{Launch, PROGRAM};
use support::results::{assert_same, read};
use support::xyz;

/// Built with the tests.
fn springs() -> PathBuf {
    let path = PathBuf::from(PROGRAM)
        .with_file_name("examples")
        .join("springs");
    assert!(
        path.is_file(),
        "{}: cargo build --example springs",
        path.display()
    );
    path
}

#[test]
fn a_program_of_twenty_lines_is_framewise_with_one_more_calculator() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_npt.xyz", 40, 9));
    let on = |ranks, command: &str| Launch::of(&springs(), ranks, &folder.path("")).args(command);
    on(1, "run in.h5 -o one.h5 -c springs -p k=2.5").expect(0);
    let isolated = "run in.h5 -o two.h5 -c springs -p k=2.5 -t 2 --oversubscribe --isolate";
    on(2, isolated).expect(0);
    assert_same(&folder.path("two.h5"), &folder.path("one.h5"));
    let (found, frames) = (
        read(&folder.path("one.h5")),
        xyz::read(folder.path("in.xyz").to_str().unwrap()),
    );
    for i in 0..40 {
        let positions = frames.frame(i).positions.as_flattened();
        let forces = found.forces[found.offsets[i]..found.offsets[i + 1]].as_flattened();
        for (x, f) in positions.iter().zip(forces) {
            assert_eq!(f.to_bits(), (-2.5 * x).to_bits());
        }
        let energy: f64 = positions.iter().map(|x| 1.25 * x * x).sum();
        assert!((found.energy[i] - energy).abs() <= 1e-12 * energy);
    }
    // All other verbs, and calculators, are there.
    on(1, "verify one.h5").expect(0);
    on(1, "run in.h5 -o null.h5 -c null").expect(0);
    let about = on(1, "calculators springs").expect(0);
    assert!(about.stdout.contains("stiffness"), "{about}");
    let run = on(2, "run in.h5 -o three.h5 -c springs").expect(2);
    assert!(
        run.stderr
            .contains("parameter k is missing: --param k=NUMBER"),
        "{run}"
    );
    assert!(!folder.path("three.h5").exists());
}

#[test]
fn the_readme_shows_this_program() {
    let program = include_str!("examples/springs.rs");
    let shown = program.split_once("\n\n").unwrap().1;
    assert!(include_str!("../README.md").contains(shown.trim_end()));
}
