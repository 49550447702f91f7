//! `lennard-jones` against LAMMPS, and against its own derivatives.
//!
//! Relative means: the largest deviation of a frame's energy, forces or stress, divided by the largest absolute
//! value of that quantity in the frame's reference, or by 1e-6 where all are smaller (forces that are zero by
//! symmetry). The references' stress is LAMMPS' virial pressure (bar in
//! metal units) divided by 1.6021765e6, the factor LAMMPS itself multiplies by (`nktv2p`), with the sign turned;
//! CODATA's 1.602176634e6 would be 8e-8 off.

#[allow(dead_code)]
#[path = "support/evaluated.rs"]
mod evaluated;
#[path = "support/xyz.rs"]
mod xyz;

use evaluated::Evaluated;
use framewise::domain::calculator::{Calculator, Conditions};
use framewise::domain::calculators::lennard_jones::KIND;
use framewise::domain::cell::Cell;
use framewise::domain::frame::Frame;
use framewise::domain::parameters::Parameters;
use serde_json::Value;

fn calculator(typed: &[(String, String)]) -> Box<dyn Calculator> {
    let parameters = Parameters::parse(KIND.name, KIND.parameters, typed).unwrap();
    (KIND.factory)(&parameters, &Conditions::default())
        .unwrap()
        .build()
        .unwrap()
}

fn evaluate(calculator: &mut dyn Calculator, frame: &Frame<'_>) -> Evaluated {
    evaluated::evaluate(calculator, frame).unwrap()
}

/// The parameters under which a reference was made, as a user would type them.
fn typed(reference: &Value) -> Vec<(String, String)> {
    let parameters = &reference["parameters"];
    let shift = if parameters["shift"].as_bool().unwrap() {
        "energy"
    } else {
        "none"
    };
    let mut typed = vec![
        ("cutoff".to_owned(), parameters["cutoff"].to_string()),
        ("shift".to_owned(), shift.to_owned()),
    ];
    for (pair, values) in parameters["pairs"].as_object().unwrap() {
        for name in ["epsilon", "sigma"] {
            typed.push((format!("{name}.{pair}"), values[name].to_string()));
        }
    }
    typed
}

fn reference(name: &str) -> Value {
    let text = std::fs::read_to_string(xyz::data(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
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
    let scale = expected.iter().fold(1e-6, |m: f64, x| m.max(x.abs()));
    let deviations = found
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs() / scale);
    deviations.fold(
        0.0,
        |worst: f64, x| if x > worst || x.is_nan() { x } else { worst },
    )
}

/// Compares every frame of a file with its reference.
fn compare(frames: &str, with: &str, expected_frames: usize) {
    let frames = xyz::read(frames);
    let reference = reference(with);
    let entries = reference["frames"].as_array().unwrap();
    assert_eq!(
        (frames.len(), entries.len()),
        (expected_frames, expected_frames)
    );
    let mut calculator = calculator(&typed(&reference));
    for (n, entry) in entries.iter().enumerate() {
        let frame = frames.frame(n);
        let found = evaluate(calculator.as_mut(), &frame);
        let energy = relative(&[found.energy], &[entry["energy"].as_f64().unwrap()]);
        assert!(
            energy < 1e-9,
            "{with} frame {n}: energy deviates by {energy:e}"
        );
        if !entry["forces"].is_null() {
            let forces = relative(found.forces.as_flattened(), &rows(&entry["forces"]));
            assert!(
                forces < 1e-9,
                "{with} frame {n}: forces deviate by {forces:e}"
            );
        }
        if !entry["stress"].is_null() {
            let stress = relative(found.stress.as_flattened(), &rows(&entry["stress"]));
            assert!(
                stress < 1e-9,
                "{with} frame {n}: stress deviates by {stress:e}"
            );
        } else if !frame.cell.is_periodic() {
            assert!(found.stress.as_flattened().iter().all(|x| x.is_nan()));
        }
    }
}

#[test]
fn liquid_argon_as_lammps() {
    compare("argon.xyz", "argon.reference.json", 20);
}

#[test]
fn shifted_energies_as_lammps() {
    compare("argon.xyz", "argon.reference.shifted.json", 20);
}

#[test]
fn triclinic_and_non_reduced_cells_as_lammps() {
    compare("argon_triclinic.xyz", "argon_triclinic.reference.json", 6);
}

#[test]
fn rotated_and_left_handed_cells_as_lammps() {
    compare("argon_rotated.xyz", "argon_rotated.reference.json", 3);
}

#[test]
fn cells_smaller_than_the_cutoff_as_lammps() {
    compare("argon_small_cell.xyz", "argon_small_cell.reference.json", 6);
}

#[test]
fn changing_cells_as_lammps() {
    compare("argon_npt.xyz", "argon_npt.reference.json", 5);
}

#[test]
fn a_slab_as_lammps() {
    compare("argon_slab.xyz", "argon_slab.reference.json", 5);
}

#[test]
fn a_cluster_as_lammps() {
    compare("argon_cluster.xyz", "argon_cluster.reference.json", 5);
}

#[test]
fn one_atom_as_lammps() {
    compare("argon_single.xyz", "argon_single.reference.json", 2);
}

#[test]
fn a_mixture_as_lammps() {
    compare("ArKr.xyz", "ArKr.reference.json", 5);
}

/// Frames of every kind, with a cutoff that no step of a derivative crosses noticeably (energies are shifted).
fn samples() -> Vec<(Vec<u8>, Vec<[f64; 3]>, Cell)> {
    [
        "argon",
        "argon_triclinic",
        "argon_small_cell",
        "argon_slab",
        "argon_cluster",
        "ArKr",
    ]
    .into_iter()
    .map(|name| {
        let frames = xyz::read(&format!("{name}.xyz"));
        let frame = frames.frame(frames.len() - 1);
        (frame.species.to_vec(), frame.positions.to_vec(), frame.cell)
    })
    .collect()
}

fn smooth() -> Box<dyn Calculator> {
    // The force at this cutoff is small, so that a pair that crosses it spoils little; no lattice vector of the
    // data is as long, or a whole shell of pairs would.
    let typed = [
        ("epsilon", "0.0104"),
        ("sigma", "3.4"),
        ("cutoff", "15.3"),
        ("shift", "energy"),
    ];
    calculator(&typed.map(|(a, b)| (a.to_owned(), b.to_owned())))
}

#[test]
fn forces_are_derivatives_of_the_energy() {
    let mut calculator = smooth();
    let h = 1e-4;
    for (species, positions, cell) in samples() {
        let energy = |calculator: &mut dyn Calculator, positions: &[[f64; 3]]| {
            let frame = Frame {
                species: &species,
                positions,
                cell,
            };
            evaluate(calculator, &frame).energy
        };
        let frame = Frame {
            species: &species,
            positions: &positions,
            cell,
        };
        let forces = evaluate(calculator.as_mut(), &frame).forces;
        let largest = forces
            .as_flattened()
            .iter()
            .fold(0.0, |m: f64, x| m.max(x.abs()));
        for atom in [0, positions.len() / 2, positions.len() - 1] {
            for d in 0..3 {
                let mut moved = positions.clone();
                moved[atom][d] = positions[atom][d] + h;
                let up = energy(calculator.as_mut(), &moved);
                moved[atom][d] = positions[atom][d] - h;
                let down = energy(calculator.as_mut(), &moved);
                let slope = (down - up) / (2.0 * h);
                let deviation = (slope - forces[atom][d]).abs() / largest;
                assert!(
                    deviation < 1e-6,
                    "{cell:?} atom {atom}: {slope} {:?}",
                    forces[atom]
                );
            }
        }
    }
}

#[test]
fn stress_is_the_derivative_of_the_energy_by_strain() {
    let mut calculator = smooth();
    let h = 1e-6;
    for (species, positions, cell) in samples() {
        if !cell.is_periodic() {
            continue;
        }
        let frame = Frame {
            species: &species,
            positions: &positions,
            cell,
        };
        let stress = evaluate(calculator.as_mut(), &frame).stress;
        let largest = stress
            .as_flattened()
            .iter()
            .fold(0.0, |m: f64, x| m.max(x.abs()));
        for a in 0..3 {
            for b in 0..3 {
                assert!(stress[a][b].to_bits() == stress[b][a].to_bits());
                let strained = |calculator: &mut dyn Calculator, e: f64| {
                    let strain = |mut r: [f64; 3]| {
                        r[a] += e * r[b];
                        r
                    };
                    let positions: Vec<_> = positions.iter().map(|r| strain(*r)).collect();
                    let cell = Cell {
                        vectors: cell.vectors.map(strain),
                        ..cell
                    };
                    let frame = Frame {
                        species: &species,
                        positions: &positions,
                        cell,
                    };
                    evaluate(calculator, &frame).energy
                };
                let up = strained(calculator.as_mut(), h);
                let down = strained(calculator.as_mut(), -h);
                let slope = (up - down) / (2.0 * h * cell.volume());
                let deviation = (slope - stress[a][b]).abs() / largest;
                assert!(
                    deviation < 1e-6,
                    "{cell:?} {a}{b}: {slope} {}",
                    stress[a][b]
                );
            }
        }
    }
}

#[test]
fn results_are_the_same_bytes_whatever_was_evaluated_before() {
    let samples = samples();
    let bits = |calculator: &mut dyn Calculator, n: usize| {
        let (species, positions, cell) = &samples[n];
        let found = evaluate(
            calculator,
            &Frame {
                species,
                positions,
                cell: *cell,
            },
        );
        let numbers = found
            .forces
            .as_flattened()
            .iter()
            .chain(found.stress.as_flattened());
        let mut bits: Vec<u64> = numbers.map(|x| x.to_bits()).collect();
        bits.push(found.energy.to_bits());
        bits
    };
    let mut reused = smooth();
    for n in (0..samples.len()).chain((0..samples.len()).rev()) {
        assert_eq!(bits(reused.as_mut(), n), bits(smooth().as_mut(), n));
    }
}
