//! Energies of all frames, to be looked at more than once: in memory as long as they are few, in a nameless temporary
//! file beyond.

use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Seek as _, Write as _};

use tempfile::SpooledTempFile;

use crate::domain::compare::energies::Record;
use crate::domain::error::{Error, Result};

/// Bytes that are kept in memory: about a million frames.
const MEMORY: usize = 64 << 20;

/// Records in the order in which they were written.
pub struct Spool {
    file: BufWriter<SpooledTempFile>,
    bytes: Vec<u8>,
}

impl Default for Spool {
    fn default() -> Self {
        Self::new(MEMORY)
    }
}

impl Spool {
    fn new(memory: usize) -> Self {
        let file = tempfile::spooled_tempfile(memory);
        Self {
            file: BufWriter::with_capacity(1 << 16, file),
            bytes: Vec::new(),
        }
    }

    /// Appends a record.
    pub fn push(&mut self, record: &Record) -> Result<()> {
        self.bytes.clear();
        self.bytes.extend(record.frame.to_le_bytes());
        for energy in record.energies {
            self.bytes.extend(energy.to_le_bytes());
        }
        self.bytes
            .extend((record.composition.len() as u16).to_le_bytes());
        for (z, n) in &record.composition {
            self.bytes.push(*z);
            self.bytes.extend(n.to_le_bytes());
        }
        self.file.write_all(&self.bytes).map_err(|e| failed(&e))
    }

    /// Calls `each` with every record, in order.
    pub fn each(&mut self, each: &mut dyn FnMut(&Record)) -> Result<()> {
        self.read(each).map_err(|e| failed(&e))
    }

    fn read(&mut self, each: &mut dyn FnMut(&Record)) -> io::Result<()> {
        self.file.flush()?;
        let file = self.file.get_mut();
        file.rewind()?;
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let mut record = Record::default();
        let mut head = [0; 26];
        while !reader.fill_buf()?.is_empty() {
            reader.read_exact(&mut head)?;
            let word = |at: usize| {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(&head[at..at + 8]);
                u64::from_le_bytes(bytes)
            };
            record.frame = word(0);
            record.energies = [word(8), word(16)].map(f64::from_bits);
            record.composition.clear();
            for _ in 0..u16::from_le_bytes([head[24], head[25]]) {
                let mut part = [0; 5];
                reader.read_exact(&mut part)?;
                let [z, n @ ..] = part;
                record.composition.push((z, u32::from_le_bytes(n)));
            }
            each(&record);
        }
        Ok(())
    }
}

fn failed(error: &io::Error) -> Error {
    Error::failure(format!(
        "{}: energies cannot be kept for a second look: {error}; point TMPDIR to a disk with more room",
        std::env::temp_dir().display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_in_order_from_memory_and_from_disk() {
        for memory in [0, 100, MEMORY] {
            let mut spool = Spool::new(memory);
            let records: Vec<_> = (0..5000_u32)
                .map(|i| Record {
                    frame: u64::from(i) * 3,
                    energies: [f64::from(i).sin(), f64::from(i).exp()],
                    composition: (1..=(i % 4 + 1) as u8).map(|z| (z, i + 1)).collect(),
                })
                .collect();
            for record in &records {
                spool.push(record).unwrap();
            }
            for _ in 0..2 {
                let mut found = Vec::new();
                spool.each(&mut |r| found.push(r.clone())).unwrap();
                assert!(found == records, "{memory}");
            }
        }
    }
}
