//! Forces and stress against finite differences of the energy, of whatever computed the result of a trajectory.

use framewise::adapters::hdf5::result_block::ResultBlock;
use framewise::domain::cell::Cell;
use framewise::domain::frame::{Frame, FrameBlock};

/// Steps of a difference of fourth order, and their weights.
const STEPS: [(f64, f64); 4] = [(1.0, 8.0), (-1.0, -8.0), (2.0, -1.0), (-2.0, 1.0)];
/// Strains that are looked at.
const STRAINS: [(usize, usize); 6] = [(0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (2, 0)];

/// Atoms that are moved.
fn moved(frame: &Frame<'_>) -> [usize; 3] {
    [0, frame.len() / 2, frame.len() - 1]
}

/// The frame, then it with three of its atoms moved by multiples of `step` Å along every axis, then strained by multiples of
/// `step` / 10 where it is periodic.
pub fn displaced(frame: &Frame<'_>, step: f64) -> FrameBlock {
    let mut frames = FrameBlock::default();
    let mut push = |positions: &[[f64; 3]], cell| {
        let displaced = Frame {
            species: frame.species,
            positions,
            cell,
        };
        frames.push(frames.len() as u64, displaced);
    };
    push(frame.positions, frame.cell);
    for atom in moved(frame) {
        for d in 0..3 {
            for (times, _) in STEPS {
                let mut positions = frame.positions.to_vec();
                positions[atom][d] += times * step;
                push(&positions, frame.cell);
            }
        }
    }
    if frame.cell.is_periodic() {
        for (a, b) in STRAINS {
            for (times, _) in STEPS {
                let strain = |mut r: [f64; 3]| {
                    r[a] += 0.1 * times * step * r[b];
                    r
                };
                let positions: Vec<_> = frame.positions.iter().map(|r| strain(*r)).collect();
                let vectors = frame.cell.vectors.map(strain);
                push(
                    &positions,
                    Cell {
                        vectors,
                        ..frame.cell
                    },
                );
            }
        }
    }
    frames
}

/// Largest deviations of forces and stress of the first frame from differences of the energies of all of [`displaced`],
/// relative to the largest of them. Zero for the stress of a frame without one.
pub fn deviations(found: &ResultBlock, frame: &Frame<'_>, step: f64) -> (f64, f64) {
    let largest = |x: &[f64]| x.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    let mut slopes = found.energy[1..].chunks(STEPS.len()).map(|energies| {
        let terms = energies
            .iter()
            .zip(STEPS)
            .map(|(e, (_, weight))| weight * e);
        terms.sum::<f64>() / 12.0
    });
    let forces = &found.forces[..frame.len()];
    let scale = largest(forces.as_flattened());
    assert!(scale > 1e-3, "no forces: {scale}");
    let mut force = 0.0_f64;
    for atom in moved(frame) {
        for d in 0..3 {
            let slope = slopes.next().unwrap() / step;
            force = force.max((slope + forces[atom][d]).abs() / scale);
        }
    }
    let mut stress = 0.0_f64;
    if frame.cell.is_periodic() {
        let scale = largest(found.stress[0].as_flattened());
        for (a, b) in STRAINS {
            let slope = slopes.next().unwrap() / (0.1 * step) / frame.cell.volume();
            stress = stress.max((slope - found.stress[0][a][b]).abs() / scale);
        }
    }
    assert!(slopes.next().is_none() && force.is_finite() && stress.is_finite());
    (force, stress)
}
