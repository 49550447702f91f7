//! Parameters of pairs of species.

use std::collections::BTreeMap;

use crate::domain::elements::symbol;
use crate::domain::parameters::{Pair, Parameters};

/// One parameter: global value and values of pairs.
#[derive(Clone, Debug, Default)]
pub struct PerPair {
    /// For pairs without their own.
    pub global: Option<f64>,
    /// For these pairs.
    pub pairs: BTreeMap<Pair, f64>,
}

impl PerPair {
    /// What the user gave under this name.
    pub fn new(parameters: &Parameters, name: &str) -> Self {
        Self {
            global: parameters.float(name),
            pairs: parameters.pairs(name).collect(),
        }
    }

    /// The value of a pair of species in any order.
    pub fn get(&self, a: u8, b: u8) -> Option<f64> {
        let pair = (a.min(b), a.max(b));
        self.pairs.get(&pair).copied().or(self.global)
    }

    /// The largest value given.
    pub fn largest(&self) -> Option<f64> {
        let values = self.pairs.values().copied().chain(self.global);
        values.reduce(f64::max)
    }
}

/// The values of a pair of species, or what to type to have those that are missing; `wanted` holds name, values and
/// unit as it is to be typed.
pub fn required<const N: usize>(
    calculator: &str,
    (a, b): (u8, u8),
    wanted: [(&str, &PerPair, &str); N],
) -> Result<[f64; N], String> {
    let values = wanted.map(|(_, values, _)| values.get(a, b));
    if values.iter().all(Option::is_some) {
        return Ok(values.map(Option::unwrap_or_default));
    }
    let pair = format!("{}-{}", symbol(a.min(b)), symbol(a.max(b)));
    let missing = || wanted.iter().zip(&values).filter(|(_, v)| v.is_none());
    let what: Vec<_> = missing().map(|((name, _, _), _)| *name).collect();
    let typed: Vec<_> = missing()
        .map(|((name, _, unit), _)| format!("--param {name}.{pair}={unit}"))
        .collect();
    Err(format!(
        "{calculator} has no {} for the pair {pair}: add {}",
        what.join(" and no "),
        typed.join(" ")
    ))
}
