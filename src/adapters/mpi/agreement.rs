//! One number each from all ranks, the largest for everybody: waiting without spinning, and not for ever.

use std::time::{Duration, Instant};

use mpi::collective::SystemOperation;
use mpi::point_to_point::{Destination, Source};
use mpi::request::{StaticScope, scope};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives};

use crate::engine::ports::PATIENCE;

use super::votes::Numbers;

/// Tag of "I have an error and nobody has come": several ranks may be in this place, and one of them is to speak.
const TAG: i32 = 7_501;
/// Time for such a message to arrive.
const DELIVERY: Duration = Duration::from_secs(1);

/// The maxima over all ranks; waits as long as it takes.
pub(super) fn with_all(
    world: &SimpleCommunicator,
    mine: &Numbers,
    meanwhile: &mut dyn FnMut(),
) -> Numbers {
    let mut all = Numbers::default();
    scope(|scope| {
        let maximum = SystemOperation::max();
        let mut request = world.immediate_all_reduce_into(scope, &mine[..], &mut all[..], maximum);
        while let Err(pending) = request.test() {
            request = pending;
            meanwhile();
        }
    });
    all
}

/// The maxima over all ranks, or `None` when they have not come within [`PATIENCE`]. Of several ranks that wait in
/// vain, the lowest returns first; the others wait for it to end the job.
pub(super) fn with_patience(
    world: &SimpleCommunicator,
    mine: Numbers,
    meanwhile: &mut dyn FnMut(),
) -> Option<Numbers> {
    let begun = Instant::now();
    // MPI may write here after this rank has given up: the place is never freed.
    let mine: &'static Numbers = Box::leak(Box::new(mine));
    let all: &'static mut Numbers = Box::leak(Box::default());
    let maximum = SystemOperation::max();
    let mut request =
        world.immediate_all_reduce_into(StaticScope, &mine[..], &mut all[..], maximum);
    let (mut told, mut patience) = (false, PATIENCE);
    loop {
        request = match request.test_with_data() {
            Ok((_, all)) => return all.try_into().ok(),
            Err(pending) => pending,
        };
        meanwhile();
        if begun.elapsed() > patience {
            if patience == PATIENCE && is_another_to_speak(world) {
                patience *= 2;
                continue;
            }
            // Dropping a request that is not complete would be a panic.
            std::mem::forget(request);
            return None;
        }
        if !told && begun.elapsed() > PATIENCE.saturating_sub(DELIVERY) {
            told = true;
            tell_the_others(world);
        }
    }
}

/// Those who listen are the ranks that wait in vain themselves.
fn tell_the_others(world: &SimpleCommunicator) {
    static NOTHING: [u8; 1] = [0];
    for rank in (0..world.size()).filter(|rank| *rank != world.rank()) {
        let process = world.process_at_rank(rank);
        // Small enough to be on its way at once, whether somebody listens or not.
        std::mem::forget(process.immediate_send_with_tag(StaticScope, &NOTHING[..], TAG));
    }
}

/// Whether a lower rank waits in vain, too.
fn is_another_to_speak(world: &SimpleCommunicator) -> bool {
    let lower = |rank: i32| {
        let process = world.process_at_rank(rank);
        process.immediate_probe_with_tag(TAG).is_some()
    };
    (0..world.rank()).any(lower)
}
