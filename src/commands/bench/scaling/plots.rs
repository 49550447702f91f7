//! Plots: frames per second and efficiency against ranks, one picture for each kind of scaling.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::commands::bench::figures::{Scaling, Spread};
use crate::commands::plotting::{Area, Axis, BLUE, Drawn, GREEN, INK, ORANGE, PALE, style};
use crate::commands::table::thousands;
use crate::domain::error::{Error, Result};

use super::points::Point;

const WHOLE: RGBColor = BLUE;
const COMPUTE: RGBColor = GREEN;
const COMMIT: RGBColor = ORANGE;
const SIZE: (u32, u32) = (1000, 470);
/// Height of title, subtitle and legend.
const HEAD: i32 = 92;

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;

/// One line of a panel.
struct Line {
    colour: RGBColor,
    values: Vec<(f64, Spread)>,
}

/// The picture of one kind of scaling.
pub fn svg(scaling: Scaling, points: &[Point], what: &str) -> Result<String> {
    let mut text = String::new();
    draw(&mut text, scaling, points, what)
        .map_err(|e| Error::failure(format!("cannot draw {} scaling: {e}", scaling.name())))?;
    Ok(text)
}

fn draw(text: &mut String, scaling: Scaling, points: &[Point], what: &str) -> Drawn<()> {
    let root = SVGBackend::with_string(text, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let frames = match scaling {
        Scaling::Strong => format!("{} frames", thousands(points[0].frames)),
        Scaling::Weak => {
            let each = points[0].frames / points[0].ranks as u64;
            format!("{} frames for every rank", thousands(each))
        }
    };
    let threads = match points[0].threads {
        1 => String::new(),
        n => format!(", {n} threads per rank"),
    };
    let title = match scaling {
        Scaling::Strong => "Strong scaling",
        Scaling::Weak => "Weak scaling",
    };
    root.draw_text(
        title,
        &style(20, INK).pos(Pos::new(HPos::Left, VPos::Top)),
        (24, 14),
    )?;
    let subtitle = format!("{what}; {frames}{threads}; medians, smallest and largest of all turns");
    root.draw_text(
        &subtitle,
        &style(13, INK).pos(Pos::new(HPos::Left, VPos::Top)),
        (24, 40),
    )?;
    legend(&root)?;
    let (_, body) = root.split_vertically(HEAD);
    let (left, right) = body.split_horizontally(SIZE.0 as i32 / 2);
    let of =
        |value: fn(&Point) -> Spread| points.iter().map(|p| (p.ranks as f64, value(p))).collect();
    let rates = [
        Line {
            colour: COMPUTE,
            values: of(|p| p.compute_rate),
        },
        Line {
            colour: WHOLE,
            values: of(|p| p.rate),
        },
    ];
    speeds(&left, &rates)?;
    let efficiencies = [
        Line {
            colour: COMPUTE,
            values: of(|p| p.compute_efficiency),
        },
        Line {
            colour: COMMIT,
            values: of(|p| p.commit_efficiency),
        },
        Line {
            colour: WHOLE,
            values: of(|p| p.whole_efficiency),
        },
    ];
    efficiency(&right, &efficiencies)?;
    root.present()
}

/// One legend for both panels, above them: nothing can hide behind it.
fn legend(root: &Area<'_>) -> Drawn<()> {
    let (mut x, y) = (24, 72);
    for (name, colour) in [
        ("compute", Some(COMPUTE)),
        ("commit", Some(COMMIT)),
        ("whole run", Some(WHOLE)),
        ("perfect", None),
    ] {
        match colour {
            Some(colour) => {
                let thick = ShapeStyle::from(colour).stroke_width(2);
                root.draw(&PathElement::new([(x, y), (x + 24, y)], thick))?;
                root.draw(&Circle::new((x + 12, y), 4, colour.filled()))?;
            }
            None => {
                for k in 0..3 {
                    let dash = [(x + 9 * k, y), (x + 9 * k + 5, y)];
                    root.draw(&PathElement::new(dash, ShapeStyle::from(INK.mix(0.6))))?;
                }
            }
        }
        let place = Pos::new(HPos::Left, VPos::Center);
        root.draw_text(name, &style(13, INK).pos(place), (x + 32, y))?;
        x += 110;
    }
    Ok(())
}

/// Ranks on a logarithmic axis, with a tick at each number that was measured.
fn rank_axis(lines: &[Line]) -> Axis {
    let ticks: Vec<f64> = lines[0]
        .values
        .iter()
        .map(|(ranks, _)| ranks.log2())
        .collect();
    let (first, last) = (ticks[0], ticks[ticks.len() - 1]);
    let margin = 0.06 * (last - first).max(1.0);
    // Where numbers come closer than they can be read, every second, third... is named.
    let every = ticks.len().div_ceil(10);
    Axis {
        range: first - margin..last + margin,
        ticks: ticks.iter().copied().step_by(every).collect(),
    }
}

/// Frames per second, both axes logarithmic, with a line for perfect scaling.
fn speeds(area: &Area<'_>, lines: &[Line]) -> Drawn<()> {
    let (first, rate) = lines[0].values[0];
    let last = lines[0].values[lines[0].values.len() - 1].0;
    let ideal = |ranks: f64| rate.median * ranks / first;
    let values = lines.iter().flat_map(|line| &line.values);
    let all: Vec<f64> = values
        .flat_map(|(_, s)| [s.low, s.high])
        .filter(|y| *y > 0.0)
        .collect();
    let low = all.iter().copied().fold(f64::INFINITY, f64::min).log10() - 0.08;
    let high = all.iter().copied().fold(ideal(last), f64::max).log10() + 0.08;
    let panel = Panel {
        title: "frames per second",
        y: Axis {
            range: low..high,
            ticks: decades(low, high),
        },
        y_label: &|y| rate_label(10_f64.powf(*y)),
        perfect: [first, last].map(|ranks| (ranks.log2(), ideal(ranks).log10())),
        place: &f64::log10,
    };
    panel.draw(area, lines)
}

/// Efficiency from 0 to a little over 1.
fn efficiency(area: &Area<'_>, lines: &[Line]) -> Drawn<()> {
    let values = lines.iter().flat_map(|line| &line.values);
    let largest = values.map(|(_, s)| s.high).filter(|y| y.is_finite());
    let high = largest.fold(1.0, f64::max).min(2.0) + 0.08;
    let ticks = (0..=10).map(|k| 0.2 * f64::from(k));
    let x = rank_axis(lines).range;
    let panel = Panel {
        title: "efficiency",
        y: Axis {
            range: 0.0..high,
            ticks: ticks.filter(|y| *y < high).collect(),
        },
        y_label: &|y| format!("{y:.1}"),
        perfect: [(x.start, 1.0), (x.end, 1.0)],
        place: &|y| y.min(high),
    };
    panel.draw(area, lines)
}

/// Half of a picture.
struct Panel<'a> {
    title: &'a str,
    y: Axis,
    y_label: &'a dyn Fn(&f64) -> String,
    perfect: [(f64, f64); 2],
    /// From a value to its place on the axis.
    place: &'a dyn Fn(f64) -> f64,
}

impl Panel<'_> {
    fn draw(self, area: &Area<'_>, lines: &[Line]) -> Drawn<()> {
        let mut chart = ChartBuilder::on(area)
            .caption(self.title, style(15, INK))
            .margin(12)
            .margin_right(24)
            .x_label_area_size(44)
            .y_label_area_size(56)
            .build_cartesian_2d(rank_axis(lines), self.y)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(PALE)
            .axis_style(INK)
            .label_style(style(12, INK))
            .x_desc("ranks")
            .axis_desc_style(style(13, INK))
            .x_label_formatter(&|x| thousands(x.exp2().round() as u64))
            .y_label_formatter(self.y_label)
            .draw()?;
        let dashes = ShapeStyle::from(INK.mix(0.6)).stroke_width(1);
        chart.draw_series(DashedLineSeries::new(self.perfect, 5, 4, dashes))?;
        for line in lines {
            let at = |(ranks, spread): &(f64, Spread)| {
                let places = [spread.low, spread.median, spread.high].map(self.place);
                (ranks.log2(), places)
            };
            let points = line.values.iter().map(at);
            let points: Vec<_> = points
                .filter(|(_, y)| y.iter().all(|y| y.is_finite()))
                .collect();
            add(&mut chart, line.colour, &points)?;
        }
        Ok(())
    }
}

/// Medians as a line with dots, smallest and largest as bars.
fn add(chart: &mut Chart<'_, '_>, colour: RGBColor, values: &[(f64, [f64; 3])]) -> Drawn<()> {
    let thin = ShapeStyle::from(colour).stroke_width(1);
    let bars = values
        .iter()
        .map(|(x, [low, _, high])| PathElement::new([(*x, *low), (*x, *high)], thin));
    chart.draw_series(bars)?;
    let medians = || values.iter().map(|(x, [_, median, _])| (*x, *median));
    let thick = ShapeStyle::from(colour).stroke_width(2);
    chart.draw_series(LineSeries::new(medians(), thick))?;
    chart.draw_series(medians().map(|at| Circle::new(at, 4, colour.filled())))?;
    Ok(())
}

/// Ticks at 1, 2 and 5 times powers of ten, or at powers of ten alone where they are many; as logarithms.
fn decades(low: f64, high: f64) -> Vec<f64> {
    let steps: &[f64] = match high - low {
        d if d < 2.5 => &[1.0, 2.0, 5.0],
        _ => &[1.0],
    };
    let powers = low.floor() as i32..=high.ceil() as i32;
    powers
        .flat_map(|p| steps.iter().map(move |s| f64::from(p) + s.log10()))
        .filter(|y| *y >= low && *y <= high)
        .collect()
}

/// `2`, `500`, `20k`, `1M`.
fn rate_label(rate: f64) -> String {
    match rate {
        r if r >= 0.999e9 => format!("{:.0}G", r * 1e-9),
        r if r >= 0.999e6 => format!("{:.0}M", r * 1e-6),
        r if r >= 0.999e3 => format!("{:.0}k", r * 1e-3),
        r if r >= 0.999 => format!("{r:.0}"),
        r => format!("{r:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers() {
        let shown: Vec<_> = decades(1.9, 4.1)
            .into_iter()
            .map(|y| rate_label(10_f64.powf(y)))
            .collect();
        assert_eq!(shown, ["100", "200", "500", "1k", "2k", "5k", "10k"]);
        assert_eq!(decades(0.0, 6.0).len(), 7);
    }
}
