//! What a dump says of its atoms: their order, elements, positions, velocities and whatever else there is.

use super::super::legend::Species;
use super::super::source::values::{Kind, Texts, Values, parse_real};
use super::super::source::{Column, SourceFrame};
use super::{Bounds, LammpsDumpReader};
use crate::domain::cell::Cell;
use crate::domain::elements;
use crate::domain::error::Result;

/// Columns of positions, the best first.
const POSITIONS: [([&str; 3], Coordinates); 4] = [
    (["xu", "yu", "zu"], Coordinates::Plain),
    (["xsu", "ysu", "zsu"], Coordinates::Scaled),
    (["x", "y", "z"], Coordinates::Plain),
    (["xs", "ys", "zs"], Coordinates::Scaled),
];
const IMAGES: [&str; 3] = ["ix", "iy", "iz"];
const VELOCITIES: [&str; 3] = ["vx", "vy", "vz"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Coordinates {
    Plain,
    /// Parts of the box.
    Scaled,
}

/// The atoms of a frame, each a row of words.
pub(super) struct Atoms {
    names: Vec<String>,
    words: Texts,
}

impl LammpsDumpReader {
    /// Reads the rows of the atoms.
    pub(super) fn atoms(&mut self, names: &str, count: u64) -> Result<Atoms> {
        let names: Vec<_> = names.split_whitespace().map(str::to_owned).collect();
        let mut words = Texts::default();
        for _ in 0..count {
            self.expect("an atom")?;
            let before = words.len();
            self.line
                .split_whitespace()
                .for_each(|word| words.push(word));
            let found = words.len() - before;
            if found != names.len() {
                let expected = names.len();
                return Err(self.error(format!(
                    "an atom with {found} columns, expected {expected}: {}",
                    names.join(" ")
                )));
            }
        }
        Ok(Atoms { names, words })
    }

    /// Puts them into `frame`.
    pub(super) fn take_atoms(
        &mut self,
        atoms: &Atoms,
        bounds: &Bounds,
        frame: &mut SourceFrame,
    ) -> Result<()> {
        let words: Vec<&str> = atoms.words.iter().collect();
        let columns = atoms.names.len();
        let mut rows: Vec<&[&str]> = words.chunks(columns.max(1)).collect();
        if let Some(at) = atoms.at("id") {
            let id = |row: &&[&str]| row[at].parse::<i64>().unwrap_or(i64::MAX);
            rows.sort_by_key(id);
            if let Some(pair) = rows.windows(2).find(|pair| pair[0][at] == pair[1][at]) {
                return Err(self.error(format!("two atoms with the id {}", pair[0][at])));
            }
        }
        self.take_species(atoms, &rows, &mut frame.species)?;
        self.look_for_carbon(atoms, &rows);
        let found = POSITIONS
            .iter()
            .find_map(|(names, how)| Some((atoms.three(*names)?, names[0], *how)));
        let Some((places, first, how)) = found else {
            return Err(
                self.error("atoms have no positions: columns x y z, or xu, xs or xsu and theirs")
            );
        };
        let images = atoms.three(IMAGES).filter(|_| matches!(first, "x" | "xs"));
        let scale = self.units.length;
        frame.has_cell = true;
        frame.cell = Cell {
            vectors: bounds.cell.vectors.map(|row| row.map(|x| x * scale)),
            ..bounds.cell
        };
        frame.positions.clear();
        for row in &rows {
            let mut r = self.reals(atoms, row, places)?;
            let of_cell = |k: [f64; 3], from: [f64; 3]| {
                let v = bounds.cell.vectors;
                [0, 1, 2].map(|d| from[d] + k[0] * v[0][d] + k[1] * v[1][d] + k[2] * v[2][d])
            };
            if how == Coordinates::Scaled {
                r = of_cell(r, bounds.origin);
            }
            if let Some(images) = images {
                r = of_cell(self.reals(atoms, row, images)?, r);
            }
            frame.positions.push(r.map(|x| x * scale));
        }
        self.take_columns(atoms, &rows, &mut frame.columns)
    }

    fn take_species(&self, atoms: &Atoms, rows: &[&[&str]], into: &mut Vec<u8>) -> Result<()> {
        into.clear();
        if let Some(Species::List(list)) = &self.legend.species {
            if list.len() != rows.len() {
                return Err(self.error(format!(
                    "{} atoms, but --species names {}; expected as many",
                    rows.len(),
                    list.len()
                )));
            }
            into.extend_from_slice(list);
            return Ok(());
        }
        let (kind, element) = (atoms.at("type"), atoms.at("element"));
        let said = |word: &str| self.legend.species.as_ref().and_then(|said| said.of(word));
        for row in rows {
            let (kind, element) = (kind.map(|at| row[at]), element.map(|at| row[at]));
            let number = kind
                .and_then(said)
                .or_else(|| element.and_then(said))
                .or_else(|| element.and_then(elements::exactly))
                // A type such as `1` is no atomic number.
                .or_else(|| {
                    kind.filter(|word| word.parse::<i64>().is_err())
                        .and_then(elements::parse)
                });
            into.push(number.ok_or_else(|| {
                let what = match (kind, element) {
                    (Some(kind), None) => format!("type {kind}, which is no element"),
                    (_, Some(element)) => format!("the element {element:?}, which is none"),
                    (None, None) => "neither type nor element".to_owned(),
                };
                let example = kind.or(element).unwrap_or("1");
                self.error(format!(
                    "an atom has {what}; say what is which element, --species {example}=Ar,..., or all of them, --species Ar:{}",
                    rows.len()
                ))
            })?);
        }
        Ok(())
    }

    /// Whether the elements may be those that LAMMPS takes by default.
    fn look_for_carbon(&mut self, atoms: &Atoms, rows: &[&[&str]]) {
        let (Some(kind), Some(element)) = (atoms.at("type"), atoms.at("element")) else {
            return;
        };
        if self.legend.species.is_some() || rows.iter().any(|row| row[element] != "C") {
            self.carbon = None;
        }
        if let Some(kinds) = &mut self.carbon {
            for row in rows {
                if !kinds.contains(row[kind]) {
                    kinds.insert(row[kind].to_owned());
                }
            }
        }
    }

    fn take_columns(&self, atoms: &Atoms, rows: &[&[&str]], into: &mut Vec<Column>) -> Result<()> {
        into.clear();
        let mut taken: Vec<&str> = vec!["id", "type", "element"];
        taken.extend(POSITIONS.iter().flat_map(|(names, _)| names));
        taken.extend(IMAGES);
        if let Some(places) = atoms.three(VELOCITIES) {
            taken.extend(VELOCITIES);
            let mut column = Column::new("velocity", Kind::Real, 3);
            let mut values = Vec::with_capacity(3 * rows.len());
            for row in rows {
                values.extend(self.reals(atoms, row, places)?);
            }
            column.values = Values::Real(values);
            column.unit = self.units.velocity;
            into.push(column);
        }
        for (at, name) in atoms.names.iter().enumerate() {
            if taken.contains(&name.as_str()) {
                continue;
            }
            let reals: Option<Vec<_>> = rows.iter().map(|row| parse_real(row[at])).collect();
            let values = reals.map_or_else(
                || {
                    let mut texts = Texts::default();
                    for row in rows {
                        texts.push(row[at]);
                    }
                    Values::Text(texts)
                },
                Values::Real,
            );
            let name = if name == "q" { "charge" } else { name };
            into.push(Column {
                values,
                ..Column::new(name, Kind::Real, 1)
            });
        }
        Ok(())
    }

    fn reals(&self, atoms: &Atoms, row: &[&str], places: [usize; 3]) -> Result<[f64; 3]> {
        let mut reals = [0.0; 3];
        for (real, at) in reals.iter_mut().zip(places) {
            *real = parse_real(row[at]).ok_or_else(|| {
                let (word, name) = (row[at], &atoms.names[at]);
                self.error(format!("{word:?} in column {name} is not a number"))
            })?;
        }
        Ok(reals)
    }
}

impl Atoms {
    fn at(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|other| other == name)
    }

    fn three(&self, names: [&str; 3]) -> Option<[usize; 3]> {
        let [x, y, z] = names.map(|name| self.at(name));
        Some([x?, y?, z?])
    }
}
