//! The engine's process: reads frames, evaluates, writes results, until its standard input ends.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::process::ExitCode;

use crate::adapters::calculators;
use crate::domain::calculator::{Calculator, Conditions, Factory, Failure, Results};
use crate::domain::frame::FrameBlock;
use crate::domain::panics::guarded;
use crate::engine::pool::STACK_BYTES;

use super::ffi;
use super::wire::{self, Answer, Setup};

/// The hidden verb `evaluate PARENT`.
pub fn serve(parent: u32) -> ExitCode {
    let Ok((frames, answers)) = ffi::become_engine(parent) else {
        return ExitCode::FAILURE;
    };
    // Said to the worker, who says it to the user.
    std::panic::set_hook(Box::new(|_| {}));
    // As much stack as a worker has.
    let thread = std::thread::Builder::new()
        .name("engine".into())
        .stack_size(STACK_BYTES)
        .spawn(move || talk(frames, answers).is_ok());
    match thread.map(std::thread::JoinHandle::join) {
        Ok(Ok(true)) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn talk(frames: File, answers: File) -> io::Result<()> {
    let (mut frames, mut answers) = (BufReader::new(frames), BufWriter::new(answers));
    let setup = wire::read_setup(&mut frames)?;
    let built = factory(&setup).and_then(|factory| {
        let calculator = build(factory.as_ref())?;
        Ok((factory, calculator))
    });
    let ready = built.as_ref().map(|_| ()).map_err(Clone::clone);
    wire::write_ready(&mut answers, &ready)?;
    answers.flush()?;
    let Ok((factory, mut calculator)) = built else {
        return Ok(());
    };
    let mut block = FrameBlock::default();
    let mut forces = Vec::new();
    while wire::read_frame(&mut frames, &mut block)? {
        let frame = block.frame(0);
        forces.clear();
        forces.resize(frame.len(), [0.0; 3]);
        let (mut energy, mut stress) = (0.0, [[f64::NAN; 3]; 3]);
        let mut results = Results {
            energy: &mut energy,
            forces: &mut forces,
            stress: &mut stress,
        };
        let answer = match guarded(|| calculator.evaluate(&frame, &mut results)) {
            Ok(Ok(())) => Answer::Done,
            Ok(Err(Failure::NotConverged(why))) => Answer::NotConverged(why),
            Ok(Err(Failure::Failed(why) | Failure::Unavailable(why))) => Answer::Failed(why),
            Err(panic) => {
                // A calculator that panicked may be in any state.
                calculator = build(factory.as_ref()).map_err(io::Error::other)?;
                Answer::Failed(format!("the calculator panicked: {panic}"))
            }
        };
        wire::write_answer(&mut answers, &answer, &results)?;
        answers.flush()?;
    }
    Ok(())
}

type Shared = std::sync::Arc<dyn Factory>;

fn factory(setup: &Setup) -> Result<Shared, String> {
    let kind = calculators::find(&setup.calculator).map_err(|e| e.message)?;
    // The worker looks at the time.
    kind.make(&setup.parameters, &Conditions::default())
        .map_err(|e| e.0)
}

fn build(factory: &dyn Factory) -> Result<Box<dyn Calculator>, String> {
    guarded(|| factory.build())
        .unwrap_or_else(|panic| Err(format!("building the calculator panicked: {panic}")))
}
