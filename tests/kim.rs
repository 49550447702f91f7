//! `kim` against LAMMPS, its own derivatives and itself (references in `tests/data`, made by `make/reference_kim.py`).
//!
//! libkim-api and the models of Debian's openkim-models must be installed; without them these tests fail.
#![cfg(feature = "kim")]

mod support;

use std::fs;
use std::sync::Arc;

use framewise::adapters::kim::KIND;
use framewise::domain::calculator::{Calculator, Conditions, Factory, Failure};
use framewise::domain::cell::Cell;
use framewise::domain::frame::{Frame, FrameBlock};
use serde_json::Value;
use support::evaluated::evaluate;
use support::folder::{Folder, perturbed};
use support::results::assert_same;
use support::xyz;

const SW: &str = "SW_StillingerWeber_1985_Si__MO_405512056662_005";
/// Asks for neighbours of ghosts.
const TERSOFF: &str = "Tersoff_LAMMPS_Tersoff_1989_SiC__MO_171585019474_003";
/// Two lists; one of them of ghosts too.
const TWO_LISTS: &str = "ex_model_Ar_SLJ_MultiCutoff";
const EAM: &str = "EAM_Dynamo_Mishin_2004_NiAl__MO_101214310689_005";
const MEAM: &str = "MEAM_LAMMPS_CostaAgrenClavaguera_2007_AlNi__MO_131642768288_000";
/// Learns from the elements of its first frames.
const EMT: &str =
    "EMT_Asap_Standard_JacobsenStoltzeNorskov_1996_AlAgAuCuNiPdPt__MO_115316750986_001";
/// Its objects share variables.
const SHARES: &str = "EAM_Magnetic2GQuintic_ChiesaDerletDudarev_2011_Fe__MO_140444321607_002";
/// Two Fortran drivers; the second prints when a model is created.
const FORTRAN: &str = "LJ_Shifted_Bernardes_1958MedCutoff_Ar__MO_126566794224_004";
const TALKS: &str = "EAM_MagneticCubic_DudarevDerlet_2005_Fe__MO_135034229282_002";
/// Runs only inside LAMMPS.
const SIMULATOR: &str = "Sim_LAMMPS_LJcut_AkersonElliott_Alchemy_PbAu";

fn made(model: &str) -> Result<Arc<dyn Factory>, String> {
    let typed = [("model".to_owned(), model.to_owned())];
    KIND.make(&typed, &Conditions::default()).map_err(|e| e.0)
}

fn calculator(model: &str) -> Box<dyn Calculator> {
    made(model).unwrap().build().unwrap()
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
    let scale = expected.iter().fold(1e-6, |m: f64, x| m.max(x.abs()));
    let pairs = found.iter().zip(expected);
    pairs.fold(0.0, |worst: f64, (a, b)| {
        let x = (a - b).abs() / scale;
        if x > worst || x.is_nan() { x } else { worst }
    })
}

#[test]
fn models_as_in_lammps() {
    let text = fs::read_to_string(xyz::data("kim.reference.json")).unwrap();
    let reference: Value = serde_json::from_str(&text).unwrap();
    let entries = reference["frames"].as_array().unwrap();
    assert!(entries.len() > 100);
    let mut wrong = Vec::new();
    let mut at: Option<(String, Box<dyn Calculator>)> = None;
    for entry in entries {
        let model = entry["model"].as_str().unwrap();
        if at.as_ref().is_none_or(|(name, _)| name != model) {
            at = Some((model.to_owned(), calculator(model)));
        }
        let (_, calculator) = at.as_mut().unwrap();
        let (file, number) = (entry["structures"].as_str().unwrap(), &entry["frame"]);
        let frames = xyz::read(file);
        let frame = frames.frame(number.as_u64().unwrap() as usize);
        let found = evaluate(calculator.as_mut(), &frame).unwrap();
        let energy = relative(&[found.energy], &[entry["energy"].as_f64().unwrap()]);
        let forces = relative(found.forces.as_flattened(), &rows(&entry["forces"]));
        let stress = match &entry["stress"] {
            Value::Null => {
                assert!(found.stress.as_flattened().iter().all(|x| x.is_nan()));
                0.0
            }
            stress => relative(found.stress.as_flattened(), &rows(stress)),
        };
        if !(energy < 1e-9 && forces < 1e-9 && stress < 1e-9) {
            let style = &entry["pair_style"];
            wrong.push(format!(
                "{model} {style} {file} {number}: energy {energy:.0e} forces {forces:.0e} stress {stress:.0e}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A model and a frame of it: every shape of frames, every kind of neighbour lists.
fn samples() -> Vec<(&'static str, FrameBlock, usize)> {
    [
        (SW, "silicon.xyz", 0),
        (SW, "kim.xyz", 11),
        (TERSOFF, "kim.xyz", 4),
        (TERSOFF, "kim.xyz", 14),
        (TWO_LISTS, "argon_small_cell.xyz", 4),
        (TWO_LISTS, "argon_slab.xyz", 1),
        (EAM, "kim.xyz", 2),
        (MEAM, "kim.xyz", 2),
        (FORTRAN, "argon_cluster.xyz", 0),
        (TALKS, "kim.xyz", 3),
    ]
    .into_iter()
    .map(|(model, file, n)| (model, xyz::read(file), n))
    .collect()
}

fn largest(numbers: &[f64]) -> f64 {
    numbers.iter().fold(0.0, |m: f64, x| m.max(x.abs()))
}

#[test]
fn forces_and_stress_are_derivatives_of_the_energy() {
    for (model, frames, n) in samples() {
        let (mut calculator, frame) = (calculator(model), frames.frame(n));
        let found = evaluate(calculator.as_mut(), &frame).unwrap();
        // Fourth order, so that the step can be large.
        let mut slope = |at: &dyn Fn(f64) -> (Vec<[f64; 3]>, Cell), h: f64| {
            let mut energy = |step: f64| {
                let (positions, cell) = at(step);
                let frame = Frame {
                    species: frame.species,
                    positions: &positions,
                    cell,
                };
                evaluate(calculator.as_mut(), &frame).unwrap().energy
            };
            (8.0 * (energy(h) - energy(-h)) - (energy(2.0 * h) - energy(-2.0 * h))) / (12.0 * h)
        };
        let scale = largest(found.forces.as_flattened());
        for atom in [0, frame.len() / 2, frame.len() - 1] {
            for d in 0..3 {
                let moved = |step: f64| {
                    let mut positions = frame.positions.to_vec();
                    positions[atom][d] += step;
                    (positions, frame.cell)
                };
                let force = -slope(&moved, 1e-4);
                let deviation = (force - found.forces[atom][d]).abs() / scale;
                assert!(deviation < 2e-6, "{model} atom {atom} {d}: {deviation:e}");
            }
        }
        if !frame.cell.is_periodic() {
            continue;
        }
        let (volume, scale) = (frame.cell.volume(), largest(found.stress.as_flattened()));
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
            let stress = slope(&strained, 1e-5) / volume;
            let deviation = (stress - found.stress[a][b]).abs() / scale;
            assert!(deviation < 2e-6, "{model} stress {a}{b}: {deviation:e}");
        }
    }
}

#[test]
fn results_are_the_same_bytes_in_any_order_and_on_any_thread() {
    let mut samples = samples();
    samples.push((EMT, xyz::read("kim.xyz"), 1));
    samples.push((SHARES, perturbed("kim.xyz", 15, 32), 3));
    let mut fresh = Vec::new();
    for (model, frames, n) in &samples {
        let bits: Vec<_> = (0..frames.len())
            .filter_map(|i| evaluate(calculator(model).as_mut(), &frames.frame(i)).ok())
            .map(|found| found.bits())
            .collect();
        assert!(!bits.is_empty(), "{model} {n}");
        fresh.push(bits);
    }
    std::thread::scope(|scope| {
        for worker in 0..3 {
            let (samples, fresh) = (&samples, &fresh);
            scope.spawn(move || {
                for round in 0..3 {
                    for s in 0..samples.len() {
                        let s = (s + 3 * worker) % samples.len();
                        let (model, frames, _) = &samples[s];
                        let mut calculator = calculator(model);
                        let mut order: Vec<_> = (0..frames.len()).collect();
                        if (round + worker) % 2 == 1 {
                            order.reverse();
                        }
                        let mut found: Vec<_> = order
                            .into_iter()
                            .filter_map(|i| evaluate(calculator.as_mut(), &frames.frame(i)).ok())
                            .map(|found| found.bits())
                            .collect();
                        if (round + worker) % 2 == 1 {
                            found.reverse();
                        }
                        assert!(found == fresh[s], "{model} on worker {worker}");
                    }
                }
            });
        }
    });
}

#[test]
fn wrong_models_and_species_are_one_clear_line() {
    for (typed, expected) in [
        ("", "calculator kim needs a model: --calculator kim:MODEL"),
        (
            "SW_StillingerWeber_1985_Si",
            "did you mean \"SW_StillingerWeber_1985_Si__MO_405512056662_005\"?",
        ),
        (
            "SW_StillingerWeber_1985_Si__MO_405512056662_999",
            "did you mean \"SW_StillingerWeber_1985_Si__MO_",
        ),
        (
            "zzz",
            "parameter model: no model \"zzz\" is installed; `framewise calculators kim` lists them",
        ),
        ("a/../b\"", "is installed"),
        (
            SIMULATOR,
            "is a simulator model, which runs only inside the program it was made for",
        ),
        ("SW__MD_335816936951_004", "is a model driver, not a model"),
        (
            "TIDP_RajanWarnerCurtin_2016A_User01__MO_514760222899_001",
            "knows no element, only species of its users",
        ),
    ] {
        let message = made(typed).err().unwrap();
        assert!(
            message.contains(expected) && !message.contains('\n'),
            "{message}"
        );
    }
    let factory = made(TERSOFF).unwrap();
    assert_eq!(factory.check_species(&[6, 14]), Ok(()));
    let message = format!("model {TERSOFF} does not know Ar (atomic number 18), only C Si");
    assert_eq!(factory.check_species(&[6, 18]), Err(message.clone()));
    let mut calculator = factory.build().unwrap();
    let mut frame = Frame {
        species: &[18],
        positions: &[[0.0; 3]],
        cell: Cell::OPEN,
    };
    assert_eq!(
        evaluate(calculator.as_mut(), &frame),
        Err(Failure::Failed(message))
    );
    frame.species = &[0];
    assert!(evaluate(calculator.as_mut(), &frame).is_err());
}

#[test]
fn impossible_frames_fail_with_their_reason_and_the_next_one_is_right() {
    let (silicon, mut calculator) = (xyz::read("silicon.xyz"), calculator(SW));
    let before = evaluate(calculator.as_mut(), &silicon.frame(0)).unwrap();
    let cell = silicon.frame(0).cell;
    let place = [[1.0; 3], [1.0 + cell.vectors[0][0], 1.0, 1.0]];
    let far = [[0.0; 3], [f64::NAN, 0.0, 0.0]];
    let flat = Cell::periodic([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]);
    for (positions, cell, expected) in [
        (place, cell, "atoms 0 (Si) and 1 (Si) are at the same place"),
        (far, Cell::OPEN, "atom 1 at [NaN 0 0]"),
        ([[0.0; 3], [2.0; 3]], flat, "zero volume"),
    ] {
        let frame = Frame {
            species: &[14; 2],
            positions: &positions,
            cell,
        };
        let Err(Failure::Failed(message)) = evaluate(calculator.as_mut(), &frame) else {
            panic!("{expected}");
        };
        assert!(message.contains(expected), "{message}");
    }
    let nothing = Frame {
        species: &[],
        positions: &[],
        cell: Cell::OPEN,
    };
    assert_eq!(evaluate(calculator.as_mut(), &nothing).unwrap().energy, 0.0);
    let after = evaluate(calculator.as_mut(), &silicon.frame(0)).unwrap();
    assert_eq!(after.bits(), before.bits());
}

#[test]
fn what_a_model_refuses_is_said_in_its_own_words() {
    let model = "EAM_Dynamo_FoilesBaskesDaw_1986Universal3_Cu__MO_666348409573_004";
    let (frames, mut calculator) = (xyz::read("kim.xyz"), calculator(model));
    let copper = frames.frame(1);
    let before = evaluate(calculator.as_mut(), &copper).unwrap();
    let close = Frame {
        species: &[29; 3],
        positions: &[[0.0; 3], [0.3, 0.0, 0.0], [0.0, 0.31, 0.1]],
        cell: Cell::OPEN,
    };
    let Err(Failure::Failed(message)) = evaluate(calculator.as_mut(), &close) else {
        panic!("a density beyond the table was accepted");
    };
    let expected = format!("model {model}: it cannot evaluate the frame: Particle has density");
    assert!(
        message.starts_with(&expected) && !message.contains('\n'),
        "{message}"
    );
    let after = evaluate(calculator.as_mut(), &copper).unwrap();
    assert_eq!(after.bits(), before.bits());
}

#[test]
fn the_same_bytes_on_any_ranks_and_threads_and_nothing_left_behind() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("silicon.xyz", 60, 64));
    let run =
        |name: &str, more: &str| format!("run in.h5 -o {name}.h5 --calculator kim:{SW} {more}");
    folder.alone(&run("one", "-t 1")).expect(0);
    for (ranks, threads) in [(1, 2), (2, 1), (2, 2)] {
        let name = format!("r{ranks}t{threads}");
        let more = format!("-t {threads} --oversubscribe");
        folder.on(ranks, &run(&name, &more)).expect(0);
        assert_same(&folder.path(&format!("{name}.h5")), &folder.path("one.h5"));
    }
    folder
        .alone(&run("isolated", "-t 2 --oversubscribe --isolate"))
        .expect(0);
    assert_same(&folder.path("isolated.h5"), &folder.path("one.h5"));
    let names = folder.names();
    let expected = [
        "in.h5",
        "in.xyz",
        "isolated.h5",
        "one.h5",
        "r1t2.h5",
        "r2t1.h5",
        "r2t2.h5",
    ];
    assert_eq!(names, expected);
}

#[test]
fn models_that_talk_spoil_no_output() {
    let folder = Folder::new();
    let mut iron = FrameBlock::default();
    iron.push(0, xyz::read("kim.xyz").frame(3));
    folder.import_frames("in", &iron);
    let quiet = folder
        .alone("run in.h5 -o null.h5 --calculator null")
        .expect(0);
    let run = folder
        .alone(&format!(
            "run in.h5 -o r.h5 --calculator kim --param model={TALKS}"
        ))
        .expect(0);
    assert_eq!(
        quiet.stdout.lines().count(),
        run.stdout.lines().count(),
        "{run}"
    );
    assert!(!run.stdout.contains("otential info"), "{run}");
    assert_eq!(folder.names(), ["in.h5", "in.xyz", "null.h5", "r.h5"]);
}

#[test]
fn a_wrong_species_or_model_creates_nothing() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_small_cell.xyz", 3, 4));
    for (calculator, code, expected) in [
        (
            format!("kim:{SW}"),
            1,
            "does not know Ar (atomic number 18), only Si",
        ),
        ("kim:SW_StillingerWeber_1985_Si".into(), 2, "did you mean"),
        ("kim".into(), 2, "calculator kim needs a model"),
        (format!("kim:{SIMULATOR}"), 2, "is a simulator model"),
    ] {
        let run = folder
            .on(2, &format!("run in.h5 -o r.h5 --calculator {calculator}"))
            .refused(code);
        assert!(run.stderr.contains(expected), "{run}");
        assert_eq!(folder.names(), ["in.h5", "in.xyz"]);
    }
}

#[test]
fn installed_models_are_listed_with_their_species() {
    let folder = Folder::new();
    let listed = folder.alone("calculators kim").expect(0);
    for words in [
        [TERSOFF, "C Si"],
        [SW, "Si"],
        [TWO_LISTS, "Ar"],
        [EAM, "Ni Al"],
    ] {
        let line = listed
            .stdout
            .lines()
            .find(|line| line.split_whitespace().next() == Some(words[0]));
        let line = line.unwrap_or_else(|| panic!("{}", words[0]));
        let mut species: Vec<_> = words[1].split(' ').collect();
        let mut found: Vec<_> = line.split_whitespace().skip(1).collect();
        species.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, species, "{line}");
    }
    assert!(!listed.stdout.contains(SIMULATOR));
    assert!(
        listed
            .stdout
            .contains("LennardJones612_UniversalShifted__MO_959249795837_003")
    );
    assert!(listed.stdout.lines().count() > 430);
    assert!(folder.names().is_empty());
}

#[test]
fn a_missing_library_is_said_with_what_to_do() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("silicon.xyz", 2, 64));
    let run = folder
        .alone(&format!("run in.h5 -o r.h5 --calculator kim:{SW}"))
        .variable("FRAMEWISE_KIM_LIBRARY", "/nowhere/libkim-api.so")
        .expect(1);
    assert!(run.stderr.contains("libkim-api cannot be loaded"), "{run}");
    assert!(
        run.stderr
            .contains("apt-get install libkim-api2 openkim-models"),
        "{run}"
    );
    assert_eq!(folder.names(), ["in.h5", "in.xyz"]);
}
