//! `framewise calculators`: names, parameters, and whether this build and machine have them.

use std::process::ExitCode;

use serde_json::json;

use crate::adapters::calculators::{all, find};
use crate::adapters::plugin::HEADER;
use crate::domain::calculator::{Availability, CalculatorKind};
use crate::domain::error::Result;
use crate::domain::parameters::{ParameterSpec, ParameterType};

use super::output::{print, print_json};
use super::table::table;

/// Calculators, their parameters, and whether this build and machine have them
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  framewise calculators
  framewise calculators lennard-jones
  framewise calculators kim        # with the models that are installed")]
pub struct CalculatorsArgs {
    /// One calculator, in detail
    #[arg(value_name = "NAME")]
    pub name: Option<String>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Print the C header of plug-ins
    #[arg(long, conflicts_with = "json")]
    pub header: bool,
}

/// Runs the verb.
pub fn execute(args: &CalculatorsArgs) -> Result<ExitCode> {
    if args.header {
        print(HEADER.trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    let kinds = match &args.name {
        Some(name) => vec![find(name)?],
        None => all(),
    };
    if args.json {
        print_json(&kinds.iter().map(|kind| describe_json(kind)).collect())?;
    } else if args.name.is_some() {
        print(&describe(kinds[0]))?;
    } else {
        let rows = kinds.iter().map(|kind| {
            vec![
                kind.name.to_owned(),
                availability(kind),
                kind.summary.to_owned(),
            ]
        });
        print(&table(
            &["calculator", "available", "what it does"],
            rows,
            &[],
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn availability(kind: &CalculatorKind) -> String {
    match (kind.availability)() {
        Availability::Available(with) if with.is_empty() => "yes".into(),
        Availability::Available(with) => format!("yes, {with}"),
        Availability::Missing(why) => format!("no: {why}"),
    }
}

fn describe(kind: &CalculatorKind) -> String {
    let mut text = format!("{}: {}\n", kind.name, kind.summary);
    text += &format!(
        "  computes   {}\n  available  {}\n",
        kind.supports,
        availability(kind)
    );
    if kind.parameters.is_empty() {
        text += "  no parameters";
    } else {
        text += &parameters(kind.parameters);
    }
    text += &format!("\n\n{}", without_heading(kind.page));
    match kind.catalogue.map(|list| list()) {
        None => {}
        Some(Ok(list)) => text += &format!("\n\n{}", table(&list.header, list.rows, &[])),
        Some(Err(why)) => text += &format!("\n\n{why}"),
    }
    text
}

/// The page about a calculator or kernel, whose name has been said.
pub(super) fn without_heading(page: &str) -> &str {
    let rest = page.strip_prefix("# ").and_then(|p| p.split_once('\n'));
    rest.map_or(page, |(_, rest)| rest).trim()
}

/// A table of parameters.
pub(super) fn parameters(specs: &[ParameterSpec]) -> String {
    let rows = specs.iter().map(|p| {
        let whom = match (p.per_species, p.per_pair) {
            (true, _) => format!("; for one species: {}.Na", p.name),
            (false, true) => format!("; for one pair of species: {}.Ar-Kr", p.name),
            (false, false) => String::new(),
        };
        vec![
            format!("  {}", p.name),
            type_name(p),
            p.unit.to_owned(),
            p.default.unwrap_or("-").to_owned(),
            format!("{}{whom}", p.help),
        ]
    });
    "\n".to_owned()
        + &table(
            &["  --param", "type", "unit", "default", "meaning"],
            rows,
            &[],
        )
}

fn type_name(spec: &ParameterSpec) -> String {
    match spec.kind {
        ParameterType::Float => "number".into(),
        ParameterType::PositiveFloat => "number > 0".into(),
        ParameterType::NonNegativeFloat => "number >= 0".into(),
        ParameterType::Integer => "whole number".into(),
        ParameterType::PositiveInteger => "whole number > 0".into(),
        ParameterType::Choice(words) => words.join("|"),
        ParameterType::Text => "text".into(),
        ParameterType::File => "file".into(),
    }
}

/// Parameters as JSON.
pub(super) fn parameters_json(specs: &[ParameterSpec]) -> serde_json::Value {
    let parameters = specs.iter().map(|p| {
        json!({
            "name": p.name, "type": type_name(p), "unit": p.unit, "default": p.default,
            "per_pair": p.per_pair, "per_species": p.per_species, "help": p.help,
        })
    });
    parameters.collect()
}

fn describe_json(kind: &CalculatorKind) -> serde_json::Value {
    let available = (kind.availability)();
    json!({
        "name": kind.name,
        "summary": kind.summary,
        "supports": kind.supports,
        "available": matches!(available, Availability::Available(_)),
        "detail": match available { Availability::Available(t) | Availability::Missing(t) => t },
        "parameters": parameters_json(kind.parameters),
        "subject": kind.subject,
    })
}
