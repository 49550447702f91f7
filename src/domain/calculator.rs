//! What a calculator is: a frame goes in, energy, forces and stress come out.
//!
//! ```
//! use framewise::domain::calculator::{Calculator, Failure, Results};
//! use framewise::domain::frame::Frame;
//!
//! /// Every atom hangs on a spring at the origin: E = k/2 Σ r².
//! struct Springs { k: f64 }
//!
//! impl Calculator for Springs {
//!     fn evaluate(&mut self, frame: &Frame<'_>, results: &mut Results<'_>) -> Result<(), Failure> {
//!         for (r, f) in frame.positions.iter().zip(results.forces.iter_mut()) {
//!             for d in 0..3 {
//!                 *results.energy += 0.5 * self.k * r[d] * r[d];
//!                 f[d] = -self.k * r[d];
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//! ```

use std::sync::Arc;
use std::time::Duration;

use super::frame::Frame;
use super::parameters::{ParameterError, ParameterSpec, Parameters};

/// Where a calculator puts its results. Energy and forces arrive as zeros, stress as NaN.
#[derive(Debug)]
pub struct Results<'a> {
    /// Total energy (eV).
    pub energy: &'a mut f64,
    /// Forces (eV/Å), one row per atom of the frame.
    pub forces: &'a mut [[f64; 3]],
    /// Stress (eV/Å³), symmetric 3×3, sign of ASE: `σ = (1/V) ∂E/∂ε`, positive under tension.
    /// Left NaN where it is not defined (no cell) or not computed.
    pub stress: &'a mut [[f64; 3]; 3],
}

/// Why a frame has no results. It costs that frame alone, unless no frame can have any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The self-consistent field did not converge: status 2.
    NotConverged(String),
    /// Anything else: status 3.
    Failed(String),
    /// The calculator cannot compute at all, as it turned out only now: the job ends with an error.
    Unavailable(String),
}

/// Evaluates frames. Built on the worker thread that owns it for life, so it need not be `Send`.
///
/// Results must not depend on the frames evaluated before: the same frame gives the same bytes on any rank.
pub trait Calculator {
    /// Computes energy, forces and stress of one frame.
    fn evaluate(&mut self, frame: &Frame<'_>, results: &mut Results<'_>) -> Result<(), Failure>;

    /// How many frames it likes to be told of at once, see [`announce`](Self::announce); 1: none beforehand.
    fn appetite(&self) -> usize {
        1
    }

    /// The frames that [`evaluate`](Self::evaluate) will be called for next, in this order: one that answers many
    /// questions as fast as one can compute them together, and hand out what it has found when it is asked. All of
    /// them have finite positions and a possible cell. Fewer than announced may be asked for: then the next
    /// announcement comes.
    fn announce(&mut self, frames: &mut dyn Iterator<Item = Frame<'_>>) {
        let _ = frames;
    }
}

/// Makes calculators, one per worker thread, from parameters that were checked before.
pub trait Factory: Send + Sync {
    /// A new calculator for the calling thread.
    fn build(&self) -> Result<Box<dyn Calculator>, String>;

    /// Whether calculators can be made here, where to find out takes more than a look at the parameters. Asked once, by the
    /// first rank of a job that has frames to compute, before anything is created, with the first of them.
    fn try_out(&self, frame: &Frame<'_>) -> Result<(), String> {
        let _ = frame;
        Ok(())
    }

    /// What decides the results besides parameters and frames, as the content of a file that a parameter names: name and value
    /// of each. Recorded with the parameters: a run with other ones is another job.
    fn identity(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// The library that computes and its version, for the record: the same text wherever it is installed. `None` where
    /// there is none or it cannot be told cheaply.
    fn library(&self) -> Option<String> {
        None
    }

    /// How much an atom adds to the size of a frame, by which costs are estimated: 1, or its number of orbitals where they
    /// decide.
    fn size_of(&self, species: u8) -> u8 {
        let _ = species;
        1
    }

    /// How much longer than [`Conditions::frame_timeout`] a frame may be in hand where the calculator keeps it itself:
    /// to start what computes it.
    fn leeway(&self) -> Duration {
        Duration::ZERO
    }

    /// Complains about species this calculator cannot treat, before anything is computed or created.
    /// `species` holds each atomic number once.
    fn check_species(&self, species: &[u8]) -> Result<(), String> {
        let _ = species;
        Ok(())
    }
}

/// Whether a calculator can be used here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Availability {
    /// It can; the text says with what (library and version), empty for pure Rust.
    Available(String),
    /// It cannot; the text says why and what to do.
    Missing(String),
}

/// Whose code computes, and in which process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// Ours, in pure Rust: it cannot take the process down.
    Rust,
    /// A library in another language, in this process, which it may take down. `--isolate` gives it one of its own.
    Library,
    /// Other programs, started by the calculator: what ends them costs a frame. The calculator itself sees that no
    /// frame takes longer than it may.
    Program,
}

/// What a job asks of a calculator besides its parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// How long one frame may take. Calculators that live in this process need not heed it.
    pub frame_timeout: Option<Duration>,
}

/// What a calculator can be asked for by name: models, methods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// What is in the columns.
    pub header: Vec<&'static str>,
    /// One row for each, as wide as the header.
    pub rows: Vec<Vec<String>>,
}

/// Makes a factory of checked parameters, or says what is wrong with them beyond their types.
pub type MakeFactory = fn(&Parameters, &Conditions) -> Result<Arc<dyn Factory>, ParameterError>;

/// One kind of calculator: its name, its parameters and how to make it. Each calculator's file exports one.
pub struct CalculatorKind {
    /// The name after `--calculator`.
    pub name: &'static str,
    /// One line for `framewise calculators`.
    pub summary: &'static str,
    /// What it computes, for which frames.
    pub supports: &'static str,
    /// The page about it: how to get it, examples, what is computed, units, limits. Markdown.
    pub page: &'static str,
    /// Where its code runs.
    pub home: Home,
    /// Its parameters.
    pub parameters: &'static [ParameterSpec],
    /// The parameter that can be given with the name: `--calculator NAME:VALUE`.
    pub subject: Option<&'static str>,
    /// Parameters that decide how it is computed, not what: a run may go on with others.
    pub settings: &'static [&'static str],
    /// What there is to choose from on this machine, or why that cannot be told.
    pub catalogue: Option<fn() -> Result<Catalogue, String>>,
    /// Whether this build on this machine has it.
    pub availability: fn() -> Availability,
    /// Checks parameters beyond their types and returns the factory.
    pub factory: MakeFactory,
    /// The level of theory under which results are stored unless the user names one.
    pub level_of_theory: fn(&Parameters) -> String,
}

impl CalculatorKind {
    /// Whether its code is in another language.
    pub fn is_foreign(&self) -> bool {
        self.home != Home::Rust
    }

    /// Checks parameters as typed.
    pub fn parse(&self, typed: &[(String, String)]) -> Result<Parameters, ParameterError> {
        Parameters::parse(&format!("calculator {}", self.name), self.parameters, typed)
    }

    /// A factory for parameters as typed.
    pub fn make(
        &self,
        typed: &[(String, String)],
        conditions: &Conditions,
    ) -> Result<Arc<dyn Factory>, ParameterError> {
        (self.factory)(&self.parse(typed)?, conditions)
    }
}
