//! Triplets: around each atom, every two of its bonds.

use super::kernel::{Bond, Bonds};
use super::terms::Terms;

/// A bond as seen from one of its atoms.
#[derive(Clone, Copy, Debug)]
struct Arm {
    /// Sorted index of the other atom.
    other: u32,
    /// Species of the other atom, a position in the list of species.
    species: u8,
    /// Unit vector to the other atom.
    unit: [f64; 3],
    r: f64,
    g: f64,
    slope: f64,
    /// `Σ λε (cos θ - cos θ0)² g` over the other arms (eV).
    radial: f64,
    /// `Σ 2 λε (cos θ - cos θ0) g u` over the other arms, and the same with cos θ for u (eV).
    sideways: [f64; 3],
    cosines: f64,
}

/// Buffers.
#[derive(Clone, Debug, Default)]
pub(super) struct Around {
    /// Where the ends at each sorted atom begin in `ends`; one more at the end.
    starts: Vec<u32>,
    /// Number of a bond, twice, plus one for its second atom.
    ends: Vec<u32>,
    arms: Vec<Arm>,
}

impl Around {
    /// Adds all triplets to the sums.
    pub fn add(&mut self, terms: &Terms, bonds: &mut Bonds) {
        self.sort(bonds);
        for atom in 0..self.starts.len() - 1 {
            let (start, end) = (self.starts[atom] as usize, self.starts[atom + 1] as usize);
            self.arms.clear();
            let mut center = 0;
            for end in &self.ends[start..end] {
                let side = usize::from(end % 2 == 1);
                let bond = &bonds.list[(end / 2) as usize];
                // Beyond the reach of this end.
                if bond.g[side] > 0.0 {
                    let (own, arm) = arm(bond, side);
                    center = own;
                    self.arms.push(arm);
                }
            }
            self.meet(terms, center.into(), bonds);
            for arm in &self.arms {
                // F = -[g' radial u + g (sideways - cosines u) / r]
                let across = arm.g / arm.r;
                let along = arm.slope * arm.radial - across * arm.cosines;
                let f = [0, 1, 2].map(|d| -(along * arm.unit[d] + across * arm.sideways[d]));
                let r = arm.unit.map(|u| arm.r * u);
                bonds.push_apart((atom as u32, arm.other), r, f);
            }
        }
    }

    /// Every two arms of an atom of species `center`.
    fn meet(&mut self, terms: &Terms, center: usize, bonds: &mut Bonds) {
        let mut energy = 0.0;
        for n in 1..self.arms.len() {
            let (before, rest) = self.arms.split_at_mut(n);
            let Some(one) = rest.first_mut() else {
                break;
            };
            let terms = terms.triplets(center, one.species.into());
            for other in before {
                let term = &terms[usize::from(other.species)];
                let (u, v) = (one.unit, other.unit);
                let cos = u[0] * v[0] + u[1] * v[1] + u[2] * v[2];
                let off = cos - term.cos_theta0;
                let turn = term.strength * off;
                let bend = turn * off;
                energy += bend * one.g * other.g;
                one.radial += bend * other.g;
                other.radial += bend * one.g;
                let (to_one, to_other) = (2.0 * turn * other.g, 2.0 * turn * one.g);
                one.cosines += to_one * cos;
                other.cosines += to_other * cos;
                for d in 0..3 {
                    one.sideways[d] += to_one * v[d];
                    other.sideways[d] += to_other * u[d];
                }
            }
        }
        bonds.energy += energy;
    }

    /// Counting sort of the ends of bonds by their atoms.
    fn sort(&mut self, bonds: &Bonds) {
        self.starts.clear();
        self.starts.resize(bonds.forces.len() + 1, 0);
        for bond in &bonds.list {
            self.starts[bond.first as usize] += 1;
            self.starts[bond.second as usize] += 1;
        }
        let mut sum = 0;
        for start in &mut self.starts {
            sum += std::mem::replace(start, sum);
        }
        self.ends.clear();
        self.ends.resize(2 * bonds.list.len(), 0);
        for (n, bond) in bonds.list.iter().enumerate() {
            for (side, atom) in [bond.first, bond.second].into_iter().enumerate() {
                let at = &mut self.starts[atom as usize];
                self.ends[*at as usize] = (2 * n + side) as u32;
                *at += 1;
            }
        }
        // Filling moved every start to the next one.
        self.starts.rotate_right(1);
        self.starts[0] = 0;
    }
}

/// One end of a bond: the species there, and the bond as seen from there.
fn arm(bond: &Bond, side: usize) -> (u8, Arm) {
    let (own, other, species, sign) = if side == 0 {
        (bond.species.0, bond.second, bond.species.1, 1.0)
    } else {
        (bond.species.1, bond.first, bond.species.0, -1.0)
    };
    let arm = Arm {
        other,
        species,
        unit: bond.unit.map(|u| sign * u),
        r: bond.r,
        g: bond.g[side],
        slope: bond.slope[side],
        radial: 0.0,
        sideways: [0.0; 3],
        cosines: 0.0,
    };
    (own, arm)
}
