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
    let morse = [
        ("D0", "0.0121"),
        ("alpha", "1.55"),
        ("r0", "3.78"),
        ("cutoff", "8.5"),
    ];
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
        assert_eq!(
            allocations(calculator("morse", &morse), &frames),
            0,
            "morse, {file}"
        );
    }
}

#[test]
fn neither_do_those_of_crystals() {
    let ions = [
        ("A", "1256.31"),
        ("rho", "0.3162"),
        ("cutoff", "9"),
        ("charge.Na", "1"),
        ("charge.Cl", "-1"),
    ];
    let ewald = calculator("buckingham-coulomb", &ions);
    assert_eq!(allocations(ewald, &xyz::read("NaCl.xyz")), 0, "ewald");
    let dsf = [&ions[..], &[("coulomb", "dsf"), ("alpha", "0.2")]].concat();
    let dsf = calculator("buckingham-coulomb", &dsf);
    assert_eq!(allocations(dsf, &xyz::read("NaCl_open.xyz")), 0, "dsf");
    let silicon = calculator("stillinger-weber", &[]);
    assert_eq!(allocations(silicon, &xyz::read("silicon.xyz")), 0, "Si");
    let file = xyz::data("make/SiC.sw").display().to_string();
    let carbide = calculator("stillinger-weber", &[("file", &file)]);
    assert_eq!(allocations(carbide, &xyz::read("SiC.xyz")), 0, "SiC");
}

#[cfg(feature = "kim")]
#[test]
fn models_of_openkim_cost_no_allocation_of_ours() {
    for (file, model) in [
        ("silicon", "SW_StillingerWeber_1985_Si__MO_405512056662_005"),
        ("argon_small_cell", "ex_model_Ar_SLJ_MultiCutoff"),
        ("argon_triclinic", "ex_model_Ar_SLJ_MultiCutoff"),
    ] {
        let frames = xyz::read(&format!("{file}.xyz"));
        let calculator = calculator("kim", &[("model", model)]);
        assert_eq!(allocations(calculator, &frames), 0, "{model}, {file}");
    }
}
