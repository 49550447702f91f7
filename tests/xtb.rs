//! xtb against the xtb program (references in `tests/data`, made by `tests/data/make/xtb.sh`).
//!
//! libxtb must be installed; without it these tests fail.
#![cfg(feature = "xtb")]

#[path = "support/evaluated.rs"]
mod evaluated;

use std::sync::Arc;

use evaluated::Evaluated;
use framewise::adapters::xtb::KIND;
use framewise::domain::calculator::{Availability, Calculator, Conditions, Factory, Failure};
use framewise::domain::cell::Cell;
use framewise::domain::elements;
use framewise::domain::frame::Frame;
use framewise::domain::parameters::Parameters;
use framewise::domain::units::{BOHR, HARTREE};
use serde_json::Value;

/// A frame with its own arrays.
#[derive(Clone)]
struct Owned {
    species: Vec<u8>,
    positions: Vec<[f64; 3]>,
    cell: Cell,
}

impl Owned {
    fn new(species: &[u8], positions: &[[f64; 3]]) -> Self {
        Self {
            species: species.to_vec(),
            positions: positions.to_vec(),
            cell: Cell::OPEN,
        }
    }

    fn frame(&self) -> Frame<'_> {
        Frame {
            species: &self.species,
            positions: &self.positions,
            cell: self.cell,
        }
    }
}

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

fn evaluate(calculator: &mut dyn Calculator, owned: &Owned) -> Result<Evaluated, Failure> {
    evaluated::evaluate(calculator, &owned.frame())
}

fn data(name: &str) -> String {
    let path = format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Reads what `tests/data/make` writes: `Lattice="..."` is the only property looked at.
fn read_xyz(name: &str) -> Vec<Owned> {
    let text = data(name);
    let mut lines = text.lines();
    let mut frames = Vec::new();
    while let Some(count) = lines.next() {
        let comment = lines.next().unwrap();
        let lattice = comment.split_once("Lattice=\"").map(|(_, rest)| {
            let mut x = rest
                .split('"')
                .next()
                .unwrap()
                .split_whitespace()
                .map(|x| x.parse().unwrap());
            [(); 3].map(|()| [(); 3].map(|()| x.next().unwrap()))
        });
        let mut owned = Owned::new(&[], &[]);
        owned.cell = lattice.map_or(Cell::OPEN, Cell::periodic);
        for line in lines.by_ref().take(count.trim().parse().unwrap()) {
            let mut words = line.split_whitespace();
            owned
                .species
                .push(elements::parse(words.next().unwrap()).unwrap());
            owned
                .positions
                .push([(); 3].map(|()| words.next().unwrap().parse().unwrap()));
        }
        frames.push(owned);
    }
    frames
}

fn references(name: &str) -> Vec<Value> {
    let mut json: Value = serde_json::from_str(&data(name)).unwrap();
    let Value::Array(frames) = json["frames"].take() else {
        panic!("{name} has no frames");
    };
    frames
}

fn assert_agrees(computed: &Evaluated, reference: &Value, what: &str) {
    let energy = reference["energy"].as_f64().unwrap();
    let difference = (computed.energy / HARTREE - energy).abs();
    assert!(
        difference < 4e-11,
        "{what}: energies differ by {difference} Eh"
    );
    let gradient = reference["gradient"].as_array().unwrap();
    assert_eq!(gradient.len(), computed.forces.len());
    for (force, row) in computed.forces.iter().zip(gradient) {
        for k in 0..3 {
            let difference = (-force[k] * BOHR / HARTREE - row[k].as_f64().unwrap()).abs();
            assert!(
                difference < 2e-10,
                "{what}: gradients differ by {difference} Eh/Bohr"
            );
        }
    }
}

/// Compares every frame of `name`, with both methods and both accuracies where there are references.
fn compare(name: &str) -> usize {
    let frames = read_xyz(&format!("{name}.xyz"));
    let references = references(&format!("{name}.reference.json"));
    assert_eq!(frames.len(), references.len());
    let mut compared = 0;
    for (i, (owned, all)) in frames.iter().zip(&references).enumerate() {
        for (key, reference) in all.as_object().unwrap() {
            let Some((method, accuracy)) = (match key.as_str() {
                "gfn1" | "gfn2" => Some((key.as_str(), "1")),
                _ => key.split_once("_acc"),
            }) else {
                continue;
            };
            let charge = all.get("charge").map_or("0".into(), Value::to_string);
            let uhf = all.get("uhf").map_or("0".into(), Value::to_string);
            let mut calculator = calculator(&[
                ("method", method),
                ("accuracy", accuracy),
                ("charge", &charge),
                ("uhf", &uhf),
            ]);
            let computed = evaluate(&mut *calculator, owned).unwrap();
            assert_agrees(&computed, reference, &format!("{name} frame {i} {key}"));
            // The library has none: zeros would be taken for a stress.
            assert!(computed.stress.iter().flatten().all(|x| x.is_nan()));
            compared += 1;
        }
    }
    compared
}

#[test]
fn the_library_is_found_and_says_its_version() {
    match (KIND.availability)() {
        Availability::Available(text) => assert!(text.contains("API 1."), "{text}"),
        Availability::Missing(text) => panic!("{text}"),
    }
}

#[test]
fn water_clusters_agree_with_the_program() {
    assert_eq!(compare("water6"), 20 * 4);
}

#[test]
fn charged_and_open_shell_molecules_agree_with_the_program() {
    assert_eq!(compare("charged"), 5 * 4);
}

#[test]
fn periodic_frames_agree_with_the_program() {
    assert!(compare("periodic_gfn1") >= 2);
}

#[test]
fn an_scf_that_does_not_converge_costs_its_frame_alone_with_status_2() {
    let frames = read_xyz("scf_failure.xyz");
    let references = references("scf_failure.reference.json");
    for method in ["gfn1", "gfn2"] {
        let mut calculator = calculator(&[("method", method)]);
        let mut failures = 0;
        for (owned, reference) in frames.iter().zip(&references) {
            match evaluate(&mut *calculator, owned) {
                Ok(computed) => assert_agrees(&computed, &reference[method], method),
                Err(failure) => {
                    assert_eq!(reference[method]["exit_status"], 1, "{failure:?}");
                    assert_not_converged(&failure);
                    failures += 1;
                }
            }
        }
        assert_eq!(failures, 1);
    }
    let mut impatient = calculator(&[("max_iterations", "2")]);
    assert_not_converged(&evaluate(&mut *impatient, &water()).unwrap_err());
}

fn assert_not_converged(failure: &Failure) {
    let Failure::NotConverged(message) = failure else {
        panic!("{failure:?}");
    };
    let expected = "xtb: scf: Self consistent charge iterator did not converge";
    assert!(
        message.starts_with(expected) && !message.contains('\n'),
        "{message}"
    );
}

fn water() -> Owned {
    Owned::new(
        &[8, 1, 1],
        &[[0.0; 3], [0.95, 0.1, 0.0], [-0.3, 0.92, 0.05]],
    )
}

#[test]
fn forces_are_the_derivatives_of_the_energy() {
    let open = read_xyz("water6.xyz").remove(7);
    let periodic = read_xyz("periodic_gfn1.xyz").remove(0);
    for (owned, method) in [(&open, "gfn2"), (&open, "gfn1"), (&periodic, "gfn1")] {
        let mut calculator = calculator(&[("method", method), ("accuracy", "0.0001")]);
        let forces = evaluate(&mut *calculator, owned).unwrap().forces;
        for (atom, k) in [(0, 0), (1, 1), (4, 2), (5, 0)] {
            let h = 1e-3;
            let mut energy = |step: f64| {
                let mut moved = owned.clone();
                moved.positions[atom][k] += step;
                evaluate(&mut *calculator, &moved).unwrap().energy
            };
            let slope = (8.0 * (energy(h) - energy(-h)) - (energy(2.0 * h) - energy(-2.0 * h)))
                / (12.0 * h);
            let difference = (forces[atom][k] + slope).abs();
            assert!(difference < 2e-5, "{method} atom {atom}: {difference} eV/Å");
        }
    }
}

#[test]
fn results_do_not_depend_on_the_frames_before() {
    let frames = read_xyz("water6.xyz");
    for method in ["gfn2", "gfn1"] {
        let mut fresh: Vec<_> = Vec::new();
        for owned in frames.iter().take(6) {
            fresh.push(
                evaluate(&mut *calculator(&[("method", method)]), owned)
                    .unwrap()
                    .bits(),
            );
        }
        let mut one = calculator(&[("method", method)]);
        for i in [5, 0, 3, 3, 1, 4, 2, 5] {
            // A failing frame in between leaves no trace either.
            assert!(evaluate(&mut *one, &Owned::new(&[8, 8], &[[0.0; 3]; 2])).is_err());
            assert_eq!(evaluate(&mut *one, &frames[i]).unwrap().bits(), fresh[i]);
        }
    }
}

#[test]
fn results_do_not_depend_on_which_elements_came_before() {
    // More lists of elements than are kept, in orders that throw out each of them, and failures in between.
    let halogens = [9, 17, 35, 53].map(|z| Owned::new(&[1, z], &[[0.0; 3], [0.1, 0.2, 1.3]]));
    let turned = halogens.clone().map(|o| {
        Owned::new(
            &[o.species[1], o.species[0]],
            &[o.positions[1], o.positions[0]],
        )
    });
    let mut frames: Vec<_> = halogens.into_iter().chain(turned).collect();
    frames.push(water());
    frames.push(Owned::new(
        &[1, 8, 1],
        &[[0.95, 0.1, 0.0], [0.0; 3], [-0.3, 0.92, 0.05]],
    ));
    frames.push(Owned::new(&[8, 8], &[[0.0; 3]; 2]));
    let open = frames.len();
    frames.extend(read_xyz("periodic_gfn1.xyz"));
    for method in ["gfn2", "gfn1"] {
        let frames = &frames[..if method == "gfn1" { frames.len() } else { open }];
        let evaluate = |calculator: &mut dyn Calculator, n: usize| {
            evaluate(calculator, &frames[n]).map(|c| c.bits())
        };
        let fresh: Vec<_> = (0..frames.len())
            .map(|n| evaluate(&mut *calculator(&[("method", method)]), n))
            .collect();
        let mut one = calculator(&[("method", method)]);
        for step in 0..8 * frames.len() {
            let n = [
                step,
                step * step,
                7 * step + 3,
                frames.len() - 1 - step % frames.len(),
            ][step / frames.len() % 4]
                % frames.len();
            assert_eq!(
                evaluate(&mut *one, n),
                fresh[n],
                "{method} frame {n} at step {step}"
            );
        }
    }
}

#[test]
fn workers_at_the_same_time_give_the_bytes_of_a_serial_run() {
    let mut frames = read_xyz("water6.xyz");
    frames.truncate(3);
    frames.push(water());
    frames.push(Owned::new(&[8, 1], &[[0.0; 3], [0.0, 0.3, 0.93]]));
    frames.push(Owned::new(&[17, 17], &[[0.0; 3], [0.0, 0.0, 2.0]]));
    frames.extend(read_xyz("scf_failure.xyz"));
    let methods = ["gfn2", "gfn1"].map(|m| factory(&[("method", m)]));
    let serial: Vec<Vec<_>> = methods
        .iter()
        .map(|f| {
            let mut calculator = f.build().unwrap();
            frames
                .iter()
                .map(|o| evaluate(&mut *calculator, o).map(|c| c.bits()))
                .collect()
        })
        .collect();
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let (methods, serial, frames) = (&methods, &serial, &frames);
            let work = move || {
                let mut calculators = methods.each_ref().map(|f| f.build().unwrap());
                for step in 0..400 {
                    let m = (step + worker) % 2;
                    let i = (7 * step + 3 * worker) % frames.len();
                    let parallel = evaluate(&mut *calculators[m], &frames[i]).map(|c| c.bits());
                    assert_eq!(parallel, serial[m][i], "worker {worker} step {step}");
                }
            };
            let builder = std::thread::Builder::new().stack_size(64 << 20);
            builder.spawn_scoped(scope, work).unwrap();
        }
    });
}

#[test]
fn what_libxtb_cannot_treat_fails_with_a_reason_and_the_process_lives() {
    let oh = Owned::new(&[8, 1], &[[0.0; 3], [0.0, 0.3, 0.93]]);
    let mut periodic = water();
    periodic.cell = Cell::periodic([[8.0, 0.0, 0.0], [0.0, 8.0, 0.0], [0.0, 0.0, 8.0]]);
    let mut slab = periodic.clone();
    slab.cell.periodic[2] = false;
    let mut image = periodic.clone();
    image.positions[2] = [8.95, 0.1, 8.0];
    let mut nan = water();
    nan.positions[1][1] = f64::NAN;
    let twins = Owned::new(&[8, 8], &[[1.0, 2.0, 3.0]; 2]);
    let uranium = Owned::new(&[92], &[[0.0; 3]]);
    let dummy = Owned::new(&[0, 1], &[[0.0; 3], [1.0, 0.0, 0.0]]);
    let gfn1 = ("method", "gfn1");
    for (owned, parameters, expected) in [
        (&Owned::new(&[], &[]), vec![], "the frame has no atoms"),
        (&nan, vec![], "position of atom 1 (H) is not finite"),
        (&uranium, vec![], "no parameters for U (atomic number 92)"),
        (&dummy, vec![], "no parameters for X (atomic number 0)"),
        (
            &twins,
            vec![],
            "atoms 0 (O) and 1 (O) are at the same place",
        ),
        (
            &image,
            vec![gfn1],
            "atoms 1 (H) and 2 (H) are at the same place",
        ),
        (&periodic, vec![], "use method=gfn1"),
        (
            &slab,
            vec![gfn1],
            "periodic in all three directions or in none",
        ),
        (
            &water(),
            vec![("uhf", "7")],
            "uhf 7 is impossible: the frame has 8 valence electrons",
        ),
        (&water(), vec![("uhf", "1")], "uhf 1 is impossible"),
        (
            &oh,
            vec![("uhf", "2")],
            "uhf 2 is impossible: the frame has 7 valence electrons",
        ),
        (&water(), vec![("uhf", "8")], "do not fit the 6 orbitals"),
        (
            &water(),
            vec![("charge", "-30")],
            "do not fit the 6 orbitals",
        ),
        (
            &water(),
            vec![("charge", "9")],
            "takes more than the 8 valence electrons",
        ),
    ] {
        match evaluate(&mut *calculator(&parameters), owned) {
            Err(Failure::Failed(message)) => {
                assert!(
                    message.contains(expected) && !message.contains('\n'),
                    "{message}"
                );
            }
            other => panic!("{expected}: {other:?}"),
        }
    }
    evaluate(&mut *calculator(&[]), &water()).unwrap();
}

#[test]
fn odd_electrons_are_a_doublet_unless_said_otherwise() {
    let oh = Owned::new(&[8, 1], &[[0.0; 3], [0.0, 0.3, 0.93]]);
    let default = evaluate(&mut *calculator(&[]), &oh).unwrap();
    let doublet = evaluate(&mut *calculator(&[("uhf", "1")]), &oh).unwrap();
    let quartet = evaluate(&mut *calculator(&[("uhf", "3")]), &oh).unwrap();
    assert_eq!(default.bits(), doublet.bits());
    assert!(quartet.energy > doublet.energy + 1.0);
    let atom = Owned::new(&[1], &[[0.3; 3]]);
    let hydrogen = evaluate(&mut *calculator(&[]), &atom).unwrap();
    assert!((hydrogen.energy / HARTREE + 0.393_482_763_936).abs() < 1e-8);
    assert_eq!(hydrogen.forces, [[0.0; 3]]);
}

#[test]
fn impossible_parameters_and_species_are_refused_beforehand() {
    for (name, value, expected) in [
        (
            "uhf",
            "-1",
            "parameter uhf: -1 is not a number of unpaired electrons",
        ),
        (
            "accuracy",
            "1e-5",
            "parameter accuracy: 0.00001 is not between 0.0001 and 1000",
        ),
        ("max_iterations", "99999999999", "parameter max_iterations"),
    ] {
        let typed = [(name.to_owned(), value.to_owned())];
        let parameters = Parameters::parse("xtb", KIND.parameters, &typed).unwrap();
        let error = (KIND.factory)(&parameters, &Conditions::default())
            .err()
            .unwrap();
        assert!(error.0.contains(expected), "{error}");
    }
    let factory = factory(&[]);
    assert_eq!(factory.check_species(&[1, 8, 86]), Ok(()));
    assert!(
        factory
            .check_species(&[1, 87])
            .unwrap_err()
            .contains("Fr (atomic number 87)")
    );
}
