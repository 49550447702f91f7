//! What the chemfiles library reads (<https://chemfiles.org>): PDB, DCD, XTC, TRR, `NetCDF` and more.
//!
//! Species come from the file, or from a topology file or a list where the format has none. Kept besides
//! positions and cells: velocities (`velocity`, Å/ps), `charge` (e) and `mass` (u) where the file says them, numeric
//! properties of atoms, properties of frames, step, and the time where chemfiles knows its unit. Names, residues and
//! bonds of atoms are not, nor the times of `NetCDF`, which chemfiles does not give. Of XTC and TRR files that were
//! cut off in their last frame chemfiles silently reads the frames before it.

mod cell;
mod columns;
mod format;
mod names;
mod species;
mod warnings;

use std::path::{Path, PathBuf};

use chemfiles::{Frame, Property, Trajectory};

use self::columns::Columns;
use self::format::Format;
use self::species::Elements;
use self::warnings::Warnings;
use super::source::values::Values;
use super::source::{Detail, FrameStream, Key, Position, SourceFrame};
use super::trajectory_files::Hints;
use crate::domain::cell::Cell;
use crate::domain::error::{Error, Result};
use crate::domain::panics::guarded;

/// Reads one file through chemfiles.
pub struct ChemfilesReader {
    trajectory: Trajectory,
    frame: Frame,
    path: PathBuf,
    elements: Elements,
    columns: Columns,
    warnings: Warnings,
    format: Format,
    /// Of the model before, in PDB.
    last_cell: Option<Cell>,
    next: u64,
    frames: u64,
    has_structure: bool,
    /// Frames with a time.
    timed: u64,
}

impl std::fmt::Debug for ChemfilesReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChemfilesReader")
            .field("path", &self.path)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl ChemfilesReader {
    /// Opens a file; the format follows from its name.
    pub fn open(path: &Path, hints: &Hints) -> Result<Self> {
        warnings::listen();
        for file in std::iter::once(path).chain(hints.topology.as_deref()) {
            std::fs::File::open(file).map_err(|e| Error::unreadable(file, &e))?;
        }
        guarded(|| Self::open_with(path, hints))
            .unwrap_or_else(|what| Err(failed(path, damaged(&what))))
    }

    fn open_with(path: &Path, hints: &Hints) -> Result<Self> {
        // Of every format chemfiles knows the unit.
        if let Some(said) = &hints.legend.length
            && (hints.length() - 1.0).abs() > f64::EPSILON
        {
            let what = format!(
                "lengths have a unit in this format and become Angstrom, --length-unit says {said:?}"
            );
            return Err(failed(path, what));
        }
        let mut warnings = Warnings::default();
        let opened = match format::chemfiles_name(path) {
            Some(format) => Trajectory::open_with_format(path, 'r', format),
            None => Trajectory::open(path, 'r'),
        };
        let mut trajectory = warnings.heard(opened).map_err(|what| {
            warnings.say(path);
            let what = format!("{what}; chemfiles tells formats by the end of the name");
            failed(path, what)
        })?;
        if let Some(topology) = &hints.topology {
            let given = match format::chemfiles_name(topology) {
                Some(format) => trajectory.set_topology_with_format(topology, format),
                None => trajectory.set_topology_file(topology),
            };
            warnings.heard(given).map_err(|what| {
                warnings.say(topology);
                failed(topology, what)
            })?;
        }
        let frames = trajectory.nsteps() as u64;
        Ok(Self {
            trajectory,
            frame: Frame::new(),
            path: path.to_owned(),
            elements: Elements::new(path, hints),
            columns: Columns::new(path, hints.topology.is_some()),
            warnings,
            format: Format::of(path),
            last_cell: None,
            next: 0,
            frames,
            has_structure: false,
            timed: 0,
        })
    }

    fn error(&self, what: impl std::fmt::Display) -> Error {
        failed(&self.path, format!("frame {}: {what}", self.next))
    }

    fn read_next(&mut self, frame: &mut SourceFrame) -> Result<()> {
        let read = self.trajectory.read(&mut self.frame);
        let read = self.warnings.heard(read);
        read.map_err(|what| {
            self.warnings.say(&self.path);
            self.error(what)
        })?;
        let taken = self.elements.take(&self.frame, &mut frame.species);
        taken.map_err(|what| self.error(what))?;
        frame.positions.clear();
        frame.positions.extend_from_slice(self.frame.positions());
        let cell = self.cell();
        frame.has_cell = cell.is_some();
        frame.cell = cell.unwrap_or(Cell::OPEN);
        frame.step = Some(self.frame.step() as i64);
        frame.time = None;
        frame.keys.clear();
        self.columns.take(&self.frame, &mut frame.columns);
        for (name, property) in self.frame.properties() {
            let (shape, values, text) = match property {
                Property::Bool(b) => {
                    let text = if b { "T" } else { "F" };
                    (Vec::new(), Values::Logical(vec![b]), text.to_owned())
                }
                Property::Double(x) => {
                    if name == "time" && self.format == Format::Gromacs {
                        frame.time = Some(x);
                        continue;
                    }
                    (Vec::new(), Values::Real(vec![x]), format!("{x:?}"))
                }
                Property::String(s) => {
                    if name == "name" && self.format == Format::Gro {
                        frame.time = format::in_title(&s, "t=");
                        let step = format::in_title(&s, "step=");
                        frame.step = step.map(|step| step as i64).or(frame.step);
                    }
                    // HDF5 texts end at a zero byte.
                    let text = s.replace('\0', "\u{2400}");
                    (Vec::new(), Values::text(&text), text)
                }
                Property::Vector3D(v) => {
                    let text = format!("{:?} {:?} {:?}", v[0], v[1], v[2]);
                    (vec![3], Values::Real(v.to_vec()), text)
                }
            };
            frame.keys.push(Key {
                name,
                shape,
                values,
                text,
            });
        }
        self.timed += u64::from(frame.time.is_some());
        self.has_structure |=
            self.frame.topology().residues_count() > 0 || self.frame.topology().bonds_count() > 0;
        Ok(())
    }

    /// The cell of the frame that was read; none where it has none.
    fn cell(&mut self) -> Option<Cell> {
        let own = cell::periodic(&self.frame.cell());
        if self.format != Format::Pdb {
            return own;
        }
        self.last_cell = own.or(self.last_cell);
        self.last_cell.filter(|cell| !cell::is_unit_cube(cell))
    }
}

/// What is said where the crate panics.
fn damaged(what: &str) -> String {
    format!("damaged, or not of the format that its name says ({what})")
}

fn failed(path: &Path, what: impl std::fmt::Display) -> Error {
    Error::failure(format!("{}: {what}", path.display()))
}

impl FrameStream for ChemfilesReader {
    fn read(&mut self, frame: &mut SourceFrame, _detail: Detail) -> Result<bool> {
        if self.next >= self.frames {
            return Ok(false);
        }
        // The crate panics where a message quotes bytes of the file that are not Unicode.
        let read = guarded(|| self.read_next(frame));
        read.unwrap_or_else(|what| Err(self.error(damaged(&what))))?;
        self.next += 1;
        Ok(true)
    }

    fn position(&self) -> Position {
        Position {
            done: self.next,
            total: self.frames,
        }
    }

    fn remarks(&self) -> Vec<String> {
        let path = self.path.display();
        let mut remarks = self.warnings.lines(&self.path);
        let mut add = |is_so: bool, what: &str| {
            if is_so {
                remarks.push(format!("{path}: {what}"));
            }
        };
        add(
            self.has_structure,
            "names, residues and bonds of atoms are not kept",
        );
        let unkept: Vec<_> = self.columns.unkept.iter().map(String::as_str).collect();
        add(
            !unkept.is_empty(),
            &format!(
                "properties of atoms that are no numbers are not kept: {}",
                unkept.join(", ")
            ),
        );
        add(
            self.format == Format::Amber,
            "times are not kept: chemfiles, which reads this format, does not give them",
        );
        add(
            self.format == Format::Gro && self.timed > 0 && self.timed < self.next,
            "times are not kept: not every title says one (t= ...)",
        );
        for ions in self.elements.kept_ions() {
            add(true, &ions);
        }
        remarks
    }
}
