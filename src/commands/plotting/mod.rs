//! What all plots share: colours, axes, text, and SVG as PNG.

use std::sync::Arc;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::prelude::*;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use crate::domain::error::{Error, Result};

/// Colours that people with any colour vision tell apart (Okabe and Ito, 2008).
pub const BLUE: RGBColor = RGBColor(0, 114, 178);
/// See [`BLUE`].
pub const GREEN: RGBColor = RGBColor(0, 158, 115);
/// See [`BLUE`].
pub const ORANGE: RGBColor = RGBColor(230, 159, 0);
/// See [`BLUE`].
pub const RED: RGBColor = RGBColor(213, 94, 0);
/// Text and axes.
pub const INK: RGBColor = RGBColor(60, 60, 60);
/// Grid lines.
pub const PALE: RGBColor = RGBColor(225, 225, 225);

/// What is drawn on.
pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// The outcome of drawing.
pub type Drawn<T> = std::result::Result<T, DrawingAreaErrorKind<std::io::Error>>;

/// A PNG must look the same where no font is installed: `DejaVu` Sans, the characters of this program's plots.
static FONT: &[u8] = include_bytes!("DejaVuSans.ttf");

/// An axis with ticks at places of our choice.
#[derive(Clone)]
pub struct Axis {
    /// From one end to the other.
    pub range: std::ops::Range<f64>,
    /// Where it has ticks.
    pub ticks: Vec<f64>,
}

impl Axis {
    /// A linear axis with about `n` ticks at round numbers.
    pub fn linear(low: f64, high: f64, n: usize) -> Self {
        let step = round_step((high - low) / n.max(1) as f64);
        // An end that is a round number but for its last bits has a tick.
        let slack = 1e-6;
        let first = (low / step - slack).ceil() as i64;
        let last = (high / step + slack).floor() as i64;
        let ticks = (first..=last).map(|k| k as f64 * step);
        Self {
            range: low..high,
            ticks: ticks.take(100).collect(),
        }
    }

    /// A label with as many decimals as the ticks need.
    pub fn label(&self, x: f64) -> String {
        let step = match self.ticks[..] {
            [a, b, ..] => b - a,
            _ => (self.range.end - self.range.start).abs() / 4.0,
        };
        let largest = self.range.start.abs().max(self.range.end.abs());
        if !(1e-3..1e6).contains(&largest) {
            return format!("{x:.1e}");
        }
        let decimals = (-(step * 1.0001).log10().floor()).clamp(0.0, 8.0) as usize;
        format!("{x:.decimals$}").replace('-', "\u{2212}")
    }
}

/// 1, 2 or 5 times a power of ten, not below `x`.
fn round_step(x: f64) -> f64 {
    let power = 10_f64.powf(x.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|s| s * power);
    steps.into_iter().find(|s| *s >= x * 0.9999).unwrap_or(x)
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (value - self.range.start) / (self.range.end - self.range.start);
        from + (share * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.range.clone()
    }
}

/// Text of a size and colour.
pub fn style(size: u32, colour: RGBColor) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&colour)
}

/// `0` to `1` as a colour whose lightness grows evenly (viridis, S. van der Walt and N. Smith, 2015, CC0).
pub fn shade(share: f64) -> RGBColor {
    const STOPS: [[u8; 3]; 9] = [
        [68, 1, 84],
        [71, 44, 122],
        [59, 81, 139],
        [44, 113, 142],
        [33, 144, 141],
        [39, 173, 129],
        [92, 200, 99],
        [170, 220, 50],
        [253, 231, 37],
    ];
    let at = share.clamp(0.0, 1.0) * (STOPS.len() - 1) as f64;
    let k = (at as usize).min(STOPS.len() - 2);
    let part = at - k as f64;
    let mix = |c: usize| {
        let (a, b) = (f64::from(STOPS[k][c]), f64::from(STOPS[k + 1][c]));
        (a + part * (b - a)).round() as u8
    };
    RGBColor(mix(0), mix(1), mix(2))
}

/// The picture in pixels, as many as the SVG has units times `scale`.
pub fn png(svg: &str, scale: f32) -> Result<Vec<u8>> {
    let failed = |why: String| Error::failure(format!("cannot make a PNG: {why}"));
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(FONT.to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    let options = Options {
        fontdb: Arc::new(fonts),
        ..Options::default()
    };
    let tree = Tree::from_str(svg, &options).map_err(|e| failed(e.to_string()))?;
    let size = tree.size().to_int_size();
    let pixels = |n: u32| (n as f32 * scale).round() as u32;
    let mut picture = Pixmap::new(pixels(size.width()), pixels(size.height()))
        .ok_or_else(|| failed("it is too large".into()))?;
    let transform = Transform::from_scale(scale, scale);
    resvg::render(&tree, transform, &mut picture.as_mut());
    picture.encode_png().map_err(|e| failed(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_at_round_numbers() {
        let shown = |low, high| {
            let axis = Axis::linear(low, high, 5);
            let labels = axis.ticks.iter().map(|x| axis.label(*x));
            labels.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shown(-0.21, 0.35), "−0.2 0.0 0.2");
        assert_eq!(
            shown(-113.07, -113.02),
            "−113.07 −113.06 −113.05 −113.04 −113.03 −113.02"
        );
        assert_eq!(shown(0.0, 4000.0), "0 1000 2000 3000 4000");
    }

    #[test]
    fn text_is_drawn_where_no_font_is_installed() {
        let picture = |text: &str| {
            let svg = format!(
                "<svg width=\"90\" height=\"30\" xmlns=\"http://www.w3.org/2000/svg\"><text x=\"5\" y=\"20\" \
                 font-family=\"sans-serif\" font-size=\"16\">{text}</text></svg>"
            );
            let png = png(&svg, 2.0).unwrap();
            let picture = Pixmap::decode_png(&png).unwrap();
            assert_eq!((picture.width(), picture.height()), (180, 60));
            picture.data().iter().filter(|byte| **byte > 0).count()
        };
        assert_eq!(picture(""), 0);
        for text in ["meV/Å", "R²", "−1"] {
            assert!(picture(text) > 100, "{text}");
        }
    }
}
