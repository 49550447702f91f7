//! The kernel `python`: a function of the user's on the rows of an array.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use crate::domain::calculator::{Failure, Home};
use crate::domain::kernel::{
    Element, Given, Kernel, KernelFactory, KernelKind, ResultSpec, Row, RowResults, check_results,
};
use crate::domain::parameters::{
    ANY_NAME, ParameterError, ParameterSpec, ParameterType, Parameters,
};

use super::{Correspondence, RowRequest, RowSetup, Session, Setup};

/// The entry in the table of kernels.
pub static KIND: KernelKind = KernelKind {
    name: "python",
    process: "Python",
    summary: "your own function, in Python: file.py:function",
    supports: "what the function returns: numbers, arrays, a tuple or a dictionary of them",
    page: include_str!("kernel.md"),
    home: Home::Program,
    parameters: &PARAMETERS,
    subject: Some("function"),
    settings: &["start_timeout"],
    factory,
};

static PARAMETERS: [ParameterSpec; 4] = [
    ParameterSpec {
        name: "function",
        kind: ParameterType::Text,
        unit: "",
        default: None,
        per_pair: false,
        per_species: false,
        help: "file.py:function or module:function; required",
    },
    ParameterSpec {
        name: "batch",
        kind: ParameterType::PositiveInteger,
        unit: "",
        default: Some("1"),
        per_pair: false,
        per_species: false,
        help: "more than 1: the function gets up to so many rows at once, along a first axis, and gives as many results",
    },
    super::START_TIMEOUT,
    ParameterSpec {
        name: ANY_NAME,
        kind: ParameterType::Text,
        unit: "",
        default: None,
        per_pair: false,
        per_species: false,
        help: "any other name: a keyword of the function, a Python literal or text",
    },
];

fn factory(
    parameters: &Parameters,
    given: &Given<'_>,
) -> Result<Arc<dyn KernelFactory>, ParameterError> {
    let target = parameters.text("function").unwrap_or_default();
    if !target.contains(':') {
        return Err(ParameterError(
            "it needs its function: --kernel python:file.py:function".into(),
        ));
    }
    super::check_target("function", target)?;
    let Some(element) = given.rows.element else {
        return Err(ParameterError("the rows have no type".into()));
    };
    let batch = parameters.integer("batch").unwrap_or(1) as usize;
    let setup = Setup {
        role: "kernel",
        target: target.to_owned(),
        keywords: super::keywords(parameters),
        fresh: false,
        rows: Some(RowSetup {
            element,
            shape: given.rows.shape.clone(),
            together: batch > 1,
        }),
        start: super::start_timeout(parameters),
    };
    let content = super::file_of(target).map(std::fs::read).transpose();
    let content = content.map_err(|e| ParameterError(format!("parameter function: {e}")))?;
    let session = Session::try_out(&setup).map_err(ParameterError)?;
    let results = session.found.results.clone();
    check_results(&results).map_err(|why| ParameterError(format!("{target}: {why}")))?;
    Ok(Arc::new(PythonFactory {
        setup,
        batch,
        content: content.map(|bytes| format!("{:016x}", xxh3_64(&bytes))),
        limit: given.conditions.frame_timeout,
        first: Mutex::new(Some(session)),
        results,
    }))
}

struct PythonFactory {
    setup: Setup,
    batch: usize,
    /// Of the file with the function.
    content: Option<String>,
    limit: Option<Duration>,
    /// The process that has told what the function gives; the first worker gets it.
    first: Mutex<Option<Session>>,
    results: Vec<ResultSpec>,
}

impl KernelFactory for PythonFactory {
    fn build(&self) -> Result<Box<dyn Kernel>, String> {
        let first = self
            .first
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let started = first.map_or_else(|| Session::start(&self.setup), Ok);
        let session = started?;
        if session.found.results != self.results {
            let target = &self.setup.target;
            return Err(format!(
                "{target} gives other results each time it is started"
            ));
        }
        Ok(Box::new(Python {
            batch: self.batch,
            results: self.results.len(),
            correspondence: Correspondence::new(self.setup.clone(), self.limit, session),
        }))
    }

    fn results(&self) -> Vec<ResultSpec> {
        self.results.clone()
    }

    fn identity(&self) -> Vec<(&'static str, String)> {
        let content = self.content.clone();
        content
            .into_iter()
            .map(|hash| ("function_xxh3", hash))
            .collect()
    }

    fn takes(&self, stored: Element) -> Element {
        stored
    }
}

struct Python {
    /// Most rows of one call.
    batch: usize,
    /// How many results a row has.
    results: usize,
    correspondence: Correspondence<RowRequest>,
}

impl Kernel for Python {
    fn evaluate(&mut self, row: &Row<'_>, results: &mut RowResults<'_>) -> Result<(), Failure> {
        let count = self.results;
        self.correspondence.ask(
            |request| request.push(row),
            |session| session.receive_row(count, results),
        )
    }

    fn appetite(&self) -> usize {
        self.batch
    }

    fn announce(&mut self, rows: &mut dyn Iterator<Item = Row<'_>>) {
        self.correspondence
            .announce(|request| rows.for_each(|row| request.push(&row)));
    }
}
