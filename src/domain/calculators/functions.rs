//! exp and erfc without branches and without the C library: inlined into a loop they become vector instructions, and
//! their bytes do not depend on the processor (the C library has other versions for other ones).

/// Adding and subtracting this rounds a small number to the nearest whole one; its last bits then hold that number.
const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52

/// ln 2 in two parts, the first with so few digits that its multiples by whole numbers are exact.
const LN_2_HIGH: f64 = 0.693_147_180_369_123_8;
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// Largest and smallest exponents: what is beyond counts as these, and the result is still a normal number.
const MOST: f64 = 709.0;
const LEAST: f64 = -708.0;

/// `e^x` to 2e-16 relative (and the rounding of x itself), for any x; below -708 as for -708 (3e-308).
///
/// `x = n ln 2 + r`, `e^x = 2^n e^r`, `|r| <= ln 2 / 2`; the Taylor series of `e^r` to r¹³ has an error of 4e-18.
#[inline(always)]
#[allow(clippy::inline_always)]
pub fn exp(x: f64) -> f64 {
    let x = if x > MOST { MOST } else { x };
    let x = if x < LEAST { LEAST } else { x };
    let shifted = x * std::f64::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    let r2 = r * r;
    // Even and odd powers apart: two short chains are faster than a long one.
    let even = 1.0 / 479_001_600.0;
    let even = even * r2 + 1.0 / 3_628_800.0;
    let even = even * r2 + 1.0 / 40_320.0;
    let even = even * r2 + 1.0 / 720.0;
    let even = even * r2 + 1.0 / 24.0;
    let even = even * r2 + 1.0 / 2.0;
    let odd = 1.0 / 6_227_020_800.0;
    let odd = odd * r2 + 1.0 / 39_916_800.0;
    let odd = odd * r2 + 1.0 / 362_880.0;
    let odd = odd * r2 + 1.0 / 5_040.0;
    let odd = odd * r2 + 1.0 / 120.0;
    let odd = odd * r2 + 1.0 / 6.0;
    let power = 1.0 + (r + r2 * (even + r * odd));
    let scale = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    power * scale
}

/// Where `u` below is zero.
const MIDDLE: f64 = 3.5;

/// Coefficients of u⁰, u², ... and of u¹, u³, ...; made by `tests/data/make/erfc.py`.
const EVEN: [f64; 11] = [
    1.242_349_244_871_154_4,
    -0.010_555_596_332_230_981,
    -0.115_089_598_159_675_94,
    -0.048_823_325_836_193_22,
    -0.004_215_019_838_810_882,
    0.000_564_384_081_687_234_5,
    -4.278_121_618_763_583e-5,
    2.326_376_724_264_286_6e-6,
    -4.197_280_633_620_64e-8,
    -9.428_959_238_585_939e-9,
    1.003_054_573_915_585_2e-9,
];
const ODD: [f64; 11] = [
    -0.140_009_180_137_620_04,
    0.097_519_095_153_407_62,
    0.087_983_153_818_900_46,
    0.019_099_331_035_263_255,
    -0.000_302_268_616_531_621_6,
    -0.000_121_509_008_596_634_06,
    2.425_121_770_328_888e-5,
    -3.797_012_626_847_068_6e-6,
    5.810_615_852_658_273e-7,
    -8.117_699_237_840_823e-8,
    7.213_264_439_639_031_5e-9,
];

/// `erfc(x)` for x >= 0, given `e^(-x²)`: to 2e-15 relative to it.
///
/// `(1 + 2x) e^(x²) erfc(x)` as a polynomial in `u = (x - 3.5) / (x + 3.5)`, the choice of variables of M. M. Shepherd and
/// J. G. Laframboise, Math. Comp. 36, 249 (1981).
#[inline(always)]
#[allow(clippy::inline_always)]
pub fn erfc(x: f64, gauss: f64) -> f64 {
    let (a, b) = (x + MIDDLE, 1.0 + 2.0 * x);
    // One division for two.
    let inverse = 1.0 / (a * b);
    let u = (x - MIDDLE) * (b * inverse);
    let u2 = u * u;
    let (mut even, mut odd) = (EVEN[10], ODD[10]);
    for n in (0..10).rev() {
        even = even * u2 + EVEN[n];
        odd = odd * u2 + ODD[n];
    }
    (even + u * odd) * gauss * (a * inverse)
}

/// `value`, or `instead` where `when`: all bits of one or the other, since a choice would become a branch.
#[inline(always)]
#[allow(clippy::inline_always)]
pub fn choose(when: bool, instead: f64, value: f64) -> f64 {
    let mask = u64::from(when).wrapping_neg();
    f64::from_bits(instead.to_bits() & mask | value.to_bits() & !mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance in units in the last place.
    fn ulps(a: f64, b: f64) -> f64 {
        (a - b).abs() / (b.abs() * f64::EPSILON)
    }

    #[test]
    fn exp_is_that_of_the_c_library_to_the_last_place() {
        let mut worst = 0.0_f64;
        for n in -70_000..70_000 {
            let x = f64::from(n) * 0.01003;
            worst = worst.max(ulps(exp(x), libm::exp(x)));
        }
        assert!(worst < 1.5, "{worst}");
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f64::NEG_INFINITY) < 1e-307 && exp(-1e300) < 1e-307);
        assert!(exp(f64::INFINITY).is_finite() && exp(f64::INFINITY) > 1e307);
    }

    #[test]
    fn erfc_is_that_of_the_c_library_to_a_few_places() {
        let mut worst = 0.0_f64;
        for n in 0..260_000 {
            let x = f64::from(n) * 1e-4;
            // The Gaussian itself carries the rounding of x²: compare what is made of it.
            let gauss = libm::exp(-x * x);
            let exact = libm::erfc(x);
            let rounding = 1.0 + x * x;
            worst = worst.max(ulps(erfc(x, gauss), exact) / rounding);
        }
        assert!(worst < 8.0, "{worst}");
        assert!((erfc(0.0, 1.0) - 1.0).abs() < 2e-15);
    }

    #[test]
    fn a_choice_takes_all_bits_of_one() {
        assert_eq!(choose(true, 1.5, f64::NAN), 1.5);
        assert_eq!(choose(false, f64::NAN, -0.25), -0.25);
    }
}
