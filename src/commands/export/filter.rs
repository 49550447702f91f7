//! Which completed frames are exported: `--max-force`, `--energy-window`.

use std::str::FromStr;

use crate::adapters::extxyz::writer::Labelled;
use crate::domain::cell::norm;

/// Energies per atom (eV/atom) that are wanted, both ends included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    low: f64,
    high: f64,
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not LO:HI in eV/atom; write -3.5:-3.2, -3.5: or :-3.2");
        let (low, high) = text.split_once(':').ok_or_else(wrong)?;
        let end = |text: &str, open: f64| match text.trim() {
            "" => Ok(open),
            text => text.parse().map_err(|_| wrong()),
        };
        let (low, high) = (end(low, f64::NEG_INFINITY)?, end(high, f64::INFINITY)?);
        if low <= high {
            Ok(Self { low, high })
        } else {
            Err(wrong())
        }
    }
}

/// What is left out, and how much of it was.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Largest force on an atom (eV/Å).
    pub max_force: Option<f64>,
    /// Energy per atom.
    pub window: Option<Window>,
    by_energy: u64,
    by_force: u64,
}

impl Filter {
    /// Of these limits.
    pub fn new(max_force: Option<f64>, window: Option<Window>) -> Self {
        Self {
            max_force,
            window,
            ..Self::default()
        }
    }

    /// Whether a frame is wanted; if not, it is counted by the first reason.
    pub fn keeps(&mut self, labelled: &Labelled<'_>) -> bool {
        let Some(label) = &labelled.label else {
            return true;
        };
        if let Some(window) = self.window {
            let energy = label.energy / labelled.frame.len() as f64;
            // NaN, of a frame without atoms, is in no window.
            if !(window.low <= energy && energy <= window.high) {
                self.by_energy += 1;
                return false;
            }
        }
        if let Some(most) = self.max_force
            && !label
                .forces
                .is_none_or(|f| f.iter().all(|f| norm(*f) <= most))
        {
            self.by_force += 1;
            return false;
        }
        true
    }

    /// How many frames were left out, by what.
    pub fn said(&self) -> Option<String> {
        let parts = [
            (self.window.is_some(), self.by_energy, "--energy-window"),
            (self.max_force.is_some(), self.by_force, "--max-force"),
        ];
        let parts = parts.into_iter().filter(|(given, ..)| *given);
        let parts: Vec<_> = parts.map(|(_, n, by)| format!("{n} by {by}")).collect();
        (!parts.is_empty()).then(|| format!("left out: {}", parts.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::extxyz::writer::More;
    use crate::adapters::source::properties::Properties;
    use crate::domain::cell::Cell;
    use crate::domain::frame::Frame;
    use crate::domain::label::Label;

    #[test]
    fn frames_are_left_out_by_the_first_reason() {
        let mut filter = Filter::new(Some(1.0), Some("-2:0.5".parse().unwrap()));
        let positions = [[0.0; 3]; 2];
        let frame = Frame {
            species: &[1, 1],
            positions: &positions,
            cell: Cell::OPEN,
        };
        let mut keeps = |energy, force: f64| {
            let forces = [[0.0; 3], [0.0, force, 0.0]];
            let label = Label {
                energy,
                forces: Some(&forces),
                stress: None,
            };
            let more = More {
                properties: &Properties::default(),
                row: 0,
                first_atom: 0,
            };
            filter.keeps(&Labelled {
                index: 0,
                frame,
                label: Some(label),
                more,
            })
        };
        let kept = [(1.0, 1.0), (1.1, 9.0), (-4.0, -1.5), (-4.1, 0.0)].map(|(e, f)| keeps(e, f));
        assert_eq!(kept, [true, false, false, false]);
        let said = filter.said().unwrap();
        assert_eq!(said, "left out: 2 by --energy-window, 1 by --max-force");
        assert_eq!(Filter::default().said(), None);
        for text in ["1", "2:1", "x:", "nan:"] {
            assert!(text.parse::<Window>().is_err(), "{text}");
        }
        assert!(":3".parse::<Window>().is_ok() && "-1.5:".parse::<Window>().is_ok());
    }
}
