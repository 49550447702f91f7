//! The table of calculators: those in pure Rust and those behind foreign engines.

use std::sync::OnceLock;

use crate::domain::calculator::CalculatorKind;
use crate::domain::calculators as pure;
use crate::domain::error::Result;

use super::choice::{Given, Table};

/// What a program that uses this crate brings with it.
static ADDED: OnceLock<&'static CalculatorKind> = OnceLock::new();

/// One more calculator, of the program that uses this crate. The first one counts.
pub fn add(kind: &'static CalculatorKind) {
    let _ = ADDED.set(kind);
}

/// Every calculator of this program, in the order people meet them.
pub fn all() -> Vec<&'static CalculatorKind> {
    let mut known = vec![
        &pure::null::KIND,
        &pure::lennard_jones::KIND,
        &pure::morse::KIND,
        &pure::buckingham_coulomb::KIND,
        &pure::stillinger_weber::KIND,
        #[cfg(feature = "xtb")]
        &super::xtb::KIND,
        #[cfg(feature = "tblite")]
        &super::tblite::KIND,
        #[cfg(feature = "kim")]
        &super::kim::KIND,
        &super::ase::KIND,
        &super::plugin::KIND,
        &super::ipi::KIND,
    ];
    known.extend(ADDED.get());
    known
}

fn table() -> Table<CalculatorKind> {
    Table {
        what: "calculator",
        known: all(),
        name: |kind| kind.name,
        subject: |kind| kind.subject,
    }
}

/// The calculator that `NAME` or `NAME:VALUE` asks for; of the latter also the parameter that is given by it.
pub fn choose(typed: &str) -> Result<(&'static CalculatorKind, Given)> {
    table().choose(typed)
}

/// The calculator of this name.
pub fn find(name: &str) -> Result<&'static CalculatorKind> {
    table().find(name)
}
