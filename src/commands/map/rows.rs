//! The task of `framewise map`: a kernel on the rows of an array.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::adapters::hdf5::create::Make;
use crate::adapters::hdf5::fingerprint::{fingerprint_of_rows, glance_at_rows};
use crate::adapters::hdf5::layout::attribute;
use crate::adapters::hdf5::rows::RowInput;
use crate::adapters::hdf5::rows::arrays::BesideInput;
use crate::adapters::hdf5::rows::create::{self, Process};
use crate::adapters::hdf5::rows::stored::StoredRows;
use crate::adapters::signals;
use crate::commands::run::existing::Identity;
use crate::commands::run::task::{Material, Task};
use crate::domain::calculator::{Conditions, Home};
use crate::domain::error::{Error, GoOn, Result};
use crate::domain::frame::FrameBlock;
use crate::domain::kernel::{Given, KernelFactory, KernelKind, Layout};
use crate::domain::parameters::{Parameters, as_json};
use crate::engine::evaluator::Work;
use crate::engine::ports::Source;
use crate::planning::frame_set::FrameSet;

/// A kernel and what it is to see.
#[derive(Clone)]
pub struct Rows {
    /// The file, as given.
    pub input: PathBuf,
    /// The array in it.
    pub dataset: String,
    /// The kernel.
    pub kernel: &'static KernelKind,
    /// Its parameters.
    pub parameters: Parameters,
    /// What the job asks of it besides.
    pub conditions: Conditions,
}

impl Task for Rows {
    fn item(&self) -> &'static str {
        "row"
    }

    fn selector(&self) -> &'static str {
        "--rows"
    }

    fn name(&self) -> &str {
        self.kernel.name
    }

    fn words(&self) -> String {
        let (kernel, parameters) = (self.kernel.name, self.parameters.to_json());
        format!("{kernel} {parameters} dataset {:?}", self.dataset)
    }

    fn keeps_time(&self) -> bool {
        self.kernel.home == Home::Program
    }

    fn open(&self, path: &Path) -> Result<Box<dyn Material>> {
        let mut input = RowInput::open(path, &self.dataset)?;
        let beside = BesideInput {
            input: path.to_owned(),
        };
        let given = Given {
            rows: input.description(),
            arrays: &beside,
            conditions: &self.conditions,
        };
        let factory = (self.kernel.factory)(&self.parameters, &given).map_err(|e| {
            if signals::asked() {
                return Error::stopped();
            }
            let (shown, name) = (path.display(), input.name());
            Error::usage(format!(
                "kernel {} on {name} of {shown}: {e}",
                self.kernel.name
            ))
        })?;
        input.hand_over_as(factory.takes(input.stored()))?;
        let layout = Layout::new(factory.results());
        Ok(Box::new(Array {
            stored: create::stored(&input, self.kernel.process, layout),
            task: self.clone(),
            factory,
            input,
        }))
    }
}

/// The rows, and what is to be made of them.
struct Array {
    task: Rows,
    input: RowInput,
    factory: Arc<dyn KernelFactory>,
    stored: StoredRows,
}

impl Array {
    /// The parameters, and what else decides the results, as pairs.
    fn parameters(&self) -> Vec<(String, String)> {
        let [mut all, _] = self.task.parameters.split(self.task.kernel.settings);
        let more = self.factory.identity().into_iter();
        all.extend(more.map(|(name, value)| (name.to_owned(), value)));
        all
    }
}

impl Source for Array {
    fn read(&mut self, rows: &FrameSet, block: &mut FrameBlock) -> Result<()> {
        self.input.read(rows, block)
    }
}

impl Material for Array {
    fn source(&mut self) -> &mut dyn Source {
        &mut self.input
    }

    fn work(&self) -> Work {
        Work::on_rows(Arc::clone(&self.factory), self.input.stored())
    }

    fn count(&self) -> u64 {
        self.input.rows()
    }

    fn glance(&mut self) -> Result<String> {
        // Every rank has made the kernel itself, and will open a dataset for each of its results.
        let seen = glance_at_rows(&mut self.input)?;
        let said = format!("{:?} {}", self.factory.identity(), self.stored.encode());
        let results = self.stored.layout.specs().len();
        let digest = xxh3_64(said.as_bytes());
        Ok(format!("{seen}; {results} results, {digest:016x}"))
    }

    fn identity(&mut self, go_on: GoOn<'_>) -> Result<Identity> {
        let fingerprint = fingerprint_of_rows(&mut self.input, go_on)?;
        Ok(vec![
            (attribute::KERNEL, self.task.kernel.name.to_owned()),
            // Before the rows: another dataset has others.
            (attribute::KEY, self.input.name()),
            (attribute::INPUT_FINGERPRINT, fingerprint),
            (attribute::PARAMETERS, as_json(self.parameters())),
            (attribute::INPUT, self.task.input.display().to_string()),
        ])
    }

    fn settings(&self) -> Option<String> {
        let [_, how] = self.task.parameters.split(self.task.kernel.settings);
        (!how.is_empty()).then(|| as_json(how))
    }

    fn lay_out(
        &mut self,
        result: &Path,
        beside: bool,
        make: Make<'_>,
        go_on: GoOn<'_>,
    ) -> Result<()> {
        let process = Process {
            name: self.task.kernel.process,
            kernel: self.task.kernel.name,
            parameters: &self.parameters(),
        };
        let what = (&process, &self.stored);
        let group = create::lay_out(result, beside, &self.input, what, make, go_on)?;
        self.stored.group = group;
        Ok(())
    }

    fn stored(&self) -> Option<&StoredRows> {
        Some(&self.stored)
    }

    fn settle_in(&mut self, group: &str) {
        group.clone_into(&mut self.stored.group);
    }
}
