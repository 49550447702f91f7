//! The C interface of libkim-api (API 2), loaded when it is first asked for.
//!
//! What makes it safe to use from Rust:
//!
//! - The library is never unloaded, so its functions stay valid for the life of the process.
//! - Its enumerations are structures of one int. Their values are asked for by name, so that no number of a header is
//!   repeated here.
//! - The library keeps a log, a list of collections and loaded models in variables of the process: everything but
//!   evaluating is done under one lock. Logs are silent while several threads evaluate; what went wrong is learnt by
//!   doing it once more, under the lock, with a log that listens.
//! - A model belongs to one value that destroys it once and stays on its thread. It keeps the addresses of its arrays, but
//!   looks at them only while it evaluates; addresses and lengths are checked before.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use libloading::Library;

use crate::adapters::kim::mute::ffi as mute;

/// Names this variable is tried before the usual ones: a path to libkim-api.
pub const LIBRARY_VARIABLE: &str = "FRAMEWISE_KIM_LIBRARY";

const LIBRARY_NAMES: [&str; 2] = ["libkim-api.so.2", "libkim-api.so"];

/// A value of one of the library's enumerations.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named(pub(in crate::adapters::kim) c_int);

pub(in crate::adapters::kim) type Handle = *mut c_void;
pub(in crate::adapters::kim) type Function = unsafe extern "C" fn();
type FromText = unsafe extern "C" fn(*const c_char) -> Named;
type ToText = unsafe extern "C" fn(Named) -> *const c_char;
type Create = unsafe extern "C" fn(*mut Handle) -> c_int;
type Destroy = unsafe extern "C" fn(*mut Handle);
type OnModel = unsafe extern "C" fn(Handle, *mut Handle) -> c_int;
type GetStatus = unsafe extern "C" fn(Handle, Named, *mut Named) -> c_int;
type SetInteger = unsafe extern "C" fn(Handle, Named, *const c_int) -> c_int;
type SetDouble = unsafe extern "C" fn(Handle, Named, *const f64) -> c_int;
type SetCallback = unsafe extern "C" fn(Handle, Named, Named, Function, *mut c_void) -> c_int;
type PushVerbosity = unsafe extern "C" fn(Handle, Named);
type PopVerbosity = unsafe extern "C" fn(Handle);
type GetPointers = unsafe extern "C" fn(Handle, *mut c_int, *mut *const f64, *mut *const c_int);
type GetUnits =
    unsafe extern "C" fn(Handle, *mut Named, *mut Named, *mut Named, *mut Named, *mut Named);
type CreateModel = unsafe extern "C" fn(
    Named,
    Named,
    Named,
    Named,
    Named,
    Named,
    *const c_char,
    *mut c_int,
    *mut Handle,
) -> c_int;
type GetFile = unsafe extern "C" fn(
    Handle,
    c_int,
    *mut *const c_char,
    *mut c_uint,
    *mut *const u8,
    *mut c_int,
    *mut *const c_char,
) -> c_int;

macro_rules! functions {
    ($($field:ident: $kind:ty = $symbol:literal,)*) => {
        /// The functions of libkim-api that are used here.
        pub struct Api {
            /// The name or path under which the library was found.
            pub library: String,
            $(pub(in crate::adapters::kim) $field: $kind,)*
        }

        impl Api {
            fn find_all(name: &str, library: &'static Library) -> Result<Self, libloading::Error> {
                // SAFETY: the types of the fields are those of the functions in the headers of API 2.
                unsafe { Ok(Self { library: name.to_owned(), $($field: *library.get($symbol)?,)* }) }
            }
        }
    };
}

functions! {
    get_version: unsafe extern "C" fn() -> *const c_char = b"KIM_SEM_VER_GetSemVer",
    push_default_verbosity: unsafe extern "C" fn(Named) = b"KIM_Log_PushDefaultVerbosity",
    pop_default_verbosity: unsafe extern "C" fn() = b"KIM_Log_PopDefaultVerbosity",
    push_default_print: unsafe extern "C" fn(Named, Function) = b"KIM_Log_PushDefaultPrintFunction",
    verbosity: FromText = b"KIM_LogVerbosity_FromString",
    language: FromText = b"KIM_LanguageName_FromString",
    numbering: FromText = b"KIM_Numbering_FromString",
    length_unit: FromText = b"KIM_LengthUnit_FromString",
    energy_unit: FromText = b"KIM_EnergyUnit_FromString",
    charge_unit: FromText = b"KIM_ChargeUnit_FromString",
    temperature_unit: FromText = b"KIM_TemperatureUnit_FromString",
    time_unit: FromText = b"KIM_TimeUnit_FromString",
    length_unit_text: ToText = b"KIM_LengthUnit_ToString",
    energy_unit_text: ToText = b"KIM_EnergyUnit_ToString",
    species: FromText = b"KIM_SpeciesName_FromString",
    argument: FromText = b"KIM_ComputeArgumentName_FromString",
    callback: FromText = b"KIM_ComputeCallbackName_FromString",
    status: FromText = b"KIM_SupportStatus_FromString",
    item_type: FromText = b"KIM_CollectionItemType_FromString",
    item_type_text: ToText = b"KIM_CollectionItemType_ToString",
    create_model: CreateModel = b"KIM_Model_Create",
    destroy_model: Destroy = b"KIM_Model_Destroy",
    influence: unsafe extern "C" fn(Handle, *mut f64) = b"KIM_Model_GetInfluenceDistance",
    neighbor_lists: GetPointers = b"KIM_Model_GetNeighborListPointers",
    units: GetUnits = b"KIM_Model_GetUnits",
    species_code: unsafe extern "C" fn(Handle, Named, *mut c_int, *mut c_int) -> c_int
        = b"KIM_Model_GetSpeciesSupportAndCode",
    create_arguments: OnModel = b"KIM_Model_ComputeArgumentsCreate",
    destroy_arguments: OnModel = b"KIM_Model_ComputeArgumentsDestroy",
    compute: unsafe extern "C" fn(Handle, Handle) -> c_int = b"KIM_Model_Compute",
    push_model_verbosity: PushVerbosity = b"KIM_Model_PushLogVerbosity",
    pop_model_verbosity: PopVerbosity = b"KIM_Model_PopLogVerbosity",
    argument_status: GetStatus = b"KIM_ComputeArguments_GetArgumentSupportStatus",
    callback_status: GetStatus = b"KIM_ComputeArguments_GetCallbackSupportStatus",
    set_integer: SetInteger = b"KIM_ComputeArguments_SetArgumentPointerInteger",
    set_double: SetDouble = b"KIM_ComputeArguments_SetArgumentPointerDouble",
    set_callback: SetCallback = b"KIM_ComputeArguments_SetCallbackPointer",
    push_arguments_verbosity: PushVerbosity = b"KIM_ComputeArguments_PushLogVerbosity",
    pop_arguments_verbosity: PopVerbosity = b"KIM_ComputeArguments_PopLogVerbosity",
    create_collections: Create = b"KIM_Collections_Create",
    destroy_collections: Destroy = b"KIM_Collections_Destroy",
    type_of_item: unsafe extern "C" fn(Handle, *const c_char, *mut Named) -> c_int
        = b"KIM_Collections_GetItemType",
    cache_names: unsafe extern "C" fn(Handle, Named, *mut c_int) -> c_int
        = b"KIM_Collections_CacheListOfItemNamesByType",
    name_at: unsafe extern "C" fn(Handle, c_int, *mut *const c_char) -> c_int
        = b"KIM_Collections_GetItemNameByType",
    cache_files: unsafe extern "C" fn(Handle, Named, *const c_char, *mut c_int) -> c_int
        = b"KIM_Collections_CacheListOfItemMetadataFiles",
    file_at: GetFile = b"KIM_Collections_GetItemMetadataFile",
}

static API: OnceLock<Result<Api, String>> = OnceLock::new();

/// Creating, destroying, logging.
pub(in crate::adapters::kim) static LIBRARY: Mutex<()> = Mutex::new(());

/// The first thing that the log said.
pub(in crate::adapters::kim) static SAID: Mutex<String> = Mutex::new(String::new());

pub(in crate::adapters::kim) fn lock<T>(mutex: &'static Mutex<T>) -> MutexGuard<'static, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

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
        // SAFETY: loading runs the initialisers of libkim-api and the C++ runtime, which have no preconditions; a file
        // named by the user is trusted as any program he starts.
        match unsafe { Library::new(name) } {
            Ok(library) => {
                // For ever: the function pointers have no lifetime.
                let library = Box::leak(Box::new(library));
                let api = Api::find_all(name, library).map_err(|e| {
                    format!("{name} is not the libkim-api that is needed, 2.2 or later ({e})")
                })?;
                // SAFETY: values of the library's own enumerations; `listen` is of the type of a print function.
                unsafe {
                    let print = std::mem::transmute::<Print, Function>(listen);
                    (api.push_default_print)((api.language)(c"c".as_ptr()), print);
                    (api.push_default_verbosity)(api.silent());
                }
                return Ok(api);
            }
            Err(e) => reason = e.to_string(),
        }
    }
    let from = chosen.map_or_else(String::new, |path| {
        format!("; {LIBRARY_VARIABLE} is {path:?}")
    });
    Err(format!("libkim-api cannot be loaded ({reason}{from})"))
}

type Print = unsafe extern "C" fn(*const c_char) -> c_int;

/// Takes an entry of the log: date, number, level, object, place and text, separated by ` * `.
unsafe extern "C" fn listen(entry: *const c_char) -> c_int {
    // SAFETY: the library hands over a text that lives as long as this call.
    let entry = unsafe { text(entry) };
    let mut said = lock(&SAID);
    if said.is_empty() {
        let line = entry.lines().next().unwrap_or_default();
        said.push_str(line.splitn(6, " * ").last().unwrap_or_default().trim());
    }
    0
}

/// A text of the library; empty for none.
///
/// # Safety
/// `pointer` is null or a text that ends with a zero.
pub(in crate::adapters::kim) unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(pointer) }
        .to_string_lossy()
        .into_owned()
}

pub(in crate::adapters::kim) fn zero_terminated(name: &str) -> Result<CString, String> {
    CString::new(name).map_err(|_| format!("{name:?} is not a name"))
}

impl Api {
    /// The version of the API.
    pub fn version(&self) -> String {
        // SAFETY: no arguments; the text is static.
        unsafe { text((self.get_version)()) }
    }

    /// The level of a log that says nothing.
    pub(in crate::adapters::kim) fn silent(&self) -> Named {
        // SAFETY: a text that ends with a zero.
        unsafe { (self.verbosity)(c"silent".as_ptr()) }
    }

    /// Does something with a log that listens to errors, and keeps what is printed from standard output. The caller holds
    /// the lock.
    pub(in crate::adapters::kim) fn listening<T>(&self, action: impl FnOnce() -> T) -> T {
        lock(&SAID).clear();
        // SAFETY: a value of the library's own enumeration; pushed once, popped once.
        unsafe { (self.push_default_verbosity)((self.verbosity)(c"error".as_ptr())) };
        let outcome = mute::quietly(action);
        // SAFETY: what was pushed above.
        unsafe { (self.pop_default_verbosity)() };
        outcome
    }
}

/// What went wrong, with what the log said of it.
pub(in crate::adapters::kim) fn said(what: &str) -> String {
    match std::mem::take(&mut *lock(&SAID)) {
        said if said.is_empty() => what.to_owned(),
        said => format!("{what}: {said}"),
    }
}
