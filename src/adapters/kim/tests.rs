//! What cannot be seen from outside: units other than ours.

use super::*;
use crate::domain::cell::Cell;

#[test]
fn a_model_that_computes_in_other_units_gives_the_same() {
    let name = "SW_StillingerWeber_1985_Si__MO_405512056662_005";
    let positions = [[0.1, 0.0, 0.2], [1.3, 1.4, 1.2], [2.7, 2.6, 0.1]];
    let frame = Frame {
        species: &[14; 3],
        positions: &positions,
        cell: Cell::periodic([[5.4, 0.0, 0.0], [0.3, 5.5, 0.0], [-0.2, 0.1, 5.3]]),
    };
    let evaluated = |length, energy| {
        let factory = KimFactory::new(name, false, length, energy).unwrap();
        let (mut energy, mut forces, mut stress) = (0.0, [[0.0; 3]; 3], [[f64::NAN; 3]; 3]);
        let mut results = Results {
            energy: &mut energy,
            forces: &mut forces,
            stress: &mut stress,
        };
        factory
            .build()
            .unwrap()
            .evaluate(&frame, &mut results)
            .unwrap();
        let mut numbers = vec![energy];
        numbers.extend(forces.as_flattened().iter().chain(stress.as_flattened()));
        (factory, numbers)
    };
    let (ours, expected) = evaluated(c"A", c"eV");
    assert_eq!((ours.length, ours.energy), (1.0, 1.0));
    // Not erg: libkim-api 2.3.0 converts it with a factor of 1e14 too few.
    for (length, energy) in [(c"nm", c"kcal_mol"), (c"Bohr", c"Hartree"), (c"cm", c"J")] {
        let (factory, found) = evaluated(length, energy);
        assert!(factory.length != 1.0 && factory.energy != 1.0, "{length:?}");
        assert!((factory.influence / ours.influence - 1.0).abs() < 1e-8);
        for (a, b) in found.iter().zip(&expected) {
            // The driver's constants of nature are a little older.
            assert!(
                (a - b).abs() < 1e-6 * b.abs().max(0.1),
                "{length:?}: {a} {b}"
            );
        }
    }
}
