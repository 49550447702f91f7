//! Is the world the one the launcher promised?
//!
//! A program started by the launcher of another MPI runs as N processes that each believe they are rank 0 of 1.
//! They would all write the same file. The launchers tell the size they started in environment variables.

use crate::domain::error::{Error, Result};

/// Variables in which launchers tell the number of ranks, and who sets them.
const SIZES: [(&str, &str); 4] = [
    ("OMPI_COMM_WORLD_SIZE", "Open MPI's mpirun"),
    (
        "PMI_SIZE",
        "an MPICH or Intel MPI launcher (or srun --mpi=pmi2)",
    ),
    ("MPI_LOCALNRANKS", "a Hydra launcher"),
    ("SLURM_STEP_NUM_TASKS", "srun"),
];

/// The rank that the launcher gave this process, before MPI is up; `None` without a launcher.
pub fn promised_rank() -> Option<usize> {
    ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"]
        .iter()
        .find_map(|name| std::env::var(name).ok()?.trim().parse().ok())
}

/// Compares the size of the world with what launchers say in the environment.
pub fn check(size: usize, variable: impl Fn(&str) -> Option<String>) -> Result<()> {
    for (name, launcher) in SIZES {
        let Some(promised) = variable(name).and_then(|v| v.trim().parse::<usize>().ok()) else {
            continue;
        };
        // A batch script is itself a step of one task in which mpirun starts many: only fewer is wrong.
        if size == 1 && promised > 1 {
            return Err(Error::failure(format!(
                "{launcher} started {promised} processes ({name}={promised}), but this MPI library sees a single rank: \
                 the launcher belongs to another MPI; framewise is built with {}; use that MPI's mpiexec \
                 (under SLURM: srun --mpi=pmix)",
                super::library_version()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn singletons_of_a_foreign_launcher_are_refused() {
        let env = |name: &str| (name == "PMI_SIZE").then(|| "4".to_owned());
        let error = check(1, env).unwrap_err();
        assert!(error.message.contains("PMI_SIZE=4"), "{error}");
        assert!(check(4, env).is_ok());
        assert!(check(1, |_| None).is_ok());
        assert!(check(1, |_| Some("1".into())).is_ok());
    }
}
