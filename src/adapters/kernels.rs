//! The table of kernels.

use std::sync::OnceLock;

use crate::domain::error::Result;
use crate::domain::kernel::KernelKind;
use crate::domain::kernels as pure;

use super::choice::{Given, Table};

/// The kernel of a program that uses this crate.
static ADDED: OnceLock<&'static KernelKind> = OnceLock::new();

/// One more kernel, of the program that uses this crate. The first one counts.
pub fn add(kind: &'static KernelKind) {
    let _ = ADDED.set(kind);
}

/// Every kernel of this program, in the order people meet them.
pub fn all() -> Vec<&'static KernelKind> {
    let mut known = vec![
        &pure::statistics::KIND,
        &pure::fft_filter::KIND,
        &pure::sho_fit::KIND,
        &pure::pca_projection::KIND,
        &super::python::kernel::KIND,
    ];
    known.extend(ADDED.get());
    known
}

fn table() -> Table<KernelKind> {
    Table {
        what: "kernel",
        known: all(),
        name: |kind| kind.name,
        subject: |kind| kind.subject,
    }
}

/// The kernel that `NAME` or `NAME:VALUE` asks for; of the latter also the parameter that is given by it.
pub fn choose(typed: &str) -> Result<(&'static KernelKind, Given)> {
    table().choose(typed)
}

/// The kernel of this name.
pub fn find(name: &str) -> Result<&'static KernelKind> {
    table().find(name)
}
