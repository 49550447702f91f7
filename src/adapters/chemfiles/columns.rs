//! Properties of atoms: velocities, charges, masses, and what else a format has.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use chemfiles::{Atom, Frame, Property};

use super::format::{self, Format};
use crate::adapters::source::Column;
use crate::adapters::source::values::{Kind, Values};

/// Takes the properties of atoms out of frames.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // Independent facts, not states.
pub struct Columns {
    format: Format,
    is_bare: bool,
    /// Whether other properties are those of the first frame, from a topology.
    is_fixed: bool,
    first: Option<Vec<Column>>,
    /// Whether any frame had them. chemfiles has 0 for a charge and what it knows of the element for a mass where the
    /// file says none.
    has_charges: bool,
    has_masses: bool,
    /// Masses that chemfiles has for types.
    known_masses: HashMap<String, f64>,
    /// Names of what is not kept.
    pub unkept: BTreeSet<String>,
}

impl Columns {
    /// For frames of a file whose atoms are those of a topology, where there is one.
    pub fn new(path: &Path, has_topology: bool) -> Self {
        Self {
            format: Format::of(path),
            is_bare: !has_topology && format::is_bare(path),
            is_fixed: has_topology,
            first: None,
            has_charges: false,
            has_masses: false,
            known_masses: HashMap::new(),
            unkept: BTreeSet::new(),
        }
    }

    /// Takes those of a frame.
    pub fn take(&mut self, frame: &Frame, into: &mut Vec<Column>) {
        into.clear();
        // chemfiles makes up velocities of 0 where a GRO file has none.
        let is_there = |v: &&[[f64; 3]]| {
            self.format != Format::Gro || v.as_flattened().iter().any(|x| *x != 0.0)
        };
        if let Some(velocities) = frame.velocities().filter(is_there) {
            let mut column = Column::new("velocity", Kind::Real, 3);
            column.values = Values::Real(velocities.as_flattened().to_vec());
            let known = [Format::Gromacs, Format::Gro, Format::Amber].contains(&self.format);
            column.unit = known.then_some("Angstrom ps-1");
            into.push(column);
        }
        if self.is_bare {
            return;
        }
        if let Some(first) = &self.first {
            into.extend_from_slice(first);
            return;
        }
        let start = into.len();
        self.take_properties(frame, into);
        if self.is_fixed {
            self.first = Some(into[start..].to_vec());
        }
    }

    fn take_properties(&mut self, frame: &Frame, into: &mut Vec<Column>) {
        let atoms = frame.size();
        let (mut charges, mut masses) = (Vec::with_capacity(atoms), Vec::with_capacity(atoms));
        let mut found = Found::default();
        for (index, atom) in frame.iter_atoms().enumerate() {
            charges.push(atom.charge());
            masses.push(atom.mass());
            self.has_charges |= atom.charge() != 0.0;
            self.has_masses = self.has_masses || !self.is_known_mass(&atom);
            for (name, property) in atom.properties() {
                let kept = match &property {
                    Property::Double(x) => found.add(&name, index, &[*x]),
                    Property::Vector3D(v) => found.add(&name, index, v),
                    Property::Bool(_) | Property::String(_) => false,
                };
                if !kept {
                    self.unkept.insert(name);
                }
            }
        }
        let own = [
            ("charge", "e", self.has_charges, charges),
            ("mass", "u", self.has_masses, masses),
        ];
        for (name, unit, is_said, values) in own {
            if is_said && !found.columns.iter().any(|(known, ..)| known == name) {
                into.push(Column {
                    unit: Some(unit),
                    values: Values::Real(values),
                    ..Column::new(name, Kind::Real, 1)
                });
            }
        }
        for (name, width, mut values) in found.columns {
            values.resize(atoms * width, f64::NAN);
            into.push(Column {
                values: Values::Real(values),
                ..Column::new(name, Kind::Real, width)
            });
        }
    }

    /// Whether a mass is what chemfiles knows of the type of an atom, or of its name where the type came later.
    fn is_known_mass(&mut self, atom: &Atom) -> bool {
        let mass = atom.mass();
        let mut is_that_of = |name: String| {
            let known = self.known_masses.get(&name).copied();
            let known = known.unwrap_or_else(|| {
                let known = Atom::new(&*name).mass();
                self.known_masses.insert(name, known);
                known
            });
            known.to_bits() == mass.to_bits()
        };
        mass == 0.0 || is_that_of(atom.atomic_type()) || is_that_of(atom.name())
    }
}

/// Numbers that were found so far: name, how many per atom, values. Atoms that have none get NaN.
#[derive(Default)]
struct Found {
    columns: Vec<(String, usize, Vec<f64>)>,
}

impl Found {
    /// Adds those of the next atom; false where there are not as many as atoms before have.
    fn add(&mut self, name: &str, index: usize, values: &[f64]) -> bool {
        let place = self.columns.iter().position(|(known, ..)| known == name);
        let place = place.unwrap_or_else(|| {
            let empty = (name.to_owned(), values.len(), Vec::new());
            self.columns.push(empty);
            self.columns.len() - 1
        });
        let (_, width, column) = &mut self.columns[place];
        let fits = *width == values.len();
        if fits {
            column.resize(index * *width, f64::NAN);
            column.extend_from_slice(values);
        }
        fits
    }
}
