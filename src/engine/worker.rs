//! A compute thread. It builds its own calculator and keeps it for life.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};

use crate::domain::calculator::{Calculator, Factory, Failure, Results};
use crate::domain::checksum::checksum;
use crate::domain::panics::guarded;
use crate::planning::status::Status;

use super::batch::{Batch, Outcome};
use super::journal::Journal;

/// What a worker tells the coordinator.
#[allow(clippy::large_enum_variant)] // nearly every event is a batch
pub(super) enum Event {
    /// A batch is evaluated, or abandoned half-way after a call to stop.
    Evaluated(Batch),
    /// The calculator could not be built.
    Broken(String),
}

/// What the coordinator can see of a worker while it computes.
#[derive(Debug, Default)]
pub(super) struct View {
    /// Number of the batch in hand plus one; 0: idle.
    pub batch: AtomicU64,
    /// Position of the frame in hand within its batch.
    pub position: AtomicU64,
    /// When that frame was begun, in nanoseconds since `origin` plus one; 0: none in hand.
    pub begun: AtomicU64,
    /// The coordinator has given this worker up: leave without a word.
    pub given_up: AtomicBool,
}

pub(super) struct Worker {
    pub factory: Arc<dyn Factory>,
    pub journal: Arc<dyn Journal>,
    pub jobs: Receiver<Batch>,
    pub events: Sender<Event>,
    pub view: Arc<View>,
    pub stop: Arc<AtomicBool>,
    pub origin: Instant,
}

impl Worker {
    /// The thread's life: until the channel closes, the calculator breaks or the coordinator gives it up.
    pub(super) fn work(self) {
        let hand = self.journal.hand();
        let mut calculator = match self.build() {
            Ok(calculator) => calculator,
            Err(why) => return drop(self.events.send(Event::Broken(why))),
        };
        while let Ok(mut batch) = self.jobs.recv() {
            self.view.batch.store(batch.number + 1, Ordering::Relaxed);
            batch.clear_results();
            batch.forces.resize(batch.block.positions.len(), [0.0; 3]);
            let mut before = Instant::now();
            for i in 0..batch.block.len() {
                if self.stop.load(Ordering::Relaxed) {
                    break;
                }
                let begun = before.duration_since(self.origin).as_nanos() as u64 + 1;
                if self.view.given_up.load(Ordering::Acquire) {
                    return;
                }
                // While these change no frame is in hand: the coordinator takes them for one only if `begun` stays.
                self.view.begun.store(0, Ordering::Release);
                self.view.position.store(i as u64, Ordering::Release);
                self.view.begun.store(begun, Ordering::Release);
                hand.take(batch.block.indices[i]);
                let failure = evaluate(calculator.as_mut(), &mut batch, i);
                let after = Instant::now();
                let seconds = (after - before).as_secs_f32();
                before = after;
                match failure {
                    None => batch.outcomes[i].seconds = seconds,
                    Some(Mishap::Frame(Failure::NotConverged(why))) => {
                        batch.push_failure(Status::NotConverged, seconds, why);
                    }
                    Some(Mishap::Frame(Failure::Failed(why))) => {
                        batch.push_failure(Status::Failed, seconds, why);
                    }
                    Some(Mishap::Panic(why)) => {
                        batch.push_failure(Status::Failed, seconds, why);
                        // A calculator that panicked may be in any state.
                        calculator = match self.build() {
                            Ok(calculator) => calculator,
                            Err(why) => return drop(self.events.send(Event::Broken(why))),
                        };
                    }
                }
            }
            hand.rest();
            self.view.begun.store(0, Ordering::Release);
            if self.view.given_up.load(Ordering::Acquire) {
                return;
            }
            self.view.batch.store(0, Ordering::Relaxed);
            if self.events.send(Event::Evaluated(batch)).is_err() {
                return;
            }
        }
    }

    fn build(&self) -> Result<Box<dyn Calculator>, String> {
        guarded(|| self.factory.build())
            .unwrap_or_else(|panic| Err(format!("building the calculator panicked: {panic}")))
    }
}

enum Mishap {
    Frame(Failure),
    Panic(String),
}

/// Evaluates frame `i` of the batch and appends its results; on a mishap nothing is appended.
fn evaluate(calculator: &mut dyn Calculator, batch: &mut Batch, i: usize) -> Option<Mishap> {
    let frame = batch.block.frame(i);
    if let Some(defect) = frame.defect() {
        return Some(Mishap::Frame(Failure::Failed(defect)));
    }
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
        Err(panic) => return Some(Mishap::Panic(format!("the calculator panicked: {panic}"))),
        Ok(Err(failure)) => return Some(Mishap::Frame(failure)),
        Ok(Ok(())) => {}
    }
    if let Some(what) = not_finite(energy, forces, &stress) {
        return Some(Mishap::Frame(Failure::Failed(what)));
    }
    let checksum = checksum(energy, forces, &stress);
    batch.energies.push(energy);
    batch.stresses.push(stress);
    batch.outcomes.push(Outcome {
        status: Status::Completed,
        checksum,
        seconds: 0.0,
    });
    None
}

/// Names the first result that is not a number; a stress that is NaN throughout is one that is not defined.
fn not_finite(energy: f64, forces: &[[f64; 3]], stress: &[[f64; 3]; 3]) -> Option<String> {
    if !energy.is_finite() {
        return Some(format!("the energy is not finite ({energy})"));
    }
    if let Some(atom) = forces.iter().position(|f| !f.iter().all(|x| x.is_finite())) {
        return Some(format!("the force on atom {atom} is not finite"));
    }
    let stress = stress.as_flattened();
    let undefined = stress.iter().all(|x| x.is_nan());
    if !undefined && !stress.iter().all(|x| x.is_finite()) {
        return Some("the stress is not finite".into());
    }
    None
}
