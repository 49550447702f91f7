//! `morse`, `buckingham-coulomb` and `stillinger-weber` against LAMMPS (references in `tests/data`, made by
//! `make/reference_potentials.py` and `make/reference_lammps.py`), against their own derivatives, against Madelung
//! constants, and through the program.
//!
//! "Relative" and the unit of stress as in `lennard_jones.rs`.

mod support;

use framewise::adapters::calculators;
use framewise::domain::calculator::{Calculator, Conditions, Factory, Failure};
use framewise::domain::cell::Cell;
use framewise::domain::frame::Frame;
use framewise::domain::units::{BOHR, HARTREE};
use serde_json::Value;
use std::sync::Arc;
use support::evaluated::{self, Evaluated};
use support::folder::{Folder, perturbed};
use support::results::{assert_same, read, statuses};
use support::xyz;

type Typed = Vec<(String, String)>;

fn typed(words: &str) -> Typed {
    let pairs = words.split_whitespace().map(|w| w.split_once('=').unwrap());
    pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

fn factory(name: &str, typed: &Typed) -> Result<Arc<dyn Factory>, String> {
    let kind = calculators::find(name).unwrap();
    kind.make(typed, &Conditions::default()).map_err(|e| e.0)
}

fn calculator(name: &str, typed: &Typed) -> Box<dyn Calculator> {
    factory(name, typed).unwrap().build().unwrap()
}

fn evaluate(calculator: &mut dyn Calculator, frame: &Frame<'_>) -> Evaluated {
    evaluated::evaluate(calculator, frame).unwrap()
}

fn reference(name: &str) -> Value {
    let text = std::fs::read_to_string(xyz::data(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    serde_json::from_str(&text).unwrap()
}

/// The parameters under which a reference was made, as a user would type them.
fn parameters(reference: &Value) -> Typed {
    let given = reference["parameters"]["framewise"].as_object().unwrap();
    let text = |name: &str, value: &Value| match value.as_str() {
        Some(path) if name == "file" => xyz::data(path).display().to_string(),
        Some(word) => word.to_owned(),
        None => value.to_string(),
    };
    let given = given.iter();
    given.map(|(k, v)| (k.clone(), text(k, v))).collect()
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
    let deviations = pairs.map(|(a, b)| (a - b).abs() / scale);
    deviations.fold(
        0.0,
        |worst: f64, x| if x > worst || x.is_nan() { x } else { worst },
    )
}

/// Largest deviations of energies, and of forces and stresses together.
#[derive(Debug, Default)]
struct Deviation {
    energy: f64,
    forces: f64,
}

impl Deviation {
    fn none_above(&self, energy: f64, forces: f64) {
        assert!(self.energy < energy && self.forces < forces, "{self:?}");
    }
}

/// Compares every frame of a reference.
fn compare(name: &str, typed: &Typed, with: &str, expected_frames: usize) -> Deviation {
    let reference = reference(with);
    let frames = xyz::read(reference["structures"].as_str().unwrap());
    let entries = reference["frames"].as_array().unwrap();
    let expected = (expected_frames, expected_frames);
    assert_eq!((frames.len(), entries.len()), expected);
    let mut calculator = calculator(name, typed);
    let mut worst = Deviation::default();
    for (n, entry) in entries.iter().enumerate() {
        let frame = frames.frame(n);
        let found = evaluate(calculator.as_mut(), &frame);
        let energy = relative(&[found.energy], &[entry["energy"].as_f64().unwrap()]);
        worst.energy = worst.energy.max(energy);
        if !entry["forces"].is_null() {
            let forces = relative(found.forces.as_flattened(), &rows(&entry["forces"]));
            worst.forces = worst.forces.max(forces);
        }
        if !entry["stress"].is_null() {
            let stress = relative(found.stress.as_flattened(), &rows(&entry["stress"]));
            worst.forces = worst.forces.max(stress);
        } else if !frame.cell.is_periodic() {
            assert!(found.stress.as_flattened().iter().all(|x| x.is_nan()));
        }
    }
    println!("{name}, {with}: {worst:?}");
    worst
}

fn as_lammps(name: &str, with: &str, frames: usize) {
    let typed = parameters(&reference(with));
    compare(name, &typed, with, frames).none_above(1e-9, 1e-9);
}

#[test]
fn morse_is_that_of_lammps() {
    for (with, frames) in [
        ("argon_triclinic.morse.json", 6),
        ("argon_small_cell.morse.json", 6),
        ("argon_slab.morse.json", 5),
        ("argon_cluster.morse.json", 5),
        ("ArKr.morse.json", 5),
        ("ArKr.morse.shifted.json", 5),
    ] {
        as_lammps("morse", with, frames);
    }
}

#[test]
fn silicon_is_that_of_lammps_with_the_table_that_is_built_in_and_with_the_file() {
    let file = format!("file={}", xyz::data("make/Si.sw").display());
    for words in ["", &file] {
        let deviation = compare(
            "stillinger-weber",
            &typed(words),
            "silicon.reference.json",
            10,
        );
        deviation.none_above(1e-9, 1e-9);
    }
}

#[test]
fn two_elements_are_those_of_lammps() {
    as_lammps("stillinger-weber", "SiC.reference.json", 6);
}

#[test]
fn buckingham_is_that_of_lammps() {
    as_lammps("buckingham-coulomb", "NaCl.none.json", 5);
    as_lammps("buckingham-coulomb", "NaCl.none.shifted.json", 5);
}

fn with(mut typed: Typed, name: &str, value: &str) -> Typed {
    typed.retain(|(n, _)| n != name);
    typed.push((name.into(), value.into()));
    typed
}

/// LAMMPS' `coul/wolf` has the energies of `wolf` and the forces of `dsf`; its `coul/dsf` has an erfc that is good to seven
/// digits.
#[test]
fn wolf_and_damped_shifted_forces_are_those_of_lammps() {
    for (name, frames) in [("NaCl", 5), ("NaCl_open", 3)] {
        let (wolf, dsf) = (format!("{name}.wolf.json"), format!("{name}.dsf.json"));
        let kind = "buckingham-coulomb";
        let given = parameters(&reference(&wolf));
        compare(kind, &given, &wolf, frames).none_above(1e-9, f64::INFINITY);
        let given = parameters(&reference(&dsf));
        compare(kind, &given, &wolf, frames).none_above(f64::INFINITY, 1e-9);
        compare(kind, &given, &dsf, frames).none_above(1e-6, 1e-5);
    }
}

/// To 1e-10 where nothing is left out; else no force is off by more than `accuracy` times that of two unit charges 1 Å
/// apart, as LAMMPS means it too.
#[test]
fn ewald_is_that_of_lammps() {
    let name = "buckingham-coulomb";
    let reference = reference("NaCl.ewald.json");
    let given = parameters(&reference);
    let best = with(given.clone(), "accuracy", "1e-15");
    compare(name, &best, "NaCl.ewald.json", 5).none_above(1e-10, 1e-10);
    for accuracy in [1e-3, 1e-5, 1e-8, 1e-11] {
        for cutoff in ["6", "9", "13"] {
            let best = with(best.clone(), "cutoff", cutoff);
            let mut best = calculator(name, &best);
            let other = with(
                with(given.clone(), "accuracy", &accuracy.to_string()),
                "cutoff",
                cutoff,
            );
            let mut other = calculator(name, &other);
            for sample in samples("NaCl.xyz") {
                let exact = evaluate(best.as_mut(), &sample.frame());
                let found = evaluate(other.as_mut(), &sample.frame());
                let pairs = exact
                    .forces
                    .as_flattened()
                    .iter()
                    .zip(found.forces.as_flattened());
                let off: Vec<_> = pairs.map(|(a, b)| a - b).collect();
                let unit = HARTREE * BOHR;
                let off = largest(&off) / unit;
                assert!(
                    off < accuracy,
                    "accuracy {accuracy}, cutoff {cutoff}: {off:e}"
                );
                let energy =
                    (exact.energy - found.energy).abs() / sample.species.len() as f64 / unit;
                assert!(
                    energy < accuracy,
                    "accuracy {accuracy}, cutoff {cutoff}: {energy:e}"
                );
            }
        }
    }
}

/// A frame with its own arrays.
#[derive(Clone)]
struct Owned {
    species: Vec<u8>,
    positions: Vec<[f64; 3]>,
    cell: Cell,
}

impl Owned {
    fn new(species: &[u8], positions: &[[f64; 3]], cell: Cell) -> Self {
        Self {
            species: species.to_vec(),
            positions: positions.to_vec(),
            cell,
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

/// All frames of a file.
fn samples(name: &str) -> Vec<Owned> {
    let frames = xyz::read(name);
    let frames = (0..frames.len()).map(|n| frames.frame(n));
    frames
        .map(|f| Owned::new(f.species, f.positions, f.cell))
        .collect()
}

const SALT: &str = "A.Na-Na=487 rho.Na-Na=0.2377 C.Na-Na=1.05 A.Na-Cl=1256.31 rho.Na-Cl=0.3162 C.Na-Cl=7 A.Cl-Cl=3405 \
    rho.Cl-Cl=0.3214 C.Cl-Cl=72.4";
const CHARGES: &str = "charge.Na=1 charge.Cl=-1";

/// Every potential with frames that it is to be tried on. Energies are shifted, so that a pair that crosses the cutoff
/// in a step of a derivative spoils little; for the same reason `wolf`, whose forces jump there, is damped strongly.
fn cases() -> Vec<(&'static str, Typed, Vec<Owned>)> {
    let carbide = format!("file={}", xyz::data("make/SiC.sw").display());
    let ionic = |how: &str| typed(&format!("{SALT} {CHARGES} shift=energy cutoff=9.07 {how}"));
    let argon = [
        "argon_triclinic",
        "argon_small_cell",
        "argon_slab",
        "argon_cluster",
    ];
    let argon = argon
        .iter()
        .map(|name| samples(&format!("{name}.xyz")).remove(0));
    let salt = [samples("NaCl.xyz"), samples("NaCl_open.xyz")].concat();
    vec![
        (
            "morse",
            typed("D0=0.0121 alpha=1.55 r0=3.78 cutoff=13.7 shift=energy"),
            argon.collect(),
        ),
        ("stillinger-weber", typed(""), samples("silicon.xyz")),
        ("stillinger-weber", typed(&carbide), samples("SiC.xyz")),
        (
            "buckingham-coulomb",
            ionic("accuracy=1e-13"),
            samples("NaCl.xyz"),
        ),
        (
            "buckingham-coulomb",
            ionic("coulomb=dsf alpha=0.2"),
            salt.clone(),
        ),
        (
            "buckingham-coulomb",
            ionic("coulomb=wolf alpha=0.5"),
            salt.clone(),
        ),
        (
            "buckingham-coulomb",
            typed(&format!("{SALT} cutoff=9.07 shift=energy coulomb=none")),
            salt,
        ),
    ]
}

fn largest(numbers: &[f64]) -> f64 {
    numbers.iter().fold(0.0, |m: f64, x| m.max(x.abs()))
}

#[test]
fn forces_are_derivatives_of_the_energy() {
    // So short a step that no pair crosses a cutoff, where forces jump.
    let h = 1e-5;
    for (name, typed, samples) in cases() {
        let mut calculator = calculator(name, &typed);
        let mut worst = 0.0_f64;
        for sample in &samples {
            let forces = evaluate(calculator.as_mut(), &sample.frame()).forces;
            let scale = largest(forces.as_flattened());
            let atoms = sample.positions.len();
            for atom in [0, atoms / 2, atoms - 1] {
                for d in 0..3 {
                    let mut energy = |step: f64| {
                        let mut moved = sample.clone();
                        moved.positions[atom][d] += step;
                        evaluate(calculator.as_mut(), &moved.frame()).energy
                    };
                    let slope = (energy(-h) - energy(h)) / (2.0 * h);
                    worst = worst.max((slope - forces[atom][d]).abs() / scale);
                }
            }
        }
        println!("{name} {typed:?}: forces {worst:e}");
        assert!(worst < 1e-7, "{name} {typed:?}: {worst:e}");
    }
}

#[test]
fn stress_is_the_derivative_of_the_energy_by_strain() {
    let h = 2e-6;
    for (name, typed, samples) in cases() {
        let mut calculator = calculator(name, &typed);
        let (mut worst, mut seen) = (0.0_f64, 0);
        for sample in samples.iter().filter(|s| s.cell.is_periodic()) {
            seen += 1;
            let stress = evaluate(calculator.as_mut(), &sample.frame()).stress;
            let scale = largest(stress.as_flattened());
            for a in 0..3 {
                for b in 0..3 {
                    assert!(stress[a][b].to_bits() == stress[b][a].to_bits());
                    let mut energy = |e: f64| {
                        let strain = |mut r: [f64; 3]| {
                            r[a] += e * r[b];
                            r
                        };
                        let mut strained = sample.clone();
                        strained.positions.iter_mut().for_each(|r| *r = strain(*r));
                        strained.cell.vectors = strained.cell.vectors.map(strain);
                        evaluate(calculator.as_mut(), &strained.frame()).energy
                    };
                    let slope = (energy(h) - energy(-h)) / (2.0 * h * sample.cell.volume());
                    worst = worst.max((slope - stress[a][b]).abs() / scale);
                }
            }
        }
        println!("{name} {typed:?}: stress {worst:e} in {seen} frames");
        assert!(seen > 2 && worst < 1e-6, "{name} {typed:?}: {worst:e}");
    }
}

#[test]
fn results_are_the_same_bytes_whatever_was_evaluated_before() {
    let bits = |calculator: &mut dyn Calculator, sample: &Owned| {
        let found = evaluate(calculator, &sample.frame());
        let forces = found.forces.as_flattened().iter();
        let numbers = forces.chain(found.stress.as_flattened());
        let numbers = numbers.chain([&found.energy]);
        numbers.map(|x| x.to_bits()).collect::<Vec<_>>()
    };
    for (name, typed, samples) in cases() {
        let mut reused = calculator(name, &typed);
        for sample in samples.iter().chain(samples.iter().rev()) {
            let alone = bits(calculator(name, &typed).as_mut(), sample);
            assert_eq!(bits(reused.as_mut(), sample), alone, "{name} {typed:?}");
        }
    }
}

/// Energies do not depend on how a crystal is described: a cell twice as long, other vectors of the same lattice, atoms in
/// other images, another origin.
#[test]
fn the_same_crystal_in_other_words_has_the_same_energy() {
    for (name, typed, samples) in cases() {
        let mut calculator = calculator(name, &typed);
        for sample in samples.iter().filter(|s| s.cell.periodic == [true; 3]) {
            let energy = evaluate(calculator.as_mut(), &sample.frame()).energy;
            let [a, b, c] = sample.cell.vectors;
            let add = |u: [f64; 3], v: [f64; 3], m: f64| [0, 1, 2].map(|d| u[d] + m * v[d]);
            let mut other = sample.clone();
            other.cell.vectors = [a, add(b, a, 2.0), add(add(c, b, -1.0), a, 3.0)];
            for (n, r) in other.positions.iter_mut().enumerate() {
                *r = add(add(*r, b, (n % 3) as f64 - 1.0), [0.31, -0.77, 4.0], 1.0);
            }
            let same = evaluate(calculator.as_mut(), &other.frame()).energy;
            assert!(
                (same - energy).abs() < 1e-10 * energy.abs(),
                "{name}: {energy} {same}"
            );
            let mut twice = sample.clone();
            twice.cell.vectors[1] = b.map(|x| 2.0 * x);
            twice.species.extend(&sample.species);
            twice
                .positions
                .extend(sample.positions.iter().map(|r| add(*r, b, 1.0)));
            let double = evaluate(calculator.as_mut(), &twice.frame()).energy;
            assert!(
                (double - 2.0 * energy).abs() < 1e-10 * double.abs(),
                "{name}: {energy} {double}"
            );
        }
    }
}

/// Constants as tabulated, for charges ±1 and the nearest distance: rock salt and caesium chloride (R. E. Crandall and
/// J. P. Buhler, J. Phys. A 20, 5497, 1987), zinc blende.
#[test]
fn madelung_constants_come_out() {
    let (o, h, q) = (0.0, 0.5, 0.25);
    let half = [[o, h, h], [h, o, h], [h, h, o]];
    let cube = [[1.0, o, o], [o, 1.0, o], [o, o, 1.0]];
    let crystals = [
        (half, [h, h, h], 0.5, 1.747_564_594_633_182_2),
        (cube, [h, h, h], 0.75_f64.sqrt(), 1.762_674_773_070_988_4),
        (half, [q, q, q], 0.1875_f64.sqrt(), 1.638_055_053_388_789_4),
    ];
    for (vectors, second, nearest, constant) in crystals {
        for (edge, cutoff) in [(4.0, 6.0), (5.64, 11.0), (9.0, 8.0)] {
            let scaled = |v: [f64; 3]| v.map(|x| edge * x);
            let cell = Cell::periodic(vectors.map(scaled));
            let pair = Owned::new(
                &[11, 17],
                &[[0.3; 3], scaled(second).map(|x| x + 0.3)],
                cell,
            );
            let typed = typed(&format!("A=0 {CHARGES} cutoff={cutoff} accuracy=1e-15"));
            let found = evaluate(
                calculator("buckingham-coulomb", &typed).as_mut(),
                &pair.frame(),
            );
            let expected = -HARTREE * BOHR * constant / (edge * nearest);
            let deviation = (found.energy / expected - 1.0).abs();
            println!("{constant}, edge {edge}, cutoff {cutoff}: {deviation:e}");
            assert!(deviation < 1e-10, "{constant}: {deviation:e}");
            // E = -K M/d: the pressure of a cubic crystal follows from its energy alone.
            let pressure = found.energy / (3.0 * cell.volume());
            for a in 0..3 {
                assert!((found.stress[a][a] + pressure).abs() < 1e-10 * pressure.abs());
            }
            assert!(largest(found.forces.as_flattened()) < 1e-12);
        }
    }
}

/// Two ions by the formula, with the C library's erfc: LAMMPS' own is good to seven digits here.
#[test]
fn damped_shifted_force_of_two_ions_is_the_formula() {
    let (alpha, cutoff, r) = (0.2, 9.0, 2.8);
    let pair = Owned::new(&[11, 17], &[[0.0; 3], [0.0, r, 0.0]], Cell::OPEN);
    let typed = typed(&format!(
        "A=0 {CHARGES} coulomb=dsf alpha={alpha} cutoff={cutoff}"
    ));
    let found = evaluate(
        calculator("buckingham-coulomb", &typed).as_mut(),
        &pair.frame(),
    );
    let potential = |r: f64| libm::erfc(alpha * r) / r;
    let two = 2.0 * alpha / std::f64::consts::PI.sqrt();
    let slope = |r: f64| potential(r) / r + two * (-alpha * alpha * r * r).exp() / r;
    let f = slope(cutoff);
    let k = HARTREE * BOHR;
    let of_pair = -k * (potential(r) - potential(cutoff) + f * (r - cutoff));
    let of_ions = -2.0 * k * 0.5 * (potential(cutoff) + f * cutoff + two);
    assert!((found.energy - of_pair - of_ions).abs() < 1e-14 * of_ions.abs());
    assert!((found.forces[0][1] - k * (slope(r) - f)).abs() < 1e-14 * k);
}

#[track_caller]
fn fails(name: &str, typed: &Typed, sample: &Owned, expected: &str) {
    let mut calculator = calculator(name, typed);
    match evaluated::evaluate(calculator.as_mut(), &sample.frame()) {
        Err(Failure::Failed(why)) => assert!(why.contains(expected), "{why}"),
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn impossible_frames_fail_with_their_reason() {
    let salt = |how: &str| typed(&format!("{SALT} {CHARGES} cutoff=9 {how}"));
    let name = "buckingham-coulomb";
    let crystal = &samples("NaCl.xyz")[0];
    let [slab, cluster] = [0, 1].map(|n| samples("NaCl_open.xyz")[n].clone());
    for open in [&slab, &cluster] {
        fails(
            name,
            &salt(""),
            open,
            "coulomb=ewald needs a frame that is periodic in all three directions",
        );
    }
    let mut charged = crystal.clone();
    charged.species.pop();
    charged.positions.pop();
    fails(
        name,
        &salt(""),
        &charged,
        "needs a neutral frame: the charge of this one is",
    );
    // Nearer than the top of the wall, in another image.
    let mut near = crystal.clone();
    let (i, j) = (5, 9);
    let image = near.cell.vectors[0];
    near.positions[j] = [0, 1, 2].map(|d| near.positions[i][d] + image[d]);
    near.positions[j][2] += 0.4;
    for how in ["", "coulomb=dsf alpha=0.2"] {
        fails(name, &salt(how), &near, "Å apart: below");
        fails(name, &salt(how), &near, "atoms 5 (");
    }
    let neutral = typed(&format!("{SALT} cutoff=9 coulomb=none"));
    fails(name, &neutral, &near, "the potential falls without bound");
    // At one place, for all of them.
    for (name, typed, samples) in cases() {
        let mut same = samples[0].clone();
        same.positions[3] = same.positions[1];
        let place = "are at the same place";
        fails(name, &typed, &same, place);
        fails(name, &typed, &same, "atoms 1 (");
        // The calculator is as good as new afterwards.
        let mut calculator = calculator(name, &typed);
        assert!(evaluated::evaluate(calculator.as_mut(), &same.frame()).is_err());
        let found = evaluate(calculator.as_mut(), &samples[0].frame());
        let fresh = evaluate(self::calculator(name, &typed).as_mut(), &samples[0].frame());
        assert_eq!(found.energy.to_bits(), fresh.energy.to_bits());
        assert_eq!(found.forces, fresh.forces);
    }
    // A potential without a wall is computed as it stands.
    let well = typed("A=0 C=10 cutoff=9 coulomb=none");
    assert!(evaluate(calculator(name, &well).as_mut(), &crystal.frame()).energy < 0.0);
}

#[test]
fn wrong_parameters_and_species_are_said_before_anything_is_computed() {
    let of = |name: &str, words: &str| factory(name, &typed(words)).map(drop).unwrap_err();
    let lacks = |name: &str, words: &str, species: &[u8]| {
        let factory = factory(name, &typed(words)).unwrap();
        factory.check_species(species).unwrap_err()
    };
    let ions = "buckingham-coulomb";
    assert_eq!(
        of(ions, "A=1"),
        "buckingham-coulomb has no cutoff: add --param cutoff=ANGSTROM"
    );
    assert_eq!(
        of(ions, "cutoff=9 charge=1"),
        "parameter charge: every species has its own: --param charge.Na=1"
    );
    for (words, expected) in [
        (
            "cutoff=9 charge.Na-Cl=1",
            "charge cannot be set per pair of species",
        ),
        ("cutoff=9 charge.Nq=1", "\"Nq\" is not an element like Na"),
        (
            "cutoff=9 charge.Na=1 charge.na=2",
            "parameter charge.na is given twice",
        ),
        ("cutoff=9 cutoff.Na=3", "cutoff cannot be set per species"),
        ("cutoff=9 A=-1", "is not a number that is zero or greater"),
        (
            "cutoff=9 alpha=0.2",
            "parameter alpha is one of coulomb=dsf",
        ),
        (
            "cutoff=9 coulomb=dsf",
            "coulomb=dsf has no damping: add --param alpha=PER_ANGSTROM",
        ),
        (
            "cutoff=9 coulomb=dsf alpha=0.2 accuracy=1e-5",
            "parameter accuracy is one of coulomb=ewald",
        ),
        (
            "cutoff=9 accuracy=1e-16",
            "parameter accuracy: 0.0000000000000001 is not between 1e-15 and 0.1",
        ),
        (
            "cutoff=9 coulomb=none charge.Na=1",
            "charges do not count with coulomb=none",
        ),
    ] {
        let message = of(ions, words);
        assert!(
            message.contains(expected) && !message.contains('\n'),
            "{message}"
        );
    }
    assert_eq!(
        lacks(ions, "cutoff=9 A=1 rho=0.3 charge.Na=1", &[11, 17]),
        "buckingham-coulomb has no charge for Cl: add --param charge.Cl=E, or --param coulomb=none"
    );
    assert_eq!(
        lacks(
            ions,
            "cutoff=9 A.Na-Na=0 charge.Na=1 charge.Cl=-1",
            &[17, 11]
        ),
        "buckingham-coulomb has no A and no rho for the pair Na-Cl: add --param A.Na-Cl=EV --param rho.Na-Cl=ANGSTROM"
    );
    assert_eq!(
        lacks("morse", "D0=1 alpha=1 cutoff=5", &[18]),
        "morse has no r0 for the pair Ar-Ar: add --param r0.Ar-Ar=ANGSTROM"
    );
    assert_eq!(
        lacks("stillinger-weber", "", &[6, 14]),
        "stillinger-weber has no entry for C C C, C C Si, C Si C, C Si Si and 3 more (it has Si): only silicon is built \
         in: add --param file=X.sw with all triplets"
    );
    assert!(of("stillinger-weber", "label.O=mW").contains("add --param file=X.sw"));
    let message = of("stillinger-weber", "file=/nonexistent/X.sw");
    assert!(
        message.starts_with("parameter file: /nonexistent/X.sw: No such file"),
        "{message}"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("X.sw");
    let text = std::fs::read_to_string(xyz::data("make/SiC.sw")).unwrap();
    let words = format!("file={}", path.display());
    let shown = path.display();
    for (from, to, expected) in [
        (
            "Si C  Si 2.60",
            "Si C  Ge 2.60",
            format!("{shown} has no entry for Si C Si (it has C, Ge, Si)"),
        ),
        (
            "C  Si Si 3.30",
            "C  Si Si 3.31",
            format!(
                "{shown}: epsilon, sigma, a, A, B, p, q or tol of C Si Si (line 10) and Si C C (line 8) differ"
            ),
        ),
        (
            "Si C  Si 2.60",
            "Si C  Si 2.61",
            format!(
                "{shown}: lambda epsilon or costheta0 of Si C Si (line 13) and Si Si C (line 12) differ"
            ),
        ),
    ] {
        assert!(text.contains(from));
        std::fs::write(&path, text.replace(from, to)).unwrap();
        let message = lacks("stillinger-weber", &words, &[6, 14]);
        assert!(
            message.starts_with(&expected) && !message.contains('\n'),
            "{message}"
        );
    }
    // Oxygen under the name of silicon.
    std::fs::write(&path, text).unwrap();
    let relabelled = factory("stillinger-weber", &typed(&format!("{words} label.O=Si"))).unwrap();
    assert_eq!(relabelled.check_species(&[8, 6]), Ok(()));
}

#[test]
fn the_program_writes_the_same_bytes_for_any_ranks_and_threads() {
    let folder = Folder::new();
    folder.import_frames("si", &perturbed("silicon.xyz", 40, 64));
    folder.import_frames("salt", &perturbed("NaCl.xyz", 40, 64));
    std::fs::copy(xyz::data("make/Si.sw"), folder.path("X.sw")).unwrap();
    let salt = format!("{SALT} {CHARGES} cutoff=9").replace(' ', " -p ");
    let jobs = [
        ("si.h5", "-c stillinger-weber -p file=X.sw".to_owned()),
        ("salt.h5", format!("-c buckingham-coulomb -p {salt}")),
        (
            "salt.h5",
            "-c morse -p D0=0.1 -p alpha=1.5 -p r0=2.8 -p cutoff=7".to_owned(),
        ),
    ];
    for (n, (input, calculator)) in jobs.iter().enumerate() {
        let run = |name: &str, more: &str| format!("run {input} -o {name} {calculator} {more}");
        let one = format!("one{n}.h5");
        folder.alone(&run(&one, "-t 1")).expect(0);
        assert_eq!(statuses(&folder.path(&one)), [0; 40]);
        let ways = [
            ("two", 2, "-t 1"),
            ("threads", 1, "-t 2"),
            ("isolated", 2, "-t 1 --isolate"),
        ];
        for (name, ranks, more) in ways {
            let name = format!("{name}{n}.h5");
            folder.on(ranks, &run(&name, more)).expect(0);
            assert_same(&folder.path(&name), &folder.path(&one));
        }
    }
    let energy = read(&folder.path("one0.h5")).energy[0];
    assert!((-273.1..-272.8).contains(&energy), "{energy}");
}

#[test]
fn a_wrong_species_leaves_no_file_and_a_changed_one_is_another_parameter() {
    let folder = Folder::new();
    folder.import_frames("si", &perturbed("silicon.xyz", 4, 64));
    folder.import_frames("ar", &perturbed("argon_small_cell.xyz", 4, 4));
    let run = folder
        .alone("run ar.h5 -o r.h5 -c stillinger-weber")
        .start()
        .end();
    assert!(run.code == Some(2) || run.code == Some(1), "{run}");
    assert!(
        run.stderr
            .contains("stillinger-weber has no entry for Ar Ar Ar (it has Si)"),
        "{run}"
    );
    assert!(!folder.path("r.h5").exists());
    let text = std::fs::read_to_string(xyz::data("make/Si.sw")).unwrap();
    std::fs::write(folder.path("X.sw"), &text).unwrap();
    let command = "run si.h5 -o r.h5 -c stillinger-weber -p file=X.sw --frames";
    folder.alone(&format!("{command} 0")).expect(0);
    // At another place it is the same file.
    std::fs::create_dir(folder.path("there")).unwrap();
    std::fs::rename(folder.path("X.sw"), folder.path("there/X.sw")).unwrap();
    let there = command.replace("file=", "file=there/");
    folder.alone(&format!("{there} 1")).expect(0);
    std::fs::write(folder.path("X.sw"), text.replace("2.1683", "2.1684")).unwrap();
    let run = folder.alone(&format!("{command} 2")).run();
    assert_eq!(run.code, Some(1), "{run}");
    assert!(run.stderr.contains("parameter file X.sw (xxh3 "), "{run}");
}

#[test]
fn the_program_shows_what_there_is_to_know() {
    let folder = Folder::new();
    for (name, expected) in [
        ("morse", "for one pair of species: D0.Ar-Kr"),
        ("buckingham-coulomb", "for one species: charge.Na"),
        ("stillinger-weber", "file"),
    ] {
        let run = folder.alone(&format!("calculators {name}")).expect(0);
        assert!(run.stdout.contains(expected), "{run}");
        assert!(run.stdout.contains("Checked"), "{run}");
    }
}
