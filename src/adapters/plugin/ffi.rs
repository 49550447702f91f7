//! The C interface of a calculator in a shared library: `framewise_plugin.h`.
//!
//! A library that the user names is trusted as any program he starts: it must do what the header says. What makes it safe
//! beyond that:
//!
//! - It is never unloaded, so its functions stay valid for the life of the process.
//! - Arrays go out with their lengths, and live during the call; forces have a row for each atom of the frame.
//! - A calculator is owned by a [`Handle`], stays on the thread that made it, and is destroyed once.
//! - Messages are read as far as the room that was given, with or without a zero at the end.

use std::ffi::{CString, c_char, c_int, c_void};
use std::path::Path;

use libloading::Library;

use crate::domain::calculator::{Failure, Results};
use crate::domain::frame::Frame;

/// `FRAMEWISE_PLUGIN_VERSION` of the header.
const VERSION: u32 = 1;
/// Room for a message.
const MESSAGE_BYTES: usize = 1024;

#[repr(C)]
struct CParameters {
    count: usize,
    names: *const *const c_char,
    values: *const *const c_char,
}

#[repr(C)]
struct CFrame {
    atoms: usize,
    species: *const u8,
    positions: *const [f64; 3],
    cell: [[f64; 3]; 3],
    periodic: [u8; 3],
}

#[repr(C)]
struct CResults {
    energy: f64,
    forces: *mut [f64; 3],
    stress: [[f64; 3]; 3],
    message: *mut c_char,
    message_size: usize,
}

type Check =
    unsafe extern "C" fn(*const CParameters, *const u8, usize, *mut c_char, usize) -> c_int;
type Create = unsafe extern "C" fn(*const CParameters, *mut c_char, usize) -> *mut c_void;
type Evaluate = unsafe extern "C" fn(*mut c_void, *const CFrame, *mut CResults) -> c_int;
type Destroy = unsafe extern "C" fn(*mut c_void);

/// The functions of one library.
pub(super) struct Api {
    check: Option<Check>,
    create: Create,
    evaluate: Evaluate,
    destroy: Destroy,
}

/// Names and values as C strings.
pub(super) struct TypedParameters {
    names: Vec<CString>,
    values: Vec<CString>,
}

impl TypedParameters {
    /// An error names the parameter that C cannot have.
    pub fn new<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, String> {
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for (name, value) in pairs {
            let text = |text: &str| {
                CString::new(text).map_err(|_| format!("parameter {name}: has a zero byte"))
            };
            names.push(text(name)?);
            values.push(text(value)?);
        }
        Ok(Self { names, values })
    }

    /// Calls `with` with what C sees of them.
    fn lend<T>(&self, with: impl FnOnce(&CParameters) -> T) -> T {
        let pointers = |texts: &[CString]| texts.iter().map(|t| t.as_ptr()).collect::<Vec<_>>();
        let (names, values) = (pointers(&self.names), pointers(&self.values));
        with(&CParameters {
            count: names.len(),
            names: names.as_ptr(),
            values: values.as_ptr(),
        })
    }
}

impl Api {
    /// Loads a library for the life of the process.
    pub fn load(path: &Path) -> Result<Self, String> {
        // SAFETY: loading runs the library's initialisers; it is trusted, see the head of this file.
        let library = unsafe { Library::new(path) }
            .map_err(|e| format!("{} cannot be loaded: {e}", path.display()))?;
        let library: &'static Library = Box::leak(Box::new(library));
        let missing = |name: &str| {
            format!(
                "{} is no framewise plug-in: it has no function {name} (see framewise_plugin.h)",
                path.display()
            )
        };
        // SAFETY: the header gives the function this type.
        let version =
            unsafe { library.get::<unsafe extern "C" fn() -> u32>(b"framewise_plugin_version\0") };
        let version = version.map_err(|_| missing("framewise_plugin_version"))?;
        // SAFETY: a function without arguments.
        let version = unsafe { version() };
        if version != VERSION {
            return Err(format!(
                "{} was built for version {version} of the plug-in interface, this framewise has version {VERSION}: \
                 build it again with the header of this framewise",
                path.display()
            ));
        }
        // SAFETY: the header gives each function its type, in the version that was just asked for.
        unsafe {
            Ok(Self {
                check: library
                    .get::<Check>(b"framewise_plugin_check\0")
                    .ok()
                    .map(|f| *f),
                create: *library
                    .get::<Create>(b"framewise_plugin_create\0")
                    .map_err(|_| missing("framewise_plugin_create"))?,
                evaluate: *library
                    .get::<Evaluate>(b"framewise_plugin_evaluate\0")
                    .map_err(|_| missing("framewise_plugin_evaluate"))?,
                destroy: *library
                    .get::<Destroy>(b"framewise_plugin_destroy\0")
                    .map_err(|_| missing("framewise_plugin_destroy"))?,
            })
        }
    }

    /// What the library says to parameters and species.
    pub fn check(&self, parameters: &TypedParameters, species: &[u8]) -> Result<(), String> {
        let Some(check) = self.check else {
            return Ok(());
        };
        let mut message = [0u8; MESSAGE_BYTES];
        let code = parameters.lend(|parameters| {
            let room = message.as_mut_ptr().cast();
            // SAFETY: all pointers are to living values of the lengths that go with them.
            unsafe {
                check(
                    parameters,
                    species.as_ptr(),
                    species.len(),
                    room,
                    MESSAGE_BYTES,
                )
            }
        });
        match code {
            0 => Ok(()),
            _ => Err(in_words(&message, "it refuses these parameters or species")),
        }
    }

    /// A calculator for the calling thread.
    pub fn create(&'static self, parameters: &TypedParameters) -> Result<Handle, String> {
        let mut message = [0u8; MESSAGE_BYTES];
        let calculator = parameters.lend(|parameters| {
            // SAFETY: both pointers are to living values, the message of the length that goes with it.
            unsafe { (self.create)(parameters, message.as_mut_ptr().cast(), MESSAGE_BYTES) }
        });
        if calculator.is_null() {
            return Err(in_words(
                &message,
                "it makes no calculator and does not say why",
            ));
        }
        Ok(Handle {
            api: self,
            calculator,
        })
    }
}

/// A calculator of a library. The raw pointer keeps it on its thread.
pub(super) struct Handle {
    api: &'static Api,
    calculator: *mut c_void,
}

impl Handle {
    /// Computes one frame.
    pub fn evaluate(
        &mut self,
        frame: &Frame<'_>,
        results: &mut Results<'_>,
    ) -> Result<(), Failure> {
        let mut message = [0u8; MESSAGE_BYTES];
        let seen = CFrame {
            atoms: frame.len(),
            species: frame.species.as_ptr(),
            positions: frame.positions.as_ptr(),
            cell: frame.cell.vectors,
            periodic: frame.cell.periodic.map(u8::from),
        };
        let mut found = CResults {
            energy: *results.energy,
            forces: results.forces.as_mut_ptr(),
            stress: *results.stress,
            message: message.as_mut_ptr().cast(),
            message_size: MESSAGE_BYTES,
        };
        // SAFETY: the calculator is one that this library made and that has not been destroyed; species, positions and
        // forces have a row for each atom.
        let code = unsafe { (self.api.evaluate)(self.calculator, &raw const seen, &raw mut found) };
        *results.energy = found.energy;
        *results.stress = found.stress;
        match code {
            0 => Ok(()),
            2 => Err(Failure::NotConverged(in_words(&message, "not converged"))),
            3 => Err(Failure::Failed(in_words(&message, "failed"))),
            code => Err(Failure::Failed(in_words(
                &message,
                &format!("the plug-in answers {code}, which means nothing"),
            ))),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: made by this library, and destroyed here alone.
        unsafe { (self.api.destroy)(self.calculator) };
    }
}

/// The message in one line, or `otherwise` where there is none.
fn in_words(message: &[u8], otherwise: &str) -> String {
    let end = message.iter().position(|b| *b == 0);
    let text = String::from_utf8_lossy(&message[..end.unwrap_or(message.len())]);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() {
        otherwise.to_owned()
    } else {
        line
    }
}
