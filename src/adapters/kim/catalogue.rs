//! Which models there are, and what they know.

use crate::domain::calculator::Catalogue;
use crate::domain::elements;
use crate::domain::parameters::did_you_mean;

use super::library::ffi::Api;
use super::model::ffi::Model;
use super::{MODELS, library};

/// Species named in the table at most.
const MOST_NAMED: usize = 12;

/// All portable models with their species.
///
/// These are read in the models' descriptions (`kimspec.edn`): creating all models of `openkim-models` takes 5 s, reading
/// the descriptions 0.1 s. A model without one is created.
pub fn list() -> Result<Catalogue, String> {
    let api = library::ffi::api().map_err(str::to_owned)?;
    let names = api.names(c"portableModel")?;
    if names.is_empty() {
        return Err(format!("no portable models are installed: {MODELS}"));
    }
    let described = api.specifications(&names)?;
    let rows = names.iter().zip(described).map(|(name, described)| {
        let species = described.as_deref().and_then(described_species);
        let text = match species {
            Some(species) => in_words(&species),
            None => match Model::new(api, name, c"A", c"eV") {
                Ok(model) => in_words(&known_species(&model)),
                Err(why) => why,
            },
        };
        vec![name.clone(), text]
    });
    Ok(Catalogue {
        header: vec!["model", "species"],
        rows: rows.collect(),
    })
}

/// The elements that a model knows, by atomic number.
pub fn known_species(model: &Model) -> Vec<&'static str> {
    let symbols = elements::SYMBOLS.iter().skip(1).copied();
    symbols
        .filter(|symbol| model.code(symbol).is_some())
        .collect()
}

/// The species of a description: `"species" ["Si" "C"]`.
fn described_species(text: &str) -> Option<Vec<&str>> {
    let (_, rest) = text.split_once("\"species\"")?;
    let (list, _) = rest.trim_start().strip_prefix('[')?.split_once(']')?;
    let symbols: Vec<_> = list.split('"').skip(1).step_by(2).collect();
    (!symbols.is_empty()).then_some(symbols)
}

/// The driver that computes a model, where its description names one.
pub fn driver(api: &Api, name: &str) -> Result<Option<String>, String> {
    let described = api.specifications(&[name.to_owned()])?.pop().flatten();
    let driver = described.as_deref().and_then(described_driver);
    Ok(driver.map(str::to_owned))
}

/// `"model-driver" "SW__MD_335816936951_004"`.
fn described_driver(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("\"model-driver\"")?;
    rest.trim_start().strip_prefix('"')?.split('"').next()
}

fn in_words(species: &[&str]) -> String {
    if species.len() <= MOST_NAMED {
        return species.join(" ");
    }
    let some = species[..MOST_NAMED].join(" ");
    format!("{some} ... ({} in all)", species.len())
}

/// Says why `name` is no model that can be used; `None` if it is one.
pub fn complaint(api: &Api, name: &str) -> Result<Option<String>, String> {
    let found = api.type_of(name)?;
    Ok(match found.as_deref() {
        Some("portableModel") => None,
        Some("simulatorModel") => Some(format!(
            "{name} is a simulator model, which runs only inside the program it was made for: take a portable model (MO_ in \
             its name; `framewise calculators kim` lists them)"
        )),
        Some("modelDriver") => Some(format!(
            "{name} is a model driver, not a model: take a model that uses it (`framewise calculators kim` lists them)"
        )),
        _ => {
            let names = api.names(c"portableModel")?;
            if names.is_empty() {
                Some(format!("no portable models are installed: {MODELS}"))
            } else {
                Some(format!(
                    "no model {name:?} is installed{}; `framewise calculators kim` lists them, and {MODELS}",
                    nearest(name, &names)
                ))
            }
        }
    })
}

/// The name that was meant: one that contains what was typed, as a short name or an identifier does, or a similar one.
fn nearest(typed: &str, names: &[String]) -> String {
    let typed_lower = typed.to_lowercase();
    let containing =
        |name: &&String| !typed.is_empty() && name.to_lowercase().contains(&typed_lower);
    match names.iter().find(containing) {
        Some(name) => format!(" (did you mean {name:?}?)"),
        None => did_you_mean(typed, names.iter().map(String::as_str)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn species_are_found_in_a_description() {
        let text = "{\n \"kim-api-version\" \"2.0\"\n \"species\" [\n  \"Al\"\n  \"Ni\"\n ]\n \"title\" \"x\"}";
        assert_eq!(described_species(text), Some(vec!["Al", "Ni"]));
        let text = "{\"title\" \"x\"\n \"model-driver\" \"SW__MD_335816936951_004\"}";
        assert_eq!(described_driver(text), Some("SW__MD_335816936951_004"));
        assert_eq!(described_driver("{}"), None);
        assert_eq!(described_species("{\"species\" []}"), None);
        assert_eq!(described_species("{\"title\" [\"Al\"]}"), None);
    }

    #[test]
    fn names_that_contain_what_was_typed_come_first() {
        let names = [
            "LJ_Ar__MO_1_000",
            "SW_StillingerWeber_1985_Si__MO_405512056662_005",
        ];
        let names = names.map(str::to_owned);
        for typed in [
            "MO_405512056662",
            "SW_StillingerWeber_1985_Si",
            "SW_StilingerWeber_1985_Si__MO_405512056662_005",
        ] {
            let said = nearest(typed, &names);
            assert!(
                said.contains("SW_StillingerWeber_1985_Si__MO_405512056662_005"),
                "{typed}: {said}"
            );
        }
        assert_eq!(nearest("", &names), "");
    }
}
