//! `Properties=species:S:1:pos:R:3:...`: what the columns of a frame mean.

use crate::adapters::source::values::{Kind, parse_logical, parse_real};
use crate::adapters::source::{Column, Detail, SourceFrame, values::Values};
use crate::domain::elements;

/// Columns of one or more frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    slots: Vec<Slot>,
    /// Whether more words than declared are an error (not in plain XYZ).
    strict: bool,
    /// Words per line.
    width: usize,
    /// Slots that matter when only the structure of the file is wanted; the rest of a line is skipped.
    structural: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Slot {
    name: String,
    kind: Kind,
    width: usize,
    target: Target,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// A symbol or an atomic number.
    Species,
    /// An atomic number beside a species.
    Number,
    Position,
    /// Index into the columns of the frame.
    Extra(usize),
}

impl Plan {
    /// Species, x, y, z; anything beyond is not read.
    pub fn plain() -> Self {
        let mut plan = Self::parse("species:S:1:pos:R:3").unwrap_or_else(|_| unreachable!());
        plan.strict = false;
        plan
    }

    /// Reads the value of `Properties`. Errors say what is wrong and what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fields: Vec<_> = text.split(':').collect();
        let mut slots: Vec<Slot> = Vec::new();
        let mut extra = 0;
        for triple in fields.chunks(3) {
            let &[name, letter, width] = triple else {
                return Err(format!(
                    "Properties ends with {:?}, expected name:type:columns",
                    triple.join(":")
                ));
            };
            let kind = match letter {
                "R" => Kind::Real,
                "I" => Kind::Integer,
                "L" => Kind::Logical,
                "S" => Kind::Text,
                _ => {
                    return Err(format!(
                        "property {name:?} has type {letter:?}, expected R, I, S or L"
                    ));
                }
            };
            let width = width.parse().ok().filter(|w| *w > 0).ok_or_else(|| {
                format!("property {name:?} has {width:?} columns, expected a positive number")
            })?;
            let target = match (name, kind, width) {
                ("species" | "symbols", Kind::Text | Kind::Integer, 1) => Target::Species,
                ("Z" | "numbers", Kind::Integer, 1) => Target::Number,
                ("pos" | "positions", Kind::Real | Kind::Integer, 3) => Target::Position,
                ("species" | "symbols", ..) => {
                    return Err(format!("{name} is {letter}:{width}, expected {name}:S:1"));
                }
                ("Z" | "numbers", ..) => {
                    return Err(format!("{name} is {letter}:{width}, expected {name}:I:1"));
                }
                ("pos" | "positions", ..) => {
                    return Err(format!("{name} is {letter}:{width}, expected {name}:R:3"));
                }
                ("", ..) => return Err("a property without a name in Properties".into()),
                _ => {
                    extra += 1;
                    Target::Extra(extra - 1)
                }
            };
            let is_double = |s: &Slot| {
                s.name == name || (!matches!(target, Target::Extra(_)) && s.target == target)
            };
            if slots.iter().any(is_double) {
                return Err(format!("property {name:?} is given twice in Properties"));
            }
            slots.push(Slot {
                name: name.to_owned(),
                kind,
                width,
                target,
            });
        }
        let has = |target| slots.iter().any(|s| s.target == target);
        if !has(Target::Position) {
            return Err("Properties has no positions, expected pos:R:3".into());
        }
        if !has(Target::Species) {
            let number = slots.iter_mut().find(|s| s.target == Target::Number);
            number
                .ok_or("Properties has no species, expected species:S:1 or Z:I:1")?
                .target = Target::Species;
        }
        let width = slots
            .iter()
            .try_fold(0_usize, |sum, s| sum.checked_add(s.width));
        let structural = slots
            .iter()
            .rposition(|s| s.kind != Kind::Real && s.target != Target::Position)
            .map_or(0, |last| last + 1);
        Ok(Self {
            width: width.ok_or("Properties has too many columns")?,
            slots,
            strict: true,
            structural,
        })
    }

    /// Empties the frame and gives it this plan's columns, reusing them where they are the same.
    pub fn prepare(&self, frame: &mut SourceFrame) {
        frame.species.clear();
        frame.positions.clear();
        let extras = || {
            self.slots
                .iter()
                .filter(|s| matches!(s.target, Target::Extra(_)))
        };
        let same =
            frame.columns.len() == extras().count()
                && frame.columns.iter().zip(extras()).all(|(c, s)| {
                    c.name == s.name && c.width == s.width && c.values.kind() == s.kind
                });
        if same {
            frame.columns.iter_mut().for_each(|c| c.values.clear());
        } else {
            frame.columns = extras()
                .map(|s| Column::new(&s.name, s.kind, s.width))
                .collect();
        }
    }

    /// Reads one atom from a line of UTF-8. `Ok(true)` when the line has more words than the plan. Errors say what is
    /// wrong and what was expected.
    pub fn read_atom(
        &self,
        line: &[u8],
        frame: &mut SourceFrame,
        elements: &mut ElementMemo,
        detail: Detail,
    ) -> Result<bool, String> {
        let mut words = Words::of(line);
        let (mut species, mut number) = (None, None);
        let slots = match detail {
            Detail::Full => &self.slots[..],
            Detail::Structure => &self.slots[..self.structural],
        };
        for slot in slots {
            let mut next = || words.next().ok_or_else(|| self.too_few(line));
            match slot.target {
                Target::Position if detail == Detail::Structure => {
                    for _ in 0..3 {
                        next()?;
                    }
                }
                Target::Position => {
                    let mut position = [0.0; 3];
                    for x in &mut position {
                        *x = self.real(&mut words, slot)?;
                    }
                    frame.positions.push(position);
                }
                Target::Species => {
                    let (word, at) = next()?;
                    species = Some(elements.number(word).ok_or_else(|| {
                        format!(
                            "column {at} (species): {:?} is not a chemical element, expected a symbol or an atomic number",
                            text(word)
                        )
                    })?);
                }
                Target::Number => {
                    let (word, _) = next()?;
                    number = Some((elements.number(word), word));
                }
                Target::Extra(index) => {
                    let values = &mut frame.columns[index].values;
                    if let (Values::Real(v), Detail::Full) = (&mut *values, detail) {
                        for _ in 0..slot.width {
                            v.push(self.real(&mut words, slot)?);
                        }
                        continue;
                    }
                    for _ in 0..slot.width {
                        let (word, at) = words.next().ok_or_else(|| self.too_few(line))?;
                        let fits = match values {
                            Values::Real(_) => true,
                            Values::Integer(v) => text(word).parse().map(|x| v.push(x)).is_ok(),
                            Values::Logical(v) => {
                                parse_logical(text(word)).map(|x| v.push(x)).is_some()
                            }
                            Values::Text(v) => {
                                v.push(text(word));
                                !word.contains(&0)
                            }
                        };
                        if !fits {
                            return Err(slot.wrong(word, at));
                        }
                    }
                }
            }
        }
        if let (Some((number, word)), Some(species)) = (number, species)
            && number != Some(species)
        {
            return Err(format!(
                "atomic number {} beside species {}, expected the two to agree",
                text(word),
                elements::symbol(species)
            ));
        }
        frame.species.extend(species);
        let more = detail == Detail::Full && words.next().is_some();
        if more && self.strict {
            return Err(format!(
                "{} columns, expected {} as in Properties",
                Words::of(line).count(),
                self.width
            ));
        }
        Ok(more)
    }

    /// The next word, which must be a number.
    #[inline]
    fn real(&self, words: &mut Words<'_>, slot: &Slot) -> Result<f64, String> {
        if let Some(x) = words.number() {
            return Ok(x);
        }
        let (word, at) = words.next().ok_or_else(|| self.too_few(words.line))?;
        parse_real(text(word)).ok_or_else(|| slot.wrong(word, at))
    }

    fn too_few(&self, line: &[u8]) -> String {
        let found = Words::of(line).count();
        let by = if self.strict {
            " as in Properties"
        } else {
            " (species x y z)"
        };
        format!("{found} columns, expected {}{by}", self.width)
    }
}

/// A word of a line that is UTF-8.
fn text(word: &[u8]) -> &str {
    std::str::from_utf8(word).unwrap_or_default()
}

/// The words of a line with their columns, from 1: as `split_ascii_whitespace` finds them, at half its cost.
struct Words<'a> {
    line: &'a [u8],
    at: usize,
    column: usize,
}

impl<'a> Words<'a> {
    fn of(line: &'a [u8]) -> Self {
        Self {
            line,
            at: 0,
            column: 0,
        }
    }

    /// The next word if it is a number in the usual spelling; otherwise it stays the next one. It is looked at once: where
    /// the number ends, the word must.
    #[inline]
    fn number(&mut self) -> Option<f64> {
        let rest = &self.line[self.at..];
        let start = rest.iter().position(|b| !b.is_ascii_whitespace())?;
        let (x, length) = fast_float2::parse_partial(&rest[start..]).ok()?;
        let end = start + length;
        if rest.get(end).is_some_and(|b| !b.is_ascii_whitespace()) {
            return None;
        }
        self.at += end;
        self.column += 1;
        Some(x)
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = (&'a [u8], usize);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.line[self.at..];
        let start = rest.iter().position(|b| !b.is_ascii_whitespace())?;
        let length = rest[start..].iter().position(u8::is_ascii_whitespace);
        let start = self.at + start;
        self.at = length.map_or(self.line.len(), |length| start + length);
        self.column += 1;
        Some((&self.line[start..self.at], self.column))
    }
}

impl Slot {
    fn wrong(&self, word: &[u8], column: usize) -> String {
        let word = text(word);
        let expected = match self.kind {
            Kind::Real => "a number",
            Kind::Integer => "an integer",
            Kind::Logical => "T or F",
            Kind::Text => "a word without zero bytes",
        };
        format!(
            "column {column} ({}): found {word:?}, expected {expected}",
            self.name
        )
    }
}

/// Remembers the atomic numbers of one- and two-letter symbols.
#[derive(Clone, Debug)]
pub struct ElementMemo {
    known: Vec<u8>,
}

const UNKNOWN: u8 = u8::MAX;

impl Default for ElementMemo {
    fn default() -> Self {
        Self {
            known: vec![UNKNOWN; 128 * 128],
        }
    }
}

impl ElementMemo {
    fn number(&mut self, word: &[u8]) -> Option<u8> {
        let slot = match *word {
            [a] if a.is_ascii() => usize::from(a) * 128,
            [a, b] if a.is_ascii() && b.is_ascii() => usize::from(a) * 128 + usize::from(b),
            _ => return elements::parse(text(word)),
        };
        if self.known[slot] == UNKNOWN {
            self.known[slot] = elements::parse(text(word))?;
        }
        Some(self.known[slot])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn words_are_those_of_the_standard_library(line in "[ \\t\\x0B\\x0Ca-cé1.]{0,20}") {
            let words = line.split_ascii_whitespace().map(str::as_bytes).zip(1..);
            prop_assert!(Words::of(line.as_bytes()).eq(words));
        }
    }

    #[test]
    fn mistakes_in_properties_are_named() {
        for (text, expected) in [
            ("species:S:1", "no positions, expected pos:R:3"),
            ("pos:R:3", "no species, expected species:S:1 or Z:I:1"),
            (
                "species:S:1:pos:R",
                "ends with \"pos:R\", expected name:type:columns",
            ),
            (
                "species:S:1:pos:X:3",
                "has type \"X\", expected R, I, S or L",
            ),
            ("species:S:1:pos:R:2", "pos is R:2, expected pos:R:3"),
            ("species:S:1:pos:R:0", "has \"0\" columns"),
            ("species:S:1:pos:R:3:pos:R:3", "\"pos\" is given twice"),
            (
                "species:S:1:pos:R:3:q:R:18446744073709551615",
                "too many columns",
            ),
            ("", "ends with"),
        ] {
            let why = Plan::parse(text).unwrap_err();
            assert!(why.contains(expected), "{text}: {why}");
        }
        assert!(Plan::parse("Z:I:1:pos:R:3:f:R:3:id:I:1:ok:L:1:label:S:2").is_ok());
    }
}
