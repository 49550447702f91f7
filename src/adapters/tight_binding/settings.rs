//! The parameters that all these libraries take.

use crate::domain::parameters::{ParameterError, ParameterSpec, ParameterType, Parameters};

/// Total charge.
pub const CHARGE: ParameterSpec = ParameterSpec {
    name: "charge",
    kind: ParameterType::Integer,
    unit: "e",
    default: Some("0"),
    per_pair: false,
    per_species: false,
    help: "total charge of every frame",
};

/// Unpaired electrons.
pub const UHF: ParameterSpec = ParameterSpec {
    name: "uhf",
    kind: ParameterType::Integer,
    unit: "",
    default: Some("0"),
    per_pair: false,
    per_species: false,
    help: "number of unpaired electrons; 0 means one where their number is odd",
};

/// Thresholds.
pub const ACCURACY: ParameterSpec = ParameterSpec {
    name: "accuracy",
    kind: ParameterType::PositiveFloat,
    unit: "",
    default: Some("1"),
    per_pair: false,
    per_species: false,
    help: "factor on all thresholds, 0.0001 (tight) to 1000",
};

/// Iterations of the SCF.
pub const MAX_ITERATIONS: ParameterSpec = ParameterSpec {
    name: "max_iterations",
    kind: ParameterType::PositiveInteger,
    unit: "",
    default: Some("250"),
    per_pair: false,
    per_species: false,
    help: "iterations of the self-consistent charges before a frame is given up (status 2)",
};

/// Temperature of the electrons.
pub const ELECTRONIC_TEMPERATURE: ParameterSpec = ParameterSpec {
    name: "electronic_temperature",
    kind: ParameterType::PositiveFloat,
    unit: "K",
    default: Some("300"),
    per_pair: false,
    per_species: false,
    help: "temperature of the electrons",
};

/// How every frame is computed.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Total charge (e).
    pub charge: i32,
    /// Number of unpaired electrons.
    pub uhf: i32,
    /// Factor on all thresholds, 1e-4 to 1e3.
    pub accuracy: f64,
    /// Iterations of the self-consistent charges.
    pub max_iterations: i32,
    /// Temperature of the electrons (K).
    pub electronic_temperature: f64,
}

impl Settings {
    /// Checks parameters beyond their types.
    pub fn of(parameters: &Parameters) -> Result<Self, ParameterError> {
        let wrong = |name: &str, wanted: &str| {
            let given = parameters.text(name).unwrap_or_default();
            ParameterError(format!("parameter {name}: {given} is not {wanted}"))
        };
        let whole = |name: &str, least: i32, wanted: &str| {
            parameters
                .integer(name)
                .and_then(|x| i32::try_from(x).ok())
                .filter(|x| *x >= least)
                .ok_or_else(|| wrong(name, wanted))
        };
        let accuracy = parameters.float("accuracy").unwrap_or(1.0);
        if !(1e-4..=1e3).contains(&accuracy) {
            return Err(wrong("accuracy", "between 0.0001 and 1000"));
        }
        Ok(Self {
            charge: whole("charge", -1_000_000, "a charge")?,
            uhf: whole("uhf", 0, "a number of unpaired electrons (0 or more)")?,
            accuracy,
            max_iterations: whole("max_iterations", 1, "a number of iterations")?,
            electronic_temperature: parameters.float("electronic_temperature").unwrap_or(300.0),
        })
    }
}
