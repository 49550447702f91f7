//! `statistics`: mean, standard deviation, extremes, skewness and kurtosis of each row.
//!
//! With `μ = Σx/n` and `m_k = Σ(x−μ)^k / n`: standard deviation `√m₂`, skewness `m₃/m₂^{3/2}`, excess kurtosis
//! `m₄/m₂² − 3` (moment estimators, as `numpy.std`, `scipy.stats.skew` and `scipy.stats.kurtosis` by default).

use std::sync::Arc;

use crate::domain::calculator::{Failure, Home};
use crate::domain::kernel::{Kernel, KernelFactory, KernelKind, ResultSpec, Row, RowResults};
use crate::domain::parameters::{ParameterSpec, ParameterType};

/// The entry in the table of kernels.
pub static KIND: KernelKind = KernelKind {
    name: "statistics",
    process: "Statistics",
    summary: "mean, standard deviation, minimum, maximum, skewness, kurtosis of each row",
    supports: "Mean, Standard_Deviation, Minimum, Maximum, Skewness, Kurtosis; real rows, or a part of complex ones",
    page: include_str!("statistics.md"),
    home: Home::Rust,
    parameters: &[ParameterSpec {
        name: "part",
        kind: ParameterType::Choice(&["magnitude", "phase", "real", "imaginary"]),
        unit: "",
        default: Some("magnitude"),
        per_pair: false,
        per_species: false,
        help: "which part of complex rows; real rows have none",
    }],
    subject: None,
    settings: &[],
    factory: |parameters, given| {
        let part = match parameters.text("part") {
            _ if !given.rows.is_complex() => Part::All,
            Some("real") => Part::Real,
            Some("imaginary") => Part::Imaginary,
            Some("phase") => Part::Phase,
            _ => Part::Magnitude,
        };
        let unit = match part {
            Part::Phase => "rad",
            _ => given.rows.unit(),
        };
        Ok(Arc::new(Statistics {
            part,
            unit: unit.to_owned(),
            values: Vec::new(),
        }))
    },
};

/// What is looked at of each element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    All,
    Magnitude,
    Phase,
    Real,
    Imaginary,
}

/// Both the factory and the kernel.
#[derive(Clone, Debug)]
struct Statistics {
    part: Part,
    unit: String,
    values: Vec<f64>,
}

impl KernelFactory for Statistics {
    fn build(&self) -> Result<Box<dyn Kernel>, String> {
        Ok(Box::new(self.clone()))
    }

    fn results(&self) -> Vec<ResultSpec> {
        let real = |name: &str, quantity: &str| ResultSpec::real(name, &[], quantity, &self.unit);
        let plain = |name: &str| ResultSpec::real(name, &[], name, "a.u.").optional();
        vec![
            real("Mean", "Mean"),
            real("Standard_Deviation", "Standard deviation"),
            real("Minimum", "Minimum"),
            real("Maximum", "Maximum"),
            plain("Skewness"),
            plain("Kurtosis"),
        ]
    }
}

impl Kernel for Statistics {
    fn evaluate(&mut self, row: &Row<'_>, results: &mut RowResults<'_>) -> Result<(), Failure> {
        row.require_finite()?;
        let values = if self.part == Part::All {
            row.reals()
        } else {
            let part = self.part;
            self.values.clear();
            self.values
                .extend(row.complex().iter().map(|[re, im]| match part {
                    Part::Real => *re,
                    Part::Imaginary => *im,
                    Part::Phase => im.atan2(*re),
                    Part::Magnitude | Part::All => re.hypot(*im),
                }));
            &self.values[..]
        };
        let n = values.len() as f64;
        let first = values.iter().sum::<f64>() / n;
        // The second pass takes back what rounding has done to the first.
        let mean = first + values.iter().map(|x| x - first).sum::<f64>() / n;
        let (mut m2, mut m3, mut m4) = (0.0, 0.0, 0.0);
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for x in values {
            let d = x - mean;
            m2 += d * d;
            m3 += d * d * d;
            m4 += d * d * d * d;
            least = least.min(*x);
            most = most.max(*x);
        }
        (m2, m3, m4) = (m2 / n, m3 / n, m4 / n);
        // Numbers that differ by rounding alone have no shape.
        let has_shape = m2 > (f64::EPSILON * mean).powi(2);
        let shape = |value: f64| if has_shape { value } else { f64::NAN };
        let all = [
            mean,
            m2.sqrt(),
            least,
            most,
            shape(m3 / m2.powf(1.5)),
            shape(m4 / (m2 * m2) - 3.0),
        ];
        for (k, value) in all.into_iter().enumerate() {
            results.reals(k)[0] = value;
        }
        Ok(())
    }
}
