//! The C interface of libxtb (`xtb.h`, API 1.0.0), loaded when it is first asked for.
//!
//! What makes it safe to use from Rust:
//!
//! - The library is never unloaded, so its functions stay valid for the life of the process.
//! - Arrays go in as slices whose lengths are checked against the number of atoms; the library copies them.
//! - Handles are owned by values that free them once, and are not shared between threads.
//! - Loading a parametrisation writes module variables of the library (`secq` of its D4 model), so molecules
//!   and calculators are made under one lock of the process. Nothing else is shared between two single points
//!   (helgrind on libxtb 6.5.1 reports no other race), so these run on many threads at once.
//! - A loaded calculator ([`Prepared`]) holds parameters and basis set of its list of elements. A single point reads
//!   it and writes molecule and results, which are made afresh for each: see the tests that compare bytes.
//! - Input that makes libxtb corrupt its memory (elements beyond radon, more unpaired electrons than orbitals)
//!   must be refused by the caller: see [`Api::singlepoint`].

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{null, null_mut};
use std::sync::{Mutex, OnceLock, PoisonError};

use libloading::Library;

/// Names this variable is tried before the usual ones: a path to libxtb.
pub const LIBRARY_VARIABLE: &str = "FRAMEWISE_XTB_LIBRARY";

const LIBRARY_NAMES: [&str; 2] = ["libxtb.so.6", "libxtb.so"];

type Handle = *mut c_void;
type NewHandle = unsafe extern "C" fn() -> Handle;
type DeleteHandle = unsafe extern "C" fn(*mut Handle);
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
    /// The name or path under which the library was found.
    pub library: String,
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
    omp_set_num_threads: Option<unsafe extern "C" fn(c_int)>,
    openblas_set_num_threads: Option<unsafe extern "C" fn(c_int)>,
}

/// The parametrisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GFN1-xTB.
    Gfn1,
    /// GFN2-xTB.
    Gfn2,
}

/// What is computed, in atomic units.
#[derive(Clone, Copy, Debug)]
pub struct Molecule<'a> {
    /// Atomic numbers, 1 to 86.
    pub numbers: &'a [c_int],
    /// Positions (Bohr), one row per atom.
    pub positions: &'a [[f64; 3]],
    /// Cell vectors as rows (Bohr) of a system periodic in all three directions.
    pub lattice: Option<[[f64; 3]; 3]>,
    /// Total charge (e).
    pub charge: f64,
    /// Number of unpaired electrons.
    pub uhf: c_int,
}

/// How it is computed.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The parametrisation.
    pub method: Method,
    /// Factor on all thresholds, 1e-4 to 1e3.
    pub accuracy: f64,
    /// Iterations of the self-consistent charges.
    pub max_iterations: c_int,
    /// Temperature of the electrons (K).
    pub electronic_temperature: f64,
}

static API: OnceLock<Result<Api, String>> = OnceLock::new();

/// The loaded library, or in one line why there is none. Looks once per process.
pub fn api() -> Result<&'static Api, &'static str> {
    API.get_or_init(load).as_ref().map_err(String::as_str)
}

fn load() -> Result<Api, String> {
    let chosen = std::env::var(LIBRARY_VARIABLE).ok();
    let names = match &chosen {
        Some(path) => vec![path.as_str()],
        None => LIBRARY_NAMES.to_vec(),
    };
    let mut reason = String::new();
    for name in names {
        // SAFETY: loading runs the initialisers of libxtb, its BLAS and the Fortran and OpenMP runtimes, which
        // have no preconditions; a file named by the user is trusted as any program he starts.
        match unsafe { Library::new(name) } {
            Ok(library) => {
                keep_freed_memory();
                return Api::bind(name, library);
            }
            Err(e) => reason = e.to_string(),
        }
    }
    let from = chosen.map_or_else(String::new, |path| {
        format!("; {LIBRARY_VARIABLE} is {path:?}")
    });
    Err(format!("libxtb cannot be loaded ({reason}{from})"))
}

/// A single point takes and frees some megabytes: without this the C library gives them back to the system after every
/// frame and gets them page by page for the next, a twentieth of the time of 48 atoms. What the user says wins.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn keep_freed_memory() {
    // The largest values that mallopt(3) takes for blocks of threads, and a multiple of it.
    const KEPT: [(&str, c_int, c_int); 2] = [
        ("MALLOC_MMAP_THRESHOLD_", libc::M_MMAP_THRESHOLD, 32 << 20),
        ("MALLOC_TRIM_THRESHOLD_", libc::M_TRIM_THRESHOLD, 256 << 20),
    ];
    for (variable, parameter, bytes) in KEPT {
        if std::env::var_os(variable).is_none() {
            // SAFETY: plain numbers; glibc takes a lock of its own for the change.
            unsafe { libc::mallopt(parameter, bytes) };
        }
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn keep_freed_memory() {}

impl Api {
    fn bind(name: &str, library: Library) -> Result<Self, String> {
        Self::find_all(name, library)
            .map_err(|e| format!("{name} is not the libxtb that is needed ({e})"))
    }

    fn find_all(name: &str, library: Library) -> Result<Self, libloading::Error> {
        // For ever: the function pointers below have no lifetime.
        let library: &'static Library = Box::leak(Box::new(library));
        // SAFETY: the types of the fields are those of the functions in xtb.h, omp.h and cblas.h. The lookup covers
        // the libraries libxtb itself is linked to; not every BLAS is OpenBLAS.
        unsafe {
            Ok(Self {
                library: name.to_owned(),
                get_api_version: find(library, "xtb_getAPIVersion")?,
                new_environment: find(library, "xtb_newEnvironment")?,
                del_environment: find(library, "xtb_delEnvironment")?,
                check_environment: find(library, "xtb_checkEnvironment")?,
                get_error: find(library, "xtb_getError")?,
                set_verbosity: find(library, "xtb_setVerbosity")?,
                new_molecule: find(library, "xtb_newMolecule")?,
                del_molecule: find(library, "xtb_delMolecule")?,
                new_calculator: find(library, "xtb_newCalculator")?,
                del_calculator: find(library, "xtb_delCalculator")?,
                load_gfn1: find(library, "xtb_loadGFN1xTB")?,
                load_gfn2: find(library, "xtb_loadGFN2xTB")?,
                set_accuracy: find(library, "xtb_setAccuracy")?,
                set_max_iter: find(library, "xtb_setMaxIter")?,
                set_electronic_temp: find(library, "xtb_setElectronicTemp")?,
                singlepoint: find(library, "xtb_singlepoint")?,
                new_results: find(library, "xtb_newResults")?,
                del_results: find(library, "xtb_delResults")?,
                get_energy: find(library, "xtb_getEnergy")?,
                get_gradient: find(library, "xtb_getGradient")?,
                omp_set_num_threads: find(library, "omp_set_num_threads").ok(),
                openblas_set_num_threads: find(library, "openblas_set_num_threads").ok(),
            })
        }
    }

    /// Version of the C interface as (major, minor, patch); 1.0.0 since xtb 6.3.
    pub fn version(&self) -> (i32, i32, i32) {
        // SAFETY: no arguments, no state.
        let v = unsafe { (self.get_api_version)() };
        (v / 10_000, v / 100 % 100, v % 100)
    }

    /// One OpenMP thread for what the calling thread evaluates from now on, and one BLAS thread.
    pub fn use_one_thread(&self) {
        if let Some(set) = self.omp_set_num_threads {
            // SAFETY: sets a variable of the calling thread; 1 is in range.
            unsafe { set(1) };
        }
        if let Some(set) = self.openblas_set_num_threads {
            let _guard = CONSTRUCTION.lock().unwrap_or_else(PoisonError::into_inner);
            // SAFETY: 1 is in range; concurrent calls are excluded by the lock, and all set the same value.
            unsafe { set(1) };
        }
    }

    /// Loads the parameters for molecules of these elements, in this order.
    ///
    /// Of `molecule` only the elements, and whether there is a lattice, matter to later single points.
    pub fn prepare(
        &self,
        molecule: &Molecule<'_>,
        settings: &Settings,
    ) -> Result<Prepared, String> {
        let _construction = CONSTRUCTION.lock().unwrap_or_else(PoisonError::into_inner);
        let environment = Owned::new(self.new_environment, self.del_environment);
        let env = environment.handle;
        // SAFETY: `env` is a live environment; 0 is XTB_VERBOSITY_MUTED.
        unsafe { (self.set_verbosity)(env, 0) };
        let mol = self.molecule(env, molecule)?;
        let calculator = Owned::new(self.new_calculator, self.del_calculator);
        let load = match settings.method {
            Method::Gfn1 => self.load_gfn1,
            Method::Gfn2 => self.load_gfn2,
        };
        let calc = calculator.handle;
        // SAFETY: three live handles; a null file name selects the built-in parameters.
        unsafe { load(env, mol.handle, calc, null_mut()) };
        self.check(env)?;
        // SAFETY: live handles; the calculator has been loaded, as `check` has found.
        unsafe {
            (self.set_accuracy)(env, calc, settings.accuracy);
            (self.set_max_iter)(env, calc, settings.max_iterations);
            (self.set_electronic_temp)(env, calc, settings.electronic_temperature);
        }
        Ok(Prepared {
            numbers: molecule.numbers.to_owned(),
            periodic: molecule.lattice.is_some(),
            calculator,
            environment,
        })
    }

    /// Energy (Hartree); fills `gradient` (Hartree/Bohr, one row per atom). Molecule and results are fresh: the
    /// values do not depend on earlier calls. `xtb_getVirial` is not used: libxtb 6.5.1 answers zeros.
    ///
    /// The error is xtb's own message in one line, innermost reason first; drop `prepared` after it.
    ///
    /// The caller has checked that there are atoms, that their numbers are 1 to 86, that positions are finite
    /// and that charge and unpaired electrons fit the orbitals: otherwise libxtb may end the process.
    pub fn singlepoint(
        &self,
        prepared: &mut Prepared,
        molecule: &Molecule<'_>,
        gradient: &mut [[f64; 3]],
    ) -> Result<f64, String> {
        if !prepared.fits(molecule) || gradient.len() != molecule.numbers.len() {
            return Err("the calculator was loaded for other elements".into());
        }
        let (env, calc) = (prepared.environment.handle, prepared.calculator.handle);
        let construction = CONSTRUCTION.lock().unwrap_or_else(PoisonError::into_inner);
        let mol = self.molecule(env, molecule)?;
        let results = Owned::new(self.new_results, self.del_results);
        drop(construction);

        // SAFETY: live handles that no other thread uses meanwhile: `prepared` is borrowed mutably, the others are
        // our own; the calculator was loaded for the elements of the molecule, as `fits` has found.
        unsafe { (self.singlepoint)(env, mol.handle, calc, results.handle) };
        self.check(env)?;
        let mut energy = f64::NAN;
        // SAFETY: `results` holds a finished single point of as many atoms as `gradient` has rows; the destinations
        // have 1 and 3 times that many elements.
        unsafe {
            (self.get_energy)(env, results.handle, &raw mut energy);
            (self.get_gradient)(
                env,
                results.handle,
                gradient.as_flattened_mut().as_mut_ptr(),
            );
        }
        self.check(env)?;
        Ok(energy)
    }

    /// A molecule of the library. The caller holds the lock.
    fn molecule(&self, env: Handle, molecule: &Molecule<'_>) -> Result<Owned, String> {
        let atoms = molecule.numbers.len();
        let counted = c_int::try_from(atoms).ok();
        let Some(natoms) = counted.filter(|_| molecule.positions.len() == atoms) else {
            return Err("lengths of the arrays differ".into());
        };
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
        let owned = Owned {
            handle,
            delete: self.del_molecule,
        };
        self.check(env)?;
        Ok(owned)
    }

    /// The error stack of the environment, if there is an error; empties it.
    fn check(&self, env: Handle) -> Result<(), String> {
        // SAFETY: `env` is a live environment.
        if unsafe { (self.check_environment)(env) } == 0 {
            return Ok(());
        }
        let mut buffer = [0u8; 4096];
        // One byte less than there is: the text ends with a zero whatever the library writes.
        let size = buffer.len() as c_int - 1;
        // SAFETY: `env` is live, the buffer is longer than `size`.
        unsafe { (self.get_error)(env, buffer.as_mut_ptr().cast(), &raw const size) };
        let text = CStr::from_bytes_until_nul(&buffer).unwrap_or_default();
        Err(one_line(&text.to_string_lossy()))
    }
}

/// The function of that name.
///
/// # Safety
///
/// `F` is the type of the function, and the library is never unloaded.
unsafe fn find<F: Copy>(library: &'static Library, name: &str) -> Result<F, libloading::Error> {
    // SAFETY: as the caller promises.
    unsafe { library.get::<F>(name.as_bytes()) }.map(|symbol| *symbol)
}

/// A calculator of the library with the parameters of a list of elements. It stays on the thread that made it.
#[derive(Debug)]
pub struct Prepared {
    numbers: Vec<c_int>,
    periodic: bool,
    calculator: Owned,
    environment: Owned,
}

impl Prepared {
    /// Whether it was made for molecules of these elements.
    pub fn fits(&self, molecule: &Molecule<'_>) -> bool {
        self.periodic == molecule.lattice.is_some() && self.numbers == molecule.numbers
    }
}

/// A handle and the function that frees it.
#[derive(Debug)]
struct Owned {
    handle: Handle,
    delete: DeleteHandle,
}

impl Owned {
    fn new(constructor: NewHandle, delete: DeleteHandle) -> Self {
        Self {
            // SAFETY: a constructor of libxtb without arguments.
            handle: unsafe { constructor() },
            delete,
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the handle came from the constructor that belongs to `delete` and is freed once; a null
        // handle is accepted and ignored.
        unsafe { (self.delete)(&raw mut self.handle) };
    }
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
