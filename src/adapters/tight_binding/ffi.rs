//! A library with a C interface that is loaded when it is asked for: its functions, its handles, its threads.
//!
//! What makes it safe to use from Rust:
//!
//! - A library is never unloaded, so its functions stay valid for the life of the process.
//! - Handles are owned by values that free them once, and are not shared between threads.
//! - Texts are written into a buffer that is longer than the library is told.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::{Mutex, PoisonError};

use libloading::Library;

/// An object of the library.
pub type Handle = *mut c_void;
/// Makes one.
pub type NewHandle = unsafe extern "C" fn() -> Handle;
/// Frees it.
pub type DeleteHandle = unsafe extern "C" fn(*mut Handle);

/// A library that stays for ever.
#[derive(Debug)]
pub struct Loaded {
    /// The name or path under which it was found.
    pub name: String,
    library: &'static Library,
}

impl Loaded {
    /// The first of these names that can be loaded, or why the first one cannot.
    pub fn open(names: &[String]) -> Result<Self, String> {
        let mut reason = None;
        for name in names {
            // SAFETY: loading runs the initialisers of the library, its BLAS and the Fortran and OpenMP runtimes, which
            // have no preconditions; a file named by the user is trusted as any program he starts.
            match unsafe { Library::new(name) } {
                Ok(library) => {
                    keep_freed_memory();
                    return Ok(Self {
                        name: name.clone(),
                        // For ever: function pointers have no lifetime.
                        library: Box::leak(Box::new(library)),
                    });
                }
                Err(e) => reason = reason.or(Some(e.to_string())),
            }
        }
        Err(reason.unwrap_or_default())
    }

    /// The function of that name, in the library or in those it is linked to.
    ///
    /// # Safety
    ///
    /// `F` is the type of the function.
    pub unsafe fn find<F: Copy>(&self, name: &str) -> Result<F, libloading::Error> {
        // SAFETY: as the caller promises; the library is never unloaded.
        unsafe { self.library.get::<F>(name.as_bytes()) }.map(|symbol| *symbol)
    }

    /// One OpenMP thread for what the calling thread evaluates from now on, and one BLAS thread.
    pub fn use_one_thread(&self) {
        type SetThreads = unsafe extern "C" fn(c_int);
        static ALONE: Mutex<()> = Mutex::new(());
        let _guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        // Not every library has OpenMP, not every BLAS is OpenBLAS.
        for name in ["omp_set_num_threads", "openblas_set_num_threads"] {
            // SAFETY: the type is that of the function in omp.h and cblas.h.
            if let Ok(set) = unsafe { self.find::<SetThreads>(name) } {
                // SAFETY: 1 is in range; concurrent calls are excluded by the lock, and all set the same value.
                unsafe { set(1) };
            }
        }
    }
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

/// A handle and the function that frees it.
#[derive(Debug)]
pub struct Owned {
    handle: Handle,
    delete: DeleteHandle,
}

impl Owned {
    /// Takes a handle over.
    ///
    /// # Safety
    ///
    /// The handle comes from the constructor that belongs to `delete` and is nobody else's, or is null, which `delete`
    /// ignores.
    pub unsafe fn new(handle: Handle, delete: DeleteHandle) -> Self {
        Self { handle, delete }
    }

    /// The handle, live as long as this value.
    pub fn handle(&self) -> Handle {
        self.handle
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: as promised to `new`; freed once.
        unsafe { (self.delete)(&raw mut self.handle) };
    }
}

/// The text that `write` puts into a buffer of so many characters.
pub fn written(write: impl FnOnce(*mut c_char, *const c_int)) -> String {
    let mut buffer = [0u8; 4096];
    // One byte less than there is: the text ends with a zero whatever the library writes.
    let size = buffer.len() as c_int - 1;
    write(buffer.as_mut_ptr().cast(), &raw const size);
    let text = CStr::from_bytes_until_nul(&buffer).unwrap_or_default();
    text.to_string_lossy().into_owned()
}
