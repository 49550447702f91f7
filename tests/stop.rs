//! Stopping in good order: signals at any time, walltimes from anywhere, exit code 75 and nothing lost.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use support::folder::{Folder, perturbed};
use support::launch::{Launch, send};
use support::results::{assert_same, completed};

/// Frames of about 10 ms.
const SHORT: &str =
    "-c lennard-jones -p epsilon=0.0104 -p sigma=3.4 -p cutoff=110 -t 1 --checkpoint-interval 0.05";
/// Frames of 108 atoms that take ten seconds and more.
const LONG: &str =
    "-c lennard-jones -p epsilon=0.0104 -p sigma=3.4 -p cutoff=700 -t 1 --checkpoint-interval 0.05";

fn argon(frames: usize) -> Folder {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_small_cell.xyz", frames, 4));
    folder
}

/// A command of a batch system.
fn script(folder: &Folder, name: &str, text: &str) {
    let path = folder.path(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn every_signal_on_any_rank_stops_all_in_good_order() {
    let folder = argon(2400);
    folder
        .on(2, &format!("run in.h5 -o whole.h5 {SHORT}"))
        .expect(0);
    let signals = [
        Signal::TERM,
        Signal::INT,
        Signal::USR1,
        Signal::USR2,
        Signal::XCPU,
    ];
    let mut before = 0;
    for (i, signal) in signals.into_iter().enumerate() {
        let mut run = folder
            .on(3, &format!("run in.h5 -o r.h5 -v {SHORT}"))
            .start();
        run.wait_for(" committed commit=1 ");
        send(run.ranks()[i % 3], signal);
        let stopped = run.finish().expect(75);
        stopped.says("asked to stop: frames in hand have 20");
        let now = completed(&folder.path("r.h5"));
        assert!(
            now > before && now < 2400,
            "{signal:?}: {before}, then {now}"
        );
        before = now;
        assert!(!folder.path("r.h5.lock").exists());
    }
    folder
        .on(2, &format!("run in.h5 -o r.h5 {SHORT}"))
        .expect(0);
    assert_same(&folder.path("r.h5"), &folder.path("whole.h5"));
}

/// What batch systems say where, and how early the run stops then.
#[test]
fn the_walltime_is_learnt_from_slurm_pbs_and_lsf() {
    let folder = argon(3000);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let soon = now + 3600;
    for (variables, name, says) in [
        (format!("SLURM_JOB_ID=7 SLURM_JOB_END_TIME={soon}"), "", ""),
        (
            "SLURM_JOB_ID=7".into(),
            "squeue",
            "echo $(( $(date +%s) + 3600 ))",
        ),
        (
            "SLURM_JOB_ID=7".into(),
            "scontrol",
            "echo JobId=7 RunTime=00:10:00 TimeLimit=01:10:00",
        ),
        (
            "PBS_JOBID=7.server".into(),
            "qstat",
            "[ \"$*\" = '-f 7.server' ] && printf 'Job Id: 7\\n    resources_used.walltime = 00:10:00\\n    Resource_List.walltime = 01:10:00\\n'",
        ),
        ("PBS_JOBID=7.server PBS_WALLTIME=3600".into(), "", ""),
        (
            "LSB_JOBID=7 LSB_JOBINDEX=3".into(),
            "bjobs",
            "[ \"$*\" = '-WL 7[3]' ] && printf 'JOBID TIME_LEFT\\n7 1:0 L\\n'",
        ),
    ] {
        let _ = fs::remove_dir_all(folder.path("bin"));
        fs::create_dir(folder.path("bin")).unwrap();
        if !name.is_empty() {
            script(&folder, &format!("bin/{name}"), says);
        }
        let _ = fs::remove_file(folder.path("r.h5"));
        let line = format!(
            "PATH=$PWD/bin:$PATH {variables} framewise run in.h5 -o r.h5 --stop-before 3590s --frames 0:4 {SHORT}"
        );
        let finished = Launch::shell(&line, &folder.path(".")).run().expect(0);
        let told = ["1h", "59m 59s", "59m 58s", "59m 57s"];
        let told = told.map(|t| finished.stderr.contains(&format!("walltime ends in {t}")));
        assert!(told.contains(&true), "{variables}: {finished}");
    }
    // A command that hangs must not hang the job.
    script(&folder, "bin/squeue", "exec sleep 300");
    script(&folder, "bin/scontrol", "exit 1");
    let begun = Instant::now();
    let line = format!(
        "PATH=$PWD/bin:$PATH SLURM_JOB_ID=7 framewise run in.h5 -o r.h5 --frames 0:9 {SHORT}"
    );
    let finished = Launch::shell(&line, &folder.path(".")).run().expect(0);
    finished.says("squeue: no answer");
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn the_reserve_is_measured_and_said() {
    let folder = argon(6000);
    let run = folder.on(2, &format!("run in.h5 -o r.h5 --walltime 5s {SHORT}"));
    let begun = Instant::now();
    let stopped = run.run().expect(75);
    assert!(begun.elapsed() < Duration::from_secs(7), "{stopped}");
    stopped.says("before the walltime: longest frame ");
    let done = completed(&folder.path("r.h5"));
    assert!(done > 0 && done < 6000, "{done}");
}

/// A frame that does not end before the walltime is abandoned; it stays undefined.
#[test]
fn a_frame_longer_than_the_walltime_is_abandoned_in_time() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon.xyz", 4, 108));
    let begun = Instant::now();
    let command = format!("run in.h5 -o r.h5 --walltime 5s {LONG}");
    folder.on(2, &command).expect(75);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(7), "{took:?}");
    assert_eq!(completed(&folder.path("r.h5")), 0);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon.xyz", 4, 108));
    let command = format!("run in.h5 -o r.h5 -v {LONG}");
    for ranks in [1, 2] {
        let mut run = folder.on(ranks, &command).start();
        run.wait_for(" workers threads=");
        std::thread::sleep(Duration::from_millis(300));
        let rank = run.ranks()[0];
        send(rank, Signal::TERM);
        run.wait_for("asked to stop");
        std::thread::sleep(Duration::from_millis(700));
        let begun = Instant::now();
        send(rank, Signal::TERM);
        run.finish().expect(75).says("asked again");
        assert!(begun.elapsed() < Duration::from_secs(3));
        assert_eq!(completed(&folder.path("r.h5")), 0);
    }
}
