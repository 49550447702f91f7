//! What a kernel gives for each row, and how it lies in memory.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use zerocopy::IntoBytes as _;

use super::element::Element;

/// One result of a kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResultSpec {
    /// Name of its dataset.
    pub name: String,
    /// Type of its elements.
    pub element: Element,
    /// Shape of what one row gives; empty: one number.
    pub shape: Vec<usize>,
    /// The physical quantity, as in "Resonance frequency".
    pub quantity: String,
    /// Unit, "a.u." where there is none.
    pub unit: String,
    /// NaN is an answer: not defined for this row. Other results that are not finite are failures.
    #[serde(default)]
    pub optional: bool,
}

impl ResultSpec {
    /// A result of double precision.
    pub fn real(name: &str, shape: &[usize], quantity: &str, unit: &str) -> Self {
        Self {
            name: name.into(),
            element: Element::F64,
            shape: shape.to_vec(),
            quantity: quantity.into(),
            unit: unit.into(),
            optional: false,
        }
    }

    /// NaN is an answer.
    #[must_use]
    pub fn optional(self) -> Self {
        Self {
            optional: true,
            ..self
        }
    }

    /// Elements of one row.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes of one row.
    pub fn bytes(&self) -> usize {
        self.elements() * self.element.size()
    }
}

/// Where the results of one row are in memory: one after the other, each at a multiple of eight bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    specs: Vec<ResultSpec>,
    parts: Vec<Range<usize>>,
    words: usize,
}

impl Layout {
    /// Of these results.
    pub fn new(specs: Vec<ResultSpec>) -> Self {
        let mut words = 0;
        let mut part = |spec: &ResultSpec| {
            let start = 8 * words;
            words += spec.bytes().div_ceil(8);
            start..start + spec.bytes()
        };
        let parts = specs.iter().map(&mut part).collect();
        Self {
            specs,
            parts,
            words,
        }
    }

    /// The results.
    pub fn specs(&self) -> &[ResultSpec] {
        &self.specs
    }

    /// Words of eight bytes that one row takes.
    pub fn words(&self) -> usize {
        self.words
    }

    /// Bytes of result `k` within its row.
    pub fn part(&self, k: usize) -> Range<usize> {
        self.parts[k].clone()
    }

    /// Results that were not computed.
    pub fn blank(&self, words: &mut [u64]) {
        let bytes = words.as_mut_bytes();
        bytes.fill(0);
        for (spec, part) in self.specs.iter().zip(&self.parts) {
            let blank = spec.element.blank();
            for place in bytes[part.clone()].chunks_mut(blank.len()) {
                place.copy_from_slice(&blank[..place.len()]);
            }
        }
    }

    /// The first result in which a number is missing that has to be there.
    pub fn hole(&self, words: &[u64]) -> Option<&ResultSpec> {
        let bytes = words.as_bytes();
        let mut all = self.specs.iter().zip(&self.parts);
        all.find(|(spec, part)| !spec.optional && spec.element.has_hole(&bytes[(*part).clone()]))
            .map(|(spec, _)| spec)
    }
}

/// Results of one row that take more than this are no results of a row.
const MOST_BYTES: usize = 1 << 30;
/// Names beginning with these are taken in the group of results: what pyUSID keeps there besides.
const TAKEN: [&str; 5] = [
    "Position_Indices",
    "Position_Values",
    "Spectroscopic_Indices",
    "Spectroscopic_Values",
    "completed_positions",
];

/// Complains about results that cannot be stored.
///
/// # Errors
/// Which, in words that follow a name: "it gives...", "result X has...".
pub fn check_results(results: &[ResultSpec]) -> Result<(), String> {
    if results.is_empty() {
        return Err("it gives no results".into());
    }
    for (n, spec) in results.iter().enumerate() {
        let name = &spec.name;
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
            return Err(format!("{name:?} cannot be the name of a result"));
        }
        if TAKEN.iter().any(|taken| name.starts_with(taken)) {
            return Err(format!(
                "{name:?} cannot be the name of a result: it is one of pyUSID's own"
            ));
        }
        if results[..n].iter().any(|other| other.name == *name) {
            return Err(format!("it gives two results of the name {name:?}"));
        }
        if spec.bytes() == 0 || spec.bytes() > MOST_BYTES {
            return Err(format!("result {name} has the shape {:?}", spec.shape));
        }
    }
    Ok(())
}
