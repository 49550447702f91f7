//! The table of kernels.

use crate::domain::error::{Error, Result};
use crate::domain::kernel::KernelKind;
use crate::domain::kernels as pure;
use crate::domain::parameters::did_you_mean;

/// Every kernel of this build, in the order people meet them.
pub fn all() -> Vec<&'static KernelKind> {
    vec![
        &pure::statistics::KIND,
        &pure::fft_filter::KIND,
        &pure::sho_fit::KIND,
        &pure::pca_projection::KIND,
        &super::python::kernel::KIND,
    ]
}

/// The kernel that `NAME` or `NAME:VALUE` asks for; of the latter also the parameter that is given by it.
pub fn choose(typed: &str) -> Result<(&'static KernelKind, Option<(String, String)>)> {
    let Some((name, value)) = typed.split_once(':') else {
        return Ok((find(typed)?, None));
    };
    let kind = find(name)?;
    let Some(subject) = kind.subject else {
        return Err(Error::usage(format!(
            "--kernel {typed}: {name} takes nothing after its name; parameters are given as --param NAME=VALUE"
        )));
    };
    Ok((kind, Some((subject.to_owned(), value.to_owned()))))
}

/// The kernel of this name.
pub fn find(name: &str) -> Result<&'static KernelKind> {
    let known = all();
    let found = known.iter().find(|kind| kind.name == name).copied();
    found.ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|kind| kind.name).collect();
        Error::usage(format!(
            "unknown kernel {name:?}{}; known: {} (see `framewise kernels`)",
            did_you_mean(name, names.iter().copied()),
            names.join(", ")
        ))
    })
}
