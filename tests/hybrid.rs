//! Ranks x threads: how many workers a run takes, and where they compute.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use rustix::thread::sched_getaffinity;
use support::folder::{Folder, perturbed};
use support::launch::{Launch, program, send_if_there};
use support::results::{assert_same, metrics};

/// Cores that this test may use.
fn cores() -> usize {
    sched_getaffinity(None).map_or(1, |set| set.count() as usize)
}

/// `Cpus_allowed_list` of a thread, and its name, of all threads of a process (proc(5)).
fn threads(pid: Pid) -> Vec<(String, String)> {
    let folder = format!("/proc/{}/task", pid.as_raw_nonzero());
    let status = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("status")).ok();
    let texts = fs::read_dir(folder)
        .unwrap()
        .filter_map(|e| status(e.unwrap()));
    let field = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    };
    texts
        .map(|text| (field(&text, "Name:"), field(&text, "Cpus_allowed_list:")))
        .collect()
}

/// The cores of the workers of all ranks of a run that computes until it is stopped, once they are as they should be or
/// do not become so.
fn places(
    folder: &Folder,
    ranks: usize,
    flags: &str,
    expected: fn(&[String]) -> bool,
) -> Vec<String> {
    let job = "run in.h5 -o r.h5 -c lennard-jones -p epsilon=1 -p sigma=1 -p cutoff=150 -v --overwrite --progress none";
    let line = format!("{job} --checkpoint-interval 100ms {flags}");
    let launch = match ranks {
        1 => folder.alone(&line),
        _ => folder.on(ranks, &line),
    };
    let mut running = launch.start();
    // Of the worker that has brought the first frame; another rank's may come later.
    running.wait_for("committed");
    let mut found = Vec::new();
    for _ in 0..1000 {
        let all: Vec<_> = running.ranks().into_iter().flat_map(threads).collect();
        let workers = all
            .into_iter()
            .filter(|(name, _)| name.starts_with("worker-"));
        found = workers.map(|(_, list)| list).collect();
        if found.len() == cores() && expected(&found) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    // The launcher would answer its own signal with exit code 1.
    for rank in running.ranks() {
        send_if_there(rank, Signal::TERM);
    }
    running.finish().expect(75);
    found
}

/// Many frames, each of which takes a while.
fn long_job() -> Folder {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon.xyz", 4000, 32));
    folder
}

/// Each on one core, and no two on the same.
fn apart(places: &[String]) -> bool {
    let distinct: BTreeSet<_> = places.iter().collect();
    let single = |list: &String| list.parse::<usize>().is_ok();
    distinct.len() == places.len() && places.iter().all(single)
}

#[test]
fn workers_of_all_ranks_keep_to_cores_of_their_own() {
    let folder = long_job();
    for ranks in [1, 2.min(cores())] {
        let found = places(&folder, ranks, "", apart);
        assert!(
            found.len() == cores() && apart(&found),
            "{ranks} ranks: {found:?}"
        );
    }
    let free = places(&folder, 1, "--pin off", |_| true);
    let distinct: BTreeSet<_> = free.iter().collect();
    assert_eq!((free.len(), distinct.len()), (cores(), 1), "{free:?}");
    assert!(cores() == 1 || !apart(&free), "{free:?}");
}

#[test]
fn a_run_takes_no_more_workers_than_the_cores_it_is_given() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon.xyz", 40, 8));
    let workers = |launch: Launch| {
        let finished = launch.expect(0);
        let summary = metrics(&folder.path("m.json"));
        let ranks = summary["ranks"].as_array().unwrap().clone();
        let threads = ranks.iter().map(|rank| rank["threads"].as_u64().unwrap());
        (threads.collect::<Vec<_>>(), finished.stderr)
    };
    let job = "run in.h5 -o r.h5 -c null --metrics m.json --overwrite";
    let line = format!("taskset -c 0 {} {job}", program().display());
    assert_eq!(workers(Launch::shell(&line, &folder.path("."))).0, [1]);

    let greedy = format!("taskset -c 0 {} {job} --threads 5", program().display());
    let (threads, said) = workers(Launch::shell(&greedy, &folder.path(".")));
    assert_eq!(threads, [1]);
    assert!(
        said.contains("--threads 5, but a rank has 1 core here: it takes 1 worker"),
        "{said}"
    );
    fs::copy(folder.path("r.h5"), folder.path("one.h5")).unwrap();

    let over = format!("{job} --threads 5 --oversubscribe");
    let (threads, said) = workers(folder.alone(&over));
    assert_eq!(threads, [5]);
    assert!(!said.contains("--threads 5"), "{said}");
    assert_same(&folder.path("r.h5"), &folder.path("one.h5"));

    // As many ranks and one more than there are cores.
    let ranks = cores() + 1;
    let (threads, said) = workers(folder.on(ranks, job));
    assert_eq!(threads, vec![1; ranks]);
    let crowd = format!("{ranks} ranks share {} core", cores());
    assert!(said.contains(&crowd), "{said}");
    assert_same(&folder.path("r.h5"), &folder.path("one.h5"));
}

#[test]
fn threads_of_engines_that_would_oversubscribe_are_said() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon.xyz", 4, 8));
    let job = "run in.h5 -o r.h5 -c null --overwrite";
    let launch = folder.alone(job).variable("OMP_NUM_THREADS", "64");
    launch.expect(0).says("OMP_NUM_THREADS=64 with ");
    let quiet = folder.alone(job).variable("OMP_NUM_THREADS", "1").expect(0);
    assert!(!quiet.stderr.contains("OMP_NUM_THREADS"), "{quiet}");
    let doctor = folder
        .alone("doctor")
        .variable("OMP_NUM_THREADS", "64")
        .run();
    assert!(doctor.stdout.contains("OMP_NUM_THREADS=64"), "{doctor}");
    assert!(doctor.stdout.contains("usable by this process"), "{doctor}");
}
