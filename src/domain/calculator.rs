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

/// Why one frame has no results. It costs that frame alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The self-consistent field did not converge: status 2.
    NotConverged(String),
    /// Anything else: status 3.
    Failed(String),
}

/// Evaluates frames. Built on the worker thread that owns it for life, so it need not be `Send`.
///
/// Results must not depend on the frames evaluated before: the same frame gives the same bytes on any rank.
pub trait Calculator {
    /// Computes energy, forces and stress of one frame.
    fn evaluate(&mut self, frame: &Frame<'_>, results: &mut Results<'_>) -> Result<(), Failure>;
}

/// Makes calculators, one per worker thread, from parameters that were checked before.
pub trait Factory: Send + Sync {
    /// A new calculator for the calling thread.
    fn build(&self) -> Result<Box<dyn Calculator>, String>;

    /// How much an atom adds to the size of a frame, by which costs are estimated: 1, or its number of orbitals where they
    /// decide.
    fn size_of(&self, species: u8) -> u8 {
        let _ = species;
        1
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

/// One kind of calculator: its name, its parameters and how to make it. Each calculator's file exports one.
pub struct CalculatorKind {
    /// The name after `--calculator`.
    pub name: &'static str,
    /// One line for `framewise calculators`.
    pub summary: &'static str,
    /// What it computes, for which frames.
    pub supports: &'static str,
    /// Whether it calls code in another language, which may take the process down.
    pub foreign: bool,
    /// Its parameters.
    pub parameters: &'static [ParameterSpec],
    /// Whether this build on this machine has it.
    pub availability: fn() -> Availability,
    /// Checks parameters beyond their types and returns the factory.
    pub factory: fn(&Parameters) -> Result<Arc<dyn Factory>, ParameterError>,
    /// The level of theory under which results are stored unless the user names one.
    pub level_of_theory: fn(&Parameters) -> String,
}
