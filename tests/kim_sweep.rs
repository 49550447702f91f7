//! Every portable model that is installed: forces and stress against finite differences, two threads against one.
//!
//! Minutes, and meant for the models of Debian's openkim-models: `cargo test --test kim_sweep -- --ignored --nocapture`.
//! `FRAMEWISE_KIM_MODELS=TEXT` takes only models whose name contains it.
#![cfg(feature = "kim")]

use framewise::adapters::kim::KIND;
use framewise::domain::calculator::{Calculator, Conditions, Factory, Failure, Results};
use framewise::domain::cell::Cell;
use framewise::domain::elements;
use framewise::domain::frame::Frame;

/// Elements put into a frame at most.
const MOST_ELEMENTS: usize = 3;

/// Deviations from finite differences below this are theirs.
const LIMIT: f64 = 1e-5;

#[derive(Clone)]
struct Owned {
    species: Vec<u8>,
    positions: Vec<[f64; 3]>,
    cell: Cell,
}

type Numbers = (f64, Vec<[f64; 3]>, [[f64; 3]; 3]);

fn evaluate(calculator: &mut dyn Calculator, owned: &Owned) -> Result<Numbers, Failure> {
    let (mut energy, mut stress) = (0.0, [[f64::NAN; 3]; 3]);
    let mut forces = vec![[0.0; 3]; owned.positions.len()];
    let frame = Frame {
        species: &owned.species,
        positions: &owned.positions,
        cell: owned.cell,
    };
    let mut results = Results {
        energy: &mut energy,
        forces: &mut forces,
        stress: &mut stress,
    };
    calculator.evaluate(&frame, &mut results)?;
    Ok((energy, forces, stress))
}

/// Eight atoms of a displaced face-centred lattice in a tilted cell, nearest neighbours about `distance` (Å) apart.
fn crystal(species: &[u8], distance: f64) -> Owned {
    let a = distance * 2.0_f64.sqrt();
    let cell = [
        [2.0 * a, 0.0, 0.0],
        [0.15 * a, a, 0.0],
        [-0.1 * a, 0.2 * a, 1.02 * a],
    ];
    let fcc = [
        [0.0, 0.0, 0.0],
        [0.0, 0.5, 0.5],
        [0.5, 0.0, 0.5],
        [0.5, 0.5, 0.0],
    ];
    let positions = (0..8).map(|n| {
        let [x, y, z] = fcc[n % 4];
        let s = [(x + (n / 4) as f64) / 2.0, y, z];
        [0, 1, 2].map(|d| {
            let lattice: f64 = (0..3).map(|k| s[k] * cell[k][d]).sum();
            lattice + 0.04 * distance * (1.7 * n as f64 + 2.3 * d as f64 + 0.4).sin()
        })
    });
    Owned {
        species: (0..8).map(|n| species[n % species.len()]).collect(),
        positions: positions.collect(),
        cell: Cell::periodic(cell),
    }
}

/// The crystal at distances where its energy is lowest: bound ones, or as near to that as the model comes. First the lowest
/// of all, then the first minimum that two approaching atoms meet: there are tables that end before the former.
fn bound(calculator: &mut dyn Calculator, species: &[u8]) -> Result<Vec<Owned>, String> {
    let mut found: Vec<(f64, Owned)> = Vec::new();
    let mut why = String::new();
    for step in (0..13).rev() {
        let owned = crystal(species, 1.6 + 0.2 * f64::from(step));
        match evaluate(calculator, &owned) {
            Ok((energy, forces, _))
                if energy.is_finite() && forces.iter().flatten().any(|f| f.abs() > 1e-6) =>
            {
                found.push((energy, owned));
            }
            Ok((energy, ..)) => why = format!("energy {energy}, no forces"),
            Err(failure) => why = format!("{failure:?}"),
        }
    }
    let energy = |n: usize| found[n].0;
    let lowest = (0..found.len()).min_by(|a, b| energy(*a).total_cmp(&energy(*b)));
    let first = (1..found.len().saturating_sub(1))
        .find(|n| energy(*n) < energy(n - 1) && energy(*n) < energy(n + 1));
    let chosen = lowest
        .into_iter()
        .chain(first.filter(|n| Some(*n) != lowest));
    let frames: Vec<_> = chosen.map(|n| found[n].1.clone()).collect();
    if frames.is_empty() {
        return Err(why);
    }
    Ok(frames)
}

/// Derivative by the step of what `at` gives, to sixth order of two sizes of the step: the better of both.
fn slope(calculator: &mut dyn Calculator, at: &dyn Fn(f64) -> Owned, known: f64) -> f64 {
    let mut best = f64::NAN;
    for h in [1e-3, 2e-4] {
        let mut energy =
            |x: f64| evaluate(calculator, &at(x)).map_or(f64::NAN, |(energy, ..)| energy);
        let mut pair = |n: f64| energy(n * h) - energy(-n * h);
        let found = (45.0 * pair(1.0) - 9.0 * pair(2.0) + pair(3.0)) / (60.0 * h);
        if best.is_nan() || (found - known).abs() < (best - known).abs() {
            best = found;
        }
    }
    best
}

/// Largest deviations of forces and stress from finite differences, relative to the largest of them.
fn deviations(calculator: &mut dyn Calculator, owned: &Owned) -> Result<(f64, f64), String> {
    let (_, forces, stress) = evaluate(calculator, owned).map_err(|e| format!("{e:?}"))?;
    let largest = |numbers: &[f64]| numbers.iter().fold(1e-3, |m: f64, x| m.max(x.abs()));
    let (force_scale, volume) = (largest(forces.as_flattened()), owned.cell.volume());
    let stress_scale = largest(stress.as_flattened()).max(force_scale / volume.powf(2.0 / 3.0));
    let (mut force, mut strain) = (0.0_f64, 0.0_f64);
    for (atom, d) in [(0, 0), (3, 1), (7, 2)] {
        let moved = |step: f64| {
            let mut moved = owned.clone();
            moved.positions[atom][d] += step;
            moved
        };
        let found = -slope(calculator, &moved, -forces[atom][d]);
        let off = (found - forces[atom][d]).abs() / force_scale;
        force = if off.is_nan() {
            f64::INFINITY
        } else {
            force.max(off)
        };
    }
    for (a, b) in [(0, 0), (1, 2)] {
        let strained = |e: f64| {
            let by = |mut r: [f64; 3]| {
                r[a] += 0.2 * e * r[b];
                r
            };
            let mut strained = owned.clone();
            strained.positions.iter_mut().for_each(|r| *r = by(*r));
            strained.cell.vectors = owned.cell.vectors.map(by);
            strained
        };
        let known = stress[a][b] * volume * 0.2;
        let off =
            (slope(calculator, &strained, known) - known).abs() / (0.2 * volume * stress_scale);
        strain = if off.is_nan() {
            f64::INFINITY
        } else {
            strain.max(off)
        };
    }
    Ok((force, strain))
}

/// As [`deviations`], at the first of some sizes of the frames where they are small: a pair at the cutoff of a model that
/// jumps there, or a kink of its tables, spoils a difference. Says also how many were tried.
fn smallest(
    calculator: &mut dyn Calculator,
    frames: &[Owned],
) -> Result<(f64, f64, usize), String> {
    let mut best: Option<(f64, f64, usize)> = None;
    let sizes = [1.0, 1.007, 0.989, 1.023, 0.973, 1.08, 1.16];
    let all = frames
        .iter()
        .flat_map(|owned| sizes.map(|size| (owned, size)));
    for (n, (owned, size)) in all.enumerate() {
        let mut sized = owned.clone();
        let by = |r: &mut [f64; 3]| *r = r.map(|x| size * x);
        sized
            .positions
            .iter_mut()
            .chain(&mut sized.cell.vectors)
            .for_each(by);
        let (force, strain) = deviations(calculator, &sized)?;
        if best.is_none_or(|(f, s, _)| force.max(strain) < f.max(s)) {
            best = Some((force, strain, n + 1));
        }
        if force.max(strain) < LIMIT {
            break;
        }
    }
    best.ok_or_else(|| "nothing was tried".into())
}

/// One object for frames of other sizes and elements, in two orders: the same bytes as an object for each of them.
fn remembers_nothing(factory: &dyn Factory, owned: &Owned) -> bool {
    let few = |species: &[u8], count: usize| Owned {
        species: (0..count).map(|n| species[n % species.len()]).collect(),
        positions: owned.positions[..count].to_vec(),
        cell: owned.cell,
    };
    let mut cluster = owned.clone();
    cluster.cell = Cell::OPEN;
    let last = owned.species[owned.species.len() - 1];
    let frames = [
        owned.clone(),
        few(&[last], 5),
        cluster,
        few(&owned.species[..1], 8),
    ];
    let one = |calculator: &mut dyn Calculator, n: usize| {
        evaluate(calculator, &frames[n])
            .map(|numbers| bits(&numbers))
            .ok()
    };
    let fresh = [0, 1, 2, 3].map(|n| one(factory.build().unwrap().as_mut(), n));
    let mut kept = factory.build().unwrap();
    [1, 0, 2, 3, 3, 0, 1, 2]
        .into_iter()
        .all(|n| one(kept.as_mut(), n) == fresh[n])
}

fn bits(numbers: &Numbers) -> Vec<u64> {
    let rows = numbers.1.iter().chain(&numbers.2).flatten();
    std::iter::once(&numbers.0)
        .chain(rows)
        .map(|x| x.to_bits())
        .collect()
}

/// Two workers at the same time, each with a model of its own, on different frames: the same bytes as one alone.
fn threads_agree(factory: &dyn Factory, owned: &Owned) -> bool {
    let mut other = owned.clone();
    other.positions[0][0] += 0.1;
    let frames = [owned.clone(), other];
    let alone = frames.each_ref().map(|owned| {
        let mut calculator = factory.build().unwrap();
        evaluate(calculator.as_mut(), owned).map(|numbers| bits(&numbers))
    });
    let work = |worker: usize| {
        let mut calculator = factory.build().unwrap();
        (0..30).all(|step| {
            let n = (step + worker) % 2;
            evaluate(calculator.as_mut(), &frames[n]).map(|numbers| bits(&numbers)) == alone[n]
        })
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| work(1));
        work(0) && other.join().unwrap()
    })
}

#[test]
#[ignore = "minutes: every model that is installed"]
fn every_installed_model_evaluates_or_says_why_not() {
    let catalogue = (KIND.catalogue.unwrap())().unwrap();
    let only = std::env::var("FRAMEWISE_KIM_MODELS").unwrap_or_default();
    let (mut right, mut refused, mut wrong) = (0, Vec::new(), Vec::new());
    let mut worst = (0.0_f64, 0.0_f64);
    for row in catalogue.rows.iter().filter(|row| row[0].contains(&only)) {
        let name = &row[0];
        let made = KIND.make(&[("model".into(), name.clone())], &Conditions::default());
        let factory = match made {
            Ok(factory) => factory,
            Err(why) => {
                refused.push(format!("{name}: {why}"));
                continue;
            }
        };
        let listed = row[1]
            .split_whitespace()
            .filter_map(elements::atomic_number);
        let species: Vec<u8> = listed.take(MOST_ELEMENTS).collect();
        factory.check_species(&species).unwrap();
        let mut calculator = factory.build().unwrap();
        let frames = match bound(calculator.as_mut(), &species) {
            Ok(frames) => frames,
            Err(why) => {
                wrong.push(format!("{name}: no frame evaluates: {why}"));
                continue;
            }
        };
        let (force, strain, tried) = match smallest(calculator.as_mut(), &frames) {
            Ok(found) => found,
            Err(why) => {
                wrong.push(format!("{name}: {why}"));
                continue;
            }
        };
        if !threads_agree(factory.as_ref(), &frames[0]) {
            wrong.push(format!("{name}: two threads differ from one"));
        } else if !remembers_nothing(factory.as_ref(), &frames[0]) {
            wrong.push(format!("{name}: results depend on the frames before"));
        } else if force.max(strain) > LIMIT {
            wrong.push(format!(
                "{name}: forces off by {force:.0e}, stress by {strain:.0e}"
            ));
        } else {
            if tried > 1 {
                println!("{name}: smooth at size {tried}");
            }
            worst = (worst.0.max(force), worst.1.max(strain));
            right += 1;
        }
    }
    println!(
        "{right} models are right (forces to {:.0e}, stress to {:.0e})",
        worst.0, worst.1
    );
    println!("{} models are refused: {refused:#?}", refused.len());
    println!("{} are neither: {wrong:#?}", wrong.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}
