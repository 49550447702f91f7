//! Is the world the one the launcher promised?
//!
//! A program started by the launcher of another MPI runs as N processes that each believe they are rank 0 of 1.
//! They would all write the same file. The launchers tell the size they started in environment variables.
//!
//! Who is to be believed: the launcher that started this very process. Inside a SLURM job, Open MPI's `mpirun` starts
//! one daemon per node with `srun`, so that its ranks also find `SLURM_STEP_NUM_TASKS`: the number of daemons. Its own
//! variables therefore take precedence.

use crate::domain::error::{Error, Result};

use super::family::Family;

/// Variables in which launchers tell the number of ranks, and who sets them; the first that is there counts.
const LAUNCHERS: [(&str, &str); 2] = [
    ("OMPI_COMM_WORLD_SIZE", "Open MPI's mpiexec"),
    (
        "PMI_SIZE",
        "an MPICH or Intel MPI launcher (or srun --mpi=pmi2)",
    ),
];
/// Steps that SLURM makes without `srun`, batch scripts and interactive shells, have numbers from here
/// (`SLURM_MAX_NORMAL_STEP_ID` in slurm.h).
const SPECIAL_STEPS: u64 = 0xffff_fff0;

/// Whether all ranks of this job are on one node, as far as launchers say, before MPI is up.
pub fn is_on_one_node(variable: impl Fn(&str) -> Option<String> + Copy) -> bool {
    let numbers = |name: &str| number(variable(name));
    if let Some(ranks) = numbers("OMPI_COMM_WORLD_SIZE") {
        return numbers("OMPI_COMM_WORLD_LOCAL_SIZE") == Some(ranks);
    }
    match step_tasks(variable) {
        Some(_) => numbers("SLURM_STEP_NUM_NODES") == Some(1),
        None => !RANKS.iter().any(|name| variable(name).is_some()),
    }
}

/// Variables in which launchers tell a process its rank.
///
/// Hydra inside a SLURM job comes before `PMIx`, whose ranks are those of its daemons.
const RANKS: [&str; 3] = ["OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"];

/// The rank that the launcher gave this process, before MPI is up; `None` without a launcher.
pub fn promised_rank() -> Option<usize> {
    let variable = |name: &str| std::env::var(name).ok();
    RANKS
        .iter()
        .find_map(|name| number(variable(name)))
        .or_else(|| step_tasks(variable).and_then(|_| number(variable("SLURM_PROCID"))))
        .and_then(|rank| usize::try_from(rank).ok())
}

/// The place of this rank among those of its node, and their number, as far as launchers say.
pub fn place_on_node(variable: impl Fn(&str) -> Option<String> + Copy) -> Option<(u64, u64)> {
    let pair = |place: &str, size: &str| {
        let numbers = (number(variable(place))?, number(variable(size))?);
        Some(numbers)
    };
    pair("OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE")
        .or_else(|| pair("MPI_LOCALRANKID", "MPI_LOCALNRANKS"))
        .or_else(|| {
            let tasks = variable("SLURM_STEP_TASKS_PER_NODE")?;
            let node = number(variable("SLURM_NODEID"))?;
            let place = number(variable("SLURM_LOCALID"))?;
            Some((place, tasks_of_node(&tasks, node)?))
        })
}

/// The number of tasks of a node in SLURM's list, as `4(x2),3`: four on each of two nodes, three on the next.
fn tasks_of_node(list: &str, node: u64) -> Option<u64> {
    let mut before = 0;
    for item in list.split(',') {
        let (tasks, nodes) = match item.split_once("(x") {
            Some((tasks, nodes)) => (tasks, nodes.strip_suffix(')')?.parse().ok()?),
            None => (item, 1),
        };
        before += nodes;
        if node < before {
            return tasks.trim().parse().ok();
        }
    }
    None
}

/// Who started this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Launcher {
    /// Nobody: no launcher.
    Nobody,
    /// Open MPI's `mpiexec`.
    OpenMpi,
    /// The `mpiexec` of MPICH or Intel MPI.
    Hydra,
    /// `srun`, with this plugin for MPI.
    Srun(String),
    /// Somebody else who speaks PMI.
    Other,
}

impl std::fmt::Display for Launcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nobody => f.write_str("no launcher"),
            Self::OpenMpi => f.write_str("Open MPI's mpiexec"),
            Self::Hydra => f.write_str("MPICH's or Intel's mpiexec (Hydra)"),
            Self::Srun(kind) => write!(f, "srun --mpi={kind}"),
            Self::Other => f.write_str("a launcher that speaks PMI"),
        }
    }
}

/// Who started this process, as far as launchers tell in the environment.
pub fn launcher(variable: impl Fn(&str) -> Option<String> + Copy) -> Launcher {
    let has = |name: &str| variable(name).is_some();
    if has("OMPI_COMM_WORLD_SIZE") {
        Launcher::OpenMpi
    } else if has("MPI_LOCALNRANKS") {
        Launcher::Hydra
    } else if step_tasks(variable).is_some() && by_slurm(variable) {
        let told = variable("SLURM_MPI_TYPE").filter(|kind| !kind.is_empty());
        let seen = match (has("PMIX_RANK"), has("PMI_RANK")) {
            (true, _) => "pmix",
            (_, true) => "pmi2",
            _ => "none",
        };
        Launcher::Srun(told.unwrap_or_else(|| seen.to_owned()))
    } else if RANKS.iter().any(|name| has(name)) {
        Launcher::Other
    } else {
        Launcher::Nobody
    }
}

/// How many ranks the launcher started; `None` without one.
pub fn promised_size() -> Option<u64> {
    let variable = |name: &str| std::env::var(name).ok();
    LAUNCHERS
        .iter()
        .find_map(|(name, _)| number(variable(name)))
        .or_else(|| step_tasks(variable))
}

/// Compares the size of the world with what launchers say in the environment.
pub fn check(size: usize, variable: impl Fn(&str) -> Option<String> + Copy) -> Result<()> {
    let size = size as u64;
    for (name, launcher) in LAUNCHERS {
        if let Some(promised) = number(variable(name)) {
            return compare(size, promised, name, launcher);
        }
    }
    // Hydra tells it where it does not set PMI_SIZE: the ranks of this node.
    if let Some(local) = number(variable("MPI_LOCALNRANKS"))
        && size == 1
    {
        return compare(size, local, "MPI_LOCALNRANKS", "a Hydra launcher");
    }
    match step_tasks(variable) {
        // More than one rank that are not the tasks of the step: some launcher that started its daemons with srun.
        Some(_) if size > 1 && !by_slurm(variable) => Ok(()),
        Some(tasks) => compare(size, tasks, "SLURM_STEP_NUM_TASKS", "srun"),
        None => refuse_lonely_batch(size, variable),
    }
}

/// Tasks of the step that `srun` started; `None` outside of one.
pub(super) fn step_tasks(variable: impl Fn(&str) -> Option<String>) -> Option<u64> {
    let special = number(variable("SLURM_STEP_ID")).is_some_and(|step| step >= SPECIAL_STEPS);
    number(variable("SLURM_STEP_NUM_TASKS")).filter(|_| !special)
}

/// Whether SLURM itself brought this process and MPI together: its plugin names its spaces so.
fn by_slurm(variable: impl Fn(&str) -> Option<String>) -> bool {
    variable("PMIX_NAMESPACE").is_none_or(|space| space.starts_with("slurm."))
}

fn compare(size: u64, promised: u64, name: &str, launcher: &str) -> Result<()> {
    if size == promised {
        return Ok(());
    }
    let sees = match size {
        1 => "a single rank".to_owned(),
        n => format!("{n} ranks"),
    };
    Err(Error::failure(format!(
        "{launcher} started {promised} processes ({name}={promised}), but this MPI library sees {sees}: \
         the launcher belongs to another MPI; framewise is built with {}; {}",
        super::library_version(),
        Family::ours().map_or("use that MPI's mpiexec", Family::how_to_start),
    )))
}

/// One process in a job that asked for many, and no launcher: whoever wrote the script forgot it.
fn refuse_lonely_batch(size: u64, variable: impl Fn(&str) -> Option<String>) -> Result<()> {
    let tasks = number(variable("SLURM_NTASKS")).unwrap_or(1);
    let launched = variable("PMIX_RANK").is_some() || variable("PMI_RANK").is_some();
    if size > 1 || launched || tasks <= 1 {
        return Ok(());
    }
    let kind = match Family::ours() {
        Some(Family::Mpich) => "pmi2",
        _ => "pmix",
    };
    Err(Error::failure(format!(
        "this SLURM job has {tasks} tasks (SLURM_NTASKS={tasks}), but framewise was started once, without a launcher: \
         write `srun --mpi={kind} framewise ...` or `mpiexec framewise ...`; if one rank is what you want: \
         `mpiexec -n 1 framewise ...`"
    )))
}

pub(super) fn number(text: Option<String>) -> Option<u64> {
    text?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A variable of an environment written as `A=1 B=2`.
    fn variable(environment: &str, name: &str) -> Option<String> {
        environment
            .split(' ')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.to_owned())
    }

    fn world(size: usize, environment: &str) -> Result<()> {
        check(size, |name: &str| variable(environment, name))
    }

    #[test]
    fn whoever_started_this_process_is_known_by_the_environment() {
        for (environment, name) in [
            ("", "no launcher"),
            ("SLURM_NTASKS=4 SLURM_JOB_ID=7", "no launcher"),
            (
                "OMPI_COMM_WORLD_SIZE=1 SLURM_STEP_NUM_TASKS=1 SLURM_STEP_ID=0",
                "Open MPI's mpiexec",
            ),
            (
                "MPI_LOCALNRANKS=2 PMI_SIZE=2 PMIX_RANK=0 SLURM_STEP_NUM_TASKS=1 SLURM_STEP_ID=0",
                "MPICH's or Intel's mpiexec (Hydra)",
            ),
            (
                "SLURM_STEP_NUM_TASKS=2 SLURM_STEP_ID=0 SLURM_MPI_TYPE=pmix_v4 PMIX_RANK=0",
                "srun --mpi=pmix_v4",
            ),
            ("SLURM_STEP_NUM_TASKS=2 SLURM_STEP_ID=0", "srun --mpi=none"),
            ("PMIX_RANK=0", "a launcher that speaks PMI"),
        ] {
            let found = launcher(|name: &str| variable(environment, name));
            assert_eq!(found.to_string(), name, "{environment}");
        }
    }

    #[test]
    fn launchers_tell_the_place_of_a_rank_on_its_node() {
        let place = |environment: &str| place_on_node(|name| variable(environment, name));
        assert_eq!(place(""), None);
        assert_eq!(
            place("OMPI_COMM_WORLD_LOCAL_RANK=3 OMPI_COMM_WORLD_LOCAL_SIZE=4"),
            Some((3, 4))
        );
        assert_eq!(place("MPI_LOCALRANKID=0 MPI_LOCALNRANKS=2"), Some((0, 2)));
        let slurm = "SLURM_STEP_TASKS_PER_NODE=4(x2),3 SLURM_LOCALID=1";
        assert_eq!(place(&format!("{slurm} SLURM_NODEID=1")), Some((1, 4)));
        assert_eq!(place(&format!("{slurm} SLURM_NODEID=2")), Some((1, 3)));
        assert_eq!(place(&format!("{slurm} SLURM_NODEID=3")), None);
    }

    #[test]
    fn launchers_tell_whether_a_job_is_on_one_node() {
        for (environment, one) in [
            ("", true),
            ("SLURM_JOB_ID=7 SLURM_NTASKS=1", true),
            ("SLURM_STEP_NUM_TASKS=1 SLURM_STEP_ID=4294967290", true),
            ("OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_LOCAL_SIZE=4", true),
            ("OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_LOCAL_SIZE=2", false),
            // The daemons of mpiexec are a step of one node each.
            (
                "OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_LOCAL_SIZE=2 SLURM_STEP_NUM_TASKS=1 SLURM_STEP_NUM_NODES=1 \
                 SLURM_STEP_ID=0",
                false,
            ),
            (
                "SLURM_STEP_NUM_TASKS=4 SLURM_STEP_NUM_NODES=1 SLURM_STEP_ID=0 PMIX_RANK=1",
                true,
            ),
            (
                "SLURM_STEP_NUM_TASKS=4 SLURM_STEP_NUM_NODES=2 SLURM_STEP_ID=0 PMIX_RANK=1",
                false,
            ),
            ("PMI_RANK=0 PMI_SIZE=1", false),
            ("PMIX_RANK=0", false),
        ] {
            let told = is_on_one_node(|name: &str| variable(environment, name));
            assert_eq!(told, one, "{environment}");
        }
    }

    #[test]
    fn a_world_of_another_size_than_the_launchers_is_refused() {
        for (size, environment, said) in [
            (1, "PMI_SIZE=4", "PMI_SIZE=4"),
            (2, "PMI_SIZE=4", "sees 2 ranks"),
            (1, "OMPI_COMM_WORLD_SIZE=3", "sees a single rank"),
            (3, "OMPI_COMM_WORLD_SIZE=2 PMI_SIZE=3", "Open MPI"),
            (1, "MPI_LOCALNRANKS=2", "Hydra"),
            (
                1,
                "SLURM_STEP_NUM_TASKS=8 SLURM_STEP_ID=0 SLURM_NTASKS=8",
                "srun --mpi=",
            ),
            (
                2,
                "SLURM_STEP_NUM_TASKS=8 SLURM_STEP_ID=0",
                "srun started 8",
            ),
            (
                2,
                "SLURM_STEP_NUM_TASKS=8 PMIX_NAMESPACE=slurm.pmix.7.0",
                "sees 2",
            ),
            (1, "SLURM_NTASKS=4 SLURM_JOB_ID=7", "mpiexec -n 1"),
            // The shell of `salloc`.
            (
                1,
                "SLURM_NTASKS=4 SLURM_STEP_NUM_TASKS=1 SLURM_STEP_ID=4294967290",
                "mpiexec -n 1",
            ),
        ] {
            let error = world(size, environment).expect_err(environment);
            assert!(error.message.contains(said), "{environment}: {error}");
        }
    }

    #[test]
    fn worlds_as_they_should_be_are_accepted() {
        for (size, environment) in [
            (1, ""),
            (4, "OMPI_COMM_WORLD_SIZE=4"),
            (4, "PMI_SIZE=4 MPI_LOCALNRANKS=2"),
            (
                4,
                "SLURM_STEP_NUM_TASKS=4 SLURM_STEP_ID=0 SLURM_NTASKS=4 PMIX_RANK=0",
            ),
            // mpiexec in a batch script or in the shell of salloc: its daemons are a step of two tasks.
            (
                8,
                "OMPI_COMM_WORLD_SIZE=8 SLURM_STEP_NUM_TASKS=2 SLURM_STEP_ID=0 SLURM_NTASKS=8",
            ),
            (1, "OMPI_COMM_WORLD_SIZE=1 SLURM_NTASKS=8 SLURM_JOB_ID=7"),
            (3, "OMPI_COMM_WORLD_SIZE=3 SLURM_NTASKS=8"),
            (8, "PMI_SIZE=8 SLURM_STEP_NUM_TASKS=2 SLURM_STEP_ID=0"),
            (
                8,
                "PMIX_NAMESPACE=prterun-node-7@1 SLURM_STEP_NUM_TASKS=2 SLURM_STEP_ID=0",
            ),
            (1, "SLURM_STEP_NUM_TASKS=1 SLURM_STEP_ID=0 SLURM_NTASKS=1"),
            // srun -n 1 where the task sees the number of the whole job.
            (1, "SLURM_STEP_NUM_TASKS=1 SLURM_STEP_ID=3 SLURM_NTASKS=8"),
            (1, "SLURM_NTASKS=1 SLURM_JOB_ID=7"),
            (1, "PMI_SIZE=none"),
        ] {
            assert_eq!(world(size, environment), Ok(()), "{environment}");
        }
    }
}
