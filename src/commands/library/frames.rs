//! One more calculator.

use std::process::ExitCode;
use std::sync::Arc;

use crate::adapters::{calculators, environment};
use crate::domain::calculator::{
    Availability, Calculator, CalculatorKind, Conditions, Factory, Failure, Home, Results,
};
use crate::domain::frame::Frame;
use crate::domain::parameters::{ParameterError, ParameterSpec, Parameters};

/// A calculator of your own. One is made for each worker thread, on that thread, which owns it for life.
///
/// Units: positions and cell in Å, energy in eV, forces in eV/Å, stress in eV/Å³ with the sign of ASE. Results must not
/// depend on the frames evaluated before: then a result is the same bytes on any number of ranks and threads.
///
/// The smallest complete program, `tests/examples/springs.rs`:
///
/// ```no_run
#[doc = include_str!("../../../tests/examples/springs.rs")]
/// ```
pub trait Kernel: Sized + 'static {
    /// The name after `--calculator`, under which results are stored, too, unless `--level-of-theory` names another.
    const NAME: &'static str;
    /// One line for `framewise calculators`.
    const SUMMARY: &'static str = "a calculator of this program";
    /// Its parameters: checked before [`new`](Self::new) sees them, shown by `framewise calculators NAME`, recorded.
    const PARAMETERS: &'static [ParameterSpec] = &[];

    /// Makes one from checked parameters. Called once beforehand, so that an error comes before anything is created.
    ///
    /// # Errors
    /// What is wrong with the parameters, in one line.
    fn new(parameters: &Parameters) -> Result<Self, ParameterError>;

    /// Computes one frame. Energy and forces arrive as zeros, stress as NaN, which means that there is none.
    ///
    /// # Errors
    /// Why this frame has no results; the others are not affected. So is a panic.
    fn evaluate(&mut self, frame: &Frame<'_>, results: &mut Results<'_>) -> Result<(), Failure>;

    /// Complains about species that cannot be treated, before anything is created. Each atomic number is there once.
    ///
    /// # Errors
    /// Which, in one line.
    fn check_species(_species: &[u8]) -> Result<(), String> {
        Ok(())
    }
}

/// The whole program: every verb of framewise, with one more calculator. To be the first and only call of `main`.
///
/// The environment is prepared, the command line parsed, MPI started where the verb needs it, and the exit code is the
/// one of the contract.
pub fn run<K: Kernel>() -> ExitCode {
    environment::prepare();
    calculators::add(Box::leak(Box::new(kind::<K>())));
    crate::commands::main()
}

fn kind<K: Kernel>() -> CalculatorKind {
    CalculatorKind {
        name: K::NAME,
        summary: K::SUMMARY,
        supports: "what this program computes",
        page: "",
        home: Home::Rust,
        parameters: K::PARAMETERS,
        subject: None,
        settings: &[],
        catalogue: None,
        availability: || Availability::Available(String::new()),
        factory: factory::<K>,
        level_of_theory: |_| K::NAME.to_owned(),
    }
}

fn factory<K: Kernel>(
    parameters: &Parameters,
    _: &Conditions,
) -> Result<Arc<dyn Factory>, ParameterError> {
    drop(K::new(parameters)?);
    Ok(Arc::new(Maker::<K> {
        parameters: parameters.clone(),
        made: std::marker::PhantomData,
    }))
}

struct Maker<K> {
    parameters: Parameters,
    made: std::marker::PhantomData<fn() -> K>,
}

impl<K: Kernel> Factory for Maker<K> {
    fn build(&self) -> Result<Box<dyn Calculator>, String> {
        let kernel = K::new(&self.parameters).map_err(|e| e.0)?;
        Ok(Box::new(Made(kernel)))
    }

    fn check_species(&self, species: &[u8]) -> Result<(), String> {
        K::check_species(species)
    }
}

struct Made<K>(K);

impl<K: Kernel> Calculator for Made<K> {
    fn evaluate(&mut self, frame: &Frame<'_>, results: &mut Results<'_>) -> Result<(), Failure> {
        self.0.evaluate(frame, results)
    }
}
