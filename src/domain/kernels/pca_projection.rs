//! `pca-projection`: each row in the coordinates of given components.
//!
//! `score_k = Σ_i (x_i − m_i) conj(v_ki)`, and the norm of what the components do not hold, `‖x − m − Σ_k score_k v_k‖`.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;
use zerocopy::IntoBytes as _;

use crate::domain::calculator::{Failure, Home};
use crate::domain::kernel::{
    Array, Element, Given, Kernel, KernelFactory, KernelKind, ResultSpec, Row, RowResults,
};
use crate::domain::parameters::{ParameterError, ParameterSpec, ParameterType, Parameters};

const fn array(name: &'static str, help: &'static str) -> ParameterSpec {
    ParameterSpec {
        name,
        kind: ParameterType::Text,
        unit: "",
        default: None,
        per_pair: false,
        per_species: false,
        help,
    }
}

/// The entry in the table of kernels.
pub static KIND: KernelKind = KernelKind {
    name: "pca-projection",
    process: "PCA_Projection",
    summary: "scores of each row on given components, and what they do not hold",
    supports: "Scores, Residual; real and complex rows of any shape",
    page: include_str!("pca_projection.md"),
    home: Home::Rust,
    parameters: &[
        array(
            "components",
            "the components, (components, elements of a row): FILE.h5:DATASET, or DATASET of the input",
        ),
        array(
            "mean",
            "what is taken off each row before: FILE.h5:DATASET, or DATASET of the input [default: nothing]",
        ),
    ],
    subject: Some("components"),
    settings: &[],
    factory: make,
};

fn make(
    parameters: &Parameters,
    given: &Given<'_>,
) -> Result<Arc<dyn KernelFactory>, ParameterError> {
    let elements = given.rows.elements();
    let complex = given.rows.is_complex();
    let load = |name: &str| match parameters.text(name) {
        None => Ok(None),
        Some(place) => {
            let found = given.arrays.load(place);
            let wrong = |what: String| ParameterError(format!("parameter {name}: {what}"));
            let found = found.map_err(wrong)?;
            let size: usize = found.shape.iter().product();
            let fits = match name {
                "mean" => size == elements,
                _ => found.shape[1..].iter().product::<usize>() == elements && size > 0,
            };
            if !fits {
                return Err(wrong(format!(
                    "{place} has shape {:?}, but rows have {elements} elements",
                    found.shape
                )));
            }
            if found.values.iter().any(|x| !x.is_finite()) {
                return Err(wrong(format!("{place} has a number that is not finite")));
            }
            Ok(Some(found))
        }
    };
    let Some(components) = load("components")? else {
        return Err(ParameterError(
            "parameter components is missing; --kernel pca-projection:FILE.h5:DATASET".into(),
        ));
    };
    let mean = load("mean")?;
    if !complex && (components.complex || mean.as_ref().is_some_and(|m| m.complex)) {
        return Err(ParameterError(
            "the components or the mean are complex, but rows are real".into(),
        ));
    }
    let hash = |array: &Array| format!("{:016x}", xxh3_64(array.values.as_bytes()));
    let mut identity = vec![("components-xxh3", hash(&components))];
    identity.extend(mean.as_ref().map(|mean| ("mean-xxh3", hash(mean))));
    Ok(Arc::new(Projection {
        count: components.shape[0],
        components: if complex {
            pairs(&components)
        } else {
            components.values
        }
        .into(),
        mean: mean
            .map(|mean| if complex { pairs(&mean) } else { mean.values })
            .map(Arc::from),
        complex,
        unit: given.rows.unit().to_owned(),
        identity,
        rest: Vec::new(),
    }))
}

/// Numbers as pairs: the imaginary part of real ones is zero.
fn pairs(array: &Array) -> Vec<f64> {
    if array.complex {
        return array.values.clone();
    }
    array.values.iter().flat_map(|x| [*x, 0.0]).collect()
}

/// Both the factory and the kernel.
#[derive(Clone, Debug)]
struct Projection {
    count: usize,
    components: Arc<[f64]>,
    mean: Option<Arc<[f64]>>,
    complex: bool,
    unit: String,
    identity: Vec<(&'static str, String)>,
    /// What is left of the row.
    rest: Vec<f64>,
}

impl KernelFactory for Projection {
    fn build(&self) -> Result<Box<dyn Kernel>, String> {
        Ok(Box::new(self.clone()))
    }

    fn results(&self) -> Vec<ResultSpec> {
        let mut scores = ResultSpec::real("Scores", &[self.count], "Score", &self.unit);
        if self.complex {
            scores.element = Element::C128;
        }
        let residual = ResultSpec::real("Residual", &[], "Residual", &self.unit);
        vec![scores, residual]
    }

    fn identity(&self) -> Vec<(&'static str, String)> {
        self.identity.clone()
    }
}

impl Kernel for Projection {
    fn evaluate(&mut self, row: &Row<'_>, results: &mut RowResults<'_>) -> Result<(), Failure> {
        row.require_finite()?;
        self.rest.clear();
        self.rest.extend_from_slice(row.reals());
        if let Some(mean) = &self.mean {
            for (x, m) in self.rest.iter_mut().zip(&mean[..]) {
                *x -= m;
            }
        }
        let scores = results.reals(0);
        let components = self.components.chunks_exact(self.rest.len());
        if self.complex {
            let each = scores.chunks_exact_mut(2).zip(components.clone());
            for (score, v) in each {
                let terms = self.rest.chunks_exact(2).zip(v.chunks_exact(2));
                let (mut re, mut im) = (0.0, 0.0);
                for (x, v) in terms {
                    re += x[0] * v[0] + x[1] * v[1];
                    im += x[1] * v[0] - x[0] * v[1];
                }
                (score[0], score[1]) = (re, im);
            }
            for (score, v) in scores.chunks_exact(2).zip(components) {
                for (x, v) in self.rest.chunks_exact_mut(2).zip(v.chunks_exact(2)) {
                    x[0] -= score[0] * v[0] - score[1] * v[1];
                    x[1] -= score[0] * v[1] + score[1] * v[0];
                }
            }
        } else {
            for (score, v) in scores.iter_mut().zip(components.clone()) {
                *score = self.rest.iter().zip(v).map(|(x, v)| x * v).sum();
            }
            for (score, v) in scores.iter().zip(components) {
                for (x, v) in self.rest.iter_mut().zip(v) {
                    *x -= score * v;
                }
            }
        }
        results.reals(1)[0] = self.rest.iter().map(|x| x * x).sum::<f64>().sqrt();
        Ok(())
    }
}
