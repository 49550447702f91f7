//! Arrays of `NumPy` in an uncompressed zip archive, as `numpy.savez` writes them.
//!
//! | array | shape | |
//! |---|---|---|
//! | `frame` | (F) | index in the result |
//! | `energy` | (F) | eV |
//! | `stress` | (F,3,3) | eV/Å³, NaN where it is not defined |
//! | `cell`, `pbc` | (F,3,3), (F,3) | Å; rows are vectors |
//! | `species` | (F,A) | atomic numbers |
//! | `positions`, `forces` | (F,A,3) | Å, eV/Å |
//! | any other name | (F,...) or (F,A,...) | a property of frames or of atoms: numbers and truths, no texts |
//!
//! A property of atoms with the name of one of frames has `_atoms` after it.
//!
//! Frames of different sizes have (ΣA) and (ΣA,...) for what is of atoms, and `offsets` (F+1). How many there are is known
//! at the end: until then each array waits in a nameless temporary file (`TMPDIR`). What was not computed is not there.

use std::fs::File;
use std::io::{self, BufWriter, Seek as _, Write};
use std::ops::Range;

use tempfile::SpooledTempFile;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{Contents, Row, Sink};
use crate::adapters::source::properties::Property;
use crate::adapters::source::values::{Kind, Values};

/// Bytes of each array that are kept in memory.
const MEMORY: usize = 4 << 20;

/// Whose values are those of an array.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Frames,
    Atoms,
    /// Where each frame's atoms begin.
    Offsets,
}

/// Values of one array.
struct Array {
    name: String,
    /// Type as `NumPy` spells it.
    kind: &'static str,
    of: Of,
    /// Of one frame or atom.
    shape: Vec<u64>,
    values: BufWriter<SpooledTempFile>,
}

impl Array {
    fn new(name: &str, kind: &'static str, of: Of, shape: &[u64]) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            of,
            shape: shape.to_vec(),
            values: BufWriter::new(tempfile::spooled_tempfile(MEMORY)),
        }
    }

    /// For a property that is numbers or truths.
    fn of_property(property: &Property, of: Of) -> Option<Self> {
        let kind = match property.values.kind() {
            Kind::Real => "<f8",
            Kind::Integer => "<i8",
            Kind::Logical => "|b1",
            Kind::Text => return None,
        };
        let shape: Vec<_> = property.shape.iter().map(|n| *n as u64).collect();
        Some(Self::new(&property.name, kind, of, &shape))
    }

    fn reals(&mut self, numbers: &[f64]) -> io::Result<()> {
        let mut each = numbers.iter();
        each.try_for_each(|x| self.values.write_all(&x.to_le_bytes()))
    }

    fn integer(&mut self, number: u64) -> io::Result<()> {
        self.values.write_all(&(number as i64).to_le_bytes())
    }

    /// Appends these rows of a property.
    fn property(&mut self, property: &Property, rows: Range<usize>) -> io::Result<()> {
        let range = rows.start * property.width()..rows.end * property.width();
        match &property.values {
            Values::Real(v) => self.reals(&v[range]),
            Values::Integer(v) => v[range]
                .iter()
                .try_for_each(|x| self.values.write_all(&x.to_le_bytes())),
            Values::Logical(v) => v[range]
                .iter()
                .try_for_each(|x| self.values.write_all(&[u8::from(*x)])),
            Values::Text(_) => Ok(()),
        }
    }

    /// Appends the array to the archive, with the header of format 1.0
    /// (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>).
    fn store(self, zip: &mut ZipWriter<File>, shape: &[u64]) -> io::Result<()> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .large_file(true);
        zip.start_file(format!("{}.npy", self.name), options)?;
        let sizes: Vec<_> = shape.iter().map(u64::to_string).collect();
        let mut header = format!(
            "{{'descr': '{}', 'fortran_order': False, 'shape': ({},), }}",
            self.kind,
            sizes.join(", ")
        );
        // The values begin at a multiple of 64.
        let blanks = 64 - (10 + header.len() + 1) % 64;
        header.extend(std::iter::repeat_n(' ', blanks % 64));
        header.push('\n');
        zip.write_all(b"\x93NUMPY\x01\x00")?;
        zip.write_all(&(header.len() as u16).to_le_bytes())?;
        zip.write_all(header.as_bytes())?;
        let mut values = self.values.into_inner()?;
        values.rewind()?;
        io::copy(&mut values, zip)?;
        Ok(())
    }
}

/// An archive that is being filled.
pub struct Npz {
    zip: ZipWriter<File>,
    frame: Array,
    cell: Array,
    pbc: Array,
    offsets: Array,
    species: Array,
    positions: Array,
    labels: Option<Labels>,
    of_frames: Vec<Option<Array>>,
    of_atoms: Vec<Option<Array>>,
    frames: u64,
    atoms: u64,
    first: u64,
    is_ragged: bool,
}

/// What was computed.
struct Labels {
    energy: Array,
    stress: Array,
    forces: Array,
}

impl Npz {
    /// Into an empty file.
    pub fn new(file: File, contents: &Contents) -> io::Result<Self> {
        let mut offsets = Array::new("offsets", "<i8", Of::Offsets, &[]);
        offsets.integer(0)?;
        let more = |properties: &[Property], of| {
            let arrays = properties.iter().map(|p| Array::of_property(p, of));
            arrays.collect::<Vec<_>>()
        };
        Ok(Self {
            zip: ZipWriter::new(file),
            frame: Array::new("frame", "<i8", Of::Frames, &[]),
            cell: Array::new("cell", "<f8", Of::Frames, &[3, 3]),
            pbc: Array::new("pbc", "|b1", Of::Frames, &[3]),
            offsets,
            species: Array::new("species", "|u1", Of::Atoms, &[]),
            positions: Array::new("positions", "<f8", Of::Atoms, &[3]),
            labels: contents.has_labels.then(|| Labels {
                energy: Array::new("energy", "<f8", Of::Frames, &[]),
                stress: Array::new("stress", "<f8", Of::Frames, &[3, 3]),
                forces: Array::new("forces", "<f8", Of::Atoms, &[3]),
            }),
            of_frames: more(&contents.more.of_frames, Of::Frames),
            of_atoms: more(&contents.more.of_atoms, Of::Atoms),
            frames: 0,
            atoms: 0,
            first: 0,
            is_ragged: false,
        })
    }
}

impl Sink for Npz {
    fn write(&mut self, row: &Row<'_>) -> io::Result<()> {
        let labelled = &row.labelled;
        let frame = &labelled.frame;
        let atoms = frame.len() as u64;
        if self.frames == 0 {
            self.first = atoms;
        }
        self.is_ragged |= atoms != self.first;
        self.frames += 1;
        self.atoms += atoms;
        self.frame.integer(labelled.index)?;
        self.cell.reals(frame.cell.vectors.as_flattened())?;
        let periodic = frame.cell.periodic.map(u8::from);
        self.pbc.values.write_all(&periodic)?;
        self.offsets.integer(self.atoms)?;
        self.species.values.write_all(frame.species)?;
        self.positions.reals(frame.positions.as_flattened())?;
        if let (Some(arrays), Some(label)) = (&mut self.labels, &labelled.label) {
            let stress = label.stress.unwrap_or([[f64::NAN; 3]; 3]);
            arrays.energy.reals(&[label.energy])?;
            arrays.stress.reals(stress.as_flattened())?;
            let forces = label.forces.unwrap_or_default();
            arrays.forces.reals(forces.as_flattened())?;
        }
        let more = &labelled.more;
        for (array, property) in self.of_frames.iter_mut().zip(&more.properties.of_frames) {
            if let Some(array) = array {
                array.property(property, more.row..more.row + 1)?;
            }
        }
        let rows = more.first_atom..more.first_atom + frame.len();
        for (array, property) in self.of_atoms.iter_mut().zip(&more.properties.of_atoms) {
            if let Some(array) = array {
                array.property(property, rows.clone())?;
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        let mut zip = self.zip;
        let labels = self.labels.map(|l| [l.energy, l.stress, l.forces]);
        let [energy, stress, forces] = labels.map_or([None, None, None], |l| l.map(Some));
        let offsets = self.is_ragged.then_some(self.offsets);
        let first = [Some(self.frame), energy, stress];
        let geometry = [Some(self.cell), Some(self.pbc), offsets];
        let atoms = [Some(self.species), Some(self.positions), forces];
        let named = [first, geometry, atoms].into_iter().flatten();
        let all = named.chain(self.of_frames).chain(self.of_atoms);
        for array in all.flatten() {
            let rows: &[u64] = match array.of {
                Of::Frames => &[self.frames],
                Of::Offsets => &[self.frames + 1],
                Of::Atoms if self.is_ragged => &[self.atoms],
                Of::Atoms => &[self.frames, self.first],
            };
            let shape = [rows, &array.shape].concat();
            array.store(&mut zip, &shape)?;
        }
        zip.finish()?;
        Ok(())
    }
}
