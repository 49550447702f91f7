//! `--fail-above force_rmse=0.05`: a comparison as a check.

use std::str::FromStr;

use super::Compared;
use crate::domain::compare::statistics::{Errors, Figures};

/// A figure and what it must not exceed.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    name: String,
    most: f64,
}

type OfErrors = for<'a> fn(&'a Compared) -> &'a Errors;

/// What has figures.
const QUANTITIES: [(&str, OfErrors); 7] = [
    ("energy", |c| &c.found.energies.per_atom),
    ("energy_total", |c| &c.found.energies.total),
    ("energy_mean_removed", |c| &c.shifted.mean_removed),
    ("energy_shifted", |c| &c.shifted.fitted),
    ("force", |c| &c.found.forces.all.components),
    ("force_vector", |c| &c.found.forces.all.vectors),
    ("stress", |c| &c.found.stresses.components),
];

type OfFigures = fn(&Figures) -> f64;

const FIGURES: [(&str, OfFigures); 4] = [
    ("_mae", |f| f.mae),
    ("_rmse", |f| f.rmse),
    ("_max", |f| f.max),
    ("_mean", |f| f.mean.abs()),
];

const ANGLE: &str = "force_angle_mean";

fn find(name: &str) -> Option<(OfErrors, OfFigures)> {
    QUANTITIES.iter().find_map(|(quantity, errors)| {
        let rest = name.strip_prefix(quantity)?;
        let (_, figure) = FIGURES.iter().find(|(suffix, _)| *suffix == rest)?;
        Some((*errors, *figure))
    })
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a figure and its limit; write force_rmse=0.05");
        let (name, most) = text.split_once('=').ok_or_else(wrong)?;
        let (name, most) = (name.trim(), most.trim().parse::<f64>());
        let most = most.ok().filter(|x| *x >= 0.0).ok_or_else(wrong)?;
        if name != ANGLE && find(name).is_none() {
            let quantities = QUANTITIES.map(|(name, _)| name).join(", ");
            return Err(format!(
                "{name:?} is no figure; there are {quantities}, each with _mae, _rmse, _max or _mean, and {ANGLE}"
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            most,
        })
    }
}

impl Limit {
    /// What is wrong where the limit is not kept.
    pub fn exceeded(&self, compared: &Compared) -> Option<String> {
        let value = if self.name == ANGLE {
            compared.found.forces.all.angles.mean()
        } else {
            let (errors, figure) = find(&self.name)?;
            errors(compared).figures().as_ref().map(figure)
        };
        match value {
            None => Some(format!(
                "--fail-above {}: there is none to compare",
                self.name
            )),
            Some(x) if x <= self.most => None,
            Some(x) => Some(format!("{} is {x:.6}, above {}", self.name, self.most)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_known_by_name() {
        for (quantity, _) in QUANTITIES {
            for (figure, _) in FIGURES {
                let limit: Limit = format!("{quantity}{figure}=0.5").parse().unwrap();
                assert_eq!(limit.most, 0.5);
            }
        }
        assert!("force_angle_mean=3".parse::<Limit>().is_ok());
        for text in [
            "force_rmse",
            "force_rmse=x",
            "force_rmse=-1",
            "force_rmse=NaN",
        ] {
            assert!(
                text.parse::<Limit>()
                    .unwrap_err()
                    .contains("write force_rmse=0.05")
            );
        }
        assert!(
            "forces=1"
                .parse::<Limit>()
                .unwrap_err()
                .contains("there are energy,")
        );
    }
}
