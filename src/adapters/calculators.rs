//! The table of calculators: those in pure Rust and those behind foreign engines.

use std::sync::OnceLock;

use crate::domain::calculator::CalculatorKind;
use crate::domain::calculators as pure;
use crate::domain::error::{Error, Result};
use crate::domain::parameters::did_you_mean;

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
        #[cfg(feature = "kim")]
        &super::kim::KIND,
        &super::ase::KIND,
        &super::plugin::KIND,
        &super::ipi::KIND,
    ];
    known.extend(ADDED.get());
    known
}

/// The calculator that `NAME` or `NAME:VALUE` asks for; of the latter also the parameter that is given by it.
pub fn choose(typed: &str) -> Result<(&'static CalculatorKind, Option<(String, String)>)> {
    let Some((name, value)) = typed.split_once(':') else {
        return Ok((find(typed)?, None));
    };
    let kind = find(name)?;
    let Some(subject) = kind.subject else {
        return Err(Error::usage(format!(
            "--calculator {typed}: {name} takes nothing after its name; parameters are given as --param NAME=VALUE"
        )));
    };
    Ok((kind, Some((subject.to_owned(), value.to_owned()))))
}

/// The calculator of this name.
pub fn find(name: &str) -> Result<&'static CalculatorKind> {
    let known = all();
    known
        .iter()
        .find(|kind| kind.name == name)
        .copied()
        .ok_or_else(|| {
            let names: Vec<_> = known.iter().map(|kind| kind.name).collect();
            Error::usage(format!(
                "unknown calculator {name:?}{}; known: {} (see `framewise calculators`)",
                did_you_mean(name, names.iter().copied()),
                names.join(", ")
            ))
        })
}
