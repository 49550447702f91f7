//! Jobs across hosts: three containers with names and addresses of their own, under SLURM and under `mpirun`; nodes that are
//! stopped, killed and cut off. `scripts/test-cluster` runs these; the images are made by `scripts/docker-cluster build` and
//! `scripts/docker-build --mpich`.

mod support;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use support::containers::{Containers, NODES, needs, share};
use support::folder::{Folder, perturbed};
use support::launch::Launch;
use support::results::completed;
use support::scenario::Scenario;

/// Frames of some milliseconds each.
const CALCULATOR: &str = "-c lennard-jones -p epsilon=0.0104 -p sigma=3.4 -p cutoff=110";
/// A node is lost to SLURM after `SlurmdTimeout` (10 s) and the next ping; then its job is signalled, and killed after `KillWait`.
const SLURM_ENDS: Duration = Duration::from_secs(60);
/// Open MPI's daemons ask each other after 3 s of silence, twice, every 2 s; then they take down their ranks.
const MPIRUN_ENDS: Duration = Duration::from_secs(20);
/// A node that was cut off registers itself again and hears that its job is over.
const ORPHAN_ENDS: Duration = Duration::from_secs(40);

/// Frames in a folder that all nodes share, and what an undisturbed run on this host makes of them.
struct Work {
    folder: Folder,
}

impl Work {
    fn of(frames: usize) -> Self {
        let folder = Folder::new();
        folder.import_frames("in", &perturbed("argon_small_cell.xyz", frames, 4));
        let work = Self { folder };
        let line = Work::command("whole.h5");
        work.folder.on(2, &line).expect(0);
        work
    }

    fn command(result: &str) -> String {
        format!("run in.h5 -o {result} -t 1 --checkpoint-interval 0.5 {CALCULATOR}")
    }

    /// A script for `sbatch` that starts the job with this launcher, and wants to be started again after a stop in good order.
    fn script(&self, launcher: &str) {
        let text = format!(
            "#!/bin/sh\n#SBATCH --requeue --open-mode=append --output=job.log\n\
             {launcher} framewise {}\ncode=$?\n\
             [ $code != 75 ] || scontrol requeue $SLURM_JOB_ID\nexit $code\n",
            Self::command("r.h5")
        );
        fs::write(self.folder.path("job.sh"), text).unwrap();
    }

    fn result(&self) -> PathBuf {
        self.folder.path("r.h5")
    }

    /// Waits until the first commit.
    #[track_caller]
    fn begins(&self) {
        let begun = Instant::now();
        while !self.result().exists() || completed(&self.result()) == 0 {
            let log = fs::read_to_string(self.folder.path("job.log"));
            assert!(begun.elapsed().as_secs() < 40, "nothing comes: {log:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    #[track_caller]
    fn ends_whole(&self, scenario: Scenario, came: &str) {
        scenario.ends_whole(&self.result(), &self.folder.path("whole.h5"), came);
        fs::remove_file(self.result()).unwrap();
    }
}

#[test]
#[ignore = "wants a Docker engine: scripts/test-cluster"]
fn three_nodes_under_slurm_and_under_mpirun() {
    let work = Work::of(150);
    let nodes = Containers::up(&work.folder.path(""));
    for (name, launcher) in [
        ("sbatch, srun", "srun --mpi=pmix"),
        ("sbatch, mpirun", "mpirun"),
    ] {
        let scenario = Scenario::begin(name, "three nodes, nothing is done to it");
        work.script(launcher);
        let job = nodes.submit("-N 3 -n 3", "job.sh");
        nodes.complete(job);
        work.ends_whole(scenario, "0");
    }
    let scenario = Scenario::begin("mpirun, ssh", "three nodes, nothing is done to it");
    nodes.command(&mpirun("3")).expect(0);
    work.ends_whole(scenario, "0");
}

/// `mpirun` outside of any job, by ssh; so many nodes, from the first on.
fn mpirun(ranks: &str) -> String {
    let n = ranks.parse().unwrap();
    let hosts = NODES[..n].join(",");
    format!("mpirun --host {hosts} framewise {}", Work::command("r.h5"))
}

/// The node on which the batch script and rank 0 run is lost: SLURM notices, requeues the job, and it goes on with two nodes.
#[track_caller]
fn lost_under_slurm(name: &'static str, done: &'static str, lose: Lose) {
    let work = Work::of(900);
    let nodes = Containers::up(&work.folder.path(""));
    let scenario = Scenario::begin(name, done);
    work.script("srun --mpi=pmix --kill-on-bad-exit=1");
    let job = nodes.submit("-N 2-3 --ntasks-per-node=1", "job.sh");
    work.begins();
    let hurt = Instant::now();
    lose(&nodes, "node1");
    nodes.rest(&["node2", "node3"], SLURM_ENDS);
    let ended = hurt.elapsed().as_secs_f64();
    // Still there where the link is cut; else the node is gone.
    let orphan = nodes.works("node1");
    assert_eq!(orphan, name.ends_with("cut"), "processes of a lost node");
    nodes.complete(job);
    let (_, _, restarts) = nodes.job(job);
    assert_eq!(restarts, "1");
    if orphan {
        let written = fs::read(work.result()).unwrap();
        nodes.mend("node1");
        nodes.rest(&["node1"], ORPHAN_ENDS);
        assert!(fs::read(work.result()).unwrap() == written, "it wrote");
    }
    work.ends_whole(scenario, &format!("all ended after {ended:.0} s, requeued"));
}

#[test]
#[ignore = "wants a Docker engine: scripts/test-cluster"]
fn a_node_is_shut_down_under_slurm() {
    lost_under_slurm(
        "srun, stop",
        "docker stop of rank 0's node",
        Containers::stop,
    );
}

#[test]
#[ignore = "wants a Docker engine: scripts/test-cluster"]
fn a_node_dies_under_slurm() {
    lost_under_slurm(
        "srun, kill",
        "docker kill of rank 0's node",
        Containers::kill,
    );
}

#[test]
#[ignore = "wants a Docker engine: scripts/test-cluster"]
fn a_link_is_cut_under_slurm_and_the_orphan_writes_nothing() {
    lost_under_slurm(
        "srun, cut",
        "link of rank 0's node cut, mended after the end",
        Containers::cut,
    );
}

/// A way to lose a node.
type Lose = fn(&Containers, &str);

/// The node of the last rank is lost to `mpirun`: it ends everywhere, and the same command goes on with the two others.
#[test]
#[ignore = "wants a Docker engine: scripts/test-cluster"]
fn nodes_are_lost_under_mpirun() {
    let work = Work::of(400);
    let nodes = Containers::up(&work.folder.path(""));
    let ways: [(&str, &str, Lose); 3] = [
        ("mpirun, cut", "link of a node cut", Containers::cut),
        ("mpirun, stop", "docker stop of a node", Containers::stop),
        ("mpirun, kill", "docker kill of a node", Containers::kill),
    ];
    for (i, (name, done, lose)) in ways.into_iter().enumerate() {
        let scenario = Scenario::begin(name, done);
        let run = nodes.command(&mpirun("3")).start();
        work.begins();
        let hurt = Instant::now();
        lose(&nodes, "node3");
        let finished = run.finish();
        assert!(finished.code != Some(0), "not lost: {finished}");
        // The cut-off node's processes end by themselves too.
        nodes.rest(&NODES, MPIRUN_ENDS);
        let ended = hurt.elapsed();
        assert!(ended < MPIRUN_ENDS, "{ended:?}: {finished}");
        nodes.command(&mpirun("2")).expect(0);
        let came = format!("all ended after {:.0} s, run again", ended.as_secs_f64());
        work.ends_whole(scenario, &came);
        if i + 1 < ways.len() {
            nodes.restore("node3");
        }
    }
}

#[test]
#[ignore = "wants a Docker engine: scripts/test-cluster"]
fn the_image_with_mpich_makes_the_same_bytes() {
    needs("framewise:mpich", "scripts/docker-build --mpich");
    let work = Work::of(60);
    let folder = work.folder.path("");
    share(&folder);
    let scenario = Scenario::begin("MPICH", "its image, three ranks in one container");
    let run = format!(
        "docker run --rm -v {}:/data framewise:mpich mpiexec.hydra -n 3 framewise {}",
        folder.display(),
        Work::command("r.h5")
    );
    Launch::shell(&run, &folder).expect(0).says("on 3 ranks");
    work.ends_whole(scenario, "0");
}
