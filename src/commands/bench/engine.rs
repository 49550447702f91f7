//! The calculator that is measured: what was typed, checked.

use std::sync::Arc;

use crate::adapters::calculators;
use crate::adapters::measure::frames::Substance;
use crate::domain::calculator::{Availability, CalculatorKind, Conditions, Factory};
use crate::domain::error::{Error, Result};
use crate::domain::parameters::Parameters;

/// A calculator with its parameters.
pub struct Engine {
    /// Which one.
    pub kind: &'static CalculatorKind,
    /// Its parameters.
    pub parameters: Parameters,
    /// Makes one per thread.
    pub factory: Arc<dyn Factory>,
}

/// The calculator `name` with `--param` pairs. For argon without any, the usual numbers of Lennard-Jones are taken.
pub fn engine(name: &str, typed: &[String]) -> Result<Engine> {
    let (kind, subject) = calculators::choose(name)?;
    let pairs = typed.iter().map(|text| match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().into(), value.trim().into()))
        }
        _ => Err(Error::usage(format!(
            "--param {text:?}: write it as key=value"
        ))),
    });
    let mut pairs: Vec<(String, String)> = pairs.collect::<Result<_>>()?;
    pairs.extend(subject);
    let parameters = kind
        .parse(&pairs)
        .map_err(|e| Error::usage(e.to_string()))?;
    if let Availability::Missing(why) = (kind.availability)() {
        return Err(Error::failure(format!(
            "calculator {name} is not available: {why}"
        )));
    }
    let factory = (kind.factory)(&parameters, &Conditions::default())
        .map_err(|e| Error::usage(e.to_string()))?;
    Ok(Engine {
        kind,
        parameters,
        factory,
    })
}

/// What was typed, or Lennard-Jones argon where nothing was.
pub fn parameters_or_argon(name: &str, typed: &[String]) -> Vec<String> {
    match (name, typed.is_empty()) {
        ("lennard-jones", true) => ["epsilon=0.0104", "sigma=3.4", "cutoff=8.5"]
            .map(str::to_owned)
            .to_vec(),
        _ => typed.to_vec(),
    }
}

/// What made-up frames for this calculator consist of.
pub fn substance(engine: &Engine) -> Result<Substance> {
    let substance = Substance::for_calculator(engine.factory.as_ref(), engine.kind.is_foreign());
    substance.ok_or_else(|| {
        Error::usage(format!(
            "{}: treats neither argon nor silicon nor water; give an INPUT with frames for it",
            engine.kind.name
        ))
    })
}

/// Atoms of a made-up frame: as wished, else 256, of water 18.
pub fn usual_atoms(substance: Substance, wished: Option<u32>) -> usize {
    let usual = if substance == Substance::Water {
        18
    } else {
        256
    };
    substance.atoms(wished.unwrap_or(usual) as usize)
}
