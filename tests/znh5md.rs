//! Files that `ZnH5MD` has written: numbers as reals, boundaries of each frame, ASE's units and its order of stresses.

mod support;

use framewise::adapters::hdf5::input::Input;
use framewise::domain::frame::FrameBlock;
use framewise::engine::ports::Source as _;
use framewise::planning::frame_set::FrameSet;
use serde_json::Value;

use support::folder::Folder;
use support::python::read_by;
use support::results::read;

fn frames(folder: &Folder, name: &str) -> FrameBlock {
    let mut input = Input::open(&folder.path(name), None).unwrap();
    let mut block = FrameBlock::default();
    input.read(&FrameSet::all(4), &mut block).unwrap();
    block
}

#[test]
fn they_are_computed_compared_and_carried_over() {
    let folder = Folder::new();
    read_by("zn.py", &folder, &["make", "fixed"]);
    folder.alone("import zn.extxyz -o expected.h5").expect(0);
    let expected = frames(&folder, "expected.h5");
    assert_eq!(expected.cells[2].periodic, [true, true, false]);
    folder
        .on(2, "run zn.h5 -o r.h5 -c null --carry all")
        .expect(0)
        .says("velocities: ZnH5MD stores those of ASE, in Å per 10.18 fs, and says Angstrom fs-1");
    for name in ["zn.h5", "r.h5"] {
        let found = frames(&folder, name);
        assert_eq!(found.species, expected.species, "{name}");
        assert_eq!(found.positions, expected.positions, "{name}");
        assert_eq!(found.cells, expected.cells, "{name}");
    }
    read_by("zn.py", &folder, &["velocities", "r.h5"]);

    let said = folder.alone("ls zn.h5").expect(0).stdout;
    assert!(
        said.contains("particles/atoms") && said.contains("mixed"),
        "{said}"
    );
    let said = folder.alone("compare zn.h5 zn.extxyz --json").expect(0);
    let found: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(
        (&found["frames"], &found["stress_frames"]),
        (&4.into(), &4.into())
    );
    for quantity in [
        &found["energy_total"],
        &found["forces"]["components"],
        &found["stress"],
    ] {
        assert_eq!(quantity["max"], 0.0, "{found}");
        assert!(quantity["n"].as_u64() > Some(3), "{found}");
    }
}

#[test]
fn frames_of_different_sizes_have_the_atoms_that_they_have() {
    let folder = Folder::new();
    read_by("zn.py", &folder, &["make", "sizes"]);
    folder.alone("import zn.extxyz -o expected.h5").expect(0);
    let expected = frames(&folder, "expected.h5");
    folder
        .on(2, "run zn.h5 -o r.h5 -c null --carry all")
        .expect(0)
        .says("velocities: ZnH5MD stores those of ASE");
    folder.alone("run expected.h5 -o e.h5 -c null").expect(0);
    for name in ["zn.h5", "r.h5"] {
        let found = frames(&folder, name);
        assert_eq!(found.offsets, [0, 2, 5, 9, 14], "{name}");
        assert_eq!(found.species, expected.species, "{name}");
        assert_eq!(found.positions, expected.positions, "{name}");
        assert_eq!(found.cells, expected.cells, "{name}");
    }
    let forces = |name: &str| read(&folder.path(name)).forces;
    assert_eq!(forces("r.h5"), forces("e.h5"));
    // What fills rows up goes nowhere: neither into the result, nor into what is exported.
    let real = |name: &str, dataset: &str| {
        let file = hdf5::File::open(folder.path(name)).unwrap();
        file.dataset(dataset).unwrap().read_raw::<f64>().unwrap()
    };
    let mut velocities = real("zn.h5", "particles/atoms/velocity/value");
    assert_eq!(velocities.len(), 4 * 5 * 3);
    velocities.retain(|x| !x.is_nan());
    assert_eq!(velocities.len(), 14 * 3);
    let carried = real("r.h5", "particles/trajectory/velocity/value");
    assert_eq!(carried, velocities);
    folder.alone("export zn.h5 -o all.extxyz").expect(0);
    folder.alone("import all.extxyz -o again.h5").expect(0);
    let again = real("again.h5", "particles/trajectory/velocity/value");
    assert_eq!(again, velocities);
    // Some of them, in another order of ranks.
    folder
        .on(3, "run zn.h5 -o some.h5 -c null --frames 1,3")
        .expect(0);
    let some = read(&folder.path("some.h5"));
    assert_eq!(some.status, [1, 0, 1, 0]);
    let said = folder.alone("compare zn.h5 zn.extxyz --json").expect(0);
    let found: Value = serde_json::from_str(&said.stdout).unwrap();
    let forces = &found["forces"]["components"];
    assert_eq!((&forces["n"], &forces["max"]), (&42.into(), &0.0.into()));
    assert_eq!(found["stress"]["max"], 0.0, "{found}");
    // A number that no integer holds is not what fills up.
    let file = hdf5::File::open_rw(folder.path("zn.h5")).unwrap();
    let species = file.dataset("/particles/atoms/species/value").unwrap();
    let wrong = ndarray::arr2(&[[-1e300]]);
    species
        .write_slice(&wrong, ndarray::s![1..2, 0..1])
        .unwrap();
    file.flush().unwrap();
    drop((species, file));
    folder
        .alone("run zn.h5 -o wrong.h5 -c null")
        .expect(1)
        .error("-1e300 is not an atomic number");
}
