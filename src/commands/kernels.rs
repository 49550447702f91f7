//! `framewise kernels`: what `map` can compute, and with which parameters.

use std::process::ExitCode;

use serde_json::json;

use crate::adapters::kernels::{all, find};
use crate::domain::error::Result;
use crate::domain::kernel::KernelKind;

use super::calculators::{parameters, parameters_json, without_heading};
use super::output::{print, print_json};
use super::table::table;

/// Kernels of `map` and their parameters
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  framewise kernels
  framewise kernels sho-fit")]
pub struct KernelsArgs {
    /// One kernel, in detail
    #[arg(value_name = "NAME")]
    pub name: Option<String>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the verb.
pub fn execute(args: &KernelsArgs) -> Result<ExitCode> {
    let kinds = match &args.name {
        Some(name) => vec![find(name)?],
        None => all(),
    };
    if args.json {
        print_json(&kinds.iter().map(|kind| describe_json(kind)).collect())?;
    } else if args.name.is_some() {
        print(&describe(kinds[0]))?;
    } else {
        let row = |kind: &&KernelKind| vec![kind.name.to_owned(), kind.summary.to_owned()];
        print(&table(
            &["kernel", "what it does"],
            kinds.iter().map(row),
            &[],
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(kind: &KernelKind) -> String {
    let parameters = match kind.parameters {
        [] => "  no parameters".to_owned(),
        specs => parameters(specs),
    };
    format!(
        "{}: {}\n  computes   {}\n{parameters}\n\n{}",
        kind.name,
        kind.summary,
        kind.supports,
        without_heading(kind.page)
    )
}

fn describe_json(kind: &KernelKind) -> serde_json::Value {
    json!({
        "name": kind.name,
        "process": kind.process,
        "summary": kind.summary,
        "supports": kind.supports,
        "parameters": parameters_json(kind.parameters),
        "subject": kind.subject,
    })
}
