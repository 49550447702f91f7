//! `plugin`: a calculator in a shared library of the user's, through the C interface of `framewise_plugin.h`.

mod ffi;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use xxhash_rust::xxh3::xxh3_64;

use crate::domain::calculator::{
    Availability, Calculator, CalculatorKind, Conditions, Factory, Failure, Home, Results,
};
use crate::domain::frame::Frame;
use crate::domain::parameters::{
    ANY_NAME, ParameterError, ParameterSpec, ParameterType, Parameters,
};

use ffi::{Api, Handle, TypedParameters};

/// The interface.
pub const HEADER: &str = include_str!("framewise_plugin.h");

/// The entry in the table of calculators.
pub static KIND: CalculatorKind = CalculatorKind {
    name: "plugin",
    summary: "your own calculator in a shared library with a C interface",
    supports: "what the library computes",
    page: include_str!("README.md"),
    home: Home::Library,
    parameters: &PARAMETERS,
    subject: Some("library"),
    settings: &[],
    catalogue: None,
    availability: || Availability::Available(String::new()),
    factory,
    level_of_theory: |parameters| {
        let path = PathBuf::from(parameters.text("library").unwrap_or_default());
        let name = path.file_stem().map(|stem| stem.to_string_lossy());
        name.unwrap_or_default().into_owned()
    },
};

static PARAMETERS: [ParameterSpec; 2] = [
    ParameterSpec {
        name: "library",
        kind: ParameterType::Text,
        unit: "",
        default: None,
        per_pair: false,
        per_species: false,
        help: "the shared library, a path or a name that the system's loader finds; required",
    },
    ParameterSpec {
        name: ANY_NAME,
        kind: ParameterType::Text,
        unit: "",
        default: None,
        per_pair: false,
        per_species: false,
        help: "any other name: for the library",
    },
];

fn factory(parameters: &Parameters, _: &Conditions) -> Result<Arc<dyn Factory>, ParameterError> {
    let library = parameters.text("library").unwrap_or_default();
    if library.is_empty() {
        return Err(ParameterError(
            "calculator plugin needs its library: --calculator plugin:PATH".into(),
        ));
    }
    Ok(Arc::new(PluginFactory {
        library: library.into(),
        parameters: TypedParameters::new(parameters.keywords()).map_err(ParameterError)?,
        api: OnceLock::new(),
    }))
}

struct PluginFactory {
    library: PathBuf,
    parameters: TypedParameters,
    api: OnceLock<Result<&'static Api, String>>,
}

impl PluginFactory {
    fn api(&self) -> Result<&'static Api, String> {
        // A name without a slash the loader would not look for here.
        let here = self.library.canonicalize();
        let path = here.as_ref().unwrap_or(&self.library);
        let load = || Api::load(path).map(|api| &*Box::leak(Box::new(api)));
        self.api.get_or_init(load).clone()
    }

    /// Says whose words these are.
    fn by_library(&self, why: &str) -> String {
        format!("{}: {why}", self.library.display())
    }
}

impl Factory for PluginFactory {
    fn identity(&self) -> Vec<(&'static str, String)> {
        // A name without a slash the loader may find elsewhere.
        let content = std::fs::read(&self.library).ok();
        let content = content.map(|bytes| format!("{:016x}", xxh3_64(&bytes)));
        content
            .into_iter()
            .map(|hash| ("library_xxh3", hash))
            .collect()
    }

    fn build(&self) -> Result<Box<dyn Calculator>, String> {
        let handle = self.api()?.create(&self.parameters);
        Ok(Box::new(Plugin(handle.map_err(|e| self.by_library(&e))?)))
    }

    fn check_species(&self, species: &[u8]) -> Result<(), String> {
        let checked = self.api()?.check(&self.parameters, species);
        checked.map_err(|e| self.by_library(&e))
    }
}

struct Plugin(Handle);

impl Calculator for Plugin {
    fn evaluate(&mut self, frame: &Frame<'_>, results: &mut Results<'_>) -> Result<(), Failure> {
        self.0.evaluate(frame, results)
    }
}
