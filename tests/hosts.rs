//! Runs across several hosts, each with a name, an address and a link of its own, which fail in the middle of it. Hosts are network
//! namespaces (`scripts/hosts`). `scripts/test-cluster` runs these.

mod support;

use std::time::{Duration, Instant};

use support::hosts::Hosts;
use support::launch::{Finished, Running};
use support::results::completed;
use support::scenario::Scenario;
use support::work::Work;

/// On every host, a job whose node is lost has ended so long after it: 3 + 2 × 2 s of silence, and what ending it takes.
const ENDS_WITHIN: Duration = Duration::from_secs(25);

/// The job ends on all hosts in time; says after how long.
#[track_caller]
fn ends_everywhere(hosts: &Hosts, running: Running) -> (Finished, f64) {
    let begun = Instant::now();
    let finished = running.finish();
    loop {
        let left = hosts.processes();
        let took = begun.elapsed();
        if left.is_empty() {
            return (finished, took.as_secs_f64());
        }
        assert!(took < ENDS_WITHIN, "{left:?} after {took:?}: {finished}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Does `harm` to a host in the middle of a run on three; then the same command on `then` completes.
fn a_host_is_lost(scenario: Scenario, host: &str, harm: impl Fn(&Hosts, &str), then: &str) {
    let work = Work::lasting(20.0);
    let hosts = Hosts::up(3);
    let folder = work.folder.path("");
    let command = format!("{} -t 1", Work::command("r.h5"));
    let running = hosts.launch("h1:1,h2:1,h3:1", &command, &folder).start();
    work.wait_for(1);
    harm(&hosts, host);
    let (finished, took) = ends_everywhere(&hosts, running);
    assert!(!matches!(finished.code, Some(0..=3 | 75)), "{finished}");
    let held = completed(&work.result());
    assert!(
        held < completed(&work.whole()),
        "it was done before: {finished}"
    );
    hosts.mend(host);
    hosts.launch(then, &command, &folder).expect(0);
    let came = format!("over on every host after {took:.0} s, went on");
    scenario.ends_whole(&work.result(), &work.whole(), &came);
}

#[test]
#[ignore = "wants root and network namespaces: scripts/test-cluster"]
fn ranks_of_three_hosts_write_one_file() {
    let work = Work::lasting(6.0);
    let hosts = Hosts::up(3);
    let scenario = Scenario::begin(
        "three hosts",
        "mpiexec reaches them as by ssh; 1, 2 and 1 ranks",
    );
    let command = format!("{} -t 1", Work::command("r.h5"));
    let launch = hosts.launch("h1:1,h2:2,h3:1", &command, &work.folder.path(""));
    launch.expect(0).says("on 4 ranks");
    scenario.ends_whole(&work.result(), &work.whole(), "completed");
}

#[test]
#[ignore = "wants root and network namespaces: scripts/test-cluster"]
fn the_link_of_a_host_is_cut() {
    let scenario = Scenario::begin(
        "link cut",
        "of a host of three, under mpiexec; then again on all",
    );
    a_host_is_lost(scenario, "h3", Hosts::cut, "h1:1,h2:1,h3:1");
}

#[test]
#[ignore = "wants root and network namespaces: scripts/test-cluster"]
fn the_link_of_the_first_host_is_cut() {
    let scenario = Scenario::begin(
        "link cut, first host",
        "that of mpiexec and rank 0; then again on all",
    );
    a_host_is_lost(scenario, "h1", Hosts::cut, "h1:1,h2:1,h3:1");
}

#[test]
#[ignore = "wants root and network namespaces: scripts/test-cluster"]
fn a_host_is_killed() {
    let scenario = Scenario::begin(
        "host killed",
        "a host of three, under mpiexec; then again on two",
    );
    a_host_is_lost(scenario, "h2", Hosts::kill, "h1:1,h3:1");
}
