//! Entries of a table that people name: `NAME`, or `NAME:VALUE` with the parameter that comes first to mind.

use crate::domain::error::{Error, Result};
use crate::domain::parameters::did_you_mean;

/// A parameter and its value.
pub type Given = Option<(String, String)>;

/// A table of calculators or of kernels.
pub(super) struct Table<T: 'static> {
    /// What is in it.
    pub what: &'static str,
    /// Its entries.
    pub known: Vec<&'static T>,
    /// The name of an entry.
    pub name: fn(&T) -> &'static str,
    /// The parameter that can be given with the name.
    pub subject: fn(&T) -> Option<&'static str>,
}

impl<T> Table<T> {
    /// The entry that was typed, and the parameter that was given with its name.
    pub fn choose(&self, typed: &str) -> Result<(&'static T, Given)> {
        let Some((name, value)) = typed.split_once(':') else {
            return Ok((self.find(typed)?, None));
        };
        let entry = self.find(name)?;
        let Some(subject) = (self.subject)(entry) else {
            return Err(Error::usage(format!(
                "--{} {typed}: {name} takes nothing after its name; parameters are given as --param NAME=VALUE",
                self.what
            )));
        };
        Ok((entry, Some((subject.to_owned(), value.to_owned()))))
    }

    /// The entry of this name.
    pub fn find(&self, name: &str) -> Result<&'static T> {
        let found = self.known.iter().find(|entry| (self.name)(entry) == name);
        found.copied().ok_or_else(|| {
            let names: Vec<_> = self.known.iter().map(|entry| (self.name)(entry)).collect();
            let what = self.what;
            Error::usage(format!(
                "unknown {what} {name:?}{}; known: {} (see `framewise {what}s`)",
                did_you_mean(name, names.iter().copied()),
                names.join(", ")
            ))
        })
    }
}
