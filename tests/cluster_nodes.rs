//! Nodes of a real SLURM that are lost in the middle of a job. `scripts/test-cluster` runs these.

mod support;

use std::time::{Duration, Instant};

use support::cluster::Cluster;
use support::launch::program;
use support::results::{bytes, completed};
use support::scenario::Scenario;
use support::work::Work;

/// An orphan has noticed that it is one so long after the job that took over has begun.
const ORPHANS_END_WITHIN: Duration = Duration::from_secs(60);

/// Writes a script beside the frames and submits it.
#[track_caller]
fn submit(cluster: &Cluster, work: &Work, options: &str) -> u32 {
    let command = Work::command("r.h5");
    let folder = work.folder.path("");
    let line = format!("framewise job {options} -o job.sh {command}");
    cluster.shell(&line, &folder).expect(0);
    cluster.submit("", "job.sh", &folder)
}

#[test]
#[ignore = "wants SLURM: scripts/test-cluster"]
fn all_nodes_of_a_job_are_lost_and_its_processes_live_on() {
    let work = Work::lasting(60.0);
    let cluster = Cluster::up(4, 1);
    let scenario = Scenario::begin(
        "nodes lost, orphans",
        "slurmd of both nodes killed, the ranks live on; requeued on two others",
    );
    let job = submit(&cluster, &work, "--nodes 2 --cores-per-node 1");
    work.wait_for(1);
    let nodes = cluster.asks(&format!(
        "scontrol show hostnames $(squeue -h -j {job} -o %N)"
    ));
    let orphans = cluster.processes(job, &program());
    assert_eq!(orphans.len(), 2);
    for node in nodes.lines() {
        cluster.lose(node);
    }
    cluster.wait_for_restart(job, 1);
    let begun = Instant::now();
    assert_eq!(
        cluster.wait_for(job, "COMPLETED,FAILED,NODE_FAIL"),
        "COMPLETED",
        "{}",
        work.log(job)
    );
    let held = bytes(&work.result());
    while orphans
        .iter()
        .any(|pid| cluster.processes(job, &program()).contains(pid))
    {
        let so_far = begun.elapsed();
        assert!(
            so_far < ORPHANS_END_WITHIN,
            "orphans still live after {so_far:?}"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(held == bytes(&work.result()), "an orphan has written");
    scenario.ends_whole(
        &work.result(),
        &work.whole(),
        "taken over; orphans ended by themselves",
    );
}

#[test]
#[ignore = "wants SLURM: scripts/test-cluster"]
fn a_node_is_lost_with_all_that_runs_on_it() {
    let work = Work::lasting(30.0);
    let cluster = Cluster::up(3, 1);
    let scenario = Scenario::begin(
        "node lost",
        "slurmd and all processes of a node of two killed; requeued on another",
    );
    let job = submit(&cluster, &work, "--nodes 2 --cores-per-node 1");
    work.wait_for(1);
    cluster.lose("n2");
    cluster.kill_on(job, "n2");
    cluster.wait_for_restart(job, 1);
    assert_eq!(
        cluster.wait_for(job, "COMPLETED,FAILED,NODE_FAIL"),
        "COMPLETED",
        "{}",
        work.log(job)
    );
    let came = format!("requeued {} x", cluster.field(job, "Restarts"));
    assert_eq!(completed(&work.result()), completed(&work.whole()));
    scenario.ends_whole(&work.result(), &work.whole(), &came);
}
