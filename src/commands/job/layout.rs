//! How many ranks a node gets, and how many cores each of them.

use crate::domain::error::{Error, Result};

/// More workers than this in one rank gain nothing: the rank would span memory of several sockets.
const MOST_CORES: usize = 16;

/// What was asked for, as far as it was.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// Cores of a node.
    pub cores_per_node: usize,
    /// Ranks of a node.
    pub ranks_per_node: Option<usize>,
    /// Cores of a rank.
    pub cores_per_rank: Option<usize>,
    /// Threads that the engine of a worker starts.
    pub engine_threads: usize,
    /// Graphics processors of a node.
    pub gpus_per_node: Option<usize>,
}

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Ranks of a node.
    pub ranks: usize,
    /// Cores of each rank.
    pub cores: usize,
    /// Workers of each rank.
    pub workers: usize,
}

impl Layout {
    /// One rank for each graphics processor, which it shares with nobody; else ranks of up to [`MOST_CORES`] cores each.
    /// What was asked for wins, as long as it fits the node.
    pub fn of(wish: Wish) -> Result<Self> {
        let node = wish.cores_per_node.max(1);
        let ranks = match (wish.ranks_per_node, wish.cores_per_rank, wish.gpus_per_node) {
            (Some(ranks), ..) => ranks,
            (None, Some(cores), _) => (node / cores.max(1)).max(1),
            (None, None, Some(gpus)) => gpus,
            (None, None, None) => node.div_ceil(MOST_CORES.max(wish.engine_threads)),
        };
        let cores = wish.cores_per_rank.unwrap_or((node / ranks.max(1)).max(1));
        if ranks * cores > node {
            return Err(Error::usage(format!(
                "{ranks} ranks of {cores} cores do not fit a node of {node} (--cores-per-node, --ranks-per-node, \
                 --cores-per-rank)"
            )));
        }
        if wish.engine_threads > cores {
            return Err(Error::usage(format!(
                "--engine-threads {} is more than the {cores} cores of a rank",
                wish.engine_threads
            )));
        }
        let workers = match (wish.gpus_per_node, wish.engine_threads) {
            (Some(_), _) => 1,
            (None, threads) => cores / threads.max(1),
        };
        Ok(Self {
            ranks,
            cores,
            workers,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(wish: Wish) -> (usize, usize, usize) {
        let layout = Layout::of(wish).unwrap();
        (layout.ranks, layout.cores, layout.workers)
    }

    #[test]
    fn a_node_is_filled() {
        let node = |cores_per_node| Wish {
            cores_per_node,
            ..Wish::default()
        };
        assert_eq!(layout(node(1)), (1, 1, 1));
        assert_eq!(layout(node(16)), (1, 16, 16));
        assert_eq!(layout(node(48)), (3, 16, 16));
        assert_eq!(layout(node(52)), (4, 13, 13));
        assert_eq!(layout(node(128)), (8, 16, 16));
        let mut wish = node(128);
        wish.engine_threads = 4;
        assert_eq!(layout(wish), (8, 16, 4));
        wish.gpus_per_node = Some(4);
        assert_eq!(layout(wish), (4, 32, 1));
        let mut wish = node(64);
        wish.ranks_per_node = Some(64);
        assert_eq!(layout(wish), (64, 1, 1));
        wish.ranks_per_node = None;
        wish.cores_per_rank = Some(10);
        assert_eq!(layout(wish), (6, 10, 10));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut wish = Wish {
            cores_per_node: 8,
            ranks_per_node: Some(4),
            cores_per_rank: Some(4),
            ..Wish::default()
        };
        assert!(Layout::of(wish).is_err());
        wish.cores_per_rank = None;
        wish.engine_threads = 3;
        assert!(Layout::of(wish).is_err());
        wish.ranks_per_node = Some(9);
        assert!(Layout::of(wish).is_err());
    }
}
