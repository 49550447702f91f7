//! What is known of all ranks and nodes together, and how they come to know it.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::adapters::mpi::MpiRanks;
use crate::adapters::mpi::family::Family;
use crate::adapters::mpi::launcher::{self, Launcher};
use crate::domain::error::{Error, Result};
use crate::engine::ports::Ranks;

use super::facts::{NodeFacts, RankFacts};
use super::probe::Probe;

/// A node and its ranks.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub name: String,
    pub ranks: Vec<usize>,
    pub facts: NodeFacts,
    /// Seconds by which its clock is ahead of rank 0's.
    pub ahead: f64,
    /// Why it does not see what rank 0 has put into the folder; `None` where it does, or nobody could look.
    pub blind: Option<String>,
}

/// Everything.
#[derive(Clone, Debug)]
pub(super) struct Survey {
    pub ranks: Vec<RankFacts>,
    /// Rank 0's is the first.
    pub nodes: Vec<Node>,
    pub launcher: Launcher,
    /// Ranks that the launcher says it has started.
    pub promised: Option<u64>,
    /// Why MPI is not what the launcher says.
    pub trouble: Option<String>,
    /// Whether the folder was looked at from all nodes.
    pub probed: bool,
}

impl Survey {
    /// Of this process alone.
    pub fn alone(folder: &Path, trouble: Option<&Error>) -> Self {
        let me = RankFacts::find();
        let node = Node {
            name: me.node.clone(),
            ranks: vec![0],
            facts: NodeFacts::find(folder),
            ..Node::default()
        };
        Self {
            trouble: trouble.map(|error| error.message.clone()),
            ..Self::of(vec![me], vec![node])
        }
    }

    /// Of these, as this process was started.
    pub fn of(ranks: Vec<RankFacts>, nodes: Vec<Node>) -> Self {
        Self {
            ranks,
            nodes,
            launcher: launcher::launcher(variable),
            promised: launcher::promised_size(),
            trouble: None,
            probed: false,
        }
    }

    /// Of all ranks. Collective; `None` but on rank 0.
    pub fn of_all(folder: &Path, ranks: &mut MpiRanks) -> Result<Option<Self>> {
        let every: Vec<RankFacts> = gather(ranks, &RankFacts::find())?
            .into_iter()
            .flatten()
            .collect();
        let mut nodes = group(&every);
        let me = ranks.rank();
        let firsts: Vec<_> = nodes.iter().map(|node| node.ranks[0]).collect();
        let leads = firsts.contains(&me);
        let facts = leads.then(|| NodeFacts::find(folder));
        let facts = gather(ranks, &facts)?;
        let ahead = ranks.clock_offsets(&firsts);
        let probe = Probe::put(folder, ranks);
        let blind = gather(
            ranks,
            &probe.as_ref().filter(|_| leads).and_then(Probe::look),
        )?;
        if me > 0 {
            return Ok(None);
        }
        for (number, node) in nodes.iter_mut().enumerate() {
            let first = node.ranks[0];
            node.facts = facts[first].clone().flatten().unwrap_or_default();
            node.blind = blind[first].clone().flatten();
            // Rank 0 is not asked for its own time.
            node.ahead = number
                .checked_sub(1)
                .and_then(|i| ahead.get(i).copied())
                .unwrap_or(0.0);
        }
        let probed = probe.is_some();
        Ok(Some(Self {
            probed,
            ..Self::of(every, nodes)
        }))
    }

    /// The node of rank 0.
    pub fn here(&self) -> &NodeFacts {
        &self.nodes[0].facts
    }

    /// What every node has.
    pub fn by_node(&self, what: impl Fn(&Node) -> String) -> Vec<(String, String)> {
        let each = self.nodes.iter();
        each.map(|node| (node.name.clone(), what(node))).collect()
    }

    /// How a job is started with many ranks here.
    pub fn how_to_start(&self) -> &'static str {
        let family = Family::of(&self.here().mpi);
        family.map_or(
            "start it with the mpiexec of this MPI",
            Family::how_to_start,
        )
    }
}

/// A variable of the environment.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Ranks by machine and name, in the order of their first ranks.
fn group(every: &[RankFacts]) -> Vec<Node> {
    let mut nodes: Vec<(u64, Node)> = Vec::new();
    for (rank, facts) in every.iter().enumerate() {
        let known = nodes
            .iter_mut()
            .find(|(machine, node)| *machine == facts.machine && node.name == facts.node);
        match known {
            Some((_, node)) => node.ranks.push(rank),
            None => nodes.push((
                facts.machine,
                Node {
                    name: facts.node.clone(),
                    ranks: vec![rank],
                    ..Node::default()
                },
            )),
        }
    }
    nodes.into_iter().map(|(_, node)| node).collect()
}

/// What every rank has, for every rank. Collective.
fn gather<T: Serialize + DeserializeOwned>(
    ranks: &mut MpiRanks,
    mine: &T,
) -> Result<Vec<Option<T>>> {
    let text = serde_json::to_string(mine);
    let text = text.map_err(|e| Error::failure(format!("facts of this rank: {e}")))?;
    let all = ranks.gather_texts(&text).into_iter();
    Ok(all.map(|text| serde_json::from_str(&text).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_grouped_by_machine_and_name() {
        let rank = |machine, node: &str| RankFacts {
            machine,
            node: node.into(),
            ..RankFacts::default()
        };
        let nodes = group(&[rank(1, "a"), rank(2, "b"), rank(1, "a"), rank(1, "c")]);
        let told: Vec<_> = nodes
            .iter()
            .map(|n| format!("{} {:?}", n.name, n.ranks))
            .collect();
        assert_eq!(told, ["a [0, 2]", "b [1]", "c [3]"]);
    }
}
