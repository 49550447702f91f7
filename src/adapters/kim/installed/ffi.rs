//! What is installed: names, types and descriptions of models.

use std::ffi::CStr;
use std::ptr::{null, null_mut};
use std::sync::MutexGuard;

use crate::adapters::kim::library::ffi::{
    Api, Handle, LIBRARY, Named, lock, text, zero_terminated,
};

impl Api {
    /// Names of everything of a type that is installed, sorted: `portableModel`, `simulatorModel`, `modelDriver`.
    pub fn names(&self, of: &CStr) -> Result<Vec<String>, String> {
        let collections = Collections::open(self)?;
        let (mut count, mut names) = (0, Vec::new());
        // SAFETY: a live handle; `count` names are cached, each valid until the next list is.
        unsafe {
            if (self.cache_names)(
                collections.handle,
                (self.item_type)(of.as_ptr()),
                &raw mut count,
            ) != 0
            {
                return Err("libkim-api cannot list its models".into());
            }
            for n in 0..count {
                let mut name = null();
                if (self.name_at)(collections.handle, n, &raw mut name) == 0 {
                    names.push(text(name));
                }
            }
        }
        names.sort();
        Ok(names)
    }

    /// What type of thing has this name, if anything has.
    pub fn type_of(&self, name: &str) -> Result<Option<String>, String> {
        let collections = Collections::open(self)?;
        let (name, mut kind) = (zero_terminated(name)?, Named(0));
        // SAFETY: a live handle and a text that ends with a zero.
        unsafe {
            let unknown =
                (self.type_of_item)(collections.handle, name.as_ptr(), &raw mut kind) != 0;
            Ok((!unknown).then(|| text((self.item_type_text)(kind))))
        }
    }

    /// The file `kimspec.edn` of each portable model, where it has one.
    pub fn specifications(&self, names: &[String]) -> Result<Vec<Option<String>>, String> {
        let collections = Collections::open(self)?;
        names
            .iter()
            .map(|name| collections.specification(name))
            .collect()
    }
}

/// What is installed. Held under the lock of the library.
struct Collections<'a> {
    api: &'a Api,
    handle: Handle,
    _guard: MutexGuard<'static, ()>,
}

impl<'a> Collections<'a> {
    fn open(api: &'a Api) -> Result<Self, String> {
        let guard = lock(&LIBRARY);
        let mut handle = null_mut();
        // SAFETY: the library fills in a handle.
        if unsafe { (api.create_collections)(&raw mut handle) } != 0 {
            return Err("libkim-api cannot find its collections of models".into());
        }
        Ok(Self {
            api,
            handle,
            _guard: guard,
        })
    }

    fn specification(&self, name: &str) -> Result<Option<String>, String> {
        let (api, name, mut count) = (self.api, zero_terminated(name)?, 0);
        // SAFETY: a live handle; `count` files are cached, each valid until the next list is.
        unsafe {
            let kind = (api.item_type)(c"portableModel".as_ptr());
            if (api.cache_files)(self.handle, kind, name.as_ptr(), &raw mut count) != 0 {
                return Ok(None);
            }
            for n in 0..count {
                let (mut file, mut length, mut raw) = (null(), 0, null());
                let (mut is_text, mut contents) = (0, null());
                let failed = (api.file_at)(
                    self.handle,
                    n,
                    &raw mut file,
                    &raw mut length,
                    &raw mut raw,
                    &raw mut is_text,
                    &raw mut contents,
                );
                if failed == 0 && is_text != 0 && text(file) == "kimspec.edn" {
                    return Ok(Some(text(contents)));
                }
            }
        }
        Ok(None)
    }
}

impl Drop for Collections<'_> {
    fn drop(&mut self) {
        // SAFETY: a live handle, destroyed once.
        unsafe { (self.api.destroy_collections)(&raw mut self.handle) };
    }
}
