//! Cells as chemfiles has them.

use chemfiles::{CellShape, UnitCell};

use crate::domain::cell::{Cell, norm};

/// Off the right angle by less than this, in radians, is a right angle that was rounded on its way through a cosine.
const ROUNDED: f64 = 1e-15;

/// A cell that repeats; none where there is none.
pub fn periodic(cell: &UnitCell) -> Option<Cell> {
    let is_there = cell.shape() != CellShape::Infinite;
    is_there.then(|| Cell::periodic(rows(cell.matrix())))
}

/// chemfiles' cell vectors are the columns of its matrix, ours are rows; what a right angle leaves beside the
/// diagonal is zero.
fn rows(matrix: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    let rows = [0, 1, 2].map(|j| [0, 1, 2].map(|i| matrix[i][j]));
    rows.map(|row| {
        let least = ROUNDED * norm(row);
        row.map(|x| if x.abs() < least { 0.0 } else { x })
    })
}

/// What PDB files say that have no cell but need one: CRYST1 with edges of 1 Å.
pub fn is_unit_cube(cell: &Cell) -> bool {
    let is_near = |x: f64, y: f64| (x - y).abs() < 1e-9;
    let at = |i: usize, j: usize| is_near(cell.vectors[i][j], if i == j { 1.0 } else { 0.0 });
    (0..9).all(|k| at(k / 3, k % 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_angles_are_exact() {
        let box_of = |angles| periodic(&UnitCell::triclinic([10.0, 20.0, 30.0], angles));
        let right = box_of([90.0; 3]).unwrap();
        assert_eq!(right.vectors[1], [0.0, 20.0, 0.0]);
        assert_eq!(right.vectors[2], [0.0, 0.0, 30.0]);
        let monoclinic = box_of([90.0, 95.0, 90.0]).unwrap().vectors;
        assert_eq!((monoclinic[1][0], monoclinic[2][1]), (0.0, 0.0));
        assert!(monoclinic[2][0] < -2.6);
        let nearly = box_of([90.0, 90.0, 90.01]).unwrap();
        assert!(nearly.vectors[1][0] < -1e-3);
        assert_eq!(periodic(&UnitCell::infinite()), None);
    }
}
