//! What `compare` says: tables for people, JSON for programs.

use serde_json::{Value, json};

use super::Compared;
use crate::adapters::labels::Tally;
use crate::commands::table::{plural, table, thousands};
use crate::domain::compare::forces::OfAtoms;
use crate::domain::compare::outliers::Outlier;
use crate::domain::compare::statistics::{Errors, Figures, Place, QUANTILES};
use crate::domain::elements::symbol;
use crate::domain::units::EV_PER_CUBIC_ANGSTROM_IN_GPA;

/// A comparison, ready to be said.
pub struct Report<'a> {
    compared: &'a Compared,
}

/// `0.0123`, `12.3`, `12345`: four digits that say something.
pub fn figure(x: f64) -> String {
    // What rounding leaves of a mean that was removed.
    let x = if x.abs() < 1e-9 { 0.0 } else { x };
    let size = x.abs();
    if size != 0.0 && !(1e-3..1e7).contains(&size) {
        return format!("{x:.2e}");
    }
    let decimals = if size == 0.0 {
        1
    } else {
        (3 - size.log10().floor() as i32).clamp(0, 5)
    };
    format!("{x:.*}", decimals as usize)
}

fn place(at: &Place) -> String {
    match at.atom {
        Some(atom) => format!("frame {}, atom {atom}", at.frame),
        None => format!("frame {}", at.frame),
    }
}

fn maybe(x: Option<f64>, show: impl Fn(f64) -> String) -> String {
    x.map_or_else(|| "-".into(), show)
}

const HEADER: [&str; 11] = [
    "", "unit", "values", "mean", "MAE", "RMSE", "median", "95 %", "max", "at", "R²",
];
const RIGHT: [usize; 8] = [2, 3, 4, 5, 6, 7, 8, 10];

/// A line of the table; `scale` turns into the unit that is shown.
fn line(name: &str, unit: &str, scale: f64, errors: &Errors) -> Option<Vec<String>> {
    let f = errors.figures()?;
    let shown = |x: f64| figure(x * scale);
    let [median, _, most, _] = f.quantiles;
    Some(vec![
        name.into(),
        unit.into(),
        thousands(f.n),
        shown(f.mean),
        shown(f.mae),
        shown(f.rmse),
        shown(median),
        shown(most),
        shown(f.max),
        place(&f.worst),
        maybe(f.r2, |r2| {
            if r2 < -9.0 {
                figure(r2)
            } else {
                format!("{r2:.6}")
            }
        }),
    ])
}

impl<'a> Report<'a> {
    /// Of this comparison.
    pub fn new(compared: &'a Compared) -> Self {
        Self { compared }
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut parts = vec![self.heading(), self.quantities()];
        parts.extend(self.elements());
        parts.extend(self.offsets());
        parts.extend(self.outliers());
        parts.join("\n\n")
    }

    fn heading(&self) -> String {
        let c = self.compared;
        let side =
            |letter: &str, k: usize| format!("{letter}  {}: {}", c.names[k], tally(&c.tallies[k]));
        let mut text = format!(
            "{}\n{}\n{} compared, {} atoms; errors are A - B",
            side("A", 0),
            side("B", 1),
            plural(c.found.frames, "frame"),
            thousands(c.found.atoms)
        );
        if let Some(n) = c.selected {
            text += &format!("\n{} selected by --frames", plural(n, "frame"));
        }
        let only = |k: usize| match c.selected {
            None => c.tallies[k].completed.saturating_sub(c.common),
            // Of the others nobody has asked.
            Some(_) => 0,
        };
        for (letter, k, other) in [("A", 0, "B"), ("B", 1, "A")] {
            if only(k) > 0 {
                text += &format!(
                    "\n{} completed in {letter} and not in {other}: left out",
                    plural(only(k), "frame")
                );
            }
        }
        let (n, named) = &c.found.not_finite;
        if *n > 0 {
            let shown: Vec<_> = named.iter().map(u64::to_string).collect();
            let more = if *n > named.len() as u64 { "..." } else { "" };
            text += &format!(
                "\n{} with NaN or infinity: left out ({}{more})",
                plural(*n, "frame"),
                shown.join(", ")
            );
        }
        if c.found.empty > 0 {
            text += &format!(
                "\n{} without atoms: left out",
                plural(c.found.empty, "frame")
            );
        }
        if c.found.without_forces > 0 {
            text += &format!(
                "\n{} without forces in A or B: energies only",
                plural(c.found.without_forces, "frame")
            );
        }
        text
    }

    fn quantities(&self) -> String {
        let (found, shifted) = (&self.compared.found, &self.compared.shifted);
        let forces = &found.forces.all;
        let gpa = EV_PER_CUBIC_ANGSTROM_IN_GPA;
        let lines = [
            line("energy", "meV/atom", 1e3, &found.energies.per_atom),
            line("  mean removed", "meV/atom", 1e3, &shifted.mean_removed),
            line("  per element removed", "meV/atom", 1e3, &shifted.fitted),
            line("energy, total", "eV", 1.0, &found.energies.total),
            line("force components", "meV/Å", 1e3, &forces.components),
            line("force vectors", "meV/Å", 1e3, &forces.vectors).map(|mut line| {
                // Lengths have no sign, and their R² would be of another kind.
                line[3] = "-".into();
                line[10] = "-".into();
                line
            }),
            line("stress components", "GPa", gpa, &found.stresses.components),
        ];
        table(&HEADER, lines.into_iter().flatten(), &RIGHT)
    }

    /// Forces of all atoms and of each element.
    fn elements(&self) -> Option<String> {
        let forces = &self.compared.found.forces;
        forces.all.components.figures()?;
        let row = |name: &str, of: &OfAtoms| {
            let f = of.components.figures()?;
            Some(vec![
                name.to_owned(),
                thousands(of.vectors.n()),
                figure(1e3 * f.mae),
                figure(1e3 * f.rmse),
                figure(1e3 * f.max),
                figure(1e3 * of.components.reference_mean_absolute()),
                maybe(f.relative_rmse, |x| format!("{:.2} %", 100.0 * x)),
                maybe(of.angles.mean(), |x| format!("{x:.2}°")),
                maybe(of.angles.mean().map(|_| of.angles.max), |x| {
                    format!("{x:.1}°")
                }),
            ])
        };
        let mut rows = vec![row("all", &forces.all)];
        rows.extend(forces.elements().map(|(z, of)| row(symbol(z), of)));
        let header = [
            "forces, meV/Å",
            "atoms",
            "MAE",
            "RMSE",
            "max",
            "mean |B|",
            "relative RMSE",
            "mean angle",
            "max angle",
        ];
        let right = [1, 2, 3, 4, 5, 6, 7, 8];
        Some(table(&header, rows.into_iter().flatten(), &right))
    }

    fn offsets(&self) -> Option<String> {
        let offsets = &self.compared.shifted.offsets;
        if offsets.per_element.is_empty() {
            return None;
        }
        let parts = offsets.per_element.iter();
        let parts: Vec<_> = parts
            .map(|(z, c)| format!("{} {c:.6}", symbol(*z)))
            .collect();
        let (rank, n) = (offsets.rank, offsets.per_element.len());
        let mut text = format!("constants per element (A - B, eV): {}", parts.join(", "));
        if rank < n {
            text += &format!(
                "\n  the frames determine {rank} of these {n}, by their compositions; the smallest are shown"
            );
        }
        Some(text)
    }

    fn outliers(&self) -> Vec<String> {
        let energies = self.compared.shifted.outliers.list().iter().map(|o| {
            vec![
                o.frame.to_string(),
                o.formula.clone(),
                figure(1e3 * o.size),
                figure(1e3 * o.value),
            ]
        });
        let forces = self.compared.found.forces.outliers.list().iter().map(|o| {
            let atom = o.atom.map(|(k, z)| format!("{k} ({})", symbol(z)));
            vec![
                o.frame.to_string(),
                o.formula.clone(),
                figure(1e3 * o.size),
                atom.unwrap_or_default(),
                figure(1e3 * o.value),
            ]
        });
        let mut found = Vec::new();
        if energies.len() > 0 {
            let header = [
                "largest energy errors: frame",
                "",
                "per element removed, meV/atom",
                "as it is",
            ];
            found.push(table(&header, energies, &[0, 2, 3]));
        }
        if forces.len() > 0 {
            let header = [
                "largest force errors: frame",
                "",
                "vector, meV/Å",
                "of atom",
                "RMSE of the frame",
            ];
            found.push(table(&header, forces, &[0, 2, 3, 4]));
        }
        found
    }

    /// For programs: eV, Å, degrees.
    pub fn json(&self) -> Value {
        let c = self.compared;
        let (found, shifted) = (&c.found, &c.shifted);
        let side = |k: usize| {
            let t = &c.tallies[k];
            json!({
                "what": c.names[k],
                "frames": t.frames,
                "completed": t.completed,
                "undefined": t.undefined,
                "not_converged": t.not_converged,
                "failed": t.failed,
            })
        };
        let elements = found.forces.elements();
        let elements: serde_json::Map<_, _> = elements
            .map(|(z, of)| (symbol(z).to_owned(), of_atoms(of)))
            .collect();
        let mut forces = of_atoms(&found.forces.all);
        forces["elements"] = Value::Object(elements);
        let constants = shifted.offsets.per_element.iter();
        let constants: serde_json::Map<_, _> = constants
            .map(|(z, c)| (symbol(*z).to_owned(), json!(c)))
            .collect();
        json!({
            "a": side(0),
            "b": side(1),
            "frames": found.frames,
            "atoms": found.atoms,
            "selected": c.selected,
            "common": c.common,
            "not_finite": {"frames": found.not_finite.0, "first": found.not_finite.1},
            "without_atoms": found.empty,
            "without_forces": found.without_forces,
            "energy_per_atom": errors(&found.energies.per_atom),
            "energy_per_atom_mean_removed": errors(&shifted.mean_removed),
            "energy_per_atom_shifted": errors(&shifted.fitted),
            "energy_total": errors(&found.energies.total),
            "constants_per_element": {"values": constants, "rank": shifted.offsets.rank},
            "forces": forces,
            "stress": errors(&found.stresses.components),
            "stress_frames": found.stresses.frames,
            "outliers": {
                "energy": shifted.outliers.list().iter().map(|o| outlier(o, "error")).collect::<Vec<_>>(),
                "forces": found.forces.outliers.list().iter().map(|o| outlier(o, "rmse")).collect::<Vec<_>>(),
            },
            "units": {"energy": "eV", "energy_per_atom": "eV/atom", "forces": "eV/Å", "stress": "eV/Å³", "angles": "degree"},
        })
    }
}

fn tally(t: &Tally) -> String {
    let mut text = format!(
        "{} of {} completed",
        thousands(t.completed),
        plural(t.frames, "frame")
    );
    for (n, what) in [
        (t.undefined, "undefined"),
        (t.not_converged, "not converged"),
        (t.failed, "failed"),
    ] {
        if n > 0 {
            text += &format!(", {} {what}", thousands(n));
        }
    }
    text
}

fn errors(errors: &Errors) -> Value {
    errors.figures().map_or(Value::Null, |f| json(&f))
}

fn json(f: &Figures) -> Value {
    let quantiles = QUANTILES.iter().zip(f.quantiles);
    let quantiles: serde_json::Map<_, _> =
        quantiles.map(|(q, x)| (q.to_string(), json!(x))).collect();
    json!({
        "n": f.n,
        "mean": f.mean,
        "mae": f.mae,
        "rmse": f.rmse,
        "max": f.max,
        "max_frame": f.worst.frame,
        "max_atom": f.worst.atom,
        "r2": f.r2,
        "relative_mae": f.relative_mae,
        "relative_rmse": f.relative_rmse,
        "quantiles": quantiles,
    })
}

fn of_atoms(of: &OfAtoms) -> Value {
    let angle = of.angles.mean();
    let mut vectors = errors(&of.vectors);
    // Lengths of differences have no R².
    if let Some(r2) = vectors.get_mut("r2") {
        *r2 = Value::Null;
    }
    json!({
        "atoms": of.vectors.n(),
        "components": errors(&of.components),
        "vectors": vectors,
        "angle": {
            "n": of.angles.n,
            "mean": angle,
            "max": angle.map(|_| of.angles.max),
            "max_frame": angle.map(|_| of.angles.worst.frame),
            "max_atom": angle.and(of.angles.worst.atom),
        },
    })
}

fn outlier(o: &Outlier, value: &str) -> Value {
    let mut json = json!({"frame": o.frame, "formula": o.formula, "size": o.size});
    json[value] = json!(o.value);
    if let Some((atom, z)) = o.atom {
        json["atom"] = json!(atom);
        json["element"] = json!(symbol(z));
    }
    json
}

#[cfg(test)]
mod tests {
    use super::figure;

    #[test]
    fn figures_keep_four_digits() {
        for (x, shown) in [
            (0.0, "0.0"),
            (12.345_67, "12.35"),
            (-0.012_345_67, "-0.01235"),
            (123_456.7, "123457"),
            (1.5e-7, "1.50e-7"),
            (2.5e8, "2.50e8"),
            (999.96, "1000.0"),
        ] {
            assert_eq!(figure(x), shown);
        }
    }
}
