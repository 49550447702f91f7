//! Frames with results as extended XYZ: what ASE reads back as atoms with a calculator.
//!
//! Numbers are the shortest that read back to the same bits. Stress is written as nine numbers, columns
//! first, and omitted where it is not known. Arrays that are more than a row of numbers are JSON, as ASE writes them.

use std::io::{self, Write};

use super::spelling::{columns_first, is_plain, write_key, write_numbers, write_word};
use crate::adapters::source::properties::{Properties, Property};
use crate::adapters::source::values::Kind;
use crate::domain::elements::symbol;
use crate::domain::frame::Frame;
use crate::domain::label::Label;

/// A frame and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Labelled<'a> {
    /// Its index in the trajectory, written as `frame=` beside results.
    pub index: u64,
    /// Geometry.
    pub frame: Frame<'a>,
    /// What was computed for it.
    pub label: Option<Label<'a>>,
    /// Its further properties.
    pub more: More<'a>,
}

/// Where in a block of properties those of one frame are.
#[derive(Clone, Copy, Debug)]
pub struct More<'a> {
    /// Of the block.
    pub properties: &'a Properties,
    /// The frame.
    pub row: usize,
    /// Its first atom.
    pub first_atom: usize,
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

/// Writes one frame. Properties that it lacks are left out: those that are NaN, or an empty text.
pub fn write_frame(out: &mut impl Write, labelled: &Labelled<'_>, names: &Names) -> io::Result<()> {
    let Labelled { frame, more, .. } = labelled;
    let [a, b, c] = periodic(frame);
    write_head(out, frame)?;
    let atoms = more.first_atom..more.first_atom + frame.len();
    let of_atoms = more.properties.of_atoms.iter();
    let of_atoms = of_atoms.filter(|p| p.width() > 0 && !p.is_missing(atoms.clone()));
    let forces = labelled.label.and_then(|label| label.forces);
    write_columns(out, forces.map(|_| names), of_atoms.clone())?;
    if let Some(label) = &labelled.label {
        write!(out, " {}={:?}", names.energy, label.energy)?;
        if let Some(stress) = &label.stress {
            write!(out, " {}=\"", names.stress)?;
            write_numbers(out, columns_first(stress.as_flattened()).as_slice())?;
            write!(out, "\"")?;
        }
        write!(out, " frame={}", labelled.index)?;
    }
    for property in &more.properties.of_frames {
        if property.width() > 0 && !property.is_missing(more.row..more.row + 1) {
            write_key(out, property, more.row)?;
        }
    }
    writeln!(out, " pbc=\"{a} {b} {c}\"")?;
    for (i, (z, r)) in frame.species.iter().zip(frame.positions).enumerate() {
        write!(out, "{} ", symbol(*z))?;
        write_numbers(out, r)?;
        if let Some(forces) = forces {
            write!(out, " ")?;
            write_numbers(out, &forces[i])?;
        }
        for property in of_atoms.clone() {
            let first = (more.first_atom + i) * property.width();
            for k in first..first + property.width() {
                write!(out, " ")?;
                write_word(out, &property.values, k)?;
            }
        }
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

fn write_columns<'a>(
    out: &mut impl Write,
    forces: Option<&Names>,
    more: impl Iterator<Item = &'a Property> + Clone,
) -> io::Result<()> {
    // A colon would end the name.
    let is_plain = |name: &str| is_plain(name) && !name.contains(':');
    let quote = if more.clone().all(|p| is_plain(&p.name)) {
        ""
    } else {
        "\""
    };
    write!(out, "Properties={quote}species:S:1:pos:R:3")?;
    if let Some(names) = forces {
        write!(out, ":{}:R:3", names.forces)?;
    }
    for property in more {
        let kind = match property.values.kind() {
            Kind::Real => 'R',
            Kind::Integer => 'I',
            Kind::Logical => 'L',
            Kind::Text => 'S',
        };
        write!(out, ":")?;
        for c in property.name.chars() {
            match c {
                ':' => write!(out, "_")?,
                '"' | '\\' => write!(out, "\\{c}")?,
                _ => write!(out, "{c}")?,
            }
        }
        write!(out, ":{kind}:{}", property.width())?;
    }
    write!(out, "{quote}")
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
            let label = Some(Label { energy, forces: Some(&forces), stress: Some(stress) });
            let properties = Properties::default();
            let more = More { properties: &properties, row: 0, first_atom: 0 };
            let labelled = Labelled { index: 7, frame, label, more };
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

    fn property(name: &str, shape: &[usize], values: Values) -> Property {
        Property {
            name: name.into(),
            shape: shape.to_vec(),
            values,
        }
    }

    fn texts(all: &[&str]) -> Values {
        let mut texts = crate::adapters::source::values::Texts::default();
        for text in all {
            texts.push(text);
        }
        Values::Text(texts)
    }

    #[test]
    fn properties_are_read_back_as_they_were() {
        let nan = f64::NAN;
        let reals = |n: usize| Values::Real((0..n).map(|k| k as f64 / 3.0).collect());
        // Two frames, of which the second is written: 1 and 2 atoms.
        let properties = Properties {
            of_frames: vec![
                property("real", &[], reals(2)),
                property("whole", &[], Values::Integer(vec![1, -2])),
                property("true or not", &[], Values::Logical(vec![true, false])),
                property(
                    "a/b",
                    &[],
                    texts(&["", "with \"quotes\", commas = [signs] \\ and é"]),
                ),
                property("missing", &[], texts(&["there", ""])),
                property("not_there", &[2], Values::Real(vec![1.0, 2.0, nan, nan])),
                property("one", &[1], reals(2)),
                property(
                    "three",
                    &[3],
                    Values::Real(vec![nan, 0.0, 0.0, -0.0, nan, 1e300]),
                ),
                property(
                    "flags",
                    &[2],
                    Values::Logical(vec![true, true, false, true]),
                ),
                property("virial", &[3, 3], reals(18)),
                property("matrix", &[3, 3], reals(18)),
                property(
                    "odd",
                    &[1, 2],
                    Values::Real(vec![0.0, 0.0, nan, f64::NEG_INFINITY]),
                ),
                property("cube", &[2, 1, 2], Values::Integer((0..8).collect())),
            ],
            of_atoms: vec![
                property("q", &[], reals(3)),
                property("id:x y", &[2], Values::Integer((0..6).collect())),
                property("word", &[], texts(&["a", "b", "cé"])),
                property("flag", &[], Values::Logical(vec![true, false, true])),
                property("gone", &[3], Values::Real(vec![nan; 9])),
            ],
        };
        let frame = Frame {
            species: &[8, 1],
            positions: &[[0.0; 3], [1.0; 3]],
            cell: Cell::OPEN,
        };
        let more = More {
            properties: &properties,
            row: 1,
            first_atom: 1,
        };
        let labelled = Labelled {
            index: 1,
            frame,
            label: None,
            more,
        };
        let mut text = Vec::new();
        write_frame(&mut text, &labelled, &Names::default()).unwrap();
        let mut reader = ExtxyzReader::new(&text[..], Path::new("x.xyz"));
        let mut read = SourceFrame::default();
        assert!(reader.read(&mut read, Detail::Full).unwrap());
        let written = properties.of_frames.iter();
        let written = written.filter(|p| !["missing", "not_there"].contains(&&*p.name));
        let n = written.clone().count();
        assert_eq!(read.keys.len(), n, "{}", String::from_utf8_lossy(&text));
        for (key, property) in read.keys.iter().zip(written) {
            assert_eq!((&key.name, &key.shape), (&property.name, &property.shape));
            let width = property.width();
            assert_eq!(
                spelled(&key.values, 0..width),
                spelled(&property.values, width..2 * width)
            );
        }
        let names: Vec<_> = read.columns.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["q", "id_x y", "word", "flag"]);
        for (column, property) in read.columns.iter().zip(&properties.of_atoms) {
            let width = column.width;
            assert_eq!(width, property.width());
            assert_eq!(
                spelled(&column.values, 0..2 * width),
                spelled(&property.values, width..3 * width)
            );
        }
    }

    /// Values as text: NaN is no other than NaN there.
    fn spelled(values: &Values, range: std::ops::Range<usize>) -> Vec<String> {
        match values {
            Values::Real(v) => v[range].iter().map(|x| format!("{x:?}")).collect(),
            Values::Integer(v) => v[range].iter().map(i64::to_string).collect(),
            Values::Logical(v) => v[range].iter().map(bool::to_string).collect(),
            Values::Text(v) => range.map(|k| v.get(k).to_owned()).collect(),
        }
    }
}
