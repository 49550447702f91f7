//! One more kernel on the rows of arrays.

use std::process::ExitCode;
use std::sync::Arc;

use crate::adapters::{environment, kernels};
use crate::domain::calculator::{Failure, Home};
use crate::domain::kernel::{
    self, Given, KernelFactory, KernelKind, ResultSpec, Row, RowDescription, RowResults,
    check_results,
};
use crate::domain::parameters::{ParameterError, ParameterSpec, Parameters};

/// A kernel of your own for `framewise map`. One is made for each worker thread, on that thread, which owns it for life.
///
/// Results must not depend on the rows evaluated before: then a result is the same bytes on any number of ranks and threads.
///
/// The smallest complete program, `tests/examples/extent.rs`:
///
/// ```no_run
#[doc = include_str!("../../../tests/examples/extent.rs")]
/// ```
pub trait RowKernel: Sized + 'static {
    /// The name after `--kernel`.
    const NAME: &'static str;
    /// The name in the group of results, `<Dataset>-<Process>_000`.
    const PROCESS: &'static str = Self::NAME;
    /// One line for `framewise kernels`.
    const SUMMARY: &'static str = "a kernel of this program";
    /// Its parameters: checked before [`new`](Self::new) sees them, shown by `framewise kernels NAME`, recorded.
    const PARAMETERS: &'static [ParameterSpec] = &[];

    /// Makes one from checked parameters, for rows like these. Called once beforehand, so that an error comes before anything
    /// is created.
    ///
    /// # Errors
    /// What is wrong with the parameters, or with such rows, in one line.
    fn new(parameters: &Parameters, rows: &RowDescription) -> Result<Self, ParameterError>;

    /// What each row gives: names, types, shapes, quantities, units.
    fn results(&self) -> Vec<ResultSpec>;

    /// Computes one row, which comes in double precision. Numbers arrive as NaN, whole numbers as zeros; what is still NaN
    /// afterwards fails the row, unless the result is [optional](ResultSpec::optional).
    ///
    /// # Errors
    /// Why this row has no results; the others are not affected. So is a panic.
    fn evaluate(&mut self, row: &Row<'_>, results: &mut RowResults<'_>) -> Result<(), Failure>;
}

/// The whole program: every verb of framewise, with one more kernel for `map`. To be the first and only call of `main`; see
/// [`run`](super::run).
pub fn map<K: RowKernel>() -> ExitCode {
    environment::prepare();
    kernels::add(Box::leak(Box::new(kind::<K>())));
    crate::commands::main()
}

fn kind<K: RowKernel>() -> KernelKind {
    KernelKind {
        name: K::NAME,
        process: K::PROCESS,
        summary: K::SUMMARY,
        supports: "what this program computes",
        page: "",
        home: Home::Rust,
        parameters: K::PARAMETERS,
        subject: None,
        settings: &[],
        factory: factory::<K>,
    }
}

fn factory<K: RowKernel>(
    parameters: &Parameters,
    given: &Given<'_>,
) -> Result<Arc<dyn KernelFactory>, ParameterError> {
    let results = K::new(parameters, given.rows)?.results();
    check_results(&results).map_err(ParameterError)?;
    Ok(Arc::new(Maker::<K> {
        parameters: parameters.clone(),
        rows: given.rows.clone(),
        results,
        made: std::marker::PhantomData,
    }))
}

struct Maker<K> {
    parameters: Parameters,
    rows: RowDescription,
    results: Vec<ResultSpec>,
    made: std::marker::PhantomData<fn() -> K>,
}

impl<K: RowKernel> KernelFactory for Maker<K> {
    fn build(&self) -> Result<Box<dyn kernel::Kernel>, String> {
        let kernel = K::new(&self.parameters, &self.rows).map_err(|e| e.0)?;
        Ok(Box::new(Made(kernel)))
    }

    fn results(&self) -> Vec<ResultSpec> {
        self.results.clone()
    }
}

struct Made<K>(K);

impl<K: RowKernel> kernel::Kernel for Made<K> {
    fn evaluate(&mut self, row: &Row<'_>, results: &mut RowResults<'_>) -> Result<(), Failure> {
        self.0.evaluate(row, results)
    }
}
