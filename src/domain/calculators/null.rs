//! `null`: costs nothing, and every value tells its frame. For tests, benchmarks and dry runs.
//!
//! energy = Σ of all coordinates of the frame, in order, as a number of eV;
//! forces = the positions as numbers of eV/Å; stress = 0.

use std::sync::Arc;

use crate::domain::calculator::{
    Availability, Calculator, CalculatorKind, Factory, Failure, Home, Results,
};
use crate::domain::frame::Frame;

/// The entry in the table of calculators.
pub static KIND: CalculatorKind = CalculatorKind {
    name: "null",
    summary: "costs nothing: energy = sum of the coordinates, forces = positions, stress = 0",
    supports: "energy, forces, stress; any frame",
    page: include_str!("null.md"),
    home: Home::Rust,
    parameters: &[],
    subject: None,
    settings: &[],
    catalogue: None,
    availability: || Availability::Available(String::new()),
    factory: |_, _| Ok(Arc::new(Null)),
    level_of_theory: |_| "null".into(),
};

/// Both the factory and the calculator: there is nothing to prepare.
#[derive(Clone, Copy, Debug, Default)]
pub struct Null;

impl Factory for Null {
    fn build(&self) -> Result<Box<dyn Calculator>, String> {
        Ok(Box::new(Null))
    }
}

impl Calculator for Null {
    fn evaluate(&mut self, frame: &Frame<'_>, results: &mut Results<'_>) -> Result<(), Failure> {
        // One running sum in order: the bytes are those of a plain loop in any language.
        let mut sum = 0.0;
        for x in frame.positions.as_flattened() {
            sum += x;
        }
        *results.energy = sum;
        results.forces.copy_from_slice(frame.positions);
        *results.stress = [[0.0; 3]; 3];
        Ok(())
    }
}
