//! Dumps of LAMMPS (<https://docs.lammps.org/dump.html>): text, columns `id type element xu yu zu fx fy fz`, in Å and
//! eV/Å (units metal). The type is the atomic number, the time step the index of the frame.
//!
//! Boxes are of LAMMPS' restricted kind: a along x, b in the plane of x and y, c above it. Frames whose cells are
//! oriented otherwise are turned as a whole, positions and forces alike; all others keep every digit.

use std::io::{self, Write};

use crate::adapters::extxyz::writer::Labelled;
use crate::domain::cell::{Cell, cross, dot, norm};
use crate::domain::elements::symbol;

/// Room around the atoms of a frame without a cell (Å).
const MARGIN: f64 = 1.0;

/// A box, and how the frame is turned into it.
struct Place {
    low: [f64; 3],
    high: [f64; 3],
    /// xy, xz, yz.
    tilt: [f64; 3],
    /// Rows are the new axes; none where nothing is turned.
    axes: Option<[[f64; 3]; 3]>,
}

/// Writes one frame.
pub fn write_frame(out: &mut impl Write, labelled: &Labelled<'_>) -> io::Result<()> {
    let frame = &labelled.frame;
    let place = if frame.cell.vectors == Cell::OPEN.vectors {
        around(frame.positions)
    } else {
        restricted(&frame.cell).ok_or_else(|| {
            io::Error::other(format!(
                "frame {}: its cell is left-handed, which LAMMPS has no box for; leave it out with --frames",
                labelled.index
            ))
        })?
    };
    let edges = frame.cell.periodic.map(|p| if p { "pp" } else { "ff" });
    writeln!(out, "ITEM: TIMESTEP\n{}", labelled.index)?;
    writeln!(out, "ITEM: NUMBER OF ATOMS\n{}", frame.len())?;
    write_box(out, &place, edges)?;
    let forces = labelled.label.and_then(|label| label.forces);
    let more = if forces.is_some() { " fx fy fz" } else { "" };
    writeln!(out, "ITEM: ATOMS id type element xu yu zu{more}")?;
    let turned = |v: [f64; 3]| place.axes.map_or(v, |axes| axes.map(|axis| dot(axis, v)));
    let atoms = frame.species.iter().zip(frame.positions);
    for (i, (z, r)) in atoms.enumerate() {
        let [x, y, w] = turned(*r);
        write!(out, "{} {z} {} {x:?} {y:?} {w:?}", i + 1, symbol(*z))?;
        if let Some(forces) = forces {
            let [a, b, c] = turned(forces[i]);
            write!(out, " {a:?} {b:?} {c:?}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn write_box(out: &mut impl Write, place: &Place, edges: [&str; 3]) -> io::Result<()> {
    let Place {
        mut low,
        mut high,
        tilt: [xy, xz, yz],
        ..
    } = *place;
    let [p, q, r] = edges;
    if place.tilt == [0.0; 3] {
        writeln!(out, "ITEM: BOX BOUNDS {p} {q} {r}")?;
        return (0..3).try_for_each(|d| writeln!(out, "{:?} {:?}", low[d], high[d]));
    }
    // The bounds are those of the upright box around the tilted one.
    let corners = [0.0, xy, xz, xy + xz];
    low[0] += corners.into_iter().fold(0.0, f64::min);
    high[0] += corners.into_iter().fold(0.0, f64::max);
    low[1] += yz.min(0.0);
    high[1] += yz.max(0.0);
    writeln!(out, "ITEM: BOX BOUNDS xy xz yz {p} {q} {r}")?;
    let tilts = [xy, xz, yz];
    (0..3).try_for_each(|d| writeln!(out, "{:?} {:?} {:?}", low[d], high[d], tilts[d]))
}

/// The box of a cell; none where it is left-handed.
fn restricted(cell: &Cell) -> Option<Place> {
    let whole = cell.completed();
    if whole.signed_volume() <= 0.0 {
        return None;
    }
    let [a, b, c] = whole.vectors;
    let is_restricted =
        a[1] == 0.0 && a[2] == 0.0 && b[2] == 0.0 && a[0] > 0.0 && b[1] > 0.0 && c[2] > 0.0;
    let (edges, axes) = if is_restricted {
        (whole.vectors, None)
    } else {
        let unit = |v: [f64; 3]| v.map(|x| x / norm(v));
        let (x, z) = (unit(a), unit(cross(a, b)));
        let axes = [x, cross(z, x), z];
        (
            whole.vectors.map(|v| axes.map(|axis| dot(axis, v))),
            Some(axes),
        )
    };
    Some(Place {
        low: [0.0; 3],
        high: [edges[0][0], edges[1][1], edges[2][2]],
        tilt: [edges[1][0], edges[2][0], edges[2][1]],
        axes,
    })
}

/// A box around atoms.
fn around(positions: &[[f64; 3]]) -> Place {
    let far = |d: usize, start: f64, pick: fn(f64, f64) -> f64| {
        let found = positions.iter().map(|r| r[d]).fold(start, pick);
        if found.is_finite() { found } else { 0.0 }
    };
    Place {
        low: [0, 1, 2].map(|d| far(d, f64::INFINITY, f64::min) - MARGIN),
        high: [0, 1, 2].map(|d| far(d, f64::NEG_INFINITY, f64::max) + MARGIN),
        tilt: [0.0; 3],
        axes: None,
    }
}
