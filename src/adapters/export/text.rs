//! Frames as text, one after the other.

use std::io::{self, BufWriter, Write};

use super::{Row, Sink, lammps_dump};
use crate::adapters::extxyz::writer::{Names, write_frame};

/// Bytes gathered before they are written.
const ROUND: usize = 1 << 20;

/// Extended XYZ.
pub struct Extxyz<W: Write> {
    out: BufWriter<W>,
    names: Names,
}

impl<W: Write> Extxyz<W> {
    /// Into `out`, with labels of these names.
    pub fn new(out: W, names: Names) -> Self {
        Self {
            out: BufWriter::with_capacity(ROUND, out),
            names,
        }
    }
}

impl<W: Write> Sink for Extxyz<W> {
    fn write(&mut self, row: &Row<'_>) -> io::Result<()> {
        write_frame(&mut self.out, &row.labelled, &self.names)
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.out.flush()
    }
}

/// A dump of LAMMPS.
pub struct LammpsDump<W: Write>(BufWriter<W>);

impl<W: Write> LammpsDump<W> {
    /// Into `out`.
    pub fn new(out: W) -> Self {
        Self(BufWriter::with_capacity(ROUND, out))
    }
}

impl<W: Write> Sink for LammpsDump<W> {
    fn write(&mut self, row: &Row<'_>) -> io::Result<()> {
        lammps_dump::write_frame(&mut self.0, &row.labelled)
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.0.flush()
    }
}
