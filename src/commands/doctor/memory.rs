//! Memory of the nodes, and what of it ranks share.

use crate::adapters::mpi::family::Family;
use crate::commands::table::plural;

use super::finding::{Finding, good, note, wrong};
use super::survey::{Node, Survey};

/// Shared memory for each rank of a node that has several: 8 MiB in which rows are brought together, of which as much again
/// must stay free, and what MPI takes for its messages.
const SHARED: u64 = 24 << 20;

pub(super) fn findings(survey: &Survey, each: u64) -> Vec<Finding> {
    let mut findings = vec![memory(survey, each), shared(survey)];
    findings.extend(messages(survey));
    findings
}

fn size(bytes: u64) -> String {
    match bytes {
        1_000_000_000.. => format!("{:.1} GB", bytes as f64 * 1e-9),
        _ => format!("{:.1} MB", bytes as f64 * 1e-6),
    }
}

fn ranks(node: &Node) -> u64 {
    node.ranks.len() as u64
}

fn memory(survey: &Survey, each: u64) -> Finding {
    let subject = "memory";
    let free = |node: &Node| node.facts.memory.map(|(_, free)| free);
    let tight = survey
        .nodes
        .iter()
        .filter(|node| free(node).is_some_and(|free| free < each * ranks(node)))
        .min_by_key(|node| free(node));
    let told = |node: &Node| match node.facts.memory {
        Some((all, free)) => format!("{} free of {}", size(free), size(all)),
        None => "nothing is known".into(),
    };
    let may = format!(
        "a run takes up to {} a rank for input and results",
        size(each)
    );
    match tight {
        Some(node) => {
            let least = free(node).unwrap_or(0) / ranks(node) / 2;
            wrong(
                subject,
                format!(
                    "{}: {} for {}, and {may}",
                    node.name,
                    told(node),
                    plural(ranks(node), "rank")
                ),
                format!(
                    "run --max-memory {}MiB, or fewer ranks on a node",
                    (least >> 20).max(1)
                ),
            )
        }
        None => good(
            subject,
            format!("{}; {may} (--max-memory)", told(&survey.nodes[0])),
        ),
    }
}

/// `/dev/shm`, which containers make small.
fn shared(survey: &Survey) -> Finding {
    let subject = "shared memory";
    let wanted = |node: &Node| match ranks(node) {
        1 => 0,
        n => n * SHARED,
    };
    let tight = survey.nodes.iter().find(|node| {
        let free = node.facts.shared_memory.map_or(0, |(_, free)| free);
        free < wanted(node)
    });
    let here = survey.here();
    let text = match here.shared_memory {
        Some((all, free)) => format!("/dev/shm has {} free of {}", size(free), size(all)),
        None => "there is no /dev/shm".into(),
    };
    let more =
        "docker run --shm-size=1g (or --ipc=host); on a host: mount -o remount,size=1g /dev/shm";
    if let Some(node) = tight {
        let free = node.facts.shared_memory.map_or(0, |(_, free)| free);
        let text = format!(
            "{}: {} free in /dev/shm for {}: MPI takes some of it, and where rows of a node do not fit every rank writes for itself",
            node.name,
            size(free),
            plural(ranks(node), "rank")
        );
        return note(subject, text, more);
    }
    match here.shared_memory {
        Some((_, free)) if here.in_container && free < 4 * SHARED => note(
            subject,
            format!("{text}: room for {}", plural(free / SHARED, "rank")),
            more,
        ),
        _ => good(subject, text),
    }
}

/// Open MPI copies long messages straight from one process to another, and complains on every one where it may not.
fn messages(survey: &Survey) -> Option<Finding> {
    let here = survey.here();
    let why = here.peek.as_ref()?;
    let chosen = super::survey::variable("OMPI_MCA_btl_vader_single_copy_mechanism");
    if Family::of(&here.mpi) != Some(Family::OpenMpi) || chosen.as_deref() == Some("none") {
        return None;
    }
    Some(note(
        "messages",
        format!(
            "processes may not read each other's memory here ({why}), which Open MPI tries: slow, with warnings"
        ),
        "export OMPI_MCA_btl_vader_single_copy_mechanism=none, or docker run --cap-add=SYS_PTRACE",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::facts::{NodeFacts, RankFacts};
    use crate::commands::doctor::finding::Verdict;

    fn survey(ranks: usize, memory: u64, shared: u64, in_container: bool) -> Survey {
        let facts = NodeFacts {
            memory: Some((memory, memory)),
            shared_memory: Some((shared, shared)),
            in_container,
            ..NodeFacts::default()
        };
        let node = Node {
            ranks: (0..ranks).collect(),
            facts,
            ..Node::default()
        };
        Survey::of(vec![RankFacts::default(); ranks], vec![node])
    }

    #[test]
    fn too_little_memory_is_told() {
        let verdict = |ranks| memory(&survey(ranks, 2 << 30, 0, false), 512 << 20).verdict;
        assert_eq!((verdict(4), verdict(5)), (Verdict::Good, Verdict::Wrong));
    }

    #[test]
    fn the_64_mib_of_docker_are_told() {
        let of = |ranks, container| shared(&survey(ranks, 0, 64 << 20, container)).verdict;
        assert_eq!(of(1, false), Verdict::Good);
        assert_eq!(of(1, true), Verdict::Note);
        assert_eq!(of(2, false), Verdict::Good);
        assert_eq!(of(4, false), Verdict::Note);
    }
}
