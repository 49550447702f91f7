//! Typed, documented, validated calculator parameters.
//!
//! A calculator declares its parameters as a table of [`ParameterSpec`]; what the user typed is checked against
//! it once, with suggestions for misspelt names, and the checked set prints as one canonical line that is
//! stored with the results.

mod text_file;

use std::collections::BTreeMap;
use std::fmt;

use super::elements;
pub use text_file::TextFile;

/// What a parameter can hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ParameterType {
    /// A finite number.
    Float,
    /// A finite number greater than zero.
    PositiveFloat,
    /// A finite number, zero or greater.
    NonNegativeFloat,
    /// A whole number.
    Integer,
    /// A whole number greater than zero.
    PositiveInteger,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any text.
    Text,
    /// The path of a text file, which is read at once: what is in it is recorded, not where it was.
    File,
}

/// The name of a [`ParameterSpec`] that stands for keywords which are handed on as they are.
pub const ANY_NAME: &str = "*";

/// One parameter of a calculator.
#[derive(Clone, Copy, Debug)]
pub struct ParameterSpec {
    /// Name in `--param NAME=VALUE`; [`ANY_NAME`]: every name that no other one has.
    pub name: &'static str,
    /// What it can hold.
    pub kind: ParameterType,
    /// Unit, empty where there is none.
    pub unit: &'static str,
    /// Used when the user gives none; `None`: required or derived, as `help` says.
    pub default: Option<&'static str>,
    /// Whether `NAME.Ar-Kr=VALUE` sets it for a pair of species.
    pub per_pair: bool,
    /// Whether `NAME.Na=VALUE` sets it for a species.
    pub per_species: bool,
    /// One line for the user.
    pub help: &'static str,
}

impl ParameterSpec {
    /// A number that has to be given.
    pub const fn number(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self {
            name,
            kind: ParameterType::Float,
            unit,
            default: None,
            per_pair: false,
            per_species: false,
            help,
        }
    }
}

/// A parameter that was given wrongly; prints as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterError(pub String);

impl fmt::Display for ParameterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An unordered pair of species, smaller atomic number first.
pub type Pair = (u8, u8);

/// Checked parameters: every name is declared, every value has its type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters {
    values: BTreeMap<&'static str, String>,
    pairs: BTreeMap<(&'static str, Pair), String>,
    species: BTreeMap<(&'static str, u8), String>,
    files: BTreeMap<&'static str, TextFile>,
    keywords: BTreeMap<String, String>,
}

impl Parameters {
    /// Checks `name=value` pairs as typed against `specs` and fills in defaults.
    /// `owner` is what has them, as in "calculator xtb".
    pub fn parse(
        owner: &str,
        specs: &'static [ParameterSpec],
        typed: &[(String, String)],
    ) -> Result<Self, ParameterError> {
        let mut parameters = Self::default();
        for (name, text) in typed {
            let (base, whom) = match name.split_once('.') {
                Some((base, whom)) => (base, Some(whom)),
                None => (name.as_str(), None),
            };
            let Some(spec) = specs.iter().find(|s| s.name == base && base != ANY_NAME) else {
                let Some(any) = specs.iter().find(|s| s.name == ANY_NAME) else {
                    return Err(unknown(owner, specs, base));
                };
                let value = canonical(any, name, text)?;
                if parameters.keywords.insert(name.clone(), value).is_some() {
                    return Err(given_twice(name));
                }
                continue;
            };
            let value = canonical(spec, name, text)?;
            let previous = match whom {
                None => {
                    if spec.kind == ParameterType::File {
                        parameters
                            .files
                            .insert(spec.name, TextFile::read(name, &value)?);
                    }
                    parameters.values.insert(spec.name, value)
                }
                Some(pair) if spec.per_pair && (pair.contains('-') || !spec.per_species) => {
                    let pair = parse_pair(name, pair)?;
                    parameters.pairs.insert((spec.name, pair), value)
                }
                Some(species) if spec.per_species && !species.contains('-') => {
                    let species = parse_species(name, species)?;
                    parameters.species.insert((spec.name, species), value)
                }
                Some(whom) => {
                    let one_or_two = if whom.contains('-') {
                        "pair of species"
                    } else {
                        "species"
                    };
                    return Err(ParameterError(format!(
                        "parameter {name}: {base} cannot be set per {one_or_two}"
                    )));
                }
            };
            if previous.is_some() {
                return Err(given_twice(name));
            }
        }
        for spec in specs {
            if let Some(default) = spec.default {
                parameters
                    .values
                    .entry(spec.name)
                    .or_insert_with(|| default.to_owned());
            }
        }
        Ok(parameters)
    }

    /// The value of a number, if given or defaulted. Types were checked by [`parse`](Self::parse).
    pub fn float(&self, name: &str) -> Option<f64> {
        self.values.get(name).and_then(|v| v.parse().ok())
    }

    /// The value of a number that has to be given.
    pub fn required(&self, name: &str) -> Result<f64, ParameterError> {
        let missing = || {
            ParameterError(format!(
                "parameter {name} is missing: --param {name}=NUMBER"
            ))
        };
        self.float(name).ok_or_else(missing)
    }

    /// The value of a whole number, if given or defaulted.
    pub fn integer(&self, name: &str) -> Option<i64> {
        self.values.get(name).and_then(|v| v.parse().ok())
    }

    /// The value of a choice or text, if given or defaulted.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Values of `name` given for pairs of species.
    pub fn pairs<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (Pair, f64)> + 'a {
        self.pairs
            .iter()
            .filter(move |((n, _), _)| *n == name)
            .filter_map(|((_, pair), v)| Some((*pair, v.parse().ok()?)))
    }

    /// Values of `name` given for species.
    pub fn species<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (u8, f64)> + 'a {
        self.species_texts(name)
            .filter_map(|(z, text)| Some((z, text.parse().ok()?)))
    }

    /// Texts of `name` given for species.
    pub fn species_texts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (u8, &'a str)> + 'a {
        let given = self.species.iter().filter(move |((n, _), _)| *n == name);
        given.map(|((_, z), text)| (*z, text.as_str()))
    }

    /// The file whose path was given as `name`.
    pub fn file(&self, name: &str) -> Option<&TextFile> {
        self.files.get(name)
    }

    /// Parameters that the calculator hands on: names that [`ANY_NAME`] stands for.
    pub fn keywords(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.keywords.iter();
        pairs.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Every parameter as `(name, value)` as it would be typed, defaults included, sorted: equal jobs give equal lists.
    pub fn canonical(&self) -> Vec<(String, String)> {
        let plain = self
            .values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        let pairs = self.pairs.iter().map(|((name, (a, b)), value)| {
            let pair = format!("{}-{}", elements::symbol(*a), elements::symbol(*b));
            (format!("{name}.{pair}"), value.clone())
        });
        let species = self.species.iter().map(|((name, z), value)| {
            let name = format!("{name}.{}", elements::symbol(*z));
            (name, value.clone())
        });
        let keywords = self.keywords.iter();
        let keywords = keywords.map(|(name, value)| (name.clone(), value.clone()));
        let all = plain.chain(pairs).chain(species);
        all.chain(keywords).collect()
    }

    /// As [`canonical`](Self::canonical), for the record: of a file its name and the XXH3-64 of what is in it. A file
    /// that was changed is another parameter, one that was moved is not.
    pub fn recorded(&self) -> Vec<(String, String)> {
        let mut list = self.canonical();
        for (name, value) in &mut list {
            if let Some(file) = self.files.get(name.as_str()) {
                *value = file.recorded();
            }
        }
        list
    }

    /// What is [`recorded`](Self::recorded) as a JSON object.
    pub fn to_json(&self) -> String {
        as_json(self.recorded())
    }
}

impl Parameters {
    /// What is [`recorded`](Self::recorded), those that decide what is computed, then those named in `settings`.
    pub fn split(&self, settings: &[&str]) -> [Vec<(String, String)>; 2] {
        let is_setting = |(name, _): &(String, String)| settings.contains(&name.as_str());
        let (how, what) = self.recorded().into_iter().partition(is_setting);
        [what, how]
    }
}

/// Parameters and their values as a JSON object: what is stored and compared.
pub fn as_json(pairs: impl IntoIterator<Item = (String, String)>) -> String {
    let pairs = pairs.into_iter();
    let map: serde_json::Map<_, _> = pairs
        .map(|(name, value)| (name, serde_json::Value::from(value)))
        .collect();
    serde_json::Value::from(map).to_string()
}

fn given_twice(name: &str) -> ParameterError {
    ParameterError(format!("parameter {name} is given twice"))
}

fn parse_pair(name: &str, text: &str) -> Result<Pair, ParameterError> {
    let wrong = || {
        ParameterError(format!(
            "parameter {name}: {text:?} is not a pair of elements like Ar-Kr"
        ))
    };
    let (a, b) = text.split_once('-').ok_or_else(wrong)?;
    let a = elements::atomic_number(a).ok_or_else(wrong)?;
    let b = elements::atomic_number(b).ok_or_else(wrong)?;
    Ok((a.min(b), a.max(b)))
}

fn parse_species(name: &str, text: &str) -> Result<u8, ParameterError> {
    elements::atomic_number(text).ok_or_else(|| {
        ParameterError(format!(
            "parameter {name}: {text:?} is not an element like Na"
        ))
    })
}

/// Checks one value and returns the text under which it is recorded.
fn canonical(spec: &ParameterSpec, name: &str, text: &str) -> Result<String, ParameterError> {
    let text = text.trim();
    let wrong =
        |wanted: &str| ParameterError(format!("parameter {name}: {text:?} is not {wanted}"));
    match spec.kind {
        ParameterType::Float | ParameterType::PositiveFloat | ParameterType::NonNegativeFloat => {
            let x: f64 = text.parse().map_err(|_| wrong("a number"))?;
            if !x.is_finite() {
                return Err(wrong("a finite number"));
            }
            if spec.kind == ParameterType::PositiveFloat && x <= 0.0 {
                return Err(wrong("a number greater than zero"));
            }
            if spec.kind == ParameterType::NonNegativeFloat && x < 0.0 {
                return Err(wrong("a number that is zero or greater"));
            }
            Ok(format!("{x}"))
        }
        ParameterType::Integer | ParameterType::PositiveInteger => {
            let x: i64 = text.parse().map_err(|_| wrong("a whole number"))?;
            if spec.kind == ParameterType::PositiveInteger && x <= 0 {
                return Err(wrong("a whole number greater than zero"));
            }
            Ok(format!("{x}"))
        }
        ParameterType::Choice(words) => {
            if words.contains(&text) {
                Ok(text.to_owned())
            } else {
                Err(ParameterError(format!(
                    "parameter {name}: {text:?} is not one of {}{}",
                    words.join(", "),
                    did_you_mean(text, words.iter().copied())
                )))
            }
        }
        ParameterType::Text | ParameterType::File => Ok(text.to_owned()),
    }
}

fn unknown(owner: &str, specs: &[ParameterSpec], name: &str) -> ParameterError {
    let known = if specs.is_empty() {
        "it has no parameters".to_owned()
    } else {
        let names: Vec<_> = specs.iter().map(|s| s.name).collect();
        format!("it has {}", names.join(", "))
    };
    ParameterError(format!(
        "{owner} has no parameter {name:?}{}; {known}",
        did_you_mean(name, specs.iter().map(|s| s.name))
    ))
}

/// ` (did you mean ...?)` for the nearest of the known words, or nothing when none is near.
pub fn did_you_mean<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> String {
    let typed = typed.to_lowercase();
    known
        .map(|word| (strsim::jaro_winkler(&typed, &word.to_lowercase()), word))
        .filter(|(similarity, _)| *similarity > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or_else(String::new, |(_, word)| {
            format!(" (did you mean {word:?}?)")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECS: [ParameterSpec; 2] = [
        ParameterSpec {
            name: "epsilon",
            kind: ParameterType::PositiveFloat,
            unit: "eV",
            default: None,
            per_pair: true,
            per_species: false,
            help: "",
        },
        ParameterSpec {
            name: "shift",
            kind: ParameterType::Choice(&["none", "energy"]),
            unit: "",
            default: Some("none"),
            per_pair: false,
            per_species: false,
            help: "",
        },
    ];

    fn parse(typed: &[(&str, &str)]) -> Result<Parameters, ParameterError> {
        let typed: Vec<_> = typed
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect();
        Parameters::parse("lj", &SPECS, &typed)
    }

    #[test]
    fn equal_jobs_have_equal_records_however_they_were_typed() {
        let a = parse(&[("epsilon", "0.0100"), ("epsilon.Kr-Ar", "1e-2")]).unwrap();
        let b = parse(&[
            ("epsilon.Ar-Kr", "0.01"),
            ("epsilon", "0.01"),
            ("shift", "none"),
        ])
        .unwrap();
        assert_eq!(a.canonical(), b.canonical());
        assert_eq!(a.pairs("epsilon").collect::<Vec<_>>(), [((18, 36), 0.01)]);
        assert_eq!(a.text("shift"), Some("none"));
    }

    #[test]
    fn species_have_values_of_their_own() {
        static CHARGE: [ParameterSpec; 1] = [ParameterSpec {
            name: "charge",
            kind: ParameterType::Float,
            unit: "e",
            default: None,
            per_pair: false,
            per_species: true,
            help: "",
        }];
        let typed = [("charge.Cl", "-1.0"), ("charge.na", "1")].map(|(a, b)| (a.into(), b.into()));
        let found = Parameters::parse("ions", &CHARGE, &typed).unwrap();
        let charges: Vec<_> = found.species("charge").collect();
        assert_eq!(charges, [(11, 1.0), (17, -1.0)]);
        let record = [("charge.Na", "1"), ("charge.Cl", "-1")].map(|(a, b)| (a.into(), b.into()));
        assert_eq!(found.canonical(), record);
        assert_eq!(found.recorded(), record);
    }

    #[test]
    fn keywords_are_handed_on_as_they_are() {
        static OPEN: [ParameterSpec; 2] = [
            SPECS[1],
            ParameterSpec {
                name: ANY_NAME,
                kind: ParameterType::Text,
                unit: "",
                default: None,
                per_pair: false,
                per_species: false,
                help: "",
            },
        ];
        let typed = |pairs: &[(&str, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
            Parameters::parse("ase", &OPEN, &pairs.collect::<Vec<_>>())
        };
        let found = typed(&[("xc", "PBE"), ("mode.name", " [1, 2] ")]).unwrap();
        let keywords: Vec<_> = found.keywords().collect();
        assert_eq!(keywords, [("mode.name", "[1, 2]"), ("xc", "PBE")]);
        assert_eq!(found.canonical().len(), 3);
        assert!(typed(&[("xc", "PBE"), ("xc", "LDA")]).is_err());
        assert!(typed(&[("shift", "nothing")]).is_err());
    }

    #[test]
    fn mistakes_are_said_in_one_line_with_a_suggestion() {
        for (typed, expected) in [
            (("epsilom", "1"), "(did you mean \"epsilon\"?)"),
            (("epsilon", "-1"), "is not a number greater than zero"),
            (("epsilon", "nan"), "is not a finite number"),
            (("epsilon.Ar", "1"), "is not a pair of elements like Ar-Kr"),
            (("shift", "enrgy"), "(did you mean \"energy\"?)"),
            (("shift.Ar-Ar", "none"), "cannot be set per pair"),
        ] {
            let message = parse(&[typed]).unwrap_err().0;
            assert!(message.contains(expected), "{message}");
            assert!(!message.contains('\n'));
        }
        assert!(parse(&[("shift", "none"), ("shift", "none")]).is_err());
    }
}
