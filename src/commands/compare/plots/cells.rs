//! Pairs of a plot: cells of a histogram, or dots where they are few.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Chart;
use crate::commands::plotting::{Area, Drawn, INK, shade, style};
use crate::commands::table::thousands;
use crate::domain::compare::density::Density;

/// Fewer pairs than this are drawn as dots.
const DOTS: u64 = 3000;

/// The share of the colours for a number of pairs.
fn depth(count: u64, most: u64) -> f64 {
    if most <= 1 {
        return 0.25;
    }
    (count as f64).ln() / (most as f64).ln()
}

fn most(density: &Density) -> u64 {
    density.cells().map(|c| c.count).max().unwrap_or(1)
}

/// The pairs of a histogram, coloured by how many there are.
pub fn draw_cells(chart: &mut Chart<'_, '_>, density: &Density, scales: [f64; 2]) -> Drawn<()> {
    let most = most(density);
    let [w, h] = [0, 1].map(|d| density.widths()[d] * scales[d]);
    let corner = |c: [f64; 2]| (c[0] * scales[0], c[1] * scales[1]);
    if density.n() < DOTS {
        let dots = density.cells().map(|cell| {
            let (x, y) = corner(cell.corner);
            let colour = shade(depth(cell.count, most)).mix(0.8);
            Circle::new((x + 0.5 * w, y + 0.5 * h), 6, colour.filled())
        });
        chart.draw_series(dots)?;
        return Ok(());
    }
    // Neighbours of one colour are one rectangle.
    let mut runs: Vec<((f64, f64), f64, RGBColor)> = Vec::new();
    for cell in density.cells() {
        let (x, y) = corner(cell.corner);
        let colour = shade((depth(cell.count, most) * 48.0).round() / 48.0);
        match runs.last_mut() {
            Some((start, end, same)) if *same == colour && start.1 == y && *end == x => {
                *end = x + w;
            }
            _ => runs.push(((x, y), x + w, colour)),
        }
    }
    let cells = runs
        .into_iter()
        .map(|((x, y), end, colour)| Rectangle::new([(x, y), (end, y + h)], colour.filled()));
    chart.draw_series(cells)?;
    Ok(())
}

/// Which colour is how many.
pub fn draw_scale(area: &Area<'_>, density: &Density) -> Drawn<()> {
    let most = most(density);
    let (_, height) = area.dim_in_pixel();
    let (top, bottom) = (34, height as i32 - 124);
    let at = |share: f64| bottom - (share * f64::from(bottom - top)).round() as i32;
    if most <= 1 {
        return Ok(());
    }
    let steps = 64;
    for k in 0..steps {
        let share = |k: i32| f64::from(k) / f64::from(steps);
        let colour = shade(share(k));
        let step = [(0, at(share(k + 1))), (28, at(share(k)))];
        area.draw(&Rectangle::new(step, colour.filled()))?;
    }
    let powers = (0..).map(|k| 10_u64.pow(k)).take_while(|n| *n < most);
    let mut counts: Vec<u64> = powers.take(19).collect();
    if counts.last().is_none_or(|n| depth(*n, most) < 0.93) {
        counts.push(most);
    }
    for n in counts {
        let y = at(depth(n, most));
        area.draw(&PathElement::new(
            [(28, y), (36, y)],
            ShapeStyle::from(INK).stroke_width(2),
        ))?;
        let middle = Pos::new(HPos::Left, VPos::Center);
        area.draw_text(&thousands(n), &style(22, INK).pos(middle), (42, y))?;
    }
    let centre = Pos::new(HPos::Left, VPos::Top);
    area.draw_text("per cell", &style(22, INK).pos(centre), (0, bottom + 14))
}
