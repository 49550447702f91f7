//! Disks that fail while a run writes.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use support::folder::{Folder, perturbed};
use support::launch::{Launch, program};
use support::mpi::RANK;
use support::results::{assert_same, completed};

/// Rank 0 once saw every write fail with ENOSPC, up to the superblock at close: it left `H5Fclose` early, the other
/// rank waited in it for ever, and nobody said a word. Now rank 0 says what went wrong and nobody closes.
#[test]
fn a_disk_that_fails_for_good_on_one_rank_is_said_and_hangs_nobody() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon.xyz", 60, 8));
    folder.alone("run in.h5 -o whole.h5 -c null").expect(0);
    let failing = folder.path("failing");
    let program = program();
    let program = program.display();
    let script = format!(
        "#!/bin/sh\n[ \"{RANK}\" = 0 ] || exec {program} \"$@\"\nexec strace -o /dev/null -f -P \"$PWD/r.h5\" \
         -e inject=pwrite64,pwritev,pwritev2:error=ENOSPC:when=1+ {program} \"$@\"\n"
    );
    fs::write(&failing, script).unwrap();
    fs::set_permissions(&failing, fs::Permissions::from_mode(0o755)).unwrap();
    let run = Launch::of(&failing, 2, &folder.path(".")).args("run in.h5 -o r.h5 -c null -t 1");
    run.expect(1).says(&format!(
        "error: rank 0 on {}: cannot write /",
        framewise::adapters::lock::host()
    ));
    folder.alone("verify r.h5").expect(0);
    // There is room again: the same command goes on.
    folder.on(2, "run in.h5 -o r.h5 -c null -t 1").expect(0);
    assert_same(&folder.path("whole.h5"), &folder.path("r.h5"));
}

/// The last write of a run is HDF5's own, at close. When it failed, HDF5 tried again at the end of MPI and crashed.
#[test]
fn a_close_that_fails_is_an_error_and_not_a_crash() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon.xyz", 60, 8));
    folder.alone("run in.h5 -o whole.h5 -c null").expect(0);
    let mut failures = 0;
    // `fault_points` makes each of them fail; here it is the system call itself, not that of libc.
    for call in (1..).step_by(3) {
        let line = format!(
            "rm -f r.h5 && exec strace -o /dev/null -f -e inject=pwrite64:error=EIO:when={call} \
             framewise run in.h5 -o r.h5 -c null -t 1 -q"
        );
        let finished = Launch::shell(&line, &folder.path(".")).run();
        if finished.code == Some(0) {
            break;
        }
        failures += 1;
        finished.expect(1).says("error: ");
        folder.alone("run in.h5 -o r.h5 -c null").expect(0);
        assert_same(&folder.path("whole.h5"), &folder.path("r.h5"));
    }
    assert!(failures > 6, "only {failures} writes were made to fail");
}

/// Runs a line of a shell in a folder `disk`, a file system of this size that goes away with it; `None`, said loudly,
/// where nobody may mount one.
fn on_a_disk_of(size: &str, folder: &Folder, line: &str) -> Option<Launch> {
    let mount = format!("mount -t tmpfs -o size={size} none disk");
    fs::create_dir_all(folder.path("disk")).unwrap();
    let may = Launch::shell(&format!("unshare -rm {mount}"), &folder.path("."));
    let may = may.run();
    if may.code != Some(0) {
        eprintln!(
            "SKIPPED: no file system can be mounted here: {}",
            may.stderr
        );
        return None;
    }
    let script = format!("{mount} || exit 99\ncd disk\n{line}");
    let launch = Launch::shell("exec unshare -rm sh -c \"$0\"", &folder.path("."));
    Some(launch.arg(&script))
}

/// Ranks of a node bring rows together in memory that all programs of the node share. Several jobs that each took half
/// of what was free were ended by bus errors as soon as they touched it.
#[test]
fn jobs_that_share_a_small_shared_memory_do_not_take_it_from_each_other() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_small_cell.xyz", 2000, 8));
    folder.alone("run in.h5 -o whole.h5 -c null").expect(0);
    let run = "mpiexec -n 2 framewise -q run in.h5 -c null -t 1 --pin off --aggregate auto";
    let line = format!(
        "cp ../in.h5 .; mount -t tmpfs -o size=40m none /dev/shm || exit 99\n\
         for k in 1 2 3 4; do ({run} -o r$k.h5; echo $? > code$k) & done; wait\n\
         cat code?; ls /dev/shm | grep -c framewise; cp r?.h5 .."
    );
    let Some(jobs) = on_a_disk_of("64m", &folder, &line) else {
        return;
    };
    let jobs = jobs.expect(0);
    let words: Vec<_> = jobs.stdout.split_whitespace().collect();
    assert_eq!(words, ["0"; 5], "{jobs}");
    for k in 1..=4 {
        assert_same(&folder.path("whole.h5"), &folder.path(&format!("r{k}.h5")));
    }
}

#[test]
fn a_disk_that_is_too_small_is_told_before_anything_is_written() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon.xyz", 60, 8));
    let line =
        "framewise run ../in.h5 -o r.h5 -c null; echo code $?; ls -A; df --output=used . | tail -1";
    let Some(run) = on_a_disk_of("128k", &folder, line) else {
        return;
    };
    let run = run.expect(0).error("are missing");
    let words: Vec<_> = run.stdout.split_whitespace().collect();
    assert_eq!(words, ["code", "1", "0"], "{run}");
}

/// The disk is filled to the last byte when the first frames have been committed: space for the others is reserved.
#[test]
fn a_disk_that_fills_up_during_a_run_does_not_stop_it() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_small_cell.xyz", 40, 4));
    let job = "-c lennard-jones --param epsilon=0.0104 --param sigma=3.4 --param cutoff=110 -t 1 --checkpoint-interval 0.05";
    folder
        .alone(&format!("run in.h5 -o whole.h5 {job}"))
        .expect(0);
    let line = format!(
        "(framewise run ../in.h5 -o r.h5 -v {job} 2> ../said; echo code $? > ../code) & \
         until grep -q committed ../said; do sleep 0.01; done; cat /dev/zero > fill; df --output=avail . | tail -1; wait; \
         cat ../code; framewise run ../in.h5 -o r.h5 {job}; rm fill; framewise verify r.h5 > ../verified; ls -A; cp r.h5 .."
    );
    fs::write(folder.path("said"), "").unwrap();
    let Some(run) = on_a_disk_of("1m", &folder, &line) else {
        return;
    };
    let run = run.expect(0);
    let lines: Vec<_> = run.stdout.lines().map(str::trim).collect();
    assert_eq!(lines.first(), Some(&"0"), "not full: {run}");
    assert!(lines.contains(&"code 0"), "{run}");
    assert_eq!(lines.last(), Some(&"r.h5"), "{run}");
    assert_eq!(completed(&folder.path("r.h5")), 40);
    let said = fs::read_to_string(folder.path("said")).unwrap();
    assert!(said.matches(" committed commit=").count() > 1, "{said}");
    fs::rename(folder.path("r.h5"), folder.path("r2.h5")).unwrap();
    assert_eq!(
        support::results::bytes(&folder.path("r2.h5")),
        support::results::bytes(&folder.path("whole.h5"))
    );
}
