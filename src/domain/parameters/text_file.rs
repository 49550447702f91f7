//! Files of parameters.

use std::fmt::Display;
use std::fs;

use xxhash_rust::xxh3::xxh3_64;

use super::ParameterError;

/// A larger file is hardly one of parameters (bytes).
const LARGEST: u64 = 16 << 20;

/// What was read for a parameter of type [`File`](super::ParameterType::File).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextFile {
    /// As typed.
    pub path: String,
    /// What is in it.
    pub text: String,
}

impl TextFile {
    /// Reads it; `name` is the parameter's.
    pub(super) fn read(name: &str, path: &str) -> Result<Self, ParameterError> {
        let wrong = |why: &dyn Display| ParameterError(format!("parameter {name}: {path}: {why}"));
        let metadata = fs::metadata(path).map_err(|e| wrong(&e))?;
        if !metadata.is_file() || metadata.len() > LARGEST {
            return Err(wrong(&"not a file of parameters"));
        }
        let bytes = fs::read(path).map_err(|e| wrong(&e))?;
        let text = String::from_utf8(bytes).map_err(|_| wrong(&"not a text file"))?;
        let path = path.to_owned();
        Ok(Self { path, text })
    }

    /// For the record: its name and the XXH3-64 of what is in it.
    pub(super) fn recorded(&self) -> String {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        format!("{name} (xxh3 {:016x})", xxh3_64(self.text.as_bytes()))
    }
}
