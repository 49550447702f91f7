//! What is sent to a Python process: see the head of `child.py`.

use std::io::{Error, ErrorKind, Read, Result, Write};

use zerocopy::IntoBytes as _;

use crate::domain::frame::Frame;
use crate::domain::kernel::Row;

/// An answer that is none.
pub(super) fn strange() -> Error {
    Error::new(ErrorKind::InvalidData, "not what was expected")
}

/// What a process is asked. Reused: it grows to the largest request.
pub trait Request: Default {
    /// Forgets what was asked, keeps the memory.
    fn clear(&mut self);
    /// Frames or rows asked for; an answer for each is due.
    fn count(&self) -> usize;
    /// The message.
    fn write(&self, to: &mut impl Write) -> Result<()>;
}

/// Frames to evaluate, column by column.
#[derive(Clone, Debug, Default)]
pub struct FrameRequest {
    atoms: Vec<u32>,
    cells: Vec<[[f64; 3]; 3]>,
    periodic: Vec<[u8; 3]>,
    species: Vec<u8>,
    positions: Vec<[f64; 3]>,
}

impl FrameRequest {
    /// One more frame.
    pub fn push(&mut self, frame: &Frame<'_>) {
        self.atoms.push(frame.len() as u32);
        self.cells.push(frame.cell.vectors);
        self.periodic.push(frame.cell.periodic.map(u8::from));
        self.species.extend_from_slice(frame.species);
        self.positions.extend_from_slice(frame.positions);
    }
}

impl Request for FrameRequest {
    fn clear(&mut self) {
        self.atoms.clear();
        self.cells.clear();
        self.periodic.clear();
        self.species.clear();
        self.positions.clear();
    }

    fn count(&self) -> usize {
        self.atoms.len()
    }

    fn write(&self, to: &mut impl Write) -> Result<()> {
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

/// Rows to compute, as they lie in memory.
#[derive(Clone, Debug, Default)]
pub struct RowRequest {
    rows: u32,
    bytes: Vec<u8>,
}

impl RowRequest {
    /// One more row.
    pub fn push(&mut self, row: &Row<'_>) {
        self.rows += 1;
        self.bytes.extend_from_slice(row.bytes);
    }
}

impl Request for RowRequest {
    fn clear(&mut self) {
        self.rows = 0;
        self.bytes.clear();
    }

    fn count(&self) -> usize {
        self.rows as usize
    }

    fn write(&self, to: &mut impl Write) -> Result<()> {
        to.write_all(b"R")?;
        to.write_all(&self.rows.to_le_bytes())?;
        to.write_all(&self.bytes)
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
