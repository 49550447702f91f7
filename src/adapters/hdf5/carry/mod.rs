//! Properties of frames and atoms that a result takes over from its input: velocities, masses, charges, whatever else is
//! asked for, or all.
//!
//! In the result each is a group with `value`, `step` and `time` under `/particles/trajectory` or
//! `/observables/trajectory`, a row for each frame, as the readers want it (see [`FIXED`](super::layout::FIXED)): reals as
//! f64, whole numbers as i64, truths and texts as they are.

mod property;

use std::str::FromStr;

pub(super) use property::{Property, find};

/// Names that are not free in a result, of atoms or of frames.
const TAKEN: [&str; 8] = [
    "position", "species", "box", "offsets", "forces", "force", "energy", "stress",
];
/// What stands for everything.
const ALL: &str = "all";
/// Before the names of what is carried over with everything else, and whose own names are not free.
const PREFIX: &str = "input_";

/// What is to be carried over, as typed: `all`, or `NAME`, `NAME=NAME_IN_THE_INPUT`, and `:UNIT` behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Name in the result: `velocity`, `mass`, `charge` are H5MD's.
    pub name: String,
    /// Name in the input.
    pub source: String,
    /// The unit of the numbers, where the input does not say it.
    pub unit: Option<String>,
}

impl FromStr for Carried {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (names, unit) = match text.split_once(':') {
            Some((names, unit)) => (names, Some(unit.trim().to_owned())),
            None => (text, None),
        };
        let (name, source) = names.split_once('=').unwrap_or((names, names));
        let (name, source) = (name.trim(), source.trim());
        if name.is_empty() || source.is_empty() || unit.as_deref() == Some("") {
            return Err(format!(
                "{text:?}: write it as all, NAME, NAME=NAME_IN_THE_INPUT or NAME:UNIT, for instance velocity:'Angstrom ps-1'"
            ));
        }
        if TAKEN.contains(&name) || name.contains(['/', '.']) {
            return Err(format!(
                "{text:?}: {name:?} is not free as a name in the result"
            ));
        }
        Ok(Self {
            name: name.into(),
            source: source.into(),
            unit,
        })
    }
}

impl std::fmt::Display for Carried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        if self.name != self.source {
            write!(f, "={}", self.source)?;
        }
        self.unit
            .as_ref()
            .map_or(Ok(()), |unit| write!(f, ":{unit}"))
    }
}

/// What is typed after `--carry`, as it is recorded.
pub fn words(carried: &[Carried]) -> String {
    let words: Vec<_> = carried.iter().map(ToString::to_string).collect();
    words.join(",")
}

/// Whether a name in the group of the frames is none of the format's own.
pub(super) fn is_free(name: &str) -> bool {
    !TAKEN.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_a_name_a_source_and_a_unit() {
        let parsed: Carried = "charge=initial_charges:e".parse().unwrap();
        assert_eq!(
            (&*parsed.name, &*parsed.source, parsed.unit.as_deref()),
            ("charge", "initial_charges", Some("e"))
        );
        assert_eq!(parsed.to_string(), "charge=initial_charges:e");
        let plain: Carried = "velocity".parse().unwrap();
        assert_eq!(
            (&*plain.name, &*plain.source, plain.unit),
            ("velocity", "velocity", None)
        );
        for wrong in [
            "",
            "=x",
            "mass:",
            "position",
            "forces=velocity",
            "a/b",
            "..",
        ] {
            assert!(wrong.parse::<Carried>().is_err(), "{wrong}");
        }
    }
}
