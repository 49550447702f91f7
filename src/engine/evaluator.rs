//! What a worker does with the frames or rows of a batch: a calculator, or a kernel, and what surrounds its calls.

use std::ops::Range;
use std::sync::Arc;

use crate::domain::calculator::{Calculator, Factory, Failure, Results};
use crate::domain::cell::Cell;
use crate::domain::checksum::{checksum, checksum_of_row};
use crate::domain::frame::{FrameBlock, all_finite};
use crate::domain::kernel::{Element, Kernel, KernelFactory, Layout, Row, RowResults};
use crate::domain::panics::guarded;
use crate::planning::status::Status;

use super::batch::{Batch, Outcome};

/// What is to be computed, by every worker of a rank.
#[derive(Clone)]
pub enum Work {
    /// Energy, forces and stress of frames.
    Frames(Arc<dyn Factory>),
    /// Results of rows of an array.
    Rows {
        /// Makes a kernel for each worker.
        factory: Arc<dyn KernelFactory>,
        /// The type in which rows arrive.
        element: Element,
        /// How their results are packed.
        layout: Arc<Layout>,
    },
}

impl From<&Arc<dyn Factory>> for Work {
    fn from(factory: &Arc<dyn Factory>) -> Self {
        Self::Frames(Arc::clone(factory))
    }
}

impl Work {
    /// On rows that are stored as `stored`.
    pub fn on_rows(factory: Arc<dyn KernelFactory>, stored: Element) -> Self {
        Self::Rows {
            element: factory.takes(stored),
            layout: Arc::new(Layout::new(factory.results())),
            factory,
        }
    }

    /// How the results of rows are packed.
    pub(super) fn layout(&self) -> Option<&Arc<Layout>> {
        match self {
            Self::Frames(_) => None,
            Self::Rows { layout, .. } => Some(layout),
        }
    }

    /// How much an atom adds to the size of a frame.
    pub(super) fn size_of(&self, species: u8) -> u8 {
        match self {
            Self::Frames(factory) => factory.size_of(species),
            Self::Rows { .. } => 1,
        }
    }

    /// What one of the things that are computed is called.
    pub fn item(&self) -> &'static str {
        match self {
            Self::Frames(_) => "frame",
            Self::Rows { .. } => "row",
        }
    }

    /// What computes.
    pub(super) fn engine(&self) -> &'static str {
        match self {
            Self::Frames(_) => "calculator",
            Self::Rows { .. } => "kernel",
        }
    }
}

/// Why a frame has no results.
pub(super) enum Mishap {
    /// It costs the frame.
    Frame(Failure),
    /// What computed it may be in any state.
    Panic(String),
}

/// One worker's own.
pub(super) enum Evaluator {
    Frames {
        calculator: Box<dyn Calculator>,
        /// A cell without a defect.
        sound: Cell,
    },
    Rows {
        kernel: Box<dyn Kernel>,
        element: Element,
        layout: Arc<Layout>,
    },
}

impl Evaluator {
    pub(super) fn build(work: &Work) -> Result<Self, String> {
        let built = guarded(|| match work {
            Work::Frames(factory) => factory.build().map(|calculator| Self::Frames {
                calculator,
                sound: Cell::OPEN,
            }),
            Work::Rows {
                factory,
                element,
                layout,
            } => factory.build().map(|kernel| Self::Rows {
                kernel,
                element: *element,
                layout: Arc::clone(layout),
            }),
        });
        built.unwrap_or_else(|panic| {
            let engine = work.engine();
            Err(format!("building the {engine} panicked: {panic}"))
        })
    }

    /// Frames that it likes to be told of at once.
    pub(super) fn appetite(&self) -> usize {
        match self {
            Self::Frames { calculator, .. } => calculator.appetite(),
            Self::Rows { kernel, .. } => kernel.appetite(),
        }
    }

    /// Tells of the frames that it will be asked for; a panic comes back as its text.
    pub(super) fn announce(
        &mut self,
        block: &FrameBlock,
        range: Range<usize>,
    ) -> Result<(), String> {
        let told = match self {
            Self::Frames { calculator, .. } => {
                let frames = range.map(|i| block.frame(i));
                let mut sound = frames.filter(|frame| frame.defect().is_none());
                guarded(|| calculator.announce(&mut sound))
            }
            Self::Rows {
                kernel, element, ..
            } => {
                let mut rows = range.map(|i| row(block, *element, i));
                guarded(|| kernel.announce(&mut rows))
            }
        };
        told.map_err(|panic| self.in_words(panic))
    }

    /// Evaluates frame `i` of the batch, the next one, and appends its results; on a mishap nothing is appended.
    pub(super) fn evaluate(&mut self, batch: &mut Batch, i: usize) -> Result<(), Mishap> {
        let done = match self {
            Self::Frames { calculator, sound } => frame(calculator.as_mut(), batch, i, sound),
            Self::Rows {
                kernel,
                element,
                layout,
            } => packed_row(kernel.as_mut(), *element, layout, batch, i),
        };
        let checksum = done.map_err(|mishap| match mishap {
            Mishap::Panic(panic) => Mishap::Panic(self.in_words(panic)),
            frame @ Mishap::Frame(_) => frame,
        })?;
        batch.outcomes.push(Outcome {
            status: Status::Completed,
            checksum,
            seconds: 0.0,
        });
        Ok(())
    }

    fn in_words(&self, panic: impl std::fmt::Display) -> String {
        let engine = match self {
            Self::Frames { .. } => "calculator",
            Self::Rows { .. } => "kernel",
        };
        format!("the {engine} panicked: {panic}")
    }
}

fn row(block: &FrameBlock, element: Element, i: usize) -> Row<'_> {
    let bytes = block.row(i);
    Row { element, bytes }
}

/// The results of row `i`; returns their checksum.
fn packed_row(
    kernel: &mut dyn Kernel,
    element: Element,
    layout: &Layout,
    batch: &mut Batch,
    i: usize,
) -> Result<u64, Mishap> {
    let row = row(&batch.block, element, i);
    let start = batch.packed.len();
    batch.packed.resize(start + layout.words(), 0);
    let words = &mut batch.packed[start..];
    layout.blank(words);
    let done = guarded(|| kernel.evaluate(&row, &mut RowResults::new(layout, words)));
    let mishap = match done {
        Err(panic) => Mishap::Panic(panic),
        Ok(Err(failure)) => Mishap::Frame(failure),
        Ok(Ok(())) => match layout.hole(words) {
            None => return Ok(checksum_of_row(layout, words)),
            Some(spec) => Mishap::Frame(Failure::Failed(format!(
                "result {} is not finite",
                spec.name
            ))),
        },
    };
    batch.packed.truncate(start);
    Err(mishap)
}

/// The results of frame `i`; returns their checksum.
fn frame(
    calculator: &mut dyn Calculator,
    batch: &mut Batch,
    i: usize,
    sound: &mut Cell,
) -> Result<u64, Mishap> {
    let frame = batch.block.frame(i);
    let defect = if frame.cell == *sound {
        frame.defect_of_positions()
    } else {
        frame.defect()
    };
    if let Some(defect) = defect {
        return Err(Mishap::Frame(Failure::Failed(defect)));
    }
    *sound = frame.cell;
    let atoms = batch.block.offsets[i]..batch.block.offsets[i + 1];
    let forces = &mut batch.forces[atoms];
    forces.fill([0.0; 3]);
    let (mut energy, mut stress) = (0.0, [[f64::NAN; 3]; 3]);
    let mut results = Results {
        energy: &mut energy,
        forces,
        stress: &mut stress,
    };
    let done = guarded(|| calculator.evaluate(&frame, &mut results));
    match done {
        Err(panic) => return Err(Mishap::Panic(panic)),
        Ok(Err(failure)) => return Err(Mishap::Frame(failure)),
        Ok(Ok(())) => {}
    }
    if let Some(what) = not_finite(energy, forces, &stress) {
        return Err(Mishap::Frame(Failure::Failed(what)));
    }
    let checksum = checksum(energy, forces, &stress);
    batch.energies.push(energy);
    batch.stresses.push(stress);
    Ok(checksum)
}

/// Names the first result that is not a number; a stress that is NaN throughout is one that is not defined.
fn not_finite(energy: f64, forces: &[[f64; 3]], stress: &[[f64; 3]; 3]) -> Option<String> {
    if !energy.is_finite() {
        return Some(format!("the energy is not finite ({energy})"));
    }
    if !all_finite(forces.as_flattened())
        && let Some(atom) = forces.iter().position(|f| !all_finite(f))
    {
        return Some(format!("the force on atom {atom} is not finite"));
    }
    let stress = stress.as_flattened();
    if !all_finite(stress) && !stress.iter().all(|x| x.is_nan()) {
        return Some("the stress is not finite".into());
    }
    None
}
