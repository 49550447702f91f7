//! One job at a time writes a result that is not shared, also after a takeover; readers are in nobody's way.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::Signal;
use serde_json::{Value, json};
use support::folder::{Folder, perturbed};
use support::launch::{Launch, send};
use support::results::{assert_same, completed};

/// Frames that take some milliseconds each, and commits far enough apart to be stopped between two.
const LONG: &str = "--calculator lennard-jones --param epsilon=0.0104 --param sigma=3.4 --param cutoff=110 \
    --threads 1 --checkpoint-interval 0.7";
const SHORT: &str =
    "--calculator lennard-jones --param epsilon=0.0104 --param sigma=3.4 --param cutoff=8.5";

fn prepared(frames: usize, options: &str) -> Folder {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_small_cell.xyz", frames, 4));
    folder
        .on(2, &format!("run in.h5 -o whole.h5 {options}"))
        .expect(0);
    folder
}

fn lock(folder: &Folder) -> Value {
    serde_json::from_slice(&fs::read(folder.path("r.h5.lock")).unwrap()).unwrap()
}

fn beside(folder: &Folder) -> Vec<String> {
    let names = folder.names().into_iter();
    names.filter(|n| n.starts_with("r.h5")).collect()
}

/// A node is lost, its job is started again, and the old processes come back to life.
#[test]
fn an_orphan_that_wakes_up_after_a_takeover_writes_nothing() {
    let folder = prepared(900, LONG);
    let command = format!("run in.h5 -o r.h5 -v {LONG}");
    let mut orphan = folder.on(2, &command).start();
    orphan.wait_for(" committed commit=1 ");
    let ranks = orphan.ranks();
    assert_eq!(ranks.len(), 2);
    for rank in &ranks {
        send(*rank, Signal::STOP);
    }
    let asleep = completed(&folder.path("r.h5"));
    assert!(asleep > 0 && asleep < 900, "{asleep}");
    // As it looks to another boot of this host: that pid belongs to another process.
    let mut owner = lock(&folder);
    assert_eq!(owner["pid"], ranks[0].as_raw_nonzero().get());
    owner["started"] = 1.into();
    fs::write(folder.path("r.h5.lock"), owner.to_string()).unwrap();
    let second = folder.on(3, &command).expect(0);
    second.says("is dead; taking it over");
    let after = fs::read(folder.path("r.h5")).unwrap();

    for rank in &ranks {
        send(*rank, Signal::CONT);
    }
    let woken = orphan.finish().expect(1);
    woken.error("somebody removed the lock; this job writes nothing more");
    assert!(
        fs::read(folder.path("r.h5")).unwrap() == after,
        "the orphan wrote"
    );
    assert_same(&folder.path("r.h5"), &folder.path("whole.h5"));
    assert_eq!(beside(&folder), ["r.h5"]);
}

/// The same, while the second job is still at work: its lock stays, and it never hears of the orphan.
#[test]
fn an_orphan_that_wakes_up_beside_its_successor_leaves_it_alone() {
    let folder = prepared(900, LONG);
    let command = format!("run in.h5 -o r.h5 -v {LONG}");
    let mut orphan = folder.alone(&command).start();
    orphan.wait_for(" committed commit=1 ");
    orphan.signal(Signal::STOP);
    let mut owner = lock(&folder);
    owner["started"] = 1.into();
    fs::write(folder.path("r.h5.lock"), owner.to_string()).unwrap();
    let mut second = folder.on(2, &command).start();
    second.wait_for(" committed commit=1 ");
    let successor = lock(&folder);
    assert_eq!(successor["epoch"], 2);
    orphan.signal(Signal::CONT);
    let woken = orphan.finish().expect(1);
    woken.error(&format!("taken over by pid {} on ", successor["pid"]));
    if second.goes_on() {
        assert_eq!(lock(&folder), successor);
    }
    second.finish().expect(0);
    assert_same(&folder.path("r.h5"), &folder.path("whole.h5"));
    assert_eq!(beside(&folder), ["r.h5"]);
}

/// A program in front of the real ones on the PATH.
fn program(folder: &Folder, name: &str, text: &str) {
    let path = folder.path(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// What `squeue`, `qstat` and `bjobs` say is answered by scripts: the words are those of SLURM 22.05, `OpenPBS` and LSF.
#[test]
fn an_owner_elsewhere_is_followed_when_its_batch_system_says_that_it_is_over() {
    let folder = prepared(20, SHORT);
    for (batch, command, runs, over) in [
        (
            "slurm",
            "squeue",
            "echo RUNNING",
            "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1",
        ),
        (
            "pbs",
            "qstat",
            "echo 4711.server job user 0 R workq",
            "echo 'qstat: 4711 Job has finished' >&2; exit 35",
        ),
        ("lsf", "bjobs", "echo RUN", "echo EXIT"),
    ] {
        let owner = json!({"host": "node17", "pid": 99, "started": 5, "job": "4711", "epoch": 6, "batch": batch});
        fs::write(folder.path("r.h5.lock"), owner.to_string()).unwrap();
        let line =
            format!("PATH=\"$PWD:$PATH\" exec mpiexec -n 2 framewise run in.h5 -o r.h5 {SHORT}");
        let run = || Launch::shell(&line, &folder.path(".")).run();
        for alive in [runs, "exit 1", "echo 'Connection refused' >&2; exit 1"] {
            program(&folder, command, alive);
            let refused = run().expect(1);
            refused.error("is being written by pid 99 on node17, job 4711, which cannot be seen from this host");
        }
        program(&folder, command, over);
        let taken = run().expect(0);
        taken.says(&format!("job 4711 is over, says {command}; taking it over"));
        assert_same(&folder.path("r.h5"), &folder.path("whole.h5"));
        assert_eq!(beside(&folder), ["r.h5"]);
        fs::remove_file(folder.path("r.h5")).unwrap();
    }
}

/// FAT, some network and parallel file systems.
#[test]
fn the_lock_works_where_there_are_no_hard_links() {
    let folder = prepared(20, SHORT);
    for error in ["EPERM", "EOPNOTSUPP", "ENOSYS"] {
        let line = format!(
            "exec strace -f -o trace -P r.h5.lock -P \"$PWD/r.h5.lock\" -e trace=link,linkat -e inject=link,linkat:error={error} framewise run in.h5 -o r.h5 {SHORT}"
        );
        let run = || Launch::shell(&line, &folder.path(".")).run();
        run().expect(0);
        let traced = fs::read_to_string(folder.path("trace")).unwrap();
        assert!(traced.contains(error), "no link was asked for: {traced}");
        assert_same(&folder.path("r.h5"), &folder.path("whole.h5"));
        assert_eq!(beside(&folder), ["r.h5"]);
        // A dead owner is followed, a live one is not.
        let mut owner = json!({"host": framewise::adapters::lock::host(), "pid": std::process::id(), "started": 1});
        fs::write(folder.path("r.h5.lock"), owner.to_string()).unwrap();
        run().expect(0).says("is dead; taking it over");
        assert_eq!(beside(&folder), ["r.h5"]);
        owner["host"] = "elsewhere".into();
        fs::write(folder.path("r.h5.lock"), owner.to_string()).unwrap();
        run().expect(1).error("is being written by");
        fs::remove_file(folder.path("r.h5.lock")).unwrap();
        fs::remove_file(folder.path("r.h5")).unwrap();
    }
}

/// HDF5's own locks, as the user may ask for: every reader holds one while it reads, and the run must not stumble.
#[test]
fn readers_and_a_run_with_hdf5s_own_locks_do_not_disturb_each_other() {
    let folder = prepared(500, LONG);
    let with = |launch: Launch| launch.variable("HDF5_USE_FILE_LOCKING", "TRUE");
    for ranks in [2] {
        let command = format!("run in.h5 -o r.h5 -v {LONG}");
        let mut run = with(folder.on(ranks, &command)).start();
        run.wait_for(" committed commit=1 ");
        let mut looks = 0;
        while run.goes_on() {
            for verb in [
                "status r.h5 --json",
                "verify r.h5",
                "export r.h5 -o now.extxyz --overwrite",
            ] {
                with(folder.alone(verb)).expect(0);
            }
            looks += 1;
            let ours = ["r.h5", "r.h5.lock", "r.h5.journal"];
            // A run that gives its lock back claims it first, so that nobody else does.
            let of_the_run = |n: &String| {
                ours.contains(&n.as_str())
                    || n.starts_with("r.h5.lock.new-")
                    || n.starts_with("r.h5.lock.after-")
            };
            let beside = beside(&folder);
            assert!(beside.iter().all(of_the_run), "{beside:?}");
        }
        assert!(looks > 1, "{looks}");
        run.finish().expect(0);
        assert_eq!(beside(&folder), ["r.h5"]);
        assert_same(&folder.path("r.h5"), &folder.path("whole.h5"));
        with(folder.on(2, &command)).expect(0);
        with(folder.on(2, &format!("{command} --overwrite --frames 0:3"))).expect(0);
        assert_same(&folder.path("r.h5"), &folder.path("whole.h5"));
        fs::remove_file(folder.path("r.h5")).unwrap();
    }
}

/// Readers open nothing for writing beside what they were asked to write, and make no file: so they work in a directory
/// that cannot be written to.
#[test]
fn readers_write_nothing_near_the_result() {
    let folder = prepared(30, SHORT);
    let out = tempfile::tempdir().unwrap();
    let before = (folder.names(), fs::read(folder.path("whole.h5")).unwrap());
    let out = Path::new(out.path());
    for verb in [
        "status whole.h5 --failed".to_owned(),
        "verify whole.h5".to_owned(),
        format!("export whole.h5 -o {}/x.extxyz", out.display()),
    ] {
        let trace = out.join("trace");
        let line = format!(
            "exec strace -f -o {} -e trace=open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,unlink,unlinkat,\
             pwrite64,ftruncate,flock framewise {verb}",
            trace.display()
        );
        Launch::shell(&line, &folder.path(".")).expect(0);
        let traced = fs::read_to_string(&trace).unwrap();
        assert!(traced.contains("whole.h5"), "{traced}");
        let here = folder.path("x");
        let here = here.parent().unwrap().to_str().unwrap();
        for call in traced.lines() {
            let far = call.contains("\"/") && !call.contains(here);
            let reads = call.contains("O_RDONLY") || !call.contains('(');
            let ends = call.contains("+++") || call.contains("---");
            assert!(far || reads || ends, "{verb}: {call}");
        }
    }
    assert!((folder.names(), fs::read(folder.path("whole.h5")).unwrap()) == before);
}

/// What somebody does to a result.
type Deed = fn(&Path);

/// What was written was read back through the descriptor it had been opened with: a run whose file somebody had removed
/// ended with success and no file.
#[test]
fn a_result_that_is_removed_replaced_or_emptied_under_a_run_is_an_error() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_small_cell.xyz", 900, 4));
    let job = format!("run in.h5 -o r.h5 -v {LONG}");
    let deeds: [(&str, Deed); 3] = [
        ("removed", |file| fs::remove_file(file).unwrap()),
        ("replaced", |file| {
            fs::copy(file, file.with_extension("copy")).unwrap();
            fs::rename(file.with_extension("copy"), file).unwrap();
        }),
        ("cut", |file| fs::write(file, "").unwrap()),
    ];
    for (what, deed) in deeds {
        let _ = fs::remove_file(folder.path("r.h5"));
        let mut run = folder.on(2, &job).start();
        run.wait_for(" committed commit=1 ");
        deed(&folder.path("r.h5"));
        let ended = run.finish().expect(1);
        ended.error(&format!(
            "somebody has {what} the result while this job wrote it"
        ));
    }
}

/// Two names of one file have two locks.
#[test]
fn a_result_with_a_second_name_is_refused() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_small_cell.xyz", 20, 4));
    folder
        .alone("run in.h5 -o r.h5 -c null --frames :5")
        .expect(0);
    fs::hard_link(folder.path("r.h5"), folder.path("second.h5")).unwrap();
    for name in ["r.h5", "second.h5"] {
        let refused = folder
            .alone(&format!("run in.h5 -o {name} -c null"))
            .expect(1);
        refused.error("is one of 2 names (hard links) of a file");
    }
    fs::remove_file(folder.path("second.h5")).unwrap();
    folder.alone("run in.h5 -o r.h5 -c null").expect(0);
}
