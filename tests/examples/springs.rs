//! framewise with one more calculator: every atom hangs on a spring at the origin.

use framewise::{Failure, Frame, Kernel, ParameterError, ParameterSpec, Parameters, Results};

/// Every atom hangs on a spring at the origin: E = k/2 Σ r², F = -k r.
struct Springs(f64);

impl Kernel for Springs {
    const NAME: &'static str = "springs";
    const PARAMETERS: &'static [ParameterSpec] =
        &[ParameterSpec::number("k", "eV/Å²", "stiffness")];

    fn new(parameters: &Parameters) -> Result<Self, ParameterError> {
        Ok(Self(parameters.required("k")?))
    }

    fn evaluate(&mut self, frame: &Frame<'_>, results: &mut Results<'_>) -> Result<(), Failure> {
        for (r, f) in frame.positions.iter().zip(results.forces.iter_mut()) {
            *results.energy += 0.5 * self.0 * r.iter().map(|x| x * x).sum::<f64>();
            *f = r.map(|x| -self.0 * x);
        }
        Ok(())
    }
}

fn main() -> std::process::ExitCode {
    framewise::run::<Springs>()
}
