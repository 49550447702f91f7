//! Nothing is allocated per frame: counts, not seconds.

#[path = "support/xyz.rs"]
mod xyz;

use allocation_counter::measure;

use framewise::adapters::calculators;
use framewise::domain::calculator::{Calculator, Conditions, Results};
use framewise::domain::frame::FrameBlock;
use framewise::domain::parameters::Parameters;

fn calculator(name: &str, typed: &[(&str, &str)]) -> Box<dyn Calculator> {
    let kind = calculators::find(name).unwrap();
    let typed: Vec<_> = typed
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    let parameters = Parameters::parse(name, kind.parameters, &typed).unwrap();
    (kind.factory)(&parameters, &Conditions::default())
        .unwrap()
        .build()
        .unwrap()
}

/// Allocations during the second visit to `frames`, when every buffer has its size.
fn allocations(mut calculator: Box<dyn Calculator>, frames: &FrameBlock) -> u64 {
    let mut forces = vec![[0.0; 3]; frames.positions.len()];
    let mut visit = || {
        for frame in (0..frames.len()).map(|i| frames.frame(i)) {
            let (mut energy, mut stress) = (0.0, [[f64::NAN; 3]; 3]);
            forces.fill([0.0; 3]);
            let mut results = Results {
                energy: &mut energy,
                forces: &mut forces[..frame.len()],
                stress: &mut stress,
            };
            calculator.evaluate(&frame, &mut results).unwrap();
        }
    };
    visit();
    measure(visit).count_total
}

#[test]
fn calculators_allocate_nothing_after_the_first_frames() {
    let lj = [("epsilon", "0.0104"), ("sigma", "3.4"), ("cutoff", "8.5")];
    for file in [
        "argon",
        "argon_triclinic",
        "argon_small_cell",
        "argon_cluster",
    ] {
        let frames = xyz::read(&format!("{file}.xyz"));
        assert_eq!(
            allocations(calculator("null", &[]), &frames),
            0,
            "null, {file}"
        );
        assert_eq!(
            allocations(calculator("lennard-jones", &lj), &frames),
            0,
            "lennard-jones, {file}"
        );
    }
}
