//! Frames that nobody has to bring along: the same ones on every machine.

use std::path::Path;

use crate::adapters::hdf5::failed;
use crate::adapters::hdf5::trajectory_writer::{Authorship, TrajectoryWriter};
use crate::adapters::source::SourceFrame;
use crate::adapters::source::schema::Schema;
use crate::domain::calculator::Factory;
use crate::domain::cell::Cell;
use crate::domain::error::{Error, Result};
use crate::domain::frame::FrameBlock;

/// A multiplicative congruential generator (Knuth's MMIX constants), -1..1: the same numbers on every machine.
pub fn random(state: &mut u64) -> f64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

/// A number from the normal distribution: mean 0, variance 1 (Box and Muller).
fn normal(state: &mut u64) -> f64 {
    let u = (0.5 * (1.0 + random(state))).max(f64::MIN_POSITIVE);
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::PI * random(state)).cos()
}

/// What the frames are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Substance {
    /// Argon at the density of the liquid at 90 K: a crystal whose atoms are displaced by up to 0.4 Å. Periodic.
    Argon,
    /// Silicon at the density of the crystal, the atoms displaced by up to 0.2 Å. Periodic.
    Silicon,
    /// Water molecules on a lattice, without a cell, the atoms displaced by up to 0.02 Å.
    Water,
}

impl Substance {
    /// The first one that the calculator can treat. Engines in other languages get molecules first.
    pub fn for_calculator(factory: &dyn Factory, foreign: bool) -> Option<Self> {
        let order = if foreign {
            [Self::Water, Self::Argon, Self::Silicon]
        } else {
            [Self::Argon, Self::Silicon, Self::Water]
        };
        order.into_iter().find(|substance| {
            let species: &[u8] = match substance {
                Self::Argon => &[18],
                Self::Silicon => &[14],
                Self::Water => &[1, 8],
            };
            factory.check_species(species).is_ok()
        })
    }

    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Argon => "argon",
            Self::Silicon => "silicon",
            Self::Water => "water",
        }
    }

    /// A number of atoms that this substance can have: the one wished for, or the next above.
    pub fn atoms(self, wished: usize) -> usize {
        match self {
            Self::Water => 3 * wished.max(1).div_ceil(3),
            _ => wished.max(1),
        }
    }

    fn species(self, atoms: usize) -> Vec<u8> {
        match self {
            Self::Argon => vec![18; atoms],
            Self::Silicon => vec![14; atoms],
            Self::Water => [8, 1, 1].repeat(atoms / 3),
        }
    }
}

/// What to make.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recipe {
    /// Of what.
    pub substance: Substance,
    /// Frames.
    pub frames: u64,
    /// Atoms per frame: of all, or in the mean.
    pub atoms: usize,
    /// Frames of different sizes: the standard deviation of the logarithm of the number of atoms, which is lognormal.
    /// 0: all are equal.
    pub sigma: f64,
}

impl Recipe {
    /// The number of atoms of each frame.
    fn sizes(&self) -> impl Iterator<Item = usize> {
        let (recipe, mut state) = (*self, 4711);
        (0..self.frames).map(move |_| {
            if recipe.sigma == 0.0 {
                return recipe.substance.atoms(recipe.atoms);
            }
            // Its mean is `atoms`; beyond 3.5 sigma there is one frame in 4,000, and it would hold up the whole run.
            let deviation = normal(&mut state).clamp(-3.5, 3.5);
            let exponent = recipe.sigma * (deviation - 0.5 * recipe.sigma);
            let atoms = (recipe.atoms as f64 * exponent.exp()).round() as usize;
            recipe.substance.atoms(atoms)
        })
    }

    /// The frames, in memory.
    pub fn block(&self) -> FrameBlock {
        let mut block = FrameBlock::default();
        let mut frame = SourceFrame::default();
        let mut state = 1;
        for (index, atoms) in self.sizes().enumerate() {
            fill(self.substance, atoms, &mut state, &mut frame);
            let borrowed = crate::domain::frame::Frame {
                species: &frame.species,
                positions: &frame.positions,
                cell: frame.cell,
            };
            block.push(index as u64, borrowed);
        }
        block
    }

    /// Writes the frames as an H5MD trajectory, frame by frame.
    pub fn write(&self, path: &Path) -> Result<()> {
        let shown = path.display();
        let doing = || failed(format!("cannot write {shown}"));
        let mut frame = SourceFrame::default();
        let mut sizes = self.sizes();
        let first = sizes
            .next()
            .ok_or_else(|| Error::usage("no frames to make"))?;
        fill(self.substance, first, &mut 1, &mut frame);
        let ragged = self.sigma != 0.0;
        let has_cell = frame.has_cell;
        let schema = Schema {
            frames: self.frames,
            atoms: self.sizes().map(|n| n as u64).sum(),
            first_atoms: first,
            ragged,
            species: (!ragged).then(|| frame.species.clone()),
            has_cell,
            vectors: (!ragged).then_some(frame.cell.vectors),
            periodic: [has_cell; 3],
            ..Schema::default()
        };
        let authorship = Authorship {
            author: "framewise bench",
            version: env!("CARGO_PKG_VERSION"),
            said: "",
            origin: None,
        };
        let mut writer = TrajectoryWriter::create(path, schema, &authorship).map_err(doing())?;
        let mut state = 1;
        for atoms in self.sizes() {
            fill(self.substance, atoms, &mut state, &mut frame);
            let fits = writer.push(&frame).map_err(doing())?;
            debug_assert!(fits, "made after its own schema");
        }
        if writer.finish().map_err(doing())? {
            return Ok(());
        }
        Err(Error::failure(format!(
            "{shown}: not all frames were written"
        )))
    }
}

/// Makes the next frame.
fn fill(substance: Substance, atoms: usize, state: &mut u64, frame: &mut SourceFrame) {
    frame.positions.clear();
    if frame.species.len() != atoms {
        frame.species = substance.species(atoms);
    }
    let shake =
        |site: [f64; 3], by: f64, state: &mut u64| [0, 1, 2].map(|d| site[d] + by * random(state));
    match substance {
        Substance::Argon | Substance::Silicon => {
            let (edge, basis, by): (f64, &[[f64; 3]], f64) = match substance {
                Substance::Argon => (5.8, &FACE_CENTRED, 0.4),
                _ => (5.431, &DIAMOND, 0.2),
            };
            // Columns of m x m cells, as high as it takes: the density is that of the crystal, but for the last layer.
            let cells = atoms.div_ceil(basis.len());
            let m = (((cells as f64).cbrt() + 1e-9) as usize).max(1);
            let layers = cells.div_ceil(m * m);
            for site in 0..cells {
                let corner = [site % m, site / m % m, site / (m * m)];
                for b in basis.iter().take(atoms - frame.positions.len()) {
                    let place = [0, 1, 2].map(|d| edge * (corner[d] as f64 + b[d]));
                    frame.positions.push(shake(place, by, state));
                }
            }
            let [x, y, z] = [m, m, layers].map(|n| edge * n as f64);
            frame.cell = Cell::periodic([[x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, z]]);
            frame.has_cell = true;
        }
        Substance::Water => {
            for molecule in 0..atoms / 3 {
                let site = [molecule % 4, molecule / 4 % 4, molecule / 16].map(|k| 3.2 * k as f64);
                for r in [[0.0; 3], [0.95, 0.1, 0.0], [-0.3, 0.92, 0.05]] {
                    let place = [0, 1, 2].map(|d| site[d] + r[d]);
                    frame.positions.push(shake(place, 0.02, state));
                }
            }
            frame.cell = Cell::OPEN;
            frame.has_cell = false;
        }
    }
}

const FACE_CENTRED: [[f64; 3]; 4] = [[0.0; 3], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]];
const DIAMOND: [[f64; 3]; 8] = [
    [0.0; 3],
    [0.0, 0.5, 0.5],
    [0.5, 0.0, 0.5],
    [0.5, 0.5, 0.0],
    [0.25, 0.25, 0.25],
    [0.25, 0.75, 0.75],
    [0.75, 0.25, 0.75],
    [0.75, 0.75, 0.25],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_equal_or_lognormal_and_have_no_atoms_on_top_of_each_other() {
        let recipe = Recipe {
            substance: Substance::Argon,
            frames: 2000,
            atoms: 100,
            sigma: 1.0,
        };
        let sizes: Vec<_> = recipe.sizes().collect();
        let mean = sizes.iter().sum::<usize>() as f64 / 2000.0;
        let below = sizes
            .iter()
            .filter(|n| **n as f64 <= 100.0 * (-0.5_f64).exp())
            .count();
        assert!((80.0..120.0).contains(&mean), "{mean}");
        assert!(
            (900..1100).contains(&below),
            "the median is where it should be: {below}"
        );
        let equal = Recipe {
            frames: 2,
            sigma: 0.0,
            ..recipe
        };
        for substance in [Substance::Argon, Substance::Silicon, Substance::Water] {
            let block = Recipe { substance, ..equal }.block();
            assert_eq!(block.len(), 2);
            let frame = block.frame(1);
            assert!(frame.defect().is_none() && (100..=102).contains(&frame.len()));
            for (i, a) in frame.positions.iter().enumerate() {
                for b in &frame.positions[..i] {
                    let d: f64 = (0..3).map(|k| (a[k] - b[k]).powi(2)).sum();
                    assert!(d > 0.5, "{substance:?}: {a:?} {b:?}");
                }
            }
        }
    }
}
