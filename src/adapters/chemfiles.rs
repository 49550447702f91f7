//! What the chemfiles library reads (<https://chemfiles.org>): PDB, DCD, XTC, TRR, `NetCDF` and more.
//!
//! Species come from the file, or from a topology file or a list where the format has none. Kept besides
//! positions and cells: velocities (`velocity`, Å/ps), numeric properties of atoms, properties of frames, step,
//! and the time where chemfiles knows its unit. Names, residues and bonds of atoms are not, nor the times of
//! `NetCDF`, which chemfiles does not give. Of XTC and TRR files that were cut off in their last frame chemfiles
//! silently reads the frames before it.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Once;

use chemfiles::{CellShape, Frame, Property, Trajectory};

use super::legend::Species;
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
    species: Option<Species>,
    format: Format,
    /// Of the model before, in PDB.
    last_cell: Option<Cell>,
    next: u64,
    frames: u64,
    has_structure: bool,
}

/// What is special about a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// Its cell is said once for all models, and the unit cube stands for none.
    Pdb,
    /// Times in ps, velocities in Å/ps.
    Gromacs,
    /// Velocities in Å/ps, and times that are lost.
    Amber,
    Other,
}

impl Format {
    fn of(path: &Path) -> Self {
        let name = path.to_string_lossy().to_lowercase();
        let plain = [".gz", ".bz2", ".xz"]
            .iter()
            .find_map(|packed| name.strip_suffix(packed));
        match plain
            .unwrap_or(&name)
            .rsplit('.')
            .next()
            .unwrap_or_default()
        {
            "pdb" | "ent" => Self::Pdb,
            "xtc" | "trr" | "tng" | "gro" => Self::Gromacs,
            "nc" | "ncdf" | "nctraj" => Self::Amber,
            _ => Self::Other,
        }
    }
}

thread_local! {
    /// What chemfiles has warned of since it was asked last. It warns of each error before it returns it.
    static WARNED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Passes on what chemfiles has warned of, but for the error that is said anyway.
fn heard<T>(result: std::result::Result<T, chemfiles::Error>) -> std::result::Result<T, String> {
    let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let result = result.map_err(|error| line(&error.message));
    for warning in WARNED.take() {
        let warning = line(&warning);
        if result.as_ref().err() != Some(&warning) {
            tracing::warn!("chemfiles: {warning}");
        }
    }
    result
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
            chemfiles::set_warning_callback(|message| {
                WARNED.with_borrow_mut(|warned| warned.push(message.to_owned()));
            });
        });
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
        let mut trajectory = heard(Trajectory::open(path, 'r')).map_err(|what| {
            let what = format!("{what}; chemfiles tells formats by the end of the name");
            failed(path, what)
        })?;
        if let Some(topology) = &hints.topology {
            heard(trajectory.set_topology_file(topology)).map_err(|what| failed(topology, what))?;
        }
        let frames = trajectory.nsteps() as u64;
        Ok(Self {
            trajectory,
            frame: Frame::new(),
            path: path.to_owned(),
            species: hints.legend.species.clone(),
            format: Format::of(path),
            last_cell: None,
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
        if let Some(Species::List(species)) = &self.species {
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
            let said = self.species.as_ref().and_then(|said| {
                said.of(&atom.atomic_type())
                    .or_else(|| said.of(&atom.name()))
            });
            let own = || match atom.atomic_number() {
                0 => elements::parse(&atom.atomic_type())
                    .filter(|_| !is_type_number(&atom.atomic_type()))
                    .or_else(|| elements::exactly(&atom.name())),
                z => u8::try_from(z).ok(),
            };
            let number = said.or_else(own).ok_or_else(|| {
                let (kind, name) = (atom.atomic_type(), atom.name());
                let words = [&kind, &name].into_iter().find(|word| !word.is_empty());
                let named = words.map_or_else(String::new, |word| {
                    format!(", or say what each name stands for: --species {word}=O")
                });
                self.error(format!(
                    "atom {index} has no chemical element (type {kind:?}, name {name:?}); give --topology FILE or --species Ar,Ar,...|Ar:{atoms}{named}"
                ))
            })?;
            into.push(number);
        }
        Ok(())
    }

    fn read_next(&mut self, frame: &mut SourceFrame) -> Result<()> {
        heard(self.trajectory.read(&mut self.frame)).map_err(|what| self.error(what))?;
        self.take_species(&mut frame.species)?;
        frame.positions.clear();
        frame.positions.extend_from_slice(self.frame.positions());
        let cell = self.cell();
        frame.has_cell = cell.is_some();
        frame.cell = cell.unwrap_or(Cell::OPEN);
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
                    if name == "time" && self.format == Format::Gromacs {
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

    /// The cell of the frame that was read; none where it has none.
    fn cell(&mut self) -> Option<Cell> {
        let cell = self.frame.cell();
        let own = (cell.shape() != CellShape::Infinite)
            .then(|| Cell::periodic(columns_as_rows(cell.matrix())));
        if self.format != Format::Pdb {
            return own;
        }
        self.last_cell = own.or(self.last_cell);
        self.last_cell.filter(|cell| !is_unit_cube(cell))
    }

    fn take_columns(&self, columns: &mut Vec<Column>) {
        columns.clear();
        let velocities = self.frame.velocities();
        if let Some(velocities) = velocities {
            let mut column = Column::new("velocity", Kind::Real, 3);
            column.values = Values::Real(velocities.as_flattened().to_vec());
            let known = matches!(self.format, Format::Gromacs | Format::Amber);
            column.unit = known.then_some("Angstrom ps-1");
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
                values: Values::Real(values),
                ..Column::new(name, Kind::Real, width)
            });
        }
    }
}

/// What is said where the crate panics.
fn damaged(what: &str) -> String {
    format!("damaged, or not of the format that its name says ({what})")
}

/// What PDB files say that have no cell but need one: CRYST1 with edges of 1 Å.
fn is_unit_cube(cell: &Cell) -> bool {
    let is_near = |x: f64, y: f64| (x - y).abs() < 1e-9;
    let at = |i: usize, j: usize| is_near(cell.vectors[i][j], if i == j { 1.0 } else { 0.0 });
    (0..9).all(|k| at(k / 3, k % 3))
}

/// A type such as `1`, which is no atomic number.
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
        let times = (self.format == Format::Amber).then(|| {
            format!(
                "{}: times are not kept: chemfiles, which reads this format, does not give them",
                self.path.display()
            )
        });
        structure.into_iter().chain(times).collect()
    }
}

/// chemfiles' cell vectors are the columns of its matrix, ours are rows.
fn columns_as_rows(matrix: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    [0, 1, 2].map(|j| [0, 1, 2].map(|i| matrix[i][j]))
}
