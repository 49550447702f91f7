//! One calculator for all these libraries.

use std::sync::Arc;

use crate::domain::calculator::{Calculator, Factory, Failure, Results};
use crate::domain::cell::Cell;
use crate::domain::elements::symbol;
use crate::domain::frame::Frame;
use crate::domain::units::{BOHR, HARTREE};

use super::molecule::{Arrays, Molecule, refuse_coincidence};
use super::settings::Settings;
use super::valence::{self, refuse_electrons};

/// Lists of elements whose parameters a worker keeps.
pub const MOST_PREPARED: usize = 8;

/// A library that was found and a method of it. It stays on the thread that opened it.
pub trait Engine: Sized + 'static {
    /// What the calculator is called in messages.
    const NAME: &'static str;
    /// How the library says that the SCF did not converge.
    const NOT_CONVERGED: &'static str;
    /// A parametrisation.
    type Method: Copy + Send + Sync + 'static;
    /// A calculator of the library with the parameters of a list of elements.
    type Prepared;

    /// Finds the library, or says in one line why it cannot be used and what to do.
    fn open(method: Self::Method) -> Result<Self, String>;
    /// The library and its version, wherever it is.
    fn version(&self) -> String;
    /// One thread for what the calling thread evaluates from now on.
    fn use_one_thread(&self);
    /// Atomic orbitals of an atom.
    fn orbitals(method: Self::Method, species: u8) -> u32;
    /// Complains about cells that the library treats wrongly.
    fn refuse_cell(&self, cell: &Cell) -> Result<(), String>;
    /// Loads the parameters for molecules of these elements, in this order. Of `molecule` only the elements, and whether
    /// there is a lattice, matter to later single points.
    fn prepare(
        &self,
        molecule: &Molecule<'_>,
        settings: &Settings,
    ) -> Result<Self::Prepared, String>;
    /// Whether it was prepared for molecules of these elements.
    fn fits(prepared: &Self::Prepared, molecule: &Molecule<'_>) -> bool;
    /// Fills `gradient` (Hartree/Bohr, one row per atom). Values do not depend on earlier calls. After an error, the
    /// library's own message in one line, `prepared` must not be used again.
    ///
    /// The caller has checked that there are atoms, that their numbers are 1 to 86, that positions are finite and no two
    /// atoms at the same place, and that charge and unpaired electrons fit the orbitals: otherwise a library may end the
    /// process.
    fn singlepoint(
        &self,
        prepared: &mut Self::Prepared,
        molecule: &Molecule<'_>,
        gradient: &mut [[f64; 3]],
    ) -> Result<SinglePoint, String>;
}

/// What a single point gives besides the gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SinglePoint {
    /// Energy (Hartree).
    pub energy: f64,
    /// `∂E/∂ε` (Hartree) of a periodic system, where the library has it.
    pub strain_derivative: Option<[[f64; 3]; 3]>,
}

/// Makes calculators.
pub struct Job<E: Engine> {
    method: E::Method,
    settings: Settings,
}

impl<E: Engine> Job<E> {
    /// A factory of calculators with this method.
    pub fn factory(method: E::Method, settings: Settings) -> Arc<dyn Factory> {
        Arc::new(Self { method, settings })
    }
}

impl<E: Engine> Clone for Job<E> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<E: Engine> Factory for Job<E> {
    fn build(&self) -> Result<Box<dyn Calculator>, String> {
        let engine = E::open(self.method)?;
        // Who sets the variable has chosen; see `adapters::environment`.
        if std::env::var_os("OMP_NUM_THREADS").is_none() {
            engine.use_one_thread();
        }
        Ok(Box::new(TightBinding {
            engine,
            job: self.clone(),
            arrays: Arrays::default(),
            kept: Vec::with_capacity(MOST_PREPARED),
        }))
    }

    fn try_out(&self, _: &Frame<'_>) -> Result<(), String> {
        E::open(self.method).map(drop)
    }

    fn library(&self) -> Option<String> {
        E::open(self.method).ok().map(|engine| engine.version())
    }

    fn size_of(&self, species: u8) -> u8 {
        E::orbitals(self.method, species) as u8
    }

    fn check_species(&self, species: &[u8]) -> Result<(), String> {
        let unknown = species
            .iter()
            .find(|z| !(1..=valence::HEAVIEST).contains(*z));
        match unknown {
            None => Ok(()),
            Some(z) => Err(format!(
                "{} has no parameters for {} (atomic number {z}), only for H to Rn",
                E::NAME,
                symbol(*z)
            )),
        }
    }
}

struct TightBinding<E: Engine> {
    engine: E,
    job: Job<E>,
    arrays: Arrays,
    /// The one used last comes last.
    kept: Vec<E::Prepared>,
}

impl<E: Engine> TightBinding<E> {
    /// Refuses what a library treats wrongly or dies of.
    fn refuse(&self, frame: &Frame<'_>) -> Result<(), String> {
        if frame.is_empty() {
            return Err("the frame has no atoms".into());
        }
        if let Some(defect) = frame.defect() {
            return Err(defect);
        }
        let Job { method, settings } = &self.job;
        self.job.check_species(frame.species)?;
        if frame.cell.is_periodic() {
            self.engine.refuse_cell(&frame.cell)?;
        }
        let Settings { charge, uhf, .. } = *settings;
        refuse_electrons(frame.species, charge, uhf, |z| E::orbitals(*method, z))?;
        refuse_coincidence(frame)
    }
}

impl<E: Engine> Calculator for TightBinding<E> {
    fn evaluate(&mut self, frame: &Frame<'_>, results: &mut Results<'_>) -> Result<(), Failure> {
        self.refuse(frame).map_err(Failure::Failed)?;
        let Self {
            engine,
            job,
            arrays,
            kept,
        } = self;
        let settings = &job.settings;
        let molecule = arrays.molecule(frame, settings.charge, settings.uhf);
        let found = singlepoint(engine, kept, &molecule, settings, results.forces);
        let found = found.map_err(|message| failure::<E>(&message))?;
        *results.energy = found.energy * HARTREE;
        for force in results.forces.iter_mut() {
            *force = force.map(|x| -x * (HARTREE / BOHR));
        }
        if let Some(w) = found.strain_derivative {
            // Symmetric but for rounding, which is not for users to see.
            let factor = 0.5 * HARTREE / frame.cell.volume();
            *results.stress = [0, 1, 2].map(|a| [0, 1, 2].map(|b| factor * (w[a][b] + w[b][a])));
        }
        Ok(())
    }
}

/// Evaluates with the parameters that were loaded for these elements, or loads them.
fn singlepoint<E: Engine>(
    engine: &E,
    kept: &mut Vec<E::Prepared>,
    molecule: &Molecule<'_>,
    settings: &Settings,
    gradient: &mut [[f64; 3]],
) -> Result<SinglePoint, String> {
    let mut prepared = if let Some(at) = kept.iter().rposition(|p| E::fits(p, molecule)) {
        kept.remove(at)
    } else {
        if kept.len() == MOST_PREPARED {
            kept.remove(0);
        }
        engine.prepare(molecule, settings)?
    };
    let found = engine.singlepoint(&mut prepared, molecule, gradient)?;
    // After an error nobody knows what state it is in.
    kept.push(prepared);
    Ok(found)
}

/// Says what a library's message means for the frame.
fn failure<E: Engine>(message: &str) -> Failure {
    let said = format!("{}: {message}", E::NAME);
    if message.contains(E::NOT_CONVERGED) {
        Failure::NotConverged(said)
    } else {
        Failure::Failed(said)
    }
}
