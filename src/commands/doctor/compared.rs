//! The nodes of a job beside each other: programs and libraries must be the same, the rest should.

use std::collections::BTreeSet;

use crate::adapters::mpi::launcher::Launcher;
use crate::commands::table::plural;

use super::facts::{Engine, NodeFacts};
use super::finding::{Finding, good, note, wrong};
use super::survey::{Node, Survey};

/// Clocks that differ by more than this many seconds are told...
const NOTED: f64 = 1.0;
/// ...and by more than this, may stop a run too late: what `run` keeps for it before the walltime.
const MARGIN: f64 = 10.0;

pub(super) fn findings(survey: &Survey) -> Vec<Finding> {
    if survey.nodes.len() < 2 {
        return Vec::new();
    }
    let mut findings = vec![
        same(
            survey,
            "same program",
            |facts| format!("{} {:016x} ({})", facts.version, facts.hash, facts.path),
            |facts| (facts.version.clone(), facts.hash),
            "have one file of the program on a file system that all nodes share, or install it anew on each",
        ),
        same(
            survey,
            "same libraries",
            |facts| format!("{}, HDF5 {}", facts.mpi, facts.hdf5),
            |facts| (facts.mpi.clone(), facts.hdf5.clone()),
            "load the same modules on all nodes, or use the same image",
        ),
        threads(survey),
        clocks(survey),
    ];
    findings.extend(engines(survey));
    findings.push(machines(survey));
    findings
}

fn same<K: Ord>(
    survey: &Survey,
    subject: &'static str,
    shown: impl Fn(&NodeFacts) -> String,
    key: impl Fn(&NodeFacts) -> K,
    mend: &str,
) -> Finding {
    if count(survey, |node| key(&node.facts)) < 2 {
        return good(subject, format!("on all nodes: {}", shown(survey.here())));
    }
    wrong(
        subject,
        "differs between nodes: run refuses to begin, or results depend on the node",
        mend,
    )
    .on(survey.by_node(|node| shown(&node.facts)))
}

/// How many different ones.
fn count<K: Ord>(survey: &Survey, key: impl Fn(&Node) -> K) -> usize {
    let keys: BTreeSet<_> = survey.nodes.iter().map(key).collect();
    keys.len()
}

fn threads(survey: &Survey) -> Finding {
    let subject = "same threads";
    let shown = |facts: &NodeFacts| {
        let pairs = facts.threads.iter().map(|(name, n)| format!("{name}={n}"));
        pairs.collect::<Vec<_>>().join(" ")
    };
    if count(survey, |node| shown(&node.facts)) < 2 {
        return good(subject, format!("on all nodes: {}", shown(survey.here())));
    }
    let mend = match survey.launcher {
        Launcher::OpenMpi => {
            "mpiexec -x OMP_NUM_THREADS -x OPENBLAS_NUM_THREADS -x MKL_NUM_THREADS hands them on"
        }
        _ => "export them before the launcher, and not in files that a shell reads on one node",
    };
    wrong(
        subject,
        "differs between nodes: with several threads the last bits of some engines do, too",
        mend,
    )
    .on(survey.by_node(|node| shown(&node.facts)))
}

fn clocks(survey: &Survey) -> Finding {
    let subject = "clocks";
    let ahead = || survey.nodes.iter().map(|node| node.ahead);
    let most = ahead().fold(f64::MIN, f64::max) - ahead().fold(f64::MAX, f64::min);
    let text = format!("those of the nodes differ by {}", seconds(most));
    if most <= NOTED {
        return good(subject, text);
    }
    let each = survey.by_node(|node| format!("{} ahead of rank 0's", seconds(node.ahead)));
    let text = format!(
        "{text}: a batch system's end of the job is read by rank 0's, and status tells times by its own (locks and leases compare no clocks)"
    );
    let mend = "have the site set them (chronyc tracking); until then run --walltime HH:MM:SS instead of asking the batch system";
    if most > MARGIN {
        return wrong(subject, text, mend).on(each);
    }
    note(subject, text, mend).on(each)
}

fn seconds(seconds: f64) -> String {
    match seconds.abs() {
        1.0.. => format!("{seconds:.1} s"),
        0.001.. => format!("{:.1} ms", seconds * 1e3),
        _ => format!("{:.0} us", seconds * 1e6),
    }
}

/// A calculator that some nodes have and some have not; of those that none has, or all have alike, `calculator` tells.
fn engines(survey: &Survey) -> Vec<Finding> {
    let subject = "same calculators";
    let names: Vec<_> = survey.here().engines.iter().map(|e| &e.name).collect();
    let of = |node: &Node, name: &String| -> Engine {
        let mut engines = node.facts.engines.iter();
        let found = engines.find(|engine| engine.name == *name);
        found.cloned().unwrap_or_default()
    };
    let odd = names.iter().filter(|name| {
        let key = |node: &Node| {
            let engine = of(node, name);
            // Why it is not there may be told in other words.
            engine.there.then_some(engine.text)
        };
        count(survey, key) > 1
    });
    let mut findings: Vec<_> = odd
        .map(|name| {
            let some = survey.nodes.iter().any(|node| !of(node, name).there);
            let text = if some {
                format!("{name} is not on all nodes: a run with it fails on some")
            } else {
                format!("{name} differs between nodes: results would depend on the node")
            };
            let each = survey.by_node(|node| {
                let engine = of(node, name);
                if engine.there {
                    format!("available {}", engine.text)
                } else {
                    format!("not available: {}", engine.text)
                }
            });
            wrong(
                subject,
                text,
                "install the same on all nodes, or load the same modules",
            )
            .on(each)
        })
        .collect();
    if findings.is_empty() {
        findings.push(good(subject, "on all nodes"));
    }
    findings
}

/// What may differ: work is dealt out by what each rank computes.
fn machines(survey: &Survey) -> Finding {
    let subject = "same machines";
    let gigabytes = |facts: &NodeFacts| {
        let all = facts.memory.map_or(0, |(all, _)| all);
        (all as f64 * 1e-9).round() as u64
    };
    let online = |node: &Node| survey.ranks[node.ranks[0]].online;
    let shown = |node: &Node| {
        format!(
            "{}, {} online, {} GB, {}",
            node.facts.processor,
            plural(online(node) as u64, "core"),
            gigabytes(&node.facts),
            node.facts.kernel
        )
    };
    if count(survey, shown) < 2 {
        return good(subject, format!("all nodes: {}", shown(&survey.nodes[0])));
    }
    note(
        subject,
        "nodes differ; work is dealt out by what each computes",
        "ask for nodes of one kind (SLURM: --constraint) if the last bits of an engine must not depend on its processor",
    )
    .on(survey.by_node(shown))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::facts::RankFacts;
    use crate::commands::doctor::finding::{Verdict, worst};

    fn survey(change: impl Fn(&mut Node)) -> Survey {
        let node = Node {
            ranks: vec![0],
            facts: NodeFacts {
                engines: vec![Engine {
                    name: "xtb".into(),
                    there: true,
                    text: "6.5.1".into(),
                }],
                ..NodeFacts::default()
            },
            ..Node::default()
        };
        let mut other = Node {
            ranks: vec![1],
            ..node.clone()
        };
        change(&mut other);
        Survey::of(vec![RankFacts::default(); 2], vec![node, other])
    }

    fn told(change: impl Fn(&mut Node)) -> Verdict {
        worst(&findings(&survey(change)))
    }

    #[test]
    fn nodes_that_differ_are_told() {
        assert_eq!(told(|_| ()), Verdict::Good);
        assert_eq!(told(|node| node.facts.hash = 7), Verdict::Wrong);
        assert_eq!(
            told(|node| node.facts.hdf5 = "1.14.0".into()),
            Verdict::Wrong
        );
        assert_eq!(
            told(|node| node.facts.kernel = "other".into()),
            Verdict::Note
        );
        assert_eq!(
            told(|node| node.facts.threads = vec![("A".into(), "2".into())]),
            Verdict::Wrong
        );
        assert_eq!(
            told(|node| node.facts.engines[0].there = false),
            Verdict::Wrong
        );
        assert_eq!(
            told(|node| node.facts.engines[0].text = "6.6".into()),
            Verdict::Wrong
        );
        assert_eq!(told(|node| node.ahead = 0.5), Verdict::Good);
        assert_eq!(told(|node| node.ahead = -2.0), Verdict::Note);
        assert_eq!(told(|node| node.ahead = 11.0), Verdict::Wrong);
    }
}
