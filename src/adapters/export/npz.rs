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
//!
//! Frames of different sizes have (ΣA) and (ΣA,3) for the last ones, and `offsets` (F+1). How many there are is known at
//! the end: until then each array waits in a nameless temporary file (`TMPDIR`).

use std::fs::File;
use std::io::{self, BufWriter, Seek as _, Write};

use tempfile::SpooledTempFile;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{Row, Sink};

/// Bytes of each array that are kept in memory.
const MEMORY: usize = 4 << 20;

/// Values of one array.
struct Array {
    name: &'static str,
    /// Type as `NumPy` spells it.
    kind: &'static str,
    values: BufWriter<SpooledTempFile>,
}

impl Array {
    fn new(name: &'static str, kind: &'static str) -> Self {
        Self {
            name,
            kind,
            values: BufWriter::new(tempfile::spooled_tempfile(MEMORY)),
        }
    }

    fn reals(&mut self, numbers: &[f64]) -> io::Result<()> {
        let mut each = numbers.iter();
        each.try_for_each(|x| self.values.write_all(&x.to_le_bytes()))
    }

    fn integer(&mut self, number: u64) -> io::Result<()> {
        self.values.write_all(&(number as i64).to_le_bytes())
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
    energy: Array,
    stress: Array,
    cell: Array,
    pbc: Array,
    offsets: Array,
    species: Array,
    positions: Array,
    forces: Array,
    frames: u64,
    atoms: u64,
    first: u64,
    is_ragged: bool,
}

impl Npz {
    /// Into an empty file.
    pub fn new(file: File) -> io::Result<Self> {
        let mut offsets = Array::new("offsets", "<i8");
        offsets.integer(0)?;
        Ok(Self {
            zip: ZipWriter::new(file),
            frame: Array::new("frame", "<i8"),
            energy: Array::new("energy", "<f8"),
            stress: Array::new("stress", "<f8"),
            cell: Array::new("cell", "<f8"),
            pbc: Array::new("pbc", "|b1"),
            offsets,
            species: Array::new("species", "|u1"),
            positions: Array::new("positions", "<f8"),
            forces: Array::new("forces", "<f8"),
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
        self.energy.reals(&[labelled.energy])?;
        self.stress.reals(labelled.stress.as_flattened())?;
        self.cell.reals(frame.cell.vectors.as_flattened())?;
        let periodic = frame.cell.periodic.map(u8::from);
        self.pbc.values.write_all(&periodic)?;
        self.offsets.integer(self.atoms)?;
        self.species.values.write_all(frame.species)?;
        self.positions.reals(frame.positions.as_flattened())?;
        self.forces.reals(labelled.forces.as_flattened())
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        let mut zip = self.zip;
        let n = self.frames;
        let of_atoms = if self.is_ragged {
            vec![self.atoms]
        } else {
            vec![n, self.first]
        };
        let vectors = [&of_atoms[..], &[3]].concat();
        self.frame.store(&mut zip, &[n])?;
        self.energy.store(&mut zip, &[n])?;
        self.stress.store(&mut zip, &[n, 3, 3])?;
        self.cell.store(&mut zip, &[n, 3, 3])?;
        self.pbc.store(&mut zip, &[n, 3])?;
        if self.is_ragged {
            self.offsets.store(&mut zip, &[n + 1])?;
        }
        self.species.store(&mut zip, &of_atoms)?;
        self.positions.store(&mut zip, &vectors)?;
        self.forces.store(&mut zip, &vectors)?;
        zip.finish()?;
        Ok(())
    }
}
