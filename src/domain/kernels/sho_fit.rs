//! `sho-fit`: the simple harmonic oscillator that fits the complex response of each row over frequency best.
//!
//! `H(f) = A e^{iφ} f₀² / (f² − i f f₀/Q − f₀²)` (Jesse et al., Nanotechnology 18, 435503 (2007); the model of `BGlib`'s
//! `SHOFit`). Fitted to real and imaginary parts by Levenberg-Marquardt (the algorithm of MINPACK) in `A cos φ`, `A sin φ`, `f₀`
//! and `1/Q`, in which the model is smooth everywhere.

use std::sync::Arc;

use levenberg_marquardt::{LeastSquaresProblem, LevenbergMarquardt};
use nalgebra::storage::Owned;
use nalgebra::{Dyn, Matrix, OMatrix, U4, Vector, Vector4};
use xxhash_rust::xxh3::xxh3_64;
use zerocopy::IntoBytes as _;

use crate::domain::calculator::{Failure, Home};
use crate::domain::kernel::{
    Axis, Given, Kernel, KernelFactory, KernelKind, ResultSpec, Row, RowResults,
};
use crate::domain::parameters::{ParameterError, ParameterSpec, ParameterType, Parameters};

/// The entry in the table of kernels.
pub static KIND: KernelKind = KernelKind {
    name: "sho-fit",
    process: "SHO_Fit",
    summary: "fits a simple harmonic oscillator to the complex response over frequency",
    supports: "Amplitude, Resonance_Frequency, Quality_Factor, Phase, R2; complex rows of one or several spectra",
    page: include_str!("sho_fit.md"),
    home: Home::Rust,
    parameters: &[
        ParameterSpec {
            name: "frequencies",
            kind: ParameterType::Text,
            unit: "",
            default: None,
            per_pair: false,
            per_species: false,
            help: "frequency of each element of a spectrum: FILE.h5:DATASET, DATASET of the input, or FIRST..LAST, evenly spaced \
                   [default: the spectroscopic dimension of the dataset that is called so]",
        },
        ParameterSpec {
            name: "max-iterations",
            kind: ParameterType::PositiveInteger,
            unit: "",
            default: Some("100"),
            per_pair: false,
            per_species: false,
            help: "evaluations of the model are bounded by five times as many",
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
    if !given.rows.is_complex() {
        return wrong(
            "takes complex rows, these are real: the fit wants amplitude and phase".into(),
        );
    }
    let elements = given.rows.elements();
    // The array that was named may change, and the name stay.
    let named = parameters.text("frequencies").is_some();
    let (frequencies, unit) = match parameters.text("frequencies") {
        Some(typed) => (typed_frequencies(typed, given)?, "Hz".to_owned()),
        None => of_dataset(&given.rows.axes).map_err(ParameterError)?,
    };
    let bins = frequencies.len();
    let ascends = frequencies.windows(2).all(|w| w[0] < w[1]);
    if bins < 5 || !ascends || frequencies[0] <= 0.0 || !frequencies[bins - 1].is_finite() {
        return wrong(format!(
            "frequencies have to be at least 5 ascending numbers above zero; these are {bins}, from {} to {}",
            frequencies.first().copied().unwrap_or(f64::NAN),
            frequencies.last().copied().unwrap_or(f64::NAN)
        ));
    }
    if !elements.is_multiple_of(bins) {
        return wrong(format!(
            "there are {bins} frequencies, but rows have {elements} elements, which is no multiple of that"
        ));
    }
    let hash = xxh3_64(frequencies.as_bytes());
    let identity = named.then(|| ("frequencies-xxh3", format!("{hash:016x}")));
    Ok(Arc::new(Fit {
        identity: identity.into_iter().collect(),
        frequencies: frequencies.into(),
        spectra: elements / bins,
        unit: given.rows.unit().to_owned(),
        frequency_unit: unit,
        patience: parameters.integer("max-iterations").unwrap_or(100) as usize,
    }))
}

/// `FIRST..LAST`, or an array.
fn typed_frequencies(typed: &str, given: &Given<'_>) -> Result<Vec<f64>, ParameterError> {
    if let Some((first, last)) = typed.split_once("..")
        && let (Ok(first), Ok(last)) = (first.trim().parse::<f64>(), last.trim().parse::<f64>())
    {
        let bins = given.rows.shape.last().copied().unwrap_or(1);
        let step = (last - first) / (bins.max(2) - 1) as f64;
        return Ok((0..bins).map(|i| first + step * i as f64).collect());
    }
    let found = given.arrays.load(typed);
    let found = found.map_err(|what| ParameterError(format!("parameter frequencies: {what}")))?;
    if found.complex {
        return Err(ParameterError(format!(
            "parameter frequencies: {typed} is complex"
        )));
    }
    Ok(found.values)
}

/// The frequencies of one spectrum of the dataset, and their unit: a row may have several spectra, one after the other.
fn of_dataset(axes: &[Axis]) -> Result<(Vec<f64>, String), String> {
    let is_frequency = |axis: &&Axis| axis.name.to_lowercase().contains("freq");
    let named = axes.iter().find(is_frequency);
    let Some(axis) = named.or(axes.first().filter(|_| axes.len() == 1)) else {
        return Err(
            "the dataset does not say the frequencies (no spectroscopic dimension called so); give --param \
             frequencies=DATASET or frequencies=FIRST..LAST"
                .into(),
        );
    };
    let all = &axis.values;
    let bins = all
        .windows(2)
        .position(|w| w[1] <= w[0])
        .map_or(all.len(), |last| last + 1);
    let repeats = all.chunks(bins).all(|spectrum| *spectrum == all[..bins]);
    if !repeats {
        return Err(format!(
            "dimension {:?} of the dataset does not repeat itself: its first {bins} values are not those of every spectrum; give \
             --param frequencies=DATASET",
            axis.name
        ));
    }
    Ok((all[..bins].to_vec(), axis.unit.clone()))
}

/// Both the factory and the kernel.
#[derive(Clone, Debug)]
struct Fit {
    identity: Vec<(&'static str, String)>,
    frequencies: Arc<[f64]>,
    spectra: usize,
    unit: String,
    frequency_unit: String,
    patience: usize,
}

impl KernelFactory for Fit {
    fn identity(&self) -> Vec<(&'static str, String)> {
        self.identity.clone()
    }

    fn build(&self) -> Result<Box<dyn Kernel>, String> {
        Ok(Box::new(self.clone()))
    }

    fn results(&self) -> Vec<ResultSpec> {
        let shape = if self.spectra == 1 {
            &[][..]
        } else {
            &[self.spectra]
        };
        let frequency_unit = match self.frequency_unit.as_str() {
            "" => "a.u.",
            unit => unit,
        };
        [
            ("Amplitude", "Amplitude", self.unit.as_str()),
            ("Resonance_Frequency", "Resonance frequency", frequency_unit),
            ("Quality_Factor", "Quality factor", "a.u."),
            ("Phase", "Phase", "rad"),
            ("R2", "Coefficient of determination", "a.u."),
        ]
        .map(|(name, quantity, unit)| ResultSpec::real(name, shape, quantity, unit))
        .into()
    }
}

/// An oscillator.
#[derive(Clone, Copy, Debug)]
struct Oscillator {
    amplitude: f64,
    frequency: f64,
    quality: f64,
    phase: f64,
    r2: f64,
}

impl Kernel for Fit {
    fn evaluate(&mut self, row: &Row<'_>, results: &mut RowResults<'_>) -> Result<(), Failure> {
        row.require_finite()?;
        let spectra = row.complex().chunks_exact(self.frequencies.len());
        for (at, spectrum) in spectra.enumerate() {
            let found = self.fit(spectrum).map_err(|why| match self.spectra {
                1 => Failure::NotConverged(why),
                _ => Failure::NotConverged(format!("spectrum {at}: {why}")),
            })?;
            let all = [
                found.amplitude,
                found.frequency,
                found.quality,
                found.phase,
                found.r2,
            ];
            for (k, value) in all.into_iter().enumerate() {
                results.reals(k)[at] = value;
            }
        }
        Ok(())
    }
}

impl Fit {
    fn fit(&self, response: &[[f64; 2]]) -> Result<Oscillator, String> {
        let power = |h: &[f64; 2]| h[0] * h[0] + h[1] * h[1];
        let peak = (0..response.len()).max_by(|a, b| {
            let (a, b) = (power(&response[*a]), power(&response[*b]));
            a.total_cmp(&b)
        });
        let peak = peak.unwrap_or(0);
        let top = power(&response[peak]).sqrt();
        if top == 0.0 {
            return Err("the response is zero everywhere".into());
        }
        // In units of the peak all four parameters are of the order of one.
        let unit = self.frequencies[peak];
        let spectrum = Spectrum {
            frequencies: &self.frequencies,
            unit,
            response,
            top,
            at: self.guess(response, peak, top),
        };
        let (spectrum, report) = LevenbergMarquardt::new()
            .with_patience(self.patience)
            .minimize(spectrum);
        let [re, im, frequency, damping] = spectrum.at.into();
        if !report.termination.was_successful() {
            return Err(format!(
                "the fit did not converge in {} evaluations",
                report.number_of_evaluations
            ));
        }
        // The model is the same with both signs turned; Q and the frequency are positive.
        let sign = damping.signum();
        let found = Oscillator {
            amplitude: re.hypot(im) * top,
            frequency: frequency.abs() * unit,
            quality: 1.0 / damping.abs(),
            phase: im.atan2(re),
            r2: 1.0 - 2.0 * report.objective_function / variance(response, top),
        };
        if frequency * sign <= 0.0 || !found.quality.is_finite() {
            return Err(
                "the fit went to an oscillator that gains energy: there is no resonance in the row"
                    .into(),
            );
        }
        Ok(found)
    }

    /// Frequency at the peak, 1/Q from the width at half of its power, amplitude and phase of the peak.
    fn guess(&self, response: &[[f64; 2]], peak: usize, top: f64) -> Vector4<f64> {
        let half = 0.5 * top * top;
        let above = |h: &[f64; 2]| h[0] * h[0] + h[1] * h[1] > half;
        let below = response[..peak]
            .iter()
            .rev()
            .take_while(|h| above(h))
            .count();
        let beyond = response[peak + 1..].iter().take_while(|h| above(h)).count();
        let first = (peak - below).saturating_sub(1);
        let last = (peak + beyond + 1).min(response.len() - 1);
        // Half a bin at each end is outside, on average.
        let width = (self.frequencies[last] - self.frequencies[first])
            * (below + beyond + 1) as f64
            / (last - first) as f64;
        let damping = (width / self.frequencies[peak]).clamp(1e-6, 1.0);
        // At the peak the model is i A Q e^{iφ}.
        let [re, im] = response[peak].map(|x| x / top);
        Vector4::new(im * damping, -re * damping, 1.0, damping)
    }
}

/// Sum of squares about the mean, in units of the peak.
fn variance(response: &[[f64; 2]], top: f64) -> f64 {
    let n = response.len() as f64;
    let mean = |part: usize| response.iter().map(|h| h[part]).sum::<f64>() / n;
    let mean = [mean(0), mean(1)];
    let square = |h: &[f64; 2]| ((h[0] - mean[0]) / top).powi(2) + ((h[1] - mean[1]) / top).powi(2);
    response.iter().map(square).sum()
}

/// A spectrum and an oscillator: `A cos φ`, `A sin φ`, `f₀`, `1/Q`.
struct Spectrum<'a> {
    frequencies: &'a [f64],
    unit: f64,
    response: &'a [[f64; 2]],
    top: f64,
    at: Vector4<f64>,
}

/// `(a + ib)(c + id)`.
fn product(x: [f64; 2], y: [f64; 2]) -> [f64; 2] {
    [x[0] * y[0] - x[1] * y[1], x[0] * y[1] + x[1] * y[0]]
}

impl Spectrum<'_> {
    /// For each frequency: the model for `A = 1, φ = 0` and its derivatives by `f₀` and `1/Q`.
    fn model(&self) -> impl Iterator<Item = [[f64; 2]; 3]> + '_ {
        let (f0, d) = (self.at[2], self.at[3]);
        self.frequencies.iter().map(move |f| {
            let f = f / self.unit;
            // g = f₀²/N, N = f² − f₀² − i f f₀ d
            let (re, im) = (f * f - f0 * f0, -f * f0 * d);
            let size = re * re + im * im;
            let inverse = [re / size, -im / size];
            let g = inverse.map(|x| x * f0 * f0);
            // ∂g/∂f₀ = (2 f₀ + g (2 f₀ + i f d))/N, ∂g/∂d = g i f f₀/N
            let by_f0 = product(g, [2.0 * f0, f * d]);
            let by_f0 = product([by_f0[0] + 2.0 * f0, by_f0[1]], inverse);
            let by_d = product(product(g, [0.0, f * f0]), inverse);
            [g, by_f0, by_d]
        })
    }
}

impl LeastSquaresProblem<f64, Dyn, U4> for Spectrum<'_> {
    type ResidualStorage = Owned<f64, Dyn>;
    type JacobianStorage = Owned<f64, Dyn, U4>;
    type ParameterStorage = Owned<f64, U4>;

    fn set_params(&mut self, at: &Vector4<f64>) {
        self.at = *at;
    }

    fn params(&self) -> Vector4<f64> {
        self.at
    }

    fn residuals(&self) -> Option<Vector<f64, Dyn, Self::ResidualStorage>> {
        let amplitude = [self.at[0], self.at[1]];
        let numbers = self.model().zip(self.response).flat_map(|([g, ..], h)| {
            let model = product(amplitude, g);
            [model[0] - h[0] / self.top, model[1] - h[1] / self.top]
        });
        let n = 2 * self.response.len();
        Some(Matrix::from_iterator_generic(Dyn(n), nalgebra::U1, numbers))
    }

    fn jacobian(&self) -> Option<Matrix<f64, Dyn, U4, Self::JacobianStorage>> {
        let amplitude = [self.at[0], self.at[1]];
        let mut jacobian = OMatrix::<f64, Dyn, U4>::zeros(2 * self.response.len());
        for (i, [g, by_f0, by_d]) in self.model().enumerate() {
            let columns = [
                g,
                [-g[1], g[0]],
                product(amplitude, by_f0),
                product(amplitude, by_d),
            ];
            for (k, [re, im]) in columns.into_iter().enumerate() {
                jacobian[(2 * i, k)] = re;
                jacobian[(2 * i + 1, k)] = im;
            }
        }
        Some(jacobian)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jacobian_is_that_of_finite_differences() {
        let frequencies: Vec<f64> = (0..20).map(|i| 290.0 + f64::from(i)).collect();
        let response = vec![[0.3, -0.2]; 20];
        let at = |at: Vector4<f64>| Spectrum {
            frequencies: &frequencies,
            unit: 300.0,
            response: &response,
            top: 1.0,
            at,
        };
        let here = Vector4::new(0.02, -0.01, 1.003, 0.013);
        let jacobian = at(here).jacobian().unwrap();
        for k in 0..4 {
            let step = 1e-7;
            let (mut more, mut less) = (here, here);
            more[k] += step;
            less[k] -= step;
            let slope =
                (at(more).residuals().unwrap() - at(less).residuals().unwrap()) / (2.0 * step);
            for i in 0..40 {
                let (a, b) = (jacobian[(i, k)], slope[i]);
                assert!(
                    (a - b).abs() < 1e-5 * (1.0 + a.abs().max(b.abs())),
                    "{i} {k}: {a} {b}"
                );
            }
        }
    }
}
