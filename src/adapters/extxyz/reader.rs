//! The exact reader: one frame at a time, buffers reused.
//!
//! Accepted beyond the specification, as files in the wild have it: `\r\n`, blank lines between frames, plain
//! XYZ (species and three numbers), `Lattice`, `pbc` and `Properties` in any case, atomic numbers in place of
//! symbols, the `VEC1..3` lines with which ASE can write a cell.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::comment;
use super::properties::{ElementMemo, Plan};
use crate::adapters::source::values::{Values, parse_real};
use crate::adapters::source::{Detail, FrameStream, Key, Position, SourceFrame};
use crate::domain::cell::Cell;
use crate::domain::error::{Error, Result};

/// Longer lines are an error, so that a file that is no text cannot fill the memory.
const LONGEST_LINE: usize = 16 << 20;

/// Reads extended XYZ from anything that can be read.
#[derive(Debug)]
pub struct ExtxyzReader<R> {
    input: R,
    path: PathBuf,
    line: Vec<u8>,
    line_number: u64,
    frame: u64,
    read: u64,
    total: u64,
    plan: Plan,
    /// The `Properties` from which `plan` was made; `None` for plain XYZ.
    planned: Option<String>,
    elements: ElementMemo,
    first_wide_line: Option<u64>,
}

impl ExtxyzReader<BufReader<File>> {
    /// Opens a file.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_at(path, 0, 0, 0)
    }

    /// Opens a file behind so many bytes, which hold so many lines and frames.
    pub fn open_at(path: &Path, bytes: u64, lines: u64, frames: u64) -> Result<Self> {
        let failed = |e| Error::unreadable(path, &e);
        let mut file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(Error::failure(format!(
                "{}: is not a regular file; import reads its sources twice",
                path.display()
            )));
        }
        file.seek(SeekFrom::Start(bytes)).map_err(failed)?;
        let mut reader = Self::new(BufReader::with_capacity(1 << 18, file), path);
        (reader.total, reader.read) = (metadata.len(), bytes);
        (reader.line_number, reader.frame) = (lines, frames);
        Ok(reader)
    }
}

impl<R: BufRead> ExtxyzReader<R> {
    /// Reads from `input`; `path` stands in messages.
    pub fn new(input: R, path: &Path) -> Self {
        Self {
            input,
            path: path.to_owned(),
            line: Vec::new(),
            line_number: 0,
            frame: 0,
            read: 0,
            total: 0,
            plan: Plan::plain(),
            planned: None,
            elements: ElementMemo::default(),
            first_wide_line: None,
        }
    }

    /// Goes on with another input, before which there are so many lines and frames; gives the last one back. What the
    /// last one held is remembered as far as it makes the next one faster.
    pub fn restart(&mut self, input: R, (lines, frames): (u64, u64)) -> R {
        (self.line_number, self.frame, self.read) = (lines, frames, 0);
        self.first_wide_line = None;
        std::mem::replace(&mut self.input, input)
    }

    fn error(&self, what: impl std::fmt::Display) -> Error {
        Error::failure(format!(
            "{}:{}: frame {}: {what}",
            self.path.display(),
            self.line_number,
            self.frame
        ))
    }

    /// Reads a line without its end into `self.line`; `false` at the end of the file.
    fn next_line(&mut self) -> Result<bool> {
        self.line.clear();
        loop {
            let ahead = match self.input.fill_buf() {
                Ok(ahead) => ahead,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(self.error(format!("cannot be read: {e}"))),
            };
            let room = LONGEST_LINE - self.line.len();
            let ahead = &ahead[..ahead.len().min(room)];
            let end = memchr::memchr(b'\n', ahead);
            let taken = end.map_or(ahead.len(), |end| end + 1);
            self.line.extend_from_slice(&ahead[..taken]);
            self.input.consume(taken);
            if end.is_some() || taken == 0 {
                break;
            }
        }
        let read = self.line.len();
        if read == 0 {
            return Ok(false);
        }
        self.line_number += 1;
        self.read += read as u64;
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
            if self.line.last() == Some(&b'\r') {
                self.line.pop();
            }
        } else if read == LONGEST_LINE {
            return Err(self.error(
                "a line longer than 16 MiB, expected text of one line per atom; is this extended XYZ?",
            ));
        }
        Ok(true)
    }

    fn text(&self, what: &str) -> Result<&str> {
        if let Some(at) = self.line.iter().position(|b| *b == 0) {
            return Err(self.error(format!(
                "a zero byte in column {} of {what}, expected text",
                at + 1
            )));
        }
        std::str::from_utf8(&self.line).map_err(|e| {
            self.error(format!(
                "byte {} of {what} is not UTF-8, expected text; iconv -t utf-8 converts it",
                e.valid_up_to() + 1
            ))
        })
    }

    /// The number of atoms of the next frame; `None` at the end of the file.
    fn read_count(&mut self) -> Result<Option<u64>> {
        while self.next_line()? {
            let line = self
                .line
                .strip_prefix(b"\xef\xbb\xbf")
                .unwrap_or(&self.line);
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            let count = std::str::from_utf8(line).ok().and_then(|s| s.parse().ok());
            return match count {
                Some(count) => Ok(Some(count)),
                None => Err(self.error(format!(
                    "found {}, expected the number of atoms of the frame",
                    excerpt(line)
                ))),
            };
        }
        Ok(None)
    }

    fn read_comment(&mut self, frame: &mut SourceFrame) -> Result<()> {
        if !self.next_line()? {
            return Err(self.error(
                "the file ends after the number of atoms, expected a comment line and the atoms (truncated frame)",
            ));
        }
        let keys = comment::parse(self.text("the comment line")?);
        frame.keys = keys.map_err(|why| self.error(why))?;
        let mut take = |name: &str| {
            let at = frame
                .keys
                .iter()
                .position(|k| k.name.eq_ignore_ascii_case(name))?;
            Some(frame.keys.remove(at))
        };
        let (lattice, pbc, properties) = (take("Lattice"), take("pbc"), take("Properties"));
        frame.has_cell = lattice.is_some();
        frame.cell = Cell::OPEN;
        if let Some(lattice) = lattice {
            frame.cell = Cell::periodic(vectors(&lattice).map_err(|why| self.error(why))?);
        }
        if let Some(pbc) = pbc {
            frame.cell.periodic = directions(&pbc).map_err(|why| self.error(why))?;
        }
        frame.step = frame
            .keys
            .iter()
            .find(|k| k.name.eq_ignore_ascii_case("step"))
            .and_then(|k| match &k.values {
                Values::Integer(v) if k.shape.is_empty() => v.first().copied(),
                _ => None,
            });
        frame.time = None;
        self.follow(properties.map(|k| k.text))
    }

    /// Makes the plan of these `Properties` unless it is the one in use.
    fn follow(&mut self, properties: Option<String>) -> Result<()> {
        if properties != self.planned {
            self.plan = match &properties {
                Some(text) => Plan::parse(text).map_err(|why| self.error(why))?,
                None => Plan::plain(),
            };
            self.planned = properties;
        }
        Ok(())
    }

    fn read_atoms(&mut self, count: u64, frame: &mut SourceFrame, detail: Detail) -> Result<()> {
        self.plan.prepare(frame);
        for atom in 0..count {
            if self.read_atom_in_place(frame, detail) {
                continue;
            }
            if !self.next_line()? {
                return Err(self.error(format!(
                    "the file ends after {atom} of {count} atoms, expected the rest (truncated frame)"
                )));
            }
            if self.line.is_empty() {
                return Err(self.error(format!(
                    "an empty line, expected atom {} of {count}",
                    atom + 1
                )));
            }
            if std::str::from_utf8(&self.line).is_err() {
                self.text("the line")?;
            }
            match self
                .plan
                .read_atom(&self.line, frame, &mut self.elements, detail)
            {
                Ok(false) => {}
                Ok(true) => {
                    self.first_wide_line.get_or_insert(self.line_number);
                }
                Err(why) => {
                    return Err(self.error(format!("atom {} of {count}: {why}", atom + 1)));
                }
            }
        }
        Ok(())
    }

    /// Reads an atom whose line is in the input's buffer, without a copy. False when the line is not there as a whole, or
    /// something is wrong with it: then it is still to be read.
    fn read_atom_in_place(&mut self, frame: &mut SourceFrame, detail: Detail) -> bool {
        let Ok(ahead) = self.input.fill_buf() else {
            return false;
        };
        let Some(end) = memchr::memchr(b'\n', ahead) else {
            return false;
        };
        let line = &ahead[..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() || end >= LONGEST_LINE || !line.is_ascii() {
            return false;
        }
        let read = self.plan.read_atom(line, frame, &mut self.elements, detail);
        let Ok(is_wide) = read else {
            return false;
        };
        self.input.consume(end + 1);
        self.read += end as u64 + 1;
        self.line_number += 1;
        if is_wide {
            self.first_wide_line.get_or_insert(self.line_number);
        }
        true
    }

    /// ASE's `vec_cell`: lines `VEC1 x y z` after the atoms.
    fn read_vectors(&mut self, frame: &mut SourceFrame) -> Result<()> {
        for k in 0.. {
            let next = self.input.fill_buf().map(|ahead| ahead.first().copied());
            let next = next.map_err(|e| self.error(format!("cannot be read: {e}")))?;
            if next != Some(b'V') {
                break;
            }
            self.next_line()?;
            let line = self.text("the line")?;
            let vector = line
                .strip_prefix(&format!("VEC{}", k + 1))
                .filter(|_| k < 3)
                .and_then(|rest| {
                    let numbers: Option<Vec<f64>> =
                        rest.split_ascii_whitespace().map(parse_real).collect();
                    <[f64; 3]>::try_from(numbers?).ok()
                });
            let Some(vector) = vector else {
                return Err(self.error(format!(
                    "found {}, expected VEC1, VEC2, VEC3 with three numbers each, or the number of atoms of the next frame",
                    excerpt(line.as_bytes())
                )));
            };
            frame.cell.vectors[k] = vector;
            frame.cell.periodic[k] = true;
            frame.has_cell = true;
        }
        Ok(())
    }
}

impl<R: BufRead> FrameStream for ExtxyzReader<R> {
    fn read(&mut self, frame: &mut SourceFrame, detail: Detail) -> Result<bool> {
        let Some(count) = self.read_count()? else {
            return Ok(false);
        };
        self.read_comment(frame)?;
        self.read_atoms(count, frame, detail)?;
        self.read_vectors(frame)?;
        self.frame += 1;
        Ok(true)
    }

    fn position(&self) -> Position {
        Position {
            done: self.read,
            total: self.total,
        }
    }

    fn remarks(&self) -> Vec<String> {
        let wide = self.first_wide_line.map(|line| {
            format!(
                "{}:{line}: columns after species x y z have no name in plain XYZ and are not kept; name them in Properties=...",
                self.path.display()
            )
        });
        wide.into_iter().collect()
    }
}

/// The first bytes of a line, for a message.
fn excerpt(line: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(line).chars().take(40).collect();
    format!("{text:?}")
}

/// Nine numbers, cell vector after cell vector; or the matrix with these rows; or the diagonal.
fn vectors(lattice: &Key) -> std::result::Result<[[f64; 3]; 3], String> {
    let numbers = match &lattice.values {
        Values::Real(v) => v.clone(),
        Values::Integer(v) => v.iter().map(|x| *x as f64).collect(),
        _ => Vec::new(),
    };
    match (numbers[..].as_chunks::<3>(), &lattice.shape[..]) {
        ((&[a, b, c], []), [9] | [3, 3]) => Ok([a, b, c]),
        ((&[[x, y, z]], []), [3]) => Ok([[x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, z]]),
        _ => Err(format!(
            "Lattice is {}, expected nine numbers, vector after vector",
            excerpt(lattice.text.as_bytes())
        )),
    }
}

/// Three logicals, or one for all; 0 and 1 too.
fn directions(pbc: &Key) -> std::result::Result<[bool; 3], String> {
    let flags: Option<Vec<bool>> = match &pbc.values {
        Values::Logical(v) => Some(v.clone()),
        Values::Integer(v) => v
            .iter()
            .map(|x| match x {
                0 => Some(false),
                1 => Some(true),
                _ => None,
            })
            .collect(),
        _ => None,
    };
    match flags.as_deref() {
        Some(&[all]) => Ok([all; 3]),
        Some(&[a, b, c]) => Ok([a, b, c]),
        _ => Err(format!(
            "pbc is {}, expected three of T and F",
            excerpt(pbc.text.as_bytes())
        )),
    }
}
