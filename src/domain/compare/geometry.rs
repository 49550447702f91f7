//! Are two frames the same frame?

use crate::domain::cell::{Cell, dot};
use crate::domain::elements::symbol;
use crate::domain::frame::Frame;

/// What makes `b` another geometry than `a`; `None` where they are the same: the same species in the same order,
/// positions within `tolerance` (Å) of each other or of a periodic image, and, where they repeat, the same cell.
pub fn difference(a: &Frame<'_>, b: &Frame<'_>, tolerance: f64) -> Option<String> {
    if a.len() != b.len() {
        return Some(format!("{} atoms in A, {} in B", a.len(), b.len()));
    }
    if let Some(atom) = (0..a.len()).find(|k| a.species[*k] != b.species[*k]) {
        return Some(format!(
            "atom {atom} is {} in A and {} in B",
            symbol(a.species[atom]),
            symbol(b.species[atom])
        ));
    }
    if a.cell.periodic != b.cell.periodic {
        let shown = |cell: &Cell| cell.periodic.map(|p| if p { 'T' } else { 'F' });
        let ([p, q, r], [x, y, z]) = (shown(&a.cell), shown(&b.cell));
        return Some(format!("it is periodic {p}{q}{r} in A and {x}{y}{z} in B"));
    }
    for d in (0..3).filter(|d| a.cell.periodic[*d]) {
        let (u, v) = (a.cell.vectors[d], b.cell.vectors[d]);
        if (0..3).any(|k| !within(u[k], v[k], tolerance)) {
            return Some(format!("cell vector {d} is {u:?} in A and {v:?} in B (Å)"));
        }
    }
    let pairs = a.positions.iter().zip(b.positions);
    let apart = |(r, s): (&[f64; 3], &[f64; 3])| {
        let near = (0..3).all(|k| within(r[k], s[k], tolerance));
        !near && !is_image([s[0] - r[0], s[1] - r[1], s[2] - r[2]], &a.cell, tolerance)
    };
    pairs
        .enumerate()
        .find(|(_, pair)| apart(*pair))
        .map(|(atom, (r, s))| {
            format!(
                "atom {atom} ({}) is at {r:?} in A and at {s:?} in B (Å)",
                symbol(a.species[atom])
            )
        })
}

/// NaN is as near to NaN as can be: a frame that cannot be evaluated is the same frame all the same.
fn within(x: f64, y: f64, tolerance: f64) -> bool {
    (x - y).abs() <= tolerance || x == y || (x.is_nan() && y.is_nan())
}

/// Whether a difference of positions is one of periodic images.
fn is_image(d: [f64; 3], cell: &Cell, tolerance: f64) -> bool {
    if !cell.is_periodic() || cell.defect().is_some() {
        return false;
    }
    let whole = cell.completed();
    let reciprocal = whole.reciprocal();
    let mut rest = d;
    for k in (0..3).filter(|k| cell.periodic[*k]) {
        let n = dot(reciprocal[k], d).round();
        (0..3).for_each(|i| rest[i] -= n * whole.vectors[k][i]);
    }
    rest.iter().all(|x| x.abs() <= tolerance)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUBE: [[f64; 3]; 3] = [[4.0, 0.0, 0.0], [1.0, 4.0, 0.0], [0.0, 0.0, 4.0]];

    fn frame<'a>(species: &'a [u8], positions: &'a [[f64; 3]], cell: Cell) -> Frame<'a> {
        Frame {
            species,
            positions,
            cell,
        }
    }

    #[test]
    fn images_are_the_same_and_other_things_are_not() {
        let cell = Cell::periodic(CUBE);
        let slab = Cell {
            periodic: [true, true, false],
            ..cell
        };
        let (one, image) = ([[0.5, 0.5, 0.5]], [[1.5 + 1e-9, 4.5, 4.5]]);
        let a = frame(&[1], &one, cell);
        assert_eq!(difference(&a, &frame(&[1], &image, cell), 1e-6), None);
        let said = |a: &Frame<'_>, b: &Frame<'_>| difference(a, b, 1e-6).unwrap();
        let is = frame(&[1], &one, slab);
        assert!(said(&is, &frame(&[1], &image, slab)).contains("atom 0 (H) is at"));
        assert!(said(&a, &is).contains("periodic TTT in A and TTF in B"));
        assert!(said(&a, &frame(&[2], &one, cell)).contains("H in A and He in B"));
        assert!(said(&a, &frame(&[], &[], cell)).contains("1 atoms in A, 0 in B"));
        let mut longer = cell;
        longer.vectors[2][2] = 4.1;
        assert!(said(&a, &frame(&[1], &one, longer)).contains("cell vector 2"));
    }
}
