//! The ranks of a job, over MPI.
//!
//! Only the coordinator (the main thread) calls MPI, so `MPI_THREAD_FUNNELED` is enough. Waits poll with short
//! sleeps instead of spinning: the coordinator must not take a core from its workers.

mod ffi;
pub mod launcher;

use mpi::Threading;
use mpi::collective::SystemOperation;
use mpi::environment::Universe;
use mpi::request::scope;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{AsRaw, Communicator, CommunicatorCollectives, Root};

use crate::domain::error::{Error, Result};
use crate::engine::pool::panic_is_guarded;
use crate::engine::ports::{Ranks, Stop, Trouble, Verdict, Vote};

pub use ffi::{RawCommunicator, RawInfo};

/// The MPI library between `MPI_Init` and `MPI_Finalize`. Files opened over it must be closed before it goes.
pub struct World {
    universe: Universe,
    local_ranks: usize,
    local_rank: usize,
}

impl World {
    /// Initialises MPI and checks that the world is the one the launcher promised.
    pub fn initialize() -> Result<Self> {
        let (universe, threading) = mpi::initialize_with_threading(Threading::Funneled)
            .ok_or_else(|| Error::failure("MPI was initialised before framewise started"))?;
        if threading < Threading::Funneled {
            return Err(Error::failure(
                "this MPI library does not support threads (MPI_THREAD_FUNNELED); use a build that does",
            ));
        }
        abort_on_panic();
        let world = universe.world();
        launcher::check(world.size() as usize, |name| std::env::var(name).ok())?;
        let local = world.split_shared(world.rank());
        Ok(Self {
            local_ranks: local.size() as usize,
            local_rank: local.rank() as usize,
            universe,
        })
    }

    /// The communicator of all ranks.
    pub fn ranks(&self) -> MpiRanks {
        MpiRanks {
            world: self.universe.world(),
        }
    }

    /// Number of ranks on this node.
    pub fn local_ranks(&self) -> usize {
        self.local_ranks
    }

    /// This rank's number on its node.
    pub fn local_rank(&self) -> usize {
        self.local_rank
    }

    /// The handle for HDF5's MPI driver.
    pub fn raw(&self) -> RawCommunicator {
        self.universe.world().as_raw()
    }
}

/// The version of the MPI library, in one line.
pub fn library_version() -> String {
    let text = mpi::environment::library_version().unwrap_or_default();
    text.split([',', '\n', '\0'])
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// Hints for MPI-IO (`MPI_Info`), from `key=value` pairs.
pub fn info(hints: &[(String, String)]) -> Result<Option<RawInfo>> {
    ffi::info(hints)
}

/// Ends the job on all ranks at once, without `MPI_Finalize` and without waiting for anybody.
pub fn abort(code: i32) -> ! {
    if SimpleCommunicator::world().size() == 1 {
        std::process::exit(code);
    }
    ffi::abort(code)
}

/// As [`abort`], from any thread and in the middle of `exit`.
pub fn abort_from_anywhere(code: i32) -> ! {
    ffi::abort_at_once(code)
}

/// A panic on one rank would unwind into `MPI_Finalize` and hang the others: abort the job instead. Panics of
/// calculators are caught where they happen and cost one frame.
fn abort_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        if panic_is_guarded() {
            return;
        }
        let place = panic
            .location()
            .map(|l| format!(" at {}:{}", l.file(), l.line()))
            .unwrap_or_default();
        let what = panic.payload_as_str().unwrap_or("no message");
        eprintln!(
            "error: internal error{place}: {what}; all ranks end; what was committed is safe, please report this"
        );
        ffi::abort(1)
    }));
}

/// All ranks of the job as the engine sees them.
pub struct MpiRanks {
    world: SimpleCommunicator,
}

/// Rank numbers count down from here inside a vote, so that the maximum names the lowest rank.
const RANK_CEILING: i64 = 1 << 40;

fn encode(vote: Vote, rank: usize) -> [i64; 6] {
    let trouble = match vote.trouble {
        Trouble::No => 0,
        worse => worse as i64 * RANK_CEILING + (RANK_CEILING - 1 - rank as i64),
    };
    [
        trouble,
        vote.stop as i64,
        i64::from(vote.commit),
        i64::from(vote.busy),
        i64::from(vote.messages),
        vote.slabs as i64,
    ]
}

fn decode(numbers: [i64; 6]) -> Verdict {
    let trouble = match numbers[0] / RANK_CEILING {
        0 => None,
        1 => Some(Trouble::Ending),
        _ => Some(Trouble::Writing),
    };
    Verdict {
        trouble: trouble.map(|t| (t, (RANK_CEILING - 1 - numbers[0] % RANK_CEILING) as usize)),
        stop: [Stop::No, Stop::InGoodOrder, Stop::Now][numbers[1].clamp(0, 2) as usize],
        commit: numbers[2] != 0,
        busy: numbers[3] != 0,
        messages: numbers[4] != 0,
        slabs: numbers[5] as u64,
    }
}

impl Ranks for MpiRanks {
    fn rank(&self) -> usize {
        self.world.rank() as usize
    }

    fn size(&self) -> usize {
        self.world.size() as usize
    }

    fn agree(&mut self, vote: Vote, meanwhile: &mut dyn FnMut()) -> Verdict {
        let mine = encode(vote, self.rank());
        let mut all = [0i64; 6];
        if self.size() == 1 {
            return decode(mine);
        }
        scope(|scope| {
            let maximum = SystemOperation::max();
            let mut request =
                self.world
                    .immediate_all_reduce_into(scope, &mine[..], &mut all[..], maximum);
            while let Err(pending) = request.test() {
                request = pending;
                meanwhile();
            }
        });
        decode(all)
    }

    fn sum(&mut self, values: &mut [f64]) {
        let mine = values.to_vec();
        self.world
            .all_reduce_into(&mine[..], values, SystemOperation::sum());
    }

    fn gather(&mut self, values: &[f64]) -> Vec<Vec<f64>> {
        let mut all = vec![0.0; values.len() * self.size()];
        self.world.all_gather_into(values, &mut all[..]);
        all.chunks(values.len().max(1))
            .map(<[f64]>::to_vec)
            .collect()
    }

    fn tell(&mut self, from: usize, text: &str) -> String {
        let root = self.world.process_at_rank(from as i32);
        let mut length = text.len() as u64;
        root.broadcast_into(&mut length);
        // Open MPI refuses a broadcast of nothing.
        if length == 0 {
            return String::new();
        }
        let mut bytes = if self.rank() == from {
            text.as_bytes().to_vec()
        } else {
            vec![0; length as usize]
        };
        root.broadcast_into(&mut bytes[..]);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl MpiRanks {
    /// Waits for all ranks.
    pub fn barrier(&self) {
        self.world.barrier();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_survives_its_journey_and_the_maximum_names_the_lowest_rank() {
        let bad = |trouble| Vote {
            trouble,
            ..Vote::default()
        };
        let votes = [
            encode(
                Vote {
                    commit: true,
                    slabs: 7,
                    ..Vote::default()
                },
                0,
            ),
            encode(bad(Trouble::Ending), 1),
            encode(
                Vote {
                    stop: Stop::Now,
                    busy: true,
                    ..bad(Trouble::Writing)
                },
                2,
            ),
            encode(
                Vote {
                    messages: true,
                    ..bad(Trouble::Writing)
                },
                3,
            ),
        ];
        let mut all = [0; 6];
        for vote in votes {
            for (most, number) in all.iter_mut().zip(vote) {
                *most = number.max(*most);
            }
        }
        let expected = Verdict {
            trouble: Some((Trouble::Writing, 2)),
            stop: Stop::Now,
            commit: true,
            busy: true,
            messages: true,
            slabs: 7,
        };
        assert_eq!(decode(all), expected);
    }
}
