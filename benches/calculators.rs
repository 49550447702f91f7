//! Frames per second of the calculators, one thread, frames in memory.
//!
//! `cargo bench --bench calculators`; Criterion prints elements per second, one element being one frame.
//! `xtb` wants libxtb on this machine.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use framewise::adapters::environment;
use framewise::adapters::measure::frames::random;
use framewise::domain::calculator::{CalculatorKind, Conditions, Results};
use framewise::domain::calculators::{
    buckingham_coulomb, lennard_jones, morse, null, stillinger_weber,
};
use framewise::domain::cell::Cell;
use framewise::domain::frame::{Frame, FrameBlock};
use framewise::domain::parameters::Parameters;

/// What repeats, in units of the edge of a cube.
type Basis = [(u8, [f64; 3])];

const ARGON: [(u8, [f64; 3]); 4] = [
    (18, [0.0; 3]),
    (18, [0.0, 0.5, 0.5]),
    (18, [0.5, 0.0, 0.5]),
    (18, [0.5, 0.5, 0.0]),
];

/// A second face-centred lattice of species `b` at `offset` along all edges from a first one of `a`.
fn compound(a: u8, b: u8, offset: f64) -> Vec<(u8, [f64; 3])> {
    let first = ARGON.iter().map(|(_, r)| (a, *r));
    let second = ARGON.iter().map(|(_, r)| (b, r.map(|x| x + offset)));
    first.chain(second).collect()
}

/// `count` frames of a crystal of `n`³ cubes of edge `a` (Å), its atoms displaced at random by up to `far` (Å).
fn lattice(basis: &Basis, a: f64, far: f64, n: u32, count: u64, skew: f64) -> FrameBlock {
    let edge = a * f64::from(n);
    let cell = Cell::periodic([[edge, 0.0, 0.0], [skew, edge, 0.0], [0.0, -skew, edge]]);
    let mut state = 1;
    let mut frames = FrameBlock::default();
    for index in 0..count {
        let (mut species, mut positions) = (Vec::new(), Vec::new());
        for site in 0..n * n * n {
            let corner = [site % n, site / n % n, site / (n * n)];
            for (z, b) in basis {
                species.push(*z);
                positions.push(
                    [0, 1, 2].map(|d| a * (f64::from(corner[d]) + b[d]) + far * random(&mut state)),
                );
            }
        }
        let frame = Frame {
            species: &species,
            positions: &positions,
            cell,
        };
        frames.push(index, frame);
    }
    frames
}

/// Argon at the density of the liquid at 90 K: four atoms in (5.8 Å)³.
fn crystal(n: u32, count: u64, skew: f64) -> FrameBlock {
    lattice(&ARGON, 5.8, 0.4, n, count, skew)
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

fn potentials(criterion: &mut Criterion) {
    let well = [
        ("D0", "0.0121"),
        ("alpha", "1.55"),
        ("r0", "3.78"),
        ("cutoff", "8.5"),
    ];
    let argon = crystal(4, 16, 0.0);
    run(criterion, &morse::KIND, &well, "256 atoms", &argon);
    let salt = [
        ("A.Na-Na", "487"),
        ("rho.Na-Na", "0.2377"),
        ("C.Na-Na", "1.05"),
        ("A.Na-Cl", "1256.31"),
        ("rho.Na-Cl", "0.3162"),
        ("C.Na-Cl", "7"),
        ("A.Cl-Cl", "3405"),
        ("rho.Cl-Cl", "0.3214"),
        ("C.Cl-Cl", "72.4"),
        ("cutoff", "9"),
    ];
    let charges = [("charge.Na", "1"), ("charge.Cl", "-1")];
    let rock_salt = lattice(&compound(11, 17, 0.5), 5.64, 0.2, 4, 8, 0.0);
    for (name, more) in [
        ("none", &[("coulomb", "none")][..]),
        ("dsf", &[("coulomb", "dsf"), ("alpha", "0.2")]),
        ("ewald", &[("coulomb", "ewald")]),
        (
            "ewald to 1e-5",
            &[("coulomb", "ewald"), ("accuracy", "1e-5")],
        ),
    ] {
        let charges = if name == "none" { &[][..] } else { &charges };
        let typed = [&salt[..], charges, more].concat();
        let name = format!("512 atoms, {name}");
        run(
            criterion,
            &buckingham_coulomb::KIND,
            &typed,
            &name,
            &rock_salt,
        );
    }
    for n in [2, 4, 8] {
        let silicon = lattice(&compound(14, 14, 0.25), 5.431, 0.2, n, 8, 0.0);
        let name = format!("{} atoms", 8 * n * n * n);
        run(criterion, &stillinger_weber::KIND, &[], &name, &silicon);
    }
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
    potentials(&mut criterion);
    #[cfg(feature = "xtb")]
    tight_binding(&mut criterion);
    criterion.final_summary();
}
