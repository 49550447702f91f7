//! `stillinger-weber`: the two- and three-body potential, in pure Rust.
//!
//! ```text
//! E = Σ_i<j A ε [B (σ/r)^p - (σ/r)^q] e^(σ/(r - aσ))
//!   + Σ_i Σ_j<k λ ε (cos θ_jik - cos θ0)² g_ij(r_ij) g_ik(r_ik),      g(r) = e^(γσ/(r - aσ))
//! ```
//!
//! each term for r < aσ. As in LAMMPS' `sw`, σ, a, γ, A, B, p and q of a pair i, j are those of the entry `i j j`; λ, ε and
//! cos θ0 of a triplet around i those of `i j k`. F. H. Stillinger and T. A. Weber, Phys. Rev. B 31, 5262 (1985), whose
//! silicon is built in.
//!
//! 1. Near pairs, eight side by side (`kernel.rs`): the two-body term, and both g of the pair with their slopes.
//! 2. These bonds are sorted by atom; around each atom the triplets then are products of what its bonds hold.

mod file;
mod kernel;
mod terms;
mod triplets;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::file::{Entries, silicon};
use self::kernel::{Bonds, evaluate};
use self::terms::Terms;
use self::triplets::Around;
use crate::domain::calculator::{
    Availability, Calculator, CalculatorKind, Factory, Failure, Home, Results,
};
use crate::domain::calculators::pair::SAME_PLACE;
use crate::domain::elements::symbol;
use crate::domain::frame::Frame;
use crate::domain::neighbors::{NeighborSearch, Pairs, Progress, Scratch};
use crate::domain::parameters::{ParameterError, ParameterSpec, ParameterType, Parameters};

/// The entry in the table of calculators.
pub static KIND: CalculatorKind = CalculatorKind {
    name: "stillinger-weber",
    summary: "two- and three-body potential; silicon is built in, others from LAMMPS' .sw files",
    supports: "energy, forces, stress; any frame",
    page: include_str!("stillinger_weber.md"),
    home: Home::Rust,
    parameters: &[
        ParameterSpec {
            name: "file",
            kind: ParameterType::File,
            unit: "",
            default: None,
            per_pair: false,
            per_species: false,
            help: "parameters in LAMMPS' .sw format, units metal; without: silicon of 1985",
        },
        ParameterSpec {
            name: "label",
            kind: ParameterType::Text,
            unit: "",
            default: None,
            per_pair: false,
            per_species: true,
            help: "name in the file, where it is not the symbol of the element",
        },
    ],
    subject: None,
    settings: &[],
    catalogue: None,
    availability: || Availability::Available(String::new()),
    factory: |parameters, _| Ok(Arc::new(Model::new(parameters)?)),
    level_of_theory: |_| "stillinger-weber".into(),
};

/// The potential: all entries, and under which name species are in them.
#[derive(Clone, Debug)]
struct Model {
    entries: Arc<Entries>,
    labels: BTreeMap<u8, String>,
}

impl Model {
    fn new(parameters: &Parameters) -> Result<Self, ParameterError> {
        if parameters.text("label").is_some() {
            return Err(ParameterError(
                "parameter label: every species has its own: --param label.O=NAME".into(),
            ));
        }
        let labels = parameters.species_texts("label");
        let labels: BTreeMap<_, _> = labels.map(|(z, name)| (z, name.to_owned())).collect();
        let Some(file) = parameters.file("file") else {
            if !labels.is_empty() {
                return Err(ParameterError(
                    "parameter label: names in a file, but none is given: add --param file=X.sw"
                        .into(),
                ));
            }
            return Ok(Self {
                entries: Arc::new(silicon()),
                labels,
            });
        };
        let entries = Entries::read(&file.path, &file.text)
            .map_err(|why| ParameterError(format!("parameter file: {why}")))?;
        Ok(Self {
            entries: Arc::new(entries),
            labels,
        })
    }

    /// What the entries say of these species, or what is missing.
    fn terms(&self, species: &[u8]) -> Result<Terms, String> {
        let name = |z: &u8| {
            self.labels
                .get(z)
                .map_or_else(|| symbol(*z), String::as_str)
        };
        let names: Vec<_> = species.iter().map(name).collect();
        Terms::new(&self.entries, &names)
    }
}

impl Factory for Model {
    fn build(&self) -> Result<Box<dyn Calculator>, String> {
        Ok(Box::new(StillingerWeber {
            model: self.clone(),
            species: Vec::new(),
            terms: None,
            search: NeighborSearch::default(),
            scratch: Scratch::default(),
            pairs: Box::default(),
            bonds: Bonds::default(),
            around: Around::default(),
        }))
    }

    fn check_species(&self, species: &[u8]) -> Result<(), String> {
        self.terms(species).map(drop)
    }
}

/// The calculator of one thread: the model and buffers.
struct StillingerWeber {
    model: Model,
    /// Species of the terms below, ascending.
    species: Vec<u8>,
    terms: Option<Terms>,
    search: NeighborSearch,
    scratch: Scratch,
    pairs: Box<Pairs>,
    bonds: Bonds,
    around: Around,
}

impl StillingerWeber {
    /// Makes the terms for the species of a frame, unless they are those of the last frame.
    fn prepare(&mut self, species: &[u8]) -> Result<(), Failure> {
        let mut present = [false; 256];
        for z in species {
            present[usize::from(*z)] = true;
        }
        let distinct = (0..=u8::MAX).filter(|z| present[usize::from(*z)]);
        if self.terms.is_some() && distinct.clone().eq(self.species.iter().copied()) {
            return Ok(());
        }
        self.species.clear();
        self.species.extend(distinct);
        self.terms = None;
        self.terms = Some(self.model.terms(&self.species).map_err(Failure::Failed)?);
        Ok(())
    }

    /// The first two atoms (of the frame's order) at the same place, if any.
    fn coincident(&self, frame: &Frame<'_>) -> Option<Failure> {
        let order = self.search.order();
        let same = self.bonds.list.iter().filter(|bond| bond.r < SAME_PLACE);
        let pairs = same.map(|bond| {
            let (i, j) = (order[bond.first as usize], order[bond.second as usize]);
            (i.min(j), i.max(j))
        });
        let (i, j) = pairs.min()?;
        let name = |atom: u32| symbol(frame.species[atom as usize]);
        Some(Failure::Failed(format!(
            "atoms {i} ({}) and {j} ({}) are at the same place",
            name(i),
            name(j)
        )))
    }
}

impl Calculator for StillingerWeber {
    fn evaluate(&mut self, frame: &Frame<'_>, results: &mut Results<'_>) -> Result<(), Failure> {
        if frame.is_empty() {
            return Ok(());
        }
        self.prepare(frame.species)?;
        let Some(terms) = &self.terms else {
            return Ok(());
        };
        self.search
            .update(frame, terms.reach)
            .map_err(|e| Failure::Failed(e.0))?;
        self.bonds.begin(frame.len());
        let (search, pairs, bonds) = (&self.search, &mut self.pairs, &mut self.bonds);
        search.for_each_center(&mut self.scratch, |center| {
            let species = center.species;
            let pair = terms.pair(species.0, species.1);
            let mut progress = Progress::new(&center);
            while search.next_pairs(&center, &mut progress, pairs) {
                evaluate(pair, species, pairs, bonds);
            }
        });
        // Not many frames are looked at again: such a pair is a mistake of whoever made the frame.
        if bonds.shortest < SAME_PLACE
            && let Some(failure) = self.coincident(frame)
        {
            return Err(failure);
        }
        self.around.add(terms, &mut self.bonds);
        *results.energy = self.bonds.energy;
        for (atom, [x, y, z, _]) in self.search.order().iter().zip(&self.bonds.forces) {
            results.forces[*atom as usize] = [*x, *y, *z];
        }
        let volume = frame.cell.volume();
        if frame.cell.is_periodic() && volume > 0.0 {
            let [xx, yy, zz, yz, xz, xy] = self.bonds.virial.map(|w| -w / volume);
            *results.stress = [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]];
        }
        Ok(())
    }
}
