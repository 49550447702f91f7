//! What a calculator in this process answers.

use framewise::domain::calculator::{Calculator, Failure, Results};
use framewise::domain::frame::Frame;

/// Results of one frame; NaN where it has no stress.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    pub energy: f64,
    pub forces: Vec<[f64; 3]>,
    pub stress: [[f64; 3]; 3],
}

impl Evaluated {
    /// All numbers as their bits.
    pub fn bits(&self) -> Vec<u64> {
        let rows = self.forces.iter().chain(&self.stress).flatten();
        let numbers = std::iter::once(&self.energy).chain(rows);
        numbers.map(|x| x.to_bits()).collect()
    }
}

/// Evaluates a frame as the engine does.
pub fn evaluate(calculator: &mut dyn Calculator, frame: &Frame<'_>) -> Result<Evaluated, Failure> {
    let mut found = Evaluated {
        energy: 0.0,
        forces: vec![[0.0; 3]; frame.len()],
        stress: [[f64::NAN; 3]; 3],
    };
    let mut results = Results {
        energy: &mut found.energy,
        forces: &mut found.forces,
        stress: &mut found.stress,
    };
    calculator.evaluate(frame, &mut results)?;
    Ok(found)
}
