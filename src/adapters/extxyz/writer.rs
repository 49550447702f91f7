//! Frames with results as extended XYZ: what ASE reads back as atoms with a calculator.
//!
//! Numbers are the shortest that read back to the same bits. Stress is written as nine numbers, columns
//! first, and omitted where it is not known.

use std::io::{self, Write};

use crate::domain::elements::symbol;
use crate::domain::frame::Frame;

/// A frame and what was computed for it.
#[derive(Clone, Copy, Debug)]
pub struct Labelled<'a> {
    /// Its index in the trajectory, written as `frame=`.
    pub index: u64,
    /// Geometry.
    pub frame: Frame<'a>,
    /// Total energy (eV).
    pub energy: f64,
    /// Forces (eV/Å), one row per atom.
    pub forces: &'a [[f64; 3]],
    /// Stress (eV/Å³, sign of ASE); not written when any component is NaN.
    pub stress: [[f64; 3]; 3],
}

/// What energy, forces and stress are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Of the comment line.
    pub energy: String,
    /// Of a column.
    pub forces: String,
    /// Of the comment line.
    pub stress: String,
}

impl Default for Names {
    fn default() -> Self {
        Self::prefixed("")
    }
}

impl Names {
    /// `REF_energy`...
    pub fn prefixed(prefix: &str) -> Self {
        let [energy, forces, stress] =
            ["energy", "forces", "stress"].map(|name| format!("{prefix}{name}"));
        Self {
            energy,
            forces,
            stress,
        }
    }
}

/// Writes one frame.
pub fn write_frame(out: &mut impl Write, labelled: &Labelled<'_>, names: &Names) -> io::Result<()> {
    let Labelled { frame, forces, .. } = labelled;
    let [a, b, c] = periodic(frame);
    write_head(out, frame)?;
    write!(
        out,
        "Properties=species:S:1:pos:R:3:{}:R:3 {}={:?}",
        names.forces, names.energy, labelled.energy
    )?;
    if !labelled.stress.iter().flatten().any(|x| x.is_nan()) {
        let stress = labelled.stress;
        let columns: [[f64; 3]; 3] = [0, 1, 2].map(|j| [0, 1, 2].map(|i| stress[i][j]));
        write!(out, " {}=\"", names.stress)?;
        write_numbers(out, columns.as_flattened())?;
        write!(out, "\"")?;
    }
    writeln!(out, " frame={} pbc=\"{a} {b} {c}\"", labelled.index)?;
    for ((z, r), f) in frame.species.iter().zip(frame.positions).zip(*forces) {
        write!(out, "{} ", symbol(*z))?;
        write_numbers(out, r)?;
        write!(out, " ")?;
        write_numbers(out, f)?;
        writeln!(out)?;
    }
    Ok(())
}

/// Writes one frame of which nothing is known but its geometry.
pub fn write_geometry(out: &mut impl Write, frame: &Frame<'_>) -> io::Result<()> {
    let [a, b, c] = periodic(frame);
    write_head(out, frame)?;
    writeln!(out, "Properties=species:S:1:pos:R:3 pbc=\"{a} {b} {c}\"")?;
    for (z, r) in frame.species.iter().zip(frame.positions) {
        write!(out, "{} ", symbol(*z))?;
        write_numbers(out, r)?;
        writeln!(out)?;
    }
    Ok(())
}

/// The number of atoms and the cell.
fn write_head(out: &mut impl Write, frame: &Frame<'_>) -> io::Result<()> {
    let vectors = frame.cell.vectors.as_flattened();
    writeln!(out, "{}", frame.len())?;
    if vectors.iter().any(|x| *x != 0.0) {
        write!(out, "Lattice=\"")?;
        write_numbers(out, vectors)?;
        write!(out, "\" ")?;
    }
    Ok(())
}

fn periodic(frame: &Frame<'_>) -> [char; 3] {
    frame.cell.periodic.map(|p| if p { 'T' } else { 'F' })
}

fn write_numbers(out: &mut impl Write, numbers: &[f64]) -> io::Result<()> {
    for (k, x) in numbers.iter().enumerate() {
        let blank = if k == 0 { "" } else { " " };
        write!(out, "{blank}{x:?}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::extxyz::reader::ExtxyzReader;
    use crate::adapters::source::values::Values;
    use crate::adapters::source::{Detail, FrameStream as _, SourceFrame};
    use crate::domain::cell::Cell;
    use proptest::prelude::*;
    use std::path::Path;

    fn finite() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<f64>().prop_filter("finite", |x| x.is_finite()),
            -1e3..1e3,
            Just(-0.0),
            Just(5e-324),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_bit_for_bit(
            atoms in prop::collection::vec((0_u8..119, prop::array::uniform3(finite()), prop::array::uniform3(finite())), 0..6),
            vectors in prop::array::uniform3(prop::array::uniform3(finite())),
            periodic in prop::array::uniform3(any::<bool>()),
            energy in finite(),
            stress in prop::array::uniform3(prop::array::uniform3(finite())),
        ) {
            let species: Vec<u8> = atoms.iter().map(|a| a.0).collect();
            let positions: Vec<_> = atoms.iter().map(|a| a.1).collect();
            let forces: Vec<_> = atoms.iter().map(|a| a.2).collect();
            let cell = Cell { vectors, periodic };
            let frame = Frame { species: &species, positions: &positions, cell };
            let mut text = Vec::new();
            let labelled = Labelled { index: 7, frame, energy, forces: &forces, stress };
            write_frame(&mut text, &labelled, &Names::default()).unwrap();
            let mut reader = ExtxyzReader::new(&text[..], Path::new("x.xyz"));
            let mut read = SourceFrame::default();
            prop_assert!(reader.read(&mut read, Detail::Full).unwrap());
            let bits = |v: &[[f64; 3]]| v.as_flattened().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(&read.species, &species);
            prop_assert_eq!(bits(&read.positions), bits(&positions));
            prop_assert_eq!(read.cell.periodic, periodic);
            prop_assert_eq!(bits(&read.cell.vectors), bits(&vectors));
            let key = |name: &str| match &read.keys.iter().find(|k| k.name == name).unwrap().values {
                Values::Real(v) => v.clone(),
                other => panic!("{other:?}"),
            };
            prop_assert_eq!(key("energy")[0].to_bits(), energy.to_bits());
            let Values::Real(read_forces) = &read.columns[0].values else { panic!() };
            prop_assert_eq!(bits(read_forces.as_chunks::<3>().0), bits(&forces));
            prop_assert_eq!(bits(key("stress").as_chunks::<3>().0), bits(&stress));
            prop_assert!(!reader.read(&mut read, Detail::Full).unwrap());
        }
    }
}
