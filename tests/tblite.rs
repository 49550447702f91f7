//! `tblite` against its own Python interface (references in `tests/data`, made by `make/reference_tblite.py`), its own
//! derivatives, the xtb program and itself.
//!
//! libtblite 0.8 must be there (`scripts/tblite` makes one, `TBLITE_DIR` says where); without it these tests fail.
#![cfg(feature = "tblite")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use framewise::adapters::tblite::KIND;
use framewise::domain::calculator::{Availability, Calculator, Conditions, Factory, Failure};
use framewise::domain::cell::Cell;
use framewise::domain::frame::{Frame, FrameBlock};
use framewise::domain::units::{BOHR, HARTREE};
use serde_json::Value;
use support::evaluated::evaluate;
use support::folder::{Folder, perturbed};
use support::launch::Launch;
use support::results::{assert_same, read, statuses};
use support::xyz;

const METHODS: [&str; 3] = ["gfn2", "gfn1", "ipea1"];

fn factory(parameters: &[(&str, &str)]) -> Arc<dyn Factory> {
    let typed: Vec<_> = parameters
        .iter()
        .map(|(k, v)| ((*k).into(), (*v).into()))
        .collect();
    KIND.make(&typed, &Conditions::default()).unwrap()
}

fn calculator(parameters: &[(&str, &str)]) -> Box<dyn Calculator> {
    factory(parameters).build().unwrap()
}

fn json(name: &str) -> Value {
    let text = fs::read_to_string(xyz::data(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    serde_json::from_str(&text).unwrap()
}

fn rows(value: &Value) -> Vec<f64> {
    let rows = value.as_array().unwrap().iter();
    rows.flat_map(|row| row.as_array().unwrap())
        .map(|x| x.as_f64().unwrap())
        .collect()
}

/// The largest deviation, relative to the largest reference value.
fn relative(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let scale = largest(expected).max(1e-6);
    let pairs = found.iter().zip(expected);
    pairs.fold(0.0, |worst: f64, (a, b)| {
        let x = (a - b).abs() / scale;
        if x > worst || x.is_nan() { x } else { worst }
    })
}

fn largest(numbers: &[f64]) -> f64 {
    numbers.iter().fold(0.0, |m: f64, x| m.max(x.abs()))
}

fn times(factor: f64, numbers: &[f64]) -> Vec<f64> {
    numbers.iter().map(|x| factor * x).collect()
}

const WATER: Frame<'static> = Frame {
    species: &[8, 1, 1],
    positions: &[[0.0; 3], [0.95, 0.1, 0.0], [-0.3, 0.92, 0.05]],
    cell: Cell::OPEN,
};

#[test]
fn the_library_is_found_and_says_its_version() {
    match (KIND.availability)() {
        Availability::Available(text) => assert!(text.contains(", tblite 0.8."), "{text}"),
        Availability::Missing(text) => panic!("{text}"),
    }
}

#[test]
fn molecules_and_crystals_as_in_its_own_python_interface() {
    let reference = json("tblite.reference.json");
    let entries = reference["frames"].as_array().unwrap();
    let (mut compared, mut periodic, mut failed) = (0, 0, 0);
    let mut wrong = Vec::new();
    for entry in entries {
        let text = |key: &str| entry[key].to_string().trim_matches('"').to_owned();
        let typed = ["method", "accuracy", "charge", "uhf"].map(|key| (key, text(key)));
        let parameters = typed.each_ref().map(|(k, v)| (*k, v.as_str()));
        let frames = xyz::read(&text("structures"));
        let frame = frames.frame(entry["frame"].as_u64().unwrap() as usize);
        let found = evaluate(&mut *calculator(&parameters), &frame);
        let what = format!("{} {} {parameters:?}", text("structures"), text("frame"));
        if let Some(said) = entry["failed"].as_str() {
            let expected = format!("tblite: {said}");
            let expected = if said.starts_with("SCF not converged") {
                Failure::NotConverged(expected)
            } else {
                Failure::Failed(expected)
            };
            assert_eq!(found, Err(expected), "{what}");
            failed += 1;
            continue;
        }
        let found = found.unwrap_or_else(|failure| panic!("{what}: {failure:?}"));
        let energy = entry["energy"].as_f64().unwrap() * HARTREE;
        let energy = relative(&[found.energy], &[energy]);
        let forces = times(-HARTREE / BOHR, &rows(&entry["gradient"]));
        let forces = relative(found.forces.as_flattened(), &forces);
        let stress = match &entry["virial"] {
            Value::Null => {
                assert!(found.stress.as_flattened().iter().all(|x| x.is_nan()));
                0.0
            }
            virial => {
                periodic += 1;
                let stress = times(HARTREE / frame.cell.volume(), &rows(virial));
                relative(found.stress.as_flattened(), &stress)
            }
        };
        compared += 1;
        if !(energy < 1e-9 && forces < 1e-9 && stress < 1e-9) {
            wrong.push(format!(
                "{what}: energy {energy:.0e} forces {forces:.0e} stress {stress:.0e}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!((compared, periodic, failed), (70, 22, 5));
}

/// Another implementation of the same methods.
#[test]
fn molecules_as_in_the_xtb_program() {
    for (name, count) in [("water6", 20), ("charged", 5)] {
        let frames = xyz::read(&format!("{name}.xyz"));
        let reference = json(&format!("{name}.reference.json"));
        let entries = reference["frames"].as_array().unwrap();
        assert_eq!(entries.len(), count);
        for (i, entry) in entries.iter().enumerate() {
            for method in ["gfn2", "gfn1"] {
                let text = |key: &str| entry.get(key).map_or("0".into(), Value::to_string);
                let mut calculator = calculator(&[
                    ("method", method),
                    ("accuracy", "0.001"),
                    ("charge", &text("charge")),
                    ("uhf", &text("uhf")),
                ]);
                let found = evaluate(&mut *calculator, &frames.frame(i)).unwrap();
                let expected = &entry[format!("{method}_acc0.001")];
                let energy = found.energy / HARTREE - expected["energy"].as_f64().unwrap();
                let gradient = rows(&expected["gradient"]);
                let forces = found.forces.as_flattened().iter().zip(&gradient);
                let forces = forces.map(|(f, g)| -f * BOHR / HARTREE - g);
                let mut forces = largest(&forces.collect::<Vec<_>>());
                if text("uhf") != "0" {
                    // Those of xtb 6.5.1 are not the derivatives of its energies then.
                    forces = 0.0;
                }
                assert!(
                    energy.abs() < 1e-7 && forces < 1e-7,
                    "{name} {i} {method}: {energy:e} Eh, {forces:e} Eh/Bohr"
                );
            }
        }
    }
}

#[test]
fn forces_and_stress_are_derivatives_of_the_energy() {
    let water = METHODS.map(|method| ("water6.xyz", 7, method, [("charge", "0"), ("uhf", "0")]));
    let radical = METHODS.map(|method| ("charged.xyz", 2, method, [("charge", "1"), ("uhf", "1")]));
    let crystals =
        [3, 4].map(|n| METHODS.map(|method| ("periodic_gfn1.xyz", n, method, water[0].3)));
    let samples = water.iter().chain(&radical).chain(crystals.as_flattened());
    for &(file, n, method, [charge, uhf]) in samples {
        let frames = xyz::read(file);
        let frame = frames.frame(n);
        let tight = ("accuracy", "0.0001");
        let mut calculator = calculator(&[("method", method), tight, charge, uhf]);
        let found = evaluate(&mut *calculator, &frame).unwrap();
        // Fourth order; where there is a cell the energy has steps and kinks, which a small step avoids.
        let mut slope = |at: &dyn Fn(f64) -> (Vec<[f64; 3]>, Cell), h: f64| {
            let mut energy = |step: f64| {
                let (positions, cell) = at(step);
                let frame = Frame {
                    species: frame.species,
                    positions: &positions,
                    cell,
                };
                evaluate(&mut *calculator, &frame).unwrap().energy
            };
            (8.0 * (energy(h) - energy(-h)) - (energy(2.0 * h) - energy(-2.0 * h))) / (12.0 * h)
        };
        for (atom, d) in [(0, 0), (1, 1), (frame.len() - 1, 2), (frame.len() - 1, 0)] {
            let moved = |step: f64| {
                let mut positions = frame.positions.to_vec();
                positions[atom][d] += step;
                (positions, frame.cell)
            };
            let difference = (slope(&moved, 5e-4) + found.forces[atom][d]).abs();
            assert!(
                difference < 1e-7,
                "{file} {method} atom {atom} {d}: {difference:e} eV/Å"
            );
        }
        if !frame.cell.is_periodic() {
            continue;
        }
        let volume = frame.cell.volume();
        for (a, b) in [(0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (2, 0)] {
            assert_eq!(found.stress[a][b].to_bits(), found.stress[b][a].to_bits());
            let strained = |e: f64| {
                let strain = |mut r: [f64; 3]| {
                    r[a] += e * r[b];
                    r
                };
                let vectors = frame.cell.vectors.map(strain);
                let cell = Cell {
                    vectors,
                    ..frame.cell
                };
                (frame.positions.iter().map(|r| strain(*r)).collect(), cell)
            };
            let stress = slope(&strained, 5e-5) / volume;
            let difference = (stress - found.stress[a][b]).abs();
            assert!(
                difference < 2e-9,
                "{file} {method} stress {a}{b}: {stress:e}, off by {difference:e} eV/Å³"
            );
        }
    }
}

/// Electrons of molecules far apart are the same in any number of cells: what differs are the sums over images.
#[test]
fn doubled_cells_have_twice_the_energy() {
    let side = 9.0;
    let cell = |n: [f64; 3]| {
        let rows = [0, 1, 2].map(|a| [0, 1, 2].map(|b| if a == b { n[a] * side } else { 0.0 }));
        Cell::periodic(rows)
    };
    // The s functions of IPEA1 reach through such a cell.
    for method in ["gfn2", "gfn1"] {
        let mut calculator = calculator(&[("method", method), ("accuracy", "0.001")]);
        let one = Frame {
            cell: cell([1.0; 3]),
            ..WATER
        };
        let one = evaluate(&mut *calculator, &one).unwrap();
        for (n, axis) in [([2.0, 1.0, 1.0], 0), ([1.0, 1.0, 2.0], 2)] {
            let shifted = WATER.positions.iter().map(|r| {
                let mut r = *r;
                r[axis] += side;
                r
            });
            let positions: Vec<_> = WATER.positions.iter().copied().chain(shifted).collect();
            let two = Frame {
                species: &WATER.species.repeat(2),
                positions: &positions,
                cell: cell(n),
            };
            let two = evaluate(&mut *calculator, &two).unwrap();
            let energy = (two.energy / 2.0 - one.energy).abs();
            let stress: Vec<_> = two.stress.iter().zip(&one.stress).collect();
            let stress = stress
                .iter()
                .flat_map(|(a, b)| a.iter().zip(*b).map(|(a, b)| a - b));
            let stress = largest(&stress.collect::<Vec<_>>());
            assert!(
                energy < 2e-6 && stress < 2e-8,
                "{method} {n:?}: {energy:e} eV, {stress:e} eV/Å³"
            );
        }
    }
}

/// More lists of elements than are kept, of every kind, and frames that fail.
fn samples() -> FrameBlock {
    let mut frames = FrameBlock::default();
    let mut add = |frame: Frame<'_>| frames.push(frames.len() as u64, frame);
    for z in [9, 17, 35, 53] {
        for species in [[1, z], [z, 1]] {
            add(Frame {
                species: &species,
                positions: &[[0.0; 3], [0.1, 0.2, 1.3]],
                cell: Cell::OPEN,
            });
        }
    }
    add(WATER);
    add(xyz::read("water6.xyz").frame(3));
    add(Frame {
        positions: &[[0.0; 3]; 3],
        ..WATER
    });
    let periodic = xyz::read("periodic_gfn1.xyz");
    // The same elements with and without a cell.
    add(Frame {
        cell: Cell::OPEN,
        ..periodic.frame(4)
    });
    add(periodic.frame(4));
    add(periodic.frame(3));
    add(xyz::read("scf_failure.xyz").frame(1));
    frames
}

#[test]
fn results_are_the_same_bytes_in_any_order_and_on_any_thread() {
    let frames = samples();
    let factories = METHODS.map(|m| factory(&[("method", m), ("max_iterations", "30")]));
    let evaluate = |calculator: &mut dyn Calculator, n: usize| {
        evaluate(calculator, &frames.frame(n)).map(|found| found.bits())
    };
    let fresh = factories.each_ref().map(|factory| {
        let each = (0..frames.len()).map(|n| evaluate(&mut *factory.build().unwrap(), n));
        each.collect::<Vec<_>>()
    });
    assert!(fresh.iter().all(|found| found.iter().any(Result::is_err)));
    std::thread::scope(|scope| {
        for worker in 0..3 {
            let (factories, fresh, frames) = (&factories, &fresh, &frames);
            scope.spawn(move || {
                let mut calculators = factories.each_ref().map(|f| f.build().unwrap());
                for step in 0..12 * frames.len() {
                    let m = (step + worker) % METHODS.len();
                    let n = (7 * step + step * step / frames.len() + 3 * worker) % frames.len();
                    let found = evaluate(&mut *calculators[m], n);
                    assert_eq!(
                        found, fresh[m][n],
                        "{} frame {n} at step {step}",
                        METHODS[m]
                    );
                }
            });
        }
    });
}

#[test]
fn what_tblite_cannot_treat_fails_with_a_reason_and_the_process_lives() {
    let open = |species: &'static [u8], positions: &'static [[f64; 3]]| Frame {
        species,
        positions,
        cell: Cell::OPEN,
    };
    let radical = open(&[8, 1], &[[0.0; 3], [0.0, 0.3, 0.93]]);
    let cell = Cell::periodic([[8.0, 0.0, 0.0], [0.0, 8.0, 0.0], [0.0, 0.0, 8.0]]);
    let mut slab = Frame { cell, ..WATER };
    slab.cell.periodic[2] = false;
    let mut chain = slab;
    chain.cell.periodic[0] = false;
    let image = Frame {
        positions: &[[0.0; 3], [0.95, 0.1, 0.0], [8.95, 0.1, 8.0]],
        cell,
        ..WATER
    };
    let mut flat = Frame { cell, ..WATER };
    flat.cell.vectors[2] = flat.cell.vectors[0];
    let nan = Frame {
        positions: &[[0.0; 3], [0.95, f64::NAN, 0.0], [-0.3, 0.92, 0.05]],
        ..WATER
    };
    let direction = "periodic in all three directions or in none";
    for (frame, parameters, expected) in [
        (open(&[], &[]), vec![], "the frame has no atoms"),
        (nan, vec![], "position of atom 1 (H) is not finite"),
        (
            open(&[92], &[[0.0; 3]]),
            vec![],
            "tblite has no parameters for U (atomic number 92), only for H to Rn",
        ),
        (
            open(&[0, 1], &[[0.0; 3], [1.0, 0.0, 0.0]]),
            vec![],
            "no parameters for X (atomic number 0)",
        ),
        (
            open(&[8, 8], &[[1.0, 2.0, 3.0]; 2]),
            vec![],
            "atoms 0 (O) and 1 (O) are at the same place",
        ),
        (image, vec![], "atoms 1 (H) and 2 (H) are at the same place"),
        (flat, vec![], "volume"),
        (slab, vec![], direction),
        (chain, vec![("method", "gfn1")], direction),
        (
            WATER,
            vec![("uhf", "7")],
            "uhf 7 is impossible: the frame has 8 valence electrons",
        ),
        (WATER, vec![("uhf", "1")], "uhf 1 is impossible"),
        (
            radical,
            vec![("uhf", "2")],
            "uhf 2 is impossible: the frame has 7 valence electrons",
        ),
        (WATER, vec![("uhf", "8")], "do not fit the 6 orbitals"),
        (WATER, vec![("charge", "-30")], "do not fit the 6 orbitals"),
        (
            WATER,
            vec![("charge", "-12"), ("method", "ipea1")],
            "do not fit the 9 orbitals",
        ),
        (
            WATER,
            vec![("charge", "9")],
            "takes more than the 8 valence electrons",
        ),
    ] {
        match evaluate(&mut *calculator(&parameters), &frame) {
            Err(Failure::Failed(message)) => {
                assert!(
                    message.contains(expected) && !message.contains('\n'),
                    "{message}"
                );
            }
            other => panic!("{expected}: {other:?}"),
        }
    }
    evaluate(&mut *calculator(&[]), &WATER).unwrap();
}

#[test]
fn an_scf_that_does_not_converge_is_told_apart() {
    for method in METHODS {
        let mut impatient = calculator(&[("method", method), ("max_iterations", "2")]);
        let expected = Failure::NotConverged("tblite: SCF not converged in 2 cycles".into());
        assert_eq!(evaluate(&mut *impatient, &WATER), Err(expected));
    }
}

#[test]
fn parameters_matter() {
    let default = evaluate(&mut *calculator(&[]), &WATER).unwrap();
    for (name, value) in [
        ("method", "gfn1"),
        ("method", "ipea1"),
        ("charge", "1"),
        ("uhf", "2"),
        ("electronic_temperature", "20000"),
    ] {
        let found = evaluate(&mut *calculator(&[(name, value)]), &WATER).unwrap();
        let difference = (found.energy - default.energy).abs();
        assert!(difference > 1e-3, "{name}={value}: {difference} eV");
    }
    let same = [
        ("method", "gfn2"),
        ("charge", "0"),
        ("accuracy", "1"),
        ("max_iterations", "250"),
        ("electronic_temperature", "300"),
    ];
    let same = evaluate(&mut *calculator(&same), &WATER).unwrap();
    assert_eq!(same.bits(), default.bits());
    // Odd electrons are a doublet.
    let ion = |uhf| calculator(&[("charge", "1"), ("uhf", uhf)]);
    let bits = ["0", "1"].map(|uhf| evaluate(&mut *ion(uhf), &WATER).unwrap().bits());
    assert_eq!(bits[0], bits[1]);
}

/// Frames with a cell and without, of several sizes, one that does not converge and one that is impossible.
fn mixture() -> FrameBlock {
    let mut frames = FrameBlock::default();
    let mut add = |frame: Frame<'_>| frames.push(frames.len() as u64, frame);
    let (water, crystal) = (
        perturbed("water6.xyz", 8, 18),
        perturbed("periodic_gfn1.xyz", 4, 6),
    );
    for n in 0..8 {
        add(water.frame(n));
        if n < 4 {
            add(crystal.frame(n));
        }
    }
    add(xyz::read("scf_failure.xyz").frame(1));
    add(Frame {
        positions: &[[0.0; 3]; 3],
        ..WATER
    });
    frames
}

#[test]
fn the_same_bytes_on_any_ranks_and_threads_and_isolated() {
    let folder = Folder::new();
    let frames = mixture();
    folder.import_frames("in", &frames);
    let run =
        |name: &str, more: &str| format!("run in.h5 -o {name}.h5 --calculator tblite:gfn1 {more}");
    folder.alone(&run("one", "-t 1")).expect(3);
    let found = read(&folder.path("one.h5"));
    let mut expected = vec![0; frames.len()];
    expected[frames.len() - 2..].copy_from_slice(&[2, 3]);
    assert_eq!(statuses(&folder.path("one.h5")), expected);
    for n in 0..frames.len() - 2 {
        let stress = found.stress[n].as_flattened();
        let periodic = frames.frame(n).cell.is_periodic();
        assert!(stress.iter().all(|x| x.is_nan() != periodic), "frame {n}");
    }
    for (ranks, threads, more) in [(1, 3, ""), (3, 1, ""), (2, 2, ""), (1, 2, "--isolate")] {
        let name = format!("r{ranks}t{threads}");
        let more = format!("-t {threads} --oversubscribe {more}");
        let launch = match ranks {
            1 => folder.alone(&run(&name, &more)),
            _ => folder.on(ranks, &run(&name, &more)),
        };
        launch.expect(3);
        assert_same(&folder.path(&format!("{name}.h5")), &folder.path("one.h5"));
        fs::remove_file(folder.path(&format!("{name}.h5"))).unwrap();
    }
    assert_eq!(folder.names(), ["in.h5", "in.xyz", "one.h5"]);
    // What has computed is written down, and another version of it is told.
    let file = hdf5::File::open(folder.path("one.h5")).unwrap();
    let group = file.group("/parameters/framewise").unwrap();
    let text = |name: &str| {
        let attribute = group.attr(name).unwrap();
        let text: hdf5::types::VarLenUnicode = attribute.read_scalar().unwrap();
        text.to_string()
    };
    assert!(
        text("library").starts_with("tblite 0.8."),
        "{}",
        text("library")
    );
    assert_eq!(text("level_of_theory"), "GFN1-xTB");
    drop((group, file));
    let functions: Vec<_> = FUNCTIONS.split_whitespace().collect();
    let old = of_version(&folder, 703, &functions);
    let again = run("one", "-t 1 --retry failed --frames 13");
    let said = "this run goes on with tblite 0.7.3";
    elsewhere(&folder, &again, &[("FRAMEWISE_TBLITE_LIBRARY", &old)])
        .expect(3)
        .says(said);
    let same = folder.alone(&again).expect(3);
    assert!(!same.stderr.contains("goes on with"), "{same}");
}

/// The same library by two ways: in this process, and in a Python process through ASE. The units of both differ in the ninth
/// digit.
#[test]
fn as_its_ase_calculator() {
    let folder = Folder::new();
    let mut frames = FrameBlock::default();
    frames.push(0, xyz::read("water6.xyz").frame(0));
    frames.push(1, xyz::read("periodic_gfn1.xyz").frame(4));
    folder.import_frames("in", &frames);
    folder
        .alone("run in.h5 -o ours.h5 --calculator tblite -t 1")
        .expect(0);
    folder
        .alone("run in.h5 -o ase.h5 -t 1 --calculator ase:tblite.ase:TBLite --param method='GFN2-xTB' --param verbosity=0 --param fresh=yes")
        .expect(0);
    let (ours, ase) = (read(&folder.path("ours.h5")), read(&folder.path("ase.h5")));
    let stress = |n: usize| (ours.stress[n].as_flattened(), ase.stress[n].as_flattened());
    let (a, b) = stress(1);
    for (what, deviation) in [
        ("energy", relative(&ours.energy, &ase.energy)),
        (
            "forces",
            relative(ours.forces.as_flattened(), ase.forces.as_flattened()),
        ),
        ("stress", relative(a, b)),
    ] {
        assert!(deviation < 3e-7, "{what}: {deviation:e}");
    }
}

/// The program without what the caller has said about where the library is.
fn elsewhere(folder: &Folder, arguments: &str, variables: &[(&str, &str)]) -> Launch {
    let launch = folder
        .alone(arguments)
        .variable("TBLITE_DIR", "")
        .variable("FRAMEWISE_TBLITE_LIBRARY", "");
    variables
        .iter()
        .fold(launch, |launch, (name, value)| launch.variable(name, value))
}

/// Every function of the library that is used.
const FUNCTIONS: &str = "new_error delete_error check_error get_error new_context delete_context check_context \
    get_context_error set_context_verbosity new_structure delete_structure new_gfn2_calculator \
    new_gfn1_calculator new_ipea1_calculator delete_calculator set_calculator_accuracy \
    set_calculator_max_iter set_calculator_temperature get_singlepoint new_result delete_result \
    get_result_energy get_result_gradient get_result_virial";

/// A library which says that it is this version of tblite and has these functions, which do nothing.
fn of_version(folder: &Folder, version: i32, functions: &[&str]) -> String {
    let source = folder.path("version.c");
    let mut text = format!("int tblite_get_version(void) {{ return {version}; }}\n");
    for name in functions {
        text += &format!("void tblite_{name}(void) {{}}\n");
    }
    fs::write(&source, text).unwrap();
    let library = folder.path(&format!("v{version}.so"));
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-o"])
        .args([&library, &source]);
    assert!(cc.status().unwrap().success());
    library.to_str().unwrap().to_owned()
}

#[test]
fn a_missing_or_wrong_library_is_one_line_and_creates_nothing() {
    let folder = Folder::new();
    let mut water = FrameBlock::default();
    water.push(0, WATER);
    folder.import_frames("in", &water);
    let versions = [299, 900, 10_000].map(|v| of_version(&folder, v, &[]));
    let truncated = of_version(&folder, 800, &[]);
    let names = folder.names();
    let not_known = "which framewise does not know (0.3 to 0.8)";
    for (library, expected) in [
        (
            "/nowhere/libtblite.so",
            "libtblite cannot be loaded (/nowhere/libtblite.so: ".to_owned(),
        ),
        (
            "libc.so.6",
            "libc.so.6 is not the libtblite that is needed".into(),
        ),
        (
            "libxtb.so.6",
            "libxtb.so.6 is not the libtblite that is needed".into(),
        ),
        (
            &truncated,
            format!("{truncated} is not the libtblite that is needed"),
        ),
        (
            &versions[0],
            format!("{} is tblite 0.2.99, {not_known}", versions[0]),
        ),
        (
            &versions[1],
            format!("{} is tblite 0.9.0, {not_known}", versions[1]),
        ),
        (
            &versions[2],
            format!("{} is tblite 1.0.0, {not_known}", versions[2]),
        ),
    ] {
        let variable = [("FRAMEWISE_TBLITE_LIBRARY", library)];
        for isolate in ["", "--isolate"] {
            let command = format!("run in.h5 -o r.h5 --calculator tblite {isolate}");
            let run = elsewhere(&folder, &command, &variable).expect(1);
            let lines: Vec<_> = run.stderr.lines().filter(|l| l.contains("error")).collect();
            assert!(
                lines.len() == 1 && lines[0].contains(&expected),
                "{expected}: {run}"
            );
            assert!(lines[0].contains("conda-forge") && lines[0].contains("scripts/tblite"));
        }
        assert_eq!(folder.names(), names);
    }
}

#[test]
fn periodic_frames_are_refused_with_versions_that_sum_images_wrongly() {
    let folder = Folder::new();
    let mut frames = FrameBlock::default();
    frames.push(0, xyz::read("periodic_gfn1.xyz").frame(0));
    folder.import_frames("in", &frames);
    let functions: Vec<_> = FUNCTIONS.split_whitespace().collect();
    let old = of_version(&folder, 703, &functions);
    let variable = [("FRAMEWISE_TBLITE_LIBRARY", old.as_str())];
    for method in METHODS {
        let command = format!("run in.h5 -o {method}.h5 --calculator tblite:{method}");
        let expected =
            "periodic frames need tblite 0.8, not 0.7.3, whose sums over images are wrong";
        elsewhere(&folder, &command, &variable)
            .expect(3)
            .says(expected);
        assert_eq!(statuses(&folder.path(&format!("{method}.h5"))), [3]);
    }
}

#[test]
fn how_to_get_it_is_said_where_it_is_missing() {
    let folder = Folder::new();
    let nowhere = [("FRAMEWISE_TBLITE_LIBRARY", "/nowhere/libtblite.so")];
    for command in ["calculators", "calculators tblite"] {
        let listed = elsewhere(&folder, command, &nowhere).expect(0).stdout;
        let words: Vec<_> = listed.split_whitespace().collect();
        let text = words.join(" ");
        for expected in [
            "conda-forge or Spack: tblite",
            "scripts/tblite",
            "TBLITE_DIR",
        ] {
            assert!(text.contains(expected), "{expected}: {listed}");
        }
    }
}

#[test]
fn the_folder_of_an_installation_is_enough() {
    let folder = Folder::new();
    let Availability::Available(text) = (KIND.availability)() else {
        panic!("libtblite is missing");
    };
    let library = text.split(',').next().unwrap();
    if !Path::new(library).is_absolute() {
        return; // The system's own.
    }
    let prefix = folder.path("prefix");
    fs::create_dir(&prefix).unwrap();
    // The folder as a whole: the library finds its own by their places beside it.
    let folder_of_library = Path::new(library).parent().unwrap();
    std::os::unix::fs::symlink(folder_of_library, prefix.join("lib64")).unwrap();
    let prefix = prefix.to_str().unwrap();
    let listed = elsewhere(&folder, "calculators tblite", &[("TBLITE_DIR", prefix)]).expect(0);
    let expected = format!("yes, {prefix}/lib64/libtblite.so.0, tblite 0.");
    assert!(listed.stdout.contains(&expected), "{listed}");
}

#[test]
fn unknown_elements_and_impossible_parameters_create_nothing() {
    let folder = Folder::new();
    let mut frames = FrameBlock::default();
    frames.push(0, WATER);
    frames.push(
        1,
        Frame {
            species: &[8, 1, 87],
            ..WATER
        },
    );
    folder.import_frames("in", &frames);
    for (more, code, expected) in [
        (
            "",
            1,
            "tblite has no parameters for Fr (atomic number 87), only for H to Rn",
        ),
        (
            "--param uhf=-1",
            2,
            "parameter uhf: -1 is not a number of unpaired electrons",
        ),
        (
            "--param accuracy=1e-5",
            2,
            "parameter accuracy: 0.00001 is not between 0.0001 and 1000",
        ),
        ("--param method=gfn3", 2, "parameter method"),
        (
            "--param max_iterations=99999999999",
            2,
            "parameter max_iterations",
        ),
    ] {
        let command = format!("run in.h5 -o r.h5 --calculator tblite {more}");
        let run = match code {
            // Ranks find out together what they would compute.
            1 => folder.on(2, &command),
            _ => folder.alone(&command),
        };
        let run = run.expect(code);
        assert!(run.stderr.contains(expected), "{run}");
        assert_eq!(folder.names(), ["in.h5", "in.xyz"]);
    }
    // Without that frame.
    folder
        .alone("run in.h5 -o r.h5 --calculator tblite --frames 0")
        .expect(0);
}
