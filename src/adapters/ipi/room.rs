//! The cell in which a client sees a frame.
//!
//! i-PI's cells have a along x and b in the plane of x and y, each with a positive diagonal, and clients rely on it
//! (LAMMPS' `fix ipi` reads no other elements). A frame whose cell is otherwise is turned, and its results turned back.

use std::io::Write;

use crate::adapters::extxyz::writer::write_geometry;
use crate::domain::cell::{Cell, cross, dot, norm};
use crate::domain::frame::Frame;

type Matrix = [[f64; 3]; 3];

/// How frames are shown to clients.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    /// Length of the cell where a frame has none (Å).
    pub vacuum: f64,
    /// Cells that are not triangular are turned.
    pub turns: bool,
    /// Atoms are folded into the cell along periodic directions.
    pub wraps: bool,
}

/// A frame as a client sees it (Å). Reused: it grows to the largest frame.
#[derive(Debug)]
pub(super) struct Room {
    pub cell: Cell,
    pub positions: Vec<[f64; 3]>,
    /// Rows are the axes of the client's system, where it is not that of the frame.
    axes: Option<Matrix>,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            cell: Cell::OPEN,
            positions: Vec::new(),
            axes: None,
        }
    }
}

impl Room {
    /// Places a frame.
    pub fn place(&mut self, view: &View, frame: &Frame<'_>) -> Result<(), String> {
        if frame.is_empty() {
            return Err("the frame has no atoms".into());
        }
        if i32::try_from(frame.len()).is_err() {
            return Err(format!(
                "{} atoms are more than i-PI can count",
                frame.len()
            ));
        }
        self.cell = complete(view.vacuum, frame)?;
        self.positions.clear();
        self.positions.extend_from_slice(frame.positions);
        if view.wraps {
            self.wrap();
        }
        self.axes = None;
        if view.turns && !is_triangular(&self.cell.vectors) {
            self.turn();
        }
        Ok(())
    }

    fn wrap(&mut self) {
        let reciprocal = self.cell.reciprocal();
        for r in &mut self.positions {
            let images = [0, 1, 2].map(|k| {
                if self.cell.periodic[k] {
                    dot(reciprocal[k], *r).floor()
                } else {
                    0.0
                }
            });
            for (n, v) in images.into_iter().zip(self.cell.vectors) {
                // Who is inside stays as he is, to the last bit.
                if n != 0.0 {
                    *r = [0, 1, 2].map(|i| r[i] - n * v[i]);
                }
            }
        }
    }

    fn turn(&mut self) {
        let [a, b, c] = self.cell.vectors;
        let scaled = |v: [f64; 3], by: f64| v.map(|x| x * by);
        let x = scaled(a, 1.0 / norm(a));
        let along = dot(b, x);
        let y = [0, 1, 2].map(|i| b[i] - along * x[i]);
        let y = scaled(y, 1.0 / norm(y));
        // A left-handed cell is mirrored.
        let z = cross(x, y);
        let z = scaled(z, dot(c, z).signum());
        let axes = [x, y, z];
        for r in &mut self.positions {
            *r = axes.map(|axis| dot(axis, *r));
        }
        self.cell.vectors = [
            [norm(a), 0.0, 0.0],
            [dot(b, x), dot(b, y), 0.0],
            [dot(c, x), dot(c, y), dot(c, z)],
        ];
        self.axes = Some(axes);
    }

    /// Writes the frame as extended XYZ.
    pub fn write_xyz(&self, species: &[u8], out: &mut impl Write) -> std::io::Result<()> {
        let frame = Frame {
            species,
            positions: &self.positions,
            cell: self.cell,
        };
        write_geometry(out, &frame)
    }

    /// A vector of the client, in the system of the frame.
    pub fn vector_back(&self, v: [f64; 3]) -> [f64; 3] {
        match self.axes {
            None => v,
            Some(axes) => [0, 1, 2].map(|i| (0..3).map(|k| v[k] * axes[k][i]).sum()),
        }
    }

    /// A matrix of the client, in the system of the frame.
    pub fn matrix_back(&self, m: Matrix) -> Matrix {
        let Some(axes) = self.axes else { return m };
        let element = |i: usize, j: usize| {
            let pairs = (0..9).map(|kl| (kl / 3, kl % 3));
            pairs.map(|(k, l)| axes[k][i] * m[k][l] * axes[l][j]).sum()
        };
        [0, 1, 2].map(|i| [0, 1, 2].map(|j| element(i, j)))
    }
}

fn is_triangular(vectors: &Matrix) -> bool {
    let above = [vectors[0][1], vectors[0][2], vectors[1][2]];
    above == [0.0; 3] && (0..3).all(|k| vectors[k][k] > 0.0)
}

/// The frame's cell, with `vacuum` where it has no vector. An open frame whose three vectors span nothing has none.
fn complete(vacuum: f64, frame: &Frame<'_>) -> Result<Cell, String> {
    let given = frame.cell;
    let mut cell = given.completed();
    if !given.is_periodic() {
        let lengths: f64 = cell.vectors.iter().map(|v| norm(*v)).product();
        if cell.volume() <= 1e-10 * lengths {
            cell = Cell::OPEN.completed();
        }
    }
    for k in 0..3 {
        if cell.vectors[k] == given.vectors[k] {
            continue;
        }
        let axis = cell.vectors[k];
        let along = frame.positions.iter().map(|r| dot(axis, *r));
        let (low, high) = along.fold((f64::MAX, f64::MIN), |(low, high), x| {
            (low.min(x), high.max(x))
        });
        if high - low > vacuum {
            return Err(format!(
                "the frame has no cell and is {:.1} Å wide, more than vacuum ({vacuum} Å); give a larger one",
                high - low
            ));
        }
        cell.vectors[k] = axis.map(|x| x * vacuum);
    }
    Ok(cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIEW: View = View {
        vacuum: 100.0,
        turns: true,
        wraps: false,
    };

    fn room(view: &View, vectors: Matrix, periodic: [bool; 3], positions: &[[f64; 3]]) -> Room {
        let mut room = Room::default();
        let frame = Frame {
            species: &vec![18; positions.len()],
            positions,
            cell: Cell { vectors, periodic },
        };
        room.place(view, &frame).unwrap();
        room
    }

    #[test]
    fn a_turned_frame_keeps_its_distances_and_turns_back() {
        let left_handed = [[0.3, 4.0, 0.1], [5.0, 0.2, 0.0], [1.0, -1.0, 6.0]];
        let skewed = [[4.0, 0.3, 0.1], [0.2, 5.0, 0.0], [1.0, -1.0, 6.0]];
        let positions = [[0.1, 0.2, 0.3], [1.5, -0.7, 2.2]];
        for vectors in [left_handed, skewed] {
            let room = room(&VIEW, vectors, [true; 3], &positions);
            assert!(is_triangular(&room.cell.vectors));
            assert!((room.cell.signed_volume() - Cell::periodic(vectors).volume()).abs() < 1e-12);
            for (turned, r) in room.positions.iter().zip(positions) {
                let back = room.vector_back(*turned);
                assert!((0..3).all(|i| (back[i] - r[i]).abs() < 1e-14), "{back:?}");
            }
            for (turned, v) in room.cell.vectors.iter().zip(vectors) {
                let back = room.vector_back(*turned);
                assert!((0..3).all(|i| (back[i] - v[i]).abs() < 1e-14), "{back:?}");
            }
            // The outer product of two vectors turns as they do.
            let [a, b] = [room.positions[0], room.positions[1]];
            let back = room.matrix_back(a.map(|x| b.map(|y| x * y)));
            let [a, b] = positions;
            for i in 0..3 {
                for j in 0..3 {
                    assert!((back[i][j] - a[i] * b[j]).abs() < 1e-14);
                }
            }
        }
    }

    #[test]
    fn a_triangular_cell_and_atoms_inside_stay_as_they_are() {
        let vectors = [[4.0, 0.0, 0.0], [0.2, 5.0, 0.0], [1.0, -1.0, 6.0]];
        let positions = [[0.1, 0.2, 0.3], [9.5, -0.7, 2.2]];
        let plain = room(&VIEW, vectors, [true; 3], &positions);
        assert_eq!(
            (plain.cell.vectors, &plain.positions[..]),
            (vectors, &positions[..])
        );
        let wrapping = View {
            wraps: true,
            ..VIEW
        };
        let wrapped = room(&wrapping, vectors, [true; 3], &positions);
        assert_eq!(wrapped.positions[0], positions[0]);
        let reciprocal = wrapped.cell.reciprocal();
        for axis in reciprocal {
            let s = dot(axis, wrapped.positions[1]);
            assert!((0.0..1.0).contains(&s), "{s}");
        }
    }

    #[test]
    fn a_frame_without_a_cell_gets_a_cube_that_holds_it() {
        let positions = [[-40.0, 0.0, 0.0], [40.0, 0.0, 0.0]];
        let open = room(&VIEW, [[0.0; 3]; 3], [false; 3], &positions);
        assert_eq!(open.cell.vectors[2], [0.0, 0.0, 100.0]);
        let slab = [[4.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0; 3]];
        let slab = room(&VIEW, slab, [true, true, false], &positions);
        assert_eq!(slab.cell.vectors[2], [0.0, 0.0, 100.0]);
        let frame = Frame {
            species: &[18, 18],
            positions: &[[-60.0, 0.0, 0.0], [60.0, 0.0, 0.0]],
            cell: Cell::OPEN,
        };
        let refused = Room::default().place(&VIEW, &frame).unwrap_err();
        assert!(refused.contains("120.0 Å wide"), "{refused}");
    }
}
