//! The C interface of tblite (`tblite.h`), loaded when it is first asked for.
//!
//! What makes it safe to use from Rust:
//!
//! - Loading it, owning its handles: [`tight_binding::ffi`](crate::adapters::tight_binding::ffi).
//! - The interface has grown a parameter with 0.6 (a configuration of calculators): the library is asked for its version
//!   before anything else, and those that nobody has looked at are refused.
//! - Arrays go in as slices whose lengths are checked against the number of atoms; the library copies them.
//! - Loading a parametrisation writes module variables (reference values of the dispersion models), so molecules and
//!   calculators are made under one lock of the process.
//! - A calculator ([`Prepared`]) holds parameters and basis set of its list of elements. A single point reads it and
//!   writes molecule, results and context, which are made afresh for each: results that were used before would start the
//!   SCF from their density. See the tests that compare bytes.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::{null, null_mut};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::adapters::tight_binding::engine::SinglePoint;
use crate::adapters::tight_binding::ffi::{
    DeleteHandle, Handle, Loaded, NewHandle, Owned, written,
};
use crate::adapters::tight_binding::library::Sought;
use crate::adapters::tight_binding::molecule::{Elements, Molecule};
use crate::adapters::tight_binding::settings::Settings;

/// A path to libtblite.
pub const LIBRARY_VARIABLE: &str = "FRAMEWISE_TBLITE_LIBRARY";
/// The folder where tblite is installed.
pub const PREFIX_VARIABLE: &str = "TBLITE_DIR";

const SOUGHT: Sought = Sought {
    what: "libtblite",
    variable: LIBRARY_VARIABLE,
    prefix: Some(PREFIX_VARIABLE),
    names: &["libtblite.so.0", "libtblite.so"],
};

/// Versions whose header is known, as the library gives them: 10000 major + 100 minor + patch.
const KNOWN: std::ops::RangeInclusive<c_int> = 300..=899;
/// Since this one calculators take a configuration.
const CONFIGURED: c_int = 600;

/// Since this one electrostatics of periodic systems are summed to the end.
const WHOLE_SUMS: c_int = 800;

/// One Kelvin in Hartree, the number of tblite.
const KELVIN: f64 = 3.166_808_578_545_117e-6;

type CheckHandle = unsafe extern "C" fn(Handle) -> c_int;
type GetText = unsafe extern "C" fn(Handle, *mut c_char, *const c_int);
type GetValues = unsafe extern "C" fn(Handle, Handle, *mut f64);
type SetNumber = unsafe extern "C" fn(Handle, Handle, f64);
type NewPlain = unsafe extern "C" fn(Handle, Handle) -> Handle;
type NewConfigured = unsafe extern "C" fn(Handle, Handle, *mut c_void) -> Handle;
type NewStructure = unsafe extern "C" fn(
    Handle,
    c_int,
    *const c_int,
    *const f64,
    *const f64,
    *const c_int,
    *const f64,
    *const bool,
) -> Handle;

/// Constructor of calculators with a parametrisation.
#[derive(Clone, Copy)]
enum NewCalculator {
    /// Before 0.6.
    Plain(NewPlain),
    /// With a configuration, which may be null.
    Configured(NewConfigured),
}

/// The functions of libtblite that are used here.
pub struct Api {
    /// The library.
    pub loaded: Loaded,
    version: c_int,
    new_error: NewHandle,
    delete_error: DeleteHandle,
    check_error: CheckHandle,
    get_error: GetText,
    new_context: NewHandle,
    delete_context: DeleteHandle,
    check_context: CheckHandle,
    get_context_error: GetText,
    set_verbosity: unsafe extern "C" fn(Handle, c_int),
    new_structure: NewStructure,
    delete_structure: DeleteHandle,
    new_gfn2: NewCalculator,
    new_gfn1: NewCalculator,
    new_ipea1: NewCalculator,
    delete_calculator: DeleteHandle,
    set_accuracy: SetNumber,
    set_max_iter: unsafe extern "C" fn(Handle, Handle, c_int),
    set_temperature: SetNumber,
    singlepoint: unsafe extern "C" fn(Handle, Handle, Handle, Handle),
    new_result: NewHandle,
    delete_result: DeleteHandle,
    get_energy: GetValues,
    get_gradient: GetValues,
    get_virial: GetValues,
}

/// The parametrisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GFN2-xTB.
    Gfn2,
    /// GFN1-xTB.
    Gfn1,
    /// IPEA1-xTB.
    Ipea1,
}

static API: OnceLock<Result<Api, String>> = OnceLock::new();

/// The loaded library, or in one line why there is none. Looks once per process.
pub fn api() -> Result<&'static Api, &'static str> {
    API.get_or_init(load).as_ref().map_err(String::as_str)
}

fn load() -> Result<Api, String> {
    let loaded = SOUGHT.open()?;
    let name = loaded.name.clone();
    let other = |e| format!("{name} is not the libtblite that is needed ({e})");
    // SAFETY: the type is that of the function in version.h, which has no arguments and no state.
    let version = unsafe {
        let get: unsafe extern "C" fn() -> c_int =
            loaded.find("tblite_get_version").map_err(other)?;
        get()
    };
    if !KNOWN.contains(&version) {
        let version = in_words(version);
        return Err(format!(
            "{name} is tblite {version}, which framewise does not know (0.3 to 0.8)"
        ));
    }
    Api::find_all(loaded, version).map_err(other)
}

fn in_words(version: c_int) -> String {
    format!(
        "{}.{}.{}",
        version / 10_000,
        version / 100 % 100,
        version % 100
    )
}

impl Api {
    fn find_all(from: Loaded, version: c_int) -> Result<Self, libloading::Error> {
        let calculator = |name: &str| {
            // SAFETY: the type is that of the function in calculator.h of this version.
            unsafe {
                if version < CONFIGURED {
                    from.find(name).map(NewCalculator::Plain)
                } else {
                    from.find(name).map(NewCalculator::Configured)
                }
            }
        };
        let new_gfn2 = calculator("tblite_new_gfn2_calculator")?;
        let new_gfn1 = calculator("tblite_new_gfn1_calculator")?;
        let new_ipea1 = calculator("tblite_new_ipea1_calculator")?;
        // SAFETY: the types of the fields are those of the functions in the headers of 0.3 to 0.8.
        unsafe {
            Ok(Self {
                version,
                new_error: from.find("tblite_new_error")?,
                delete_error: from.find("tblite_delete_error")?,
                check_error: from.find("tblite_check_error")?,
                get_error: from.find("tblite_get_error")?,
                new_context: from.find("tblite_new_context")?,
                delete_context: from.find("tblite_delete_context")?,
                check_context: from.find("tblite_check_context")?,
                get_context_error: from.find("tblite_get_context_error")?,
                set_verbosity: from.find("tblite_set_context_verbosity")?,
                new_structure: from.find("tblite_new_structure")?,
                delete_structure: from.find("tblite_delete_structure")?,
                new_gfn2,
                new_gfn1,
                new_ipea1,
                delete_calculator: from.find("tblite_delete_calculator")?,
                set_accuracy: from.find("tblite_set_calculator_accuracy")?,
                set_max_iter: from.find("tblite_set_calculator_max_iter")?,
                set_temperature: from.find("tblite_set_calculator_temperature")?,
                singlepoint: from.find("tblite_get_singlepoint")?,
                new_result: from.find("tblite_new_result")?,
                delete_result: from.find("tblite_delete_result")?,
                get_energy: from.find("tblite_get_result_energy")?,
                get_gradient: from.find("tblite_get_result_gradient")?,
                get_virial: from.find("tblite_get_result_virial")?,
                loaded: from,
            })
        }
    }

    /// Version of the library.
    pub fn version(&self) -> String {
        in_words(self.version)
    }

    /// Whether periodic frames are to be trusted, see the head of the calculator.
    pub fn sums_images_rightly(&self) -> bool {
        self.version >= WHOLE_SUMS
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
        let context = self.context();
        let (ctx, structure) = (context.handle(), self.structure(molecule)?);
        let new = match method {
            Method::Gfn2 => self.new_gfn2,
            Method::Gfn1 => self.new_gfn1,
            Method::Ipea1 => self.new_ipea1,
        };
        // SAFETY: two live handles; no configuration means the library's own.
        let handle = unsafe {
            match new {
                NewCalculator::Plain(new) => new(ctx, structure.handle()),
                NewCalculator::Configured(new) => new(ctx, structure.handle(), null_mut()),
            }
        };
        // SAFETY: constructor and destructor of calculators.
        let calculator = unsafe { Owned::new(handle, self.delete_calculator) };
        self.check(ctx)?;
        // SAFETY: live handles.
        unsafe {
            (self.set_accuracy)(ctx, handle, settings.accuracy);
            (self.set_max_iter)(ctx, handle, settings.max_iterations);
            (self.set_temperature)(ctx, handle, settings.electronic_temperature * KELVIN);
        }
        self.check(ctx)?;
        Ok(Prepared {
            elements: Elements::of(molecule),
            calculator,
        })
    }

    /// Energy and, where there is a lattice, its derivative by strain; fills `gradient` (Hartree/Bohr, one row per atom).
    /// Molecule, context and results are fresh: the values do not depend on earlier calls.
    ///
    /// The error is tblite's own message in one line; drop `prepared` after it.
    /// What the caller has checked: [`Engine::singlepoint`](crate::adapters::tight_binding::engine::Engine::singlepoint).
    pub fn singlepoint(
        &self,
        prepared: &mut Prepared,
        molecule: &Molecule<'_>,
        gradient: &mut [[f64; 3]],
    ) -> Result<SinglePoint, String> {
        if !prepared.elements.fit(molecule) || gradient.len() != molecule.numbers.len() {
            return Err("the calculator was loaded for other elements".into());
        }
        let construction = CONSTRUCTION.lock().unwrap_or_else(PoisonError::into_inner);
        let (context, structure) = (self.context(), self.structure(molecule)?);
        // SAFETY: constructor and destructor of results.
        let result = unsafe { Owned::new((self.new_result)(), self.delete_result) };
        // SAFETY: constructor and destructor of errors.
        let error = unsafe { Owned::new((self.new_error)(), self.delete_error) };
        drop(construction);

        let (ctx, res, err) = (context.handle(), result.handle(), error.handle());
        // SAFETY: live handles that no other thread uses meanwhile: `prepared` is borrowed mutably, the others are
        // our own; the calculator was loaded for the elements of the molecule, as `fit` has found.
        unsafe { (self.singlepoint)(ctx, structure.handle(), prepared.calculator.handle(), res) };
        self.check(ctx)?;
        let (mut energy, mut virial) = (f64::NAN, [[f64::NAN; 3]; 3]);
        // SAFETY: `res` holds a finished single point of as many atoms as `gradient` has rows; the destinations
        // have 1, 9 and 3 times that many elements.
        unsafe {
            (self.get_energy)(err, res, &raw mut energy);
            (self.get_virial)(err, res, virial.as_flattened_mut().as_mut_ptr());
            (self.get_gradient)(err, res, gradient.as_flattened_mut().as_mut_ptr());
        }
        self.check_error(err)?;
        Ok(SinglePoint {
            energy,
            strain_derivative: molecule.lattice.is_some().then_some(virial),
        })
    }

    /// Where errors of a computation are kept; it prints nothing.
    fn context(&self) -> Owned {
        // SAFETY: constructor and destructor of contexts; a live handle, whose verbosity 0 is silence.
        unsafe {
            let context = Owned::new((self.new_context)(), self.delete_context);
            (self.set_verbosity)(context.handle(), 0);
            context
        }
    }

    /// A molecule of the library. The caller holds the lock.
    fn structure(&self, molecule: &Molecule<'_>) -> Result<Owned, String> {
        let atoms = molecule.atoms()?;
        let periodic = [true; 3];
        let (lattice, periodic) = match &molecule.lattice {
            Some(lattice) => (lattice.as_flattened().as_ptr(), periodic.as_ptr()),
            None => (null(), null()),
        };
        // SAFETY: constructor and destructor of errors.
        let error = unsafe { Owned::new((self.new_error)(), self.delete_error) };
        // SAFETY: a live error; every array has the length `atoms` says (checked above), lattice and flags are null or
        // of 9 and 3 elements; the library copies them. Destructor of structures.
        let structure = unsafe {
            let handle = (self.new_structure)(
                error.handle(),
                atoms,
                molecule.numbers.as_ptr(),
                molecule.positions.as_flattened().as_ptr(),
                &raw const molecule.charge,
                &raw const molecule.uhf,
                lattice,
                periodic,
            );
            Owned::new(handle, self.delete_structure)
        };
        self.check_error(error.handle())?;
        Ok(structure)
    }

    /// The errors that the context has gathered, the latest first; forgets them.
    fn check(&self, context: Handle) -> Result<(), String> {
        let mut said = Vec::new();
        // SAFETY: a live context.
        while said.len() < MOST_ERRORS && unsafe { (self.check_context)(context) } != 0 {
            // SAFETY: a live context, a buffer as long as it says.
            let text =
                written(|buffer, size| unsafe { (self.get_context_error)(context, buffer, size) });
            said.push(one_line(&text));
        }
        if said.is_empty() {
            Ok(())
        } else {
            Err(said.join("; "))
        }
    }

    /// What an error says, if there is one.
    fn check_error(&self, error: Handle) -> Result<(), String> {
        // SAFETY: a live error.
        if unsafe { (self.check_error)(error) } == 0 {
            return Ok(());
        }
        // SAFETY: a live error, a buffer as long as it says.
        let text = written(|buffer, size| unsafe { (self.get_error)(error, buffer, size) });
        Err(one_line(&text))
    }
}

/// A calculator of the library with the parameters of a list of elements. It stays on the thread that made it.
#[derive(Debug)]
pub struct Prepared {
    /// Of the molecules that it can compute.
    pub elements: Elements,
    calculator: Owned,
}

/// Held while module variables of the library are written.
static CONSTRUCTION: Mutex<()> = Mutex::new(());

/// Errors of one computation that are told.
const MOST_ERRORS: usize = 8;

fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ")
}
