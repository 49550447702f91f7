//! The ranks of a job, over MPI.
//!
//! Only the coordinator (the main thread) calls MPI, so `MPI_THREAD_FUNNELED` is enough. Waits poll with short
//! sleeps instead of spinning: the coordinator must not take a core from its workers.

mod agreement;
pub mod before;
mod clocks;
pub mod family;
mod ffi;
pub mod launcher;
pub mod node;
pub mod quick_start;
mod votes;

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::path::Path;
use std::rc::Rc;

use mpi::Count;
use mpi::Threading;
use mpi::collective::SystemOperation;
use mpi::datatype::{PartitionMut, Partitioned};
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{AsRaw, Communicator, CommunicatorCollectives, Root};

use crate::adapters::{exit, file_system};
use crate::domain::error::{Error, Result};
use crate::domain::panics::describe;
use crate::engine::ports::{Ranks, Trouble, Verdict, Vote};
use crate::engine::together::together;

pub use ffi::{RawCommunicator, RawInfo};

use node::{Aggregate, Node};

/// The MPI library between `MPI_Init` and `MPI_Finalize`. Files opened over it must be closed before it goes.
///
/// Ranks talk over a communicator of their own: HDF5 and MPI-IO make collective calls on the one they are given, and
/// when a rank is kept from such a call, its next agreement would meet the calls of the others and corrupt both.
pub struct World {
    talk: Rc<SimpleCommunicator>,
    universe: Universe,
    local_ranks: usize,
    local_rank: usize,
}

impl World {
    /// Initialises MPI and checks that the world is the one the launcher promised.
    pub fn initialize() -> Result<Self> {
        // Naps between two looks at the others are a few microseconds long; the system would make 50 more of each.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        // Open MPI sets variables of its launcher itself when there is none.
        let environment: HashMap<_, _> = std::env::vars().collect();
        before::check(&library_version(), |name| environment.get(name).cloned())?;
        let (universe, threading) = mpi::initialize_with_threading(Threading::Funneled)
            .ok_or_else(|| Error::failure("MPI was initialised before framewise started"))?;
        if threading < Threading::Funneled {
            return Err(Error::failure(
                "this MPI library does not support threads (MPI_THREAD_FUNNELED); use a build that does",
            ));
        }
        let world = universe.world();
        let talk = Rc::new(world.duplicate());
        let mut ranks = MpiRanks {
            world: Rc::clone(&talk),
        };
        let name = match ranks.size() {
            1 => String::new(),
            _ => ranks.name() + ": ",
        };
        abort_on_panic(name.clone());
        let checked = launcher::check(ranks.size(), |name| environment.get(name).cloned());
        together(&mut ranks, checked)?;
        let local = world.split_shared(world.rank());
        exit::guard(name);
        Ok(Self {
            local_ranks: local.size() as usize,
            local_rank: local.rank() as usize,
            talk,
            universe,
        })
    }

    /// The communicator of all ranks.
    pub fn ranks(&self) -> MpiRanks {
        MpiRanks {
            world: Rc::clone(&self.talk),
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

    /// This rank's node, where rows are brought together before they are written. Collective.
    pub fn node(&self, aggregate: Aggregate) -> Option<Node> {
        let world = self.universe.world();
        Node::new(world.split_shared(world.rank()), aggregate)
    }

    /// The handle for MPI-IO and for HDF5's MPI driver.
    pub fn raw(&self) -> RawCommunicator {
        self.universe.world().as_raw()
    }
}

/// Whoever lets go of MPI is about to leave.
impl Drop for World {
    fn drop(&mut self) {
        exit::announce();
    }
}

/// The version of the MPI library, in one line.
pub fn library_version() -> String {
    brief(&mpi::environment::library_version().unwrap_or_default())
}

/// Of a page that an MPI says about itself, what comes before the first comma or the first end of a line.
fn brief(text: &str) -> String {
    let first = text.split([',', '\n', '\0']).next().unwrap_or_default();
    let words: Vec<_> = first.split_whitespace().collect();
    words.join(" ")
}

/// Hints for MPI-IO (`MPI_Info`), from `key=value` pairs.
pub fn info(hints: &[(String, String)]) -> Result<Option<RawInfo>> {
    ffi::info(hints)
}

/// Makes an empty file with the stripes that `hints` wish for; without such hints, nothing. Where that does not work the
/// file is made without them later, or the system says then what is wrong.
pub fn make_striped(path: &Path, hints: &[(String, String)]) {
    let stripes = file_system::of_creation(hints);
    if stripes.is_empty() {
        return;
    }
    if let Err(error) = ffi::make_file(path, &stripes) {
        tracing::warn!("{}: made without stripes: {error}", path.display());
    }
}

/// Ends the job on all ranks at once, without `MPI_Finalize` and without waiting for anybody.
pub fn abort(code: i32) -> ! {
    exit::announce();
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
fn abort_on_panic(name: String) {
    std::panic::set_hook(Box::new(move |panic| {
        let Some(what) = describe(panic) else { return };
        eprintln!(
            "error: {name}{what}; all ranks end; what was committed is safe, please report this"
        );
        abort(1)
    }));
}

/// All ranks of the job as the engine sees them.
pub struct MpiRanks {
    world: Rc<SimpleCommunicator>,
}

impl Ranks for MpiRanks {
    fn rank(&self) -> usize {
        self.world.rank() as usize
    }

    fn size(&self) -> usize {
        self.world.size() as usize
    }

    fn name(&self) -> String {
        format!("rank {} on {}", self.rank(), crate::adapters::lock::host())
    }

    fn agree(&mut self, vote: Vote, meanwhile: &mut dyn FnMut()) -> Option<Verdict> {
        let mine = votes::encode(vote, self.rank());
        let all = match (self.size(), vote.trouble) {
            (1, _) => Some(mine),
            (_, Trouble::No) => Some(agreement::with_all(&self.world, &mine, meanwhile)),
            _ => agreement::with_patience(&self.world, mine, meanwhile),
        };
        all.map(votes::decode)
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

    fn exchange(&mut self, values: &[u64]) -> Vec<Vec<u64>> {
        let mut counts: Vec<Count> = vec![0; self.size()];
        self.world
            .all_gather_into(&(values.len() as Count), &mut counts[..]);
        let starts: Vec<Count> = counts
            .iter()
            .scan(0, |before, count| {
                let start = *before;
                *before += count;
                Some(start)
            })
            .collect();
        let mut all = vec![0u64; counts.iter().sum::<Count>() as usize];
        let mut parts = PartitionMut::new(&mut all[..], counts, &starts[..]);
        self.world.all_gather_varcount_into(values, &mut parts);
        let counts = parts.counts().to_vec();
        starts
            .iter()
            .zip(counts)
            .map(|(start, count)| all[*start as usize..(*start + count) as usize].to_vec())
            .collect()
    }

    fn nodes(&mut self) -> Vec<u32> {
        let local = self.world.split_shared(self.world.rank());
        let mut leader = self.world.rank();
        local.process_at_rank(0).broadcast_into(&mut leader);
        let mut leaders = vec![0; self.size()];
        self.world.all_gather_into(&leader, &mut leaders[..]);
        leaders.into_iter().map(|rank| rank as u32).collect()
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
    /// A text of every rank, for every rank. Collective.
    pub fn gather_texts(&mut self, text: &str) -> Vec<String> {
        let mut words = vec![text.len() as u64];
        words.extend(text.as_bytes().chunks(8).map(|part| {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            u64::from_le_bytes(word)
        }));
        let all = self.exchange(&words).into_iter().map(|words| {
            let length = words.first().copied().unwrap_or(0) as usize;
            let bytes = words.iter().skip(1).flat_map(|word| word.to_le_bytes());
            String::from_utf8_lossy(&bytes.take(length).collect::<Vec<_>>()).into_owned()
        });
        all.collect()
    }

    /// Seconds by which the clocks of `others` are ahead of rank 0's, rank 0 left out; nothing but on rank 0. Collective.
    pub fn clock_offsets(&mut self, others: &[usize]) -> Vec<f64> {
        clocks::offsets(&self.world, others)
    }

    /// Waits for all ranks.
    pub fn barrier(&self) {
        self.world.barrier();
    }
}

#[cfg(test)]
mod tests {
    /// `doctor` and the message about a foreign launcher showed a tab in the middle of MPICH's name.
    #[test]
    fn the_versions_of_mpis_are_one_line_without_tabs() {
        for (said, brief) in [
            (
                "MPICH Version:\t4.0.2\nMPICH Release date:\tThu Apr  7\n",
                "MPICH Version: 4.0.2",
            ),
            (
                "Open MPI v4.1.4, package: Debian OpenMPI\0",
                "Open MPI v4.1.4",
            ),
            ("", ""),
        ] {
            assert_eq!(super::brief(said), brief);
        }
    }
}
