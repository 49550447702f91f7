//! What the entries of a file say of the species of a frame.

use super::file::{Entries, Entry};

/// An exponent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Exponent {
    /// Small and whole, as most are.
    Whole(u32),
    Real(f64),
}

impl Exponent {
    fn new(x: f64) -> Self {
        if x == x.trunc() && x <= 32.0 {
            Self::Whole(x as u32)
        } else {
            Self::Real(x)
        }
    }
}

/// One g: `e^(width/(r - end))` for r² < `reach2`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Decay {
    /// γσ (Å).
    pub width: f64,
    /// aσ (Å).
    pub end: f64,
    /// Å².
    pub reach2: f64,
}

/// What two species have, i and j.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PairTerm {
    /// A ε (eV).
    pub strength: f64,
    pub big_b: f64,
    /// σ (Å).
    pub sigma: f64,
    pub p: Exponent,
    pub q: Exponent,
    /// g of the two-body term: without γ.
    pub two: Decay,
    /// g around i, and around j.
    pub three: [Decay; 2],
}

/// What a triplet has.
#[derive(Clone, Copy, Debug)]
pub(super) struct TripletTerm {
    /// λ ε (eV).
    pub strength: f64,
    pub cos_theta0: f64,
}

/// Everything, by positions of species in the list.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    species: usize,
    pairs: Vec<PairTerm>,
    triplets: Vec<TripletTerm>,
    /// How far the longest pair reaches (Å).
    pub reach: f64,
}

impl Terms {
    /// For species of these names in the file.
    pub fn new(entries: &Entries, names: &[&str]) -> Result<Self, String> {
        let mut missing = Vec::new();
        for i in names {
            for j in names {
                for k in names {
                    let key = [*i, *j, *k].map(str::to_owned);
                    if !entries.entries.contains_key(&key) {
                        missing.push(key.join(" "));
                    }
                }
            }
        }
        if !missing.is_empty() {
            return Err(complaint(entries, &missing));
        }
        let entry = |i: usize, j: usize, k: usize| {
            let key = [i, j, k].map(|n| names[n].to_owned());
            &entries.entries[&key]
        };
        let all = 0..names.len();
        let mut pairs = Vec::new();
        let mut triplets = Vec::new();
        let mut reach = 0.0_f64;
        for i in all.clone() {
            for j in all.clone() {
                let (one, other) = (entry(i, j, j), entry(j, i, i));
                let term = PairTerm::new(one, other);
                if term.two_body() != PairTerm::new(other, one).two_body() {
                    return Err(format!(
                        "{}: epsilon, sigma, a, A, B, p, q or tol of {} {} {} (line {}) and {} {} {} (line {}) \
                         differ: the pair has one energy",
                        entries.source,
                        names[i],
                        names[j],
                        names[j],
                        one.line,
                        names[j],
                        names[i],
                        names[i],
                        other.line
                    ));
                }
                reach = reach.max(term.two.reach2.sqrt());
                pairs.push(term);
                for k in all.clone() {
                    let (one, other) = (entry(i, j, k), entry(i, k, j));
                    let term = TripletTerm::new(one);
                    let same = TripletTerm::new(other);
                    if (term.strength, term.cos_theta0) != (same.strength, same.cos_theta0) {
                        return Err(format!(
                            "{}: lambda epsilon or costheta0 of {} {} {} (line {}) and {} {} {} (line {}) differ: \
                             the triplet has one energy",
                            entries.source,
                            names[i],
                            names[j],
                            names[k],
                            one.line,
                            names[i],
                            names[k],
                            names[j],
                            other.line
                        ));
                    }
                    triplets.push(term);
                }
            }
        }
        // Pairs that reach nowhere are possible; a search wants a cutoff.
        let reach = if reach > 0.0 { reach } else { 1e-6 };
        Ok(Self {
            species: names.len(),
            pairs,
            triplets,
            reach,
        })
    }

    pub fn pair(&self, i: usize, j: usize) -> &PairTerm {
        &self.pairs[i * self.species + j]
    }

    /// The triplets around species i with a neighbour of species j, by species of the other one.
    pub fn triplets(&self, i: usize, j: usize) -> &[TripletTerm] {
        let first = (i * self.species + j) * self.species;
        &self.triplets[first..first + self.species]
    }
}

fn complaint(entries: &Entries, missing: &[String]) -> String {
    let shown: Vec<_> = missing.iter().take(4).map(String::as_str).collect();
    let more = if missing.len() > shown.len() {
        format!(" and {} more", missing.len() - shown.len())
    } else {
        String::new()
    };
    let names: std::collections::BTreeSet<_> = entries.entries.keys().flatten().collect();
    let names: Vec<_> = names.into_iter().map(String::as_str).collect();
    let remedy = if entries.source == "stillinger-weber" {
        "only silicon is built in: add --param file=X.sw with all triplets"
    } else {
        "every triplet of the species present needs one; a name that is not a symbol is given as --param label.O=NAME"
    };
    format!(
        "{} has no entry for {}{more} (it has {}): {remedy}",
        entries.source,
        shown.join(", "),
        names.join(", ")
    )
}

/// aσ, shortened where `tol` says how small a g may be neglected, as LAMMPS does it.
fn reach(entry: &Entry) -> f64 {
    let end = entry.sigma * entry.a;
    if entry.tol <= 0.0 {
        return end;
    }
    let width = entry.sigma * entry.gamma.min(1.0);
    end + width / libm::log(entry.tol.min(0.01))
}

impl Decay {
    fn new(entry: &Entry, gamma: f64) -> Self {
        let reach = reach(entry).max(0.0);
        Self {
            width: gamma * entry.sigma,
            end: entry.sigma * entry.a,
            reach2: reach * reach,
        }
    }
}

impl PairTerm {
    /// Of the entries `i j j` and `j i i`.
    fn new(one: &Entry, other: &Entry) -> Self {
        Self {
            strength: one.big_a * one.epsilon,
            big_b: one.big_b,
            sigma: one.sigma,
            p: Exponent::new(one.p),
            q: Exponent::new(one.q),
            two: Decay::new(one, 1.0),
            three: [Decay::new(one, one.gamma), Decay::new(other, other.gamma)],
        }
    }

    /// Without what belongs to triplets.
    fn two_body(&self) -> Self {
        Self {
            three: [self.two; 2],
            ..*self
        }
    }
}

impl TripletTerm {
    fn new(entry: &Entry) -> Self {
        Self {
            strength: entry.lambda * entry.epsilon,
            cos_theta0: entry.cos_theta0,
        }
    }
}
