//! `fft-filter`: takes noise and bands of frequencies out of each row.
//!
//! The noise threshold follows the idea of M. B. Okatan's filter in pycroscopy: magnitudes of a transform of white noise are
//! Rayleigh-distributed, `P(|X| > t) = exp(−t²/2σ²)`. With σ² = Σ|X|²/2n over the n bins that are taken for noise, those above
//! `t = σ √(−2 ln tolerance)` are signal; this is repeated without them until no more bin is above.

use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use rustfft::{Fft, FftPlanner};

use crate::domain::calculator::{Failure, Home};
use crate::domain::kernel::{
    Element, Given, Kernel, KernelFactory, KernelKind, ResultSpec, Row, RowResults,
};
use crate::domain::parameters::{ParameterError, ParameterSpec, ParameterType, Parameters};

const fn number(name: &'static str, unit: &'static str, help: &'static str) -> ParameterSpec {
    ParameterSpec {
        name,
        kind: ParameterType::PositiveFloat,
        unit,
        default: None,
        per_pair: false,
        per_species: false,
        help,
    }
}

/// The entry in the table of kernels.
pub static KIND: KernelKind = KernelKind {
    name: "fft-filter",
    process: "FFT_Filter",
    summary: "takes noise below a threshold, and frequencies outside a band, out of each row",
    supports: "Filtered, Noise_Threshold; real and complex rows of one axis",
    page: include_str!("fft_filter.md"),
    home: Home::Rust,
    parameters: &[
        number(
            "noise-tolerance",
            "",
            "drop what is no larger than noise; the share of noise that stays, 1e-6 to 0.1 [default: keep all]",
        ),
        number(
            "low-pass",
            "of sampling-rate",
            "drop frequencies above this one [default: none]",
        ),
        number(
            "high-pass",
            "of sampling-rate",
            "drop frequencies below this one [default: none]",
        ),
        ParameterSpec {
            default: Some("1"),
            ..number(
                "sampling-rate",
                "any",
                "samples per unit of time: the unit of low-pass and high-pass",
            )
        },
    ],
    subject: None,
    settings: &[],
    factory: make,
};

fn make(
    parameters: &Parameters,
    given: &Given<'_>,
) -> Result<Arc<dyn KernelFactory>, ParameterError> {
    let wrong = |what: String| Err(ParameterError(what));
    let [length] = given.rows.shape[..] else {
        return wrong(format!(
            "takes rows of one axis, these have shape {:?}",
            given.rows.shape
        ));
    };
    let rate = parameters.float("sampling-rate").unwrap_or(1.0);
    let tolerance = parameters.float("noise-tolerance");
    let (low, high) = (parameters.float("low-pass"), parameters.float("high-pass"));
    if tolerance.is_none() && low.is_none() && high.is_none() {
        return wrong("nothing to filter: give noise-tolerance, low-pass or high-pass".into());
    }
    if let Some(tolerance) = tolerance.filter(|t| *t >= 1.0) {
        return wrong(format!(
            "parameter noise-tolerance: {tolerance} is not below 1"
        ));
    }
    if let (Some(low), Some(high)) = (low, high)
        && low < high
    {
        return wrong(format!(
            "nothing would be left: low-pass {low} is below high-pass {high}"
        ));
    }
    let band = high.unwrap_or(0.0) / rate..=low.unwrap_or(f64::INFINITY) / rate;
    Ok(Arc::new(FilterOf {
        length,
        complex: given.rows.is_complex(),
        quantity: given.rows.quantity.clone(),
        unit: given.rows.unit().to_owned(),
        band: (*band.start(), *band.end()),
        tolerance,
    }))
}

/// What is filtered, and how.
#[derive(Clone, Debug)]
struct FilterOf {
    length: usize,
    complex: bool,
    quantity: String,
    unit: String,
    /// First and last frequency that pass, per sample.
    band: (f64, f64),
    tolerance: Option<f64>,
}

impl KernelFactory for FilterOf {
    fn build(&self) -> Result<Box<dyn Kernel>, String> {
        let n = self.length;
        let (transform, bins, scratch) = if self.complex {
            let mut planner = FftPlanner::new();
            let (there, back) = (planner.plan_fft_forward(n), planner.plan_fft_inverse(n));
            let scratch = there
                .get_inplace_scratch_len()
                .max(back.get_inplace_scratch_len());
            (Transform::Complex(there, back), n, scratch)
        } else {
            let mut planner = RealFftPlanner::new();
            let (there, back) = (planner.plan_fft_forward(n), planner.plan_fft_inverse(n));
            let scratch = there.get_scratch_len().max(back.get_scratch_len());
            (Transform::Real(there, back), n / 2 + 1, scratch)
        };
        Ok(Box::new(Filter {
            of: self.clone(),
            transform,
            spectrum: vec![Complex::default(); bins],
            scratch: vec![Complex::default(); scratch],
            values: vec![0.0; if self.complex { 0 } else { n }],
        }))
    }

    fn results(&self) -> Vec<ResultSpec> {
        let quantity = match self.quantity.as_str() {
            "" => "Filtered",
            quantity => quantity,
        };
        let mut filtered = ResultSpec::real("Filtered", &[self.length], quantity, &self.unit);
        if self.complex {
            filtered.element = Element::C128;
        }
        let threshold = ResultSpec::real("Noise_Threshold", &[], "Noise threshold", &self.unit);
        let mut all = vec![filtered];
        all.extend(self.tolerance.map(|_| threshold));
        all
    }
}

enum Transform {
    Real(Arc<dyn RealToComplex<f64>>, Arc<dyn ComplexToReal<f64>>),
    Complex(Arc<dyn Fft<f64>>, Arc<dyn Fft<f64>>),
}

/// One worker's own, with its buffers.
struct Filter {
    of: FilterOf,
    transform: Transform,
    spectrum: Vec<Complex<f64>>,
    scratch: Vec<Complex<f64>>,
    values: Vec<f64>,
}

impl Filter {
    /// How many bins of the whole transform a bin stands for: half of that of real rows is not there.
    fn weight(&self, bin: usize) -> f64 {
        let mirrored = !self.of.complex && bin > 0 && 2 * bin != self.of.length;
        if mirrored { 2.0 } else { 1.0 }
    }

    /// The magnitude above which a bin is signal.
    fn threshold(&self, tolerance: f64) -> f64 {
        let factor = (-2.0 * tolerance.ln()).sqrt();
        let mut threshold = f64::INFINITY;
        loop {
            let (mut sum, mut bins) = (0.0, 0.0);
            for (bin, x) in self.spectrum.iter().enumerate() {
                if x.norm() <= threshold {
                    sum += self.weight(bin) * x.norm_sqr();
                    bins += self.weight(bin);
                }
            }
            if bins == 0.0 {
                return threshold;
            }
            let next = factor * (sum / (2.0 * bins)).sqrt();
            // Bins can only leave, so this comes to an end.
            let leave = self
                .spectrum
                .iter()
                .any(|x| x.norm() <= threshold && x.norm() > next);
            if !leave {
                return next.min(threshold);
            }
            threshold = next;
        }
    }
}

fn broken(error: impl std::fmt::Display) -> Failure {
    Failure::Failed(format!("the transform failed: {error}"))
}

impl Kernel for Filter {
    fn evaluate(&mut self, row: &Row<'_>, results: &mut RowResults<'_>) -> Result<(), Failure> {
        row.require_finite()?;
        match &self.transform {
            Transform::Real(there, _) => {
                self.values.copy_from_slice(row.reals());
                there
                    .process_with_scratch(&mut self.values, &mut self.spectrum, &mut self.scratch)
                    .map_err(broken)?;
            }
            Transform::Complex(there, _) => {
                for (x, [re, im]) in self.spectrum.iter_mut().zip(row.complex()) {
                    *x = Complex::new(*re, *im);
                }
                there.process_with_scratch(&mut self.spectrum, &mut self.scratch);
            }
        }
        let n = self.of.length;
        let threshold = self.of.tolerance.map(|tolerance| self.threshold(tolerance));
        let (first, last) = self.of.band;
        for (bin, x) in self.spectrum.iter_mut().enumerate() {
            // The second half of a complex transform are the negative frequencies.
            let frequency = bin.min(n - bin) as f64 / n as f64;
            let noise = threshold.is_some_and(|threshold| x.norm() <= threshold);
            if noise || frequency < first || frequency > last {
                *x = Complex::default();
            }
        }
        let scale = 1.0 / n as f64;
        match &self.transform {
            Transform::Real(_, back) => {
                back.process_with_scratch(&mut self.spectrum, &mut self.values, &mut self.scratch)
                    .map_err(broken)?;
                for (y, x) in results.reals(0).iter_mut().zip(&self.values) {
                    *y = x * scale;
                }
            }
            Transform::Complex(_, back) => {
                back.process_with_scratch(&mut self.spectrum, &mut self.scratch);
                let pairs = results.reals(0).chunks_exact_mut(2);
                for (y, x) in pairs.zip(&self.spectrum) {
                    (y[0], y[1]) = (x.re * scale, x.im * scale);
                }
            }
        }
        if let Some(threshold) = threshold {
            results.reals(1)[0] = threshold;
        }
        Ok(())
    }
}
