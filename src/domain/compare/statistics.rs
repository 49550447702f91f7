//! Errors of one quantity, value by value, in memory that does not grow: compensated sums, the largest, quantiles.

use super::magnitudes::Magnitudes;

/// A sum that keeps what rounding would lose (A. Neumaier, Z. angew. Math. Mech. 54, 39, 1974).
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    /// Adds `x`.
    #[inline]
    pub fn add(&mut self, x: f64) {
        let sum = self.sum + x;
        self.lost += if self.sum.abs() >= x.abs() {
            (self.sum - sum) + x
        } else {
            (x - sum) + self.sum
        };
        self.sum = sum;
    }

    /// The sum.
    pub fn value(&self) -> f64 {
        self.sum + self.lost
    }
}

/// Mean and spread of numbers that may lie far from zero (B. P. Welford, Technometrics 4, 419, 1962).
#[derive(Clone, Copy, Debug, Default)]
pub struct Spread {
    n: u64,
    mean: f64,
    squares: Sum,
}

impl Spread {
    /// Takes `x` into account.
    #[inline]
    pub fn add(&mut self, x: f64) {
        self.n += 1;
        let before = x - self.mean;
        self.mean += before / self.n as f64;
        self.squares.add(before * (x - self.mean));
    }

    /// The sum of squared distances from the mean.
    pub fn squares(&self) -> f64 {
        self.squares.value()
    }
}

/// Where a value belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Index of the frame.
    pub frame: u64,
    /// Index of the atom in it, where the value is of one.
    pub atom: Option<u32>,
}

/// Errors of one quantity: what was computed minus its reference.
#[derive(Clone, Debug, Default)]
pub struct Errors {
    n: u64,
    signed: Sum,
    absolute: Sum,
    squared: Sum,
    largest: f64,
    worst: Place,
    reference: Spread,
    reference_absolute: Sum,
    reference_squared: Sum,
    magnitudes: Magnitudes,
}

/// What [`Errors`] amount to. A figure that is not defined is `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Number of values.
    pub n: u64,
    /// Mean signed error.
    pub mean: f64,
    /// Mean absolute error.
    pub mae: f64,
    /// Root of the mean squared error.
    pub rmse: f64,
    /// Largest absolute error; the first one of several.
    pub max: f64,
    /// Where it is.
    pub worst: Place,
    /// Coefficient of determination, 1 - Σ (a - b)² / Σ (b - mean of b)²; none where the reference is one number.
    pub r2: Option<f64>,
    /// MAE over the mean absolute reference.
    pub relative_mae: Option<f64>,
    /// RMSE over the root mean square of the reference.
    pub relative_rmse: Option<f64>,
    /// Quantiles of the absolute error, see [`QUANTILES`]; to 0.4 %.
    pub quantiles: [f64; 4],
}

/// The quantiles of [`Figures`].
pub const QUANTILES: [f64; 4] = [0.5, 0.9, 0.95, 0.99];

impl Errors {
    /// Takes one pair of finite values into account.
    #[inline]
    pub fn add(&mut self, value: f64, reference: f64, place: Place) {
        self.add_error(value - reference, reference, place);
    }

    /// As [`Self::add`], where the error is known better than the difference of rounded values.
    #[inline]
    pub fn add_error(&mut self, error: f64, reference: f64, place: Place) {
        let size = error.abs();
        if self.n == 0 || size > self.largest {
            (self.largest, self.worst) = (size, place);
        }
        self.n += 1;
        self.signed.add(error);
        self.absolute.add(size);
        self.squared.add(error * error);
        self.reference.add(reference);
        self.reference_absolute.add(reference.abs());
        self.reference_squared.add(reference * reference);
        self.magnitudes.add(size);
    }

    /// Number of values.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Mean signed error; 0 without values.
    pub fn mean(&self) -> f64 {
        self.signed.value() / self.n.max(1) as f64
    }

    /// How the sizes of the errors are distributed.
    pub fn magnitudes(&self) -> &Magnitudes {
        &self.magnitudes
    }

    /// Mean absolute reference.
    pub fn reference_mean_absolute(&self) -> f64 {
        self.reference_absolute.value() / self.n.max(1) as f64
    }

    /// The figures; `None` without values.
    pub fn figures(&self) -> Option<Figures> {
        if self.n == 0 {
            return None;
        }
        let n = self.n as f64;
        let over = |x: f64, y: f64| (y > 0.0).then(|| x / y);
        let (absolute, squared) = (self.absolute.value(), self.squared.value());
        Some(Figures {
            n: self.n,
            mean: self.mean(),
            mae: absolute / n,
            rmse: (squared / n).sqrt(),
            max: self.largest,
            worst: self.worst,
            r2: over(squared, self.reference.squares()).map(|x| 1.0 - x),
            relative_mae: over(absolute, self.reference_absolute.value()),
            relative_rmse: over(squared, self.reference_squared.value()).map(f64::sqrt),
            quantiles: QUANTILES.map(|q| self.magnitudes.quantile(q).min(self.largest)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rounding_loses_is_kept() {
        let mut sum = Sum::default();
        for x in [1.0, 1e100, 1.0, -1e100] {
            sum.add(x);
        }
        assert_eq!(sum.value(), 2.0);
    }

    #[test]
    fn figures_of_a_few_numbers() {
        assert_eq!(Errors::default().figures(), None);
        let mut errors = Errors::default();
        for (frame, (a, b)) in [(1.0, 2.0), (5.0, 2.0), (3.0, 6.0)].into_iter().enumerate() {
            let frame = frame as u64;
            errors.add(a, b, Place { frame, atom: None });
        }
        let found = errors.figures().unwrap();
        assert_eq!((found.n, found.max, found.worst.frame), (3, 3.0, 1));
        assert!((found.mean + 1.0 / 3.0).abs() < 1e-15);
        assert!((found.mae - 7.0 / 3.0).abs() < 1e-15);
        assert!((found.rmse - (19.0_f64 / 3.0).sqrt()).abs() < 1e-15);
        // Σ (b - 10/3)² = 32/3.
        assert!((found.r2.unwrap() - (1.0 - 19.0 * 3.0 / 32.0)).abs() < 1e-14);
        assert!((found.relative_mae.unwrap() - 0.7).abs() < 1e-15);
        let constant = |errors: &mut Errors| errors.add(1.0, 0.0, Place::default());
        let mut flat = Errors::default();
        constant(&mut flat);
        constant(&mut flat);
        let flat = flat.figures().unwrap();
        assert_eq!((flat.r2, flat.relative_mae), (None, None));
    }
}
