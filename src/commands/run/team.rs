//! Workers: how many on each rank, on which cores, and what is said about it.

use std::sync::Arc;

use crate::adapters::cores::{self, Given};
use crate::adapters::environment;
use crate::adapters::mpi::MpiRanks;
use crate::commands::table::plural;
use crate::engine::ports::Ranks;
use crate::engine::settings::OnStart;
use crate::planning::cores::{Berth, Portion, describe, portions};

use super::config::RunConfig;

/// Kinds of nodes that are told one by one.
const SHOWN: usize = 8;

/// The workers of this rank, and those of all in words.
#[derive(Clone, Debug)]
pub struct Team {
    mine: Portion,
    all: usize,
    /// This rank's cores, in the order in which workers take them.
    places: Vec<usize>,
    words: String,
}

impl Team {
    /// Divides the cores of each node among its ranks. Collective. What the user should know is said by rank 0.
    pub fn agree(config: &RunConfig, ranks: &mut MpiRanks) -> Self {
        let given = Given::find();
        let rows = ranks.gather(&given.berth(config.threads).to_row());
        let berths: Vec<_> = rows.iter().map(|row| Berth::from_row(row)).collect();
        let portions = portions(&berths, config.oversubscribe);
        let mine = portions[ranks.rank()].clone();
        if ranks.rank() == 0 {
            for warning in warnings(&berths, &portions, environment::engine_threads()) {
                tracing::warn!("{warning}");
            }
        }
        // Threads that an engine starts inherit the core of their worker: one core for all of them.
        let pinned = mine.pinned && config.pin && environment::engine_threads().is_none();
        let places = if pinned {
            cores::spread(given.cores.get(mine.places.clone()).unwrap_or_default())
        } else {
            Vec::new()
        };
        tracing::debug!(
            mask = ?given.cores,
            quota = ?given.quota.as_ref().map(|(cores, _)| cores),
            workers = mine.workers,
            pinned_to = ?places.get(..mine.workers).unwrap_or_default(),
            "cores"
        );
        let words = describe(&berths, &portions, SHOWN);
        if ranks.rank() == 0 {
            tracing::debug!("workers: {words}");
        }
        Self {
            mine,
            all: portions.iter().map(|portion| portion.workers).sum(),
            places,
            words,
        }
    }

    /// Worker threads of this rank.
    pub fn workers(&self) -> usize {
        self.mine.workers
    }

    /// Worker threads of all ranks.
    pub fn workers_of_all(&self) -> usize {
        self.all
    }

    /// Ranks and threads of the whole job: `2 ranks x 4 threads`, or node by node where they differ.
    pub fn words(&self) -> &str {
        &self.words
    }

    /// What each worker does first: keep to its core. `None` where it is left to the system.
    pub fn on_start(&self) -> Option<OnStart> {
        if self.places.is_empty() {
            return None;
        }
        let places = self.places.clone();
        Some(OnStart(Arc::new(move |worker| {
            let core = places[worker % places.len()];
            if !cores::pin(core) {
                tracing::debug!("worker {worker} cannot be kept on core {core}");
            }
        })))
    }
}

/// What is not as it should be, each in one line.
fn warnings(
    berths: &[Berth],
    portions: &[Portion],
    engine: Option<(&'static str, usize)>,
) -> Vec<String> {
    let mut said = Vec::new();
    let both = || berths.iter().zip(portions);
    let asks = |berth: &Berth| berth.asked.unwrap_or(0);
    if let Some((berth, portion)) = both().find(|(berth, p)| asks(berth) > p.workers) {
        let asked = asks(berth);
        said.push(format!(
            "--threads {asked}, but a rank has {} here: it takes {}; --oversubscribe takes {asked} all the same",
            plural(portion.cores as u64, "core"),
            plural(portion.workers as u64, "worker")
        ));
    }
    if let Some((berth, _)) = both().find(|(_, portion)| portion.crowded) {
        let machine = |other: &&Berth| other.machine == berth.machine;
        let cores = match berth.quota {
            Some((_, quota)) if quota < berth.cores => quota,
            _ => berth.cores,
        };
        said.push(format!(
            "{} share {}: start as many ranks as there are cores, or fewer with more --threads each",
            plural(berths.iter().filter(machine).count() as u64, "rank"),
            plural(cores as u64, "core"),
        ));
    }
    if let Some((name, threads)) = engine
        && let Some((_, portion)) = both().find(|(_, p)| threads * p.workers > p.cores)
    {
        let workers = plural(portion.workers as u64, "worker");
        said.push(format!(
            "{name}={threads} with {workers} on {} of a rank: engines that use it slow each other down; set it to 1, or give --threads {}",
            plural(portion.cores as u64, "core"),
            (portion.cores / threads).max(1),
        ));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(berths: &[Berth], over: bool, engine: Option<(&'static str, usize)>) -> String {
        warnings(berths, &portions(berths, over), engine).join("\n")
    }

    #[test]
    fn too_many_workers_ranks_or_engine_threads_are_said() {
        let berth = Berth {
            cores: 4,
            ..Berth::default()
        };
        assert_eq!(said(&[berth; 4], false, None), "");
        assert_eq!(said(&[berth], false, Some(("OMP_NUM_THREADS", 1))), "");
        let greedy = Berth {
            asked: Some(9),
            ..berth
        };
        assert!(said(&[greedy], false, None).contains("it takes 4 workers"));
        // Who asks for it knows.
        assert_eq!(said(&[greedy], true, None), "");
        assert!(said(&[berth; 5], false, None).contains("5 ranks share 4 cores"));
        let omp = said(&[berth; 2], false, Some(("OMP_NUM_THREADS", 2)));
        assert!(
            omp.contains("OMP_NUM_THREADS=2 with 2 workers on 2 cores"),
            "{omp}"
        );
        assert!(omp.contains("--threads 1"), "{omp}");
        let fits = Berth {
            asked: Some(2),
            ..berth
        };
        assert_eq!(said(&[fits], false, Some(("OMP_NUM_THREADS", 2))), "");
    }
}
