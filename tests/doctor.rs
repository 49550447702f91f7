//! `framewise doctor`: what it tells of one process, of the ranks of a job and of its nodes, and what it finds wrong.
//!
//! Nodes are known by machine and name, so that ranks of this machine that bear names of their own stand for several.

mod support;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use support::folder::{Folder, perturbed};
use support::launch::{Finished, Launch, program};

/// All findings.
fn findings(finished: &Finished) -> Vec<Value> {
    let parsed = serde_json::from_str(&finished.stdout);
    parsed.unwrap_or_else(|e| panic!("{e}: {finished}"))
}

/// The first finding of a subject.
#[track_caller]
fn found(finished: &Finished, subject: &str) -> Value {
    let all = findings(finished);
    let one = all.iter().find(|f| f["subject"] == subject);
    one.unwrap_or_else(|| panic!("no {subject}: {finished}"))
        .clone()
}

/// Fails unless the finding has this verdict, says this, and has a mend unless it is good.
#[track_caller]
fn expect(finished: &Finished, subject: &str, verdict: &str, text: &str) {
    let one = found(finished, subject);
    assert_eq!(one["verdict"], verdict, "{one:#}");
    let said = one["text"].as_str().unwrap();
    assert!(said.contains(text), "no {text:?}: {one:#}");
    assert_eq!(one["mend"].is_string(), verdict != "ok", "{one:#}");
}

/// Two ranks that bear names of nodes of their own, n0 and n1; `before` is done by each, `$R` is its number.
fn two_nodes(folder: &Folder, before: &str, arguments: &str) -> Finished {
    let line = format!(
        "R=${{OMPI_COMM_WORLD_RANK:-$PMI_RANK}}; export SLURMD_NODENAME=n$R P={}; {before}; exec $P doctor --json {arguments}",
        program().display()
    );
    let launch = Launch::of(Path::new("sh"), 2, &folder.path("."));
    launch.arg("-c").arg(&line).run()
}

#[test]
fn alone_it_tells_of_this_machine() {
    let folder = Folder::new();
    let finished = folder.alone("doctor --json").expect(0);
    for subject in [
        "framewise",
        "MPI library",
        "HDF5",
        "cores",
        "threads",
        "memory",
        "file system",
        "folder",
        "locks",
        "sync",
        "MPI-IO hints",
        "space",
        "walltime",
        "calculator",
    ] {
        let one = found(&finished, subject);
        assert!(one["nodes"].as_array().unwrap().is_empty(), "{one:#}");
    }
    for one in findings(&finished) {
        let good = one["verdict"] == "ok";
        assert_eq!(one["mend"].is_null(), good, "{one:#}");
        assert!(!one["text"].as_str().unwrap().is_empty(), "{one:#}");
    }
    expect(&finished, "HDF5", "ok", "built with the same MPI");
    expect(&finished, "locks", "ok", "RESULT.lock");
    assert_eq!(folder.names(), [""; 0], "it leaves nothing behind");
    // The same for people.
    let told = folder.alone("doctor").expect(0);
    assert!(told.stdout.contains("usable by this process"), "{told}");
}

/// Nodes look for a file of rank 0's; a doctor that is killed leaves it behind.
#[test]
fn what_a_killed_one_has_left_goes_with_the_next() {
    let folder = Folder::new();
    for (name, minutes) in [
        (".framewise-doctor-killed", 60),
        (".framewise-doctor-at-work", 1),
        (".framewise-else", 60),
    ] {
        let file = std::fs::File::create(folder.path(name)).unwrap();
        let made = SystemTime::now() - Duration::from_mins(minutes);
        file.set_modified(made).unwrap();
    }
    two_nodes(&folder, "true", ".");
    let left = [".framewise-doctor-at-work", ".framewise-else"];
    assert_eq!(folder.names(), left);
}

#[test]
fn under_a_launcher_it_tells_of_all_ranks_once() {
    let folder = Folder::new();
    for ranks in [1, 2, 4] {
        let finished = folder.on(ranks, "doctor --json").run();
        // Four ranks may be too many for this machine, or bound to cores that they share; one and two are not.
        if ranks < 4 {
            assert_eq!(finished.code, Some(0), "{finished}");
        }
        let s = if ranks == 1 { "" } else { "s" };
        let seen = format!("started {ranks}, and MPI sees {ranks} rank{s}");
        expect(&finished, "launcher", "ok", &seen);
        if ranks > 1 {
            expect(
                &finished,
                "world",
                "ok",
                &format!("{ranks} ranks on 1 node"),
            );
            let binding = found(&finished, "binding");
            let each = binding["nodes"][0]["text"].as_str().unwrap().to_owned();
            assert!(each.contains(&format!("rank {}", ranks - 1)), "{binding:#}");
        }
    }
    assert_eq!(folder.names(), [""; 0]);
}

#[test]
fn cores_that_several_ranks_are_bound_to_are_wrong() {
    let folder = Folder::new();
    let launch = Launch::of(Path::new("taskset"), 2, &folder.path("."));
    let launch = launch.args("-c 0 ").arg(program().to_str().unwrap());
    let finished = launch.args("doctor --json").run();
    // Where there is one core only, there is nothing to bind.
    let (verdict, code) = match std::thread::available_parallelism().unwrap().get() {
        1 => ("note", 0),
        _ => ("WRONG", 1),
    };
    assert_eq!(finished.code, Some(code), "{finished}");
    expect(&finished, "binding", verdict, "2 ranks share 1 core");
}

#[test]
fn variables_that_do_harm_are_told() {
    let folder = Folder::new();
    let with = |name: &str, value: &str| {
        let launch = folder.alone("doctor --json");
        launch.variable(name, value).run()
    };
    let locks = with("HDF5_USE_FILE_LOCKING", "TRUE");
    expect(&locks, "locks", "note", "HDF5_USE_FILE_LOCKING=TRUE");
    let threads = with("OMP_NUM_THREADS", "4096");
    expect(&threads, "threads", "WRONG", "OMP_NUM_THREADS=4096");
    assert_eq!(threads.code, Some(1));
    let one = with("OMP_NUM_THREADS", "1");
    expect(&one, "threads", "ok", "one thread");
}

#[test]
fn folders_that_are_missing_closed_or_memory_are_told() {
    let folder = Folder::new();
    let missing = folder.alone("doctor nowhere --json").expect(1);
    expect(&missing, "folder", "WRONG", "nowhere: No such file");
    // Nobody can, whoever it is.
    let closed = folder.alone("doctor /proc --json").expect(1);
    expect(&closed, "folder", "WRONG", "cannot be written");
    let memory = folder.alone("doctor /dev/shm --json").run();
    expect(&memory, "file system", "note", "tmpfs is memory");
    expect(&memory, "sync", "ok", "reaches memory alone");
}

/// By the reckoning of `run`, which refuses to begin there.
#[test]
fn a_disk_that_is_too_small_for_the_job_is_told_before_it_begins() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon.xyz", 4000, 8));
    std::fs::create_dir(folder.path("disk")).unwrap();
    let small = |what: &str| {
        let line = format!("mount -t tmpfs -o size=1m tmpfs disk && exec framewise {what}");
        let launch = Launch::shell(
            &format!("exec unshare -rm sh -c '{line}'"),
            &folder.path("."),
        );
        launch.expect(1)
    };
    let told = small("doctor disk --input in.h5 --json");
    expect(
        &told,
        "space",
        "WRONG",
        "the result of in.h5 (4,000 frames) takes about ",
    );
    let refused = small("run in.h5 -o disk/r.h5 --calculator null");
    let needs = |text: &str, before: &str| {
        let after = text.split(before).nth(1).unwrap().to_owned();
        after.split(" MB").next().unwrap().to_owned()
    };
    let text = found(&told, "space")["text"].as_str().unwrap().to_owned();
    assert_eq!(
        needs(&text, "takes about "),
        needs(&refused.stderr, "needs about ")
    );
    let fits = folder.alone("doctor --input in.h5 --json").expect(0);
    expect(&fits, "space", "ok", "takes about");
    // Copied or linked geometry is another size.
    folder
        .alone("doctor --input in.h5 --geometry sideways")
        .expect(2)
        .error("--geometry");
    folder
        .alone("doctor --input no.h5")
        .expect(1)
        .error("no.h5");
}

#[test]
fn the_launcher_of_another_mpi_on_the_path_is_wrong() {
    let folder = Folder::new();
    let ours = folder.alone("doctor --json").run();
    let mpich = found(&ours, "MPI library")["text"]
        .as_str()
        .unwrap()
        .contains("MPICH");
    let other = if mpich {
        "mpiexec (OpenRTE) 4.1.4"
    } else {
        "HYDRA build details:"
    };
    let script = format!("#!/bin/sh\necho '{other}'\n");
    std::fs::write(folder.path("mpiexec"), script).unwrap();
    let line = "chmod +x mpiexec; PATH=$PWD:$PATH framewise doctor --json";
    let finished = Launch::shell(line, &folder.path(".")).expect(1);
    expect(
        &finished,
        "launcher",
        "WRONG",
        "every process would be rank 0 of 1",
    );
    let none = "P=$(command -v framewise); PATH=/nowhere exec $P doctor --json";
    let finished = Launch::shell(none, &folder.path(".")).expect(0);
    expect(&finished, "launcher", "note", "no mpiexec on PATH");
}

#[test]
fn nodes_that_are_alike_are_compared_and_good() {
    let folder = Folder::new();
    let finished = two_nodes(&folder, ":", ".");
    assert_eq!(finished.code, Some(0), "{finished}");
    expect(&finished, "world", "ok", "2 ranks on 2 nodes");
    for subject in [
        "same program",
        "same libraries",
        "same threads",
        "clocks",
        "same calculators",
        "one folder",
    ] {
        expect(&finished, subject, "ok", "");
    }
    expect(&finished, "same machines", "ok", "all nodes: ");
    assert_eq!(folder.names(), [""; 0]);
}

#[test]
fn nodes_that_differ_are_told_one_by_one() {
    let folder = Folder::new();
    // Another file, as good as the first.
    std::fs::copy(program(), folder.path("other")).unwrap();
    let append = "echo >> other; chmod +x other";
    Launch::shell(append, &folder.path(".")).expect(0);
    let before =
        "[ $R = 0 ] || { P=./other; export OMP_NUM_THREADS=3 FRAMEWISE_XTB_LIBRARY=/no/such.so; }";
    let finished = two_nodes(&folder, before, ".");
    assert_eq!(finished.code, Some(1), "{finished}");
    expect(&finished, "same program", "WRONG", "differs between nodes");
    let program = found(&finished, "same program");
    let nodes = program["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 2);
    assert_eq!(nodes[1]["node"], "n1");
    assert!(
        nodes[1]["text"].as_str().unwrap().contains("other"),
        "{program:#}"
    );
    expect(&finished, "same threads", "WRONG", "differs between nodes");
    expect(
        &finished,
        "same calculators",
        "WRONG",
        "xtb is not on all nodes",
    );
}

#[test]
fn nodes_that_see_different_folders_are_told() {
    let folder = Folder::new();
    let own = two_nodes(&folder, "mkdir -p d$R; cd d$R; P=$P", ".");
    assert_eq!(own.code, Some(1), "{own}");
    expect(&own, "one folder", "WRONG", "not the same folder");
    let each = found(&own, "one folder");
    let second = each["nodes"][1]["text"].as_str().unwrap().to_owned();
    assert!(second.contains("is not seen"), "{each:#}");
    let one = two_nodes(&folder, "[ $R = 1 ] || mkdir -p here; cd d$R", "../d0");
    expect(&one, "one folder", "ok", "");
    let missing = two_nodes(&folder, "cd d$R; [ $R = 1 ] || mkdir here", "here");
    expect(&missing, "one folder", "WRONG", "");
}

#[test]
fn clocks_that_differ_are_measured() {
    let folder = Folder::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/preload/clock.c");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(folder.path("clock.so"))
        .arg(source)
        .status();
    assert!(built.unwrap().success());
    let with = |ahead: u32| {
        let before = format!("[ $R = 0 ] || export LD_PRELOAD=$PWD/clock.so AHEAD={ahead}");
        two_nodes(&folder, &before, ".")
    };
    let some = with(3);
    assert_eq!(some.code, Some(0), "{some}");
    expect(&some, "clocks", "note", "differ by 3.0 s");
    let many = with(60);
    assert_eq!(many.code, Some(1), "{many}");
    expect(&many, "clocks", "WRONG", "differ by 60.0 s");
}

/// A rank that was started for something else is no reason to hang.
#[test]
fn ranks_with_different_folders_or_commands_end_with_a_message() {
    let folder = Folder::new();
    let line = format!(
        "R=${{OMPI_COMM_WORLD_RANK:-$PMI_RANK}}; mkdir -p d$R; exec {} doctor d$R",
        program().display()
    );
    let launch = Launch::of(Path::new("sh"), 2, &folder.path("."));
    let finished = launch.arg("-c").arg(&line).expect(1);
    finished.error("the commands of the ranks differ");
}
