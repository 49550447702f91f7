//! Dumps of LAMMPS: those that `export` writes come back, and those of LAMMPS itself are what its manual says they are.

mod support;

use std::fs;

use framewise::adapters::hdf5::input::Input;
use framewise::adapters::legend::Legend;
use framewise::adapters::source::{Detail, SourceFrame};
use framewise::adapters::trajectory_files::{Hints, open};
use framewise::domain::frame::FrameBlock;
use framewise::engine::ports::Source as _;
use framewise::planning::frame_set::FrameSet;

use support::folder::Folder;
use support::python::said;

/// Two frames of a salt in units that are not said, with types that are numbers.
const SALT: &str = "\
ITEM: TIMESTEP
0
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS pp pp ff
0 6
0 6
-1 7
ITEM: ATOMS id type x y z
2 2 3 0 0
1 1 0.5 0 0
ITEM: TIMESTEP
50
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS pp pp ff
0 6
0 6
-1 7
ITEM: ATOMS id type x y z
1 1 0.25 0 0
2 2 3 0 0
";

fn frames(text: &str, species: Option<&str>) -> Result<Vec<SourceFrame>, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.lammpstrj");
    fs::write(&path, text).unwrap();
    let hints = Hints {
        topology: None,
        legend: Legend::new(species, None).unwrap(),
    };
    let mut stream = open(&path, &hints).map_err(|e| e.message)?;
    let (mut frame, mut all) = (SourceFrame::default(), Vec::new());
    while stream
        .read(&mut frame, Detail::Full)
        .map_err(|e| e.message)?
    {
        all.push(frame.clone());
    }
    Ok(all)
}

#[test]
fn what_is_exported_is_imported_as_ase_reads_it() {
    let folder = Folder::new();
    for name in [
        "argon",
        "ragged",
        "argon_triclinic",
        "argon_slab",
        "argon_cluster",
        "silicon",
    ] {
        folder.bring(&format!("{name}.xyz"));
        folder.import(name);
        for command in [
            format!("run {name}.h5 -o {name}.r.h5 --calculator null"),
            format!("export {name}.r.h5 -o {name}.lammpstrj"),
            format!("import {name}.lammpstrj -o {name}.back.h5"),
        ] {
            folder.alone(&command).expect(0);
        }
        let files = [format!("{name}.lammpstrj"), format!("{name}.back.h5")];
        said("dumps.py", &folder, files);
    }
}

#[test]
fn tilted_boxes_scaled_positions_images_and_units_are_those_of_the_manual() {
    let text = "\
ITEM: UNITS
metal
ITEM: TIME
0.5
ITEM: TIMESTEP
100
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS xy xz yz pp pp pp
-1 14 2
1 11 -2
3 8 -1
ITEM: ATOMS id type element xs ys zs ix iy iz vx vy vz q c_mine
7 2 O 0.5 0.5 0.5 0 1 0 1 2 3 -2 one
3 1 Mg 0 0 0 0 0 0 4 5 6 2 two
";
    // xlo_bound = xlo + min(0, xy, xz, xy + xz), ylo_bound = ylo + min(0, yz), and likewise the other ends.
    let frame = &frames(text, None).unwrap()[0];
    assert_eq!(frame.species, [12, 8]);
    let vectors = [[11.0, 0.0, 0.0], [2.0, 9.0, 0.0], [-2.0, -1.0, 5.0]];
    assert_eq!(frame.cell.vectors, vectors);
    assert_eq!(frame.cell.periodic, [true; 3]);
    let origin = [1.0, 2.0, 3.0];
    assert_eq!(frame.positions[0], origin);
    let half = [0, 1, 2].map(|d| {
        let sum: f64 = vectors.iter().map(|v| 0.5 * v[d]).sum();
        origin[d] + sum + vectors[1][d]
    });
    assert_eq!(frame.positions[1], half);
    assert_eq!((frame.step, frame.time), (Some(100), Some(0.5)));
    let names: Vec<_> = frame
        .columns
        .iter()
        .map(|c| (&c.name[..], c.unit))
        .collect();
    let velocity = ("velocity", Some("Angstrom ps-1"));
    assert_eq!(names, [velocity, ("charge", None), ("c_mine", None)]);
}

#[test]
fn types_are_elements_as_the_user_says_or_the_error_asks_for_it_in_one_line() {
    for (species, expected) in [
        ("1=Na,2=Cl", [11, 17]),
        ("Na,Cl", [11, 17]),
        ("Ar:2", [18, 18]),
    ] {
        let found = frames(SALT, Some(species)).unwrap();
        assert_eq!(found.len(), 2);
        for (frame, x) in found.iter().zip([0.5, 0.25]) {
            assert_eq!(frame.species, expected, "{species}");
            assert_eq!(frame.positions, [[x, 0.0, 0.0], [3.0, 0.0, 0.0]]);
            assert_eq!(frame.cell.periodic, [true, true, false]);
        }
    }
    // What is said wins over the column of elements: LAMMPS writes C where nobody has said what types are.
    let named = SALT.replace("id type x", "id type element x");
    let named = named
        .replace("1 1 0", "1 1 C 0")
        .replace("2 2 3", "2 2 C 3");
    assert_eq!(frames(&named, None).unwrap()[0].species, [6, 6]);
    let told = frames(&named, Some("1=Na,2=Cl")).unwrap();
    assert_eq!(told[0].species, [11, 17]);
    for (text, species, what) in [
        (
            SALT.to_owned(),
            None,
            ":11: an atom has type 1, which is no element; say what is which element, --species 1=Ar,..., or all of them, --species Ar:2",
        ),
        (SALT.to_owned(), Some("1=Na"), "an atom has type 2"),
        (
            SALT.to_owned(),
            Some("Na:3"),
            "2 atoms, but --species names 3",
        ),
        (
            SALT.replace("0.25", "a"),
            Some("Na,Cl"),
            "\"a\" in column x is not a number",
        ),
        (
            SALT.replace("2 2 3 0 0", "2 2 3 0"),
            Some("Na,Cl"),
            ":10: an atom with 4 columns, expected 5: id type x y z",
        ),
        (
            SALT.replace("2 2 3", "1 2 3"),
            Some("Na,Cl"),
            "two atoms with the id 1",
        ),
        (
            SALT.replace("\n0 6\n", "\n0 6 1\n"),
            Some("Na,Cl"),
            ":6: \"0 6 1\" are not 2 numbers of a box",
        ),
        (
            SALT.replace("x y z", "u v w"),
            Some("Na,Cl"),
            "atoms have no positions",
        ),
        (
            SALT[..SALT.len() - 10].to_owned(),
            Some("Na,Cl"),
            "ends in the middle of a frame",
        ),
        (
            "nothing\n".to_owned(),
            None,
            ":1: \"nothing\" is not an ITEM of a LAMMPS dump",
        ),
    ] {
        let error = frames(&text, species).unwrap_err();
        assert!(error.contains(what) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn what_is_said_of_types_and_lengths_reaches_the_import_of_every_verb() {
    let folder = Folder::new();
    fs::write(folder.path("l.lammpstrj"), SALT).unwrap();
    let block = |name: &str| {
        let mut input = Input::open(&folder.path(name), None).unwrap();
        let mut block = FrameBlock::default();
        input.read(&FrameSet::all(2), &mut block).unwrap();
        block
    };
    folder
        .alone("import l.lammpstrj -o l.h5 --species 1=Na,2=Cl --length-unit nm")
        .expect(0);
    let found = block("l.h5");
    assert_eq!(found.species, [11, 17, 11, 17]);
    assert_eq!(found.positions[1], [30.0, 0.0, 0.0]);
    assert_eq!(found.cells[0].vectors[2], [0.0, 0.0, 80.0]);
    // Extended XYZ has no unit, either, and says its species.
    fs::write(
        folder.path("a.xyz"),
        "1\nLattice=\"2 0 0 0 2 0 0 0 2\"\nAr 1 0 0\n".repeat(2),
    )
    .unwrap();
    folder
        .alone("import a.xyz -o a.h5 --length-unit nm")
        .expect(0);
    let found = block("a.h5");
    assert_eq!(found.positions[0], [10.0, 0.0, 0.0]);
    assert_eq!(found.cells[1].vectors[0], [20.0, 0.0, 0.0]);
    fs::write(
        folder.path("m.lammpstrj"),
        format!("ITEM: UNITS\nmetal\n{SALT}"),
    )
    .unwrap();
    folder
        .alone("import m.lammpstrj -o m.h5 --species 1=Na,2=Cl --length-unit nm")
        .expect(1)
        .error("m.lammpstrj:2: lengths are in Angstrom, --length-unit says \"nm\"");

    let run = |species: &str, inputs: &str| {
        folder.alone(&format!(
            "run {inputs} -o out/ --calculator null --species {species}"
        ))
    };
    run("1=Na,2=Cl", "l.lammpstrj a.xyz").expect(0);
    assert_eq!(block("out/l.h5").species, [11, 17, 11, 17]);
    assert_eq!(block("out/l.h5").positions[1], [3.0, 0.0, 0.0]);
    // Again: there is nothing to do.
    run("1=Na,2=Cl", "l.lammpstrj a.xyz").expect(0);
    // Said otherwise it is another input, not that which was imported before.
    run("1=K,2=Cl", "l.lammpstrj a.xyz")
        .expect(1)
        .says("l.h5 was made with");
    // As of a single input: where some numbers are named all of them have to be.
    let rule = "18 is none of 1=Na,2=Cl, and where some numbers are named all of them have to be";
    folder
        .alone("run a.h5 -o a.r.h5 --calculator null --species 1=Na,2=Cl")
        .expect(1)
        .error(rule);
    let run = |species: &str| {
        folder.alone(&format!(
            "run l.lammpstrj a.h5 -o both/ --calculator null --species {species}"
        ))
    };
    run("1=Na,2=Cl").expect(1).says(rule);
    run("1=Na,2=Cl,18=Ar").expect(0);
    assert_eq!(block("both/l.h5").species, [11, 17, 11, 17]);
}

/// LAMMPS writes C for every type whose element nobody has told it.
#[test]
fn elements_that_nobody_has_said_are_doubted() {
    let folder = Folder::new();
    let text = SALT.replace("id type x", "id type element x");
    let text = text
        .replace("\n1 1 ", "\n1 1 C ")
        .replace("\n2 2 ", "\n2 2 C ");
    fs::write(folder.path("c.lammpstrj"), text).unwrap();
    folder
        .alone("import c.lammpstrj -o c.h5")
        .expect(0)
        .says("types 1, 2 are all of element C, which LAMMPS writes where nobody has told it the elements: --species 1=...,2=...");
    let said = folder
        .alone("import c.lammpstrj -o d.h5 --species 1=Na,2=Cl")
        .expect(0);
    assert!(!said.stderr.contains("element C"), "{said}");
}
