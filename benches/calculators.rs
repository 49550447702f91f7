//! Frames per second of the calculators, one thread, frames in memory.
//!
//! `cargo bench --bench calculators`; Criterion prints elements per second, one element being one frame.
//! `xtb` wants libxtb on this machine.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use framewise::adapters::environment;
use framewise::adapters::measure::frames::random;
use framewise::domain::calculator::{CalculatorKind, Conditions, Results};
use framewise::domain::calculators::{lennard_jones, null};
use framewise::domain::cell::Cell;
use framewise::domain::frame::{Frame, FrameBlock};
use framewise::domain::parameters::Parameters;

/// `count` frames of a face-centred cubic crystal of `n`³ cells, its atoms displaced at random by up to 0.4 Å.
fn crystal(n: u32, count: u64, skew: f64) -> FrameBlock {
    // Density of liquid argon at 90 K: four atoms in (5.8 Å)³.
    let (a, edge) = (5.8, 5.8 * f64::from(n));
    let cell = Cell::periodic([[edge, 0.0, 0.0], [skew, edge, 0.0], [0.0, -skew, edge]]);
    let basis = [[0.0; 3], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]];
    let mut state = 1;
    let mut frames = FrameBlock::default();
    for index in 0..count {
        let mut positions = Vec::new();
        for site in 0..n * n * n {
            let corner = [site % n, site / n % n, site / (n * n)];
            for b in basis {
                positions.push(
                    [0, 1, 2].map(|d| a * (f64::from(corner[d]) + b[d]) + 0.4 * random(&mut state)),
                );
            }
        }
        let species = vec![18; positions.len()];
        let frame = Frame {
            species: &species,
            positions: &positions,
            cell,
        };
        frames.push(index, frame);
    }
    frames
}

/// The same without a cell, `atoms` of them nearest to the middle.
fn cluster(atoms: usize, count: u64) -> FrameBlock {
    let crystals = crystal(4, count, 0.0);
    let mut frames = FrameBlock::default();
    for index in 0..crystals.len() {
        let mut positions = crystals.frame(index).positions.to_vec();
        let far = |r: &[f64; 3]| r.iter().map(|x| (x - 11.6) * (x - 11.6)).sum::<f64>();
        positions.sort_by(|a, b| far(a).total_cmp(&far(b)));
        positions.truncate(atoms);
        let species = vec![18; atoms];
        let frame = Frame {
            species: &species,
            positions: &positions,
            cell: Cell::OPEN,
        };
        frames.push(index as u64, frame);
    }
    frames
}

fn run(
    criterion: &mut Criterion,
    kind: &'static CalculatorKind,
    typed: &[(&str, &str)],
    name: &str,
    frames: &FrameBlock,
) {
    let typed: Vec<_> = typed
        .iter()
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect();
    let parameters = Parameters::parse(kind.name, kind.parameters, &typed).expect("parameters");
    let factory = (kind.factory)(&parameters, &Conditions::default()).expect("factory");
    let mut calculator = factory.build().expect("calculator");
    let mut forces = Vec::new();
    let mut group = criterion.benchmark_group(kind.name);
    group.throughput(Throughput::Elements(1));
    // Criterion's smallest: some frames take a second.
    group.sample_size(10);
    let mut next = 0;
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            let frame = frames.frame(next);
            next = (next + 1) % frames.len();
            forces.clear();
            forces.resize(frame.len(), [0.0; 3]);
            let (mut energy, mut stress) = (0.0, [[f64::NAN; 3]; 3]);
            let mut results = Results {
                energy: &mut energy,
                forces: &mut forces,
                stress: &mut stress,
            };
            calculator
                .evaluate(black_box(&frame), &mut results)
                .expect("a frame");
            black_box((energy, stress))
        });
    });
    group.finish();
}

fn calculators(criterion: &mut Criterion) {
    run(
        criterion,
        &null::KIND,
        &[],
        "256 atoms",
        &crystal(4, 16, 0.0),
    );
    let argon = [("epsilon", "0.0104"), ("sigma", "3.4"), ("cutoff", "8.5")];
    let short = [("epsilon", "0.0104"), ("sigma", "3.4"), ("cutoff", "5.5")];
    let kind = &lennard_jones::KIND;
    for (name, frames) in [
        ("256 atoms", crystal(4, 16, 0.0)),
        ("256 atoms, triclinic", crystal(4, 16, 3.0)),
        ("108 atoms", crystal(3, 16, 0.0)),
        ("4 atoms, cell smaller than the cutoff", crystal(1, 16, 0.0)),
        ("13 atoms, open", cluster(13, 16)),
        ("4000 atoms", crystal(10, 4, 0.0)),
        ("4000 atoms, triclinic", crystal(10, 4, 5.0)),
        ("32000 atoms", crystal(20, 1, 0.0)),
    ] {
        run(criterion, kind, &argon, name, &frames);
    }
    run(
        criterion,
        kind,
        &short,
        "256 atoms, cutoff 5.5",
        &crystal(4, 16, 0.0),
    );
}

/// `count` frames of `n` water molecules on a lattice, the atoms displaced at random by up to 0.02 Å.
#[cfg(feature = "xtb")]
fn water(n: u32, count: u64) -> FrameBlock {
    let molecule = [[0.0; 3], [0.95, 0.1, 0.0], [-0.3, 0.92, 0.05]];
    let mut frames = FrameBlock::default();
    let mut state = 1;
    for index in 0..count {
        let mut positions = Vec::new();
        for i in 0..n {
            let site = [i % 4, i / 4 % 4, i / 16].map(|k| 3.2 * f64::from(k));
            for r in molecule {
                positions.push([0, 1, 2].map(|d| site[d] + r[d] + 0.02 * random(&mut state)));
            }
        }
        let species = [8, 1, 1].repeat(n as usize);
        let frame = Frame {
            species: &species,
            positions: &positions,
            cell: Cell::OPEN,
        };
        frames.push(index, frame);
    }
    frames
}

#[cfg(feature = "xtb")]
fn tight_binding(criterion: &mut Criterion) {
    use framewise::adapters::xtb;
    use framewise::domain::calculator::Availability;
    if let Availability::Missing(why) = (xtb::KIND.availability)() {
        println!("xtb is not measured: {why}");
        return;
    }
    for method in ["gfn2", "gfn1"] {
        let typed = [("method", method)];
        for (waters, count) in [(1, 16), (6, 8), (16, 4)] {
            let name = format!("{method}, {} atoms", 3 * waters);
            run(criterion, &xtb::KIND, &typed, &name, &water(waters, count));
        }
    }
}

fn main() {
    environment::prepare();
    let mut criterion = Criterion::default().configure_from_args();
    calculators(&mut criterion);
    #[cfg(feature = "xtb")]
    tight_binding(&mut criterion);
    criterion.final_summary();
}
