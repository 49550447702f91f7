//! What a frame costs beside its evaluation: `null` through the workers of a pool, frames in memory.
//!
//! `cargo bench --bench worker`; smallest of many repetitions, in nanoseconds per frame: of the worker, and of the
//! calculator alone in a plain loop over the same frames.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use framewise::domain::calculator::{Calculator as _, Results};
use framewise::domain::calculators::null::Null;
use framewise::domain::cell::Cell;
use framewise::domain::frame::{Frame, FrameBlock};
use framewise::engine::batch::Batch;
use framewise::engine::evaluator::Work;
use framewise::engine::journal::NoJournal;
use framewise::engine::pool::Pool;
use framewise::planning::frame_set::FrameSet;

/// Frames in a batch of one atom each; fewer of larger ones.
const FRAMES: usize = 4096;
const REPETITIONS: usize = 300;

fn block(frames: usize, atoms: usize) -> FrameBlock {
    let mut block = FrameBlock::default();
    let cell = Cell::periodic([[20.0, 0.0, 0.0], [0.0, 20.0, 0.0], [0.0, 0.0, 20.0]]);
    for index in 0..frames {
        let positions: Vec<_> = (0..atoms).map(|n| [index as f64, n as f64, 0.5]).collect();
        let species = vec![18; atoms];
        block.push(
            index as u64,
            Frame {
                species: &species,
                positions: &positions,
                cell,
            },
        );
    }
    block
}

fn alone(block: &FrameBlock, forces: &mut Vec<[f64; 3]>) -> Duration {
    let begun = Instant::now();
    let mut calculator = Null;
    forces.resize(block.positions.len(), [0.0; 3]);
    for i in 0..block.len() {
        let (mut energy, mut stress) = (0.0, [[0.0; 3]; 3]);
        let mut results = Results {
            energy: &mut energy,
            forces: &mut forces[block.offsets[i]..block.offsets[i + 1]],
            stress: &mut stress,
        };
        let _ = black_box(calculator.evaluate(&block.frame(i), &mut results));
        black_box((energy, stress));
    }
    begun.elapsed()
}

fn main() {
    println!("{:>6} {:>12} {:>12}", "atoms", "worker, ns", "alone, ns");
    for atoms in [1_usize, 3, 32, 256] {
        let frames = FRAMES / atoms.next_power_of_two();
        let set: FrameSet = std::iter::once(0..frames as u64).collect();
        let mut pool = Pool::start(Work::Frames(Arc::new(Null)), 1, Arc::new(NoJournal), None)
            .expect("a worker");
        let mut batch = Batch {
            block: block(frames, atoms),
            ..Batch::default()
        };
        let mut forces = Vec::new();
        let (mut worker, mut plain) = (Duration::MAX, Duration::MAX);
        for _ in 0..REPETITIONS {
            plain = plain.min(alone(&batch.block, &mut forces));
            pool.submit(set.clone(), set.len() as f64, batch);
            let back = pool.receive(Duration::from_secs(60)).expect("no error");
            batch = back.expect("the batch").1;
            // What the worker itself has measured: without the way to it and back.
            let seconds: f64 = batch.outcomes.iter().map(|o| f64::from(o.seconds)).sum();
            worker = worker.min(Duration::from_secs_f64(seconds));
        }
        let each = |d: Duration| d.as_nanos() as f64 / frames as f64;
        println!("{atoms:>6} {:>12.1} {:>12.1}", each(worker), each(plain));
    }
}
