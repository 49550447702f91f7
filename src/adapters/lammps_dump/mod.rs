//! Reads dumps of LAMMPS (<https://docs.lammps.org/dump.html>): text, with any columns, boxes upright, tilted or general.
//!
//! Atoms are sorted by their `id`. Elements are what `--species` says of their type, else the column `element`, else the type
//! where it is a symbol. Kept besides positions and cells: velocities (`velocity`), `mass`, `charge`, every further column,
//! step and time. Lengths are in the unit that `ITEM: UNITS` says, else that of `--length-unit`, else Å. The edges of a box
//! that does not repeat are kept, as those of a `Lattice` in extended XYZ are.

mod atoms;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use super::legend::Legend;
use super::source::values::{Values, parse_real};
use super::source::{Detail, FrameStream, Key, Position, SourceFrame};
use crate::domain::cell::Cell;
use crate::domain::error::{Error, Result};
use crate::domain::units::length_in_angstrom;

/// Longer lines are an error, so that a file that is no text cannot fill the memory.
const LONGEST_LINE: u64 = 1 << 20;
/// A file begins like this.
pub const MAGIC: &[u8] = b"ITEM:";

/// What is known of the units of a file.
#[derive(Clone, Copy)]
struct Units {
    /// Å per unit of length.
    length: f64,
    velocity: Option<&'static str>,
    /// ps per unit of time.
    time: Option<f64>,
}

/// Reads one file.
pub struct LammpsDumpReader {
    input: BufReader<File>,
    path: PathBuf,
    legend: Legend,
    line: String,
    line_number: u64,
    done: u64,
    total: u64,
    units: Units,
    /// Types whose element is C, as long as there is no other element.
    carbon: Option<BTreeSet<String>>,
}

/// The box of a frame, in units of the file.
struct Bounds {
    origin: [f64; 3],
    cell: Cell,
}

impl LammpsDumpReader {
    /// Opens a file.
    pub fn open(path: &Path, legend: &Legend) -> Result<Self> {
        let failed = |e| Error::unreadable(path, &e);
        let file = File::open(path).map_err(failed)?;
        let total = file.metadata().map_err(failed)?.len();
        let said = legend.length.as_deref().and_then(length_in_angstrom);
        Ok(Self {
            input: BufReader::with_capacity(1 << 18, file),
            path: path.to_owned(),
            legend: legend.clone(),
            line: String::new(),
            line_number: 0,
            done: 0,
            total,
            units: Units {
                length: said.unwrap_or(1.0),
                velocity: None,
                time: None,
            },
            carbon: Some(BTreeSet::new()),
        })
    }

    fn error(&self, what: impl std::fmt::Display) -> Error {
        let (path, line) = (self.path.display(), self.line_number);
        Error::failure(format!("{path}:{line}: {what}"))
    }

    /// Reads the next line into `self.line`; false at the end.
    fn advance(&mut self) -> Result<bool> {
        let mut bytes = std::mem::take(&mut self.line).into_bytes();
        bytes.clear();
        let mut limited = (&mut self.input).take(LONGEST_LINE);
        let read = limited.read_until(b'\n', &mut bytes);
        let read = read.map_err(|e| Error::unreadable(&self.path, &e))? as u64;
        self.done += read;
        self.line_number += 1;
        if read == LONGEST_LINE {
            return Err(self.error("a line longer than 1 MiB; is this a dump of LAMMPS?"));
        }
        let text = String::from_utf8(bytes);
        self.line = text.map_err(|_| self.error("bytes that are no text"))?;
        self.line.truncate(self.line.trim_end().len());
        Ok(read > 0)
    }

    /// The next line, which has to be there.
    fn expect(&mut self, what: &str) -> Result<()> {
        if self.advance()? {
            return Ok(());
        }
        Err(self.error(format!(
            "ends in the middle of a frame, expected {what}; import it when its program has finished"
        )))
    }

    fn number<T: std::str::FromStr>(&mut self, what: &str) -> Result<T> {
        self.expect(what)?;
        let parsed = self.line.trim().parse();
        parsed.map_err(|_| self.error(format!("{:?} is not {what}", self.line)))
    }

    fn read_next(&mut self, frame: &mut SourceFrame) -> Result<bool> {
        let (mut count, mut bounds) = (None, None);
        let mut time = None;
        frame.step = None;
        loop {
            let begun = count.is_some() || bounds.is_some() || frame.step.is_some();
            if begun {
                self.expect("an ITEM")?;
            } else if !self.advance()? {
                return Ok(false);
            }
            if self.line.trim().is_empty() && !begun {
                continue;
            }
            let Some(item) = self.line.strip_prefix("ITEM:") else {
                return Err(self.error(format!("{:?} is not an ITEM of a LAMMPS dump", self.line)));
            };
            let item = item.trim().to_owned();
            if item == "UNITS" {
                self.expect("a name of units")?;
                self.take_units()?;
            } else if item == "TIME" {
                time = Some(self.number::<f64>("a time")?);
            } else if item == "TIMESTEP" {
                frame.step = Some(self.number::<i64>("a time step")?);
            } else if item == "NUMBER OF ATOMS" {
                count = Some(self.number::<u64>("a number of atoms")?);
            } else if let Some(kind) = item.strip_prefix("BOX BOUNDS") {
                bounds = Some(self.bounds(kind)?);
            } else if let Some(names) = item.strip_prefix("ATOMS") {
                let (Some(count), Some(bounds)) = (count, &bounds) else {
                    return Err(self.error("ATOMS come before NUMBER OF ATOMS and BOX BOUNDS"));
                };
                let atoms = self.atoms(names, count)?;
                self.take_atoms(&atoms, bounds, frame)?;
                break;
            } else {
                return Err(self.error(format!("ITEM: {item} is not known here")));
            }
        }
        frame.keys.clear();
        frame.time = time.and_then(|t| Some(t * self.units.time?));
        if let Some(time) = time.filter(|_| self.units.time.is_none()) {
            frame.keys.push(Key {
                name: "time".into(),
                shape: Vec::new(),
                values: Values::Real(vec![time]),
                text: format!("{time:?}"),
            });
        }
        Ok(true)
    }

    /// <https://docs.lammps.org/units.html>.
    fn take_units(&mut self) -> Result<()> {
        let (length, velocity, time) = match self.line.trim() {
            "metal" => ("Angstrom", Some("Angstrom ps-1"), Some(1.0)),
            "real" => ("Angstrom", Some("Angstrom fs-1"), Some(1e-3)),
            "si" => ("m", Some("m s-1"), Some(1e12)),
            "electron" => ("bohr", None, Some(1e-3)),
            "nano" => ("nm", Some("nm ns-1"), Some(1e3)),
            "lj" => return Ok(()),
            other => {
                return Err(self.error(format!(
                    "units {other}: not known here; known are metal, real, si, electron, nano, lj"
                )));
            }
        };
        let known = length_in_angstrom(length);
        if let Some(said) = &self.legend.length
            && length_in_angstrom(said) != known
        {
            return Err(self.error(format!(
                "lengths are in {length}, --length-unit says {said:?}"
            )));
        }
        self.units = Units {
            length: known.unwrap_or(1.0),
            velocity,
            time,
        };
        Ok(())
    }

    fn bounds(&mut self, kind: &str) -> Result<Bounds> {
        let words: Vec<_> = kind.split_whitespace().map(str::to_owned).collect();
        let is_tilted = words.starts_with(&["xy", "xz", "yz"].map(str::to_owned));
        let is_general = words.first().is_some_and(|word| word == "abc");
        let wide = match (is_general, is_tilted) {
            (true, _) => 4,
            (_, true) => 3,
            _ => 2,
        };
        let mut rows = [[0.0; 4]; 3];
        for row in &mut rows {
            self.expect("the bounds of the box")?;
            let numbers = self.line.split_whitespace().map(parse_real);
            let numbers: Option<Vec<_>> = numbers.collect();
            let numbers = numbers.filter(|numbers| numbers.len() == wide);
            let numbers = numbers.ok_or_else(|| {
                self.error(format!("{:?} are not {wide} numbers of a box", self.line))
            })?;
            row[..wide].copy_from_slice(&numbers);
        }
        let [x, y, z] = rows;
        let (origin, vectors) = if is_general {
            ([x[3], y[3], z[3]], rows.map(|row| [row[0], row[1], row[2]]))
        } else {
            // The bounds are those of the upright box around the tilted one.
            let [xy, xz, yz] = [x[2], y[2], z[2]];
            let corners = [0.0, xy, xz, xy + xz];
            let low = corners.into_iter().fold(0.0, f64::min);
            let high = corners.into_iter().fold(0.0, f64::max);
            let origin = [x[0] - low, y[0] - yz.min(0.0), z[0]];
            let edges = [
                x[1] - high - origin[0],
                y[1] - yz.max(0.0) - origin[1],
                z[1] - z[0],
            ];
            let rows = [
                [edges[0], 0.0, 0.0],
                [xy, edges[1], 0.0],
                [xz, yz, edges[2]],
            ];
            (origin, rows)
        };
        // Old dumps do not say what is at the edges.
        let edges = &words[words.len().saturating_sub(3)..];
        let says = |word: &String| word.len() == 2 && word.bytes().all(|b| b"pfsm".contains(&b));
        let periodic = match edges {
            [a, b, c] if edges.iter().all(says) => [a, b, c].map(|word| word == "pp"),
            _ => [true; 3],
        };
        let cell = Cell { vectors, periodic };
        Ok(Bounds { origin, cell })
    }
}

impl FrameStream for LammpsDumpReader {
    fn read(&mut self, frame: &mut SourceFrame, _detail: Detail) -> Result<bool> {
        self.read_next(frame)
    }

    fn remarks(&self) -> Vec<String> {
        let carbon = self.carbon.as_ref().filter(|kinds| kinds.len() > 1);
        let said = carbon.map(|kinds| {
            let kinds: Vec<_> = kinds.iter().map(String::as_str).collect();
            format!(
                "{}: types {} are all of element C, which LAMMPS writes where nobody has told it the elements: --species {}=... says them",
                self.path.display(),
                kinds.join(", "),
                kinds.join("=...,")
            )
        });
        said.into_iter().collect()
    }

    fn position(&self) -> Position {
        Position {
            done: self.done,
            total: self.total,
        }
    }
}
