//! Where the ranks are, and on which cores: those of one machine should have cores of their own.

use std::collections::{BTreeMap, BTreeSet};

use crate::adapters::mpi::launcher::Launcher;
use crate::commands::table::plural;
use crate::planning::cores::{Berth, Portion, describe, portions};
use crate::planning::frame_set::FrameSet;

use super::facts::THREADS;
use super::finding::{Finding, good, note, wrong};
use super::survey::{Survey, variable};

/// Kinds of nodes that are told one by one.
const SHOWN: usize = 8;

pub(super) fn findings(survey: &Survey) -> Vec<Finding> {
    let mut findings = Vec::new();
    if survey.ranks.len() > 1 {
        findings.push(nodes(survey));
        findings.push(binding(survey));
    }
    findings.push(cores(survey));
    findings.push(threads(survey));
    findings
}

fn nodes(survey: &Survey) -> Finding {
    let ranks = survey.ranks.len() as u64;
    let text = format!(
        "{} on {}",
        plural(ranks, "rank"),
        plural(survey.nodes.len() as u64, "node")
    );
    let counts: BTreeSet<_> = survey.nodes.iter().map(|node| node.ranks.len()).collect();
    let text = match counts.len() {
        1 => text,
        _ => format!("{text}, not the same number on each"),
    };
    good("world", text).on(survey.by_node(|node| plural(node.ranks.len() as u64, "rank")))
}

/// `0-3,8`.
fn ranges(cores: &[usize]) -> String {
    let set: FrameSet = cores.iter().map(|c| *c as u64..*c as u64 + 1).collect();
    let ranges = set.runs().iter().map(|r| match r.end - r.start {
        1 => r.start.to_string(),
        _ => format!("{}-{}", r.start, r.end - 1),
    });
    ranges.collect::<Vec<_>>().join(",")
}

/// Ranks of one machine: the same mask is divided among them, one that only overlaps is not.
fn binding(survey: &Survey) -> Finding {
    let shown = survey.by_node(|node| {
        let each = node.ranks.iter().map(|rank| {
            let cores = &survey.ranks[*rank].cores;
            match cores.len() {
                0 => format!("rank {rank} anywhere"),
                _ => format!("rank {rank} on {}", ranges(cores)),
            }
        });
        each.collect::<Vec<_>>().join("; ")
    });
    let mut machines: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (rank, facts) in survey.ranks.iter().enumerate() {
        machines.entry(facts.machine).or_default().push(rank);
    }
    let worst = machines.values().map(|ranks| on_one_machine(survey, ranks));
    // Of equal ones the first is told.
    let worst = worst.rev().max_by_key(|finding| finding.verdict);
    worst
        .unwrap_or_else(|| good("binding", "nothing is known"))
        .on(shown)
}

fn on_one_machine(survey: &Survey, ranks: &[usize]) -> Finding {
    let subject = "binding";
    let mut masks: BTreeMap<&[usize], u64> = BTreeMap::new();
    for rank in ranks {
        *masks.entry(&survey.ranks[*rank].cores).or_default() += 1;
    }
    let mut owners: BTreeMap<usize, u64> = BTreeMap::new();
    for core in masks.keys().copied().flatten() {
        *owners.entry(*core).or_default() += 1;
    }
    let online = survey.ranks[ranks[0]].online;
    let mend = how_to_bind(survey);
    if let Some(core) = owners.iter().find(|(_, n)| **n > 1) {
        let text = format!(
            "ranks of one machine are bound to sets of cores that overlap (core {} is in {} of them): they slow each other down",
            core.0, core.1
        );
        return wrong(subject, text, mend);
    }
    let crowded = masks
        .iter()
        .find(|(mask, ranks)| !mask.is_empty() && **ranks > mask.len() as u64);
    if let Some((mask, ranks)) = crowded {
        let text = format!(
            "{} share {}",
            plural(*ranks, "rank"),
            plural(mask.len() as u64, "core")
        );
        if mask.len() < online {
            return wrong(subject, text, mend);
        }
        let fewer = format!(
            "start at most {} on this machine",
            plural(mask.len() as u64, "rank")
        );
        return note(subject, text, fewer);
    }
    let (bound, free) = (owners.len(), cores_of_the_job(online));
    if bound > 0 && bound < free {
        let text = format!(
            "{} are bound to {bound} of {free} cores: the others are idle",
            plural(ranks.len() as u64, "rank")
        );
        return note(subject, text, mend);
    }
    good(subject, "no two ranks are to share a core")
}

/// Cores of this machine that are meant for the job, as far as the batch system says.
fn cores_of_the_job(online: usize) -> usize {
    let told = variable("SLURM_CPUS_ON_NODE").and_then(|n| n.trim().parse().ok());
    let batch = ["SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID"];
    match told {
        Some(cores) => cores,
        // Nothing is known of it.
        None if batch.iter().any(|name| variable(name).is_some()) => 0,
        None => online,
    }
}

fn how_to_bind(survey: &Survey) -> &'static str {
    match survey.launcher {
        Launcher::OpenMpi => {
            "mpiexec --map-by ppr:RANKS:node:PE=CORES gives each of RANKS ranks of a node CORES cores; --bind-to none lets \
             framewise divide them"
        }
        Launcher::Srun(_) => {
            "srun --ntasks-per-node=RANKS --cpus-per-task=CORES --cpu-bind=cores, or --cpu-bind=none, which lets framewise divide them"
        }
        _ => "mpiexec -bind-to none lets framewise divide the cores of a node",
    }
}

/// What every rank has, and what `run` would give it.
fn portions_of(survey: &Survey) -> (Vec<Berth>, Vec<Portion>) {
    let ranks = survey.ranks.iter();
    let berths: Vec<_> = ranks.map(super::facts::RankFacts::berth).collect();
    let portions = portions(&berths, false);
    (berths, portions)
}

/// What `run` would take here.
fn cores(survey: &Survey) -> Finding {
    let first = &survey.ranks[0];
    let (berths, portions) = portions_of(survey);
    let mut text = format!(
        "{} usable by this process of {} in the machine",
        berths[0].cores, first.online
    );
    if !first.cores.is_empty() && first.cores.len() < first.online {
        text += &format!(", bound to {}", ranges(&first.cores));
    }
    if let Some((quota, group)) = &first.quota {
        text += &format!(", processor time of {quota:.1} of them ({group})");
    }
    text += &match survey.ranks.len() {
        1 => format!(
            "; run takes {} on one rank",
            plural(portions[0].workers as u64, "worker")
        ),
        _ => format!("; run takes {}", describe(&berths, &portions, SHOWN)),
    };
    good("cores", text)
}

/// An engine that starts threads of its own beside those of the other workers.
fn threads(survey: &Survey) -> Finding {
    let subject = "threads";
    let asked = survey.here().threads.iter().filter_map(|(name, value)| {
        // Of a list for nested levels the first number counts.
        let threads: usize = value.split(',').next()?.trim().parse().ok()?;
        (threads > 1).then_some((name, threads))
    });
    let Some((name, threads)) = asked.max_by_key(|(_, threads)| *threads) else {
        let names = THREADS.join(", ");
        return good(
            subject,
            format!("one thread per engine and worker ({names}: 1, or not set)"),
        );
    };
    let (_, portions) = portions_of(survey);
    let (workers, cores) = (portions[0].workers, portions[0].cores);
    let fits = (cores / threads).max(1);
    let text = format!(
        "{name}={threads}: each worker's engine may start {threads} threads, and workers are not kept on cores of their own"
    );
    if threads > cores {
        return wrong(
            subject,
            format!("{text}; a rank has {} here", plural(cores as u64, "core")),
            format!("export {name}=1"),
        );
    }
    let text = format!(
        "{text}; a rank has {} for {}",
        plural(cores as u64, "core"),
        plural(workers as u64, "worker")
    );
    note(
        subject,
        text,
        format!("export {name}=1, or run --threads {fits}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::facts::RankFacts;
    use crate::commands::doctor::finding::Verdict;
    use crate::commands::doctor::survey::Node;

    fn verdict(online: usize, masks: &[&[usize]]) -> Verdict {
        let rank = |cores: &&[usize]| RankFacts {
            online,
            cores: cores.to_vec(),
            ..RankFacts::default()
        };
        let node = Node {
            ranks: (0..masks.len()).collect(),
            ..Node::default()
        };
        let survey = Survey::of(masks.iter().map(rank).collect(), vec![node]);
        binding(&survey).verdict
    }

    #[test]
    fn cores_that_ranks_share_are_told() {
        assert_eq!(verdict(4, &[&[0, 1], &[2, 3]]), Verdict::Good);
        // Divided by framewise.
        assert_eq!(verdict(4, &[&[0, 1, 2, 3], &[0, 1, 2, 3]]), Verdict::Good);
        assert_eq!(verdict(4, &[&[], &[]]), Verdict::Good);
        assert_eq!(verdict(4, &[&[0, 1], &[1, 2]]), Verdict::Wrong);
        assert_eq!(verdict(4, &[&[0, 1, 2, 3], &[3]]), Verdict::Wrong);
        assert_eq!(verdict(4, &[&[0], &[0]]), Verdict::Wrong);
        assert_eq!(verdict(2, &[&[0, 1], &[0, 1], &[0, 1]]), Verdict::Note);
    }

    #[test]
    fn cores_are_written_as_ranges() {
        assert_eq!(ranges(&[0, 1, 2, 5]), "0-2,5");
        assert_eq!(ranges(&[7]), "7");
    }
}
