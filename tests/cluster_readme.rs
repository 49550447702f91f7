//! The chapter "On a cluster" of the README, line by line, in a real SLURM. `scripts/test-cluster` runs this.

mod support;

use support::cluster::Cluster;
use support::folder::Folder;
use support::results::statuses;
use support::scenario::Scenario;

#[test]
#[ignore = "wants SLURM: scripts/test-cluster"]
fn a_newcomer_follows_the_chapter() {
    let chapter = include_str!("../README.md")
        .split("## On a cluster\n")
        .nth(1)
        .unwrap();
    let block = chapter.split("```console\n").nth(1).unwrap();
    let block = block.split("```").next().unwrap().replace("\\\n", " ");
    let folder = Folder::new();
    folder.bring("argon.xyz");
    let cluster = Cluster::up(2, 1);
    let scenario = Scenario::begin("README", "the lines of the chapter \"On a cluster\"");
    let lines: Vec<_> = block
        .lines()
        .filter_map(|line| line.strip_prefix("$ "))
        .collect();
    assert!(
        lines.iter().any(|line| line.starts_with("sbatch")),
        "{lines:?}"
    );
    for line in lines {
        cluster.run(line, &folder.path("")).expect(0);
        if line.starts_with("sbatch") {
            // Who follows it by hand waits too.
            cluster.asks("while squeue -h | grep -q .; do sleep 0.2; done");
        }
    }
    assert_eq!(statuses(&folder.path("result.h5")), [0; 20]);
    assert!(folder.path("train.extxyz").exists());
    scenario.ends("each of them works");
}
