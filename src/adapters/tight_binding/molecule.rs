//! A frame as these libraries want it: atomic numbers, atomic units.

use crate::domain::cell::norm;
use crate::domain::elements::symbol;
use crate::domain::frame::Frame;
use crate::domain::units::BOHR;

/// Atoms nearer than this (Å) are at the same place.
const NEAREST: f64 = 1e-3;

/// What is computed, in atomic units.
#[derive(Clone, Copy, Debug)]
pub struct Molecule<'a> {
    /// Atomic numbers, 1 to 86.
    pub numbers: &'a [i32],
    /// Positions (Bohr), one row per atom.
    pub positions: &'a [[f64; 3]],
    /// Cell vectors as rows (Bohr) of a system periodic in all three directions.
    pub lattice: Option<[[f64; 3]; 3]>,
    /// Total charge (e).
    pub charge: f64,
    /// Number of unpaired electrons.
    pub uhf: i32,
}

impl Molecule<'_> {
    /// Number of atoms; an error when the arrays differ in length.
    pub fn atoms(&self) -> Result<i32, String> {
        let atoms = self.numbers.len();
        let counted = i32::try_from(atoms).ok();
        counted
            .filter(|_| self.positions.len() == atoms)
            .ok_or_else(|| "lengths of the arrays differ".into())
    }
}

/// What the parameters of a molecule depend on.
#[derive(Clone, Debug)]
pub struct Elements {
    numbers: Vec<i32>,
    periodic: bool,
}

impl Elements {
    /// Those of this molecule.
    pub fn of(molecule: &Molecule<'_>) -> Self {
        Self {
            numbers: molecule.numbers.to_owned(),
            periodic: molecule.lattice.is_some(),
        }
    }

    /// Whether the molecule has the same, in the same order.
    pub fn fit(&self, molecule: &Molecule<'_>) -> bool {
        self.periodic == molecule.lattice.is_some() && self.numbers == molecule.numbers
    }
}

/// Memory for the arrays of a molecule.
#[derive(Clone, Debug, Default)]
pub struct Arrays {
    numbers: Vec<i32>,
    positions: Vec<[f64; 3]>,
}

impl Arrays {
    /// The molecule of a frame.
    pub fn molecule(&mut self, frame: &Frame<'_>, charge: i32, uhf: i32) -> Molecule<'_> {
        let bohr = |r: &[f64; 3]| r.map(|x| x / BOHR);
        self.numbers.clear();
        self.numbers
            .extend(frame.species.iter().map(|&z| i32::from(z)));
        self.positions.clear();
        self.positions.extend(frame.positions.iter().map(bohr));
        Molecule {
            numbers: &self.numbers,
            positions: &self.positions,
            lattice: frame
                .cell
                .is_periodic()
                .then(|| frame.cell.vectors.map(|v| bohr(&v))),
            charge: f64::from(charge),
            uhf,
        }
    }
}

/// Complains about two atoms at the same place, images included: the libraries see some of them, and die of, or answer
/// nonsense to, others.
pub fn refuse_coincidence(frame: &Frame<'_>) -> Result<(), String> {
    let cell = &frame.cell;
    let reciprocal = cell.is_periodic().then(|| cell.reciprocal());
    let wrap = |mut d: [f64; 3]| {
        if let Some(reciprocal) = reciprocal {
            let shift = reciprocal.map(|b| (b[0] * d[0] + b[1] * d[1] + b[2] * d[2]).round());
            for (s, v) in shift.iter().zip(cell.vectors) {
                for k in 0..3 {
                    d[k] -= s * v[k];
                }
            }
        }
        d
    };
    for (j, b) in frame.positions.iter().enumerate() {
        for (i, a) in frame.positions[..j].iter().enumerate() {
            if norm(wrap([b[0] - a[0], b[1] - a[1], b[2] - a[2]])) < NEAREST {
                let name = |atom: usize| format!("{atom} ({})", symbol(frame.species[atom]));
                let (i, j) = (name(i), name(j));
                return Err(format!("atoms {i} and {j} are at the same place"));
            }
        }
    }
    Ok(())
}
