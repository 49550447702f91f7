//! The task of `framewise run`: a calculator on the frames of a trajectory.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::adapters::hdf5::carry;
use crate::adapters::hdf5::contents::Contents;
use crate::adapters::hdf5::create::{self, Make};
use crate::adapters::hdf5::fingerprint::{fingerprint, glance};
use crate::adapters::hdf5::input::{Asked, Input};
use crate::adapters::hdf5::layout::{attribute, unit};
use crate::adapters::mpi::MpiRanks;
use crate::domain::calculator::{CalculatorKind, Factory, Home};
use crate::domain::error::{Error, GoOn, Result};
use crate::domain::frame::FrameBlock;
use crate::domain::parameters::{Parameters, as_json};
use crate::engine::evaluator::Work;
use crate::engine::ports::Source;
use crate::planning::cost::{Experience, SizeLaw};
use crate::planning::frame_set::FrameSet;
use crate::planning::plan::Plan;

use super::existing::Identity;
use super::task::{Material, Task};
use super::weigh;

/// A calculator and what it is to see.
#[derive(Clone)]
pub struct Frames {
    /// Trajectory, as given.
    pub input: PathBuf,
    /// The calculator.
    pub calculator: &'static CalculatorKind,
    /// Its parameters.
    pub parameters: Parameters,
    /// Makes one calculator per worker.
    pub factory: Arc<dyn Factory>,
    /// Name under which results are stored.
    pub level_of_theory: String,
    /// Groups of the input, and what is said of them.
    pub asked: Asked,
    /// The engine runs in processes of its own.
    pub isolate: bool,
    /// What the result holds beside results.
    pub contents: Contents,
}

impl Task for Frames {
    fn item(&self) -> &'static str {
        "frame"
    }

    fn selector(&self) -> &'static str {
        "--frames"
    }

    fn name(&self) -> &str {
        &self.level_of_theory
    }

    fn words(&self) -> String {
        format!(
            "{} {} {:?} level {} isolate {} contents {:?}",
            self.calculator.name,
            self.parameters.to_json(),
            self.asked,
            self.level_of_theory,
            self.isolate,
            self.contents,
        )
    }

    fn keeps_time(&self) -> bool {
        self.isolate || self.calculator.home == Home::Program
    }

    fn leeway(&self) -> Duration {
        self.factory.leeway()
    }

    fn open(&self, input: &Path) -> Result<Box<dyn Material>> {
        let input = Input::open_as(input, &self.asked)?;
        Ok(Box::new(Trajectory {
            task: self.clone(),
            input,
        }))
    }
}

/// The frames, and what is to be made of them.
struct Trajectory {
    task: Frames,
    input: Input,
}

impl Source for Trajectory {
    fn read(&mut self, frames: &FrameSet, block: &mut FrameBlock) -> Result<()> {
        self.input.read(frames, block)
    }

    fn sizes(
        &mut self,
        frames: &FrameSet,
        size_of: &[u8; 256],
        each: &mut dyn FnMut(u64),
    ) -> Result<()> {
        self.input.sizes(frames, size_of, each)
    }
}

impl Material for Trajectory {
    fn source(&mut self) -> &mut dyn Source {
        &mut self.input
    }

    fn work(&self) -> Work {
        Work::from(&self.task.factory)
    }

    fn count(&self) -> u64 {
        self.input.frames()
    }

    fn glance(&mut self) -> Result<String> {
        glance(&mut self.input)
    }

    fn identity(&mut self, go_on: GoOn<'_>) -> Result<Identity> {
        let fingerprint = fingerprint(&mut self.input, go_on)?;
        let task = &self.task;
        let more = task.factory.identity().into_iter();
        let more = more.map(|(name, value)| (name.to_owned(), value));
        let [what, _] = task.parameters.split(task.calculator.settings);
        let parameters = what.into_iter().chain(more);
        let mut identity = vec![
            (attribute::CALCULATOR, task.calculator.name.to_owned()),
            (attribute::PARAMETERS, as_json(parameters)),
            (attribute::LEVEL_OF_THEORY, task.level_of_theory.clone()),
            (attribute::INPUT_FINGERPRINT, fingerprint),
            (attribute::KEY, self.input.key()),
            (attribute::INPUT, task.input.display().to_string()),
        ];
        // Whoever asks for these wants them in the file; whoever does not, takes it as it was made.
        if !task.contents.carry.is_empty() {
            identity.push((attribute::CARRIED, carry::words(&task.contents.carry)));
        }
        if task.contents.molar_forces {
            identity.push((attribute::FORCE_UNITS, unit::MOLAR_FORCE.to_owned()));
        }
        Ok(identity)
    }

    fn settings(&self) -> Option<String> {
        let [_, how] = self.task.parameters.split(self.task.calculator.settings);
        (!how.is_empty()).then(|| as_json(how))
    }

    fn library(&self) -> Option<String> {
        self.task.factory.library()
    }

    fn check(&mut self, pending: &FrameSet, go_on: GoOn<'_>) -> Result<()> {
        let species = self.input.species_present(pending, go_on)?;
        let checked = self.task.factory.check_species(&species);
        checked.map_err(|e| Error::failure(format!("{}: {e}", self.task.input.display())))?;
        if pending.is_empty() {
            return Ok(());
        }
        let name = self.task.calculator.name;
        let mut block = FrameBlock::default();
        self.input.read(&pending.slice(0..1), &mut block)?;
        let tried = self.task.factory.try_out(&block.frame(0));
        if tried.is_err() {
            // Whoever waited for a program may have been asked to stop.
            go_on()?;
        }
        tried.map_err(|why| Error::failure(format!("calculator {name}: {why}")))
    }

    fn lay_out(
        &mut self,
        result: &Path,
        _beside: bool,
        make: Make<'_>,
        go_on: GoOn<'_>,
    ) -> Result<()> {
        let contents = self.task.contents.clone();
        create::lay_out(result, &mut self.input, contents, make, go_on)
    }

    fn plan(
        &mut self,
        ranks: &mut MpiRanks,
        result: &Path,
        pending: &FrameSet,
        created: bool,
    ) -> Result<Plan> {
        let assumed = self.assumed();
        let earlier = weigh::Earlier {
            result,
            factory: self.task.factory.as_ref(),
            created,
        };
        weigh::plan(&earlier, ranks, &mut self.input, pending, assumed)
    }

    fn assumed(&self) -> SizeLaw {
        SizeLaw::power(if self.task.calculator.is_foreign() {
            2
        } else {
            1
        })
    }

    fn experience(
        &mut self,
        ranks: &mut MpiRanks,
        result: &Path,
        created: bool,
    ) -> Result<Experience> {
        let earlier = weigh::Earlier {
            result,
            factory: self.task.factory.as_ref(),
            created,
        };
        weigh::for_leases(&earlier, ranks, &mut self.input)
    }
}
