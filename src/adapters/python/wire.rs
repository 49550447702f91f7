//! What is sent to a Python process: see the head of `child.py`.

use std::io::{Error, ErrorKind, Read, Result, Write};

use zerocopy::IntoBytes as _;

use crate::domain::frame::Frame;

/// An answer that is none.
pub(super) fn strange() -> Error {
    Error::new(ErrorKind::InvalidData, "not what was expected")
}

/// Frames to evaluate, column by column. Reused: it grows to the largest request.
#[derive(Clone, Debug, Default)]
pub struct Request {
    atoms: Vec<u32>,
    cells: Vec<[[f64; 3]; 3]>,
    periodic: Vec<[u8; 3]>,
    species: Vec<u8>,
    positions: Vec<[f64; 3]>,
}

impl Request {
    /// Forgets the frames, keeps the memory.
    pub fn clear(&mut self) {
        self.atoms.clear();
        self.cells.clear();
        self.periodic.clear();
        self.species.clear();
        self.positions.clear();
    }

    /// One more frame.
    pub fn push(&mut self, frame: &Frame<'_>) {
        self.atoms.push(frame.len() as u32);
        self.cells.push(frame.cell.vectors);
        self.periodic.push(frame.cell.periodic.map(u8::from));
        self.species.extend_from_slice(frame.species);
        self.positions.extend_from_slice(frame.positions);
    }

    /// Number of frames.
    pub fn len(&self) -> usize {
        self.atoms.len()
    }

    /// True when there is no frame.
    pub fn is_empty(&self) -> bool {
        self.atoms.is_empty()
    }

    pub(super) fn write(&self, to: &mut impl Write) -> Result<()> {
        to.write_all(b"F")?;
        to.write_all(&(self.atoms.len() as u32).to_le_bytes())?;
        to.write_all(&(self.species.len() as u64).to_le_bytes())?;
        write_words(to, &self.atoms)?;
        write_numbers(to, self.cells.as_flattened().as_flattened())?;
        to.write_all(self.periodic.as_flattened())?;
        to.write_all(&self.species)?;
        write_numbers(to, self.positions.as_flattened())
    }
}

/// In one piece where the machine stores numbers as the wire has them.
fn write_numbers(to: &mut impl Write, numbers: &[f64]) -> Result<()> {
    if cfg!(target_endian = "little") {
        return to.write_all(numbers.as_bytes());
    }
    numbers
        .iter()
        .try_for_each(|x| to.write_all(&x.to_le_bytes()))
}

fn write_words(to: &mut impl Write, words: &[u32]) -> Result<()> {
    words
        .iter()
        .try_for_each(|x| to.write_all(&x.to_le_bytes()))
}

pub(super) fn read_numbers(from: &mut impl Read, numbers: &mut [f64]) -> Result<()> {
    from.read_exact(numbers.as_mut_bytes())?;
    if cfg!(target_endian = "big") {
        for x in numbers {
            *x = f64::from_bits(x.to_bits().swap_bytes());
        }
    }
    Ok(())
}
