//! The entry in the table of calculators, and its parameters.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::adapters::program::find;
use crate::domain::calculator::{Availability, CalculatorKind, Conditions, Factory, Home};
use crate::domain::parameters::{ParameterError, ParameterSpec, ParameterType, Parameters};
use crate::domain::units::{BOHR, HARTREE};

use super::room::View;
use super::{Clients, Engine, Mode, Virial, place, template};

/// The entry in the table of calculators.
pub static KIND: CalculatorKind = CalculatorKind {
    name: "ipi",
    summary: "any program that speaks the socket protocol of i-PI, started for each worker",
    supports: "energy, forces, stress; what the program computes",
    page: include_str!("README.md"),
    home: Home::Program,
    parameters: &PARAMETERS,
    subject: Some("command"),
    settings: &["start_timeout", "clients", "extra"],
    catalogue: None,
    availability: || Availability::Available(String::new()),
    factory,
    level_of_theory,
};

const fn text(name: &'static str, help: &'static str) -> ParameterSpec {
    spec(name, ParameterType::Text, "", None, help)
}

const fn spec(
    name: &'static str,
    kind: ParameterType,
    unit: &'static str,
    default: Option<&'static str>,
    help: &'static str,
) -> ParameterSpec {
    ParameterSpec {
        name,
        kind,
        unit,
        default,
        per_pair: false,
        per_species: false,
        help,
    }
}

const YES: ParameterType = ParameterType::Choice(&["no", "yes"]);

static PARAMETERS: [ParameterSpec; 14] = [
    text(
        "command",
        "what starts a client, with placeholders like {socket}; quoted as in a shell",
    ),
    text(
        "address",
        "instead: where clients that you start connect, a NAME (/tmp/ipi_NAME) or HOST:PORT",
    ),
    text(
        "files",
        "input files, copied into each client's folder with their placeholders filled in",
    ),
    spec(
        "mode",
        ParameterType::Choice(&["unix", "inet"]),
        "",
        Some("unix"),
        "UNIX socket or TCP",
    ),
    spec(
        "start_timeout",
        ParameterType::PositiveFloat,
        "s",
        Some("60"),
        "how long a client may take to say that it is ready",
    ),
    spec(
        "clients",
        ParameterType::PositiveInteger,
        "",
        Some("1"),
        "clients that each worker keeps, one for each list of species",
    ),
    spec(
        "fresh",
        YES,
        "",
        Some("no"),
        "a new client for each frame: for clients that remember the frames before",
    ),
    spec(
        "cell",
        ParameterType::Choice(&["triangular", "as-is"]),
        "",
        Some("triangular"),
        "turn frames so that a is along x and b in the plane of x and y, as i-PI has it, or send cells as they are",
    ),
    spec(
        "wrap",
        YES,
        "",
        Some("yes"),
        "fold atoms into the cell along periodic directions: clients may be wrong for others",
    ),
    spec(
        "vacuum",
        ParameterType::PositiveFloat,
        "Å",
        Some("100"),
        "length of the cell along directions in which a frame has none",
    ),
    spec(
        "virial",
        ParameterType::Choice(&["auto", "always", "never"]),
        "",
        Some("auto"),
        "whether it is a stress; auto: unless it is zero throughout, as of programs that compute none",
    ),
    spec(
        "bohr",
        ParameterType::PositiveFloat,
        "Å",
        Some("0.529177210903"),
        "the client's value; CODATA 2018 unless given",
    ),
    spec(
        "hartree",
        ParameterType::PositiveFloat,
        "eV",
        Some("27.211386245988"),
        "the client's value; CODATA 2018 unless given",
    ),
    text(
        "extra",
        "folder for the texts that clients send with their forces",
    ),
];

fn wrong(name: &str, why: impl std::fmt::Display) -> ParameterError {
    ParameterError(format!("parameter {name}: {why}"))
}

fn words(parameters: &Parameters, name: &str) -> Result<Option<Vec<String>>, ParameterError> {
    let Some(text) = parameters.text(name) else {
        return Ok(None);
    };
    let words = shlex::split(text);
    let words =
        words.ok_or_else(|| wrong(name, "a quote is not closed, or a backslash ends it"))?;
    Ok(Some(words))
}

fn factory(
    parameters: &Parameters,
    conditions: &Conditions,
) -> Result<Arc<dyn Factory>, ParameterError> {
    let mode = match parameters.text("mode") {
        Some("inet") => Mode::Inet,
        _ => Mode::Unix,
    };
    let command = words(parameters, "command")?;
    let address = parameters.text("address").map(str::to_owned);
    match (&command, &address) {
        (Some(words), None) => check_command(words).map_err(|why| wrong("command", why))?,
        (None, Some(address)) => {
            check_address(mode, address).map_err(|why| wrong("address", why))?;
        }
        (Some(_), Some(_)) => {
            return Err(wrong(
                "address",
                "is for clients that you start yourself; leave out command",
            ));
        }
        (None, None) => {
            return Err(wrong(
                "command",
                "is missing: what starts a client, such as command=\"python client.py {socket}\"",
            ));
        }
    }
    let yes = |name: &str| parameters.text(name) == Some("yes");
    let seconds = parameters.float("start_timeout").unwrap_or(60.0);
    let start_timeout = Duration::try_from_secs_f64(seconds);
    let clients = parameters.integer("clients").unwrap_or(1);
    let here = std::env::current_dir();
    let engine = Arc::new(Engine {
        mode,
        command,
        address,
        here: here.map_err(|e| wrong("command", format!("the current folder: {e}")))?,
        files: files(parameters)?,
        start_timeout: start_timeout.map_err(|e| wrong("start_timeout", e))?,
        frame_timeout: conditions.frame_timeout,
        clients: usize::try_from(clients).unwrap_or(usize::MAX),
        fresh: yes("fresh"),
        view: View {
            vacuum: parameters.float("vacuum").unwrap_or(100.0),
            turns: parameters.text("cell") != Some("as-is"),
            wraps: yes("wrap"),
        },
        virial: match parameters.text("virial") {
            Some("always") => Virial::Always,
            Some("never") => Virial::Never,
            _ => Virial::Auto,
        },
        bohr: parameters.float("bohr").unwrap_or(BOHR),
        hartree: parameters.float("hartree").unwrap_or(HARTREE),
        extra: parameters.text("extra").map(Into::into),
        proven: AtomicBool::new(false),
        trying: AtomicBool::new(false),
        door: Mutex::new(None),
    });
    Ok(Arc::new(Clients {
        engine,
        first: Mutex::default(),
    }))
}

fn check_command(words: &[String]) -> Result<(), String> {
    let program = words.first().ok_or("is empty")?;
    for word in words {
        template::check(word)?;
    }
    // One with a placeholder in it is known when that is.
    if !program.contains('{') && find(OsStr::new(program)).is_none() {
        return Err(format!(
            "no program {program:?} {}",
            if program.contains('/') {
                "that can be executed"
            } else {
                "in the PATH"
            }
        ));
    }
    Ok(())
}

fn check_address(mode: Mode, address: &str) -> Result<(), String> {
    match mode {
        Mode::Inet => place::host_and_port(address)
            .map(|_| ())
            .map_err(|e| format!("{address:?}: {e}")),
        Mode::Unix if address.is_empty() || address.contains('/') => Err(format!(
            "{address:?} is no name; clients find NAME at /tmp/ipi_NAME"
        )),
        Mode::Unix => Ok(()),
    }
}

/// The contents of input files: read once, before anything is created.
fn files(parameters: &Parameters) -> Result<Vec<(String, Vec<u8>)>, ParameterError> {
    let paths = words(parameters, "files")?.unwrap_or_default();
    let read = |path: &String| {
        let name = Path::new(path).file_name().and_then(OsStr::to_str);
        let content = fs::read(path).map_err(|e| wrong("files", format!("{path}: {e}")))?;
        let name = name.ok_or_else(|| wrong("files", format!("{path:?} is no file")))?;
        Ok((name.to_owned(), content))
    };
    paths.iter().map(read).collect()
}

/// The name of the program.
fn level_of_theory(parameters: &Parameters) -> String {
    let words = parameters.text("command").and_then(shlex::split);
    let program = words.unwrap_or_default().into_iter().next();
    let name = program.as_deref().map(Path::new).and_then(Path::file_name);
    match name.and_then(OsStr::to_str) {
        Some(name) => format!("ipi:{name}"),
        None => "ipi".to_owned(),
    }
}
