//! What a first pass over the sources learns: sizes, kinds, and what is constant.

use std::collections::HashMap;

use super::values::{Kind, Values};
use super::{Column, SourceFrame};
use crate::domain::cell::Cell;

/// More distinct names than this are not kept: a comment of changing words would fill the memory.
pub const MOST_FIELDS: usize = 1024;

/// Longer names, in bytes, are not kept either.
pub const LONGEST_NAME: usize = 255;

/// Integers up to here are exact as doubles.
const EXACT: u64 = 1 << 53;

/// Kind and shape of a property that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// As the source calls it.
    pub name: String,
    /// How it is stored.
    pub kind: Kind,
    /// Of one frame, or of one atom; empty for one value.
    pub shape: Vec<usize>,
    /// Of all frames that have it.
    pub unit: Option<&'static str>,
    /// Bytes of the longest text.
    pub text_bytes: usize,
    /// Frames (for a key) or atoms (for a column) that have it.
    present: u64,
    exact: bool,
    varies: bool,
}

/// Everything about the sources that a file of known size needs.
#[derive(Clone, Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // Independent facts, not states.
pub struct Schema {
    /// Number of frames.
    pub frames: u64,
    /// Atoms of all frames together.
    pub atoms: u64,
    /// Atoms of the first frame.
    pub first_atoms: usize,
    /// Whether frames differ in their number of atoms.
    pub ragged: bool,
    /// Species of every frame, unless they vary.
    pub species: Option<Vec<u8>>,
    /// Whether any frame has a cell or repeats.
    pub has_cell: bool,
    /// Cell vectors of every frame, unless they vary.
    pub vectors: Option<[[f64; 3]; 3]>,
    /// Directions in which any frame repeats.
    pub periodic: [bool; 3],
    /// Whether frames differ in their periodic directions.
    pub mixed: bool,
    /// Whether every frame has a step, ascending.
    pub has_steps: bool,
    /// Whether every frame has a time, ascending.
    pub has_times: bool,
    /// Properties of atoms.
    pub columns: Vec<Field>,
    /// Properties of frames.
    pub keys: Vec<Field>,
}

/// Builds a [`Schema`] frame by frame.
#[derive(Debug, Default)]
pub struct Survey {
    schema: Schema,
    column_places: HashMap<String, usize>,
    key_places: HashMap<String, usize>,
    first_cell: Cell,
    last_step: i64,
    last_time: f64,
    too_many: u64,
}

impl Survey {
    /// Takes one more frame into account.
    pub fn add(&mut self, frame: &SourceFrame) {
        let schema = &mut self.schema;
        let atoms = frame.len();
        if schema.frames == 0 {
            schema.first_atoms = atoms;
            schema.species = Some(frame.species.clone());
            self.first_cell = frame.cell;
            schema.vectors = Some(frame.cell.vectors);
            schema.has_steps = true;
            schema.has_times = true;
            self.last_step = i64::MIN;
            self.last_time = f64::NEG_INFINITY;
        }
        schema.ragged |= atoms != schema.first_atoms;
        if schema.species.as_ref().is_some_and(|s| *s != frame.species) {
            schema.species = None;
        }
        let bits = |v: &[[f64; 3]; 3]| v.map(|row| row.map(f64::to_bits));
        if schema
            .vectors
            .is_some_and(|v| bits(&v) != bits(&frame.cell.vectors))
        {
            schema.vectors = None;
        }
        schema.has_cell |= frame.has_cell || frame.cell.is_periodic();
        schema.mixed |= frame.cell.periodic != self.first_cell.periodic;
        for (any, this) in schema.periodic.iter_mut().zip(frame.cell.periodic) {
            *any |= this;
        }
        schema.has_steps &= frame.step.is_some_and(|s| s > self.last_step);
        self.last_step = frame.step.unwrap_or(self.last_step);
        schema.has_times &= frame.time.is_some_and(|t| t > self.last_time);
        self.last_time = frame.time.unwrap_or(self.last_time);
        for Column {
            name,
            width,
            unit,
            values,
        } in &frame.columns
        {
            let shape: &[usize] = if *width == 1 { &[] } else { &[*width] };
            match place(&mut schema.columns, &mut self.column_places, name) {
                Some(field) => {
                    let first = field.present == 0;
                    field.unit = unit.filter(|_| first || field.unit == *unit);
                    field.add(shape, values, longest(values), atoms as u64);
                }
                None => self.too_many += 1,
            }
        }
        for key in &frame.keys {
            match place(&mut schema.keys, &mut self.key_places, &key.name) {
                Some(field) => field.add(&key.shape, &key.values, key.text.len(), 1),
                None => self.too_many += 1,
            }
        }
        schema.frames += 1;
        schema.atoms += atoms as u64;
    }

    /// The schema, and a line for each thing that cannot be kept or is kept in another form.
    pub fn finish(self) -> (Schema, Vec<String>) {
        let mut schema = self.schema;
        let mut remarks = Vec::new();
        if self.too_many > 0 {
            remarks.push(format!(
                "more than {MOST_FIELDS} different names in comment lines or Properties, or names longer than {LONGEST_NAME} bytes: {} values are not kept",
                self.too_many
            ));
        }
        schema.columns.retain_mut(|field| {
            let keep = !(field.varies && field.present > 0);
            if keep {
                remarks.extend(field.settle(schema.atoms, "atoms"));
            } else {
                remarks.push(format!(
                    "property {:?} of atoms is not kept: its number of columns changes from frame to frame",
                    field.name
                ));
            }
            keep
        });
        for field in &mut schema.keys {
            remarks.extend(field.settle(schema.frames, "frames"));
        }
        (schema, remarks)
    }
}

fn place<'a>(
    fields: &'a mut Vec<Field>,
    places: &mut HashMap<String, usize>,
    name: &str,
) -> Option<&'a mut Field> {
    let at = if let Some(at) = places.get(name) {
        *at
    } else if fields.len() < MOST_FIELDS && name.len() <= LONGEST_NAME {
        places.insert(name.to_owned(), fields.len());
        fields.push(Field {
            name: name.to_owned(),
            kind: Kind::Text,
            shape: Vec::new(),
            unit: None,
            text_bytes: 0,
            present: 0,
            exact: true,
            varies: false,
        });
        fields.len() - 1
    } else {
        return None;
    };
    Some(&mut fields[at])
}

/// Bytes of the longest value when a column becomes text.
fn longest(values: &Values) -> usize {
    match values {
        Values::Text(v) => v.iter().map(str::len).max().unwrap_or(0),
        Values::Logical(_) => 1,
        Values::Integer(_) | Values::Real(_) => 24,
    }
}

impl Field {
    fn add(&mut self, shape: &[usize], values: &Values, text_bytes: usize, n: u64) {
        if self.present == 0 {
            self.kind = values.kind();
            self.shape = shape.to_vec();
            self.varies = false;
        }
        self.varies |= self.shape != shape;
        self.kind = match (self.kind, values.kind()) {
            (a, b) if a == b => a,
            (Kind::Real | Kind::Integer, Kind::Real | Kind::Integer) => Kind::Real,
            _ => Kind::Text,
        };
        if let Values::Integer(v) = values {
            self.exact &= v.iter().all(|x| x.unsigned_abs() <= EXACT);
        }
        self.text_bytes = self.text_bytes.max(text_bytes);
        self.present += n;
    }

    /// Decides how it is stored, now that all `n` frames or atoms are known.
    ///
    /// A real missing somewhere is NaN there. An integer missing somewhere becomes real. What fits no number
    /// exactly, a logical that is missing somewhere, and a key whose shape or kind changes become text, as
    /// spelled in the source, empty where missing.
    fn settle(&mut self, n: u64, of: &str) -> Option<String> {
        let missing = n - self.present.min(n);
        let before = self.kind;
        if missing > 0 {
            self.kind = match before {
                Kind::Real | Kind::Integer => Kind::Real,
                Kind::Logical | Kind::Text => Kind::Text,
            };
        }
        if (self.kind == Kind::Real && !self.exact) || self.varies {
            self.kind = Kind::Text;
        }
        let became_text = self.kind == Kind::Text && (before != Kind::Text || self.varies);
        if became_text && self.varies {
            self.shape.clear();
        }
        if self.kind == Kind::Text && of == "frames" {
            self.shape.clear();
        }
        became_text.then(|| {
            let why = if self.varies {
                "its shape changes".to_owned()
            } else {
                format!("{missing} of {n} {of} do not have it or it fits no number exactly")
            };
            format!("{:?} is kept as text: {why}", self.name)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::extxyz::comment;
    use crate::adapters::source::Key;

    fn schema(lines: &[&str]) -> (Schema, Vec<String>) {
        let mut survey = Survey::default();
        for line in lines {
            let keys: Vec<Key> = comment::parse(line).unwrap();
            survey.add(&SourceFrame {
                keys,
                ..SourceFrame::default()
            });
        }
        survey.finish()
    }

    #[test]
    fn kinds_meet_in_the_one_that_keeps_all_values() {
        for (lines, kind, shape) in [
            (&["a=1", "a=2"][..], Kind::Integer, &[][..]),
            (&["a=1", "a=2.5"], Kind::Real, &[]),
            (&["a=1", "b=2"], Kind::Real, &[]),
            (&["a=9007199254740993", "b=2"], Kind::Text, &[]),
            (&["a=T q=1", "b=2"], Kind::Text, &[]),
            (&["a=1", "a=x"], Kind::Text, &[]),
            (&["a=\"1 2\"", "a=\"1 2 3\""], Kind::Text, &[]),
            (&["a=\"1 2\"", "a=\"1 2.5\""], Kind::Real, &[2]),
        ] {
            let (schema, _) = schema(lines);
            assert_eq!(schema.keys[0].kind, kind, "{lines:?}");
            assert_eq!(schema.keys[0].shape, shape, "{lines:?}");
        }
        let (_, remarks) = schema(&["a=\"1 2\"", "a=3"]);
        assert_eq!(remarks, ["\"a\" is kept as text: its shape changes"]);
    }

    #[test]
    fn names_without_end_do_not_fill_the_memory() {
        let lines: Vec<_> = (0..2000).map(|k| format!("key_{k}=1")).collect();
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let (schema, remarks) = schema(&lines);
        assert_eq!(schema.keys.len(), MOST_FIELDS);
        assert!(
            remarks[0].contains("976 values are not kept"),
            "{remarks:?}"
        );
    }
}
