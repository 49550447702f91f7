//! Who started the ranks, how many, and what becomes of a job when a node is lost.

use crate::adapters::machine;
use crate::adapters::mpi::family::Family;
use crate::adapters::mpi::launcher::Launcher;
use crate::adapters::mpi::quick_start::parameter_files;
use crate::commands::table::plural;

use super::finding::{Finding, good, note, wrong};
use super::survey::{Survey, variable};

pub(super) fn findings(survey: &Survey) -> Vec<Finding> {
    let mut findings = vec![match survey.launcher {
        Launcher::Nobody => on_path(survey),
        _ => started(survey),
    }];
    findings.extend(outside_of_an_allocation(survey));
    findings.extend(part_of_a_heterogeneous_job(survey));
    if survey.trouble.is_none() {
        findings.extend(lost_nodes(survey));
    }
    findings
}

fn started(survey: &Survey) -> Finding {
    let launcher = &survey.launcher;
    if let Some(trouble) = &survey.trouble {
        return wrong("launcher", trouble, survey.how_to_start());
    }
    let ranks = plural(survey.ranks.len() as u64, "rank");
    let text = match survey.promised {
        Some(promised) => format!("{launcher} started {promised}, and MPI sees {ranks}"),
        None => format!("{launcher}; MPI sees {ranks}"),
    };
    good("launcher", text)
}

/// The first `mpiexec` on PATH is the one people type: it should belong to the library we are linked with.
fn on_path(survey: &Survey) -> Finding {
    let ours = Family::of(&survey.here().mpi);
    let Some((path, version)) = machine::launcher() else {
        return note(
            "launcher",
            "no mpiexec on PATH: runs have one rank",
            "load the module of your MPI, or install its launcher (Debian: apt-get install openmpi-bin)",
        );
    };
    let text = format!("{} ({version})", path.display());
    match (Family::of(&version), ours) {
        (Some(a), Some(b)) if a != b => wrong(
            "launcher",
            format!(
                "{text} is of {}, but framewise is built with {}: every process would be rank 0 of 1",
                a.name(),
                b.name()
            ),
            survey.how_to_start(),
        ),
        _ => good("launcher", text),
    }
}

/// In a batch script or the shell of `salloc`, without a launcher.
fn outside_of_an_allocation(survey: &Survey) -> Option<Finding> {
    let tasks: u64 = variable("SLURM_NTASKS")?.trim().parse().ok()?;
    if survey.launcher != Launcher::Nobody || tasks < 2 {
        return None;
    }
    let srun = match Family::of(&survey.here().mpi) {
        Some(Family::Mpich) => "srun --mpi=pmi2",
        _ => "srun --mpi=pmix",
    };
    Some(note(
        "allocation",
        format!(
            "this SLURM job has {tasks} tasks, and this process is none of them: only this node is looked at, and run refuses to \
             begin like this"
        ),
        format!("{srun} framewise doctor FOLDER, or mpiexec framewise doctor FOLDER"),
    ))
}

/// `srun` without `--het-group` starts the first component of a heterogeneous job alone.
fn part_of_a_heterogeneous_job(survey: &Survey) -> Option<Finding> {
    let number = |name: &str| variable(name)?.trim().parse::<u64>().ok();
    let components = number("SLURM_HET_SIZE").filter(|n| *n > 1)?;
    let tasks: u64 = (0..components)
        .filter_map(|i| number(&format!("SLURM_NTASKS_HET_GROUP_{i}")))
        .sum();
    let ranks = survey.ranks.len() as u64;
    let of = format!("a heterogeneous job of {components} components");
    Some(if tasks > ranks {
        note(
            "allocation",
            format!("{of} with {tasks} tasks, of which {ranks} are here"),
            format!("srun --het-group=0-{} takes all of them", components - 1),
        )
    } else {
        good("allocation", of)
    })
}

/// Open MPI's parameters that let `mpiexec` notice that a node is cut off.
const KEEPALIVE: [&str; 3] = [
    "oob_tcp_keepalive_time",
    "oob_tcp_keepalive_intvl",
    "oob_tcp_keepalive_probes",
];

fn lost_nodes(survey: &Survey) -> Option<Finding> {
    let subject = "lost nodes";
    let several = survey.nodes.len() > 1;
    match &survey.launcher {
        // Not set here by us: mpiexec reads them, and hands them on.
        Launcher::OpenMpi if several => Some(if is_parameter_set(KEEPALIVE[0]) {
            good(
                subject,
                "mpiexec notices when a node is cut off (oob_tcp_keepalive_time is set)",
            )
        } else {
            note(
                subject,
                "mpiexec does not notice when a node is cut off: the job would hang",
                "before mpiexec: export OMPI_MCA_oob_tcp_keepalive_time=3 OMPI_MCA_oob_tcp_keepalive_intvl=2 \
                 OMPI_MCA_oob_tcp_keepalive_probes=2",
            )
        }),
        Launcher::Srun(kind) if kind.starts_with("pmix") => Some(good(
            subject,
            "a rank that dies ends the step: PMIx tells SLURM, with or without --kill-on-bad-exit",
        )),
        Launcher::Srun(_) => Some(match variable("SLURM_KILL_BAD_EXIT").as_deref() {
            Some("1") => good(
                subject,
                "a rank that dies ends the step (SLURM_KILL_BAD_EXIT=1)",
            ),
            _ => note(
                subject,
                "the others may wait for a rank that dies",
                "export SLURM_KILL_BAD_EXIT=1, or srun --kill-on-bad-exit=1",
            ),
        }),
        _ => None,
    }
}

/// In the environment, to which `mpiexec --mca` adds, or in a parameter file.
fn is_parameter_set(name: &str) -> bool {
    if variable(&format!("OMPI_MCA_{name}")).is_some() {
        return true;
    }
    let texts = parameter_files(variable);
    let texts = texts
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok());
    let mut lines = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
    lines.any(|line| line.split('=').next().is_some_and(|key| key.trim() == name))
}
