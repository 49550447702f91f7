//! The program of the library's documentation, built and launched as its author would.

mod support;

use std::path::PathBuf;

use support::folder::{Folder, perturbed};
use support::launch::{Launch, PROGRAM};
use support::results::{assert_same, read};
use support::xyz;

/// An example, built with the tests.
fn example(name: &str) -> PathBuf {
    let path = PathBuf::from(PROGRAM).with_file_name("examples").join(name);
    assert!(
        path.is_file(),
        "{}: cargo build --example {name}",
        path.display()
    );
    path
}

#[test]
fn a_program_of_twenty_lines_is_framewise_with_one_more_calculator() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_npt.xyz", 40, 9));
    let on = |ranks, command: &str| {
        Launch::of(&example("springs"), ranks, &folder.path("")).args(command)
    };
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
fn so_is_one_with_one_more_kernel_on_rows() {
    let folder = Folder::new();
    folder.bring("scan.h5");
    let on = |ranks, command: &str| {
        Launch::of(&example("extent"), ranks, &folder.path("")).args(command)
    };
    let command = "map scan.h5 --dataset signals --kernel extent";
    on(1, &format!("{command} -o one.h5")).expect(0);
    on(3, &format!("{command} -o three.h5 -t 2 --oversubscribe")).expect(0);
    assert_same(&folder.path("three.h5"), &folder.path("one.h5"));
    let rows = |file: &str, name: &str| {
        let file = hdf5::File::open(folder.path(file)).unwrap();
        file.dataset(name).unwrap().read_2d::<f64>().unwrap()
    };
    let signals = rows("scan.h5", "signals");
    let sums = rows("one.h5", "signals-extent_000/Sum");
    let largest = rows("one.h5", "signals-extent_000/Largest");
    for (i, row) in signals.outer_iter().enumerate() {
        assert_eq!(sums[[i, 0]].to_bits(), row.iter().sum::<f64>().to_bits());
        assert!(row.iter().all(|x| *x <= largest[[i, 0]]));
        assert!(row.iter().any(|x| *x == largest[[i, 0]]));
    }
    on(1, "verify one.h5").expect(0);
    let listed = on(1, "kernels").expect(0);
    assert!(listed.stdout.contains("extent"), "{listed}");
}

#[test]
fn the_readme_shows_these_programs() {
    let readme = include_str!("../README.md");
    for program in [
        include_str!("examples/springs.rs"),
        include_str!("examples/extent.rs"),
    ] {
        let shown = program.split_once("\n\n").unwrap().1;
        assert!(readme.contains(shown.trim_end()));
    }
}
