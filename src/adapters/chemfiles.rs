//! What the chemfiles library reads (<https://chemfiles.org>): PDB, DCD, XTC, TRR, `NetCDF`, LAMMPS dumps and more.
//!
//! Species come from the file, or from a topology file or a list where the format has none. Kept besides
//! positions and cells: velocities (`velocity`, Å/ps), numeric properties of atoms, properties of frames, step,
//! and the time where chemfiles knows its unit. Names, residues and bonds of atoms are not. Of XTC and TRR files
//! that were cut off in their last frame chemfiles silently reads the frames before it.

use std::path::{Path, PathBuf};
use std::sync::Once;

use chemfiles::{CellShape, Frame, Property, Trajectory};

use super::source::values::{Kind, Values};
use super::source::{Column, Detail, FrameStream, Key, Position, SourceFrame};
use super::trajectory_files::Hints;
use crate::domain::cell::Cell;
use crate::domain::elements;
use crate::domain::error::{Error, Result};
use crate::domain::panics::guarded;

/// Reads one file through chemfiles.
pub struct ChemfilesReader {
    trajectory: Trajectory,
    frame: Frame,
    path: PathBuf,
    species: Option<Vec<u8>>,
    /// Formats whose time is in ps.
    time_is_ps: bool,
    next: u64,
    frames: u64,
    has_structure: bool,
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
        static WARNINGS: Once = Once::new();
        WARNINGS.call_once(|| {
            chemfiles::set_warning_callback(|message| tracing::warn!("chemfiles: {message}"));
        });
        std::fs::File::open(path).map_err(|e| failed(path, format!("cannot be read: {e}")))?;
        guarded(|| Self::open_with(path, hints))
            .unwrap_or_else(|what| Err(failed(path, damaged(&what))))
    }

    fn open_with(path: &Path, hints: &Hints) -> Result<Self> {
        let mut trajectory = Trajectory::open(path, 'r').map_err(|e| {
            failed(
                path,
                format!(
                    "{}; chemfiles tells formats by the end of the name",
                    e.message
                ),
            )
        })?;
        if let Some(topology) = &hints.topology {
            trajectory
                .set_topology_file(topology)
                .map_err(|e| failed(topology, e.message))?;
        }
        let frames = trajectory.nsteps() as u64;
        let end = path
            .extension()
            .map(|e| e.to_string_lossy().to_lowercase())
            .unwrap_or_default();
        Ok(Self {
            trajectory,
            frame: Frame::new(),
            path: path.to_owned(),
            species: hints.species.clone(),
            time_is_ps: matches!(end.as_str(), "xtc" | "trr" | "tng"),
            next: 0,
            frames,
            has_structure: false,
        })
    }

    fn error(&self, what: impl std::fmt::Display) -> Error {
        failed(&self.path, format!("frame {}: {what}", self.next))
    }

    fn take_species(&mut self, into: &mut Vec<u8>) -> Result<()> {
        let atoms = self.frame.size();
        into.clear();
        if let Some(species) = &self.species {
            if species.len() != atoms {
                return Err(self.error(format!(
                    "{atoms} atoms, but --species names {}; expected as many",
                    species.len()
                )));
            }
            into.extend_from_slice(species);
            return Ok(());
        }
        for (index, atom) in self.frame.iter_atoms().enumerate() {
            let number = match atom.atomic_number() {
                0 => elements::parse(&atom.atomic_type())
                    .filter(|_| !is_type_number(&atom.atomic_type())),
                z => u8::try_from(z).ok(),
            };
            into.push(number.ok_or_else(|| {
                self.error(format!(
                    "atom {index} has no chemical element (type {:?}, name {:?}); give --topology FILE or --species Ar,Ar,...|Ar:{atoms}",
                    atom.atomic_type(),
                    atom.name()
                ))
            })?);
        }
        Ok(())
    }

    fn read_next(&mut self, frame: &mut SourceFrame) -> Result<()> {
        self.trajectory
            .read(&mut self.frame)
            .map_err(|e| self.error(e.message))?;
        self.take_species(&mut frame.species)?;
        frame.positions.clear();
        frame.positions.extend_from_slice(self.frame.positions());
        let cell = self.frame.cell();
        frame.has_cell = cell.shape() != CellShape::Infinite;
        frame.cell = if frame.has_cell {
            Cell::periodic(columns_as_rows(cell.matrix()))
        } else {
            Cell::OPEN
        };
        frame.step = Some(self.frame.step() as i64);
        frame.time = None;
        frame.keys.clear();
        self.take_columns(&mut frame.columns);
        for (name, property) in self.frame.properties() {
            let (shape, values, text) = match property {
                Property::Bool(b) => {
                    let text = if b { "T" } else { "F" };
                    (Vec::new(), Values::Logical(vec![b]), text.to_owned())
                }
                Property::Double(x) => {
                    if name == "time" && self.time_is_ps {
                        frame.time = Some(x);
                        continue;
                    }
                    (Vec::new(), Values::Real(vec![x]), format!("{x:?}"))
                }
                Property::String(s) => {
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
        self.has_structure |=
            self.frame.topology().residues_count() > 0 || self.frame.topology().bonds_count() > 0;
        Ok(())
    }

    fn take_columns(&self, columns: &mut Vec<Column>) {
        columns.clear();
        let velocities = self.frame.velocities();
        if let Some(velocities) = velocities {
            let mut column = Column::new("velocity", Kind::Real, 3);
            column.values = Values::Real(velocities.as_flattened().to_vec());
            columns.push(column);
        }
        let atoms = self.frame.size();
        if atoms == 0 {
            return;
        }
        for (name, first) in self.frame.atom(0).properties() {
            let width = match first {
                Property::Double(_) => 1,
                Property::Vector3D(_) => 3,
                Property::Bool(_) | Property::String(_) => continue,
            };
            let mut values = Vec::with_capacity(atoms * width);
            for atom in self.frame.iter_atoms() {
                match atom.get(&name) {
                    Some(Property::Double(x)) if width == 1 => values.push(x),
                    Some(Property::Vector3D(v)) if width == 3 => values.extend(v),
                    _ => values.extend(std::iter::repeat_n(f64::NAN, width)),
                }
            }
            columns.push(Column {
                name,
                width,
                values: Values::Real(values),
            });
        }
    }
}

/// What is said where the crate panics.
fn damaged(what: &str) -> String {
    format!("damaged, or not of the format that its name says ({what})")
}

/// A LAMMPS type such as `1`, which is no atomic number.
fn is_type_number(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
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
        guarded(|| self.read_next(frame)).unwrap_or_else(|what| Err(self.error(damaged(&what))))?;
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
        let structure = self.has_structure.then(|| {
            format!(
                "{}: names, residues and bonds of atoms are not kept",
                self.path.display()
            )
        });
        structure.into_iter().collect()
    }
}

/// chemfiles' cell vectors are the columns of its matrix, ours are rows.
fn columns_as_rows(matrix: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    [0, 1, 2].map(|j| [0, 1, 2].map(|i| matrix[i][j]))
}
