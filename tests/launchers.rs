//! Ways to start a job, right and wrong ones, on a real SLURM (`scripts/cluster`): a right one gives the bytes of a run
//! without a launcher, a wrong one is refused in one line that says how to mend it, and `doctor` tells of both.
//!
//! For an Open MPI that speaks `PMIx` alone, as Debian's does; `mpiexec.hydra` is MPICH's.

mod support;

use std::path::PathBuf;

use serde_json::Value;

use support::cluster::Cluster;
use support::folder::{Folder, perturbed};
use support::hosts::Hosts;
use support::launch::{Finished, Launch};
use support::results::{assert_same, completed};
use support::scenario::Scenario;

/// What is run, everywhere.
const RUN: &str = "framewise run in.h5 -o r.h5 --calculator null";
const DOCTOR: &str = "framewise doctor --json .";

/// A cluster of four nodes of two processors, and a folder with an input and its whole result.
struct Stage {
    // Goes down before the folder goes away.
    cluster: Cluster,
    folder: Folder,
}

impl Stage {
    fn new() -> Self {
        let folder = Folder::new();
        folder.import_frames("in", &perturbed("argon_small_cell.xyz", 40, 4));
        folder
            .alone("run in.h5 -o whole.h5 --calculator null")
            .expect(0);
        let cluster = Cluster::up(4, 2);
        Self { cluster, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    fn run(&self, line: &str) -> Finished {
        // The nodes are one machine, which Open MPI does not know: its ranks would spin on cores, or one core, that they share.
        self.cluster
            .shell(line, &self.folder.path("."))
            .variable("OMPI_MCA_mpi_yield_when_idle", "1")
            .variable("OMPI_MCA_hwloc_base_binding_policy", "none")
            .run()
    }

    /// `launcher` starts a run to its good end, and `doctor`, which finds these many ranks and nodes.
    fn works(&self, scenario: Scenario, launcher: &str, ranks: usize, nodes: usize) {
        let launched = |what: &str| launcher.replace("{}", what);
        self.run(&launched(RUN)).expect(0);
        let told = self.run(&launched(DOCTOR));
        let s = if ranks == 1 { "" } else { "s" };
        let launch = found(&told, "launcher");
        let seen = format!("started {ranks}, and MPI sees {ranks} rank{s}");
        assert!(text(&launch).contains(&seen), "{launch:#}");
        if ranks > 1 {
            let s = if nodes == 1 { "" } else { "s" };
            let world = found(&told, "world");
            let seen = format!("{ranks} ranks on {nodes} node{s}");
            assert!(text(&world).contains(&seen), "{world:#}");
        }
        if nodes > 1 {
            assert_eq!(found(&told, "one folder")["verdict"], "ok", "{told}");
        }
        scenario.ends_whole(
            &self.path("r.h5"),
            &self.path("whole.h5"),
            &format!("{ranks} rank{s} on {nodes}"),
        );
    }

    /// `launcher` is refused in one line that has all of `said`, and leaves nothing; `doctor` finds the same wrong.
    fn refused(&self, scenario: Scenario, launcher: &str, said: &[&str]) {
        let launched = |what: &str| launcher.replace("{}", what);
        let finished = self.run(&launched(RUN));
        assert_ne!(finished.code, Some(0), "{finished}");
        let finished = said
            .iter()
            .fold(finished, |finished, said| finished.error(said));
        // Nor a page of somebody else's before it.
        assert!(!finished.stderr.contains("MPI_Init"), "{finished}");
        assert!(!self.path("r.h5").exists() && !self.path("r.h5.lock").exists());
        let told = self.run(&launched(DOCTOR));
        assert_ne!(told.code, Some(0), "{told}");
        let launch = found(&told, "launcher");
        assert_eq!(launch["verdict"], "WRONG", "{launch:#}");
        assert!(
            said.iter().all(|said| text(&launch).contains(said)),
            "{launch:#}"
        );
        assert!(launch["mend"].is_string(), "{launch:#}");
        scenario.ends("one line with the mend; doctor: WRONG");
    }
}

/// What `doctor` says of a subject.
#[track_caller]
fn found(finished: &Finished, subject: &str) -> Value {
    // salloc and srun speak on standard error.
    let all: Vec<Value> =
        serde_json::from_str(&finished.stdout).unwrap_or_else(|e| panic!("{e}: {finished}"));
    let mut all = all.into_iter();
    let one = all.find(|one| one["subject"] == subject);
    one.unwrap_or_else(|| panic!("no {subject}: {finished}"))
}

fn text(finding: &Value) -> String {
    finding["text"].as_str().unwrap().to_owned()
}

#[test]
#[ignore = "wants SLURM: scripts/test-cluster"]
fn srun_pmix() {
    let stage = Stage::new();
    let scenario = Scenario::begin("launcher srun-pmix", "srun --mpi=pmix on two nodes");
    stage.works(scenario, "srun --mpi=pmix -N 2 -n 2 {}", 2, 2);
    let told = stage.run(&format!("srun --mpi=pmix -N 2 -n 2 -t 10 {DOCTOR}"));
    let lost = found(&told, "lost nodes");
    assert_eq!(lost["verdict"], "ok", "{lost:#}");
    // SLURM itself is asked.
    let walltime = found(&told, "walltime");
    assert!(
        text(&walltime).contains("ends in 9m") || text(&walltime).contains("ends in 10m"),
        "{walltime:#}"
    );
    let unlimited = stage.run(&format!("srun --mpi=pmix -n 1 {DOCTOR}"));
    let walltime = found(&unlimited, "walltime");
    assert_eq!(walltime["verdict"], "note", "{walltime:#}");
}

#[test]
#[ignore = "wants SLURM: scripts/test-cluster"]
fn srun_pmix_on_uneven_nodes() {
    let stage = Stage::new();
    let scenario = Scenario::begin("launcher srun-uneven", "srun -N 2 -n 3: two ranks and one");
    stage.works(scenario, "srun --mpi=pmix -N 2 -n 3 {}", 3, 2);
}

#[test]
#[ignore = "wants SLURM: scripts/test-cluster"]
fn mpiexec_inside_an_allocation() {
    let stage = Stage::new();
    let scenario = Scenario::begin("launcher mpirun-inside", "salloc -N 2 -n 3, then mpiexec");
    stage.works(scenario, "salloc -N 2 -n 3 mpiexec {}", 3, 2);
    // A node that is cut off.
    let salloc = |more: &str| stage.run(&format!("{more} salloc -N 2 -n 3 mpiexec {DOCTOR}"));
    let lost = found(&salloc(""), "lost nodes");
    assert_eq!(lost["verdict"], "note", "{lost:#}");
    let set = "OMPI_MCA_oob_tcp_keepalive_time=3 OMPI_MCA_oob_tcp_keepalive_intvl=2 OMPI_MCA_oob_tcp_keepalive_probes=2";
    let lost = found(&salloc(set), "lost nodes");
    assert_eq!(lost["verdict"], "ok", "{lost:#}");
}

#[test]
#[ignore = "wants SLURM: scripts/test-cluster"]
fn mpiexec_with_uneven_hosts() {
    let stage = Stage::new();
    let scenario = Scenario::begin("launcher mpirun-uneven", "mpiexec --host n1:1,n2:2");
    let launcher = "salloc -w n1,n2 -N 2 -n 4 mpiexec --host n1:1,n2:2 -n 3 {}";
    stage.works(scenario, launcher, 3, 2);
}

#[test]
#[ignore = "wants SLURM: scripts/test-cluster"]
fn mpiexec_outside_of_slurm() {
    let stage = Stage::new();
    let scenario = Scenario::begin("launcher mpirun-outside", "mpiexec -n 2, no batch job");
    stage.works(scenario, "mpiexec -n 2 {}", 2, 1);
}

#[test]
#[ignore = "wants SLURM: scripts/test-cluster"]
fn no_launcher() {
    let stage = Stage::new();
    let scenario = Scenario::begin("launcher none", "one rank without a launcher");
    stage.run(RUN).expect(0);
    let told = stage.run(DOCTOR).expect(0);
    assert_eq!(found(&told, "launcher")["verdict"], "ok");
    scenario.ends_whole(&stage.path("r.h5"), &stage.path("whole.h5"), "1 rank");
}

#[test]
#[ignore = "wants SLURM: scripts/test-cluster"]
fn one_task_of_srun_and_one_rank_of_mpiexec_in_an_allocation_of_many() {
    let stage = Stage::new();
    let scenario = Scenario::begin("launcher one-of-many", "salloc -n 4, then mpiexec -n 1");
    stage.works(scenario, "salloc -n 4 mpiexec -n 1 {}", 1, 1);
}

#[test]
#[ignore = "wants SLURM: scripts/test-cluster"]
fn srun_with_another_plugin() {
    let stage = Stage::new();
    let pmix = "srun --mpi=pmix framewise";
    for (name, done, launcher, said) in [
        (
            "launcher pmi2",
            "srun --mpi=pmi2 with Open MPI",
            "srun --mpi=pmi2 -n 2 {}",
            "srun --mpi=pmi2 started 2 processes",
        ),
        (
            "launcher mpi-none",
            "srun --mpi=none with Open MPI",
            "srun --mpi=none -n 2 {}",
            "srun --mpi=none started 2 processes",
        ),
        (
            "launcher mpi-none-single",
            "srun --mpi=none -n 1 with Open MPI",
            "srun --mpi=none -n 1 {}",
            "srun --mpi=none started 1 process",
        ),
    ] {
        stage.refused(Scenario::begin(name, done), launcher, &[said, pmix]);
    }
}

#[test]
#[ignore = "wants SLURM and MPICH: scripts/test-cluster"]
fn the_launcher_of_the_other_mpi() {
    let stage = Stage::new();
    let said = ["(Hydra) started 3 processes", "mpiexec.openmpi"];
    let scenario = Scenario::begin("launcher hydra", "mpiexec.hydra with Open MPI");
    stage.refused(scenario, "mpiexec.hydra -n 3 {}", &said);
    let scenario = Scenario::begin("launcher hydra-inside", "mpiexec.hydra in an allocation");
    stage.refused(scenario, "salloc -N 2 -n 3 mpiexec.hydra {}", &said);
}

#[test]
#[ignore = "wants SLURM: scripts/test-cluster"]
fn no_launcher_in_an_allocation_of_many() {
    let stage = Stage::new();
    let scenario = Scenario::begin("launcher bare-inside", "salloc -n 4, then no launcher");
    let run = stage.run(&format!("salloc -n 4 {RUN}")).expect(1);
    run.error("started once, without a launcher: write `srun --mpi=pmix framewise ...`");
    let told = stage.run(&format!("salloc -n 4 {DOCTOR}")).expect(0);
    let finding = found(&told, "allocation");
    assert_eq!(finding["verdict"], "note", "{finding:#}");
    assert!(text(&finding).contains("4 tasks"), "{finding:#}");
    scenario.ends("one line with the mend; doctor: note");
}

#[test]
#[ignore = "wants SLURM: scripts/test-cluster"]
fn heterogeneous_steps_and_jobs() {
    let stage = Stage::new();
    let scenario = Scenario::begin("launcher het-step", "srun -n1 : -n2");
    stage.works(scenario, "srun --mpi=pmix -n1 {} : -n2 {}", 3, 2);
    std::fs::remove_file(stage.path("r.h5")).unwrap();
    let scenario = Scenario::begin("launcher het-job", "salloc -n1 : -n2, srun --het-group=0-1");
    let launcher = "salloc -n1 : -n2 srun --mpi=pmix --het-group=0-1 {}";
    stage.works(scenario, launcher, 3, 2);
    // The first component alone is what srun starts when nothing is said.
    let told = stage.run(&format!("salloc -n1 : -n2 srun --mpi=pmix {DOCTOR}"));
    let finding = found(&told, "allocation");
    assert_eq!(finding["verdict"], "note", "{finding:#}");
    assert!(
        text(&finding).contains("3 tasks, of which 1"),
        "{finding:#}"
    );
}

#[test]
#[ignore = "wants SLURM: scripts/test-cluster"]
fn several_jobs_on_one_node() {
    let stage = Stage::new();
    let scenario = Scenario::begin("launcher one-node", "two jobs on one node at once");
    let start = |result: &str| -> support::launch::Running {
        let line =
            format!("srun --mpi=pmix -w n1 -n 1 framewise run in.h5 -o {result} --calculator null");
        stage.cluster.shell(&line, &stage.path(".")).start()
    };
    let (one, two) = (start("r.h5"), start("other.h5"));
    one.finish().expect(0);
    two.finish().expect(0);
    assert_eq!(completed(&stage.path("other.h5")), 40);
    assert_same(&stage.path("other.h5"), &stage.path("whole.h5"));
    scenario.ends_whole(
        &stage.path("r.h5"),
        &stage.path("whole.h5"),
        "both complete",
    );
}

/// Without a batch system, over a network.
#[test]
#[ignore = "wants root and network namespaces: scripts/test-cluster"]
fn mpiexec_across_hosts() {
    let scenario = Scenario::begin("launcher mpirun-hosts", "mpiexec on h1:1,h2:2, as by ssh");
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_small_cell.xyz", 40, 4));
    folder
        .alone("run in.h5 -o whole.h5 --calculator null")
        .expect(0);
    let hosts = Hosts::up(2);
    let launch = |what: &str| hosts.launch("h1:1,h2:2", what, &folder.path("."));
    launch("run in.h5 -o r.h5 --calculator null").expect(0);
    let told = launch("doctor --json .").run();
    let world = found(&told, "world");
    assert!(text(&world).contains("3 ranks on 2 nodes"), "{world:#}");
    let names = world["nodes"].as_array().unwrap().iter();
    let names: Vec<_> = names.map(|node| node["node"].as_str().unwrap()).collect();
    assert_eq!(names, ["h1", "h2"]);
    for subject in ["one folder", "clocks", "lost nodes", "same program"] {
        let finding = found(&told, subject);
        assert_eq!(finding["verdict"], "ok", "{finding:#}");
    }
    scenario.ends_whole(
        &folder.path("r.h5"),
        &folder.path("whole.h5"),
        "3 ranks on 2",
    );
}

/// Each node by its own: what they see of a folder, and how many threads they are told.
#[test]
#[ignore = "wants SLURM: scripts/test-cluster"]
fn doctor_compares_nodes() {
    let stage = Stage::new();
    let scenario = Scenario::begin(
        "doctor nodes",
        "nodes with folders and threads of their own",
    );
    let each = "mkdir -p $SLURMD_NODENAME; cd $SLURMD_NODENAME; \
                OMP_NUM_THREADS=$((SLURM_NODEID+1)) framewise doctor --json .";
    let line = format!("srun --mpi=pmix -N 2 -n 2 sh -c '{each}'");
    let told = stage.run(&line);
    assert_ne!(told.code, Some(0), "{told}");
    for subject in ["one folder", "same threads"] {
        let finding = found(&told, subject);
        assert_eq!(finding["verdict"], "WRONG", "{finding:#}");
        assert_eq!(finding["nodes"].as_array().unwrap().len(), 2);
    }
    let program = found(&told, "same program");
    assert_eq!(program["verdict"], "ok", "{program:#}");
    scenario.ends("told node by node");
}

/// What Debian's alternatives say: the launcher of the other MPI is there, and not the default.
#[test]
#[ignore = "wants SLURM and MPICH: scripts/test-cluster"]
fn the_other_mpi_is_not_the_default() {
    let folder = Folder::new();
    let said = Launch::shell(
        "mpiexec --version; command -v mpiexec.hydra",
        &folder.path("."),
    );
    let said = said.expect(0);
    assert!(said.stdout.contains("mpiexec.hydra"), "{said}");
    assert!(
        said.stdout.contains("OpenRTE") || said.stdout.contains("Open MPI"),
        "{said}"
    );
}
