//! How charges are summed: what a pair has, and what is left.

use std::collections::BTreeMap;
use std::f64::consts::PI;

use super::ewald::Ewald;
use crate::domain::calculator::Failure;
use crate::domain::calculators::pair::calculator::{Beyond, Sums};
use crate::domain::frame::Frame;
use crate::domain::neighbors::NeighborSearch;
use crate::domain::parameters::{ParameterError, Parameters};
use crate::domain::units::{BOHR, HARTREE};

/// K = e²/(4πε₀) in eV Å: one hartree bohr.
pub(super) const K: f64 = HARTREE * BOHR;

/// What ewald may leave out unless the user says so.
const ACCURACY: f64 = 1e-8;
const BEST_ACCURACY: f64 = 1e-15;

/// How charges are summed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Coulomb {
    None,
    /// Damped by `alpha` (1/Å): energies shifted, and with `force` forces too, to zero at the cutoff.
    Shifted {
        alpha: f64,
        force: bool,
        cutoff: f64,
    },
    /// Damped by `alpha`, the rest by waves up to `k_max` (1/Å).
    Ewald {
        alpha: f64,
        k_max: f64,
    },
}

/// The charges of a pair: `product [erfc(αr)/r - shift + force_shift r]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct PairCharges {
    /// K q q (eV Å).
    pub product: f64,
    /// 1/Å.
    pub alpha: f64,
    /// 2α/√π.
    pub slope: f64,
    /// 1/Å.
    pub shift: f64,
    /// 1/Å².
    pub force_shift: f64,
}

impl Coulomb {
    pub fn new(parameters: &Parameters, cutoff: f64) -> Result<Self, ParameterError> {
        let how = parameters.text("coulomb").unwrap_or_default();
        let alpha = parameters.float("alpha");
        let accuracy = parameters.float("accuracy");
        let useless = |name: &str, of: &str| {
            Err(ParameterError(format!(
                "parameter {name} is one of coulomb={of}, not of coulomb={how}: leave it out"
            )))
        };
        let shifted = how == "wolf" || how == "dsf";
        if alpha.is_some() && !shifted {
            return useless("alpha", "dsf and coulomb=wolf");
        }
        if accuracy.is_some() && how != "ewald" {
            return useless("accuracy", "ewald");
        }
        if how == "none" {
            return Ok(Self::None);
        }
        if shifted {
            let force = how == "dsf";
            return alpha.map_or_else(
                || {
                    Err(ParameterError(format!(
                        "coulomb={how} has no damping: add --param alpha=PER_ANGSTROM"
                    )))
                },
                |alpha| {
                    Ok(Self::Shifted {
                        alpha,
                        force,
                        cutoff,
                    })
                },
            );
        }
        let accuracy = accuracy.unwrap_or(ACCURACY);
        if !(BEST_ACCURACY..=0.1).contains(&accuracy) {
            return Err(ParameterError(format!(
                "parameter accuracy: {accuracy} is not between {BEST_ACCURACY:e} and 0.1"
            )));
        }
        let decay = (-libm::log(accuracy)).sqrt();
        let alpha = decay / cutoff;
        Ok(Self::Ewald {
            alpha,
            k_max: 2.0 * alpha * decay,
        })
    }

    fn alpha(self) -> f64 {
        match self {
            Self::None => 0.0,
            Self::Shifted { alpha, .. } | Self::Ewald { alpha, .. } => alpha,
        }
    }

    /// Energy and force of two unit charges at the cutoff, divided by K, by which pairs are shifted.
    fn shifts(self) -> (f64, f64) {
        let Self::Shifted {
            alpha,
            force,
            cutoff,
        } = self
        else {
            return (0.0, 0.0);
        };
        let x = alpha * cutoff;
        let energy = libm::erfc(x) / cutoff;
        let slope = energy / cutoff + 2.0 * alpha / PI.sqrt() * libm::exp(-x * x) / cutoff;
        if force {
            (energy + slope * cutoff, slope)
        } else {
            (energy, 0.0)
        }
    }

    /// What a pair of ions of these charges (e) has.
    pub fn of_pair(self, q: f64, p: f64) -> PairCharges {
        let (shift, force_shift) = self.shifts();
        PairCharges {
            product: K * q * p,
            alpha: self.alpha(),
            slope: 2.0 * self.alpha() / PI.sqrt(),
            shift,
            force_shift,
        }
    }

    /// What each ion has by itself, divided by q² (eV).
    fn of_one(self) -> f64 {
        -K * (0.5 * self.shifts().0 + self.alpha() / PI.sqrt())
    }
}

/// What charges add to the sum over near pairs.
pub(super) struct Rest {
    /// By atomic number (e).
    charges: [f64; 256],
    of_one: f64,
    ewald: Option<Ewald>,
}

impl Rest {
    pub fn new(coulomb: &Coulomb, given: &BTreeMap<u8, f64>) -> Self {
        let mut charges = [0.0; 256];
        for (species, charge) in given {
            charges[usize::from(*species)] = *charge;
        }
        let ewald = match coulomb {
            Coulomb::Ewald { alpha, k_max } => Some(Ewald::new(*alpha, *k_max)),
            _ => None,
        };
        Self {
            charges,
            of_one: coulomb.of_one(),
            ewald,
        }
    }
}

impl Beyond for Rest {
    fn add(
        &mut self,
        frame: &Frame<'_>,
        search: &NeighborSearch,
        sums: &mut Sums<'_>,
    ) -> Result<(), Failure> {
        let charge = |z: u8| self.charges[usize::from(z)];
        let mut squares = 0.0;
        for z in frame.species {
            squares += charge(*z) * charge(*z);
        }
        *sums.energy += self.of_one * squares;
        let Some(ewald) = &mut self.ewald else {
            return Ok(());
        };
        let sorted = search.order().iter();
        let charges = sorted.map(|atom| charge(frame.species[*atom as usize]));
        ewald.add(charges, &search.cell(), search.places(), sums)
    }
}
