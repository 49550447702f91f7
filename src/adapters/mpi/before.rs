//! What would go wrong in `MPI_Init`, seen before it: there Open MPI ends the process with a page of its own, which says
//! how to build MPI and not how to start this program.
//!
//! Open MPI 4.1.4 and SLURM 22.05: a task of `srun --mpi=pmi2` or `--mpi=none`, even a single one, ends in `MPI_Init`. So
//! does a process of MPICH's `mpiexec` inside an allocation, whose daemons are tasks of `srun --mpi=pmix`: it takes itself
//! for one of these.

use std::path::{Path, PathBuf};

use crate::adapters::machine;
use crate::domain::error::{Error, Result};

use super::family::Family;
use super::launcher::{number, step_tasks};

/// Parts of Open MPI 4 that talk to a launcher by other means than `PMIx`, for sites that have built them.
const OTHER_MEANS: [&str; 3] = ["mca_pmix_s1.so", "mca_pmix_s2.so", "mca_pmix_cray.so"];
/// Where these are, beside the library: as it installs itself, and as Debian does.
const PLACES: [&str; 4] = [
    "openmpi",
    "openmpi3",
    "openmpi/lib/openmpi3",
    "openmpi/lib/openmpi",
];

/// Refuses to start MPI where that cannot go well.
pub fn check(library: &str, variable: impl Fn(&str) -> Option<String> + Copy) -> Result<()> {
    check_with(library, variable, || knows_other_means(library))
}

fn check_with(
    library: &str,
    variable: impl Fn(&str) -> Option<String> + Copy,
    knows_other_means: impl FnOnce() -> bool,
) -> Result<()> {
    let has = |name: &str| variable(name).is_some();
    // Whoever Open MPI's own launcher has started is in good hands.
    if Family::of(library) != Some(Family::OpenMpi) || has("OMPI_COMM_WORLD_SIZE") {
        return Ok(());
    }
    let how = Family::OpenMpi.how_to_start();
    let by_hydra = has("MPI_LOCALNRANKS") && (has("PMI_FD") || has("PMI_PORT"));
    let ranks = number(variable("PMI_SIZE")).unwrap_or(1);
    // Without PMIx it takes itself for a single rank, which is what one process is.
    if by_hydra && (ranks > 1 || has("PMIX_RANK")) {
        return Err(Error::failure(format!(
            "MPICH's or Intel's mpiexec (Hydra) started {} (PMI_SIZE={ranks}), but framewise is built with {library}, another MPI: {how}",
            processes(ranks),
        )));
    }
    let Some(tasks) = step_tasks(variable).filter(|_| !by_hydra && !has("PMIX_RANK")) else {
        return Ok(());
    };
    if knows_other_means() {
        return Ok(());
    }
    let kind = variable("SLURM_MPI_TYPE").filter(|kind| !kind.is_empty());
    let srun = match kind {
        Some(kind) => format!("srun --mpi={kind}"),
        None => "srun --mpi=none".to_owned(),
    };
    Err(Error::failure(format!(
        "{srun} started {} (SLURM_STEP_NUM_TASKS={tasks}), but {library} here speaks PMIx alone: write `srun --mpi=pmix framewise ...` (`srun --mpi=list` tells \
         whether this SLURM has it), or `mpiexec framewise ...` in the job's script",
        processes(tasks),
    )))
}

fn processes(n: u64) -> String {
    match n {
        1 => "1 process".into(),
        n => format!("{n} processes"),
    }
}

/// Whether this Open MPI may know what else SLURM speaks. Where its parts are not found they may be inside the library: then
/// it is asked to try.
fn knows_other_means(library: &str) -> bool {
    // Since 5.0 there is nothing but PMIx.
    let major = library
        .split(['v', '.'])
        .nth(1)
        .and_then(|n| n.parse().ok());
    if major.is_some_and(|major: u32| major >= 5) {
        return false;
    }
    let mapped = machine::mapped_libraries();
    let library = mapped
        .iter()
        .find(|path| Family::of_file(path) == Some(Family::OpenMpi));
    let Some(parts) = library.and_then(|path| parts_beside(path)) else {
        return true;
    };
    OTHER_MEANS.iter().any(|part| parts.join(part).exists())
}

fn parts_beside(library: &Path) -> Option<PathBuf> {
    let library = library.parent()?;
    let mut places = PLACES.iter().map(|place| library.join(place));
    places.find(|place| {
        let parts = std::fs::read_dir(place).into_iter().flatten().flatten();
        parts
            .into_iter()
            .any(|part| part.file_name().to_string_lossy().starts_with("mca_pmix_"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN_MPI: &str = "Open MPI v4.1.4";

    fn told(library: &str, environment: &str, other_means: bool) -> String {
        let variable = |name: &str| {
            let pairs = environment.split(' ').filter_map(|p| p.split_once('='));
            let mut found = pairs.filter(|(key, _)| *key == name);
            found.next().map(|(_, value)| value.to_owned())
        };
        let checked = check_with(library, variable, || other_means);
        checked.err().map_or_else(String::new, |e| e.message)
    }

    /// As SLURM 22.05 and MPICH 4.0.2 set them.
    const PMI2: &str = "SLURM_STEP_NUM_TASKS=2 SLURM_STEP_ID=0 SLURM_MPI_TYPE=pmi2 PMI_FD=11 PMI_RANK=0 PMI_SIZE=2";
    const NONE: &str = "SLURM_STEP_NUM_TASKS=2 SLURM_STEP_ID=0 SLURM_PROCID=0";
    const PMIX: &str = "SLURM_STEP_NUM_TASKS=2 SLURM_STEP_ID=0 SLURM_MPI_TYPE=pmix PMIX_RANK=0";
    const HYDRA: &str = "PMI_FD=5 PMI_RANK=0 PMI_SIZE=3 MPI_LOCALNRANKS=3";

    #[test]
    fn what_would_end_in_mpi_init_is_refused_with_the_mend() {
        let pmi2 = told(OPEN_MPI, PMI2, false);
        assert!(
            pmi2.starts_with("srun --mpi=pmi2 started 2 processes"),
            "{pmi2}"
        );
        assert!(pmi2.contains("srun --mpi=pmix framewise"), "{pmi2}");
        let none = told(OPEN_MPI, NONE, false);
        assert!(none.starts_with("srun --mpi=none started 2"), "{none}");
        let hydra = told(OPEN_MPI, HYDRA, false);
        assert!(
            hydra.contains("Hydra") && hydra.contains("mpiexec.openmpi"),
            "{hydra}"
        );
        let inside = format!("{HYDRA} {PMIX}");
        assert!(told(OPEN_MPI, &inside, false).contains("Hydra"));
    }

    #[test]
    fn what_may_go_well_is_left_to_mpi() {
        let by_mpiexec = format!("OMPI_COMM_WORLD_SIZE=2 {NONE}");
        let single = HYDRA.replace('3', "1");
        let shell = NONE.replace("STEP_ID=0", "STEP_ID=4294967290");
        for (library, environment, other_means) in [
            (OPEN_MPI, PMIX, false),
            (OPEN_MPI, "", false),
            (OPEN_MPI, "SLURM_NTASKS=4 SLURM_JOB_ID=7", false),
            (OPEN_MPI, &*by_mpiexec, false),
            (OPEN_MPI, &*single, false),
            (OPEN_MPI, &*shell, false),
            (OPEN_MPI, PMI2, true),
            ("MPICH Version: 4.0.2", PMI2, false),
            ("MPICH Version: 4.0.2", HYDRA, false),
        ] {
            assert_eq!(told(library, environment, other_means), "", "{environment}");
        }
    }
}
