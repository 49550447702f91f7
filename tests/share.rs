//! Several jobs that fill one result at once: `run --share`.

mod support;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use framewise::domain::frame::{Frame, FrameBlock};
use rustix::process::Signal;
use serde_json::{Value, json};
use support::folder::{Folder, perturbed};
use support::launch::{Finished, Launch, send};
use support::results::{assert_same, completed, metrics, statuses};

/// Frames that take some milliseconds each.
const LONG: &str = "--calculator lennard-jones --param epsilon=0.0104 --param sigma=3.4 --param cutoff=110 \
    --threads 1 --checkpoint-interval 0.1";

fn number(folder: &Folder, file: &str, name: &str) -> u64 {
    metrics(&folder.path(file))[name].as_u64().unwrap()
}

fn history(folder: &Folder) -> Vec<Value> {
    let status = folder.alone("status r.h5 --json").expect(0);
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    status["runs"].as_array().unwrap().clone()
}

/// The same frames, every tenth with three atoms for one.
fn ragged(equal: &FrameBlock) -> FrameBlock {
    let mut frames = FrameBlock::default();
    for i in 0..equal.len() {
        let frame = equal.frame(i);
        let atoms = if i % 10 == 7 { 3 } else { 1 };
        let [x, y, z] = frame.positions[0];
        let positions: Vec<_> = (0..atoms).map(|k| [x + 2.0 * f64::from(k), y, z]).collect();
        let more = Frame {
            species: &vec![frame.species[0]; positions.len()],
            positions: &positions,
            cell: frame.cell,
        };
        frames.push(i as u64, more);
    }
    frames
}

/// An input, and what one job makes of it.
fn prepared(frames: usize) -> Folder {
    prepared_of(&perturbed("argon_small_cell.xyz", frames, 4))
}

fn prepared_of(frames: &FrameBlock) -> Folder {
    let folder = Folder::new();
    folder.import_frames("in", frames);
    let whole = format!("run in.h5 -o whole.h5 --metrics whole.json {LONG}");
    folder.on(2, &whole).expect(0);
    folder
}

fn job(folder: &Folder, ranks: usize, more: &str) -> Launch {
    folder.on(
        ranks,
        &format!("run in.h5 -o r.h5 --share -v {LONG} {more}"),
    )
}

#[track_caller]
fn nothing_is_left_over(folder: &Folder) {
    let names = folder.names();
    let beside: Vec<_> = names.iter().filter(|n| n.starts_with("r.h5")).collect();
    assert_eq!(beside, ["r.h5"]);
}

#[test]
fn three_jobs_compute_every_frame_once_and_leave_the_bytes_of_one() {
    let folder = prepared_of(&ragged(&perturbed("argon_small_cell.xyz", 500, 4)));
    // All of them find no file: one creates it, the others wait.
    let jobs: Vec<_> = (1..=3)
        .map(|n| job(&folder, n, &format!("--metrics m{n}.json")).start())
        .collect();
    for job in jobs {
        job.finish().expect(0);
    }
    assert_same(&folder.path("r.h5"), &folder.path("whole.h5"));
    nothing_is_left_over(&folder);
    folder.alone("verify r.h5").expect(0);
    let sum = |name: &str| {
        (1..=3)
            .map(|n| number(&folder, &format!("m{n}.json"), name))
            .sum::<u64>()
    };
    assert_eq!((sum("frames"), sum("planned")), (500, 500));
    assert_eq!(
        sum("bytes_written"),
        number(&folder, "whole.json", "bytes_written")
    );
    for n in 1..=3 {
        assert!(
            number(&folder, &format!("m{n}.json"), "frames") > 0,
            "job {n} had no part in it"
        );
    }
    let runs = history(&folder);
    let mut numbers: Vec<_> = runs.iter().map(|r| r["number"].as_u64().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3], "every job has a line of its own");
    assert!(runs.iter().all(|r| r["state"] == "done"), "{runs:?}");
    // One more finds nothing to do and touches nothing.
    let before = fs::read(folder.path("r.h5")).unwrap();
    let again = job(&folder, 2, "").expect(0);
    assert!(again.stdout.contains("0 frames computed"), "{again}");
    assert!(fs::read(folder.path("r.h5")).unwrap() == before);
    nothing_is_left_over(&folder);
}

#[test]
fn what_a_killed_job_had_in_hand_is_computed_by_the_others() {
    let folder = prepared(500);
    let mut victim = job(&folder, 3, "").start();
    victim.wait_for(" committed commit=2 ");
    let others = [job(&folder, 1, "").start(), job(&folder, 2, "").start()];
    for rank in victim.ranks() {
        send(rank, Signal::KILL);
    }
    let died = victim.finish();
    assert!(!matches!(died.code, Some(0 | 3 | 75)), "{died}");
    assert!(completed(&folder.path("r.h5")) < 500, "killed too late");
    let others = others.map(|other| other.finish().expect(0));
    let taken = |f: &Finished| f.stderr.contains("is dead; its ");
    assert!(others.iter().any(taken), "{}{}", others[0], others[1]);
    assert_same(&folder.path("r.h5"), &folder.path("whole.h5"));
    nothing_is_left_over(&folder);
}

#[test]
fn a_job_that_is_told_to_stop_gives_its_frames_back() {
    let folder = prepared(400);
    let mut first = job(&folder, 2, "").start();
    first.wait_for(" committed commit=1 ");
    let second = job(&folder, 1, "").start();
    first.signal(Signal::USR1);
    first.finish().stopped_through_its_launcher();
    second.finish().expect(0);
    assert_same(&folder.path("r.h5"), &folder.path("whole.h5"));
    nothing_is_left_over(&folder);
}

/// A node hangs for a while, a job is suspended: it is alive, but nobody can wait for it.
#[test]
fn a_job_that_was_stopped_for_too_long_writes_nothing_wrong_when_it_wakes() {
    let folder = prepared(400);
    let mut sleeper = job(&folder, 2, "--share-timeout 500ms").start();
    sleeper.wait_for(" committed commit=2 ");
    sleeper.wait_for(" lease frames=");
    let ranks = sleeper.ranks();
    assert_eq!(ranks.len(), 2);
    for rank in &ranks {
        send(*rank, Signal::STOP);
    }
    let asleep = completed(&folder.path("r.h5"));
    assert!(asleep < 400, "too late");
    let other = job(&folder, 3, "--share-timeout 500ms").expect(0);
    other.says("has shown no life for");
    assert_same(&folder.path("r.h5"), &folder.path("whole.h5"));
    for rank in &ranks {
        send(*rank, Signal::CONT);
    }
    let woken = sleeper.finish();
    match woken.code {
        // While it computed: its results are of no use.
        Some(0) => drop(woken.says("have taken its frames")),
        // In the middle of a commit.
        Some(1) => drop(woken.error("writes nothing more")),
        _ => panic!("{woken}"),
    }
    assert_same(&folder.path("r.h5"), &folder.path("whole.h5"));
    folder.alone("verify r.h5").expect(0);
    nothing_is_left_over(&folder);
}

#[test]
fn jobs_that_share_and_jobs_that_do_not_keep_out_of_each_others_way() {
    let folder = prepared(400);
    let alone = format!("run in.h5 -o r.h5 -v {LONG}");
    for (first, second, says) in [
        (
            job(&folder, 2, ""),
            folder.on(2, &alone),
            "is being filled by pid ",
        ),
        (
            folder.on(2, &alone),
            job(&folder, 2, ""),
            "is being written by pid ",
        ),
    ] {
        let mut first = first.start();
        first.wait_for(" committed commit=1 ");
        let ranks = first.ranks();
        // Between two commits, or in one: but not over.
        for rank in &ranks {
            send(*rank, Signal::STOP);
        }
        let owner = ranks[0].as_raw_nonzero();
        let refused = second.run().expect(1);
        let errors: Vec<_> = refused
            .stderr
            .lines()
            .filter(|l| l.starts_with("error: "))
            .collect();
        assert_eq!(errors.len(), 1, "{refused}");
        // One that was stopped with the lock in its hand is met there.
        let met = errors[0].contains(says) || errors[0].contains("is being written by pid ");
        assert!(
            met && errors[0].contains(&format!("pid {owner} on ")),
            "{refused}"
        );
        for rank in &ranks {
            send(*rank, Signal::CONT);
        }
        first.finish().expect(0);
        assert_same(&folder.path("r.h5"), &folder.path("whole.h5"));
        nothing_is_left_over(&folder);
        fs::remove_file(folder.path("r.h5")).unwrap();
    }
    for wrong in [
        "--share --overwrite",
        "--share --retry failed",
        "--share-timeout 5s",
    ] {
        folder
            .alone(&format!("{alone} {wrong}"))
            .expect(2)
            .error("--share");
    }
    assert!(!folder.path("r.h5").exists());
}

/// The lease of a job on a host that cannot be seen from here.
fn lease(folder: &Folder, host: &str) -> std::path::PathBuf {
    fs::create_dir(folder.path("r.h5.shared")).unwrap();
    let file = folder.path("r.h5.shared/0123456789abcdef.json");
    let owner = json!({"host": host, "pid": 4242, "started": 5, "job": "", "epoch": 1, "token": "x", "shared": true});
    let lease = json!({"owner": owner, "run": 7, "workers": 3, "beat": 0.05, "frames": "0:35"});
    fs::write(&file, lease.to_string()).unwrap();
    file
}

#[test]
fn a_lease_on_another_host_runs_out_when_nobody_renews_it() {
    let folder = prepared(60);
    let file = lease(&folder, "elsewhere");
    let patient = job(&folder, 2, "--share-timeout 6s").expect(0);
    let patient =
        patient.says("waiting for 35 frames that other jobs compute (pid 4242 on elsewhere)");
    patient.says("pid 4242 on elsewhere has shown no life");
    assert!(!file.exists());
    assert_same(&folder.path("r.h5"), &folder.path("whole.h5"));
    nothing_is_left_over(&folder);
    assert_eq!(
        history(&folder)[0]["number"],
        8,
        "number 7 is another job's"
    );
}

/// A check that fails ends the other thread too.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_lease_that_is_renewed_on_another_host_is_respected() {
    let folder = prepared(60);
    let file = lease(&folder, "elsewhere");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _ends = Ends(&over);
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let touched = fs::File::options().append(true).open(&file);
                touched.unwrap().set_modified(SystemTime::now()).unwrap();
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let refused = folder.on(2, &format!("run in.h5 -o r.h5 {LONG}")).run();
        let mut waiting = job(&folder, 2, "--share-timeout 2s").start();
        waiting.wait_for("waiting for 35 frames");
        std::thread::sleep(Duration::from_millis(3500));
        let kept = statuses(&folder.path("r.h5"));
        waiting.signal(Signal::USR1);
        let stopped = waiting.finish();
        refused
            .expect(1)
            .error("is being filled by pid 4242 on elsewhere with --share");
        assert!(kept[..35].iter().all(|s| *s == 1) && kept[35..].iter().all(|s| *s == 0));
        stopped.stopped_through_its_launcher();
    });
    assert!(file.exists());
}

/// The exit code tells about the selection, whoever computed the frames.
#[test]
fn frames_that_fail_in_one_job_count_in_all() {
    let folder = Folder::new();
    let mut frames = perturbed("argon_small_cell.xyz", 200, 4);
    frames.positions[4 * 11] = [f64::NAN; 3];
    folder.import_frames("in", &frames);
    let jobs = [job(&folder, 1, "").start(), job(&folder, 2, "").start()];
    for job in jobs {
        job.finish().expect(3);
    }
    assert_eq!(completed(&folder.path("r.h5")), 199);
    nothing_is_left_over(&folder);
}

/// Sharing once took every lease for one of suspects: a commit for each frame, and one worker at work.
#[test]
fn a_shared_result_is_committed_as_seldom_as_another() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_small_cell.xyz", 400, 4));
    let job = "run in.h5 -o r.h5 --share --metrics m.json -c null -t 2 --oversubscribe";
    folder.on(2, job).expect(0);
    let commits = number(&folder, "m.json", "commits");
    assert!(commits < 40, "{commits} commits");
    assert_eq!(completed(&folder.path("r.h5")), 400);
}

/// A frame that takes the process down once took down every job of an array, one after the other.
#[cfg(feature = "xtb")]
#[test]
fn a_foreign_engine_runs_in_a_process_of_its_own_where_a_result_is_shared() {
    let folder = Folder::new();
    folder.bring("water6.xyz");
    folder.import("water6");
    let job = "run water6.h5 -o r.h5 --share -c xtb -t 1 --checkpoint-interval 0.1";
    let mut run = folder.alone(job).start();
    let engine = loop {
        let engines = run.engines();
        if let Some(engine) = engines.first() {
            break *engine;
        }
        assert!(run.goes_on(), "over without an engine");
    };
    let _ = rustix::process::kill_process(engine, Signal::KILL);
    let ended = run.finish();
    assert!(matches!(ended.code, Some(0 | 3)), "{ended}");
}
