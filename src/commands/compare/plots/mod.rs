//! Plots of a comparison: for each quantity its parity, its errors against the reference, and how large they are.

mod cells;

use std::io::Write as _;
use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use cells::{draw_cells, draw_scale};

use super::Compared;
use crate::adapters::whole_file::WholeFile;
use crate::commands::plotting::{
    Area, Axis, BLUE, Drawn, GREEN, INK, ORANGE, PALE, RED, png, style,
};
use crate::commands::table::{plural, thousands};
use crate::domain::compare::density::Density;
use crate::domain::compare::statistics::{Errors, Figures};
use crate::domain::error::{Error, Result};
use crate::domain::units::EV_PER_CUBIC_ANGSTROM_IN_GPA;

/// Units of the drawing; it is shown at half of this, so that cells have sharp edges on any screen.
const SIZE: (u32, u32) = (3000, 1110);
/// Height of title, subtitle and legend.
const HEAD: i32 = 200;

/// What is drawn of a quantity.
struct Picture<'a> {
    file: &'a str,
    title: &'a str,
    symbol: &'a str,
    unit: &'a str,
    /// What the numbers of `parity` are multiplied with.
    scale: f64,
    error_unit: &'a str,
    error_scale: f64,
    parity: &'a Density,
    residual: &'a Density,
    errors: &'a Errors,
}

/// Writes the pictures of all that was compared, and the JSON beside them.
pub fn write(
    folder: &Path,
    overwrite: bool,
    compared: &Compared,
    json: &serde_json::Value,
) -> Result<()> {
    std::fs::create_dir_all(folder)
        .map_err(|e| Error::failure(format!("{}: cannot be made: {e}", folder.display())))?;
    let save = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        let mut file = WholeFile::create(&path, overwrite, &[])?;
        let written = file.file().write_all(bytes);
        written.map_err(|e| Error::failure(format!("{}: {e}", path.display())))?;
        file.publish()
    };
    let text = serde_json::to_string_pretty(json).unwrap_or_default() + "\n";
    save("comparison.json", text.as_bytes())?;
    for picture in pictures(compared) {
        let Some(svg) = picture.svg(compared)? else {
            continue;
        };
        save(&format!("{}.svg", picture.file), halved(&svg).as_bytes())?;
        save(&format!("{}.png", picture.file), &png(&svg, 1.0)?)?;
    }
    Ok(())
}

fn pictures(compared: &Compared) -> [Picture<'_>; 4] {
    let (found, shifted) = (&compared.found, &compared.shifted);
    let energy = Picture {
        file: "energy",
        title: "Energy per atom",
        symbol: "E",
        unit: "eV/atom",
        scale: 1.0,
        error_unit: "meV/atom",
        error_scale: 1e3,
        parity: &found.energies.parity,
        residual: &found.energies.residual,
        errors: &found.energies.per_atom,
    };
    [
        Picture {
            file: "energy_shifted",
            title: "Energy per atom, constants per element removed",
            parity: &shifted.parity,
            residual: &shifted.residual,
            errors: &shifted.fitted,
            ..energy
        },
        energy,
        Picture {
            file: "forces",
            title: "Force components",
            symbol: "F",
            unit: "eV/Å",
            scale: 1.0,
            error_unit: "meV/Å",
            error_scale: 1e3,
            parity: &found.forces.parity,
            residual: &found.forces.residual,
            errors: &found.forces.all.components,
        },
        Picture {
            file: "stress",
            title: "Stress components",
            symbol: "σ",
            unit: "GPa",
            scale: EV_PER_CUBIC_ANGSTROM_IN_GPA,
            error_unit: "GPa",
            error_scale: EV_PER_CUBIC_ANGSTROM_IN_GPA,
            parity: &found.stresses.parity,
            residual: &found.stresses.residual,
            errors: &found.stresses.components,
        },
    ]
}

/// The same drawing at half of its size.
fn halved(svg: &str) -> String {
    let (w, h) = SIZE;
    let full = format!("width=\"{w}\" height=\"{h}\"");
    svg.replacen(
        &full,
        &format!("width=\"{}\" height=\"{}\"", w / 2, h / 2),
        1,
    )
}

fn text(size: u32) -> TextStyle<'static> {
    style(2 * size, INK).pos(Pos::new(HPos::Left, VPos::Top))
}

/// A little beyond the data; something where all of it is one number.
fn padded((low, high): (f64, f64)) -> (f64, f64) {
    let margin = match 0.04 * (high - low) {
        m if m > 0.0 => m,
        _ => low.abs().max(1e-9) * 0.01,
    };
    (low - margin, high + margin)
}

fn number(x: f64) -> String {
    super::report::figure(x).replace('-', "\u{2212}")
}

impl Picture<'_> {
    /// None where nothing was compared.
    fn svg(&self, compared: &Compared) -> Result<Option<String>> {
        let (Some(figures), Some(ranges), Some(residuals)) = (
            self.errors.figures(),
            self.parity.ranges(),
            self.residual.ranges(),
        ) else {
            return Ok(None);
        };
        let mut svg = String::new();
        self.draw(&mut svg, compared, &figures, [ranges, residuals])
            .map_err(|e| Error::failure(format!("cannot draw {}: {e}", self.file)))?;
        Ok(Some(svg))
    }

    fn draw(
        &self,
        svg: &mut String,
        compared: &Compared,
        figures: &Figures,
        [ranges, residuals]: [[(f64, f64); 2]; 2],
    ) -> Drawn<()> {
        let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        root.draw_text(self.title, &text(21), (48, 28))?;
        for (k, side) in ["A", "B"].into_iter().enumerate() {
            let y = 94 + 42 * k as i32;
            root.draw_text(side, &text(14), (48, y))?;
            root.draw_text(&compared.names[k], &text(14), (90, y))?;
        }
        let counts = format!(
            "{}, {} values",
            plural(compared.found.frames, "frame"),
            thousands(figures.n)
        );
        let right = text(14).pos(Pos::new(HPos::Right, VPos::Top));
        root.draw_text(&counts, &right, (SIZE.0 as i32 - 48, 94))?;
        let (_, body) = root.split_vertically(HEAD);
        let (left, rest) = body.split_horizontally(1100);
        let (middle, right) = rest.split_horizontally(950);
        self.draw_parity(&left, ranges, figures)?;
        self.draw_residual(&middle, residuals)?;
        self.draw_sizes(&right, figures)?;
        root.present()
    }

    fn draw_parity(
        &self,
        area: &Area<'_>,
        ranges: [(f64, f64); 2],
        figures: &Figures,
    ) -> Drawn<()> {
        let [(a, b), (c, d)] = ranges;
        let (low, high) = padded((self.scale * a.min(c), self.scale * b.max(d)));
        let axis = Axis::linear(low, high, 5);
        let (plot, bar) = area.split_horizontally(930);
        let name = |side: &str| format!("{} of {side} ({})", self.symbol, self.unit);
        let mut chart = Panel {
            x: name("B"),
            y: name("A"),
            axes: [axis.clone(), axis],
        }
        .draw(&plot)?;
        draw_cells(&mut chart, self.parity, [self.scale; 2])?;
        let dashes = ShapeStyle::from(INK.mix(0.75)).stroke_width(2);
        let line = [(low, low), (high, high)];
        chart.draw_series(DashedLineSeries::new(line, 10, 8, dashes))?;
        let shown = |x: f64| format!("{} {}", number(x * self.error_scale), self.error_unit);
        let mut notes = vec![
            format!("MAE {}", shown(figures.mae)),
            format!("RMSE {}", shown(figures.rmse)),
        ];
        if let Some(r2) = figures.r2.filter(|r2| *r2 > -10.0) {
            notes.push(format!(
                "R² {}",
                format!("{r2:.5}").replace('-', "\u{2212}")
            ));
        }
        let corner = chart.plotting_area().map_coordinate(&(low, high));
        let (x, y) = plot.get_base_pixel();
        for (k, note) in notes.iter().enumerate() {
            let at = (corner.0 - x + 22, corner.1 - y + 18 + 36 * k as i32);
            plot.draw_text(note, &text(14), at)?;
        }
        draw_scale(&bar, self.parity)
    }

    fn draw_residual(&self, area: &Area<'_>, [x, y]: [(f64, f64); 2]) -> Drawn<()> {
        let x = padded((x.0 * self.scale, x.1 * self.scale));
        // With zero, so that one sees how far from it all errors are.
        let y = padded((
            y.0.min(0.0) * self.error_scale,
            y.1.max(0.0) * self.error_scale,
        ));
        let mut chart = Panel {
            x: format!("{} of B ({})", self.symbol, self.unit),
            y: format!("error A \u{2212} B ({})", self.error_unit),
            axes: [Axis::linear(x.0, x.1, 4), Axis::linear(y.0, y.1, 6)],
        }
        .draw(area)?;
        draw_cells(&mut chart, self.residual, [self.scale, self.error_scale])?;
        let dashes = ShapeStyle::from(INK.mix(0.75)).stroke_width(2);
        chart.draw_series(DashedLineSeries::new(
            [(x.0, 0.0), (x.1, 0.0)],
            10,
            8,
            dashes,
        ))?;
        Ok(())
    }

    /// How many errors are of which size, on a logarithmic axis.
    fn draw_sizes(&self, area: &Area<'_>, figures: &Figures) -> Drawn<()> {
        /// Bars in a decade.
        const BARS: f64 = 10.0;
        let magnitudes = self.errors.magnitudes();
        let largest = figures.max * self.error_scale;
        if largest == 0.0 {
            let middle = Pos::new(HPos::Center, VPos::Center);
            let (w, h) = area.dim_in_pixel();
            let at = (w as i32 / 2, h as i32 / 2);
            return area.draw_text("A and B are equal", &text(16).pos(middle), at);
        }
        let top = ((largest.log10() * BARS).floor() as i64 + 1) as f64 / BARS;
        let smallest = self.errors.magnitudes().quantile(0.002) * self.error_scale;
        let low = (smallest.max(largest * 1e-6).log10() * BARS).floor() / BARS;
        let low = low.min(top - 1.0);
        let mut bars = vec![0; ((top - low) * BARS).round() as usize];
        for (size, count) in magnitudes.occupied() {
            let at = ((size * self.error_scale).log10() - low) * BARS;
            if at >= 0.0 {
                let last = bars.len() - 1;
                bars[(at as usize).min(last)] += count;
            }
        }
        let share = |n: u64| 100.0 * n as f64 / magnitudes.n() as f64;
        let high = 1.12 * share(bars.iter().copied().max().unwrap_or(1)).max(1e-9);
        let x = Axis {
            range: low..top + 0.05,
            ticks: (low.ceil() as i32..=top.floor() as i32)
                .map(f64::from)
                .collect(),
        };
        let mut chart = Panel {
            x: format!("|A \u{2212} B| ({})", self.error_unit),
            y: "share of the values (%)".into(),
            axes: [x, Axis::linear(0.0, high, 5)],
        }
        .draw_with(area, &|x| power(*x))?;
        let bars = bars.iter().enumerate().filter(|(_, count)| **count > 0);
        let bars = bars.map(|(k, count)| {
            let from = low + k as f64 / BARS;
            let mut bar = Rectangle::new(
                [(from, 0.0), (from + 1.0 / BARS, share(*count))],
                BLUE.mix(0.55).filled(),
            );
            bar.set_margin(0, 0, 1, 1);
            bar
        });
        chart.draw_series(bars)?;
        let (x, y) = area.get_base_pixel();
        let corner = chart.plotting_area().map_coordinate(&(low, high));
        let corner = (corner.0 - x + 24, corner.1 - y + 34);
        let marks = [
            ("MAE", figures.mae, INK),
            ("RMSE", figures.rmse, RED),
            ("95 %", figures.quantiles[2], ORANGE),
            ("max", figures.max, GREEN),
        ];
        for (k, (name, size, colour)) in marks.into_iter().enumerate() {
            let at = (size * self.error_scale).log10();
            let line = ShapeStyle::from(colour).stroke_width(3);
            if at >= low {
                chart.draw_series([PathElement::new([(at, 0.0), (at, high)], line)])?;
            }
            let level = corner.1 + 38 * k as i32;
            let sample = [(corner.0, level), (corner.0 + 36, level)];
            area.draw(&PathElement::new(sample, line.stroke_width(4)))?;
            let said = format!("{name} {}", number(size * self.error_scale));
            let middle = Pos::new(HPos::Left, VPos::Center);
            area.draw_text(&said, &style(26, INK).pos(middle), (corner.0 + 48, level))?;
        }
        Ok(())
    }
}

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;

/// Axes with their names.
struct Panel {
    x: String,
    y: String,
    axes: [Axis; 2],
}

impl Panel {
    fn draw<'a, 'b>(self, area: &'a Area<'b>) -> Drawn<Chart<'a, 'b>> {
        let axis = self.axes[0].clone();
        self.draw_with(area, &move |x| axis.label(*x))
    }

    fn draw_with<'a, 'b>(
        self,
        area: &'a Area<'b>,
        x_label: &dyn Fn(&f64) -> String,
    ) -> Drawn<Chart<'a, 'b>> {
        let [x, y] = self.axes;
        let y_axis = y.clone();
        let mut chart = ChartBuilder::on(area)
            .margin(24)
            .margin_right(44)
            .x_label_area_size(100)
            .y_label_area_size(150)
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(PALE)
            .axis_style(ShapeStyle::from(INK).stroke_width(2))
            .label_style(style(24, INK))
            .x_desc(self.x)
            .y_desc(self.y)
            .axis_desc_style(style(28, INK))
            .x_label_formatter(x_label)
            .y_label_formatter(&|y| y_axis.label(*y))
            .draw()?;
        Ok(chart)
    }
}

/// `0.01`, `1`, `1000`, `10⁵`.
fn power(exponent: f64) -> String {
    let k = exponent.round() as i32;
    if (-3..=4).contains(&k) {
        return format!("{}", 10_f64.powi(k));
    }
    let digits = k.to_string();
    let raised = digits.chars().map(|c| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        c => char::from_u32(0x2070 + c.to_digit(10).unwrap_or(0)).unwrap_or(c),
    });
    format!("10{}", raised.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_ten_are_short() {
        let shown = [-5.0, -3.0, 0.0, 4.0, 5.0, 12.0].map(power);
        assert_eq!(shown, ["10⁻⁵", "0.001", "1", "10000", "10⁵", "10¹²"]);
    }
}
