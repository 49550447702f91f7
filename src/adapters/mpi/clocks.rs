//! How far the clocks of other ranks are from the first one's.

use std::time::{SystemTime, UNIX_EPOCH};

use mpi::point_to_point::{Destination, Source};
use mpi::topology::SimpleCommunicator;
use mpi::traits::Communicator;

/// Tag of these messages.
const TAG: i32 = 7_503;
/// Questions to each rank; the one that is answered soonest counts, since its answer is least old.
const QUESTIONS: usize = 20;

/// One of `others` after the other is asked for its time: seconds by which its clock is ahead of rank 0's, on rank 0; nothing
/// on the others. Collective; all ranks name the same others.
pub(super) fn offsets(world: &SimpleCommunicator, others: &[usize]) -> Vec<f64> {
    let others = others.iter().filter(|other| **other != 0);
    if world.rank() == 0 {
        others.map(|other| ask(world, *other)).collect()
    } else {
        for _ in others.filter(|other| **other == world.rank() as usize) {
            answer(world);
        }
        Vec::new()
    }
}

fn ask(world: &SimpleCommunicator, other: usize) -> f64 {
    let other = world.process_at_rank(other as i32);
    let measured = (0..QUESTIONS).map(|_| {
        let before = now();
        other.send_with_tag(&before, TAG);
        let (theirs, _) = other.receive_with_tag::<f64>(TAG);
        let after = now();
        (after - before, theirs - (before + after) / 2.0)
    });
    let soonest = measured.min_by(|a, b| a.0.total_cmp(&b.0));
    soonest.map_or(0.0, |(_, ahead)| ahead)
}

fn answer(world: &SimpleCommunicator) {
    let first = world.process_at_rank(0);
    for _ in 0..QUESTIONS {
        let _ = first.receive_with_tag::<f64>(TAG);
        first.send_with_tag(&now(), TAG);
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0.0, |now| now.as_secs_f64())
}
