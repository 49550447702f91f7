//! Jobs of a real SLURM that are ended before their end: by the walltime, by a kill, by others, by their user. The scripts are those
//! that `framewise job` writes, as they are. `scripts/test-cluster` runs these.

mod support;

use std::path::Path;

use support::cluster::Cluster;
use support::launch::program;
use support::results::completed;
use support::scenario::Scenario;
use support::work::Work;

/// Where a job is no more.
const OVER: &str = "COMPLETED,FAILED,CANCELLED,TIMEOUT,NODE_FAIL";

/// Writes a script beside the frames and submits it.
#[track_caller]
fn submit(cluster: &Cluster, work: &Work, options: &str, more: &str) -> u32 {
    let command = Work::command("r.h5");
    let line = format!("framewise job {options} -o job.sh --overwrite {command} {more}");
    let folder = work.folder.path("");
    cluster.shell(&line, &folder).expect(0);
    cluster.submit("", "job.sh", &folder)
}

/// The job comes to its end in this state, and has said these lines.
#[track_caller]
fn ends(cluster: &Cluster, work: &Work, job: u32, state: &str, lines: &[&str]) {
    let ended = cluster.wait_for(job, OVER);
    // The script may have a last word.
    cluster.asks(&format!(
        "while squeue -h -t COMPLETING -o %A | grep -qx {job}; do sleep 0.2; done"
    ));
    let log = work.log(job);
    assert_eq!(ended, state, "{log}");
    for line in lines {
        assert!(log.contains(line), "no {line:?} in:\n{log}");
    }
}

const AGAIN: [&str; 4] = [
    "attempt 1 of 50",
    "back into the queue",
    "attempt 2 of 50",
    "every selected frame is completed",
];

#[test]
#[ignore = "wants SLURM: scripts/test-cluster"]
fn a_job_longer_than_its_limit_goes_back_into_the_queue_and_on_elsewhere() {
    let work = Work::lasting(40.0);
    let cluster = Cluster::up(3, 1);
    let scenario = Scenario::begin(
        "walltime",
        "limit of 1 minute, told to stop 50 s before; then 2 nodes, not 1",
    );
    let job = submit(&cluster, &work, "--walltime 00:01:00", "--stop-before 50s");
    work.wait_for(1);
    cluster.wait_for(job, "PENDING");
    cluster.widen(job, 2);
    ends(&cluster, &work, job, "COMPLETED", &AGAIN);
    let came = format!("75, requeued {} x", cluster.field(job, "Restarts"));
    scenario.ends_whole(&work.result(), &work.whole(), &came);
}

#[test]
#[ignore = "wants SLURM: scripts/test-cluster"]
fn the_last_second_of_the_limit_is_not_needed() {
    // Nearly twice the limit of one core, which has others beside it.
    let work = Work::lasting(90.0);
    let cluster = Cluster::up(1, 1);
    let scenario = Scenario::begin(
        "walltime, whole",
        "limit of 1 minute, all settings as they are",
    );
    let job = submit(&cluster, &work, "--walltime 00:01:00", "-v");
    ends(&cluster, &work, job, "COMPLETED", &AGAIN);
    let came = format!("75, requeued {} x", cluster.field(job, "Restarts"));
    scenario.ends_whole(&work.result(), &work.whole(), &came);
}

#[test]
#[ignore = "wants SLURM: scripts/test-cluster"]
fn a_chain_goes_on_after_a_kill_without_warning() {
    let work = Work::lasting(25.0);
    let cluster = Cluster::up(2, 1);
    let scenario = Scenario::begin(
        "killed by SLURM",
        "the script and all ranks killed; the next of its chain on 2 nodes, not 1",
    );
    let job = submit(&cluster, &work, "--again chain", "");
    work.wait_for(1);
    let next = job + 1;
    assert_eq!(
        cluster.field(next, "Dependency").split('(').next(),
        Some(&*format!("afternotok:{job}"))
    );
    // The script and all that it has started, as the kernel does when a node runs out of memory.
    cluster.kill(job, Path::new("/bin/bash"));
    cluster.kill(job, &program());
    assert_eq!(cluster.wait_for(job, OVER), "FAILED");
    ends(
        &cluster,
        &work,
        next,
        "COMPLETED",
        &["attempt 2 of 50", "every selected frame"],
    );
    scenario.ends_whole(&work.result(), &work.whole(), "the next job went on");
}

#[test]
#[ignore = "wants SLURM: scripts/test-cluster"]
fn a_chain_of_short_limits_comes_to_its_end() {
    let work = Work::lasting(30.0);
    let cluster = Cluster::up(2, 1);
    let scenario = Scenario::begin(
        "chain",
        "limit of 1 minute, told to stop 50 s before; a job after the other",
    );
    let mut job = submit(
        &cluster,
        &work,
        "--again chain --walltime 00:01:00",
        "--stop-before 50s",
    );
    let mut jobs = 1;
    while cluster.wait_for(job, OVER) != "COMPLETED" {
        job += 1;
        jobs += 1;
    }
    ends(&cluster, &work, job, "COMPLETED", &["every selected frame"]);
    // The one after it was not needed.
    assert_eq!(
        cluster.asks("while squeue -h -t PENDING | grep -q .; do sleep 0.2; done; squeue -h"),
        ""
    );
    assert!(jobs > 1, "{}", work.log(job));
    scenario.ends_whole(&work.result(), &work.whole(), &format!("{jobs} jobs"));
}

#[test]
#[ignore = "wants SLURM: scripts/test-cluster"]
fn a_preempted_job_comes_back() {
    let work = Work::lasting(30.0);
    let cluster = Cluster::up(2, 1);
    let scenario = Scenario::begin(
        "preempted",
        "a job of partition urgent takes its node for 3 s",
    );
    let job = submit(&cluster, &work, "--nodes 2 --cores-per-node 1", "");
    work.wait_for(1);
    let urgent = "srun --mpi=none --partition=urgent --nodes=2 --ntasks=2 sleep 3";
    cluster.shell(urgent, &work.folder.path("")).expect(0);
    ends(
        &cluster,
        &work,
        job,
        "COMPLETED",
        &["attempt 2 of 50", "every selected frame"],
    );
    let came = format!("requeued {} x", cluster.field(job, "Restarts"));
    scenario.ends_whole(&work.result(), &work.whole(), &came);
}

#[test]
#[ignore = "wants SLURM: scripts/test-cluster"]
fn a_cancelled_job_stays_cancelled() {
    let work = Work::lasting(25.0);
    let cluster = Cluster::up(2, 1);
    let scenario = Scenario::begin(
        "cancelled",
        "scancel, of a job and of a chain; then submitted by hand, 2 nodes, not 1",
    );
    let job = submit(&cluster, &work, "", "");
    work.wait_for(1);
    cluster.asks(&format!("scancel {job}"));
    ends(
        &cluster,
        &work,
        job,
        "CANCELLED",
        &["attempt 1 of 50", "exit code 75"],
    );
    let held = completed(&work.result());
    assert!(held > 0);
    let chain = submit(&cluster, &work, "--again chain", "");
    work.wait_for(held + 1);
    cluster.asks(&format!("scancel {chain}"));
    ends(
        &cluster,
        &work,
        chain + 1,
        "COMPLETED",
        &["was cancelled; nothing is done"],
    );
    let held = completed(&work.result());
    assert!(
        held < completed(&work.whole()),
        "it was done before it was cancelled"
    );
    assert_eq!(cluster.asks("squeue -h"), "");
    let last = cluster.submit("--nodes=2", "job.sh", &work.folder.path(""));
    ends(
        &cluster,
        &work,
        last,
        "COMPLETED",
        &["every selected frame"],
    );
    scenario.ends_whole(
        &work.result(),
        &work.whole(),
        "not requeued; went on when told to",
    );
}

#[test]
#[ignore = "wants SLURM: scripts/test-cluster"]
fn a_suspended_job_goes_on() {
    let work = Work::lasting(15.0);
    let cluster = Cluster::up(2, 1);
    let scenario = Scenario::begin("suspended", "scontrol suspend, 5 s, scontrol resume");
    let job = submit(&cluster, &work, "--nodes 2 --cores-per-node 1", "");
    work.wait_for(1);
    cluster.asks(&format!("scontrol suspend {job}"));
    cluster.wait_for(job, "SUSPENDED");
    let held = completed(&work.result());
    std::thread::sleep(std::time::Duration::from_secs(5));
    assert_eq!(
        completed(&work.result()),
        held,
        "it went on while it was suspended"
    );
    cluster.asks(&format!("scontrol resume {job}"));
    ends(
        &cluster,
        &work,
        job,
        "COMPLETED",
        &["attempt 1 of 50", "every selected frame"],
    );
    scenario.ends_whole(&work.result(), &work.whole(), "went on by itself");
}

#[test]
#[ignore = "wants SLURM: scripts/test-cluster"]
fn jobs_of_an_array_share_a_result() {
    let work = Work::lasting(40.0);
    let cluster = Cluster::up(3, 1);
    let scenario = Scenario::begin(
        "array",
        "3 jobs share a result; one of them is killed, one warned",
    );
    let job = submit(
        &cluster,
        &work,
        "--array 3 --name share",
        "--share-timeout 5s",
    );
    work.wait_for(1);
    let killed = cluster.asks(&format!("squeue -h -j {job}_1 -O JobId:20"));
    let killed: u32 = killed.trim().parse().unwrap();
    cluster.kill(killed, &program());
    // The last one, which has the number of the array as its own.
    cluster.asks(&format!("scancel --signal=USR1 {job}_3"));
    cluster.asks("while squeue -h | grep -q .; do sleep 0.5; done");
    let logs = [1, 2, 3].map(|task| {
        let name = format!("share-{job}_{task}.log");
        std::fs::read_to_string(work.folder.path(&name)).unwrap()
    });
    assert!(
        logs[0].contains("attempt 2 of 50")
            && !logs[1].contains("attempt 2")
            && logs[2].contains("attempt 2 of 50"),
        "{logs:#?}"
    );
    scenario.ends_whole(&work.result(), &work.whole(), "both came back");
}

#[test]
#[ignore = "wants SLURM: scripts/test-cluster"]
fn mpiexec_in_a_job_hands_the_warning_on() {
    let work = Work::lasting(25.0);
    let cluster = Cluster::up(2, 1);
    let scenario = Scenario::begin(
        "warned, mpiexec",
        "2 nodes under mpiexec; the warning comes to the script",
    );
    let job = submit(
        &cluster,
        &work,
        "--nodes 2 --cores-per-node 1 --launcher mpiexec",
        "",
    );
    work.wait_for(1);
    cluster.asks(&format!("scancel --batch --signal=USR1 {job}"));
    ends(&cluster, &work, job, "COMPLETED", &AGAIN);
    let came = format!("75, requeued {} x", cluster.field(job, "Restarts"));
    scenario.ends_whole(&work.result(), &work.whole(), &came);
}
