//! The C interface of libxtb (`xtb.h`, API 1.0.0), loaded when it is first asked for.
//!
//! What makes it safe to use from Rust:
//!
//! - Loading it, owning its handles: [`tight_binding::ffi`](crate::adapters::tight_binding::ffi).
//! - Arrays go in as slices whose lengths are checked against the number of atoms; the library copies them.
//! - Loading a parametrisation writes module variables of the library (`secq` of its D4 model), so molecules
//!   and calculators are made under one lock of the process. Nothing else is shared between two single points
//!   (helgrind on libxtb 6.5.1 reports no other race), so these run on many threads at once.
//! - A loaded calculator ([`Prepared`]) holds parameters and basis set of its list of elements. A single point reads
//!   it and writes molecule and results, which are made afresh for each: see the tests that compare bytes.
//! - Input that makes libxtb corrupt its memory (elements beyond radon, more unpaired electrons than orbitals)
//!   must be refused by the caller: see [`Engine`](crate::adapters::tight_binding::engine::Engine).

use std::ffi::{c_char, c_int};
use std::ptr::{null, null_mut};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::adapters::tight_binding::ffi::{
    DeleteHandle, Handle, Loaded, NewHandle, Owned, written,
};
use crate::adapters::tight_binding::library::Sought;
use crate::adapters::tight_binding::molecule::{Elements, Molecule};
use crate::adapters::tight_binding::settings::Settings;

/// A path to libxtb.
pub const LIBRARY_VARIABLE: &str = "FRAMEWISE_XTB_LIBRARY";

const SOUGHT: Sought = Sought {
    what: "libxtb",
    variable: LIBRARY_VARIABLE,
    prefix: None,
    names: &["libxtb.so.6", "libxtb.so"],
};

type LoadMethod = unsafe extern "C" fn(Handle, Handle, Handle, *mut c_char);
type GetValues = unsafe extern "C" fn(Handle, Handle, *mut f64);
type NewMolecule = unsafe extern "C" fn(
    Handle,
    *const c_int,
    *const c_int,
    *const f64,
    *const f64,
    *const c_int,
    *const f64,
    *const bool,
) -> Handle;

/// The functions of libxtb that are used here.
pub struct Api {
    /// The library.
    pub loaded: Loaded,
    get_api_version: unsafe extern "C" fn() -> c_int,
    new_environment: NewHandle,
    del_environment: DeleteHandle,
    check_environment: unsafe extern "C" fn(Handle) -> c_int,
    get_error: unsafe extern "C" fn(Handle, *mut c_char, *const c_int),
    set_verbosity: unsafe extern "C" fn(Handle, c_int),
    new_molecule: NewMolecule,
    del_molecule: DeleteHandle,
    new_calculator: NewHandle,
    del_calculator: DeleteHandle,
    load_gfn1: LoadMethod,
    load_gfn2: LoadMethod,
    set_accuracy: unsafe extern "C" fn(Handle, Handle, f64),
    set_max_iter: unsafe extern "C" fn(Handle, Handle, c_int),
    set_electronic_temp: unsafe extern "C" fn(Handle, Handle, f64),
    singlepoint: unsafe extern "C" fn(Handle, Handle, Handle, Handle),
    new_results: NewHandle,
    del_results: DeleteHandle,
    get_energy: GetValues,
    get_gradient: GetValues,
}

/// The parametrisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GFN1-xTB.
    Gfn1,
    /// GFN2-xTB.
    Gfn2,
}

static API: OnceLock<Result<Api, String>> = OnceLock::new();

/// The loaded library, or in one line why there is none. Looks once per process.
pub fn api() -> Result<&'static Api, &'static str> {
    API.get_or_init(load).as_ref().map_err(String::as_str)
}

fn load() -> Result<Api, String> {
    let loaded = SOUGHT.open()?;
    let name = loaded.name.clone();
    Api::find_all(loaded).map_err(|e| format!("{name} is not the libxtb that is needed ({e})"))
}

impl Api {
    fn find_all(from: Loaded) -> Result<Self, libloading::Error> {
        // SAFETY: the types of the fields are those of the functions in xtb.h.
        unsafe {
            Ok(Self {
                get_api_version: from.find("xtb_getAPIVersion")?,
                new_environment: from.find("xtb_newEnvironment")?,
                del_environment: from.find("xtb_delEnvironment")?,
                check_environment: from.find("xtb_checkEnvironment")?,
                get_error: from.find("xtb_getError")?,
                set_verbosity: from.find("xtb_setVerbosity")?,
                new_molecule: from.find("xtb_newMolecule")?,
                del_molecule: from.find("xtb_delMolecule")?,
                new_calculator: from.find("xtb_newCalculator")?,
                del_calculator: from.find("xtb_delCalculator")?,
                load_gfn1: from.find("xtb_loadGFN1xTB")?,
                load_gfn2: from.find("xtb_loadGFN2xTB")?,
                set_accuracy: from.find("xtb_setAccuracy")?,
                set_max_iter: from.find("xtb_setMaxIter")?,
                set_electronic_temp: from.find("xtb_setElectronicTemp")?,
                singlepoint: from.find("xtb_singlepoint")?,
                new_results: from.find("xtb_newResults")?,
                del_results: from.find("xtb_delResults")?,
                get_energy: from.find("xtb_getEnergy")?,
                get_gradient: from.find("xtb_getGradient")?,
                loaded: from,
            })
        }
    }

    /// Version of the C interface as (major, minor, patch); 1.0.0 since xtb 6.3.
    pub fn version(&self) -> (i32, i32, i32) {
        // SAFETY: no arguments, no state.
        let v = unsafe { (self.get_api_version)() };
        (v / 10_000, v / 100 % 100, v % 100)
    }

    /// Loads the parameters for molecules of these elements, in this order.
    ///
    /// Of `molecule` only the elements, and whether there is a lattice, matter to later single points.
    pub fn prepare(
        &self,
        molecule: &Molecule<'_>,
        method: Method,
        settings: &Settings,
    ) -> Result<Prepared, String> {
        let _construction = CONSTRUCTION.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: constructor and destructor of environments.
        let environment = unsafe { Owned::new((self.new_environment)(), self.del_environment) };
        let env = environment.handle();
        // SAFETY: `env` is a live environment; 0 is XTB_VERBOSITY_MUTED.
        unsafe { (self.set_verbosity)(env, 0) };
        let mol = self.molecule(env, molecule)?;
        // SAFETY: constructor and destructor of calculators.
        let calculator = unsafe { Owned::new((self.new_calculator)(), self.del_calculator) };
        let load = match method {
            Method::Gfn1 => self.load_gfn1,
            Method::Gfn2 => self.load_gfn2,
        };
        let calc = calculator.handle();
        // SAFETY: three live handles; a null file name selects the built-in parameters.
        unsafe { load(env, mol.handle(), calc, null_mut()) };
        self.check(env)?;
        // SAFETY: live handles; the calculator has been loaded, as `check` has found.
        unsafe {
            (self.set_accuracy)(env, calc, settings.accuracy);
            (self.set_max_iter)(env, calc, settings.max_iterations);
            (self.set_electronic_temp)(env, calc, settings.electronic_temperature);
        }
        Ok(Prepared {
            elements: Elements::of(molecule),
            calculator,
            environment,
        })
    }

    /// Energy (Hartree); fills `gradient` (Hartree/Bohr, one row per atom). Molecule and results are fresh: the
    /// values do not depend on earlier calls. `xtb_getVirial` is not used: libxtb 6.5.1 answers zeros.
    ///
    /// The error is xtb's own message in one line, innermost reason first; drop `prepared` after it.
    /// What the caller has checked: [`Engine::singlepoint`](crate::adapters::tight_binding::engine::Engine::singlepoint).
    pub fn singlepoint(
        &self,
        prepared: &mut Prepared,
        molecule: &Molecule<'_>,
        gradient: &mut [[f64; 3]],
    ) -> Result<f64, String> {
        if !prepared.elements.fit(molecule) || gradient.len() != molecule.numbers.len() {
            return Err("the calculator was loaded for other elements".into());
        }
        let (env, calc) = (prepared.environment.handle(), prepared.calculator.handle());
        let construction = CONSTRUCTION.lock().unwrap_or_else(PoisonError::into_inner);
        let mol = self.molecule(env, molecule)?;
        // SAFETY: constructor and destructor of results.
        let results = unsafe { Owned::new((self.new_results)(), self.del_results) };
        drop(construction);

        // SAFETY: live handles that no other thread uses meanwhile: `prepared` is borrowed mutably, the others are
        // our own; the calculator was loaded for the elements of the molecule, as `fit` has found.
        unsafe { (self.singlepoint)(env, mol.handle(), calc, results.handle()) };
        self.check(env)?;
        let mut energy = f64::NAN;
        // SAFETY: `results` holds a finished single point of as many atoms as `gradient` has rows; the destinations
        // have 1 and 3 times that many elements.
        unsafe {
            (self.get_energy)(env, results.handle(), &raw mut energy);
            (self.get_gradient)(
                env,
                results.handle(),
                gradient.as_flattened_mut().as_mut_ptr(),
            );
        }
        self.check(env)?;
        Ok(energy)
    }

    /// A molecule of the library. The caller holds the lock.
    fn molecule(&self, env: Handle, molecule: &Molecule<'_>) -> Result<Owned, String> {
        let natoms = molecule.atoms()?;
        let periodic = [true; 3];
        let (lattice, periodic) = match &molecule.lattice {
            Some(lattice) => (lattice.as_flattened().as_ptr(), periodic.as_ptr()),
            None => (null(), null()),
        };
        // SAFETY: `env` is live; every array has the length `natoms` says (checked above), lattice and flags are null
        // or of 9 and 3 elements; the library copies them.
        let handle = unsafe {
            (self.new_molecule)(
                env,
                &raw const natoms,
                molecule.numbers.as_ptr(),
                molecule.positions.as_flattened().as_ptr(),
                &raw const molecule.charge,
                &raw const molecule.uhf,
                lattice,
                periodic,
            )
        };
        // SAFETY: constructor and destructor of molecules.
        let owned = unsafe { Owned::new(handle, self.del_molecule) };
        self.check(env)?;
        Ok(owned)
    }

    /// The error stack of the environment, if there is an error; empties it.
    fn check(&self, env: Handle) -> Result<(), String> {
        // SAFETY: `env` is a live environment.
        if unsafe { (self.check_environment)(env) } == 0 {
            return Ok(());
        }
        // SAFETY: `env` is live, the buffer as long as it says.
        let text = written(|buffer, size| unsafe { (self.get_error)(env, buffer, size) });
        Err(one_line(&text))
    }
}

/// A calculator of the library with the parameters of a list of elements. It stays on the thread that made it.
#[derive(Debug)]
pub struct Prepared {
    /// Of the molecules that it can compute.
    pub elements: Elements,
    calculator: Owned,
    environment: Owned,
}

/// Held while module variables of the library are written.
static CONSTRUCTION: Mutex<()> = Mutex::new(());

/// xtb numbers its messages from the outermost (`-2- a: ...`) to the innermost (`-1- b: ...`), one per line.
fn one_line(stack: &str) -> String {
    let lines: Vec<&str> = stack
        .lines()
        .rev()
        .map(|line| {
            let line = line.trim();
            let message = line.strip_prefix('-').and_then(|l| l.split_once("- "));
            match message {
                Some((number, message)) if number.parse::<u32>().is_ok() => message,
                _ => line,
            }
        })
        .filter(|line| !line.is_empty())
        .collect();
    lines.join("; ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_innermost_reason_comes_first() {
        let stack = "-2- xtb_calculator_singlepoint: Electronic structure method terminated\n\
                     -1- scf: Self consistent charge iterator did not converge";
        assert_eq!(
            super::one_line(stack),
            "scf: Self consistent charge iterator did not converge; \
             xtb_calculator_singlepoint: Electronic structure method terminated"
        );
    }
}
