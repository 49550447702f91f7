//! LAMMPS' `.sw` files: entries of three names and eleven numbers, over as many lines as they like.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Place;

/// Silicon of 1985 with the digits of LAMMPS' own file.
const SILICON: &str =
    "Si Si Si 2.1683 2.0951 1.80 21.0 1.20 -0.333333333333 7.049556277 0.6022245584 4.0 0.0 0.0";

/// The numbers of an entry, in their order.
const NUMBERS: [&str; 11] = [
    "epsilon",
    "sigma",
    "a",
    "lambda",
    "gamma",
    "costheta0",
    "A",
    "B",
    "p",
    "q",
    "tol",
];
const WORDS: usize = 3 + NUMBERS.len();

/// What one entry says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// Where it begins.
    pub line: usize,
    /// eV.
    pub epsilon: f64,
    /// Å.
    pub sigma: f64,
    pub a: f64,
    pub lambda: f64,
    pub gamma: f64,
    pub cos_theta0: f64,
    pub big_a: f64,
    pub big_b: f64,
    pub p: f64,
    pub q: f64,
    pub tol: f64,
}

/// All entries of a file.
#[derive(Clone, Debug)]
pub(super) struct Entries {
    /// For messages.
    pub source: String,
    /// By the three names.
    pub entries: BTreeMap<[String; 3], Entry>,
}

/// What is built in.
pub(super) fn silicon() -> Entries {
    let mut silicon = Entries::read("", SILICON).unwrap_or_else(|_| Entries {
        source: String::new(),
        entries: BTreeMap::new(),
    });
    silicon.source = "stillinger-weber".into();
    silicon
}

impl Entries {
    /// Reads a file. Errors say the line.
    pub fn read(path: &str, text: &str) -> Result<Self, String> {
        let mut entries = BTreeMap::new();
        let mut words = Vec::with_capacity(WORDS);
        let mut began = 0;
        for (number, line) in text.lines().enumerate().map(|(n, line)| (n + 1, line)) {
            let wrong = |why: String| Err(format!("{path}, line {number}: {why}"));
            let (data, comment) = line.split_once('#').unwrap_or((line, ""));
            if let Some(units) = units(comment)
                && units != "metal"
            {
                return wrong(format!(
                    "the file is in units {units:?}; only metal (eV, Å) can be read: convert its epsilon and sigma"
                ));
            }
            if words.is_empty() {
                began = number;
            }
            words.extend(data.split_whitespace().map(|word| (number, word)));
            if words.len() < WORDS {
                continue;
            }
            if words.len() > WORDS {
                return wrong(format!(
                    "the entry has more than {WORDS} words: three names and {}",
                    NUMBERS.join(", ")
                ));
            }
            let (names, entry) = entry(path, began, &words)?;
            match entries.entry(names) {
                Place::Vacant(place) => {
                    place.insert(entry);
                }
                Place::Occupied(place) => {
                    let (names, first): (&[String; 3], &Entry) = (place.key(), place.get());
                    return wrong(format!(
                        "a second entry for {}; the first is in line {}",
                        names.join(" "),
                        first.line
                    ));
                }
            }
            words.clear();
        }
        if !words.is_empty() {
            return Err(format!(
                "{path}, line {began}: the entry ends after {} of {WORDS} words: three names and {}",
                words.len(),
                NUMBERS.join(", ")
            ));
        }
        if entries.is_empty() {
            return Err(format!("{path}: no entry is in it"));
        }
        Ok(Self {
            source: path.to_owned(),
            entries,
        })
    }
}

/// The units that a comment declares.
fn units(comment: &str) -> Option<&str> {
    comment.split_once("UNITS:")?.1.split_whitespace().next()
}

fn entry(path: &str, line: usize, words: &[(usize, &str)]) -> Result<([String; 3], Entry), String> {
    let mut values = [0.0_f64; NUMBERS.len()];
    for ((value, name), (line, word)) in values.iter_mut().zip(NUMBERS).zip(&words[3..]) {
        let wrong = |wanted: &str| format!("{path}, line {line}: {name} {word:?} is not {wanted}");
        *value = word.parse().map_err(|_| wrong("a number"))?;
        if !value.is_finite() {
            return Err(wrong("a finite number"));
        }
        if *value < 0.0 && name != "costheta0" {
            return Err(wrong("a number that is zero or greater"));
        }
    }
    let names = [0, 1, 2].map(|n| words[n].1.to_owned());
    let [
        epsilon,
        sigma,
        a,
        lambda,
        gamma,
        cos_theta0,
        big_a,
        big_b,
        p,
        q,
        tol,
    ] = values;
    let entry = Entry {
        line,
        epsilon,
        sigma,
        a,
        lambda,
        gamma,
        cos_theta0,
        big_a,
        big_b,
        p,
        q,
        tol,
    };
    Ok((names, entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_may_take_several_lines_and_comments_are_passed_over() {
        let text = "# DATE: 2020-01-01 UNITS: metal CITATION: none\n\n# a comment\nSi Si Si 2.1683 2.0951 1.80 # energy\n  \
                    21.0 1.20 -0.333333333333\n 7.049556277 0.6022245584 4.0 0.0 0.0\n";
        let read = Entries::read("X.sw", text).unwrap();
        let mut expected = silicon().entries;
        let key = ["Si"; 3].map(str::to_owned);
        expected.get_mut(&key).unwrap().line = 4;
        assert_eq!(read.entries, expected);
    }

    #[test]
    fn mistakes_are_said_with_their_line() {
        let good = SILICON;
        for (text, expected) in [
            (
                good.replace("21.0", "21,0"),
                "X.sw, line 1: lambda \"21,0\" is not a number",
            ),
            (
                good.replace("2.0951", "-2"),
                "X.sw, line 1: sigma \"-2\" is not a number that is zero or greater",
            ),
            (
                good.replace("7.049556277", "inf"),
                "X.sw, line 1: A \"inf\" is not a finite number",
            ),
            (
                format!("{good} 1"),
                "X.sw, line 1: the entry has more than 14 words",
            ),
            (
                format!("#\n{good}\n\nSi Si Si\n 1.0"),
                "X.sw, line 4: the entry ends after 4 of 14 words",
            ),
            (
                format!("{good}\n{good}"),
                "X.sw, line 2: a second entry for Si Si Si; the first is in line 1",
            ),
            (
                format!("# UNITS: real\n{good}"),
                "X.sw, line 1: the file is in units \"real\"",
            ),
            ("# nothing\n".into(), "X.sw: no entry is in it"),
        ] {
            let message = Entries::read("X.sw", &text).unwrap_err();
            assert!(message.starts_with(expected), "{message}");
            assert!(!message.contains('\n'));
        }
    }
}
