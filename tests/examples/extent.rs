//! framewise with one more kernel: sum and largest value of each row.

use framewise::{
    Failure, ParameterError, Parameters, ResultSpec, Row, RowDescription, RowKernel, RowResults,
};

/// Sum and largest value of a row.
struct Extent(String);

impl RowKernel for Extent {
    const NAME: &'static str = "extent";

    fn new(_: &Parameters, rows: &RowDescription) -> Result<Self, ParameterError> {
        Ok(Self(rows.unit().into()))
    }

    fn results(&self) -> Vec<ResultSpec> {
        ["Sum", "Largest"]
            .map(|name| ResultSpec::real(name, &[], name, &self.0))
            .into()
    }

    fn evaluate(&mut self, row: &Row<'_>, results: &mut RowResults<'_>) -> Result<(), Failure> {
        results.reals(0)[0] = row.reals().iter().sum();
        results.reals(1)[0] = row.reals().iter().copied().fold(f64::MIN, f64::max);
        Ok(())
    }
}

fn main() -> std::process::ExitCode {
    framewise::map::<Extent>()
}
