//! The arithmetic of measurements: medians, rates, efficiencies. No clock, no file.

/// Smallest, middle and largest of some numbers; NaN of none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The smallest.
    pub low: f64,
    /// The middle one; the mean of the two in the middle where their number is even.
    pub median: f64,
    /// The largest.
    pub high: f64,
}

impl Spread {
    /// Of these numbers.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Self {
            low: sorted.first().copied().unwrap_or(f64::NAN),
            median: quantile(&sorted, 0.5),
            high: sorted.last().copied().unwrap_or(f64::NAN),
        }
    }

    /// Largest less smallest, in units of the median.
    pub fn relative(&self) -> f64 {
        ratio(self.high - self.low, self.median)
    }
}

/// The value below which a share `q` of the ascending `sorted` lies, linear between neighbours; NaN of none.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let at = q.clamp(0.0, 1.0) * last as f64;
    let below = at.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (at - below as f64) * (sorted[above] - sorted[below])
}

/// `a / b`; NaN where there is nothing to divide by.
pub fn ratio(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { f64::NAN }
}

/// 10⁶ bytes per second.
pub fn megabytes_per_second(bytes: f64, seconds: f64) -> f64 {
    ratio(bytes * 1e-6, seconds)
}

/// How work and machine grow together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scaling {
    /// The same work on more ranks: the time should fall as 1 / ranks.
    Strong,
    /// Work that grows with the ranks: the time should stay.
    Weak,
}

impl Scaling {
    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Strong => "strong",
            Self::Weak => "weak",
        }
    }

    /// Time on `base` cores over time on `cores`, measured against what it should be: 1 is perfect.
    pub fn efficiency(self, (base, base_seconds): (f64, f64), (cores, seconds): (f64, f64)) -> f64 {
        match self {
            Self::Strong => ratio(base_seconds * base, seconds * cores),
            Self::Weak => ratio(base_seconds, seconds),
        }
    }
}

/// Geometric mean; NaN of none.
pub fn geometric_mean(values: &[f64]) -> f64 {
    let sum: f64 = values.iter().map(|x| x.ln()).sum();
    (sum / values.len() as f64).exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn medians_and_quantiles_of_known_numbers() {
        let spread = Spread::of([3.0, 1.0, 2.0]);
        assert_eq!((spread.low, spread.median, spread.high), (1.0, 2.0, 3.0));
        assert_eq!(Spread::of([1.0, 2.0]).median, 1.5);
        assert_eq!(Spread::of([1.0, 2.0]).relative(), 1.0 / 1.5);
        assert!(Spread::of([]).median.is_nan());
        assert_eq!(quantile(&[0.0, 10.0], 0.9), 9.0);
    }

    #[test]
    fn perfect_scaling_has_efficiency_one() {
        // Half the time on twice the cores; the same time for twice the work.
        assert_eq!(Scaling::Strong.efficiency((1.0, 8.0), (2.0, 4.0)), 1.0);
        assert_eq!(Scaling::Strong.efficiency((1.0, 8.0), (4.0, 4.0)), 0.5);
        assert_eq!(Scaling::Weak.efficiency((1.0, 8.0), (64.0, 10.0)), 0.8);
        assert!(Scaling::Weak.efficiency((1.0, 8.0), (2.0, 0.0)).is_nan());
        assert_eq!(megabytes_per_second(3e6, 2.0), 1.5);
        assert!((geometric_mean(&[0.5, 2.0]) - 1.0).abs() < 1e-15);
    }

    proptest! {
        #[test]
        fn a_median_lies_between_the_extremes(values in prop::collection::vec(-1e6f64..1e6, 1..50)) {
            let spread = Spread::of(values.iter().copied());
            prop_assert!(spread.low <= spread.median && spread.median <= spread.high);
            let below = values.iter().filter(|x| **x < spread.median).count();
            let above = values.iter().filter(|x| **x > spread.median).count();
            prop_assert!(2 * below <= values.len() && 2 * above <= values.len());
        }
    }
}
