//! Ranks that are not alike, launchers of another MPI, engines that end the process: the job ends on all ranks in
//! seconds, says why once, and has created nothing that it should not have.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, test_kill_process};
use support::folder::{Folder, perturbed};
use support::launch::{Finished, Launch, send};
use support::mpi::{Mpi, RANK};
use support::results::{assert_same, completed};

/// What the issue allows for the end of a job, on all ranks.
const SOON: Duration = Duration::from_secs(10);

/// Frames of about 10 ms.
const LONG: &str =
    "-c lennard-jones -p epsilon=0.0104 -p sigma=3.4 -p cutoff=110 -t 1 --checkpoint-interval 0.05";

fn host() -> String {
    framewise::adapters::lock::host()
}

/// Runs a line of the shell to its end, which must come soon.
#[track_caller]
fn soon(folder: &Folder, line: &str) -> Finished {
    let begun = Instant::now();
    let finished = Launch::shell(line, &folder.path(".")).run();
    let took = begun.elapsed();
    assert!(took < SOON, "{took:?}: {finished}");
    finished
}

#[track_caller]
fn said_once(finished: &Finished, text: &str) {
    let all = format!("{}{}", finished.stdout, finished.stderr);
    assert_eq!(all.matches(text).count(), 1, "{text:?} in {finished}");
}

#[test]
fn help_version_and_mistakes_are_said_once_under_a_launcher() {
    let folder = Folder::new();
    for (arguments, code, text) in [
        ("--help", 0, "Exit codes:"),
        ("run --help", 0, "The result file is the checkpoint"),
        ("--version", 0, "framewise 0"),
        ("calculators", 0, "lennard-jones "),
        ("status no.h5", 1, "no.h5: no such file"),
        ("run --bogus", 2, "unexpected argument '--bogus'"),
        ("run in.h5 -o r.h5", 2, "--calculator NAME is missing"),
        ("run no.h5 -o r.h5 -c null", 1, "no.h5: no such file"),
    ] {
        let finished = soon(&folder, &format!("mpiexec -n 3 framewise {arguments}"));
        said_once(&finished.expect(code), text);
    }
    assert_eq!(folder.names(), Vec::<String>::new());
}

#[test]
fn ranks_that_were_told_different_things_end_with_one_message() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon.xyz", 40, 8));
    let run = "-n 1 framewise run in.h5 -o r.h5 -c null";
    for (line, text) in [
        (
            format!("mpiexec {run} : {run} --frames 0:7"),
            "error: rank 1 on HOST: arguments differ",
        ),
        (
            format!("mpiexec {run} : -n 2 framewise run --bogus"),
            "error: rank 1 on HOST: unexpected argument '--bogus' found",
        ),
        (
            format!("mpiexec -n 1 framewise run --bogus : {run}"),
            "error: rank 0 on HOST: unexpected argument '--bogus' found",
        ),
        (
            format!("mpiexec {run} : -n 1 framewise --version"),
            "error: rank 1 on HOST: asked for help or version, the others not",
        ),
        (
            format!("mpiexec -n 1 framewise calculators : {run}"),
            "error: rank 0 on HOST: was started for a verb that runs alone",
        ),
        (
            format!("mpiexec {run} : -n 2 framewise status r.h5"),
            "error: rank 1 on HOST: was started for a verb that runs alone",
        ),
        (
            format!("mpiexec {run} : -n 1 framewise doctor"),
            "error: rank 1 on HOST: was started for doctor, the others not",
        ),
        (
            format!("mpiexec {run} : {run} --config no.toml"),
            "error: rank 1 on HOST: --config no.toml: No such file",
        ),
        (
            format!("mpiexec {run} : -n 1 framewise run no.h5 -o r.h5 -c null"),
            "error: rank 1 on HOST: arguments differ",
        ),
    ] {
        let finished = soon(&folder, &line);
        assert!(matches!(finished.code, Some(1 | 2)), "{finished}");
        said_once(&finished, &text.replace("HOST", &host()));
        said_once(&finished, "error: ");
    }
    assert_eq!(folder.names(), ["in.h5", "in.xyz"]);
}

/// The same path is another file for rank 1: one coordinate of the last frame differs, or rank 1 has no file at all.
#[test]
fn ranks_that_see_different_inputs_end_before_anything_is_created() {
    let folder = Folder::new();
    let frames = perturbed("argon.xyz", 2000, 8);
    folder.import_frames("in", &frames);
    let mut moved = frames;
    let last = moved.positions.len() - 1;
    moved.positions[last][1] += 1e-9;
    folder.import_frames("moved", &moved);
    for (name, source) in [("node0", "in.h5"), ("node1", "moved.h5")] {
        fs::create_dir(folder.path(name)).unwrap();
        fs::rename(folder.path(source), folder.path(name).join("in.h5")).unwrap();
    }
    let before = folder.names();
    let line = &format!(
        "mpiexec -n 2 sh -c 'r=$PWD/r.h5; cd node{RANK} && exec framewise run in.h5 -o $r -c null'"
    );
    let finished = soon(&folder, line).expect(1);
    finished.error(&format!("rank 1 on {}: inputs differ", host()));
    fs::remove_file(folder.path("node1").join("in.h5")).unwrap();
    let finished = soon(&folder, line).expect(1);
    finished.error(&format!("rank 1 on {}: in.h5: no such file", host()));
    assert_eq!(folder.names(), before);
    // Two copies of one file are the same input.
    fs::copy(
        folder.path("node0").join("in.h5"),
        folder.path("node1").join("in.h5"),
    )
    .unwrap();
    soon(&folder, line).expect(0);
}

/// `mpirun` of MPICH starts a program of Open MPI as singletons, with these variables (tried with Hydra 4.0.2), and the
/// other way round.
#[test]
fn singletons_of_another_launcher_create_nothing() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon.xyz", 40, 8));
    let run = "framewise run in.h5 -o r.h5 -c null";
    let (variables, said) = match Mpi::linked() {
        Mpi::Open => (
            "PMI_SIZE=3 PMI_RANK=$i",
            "MPICH or Intel MPI launcher (or srun --mpi=pmi2) started 3 processes (PMI_SIZE=3)",
        ),
        Mpi::Mpich => (
            "OMPI_COMM_WORLD_SIZE=3 OMPI_COMM_WORLD_RANK=$i",
            "Open MPI's mpiexec started 3 processes (OMPI_COMM_WORLD_SIZE=3)",
        ),
    };
    let line = format!(
        "for i in 0 1 2; do {variables} {run} & done; wait %1; a=$?; wait %2; b=$?; wait %3; exit $a$b$?"
    );
    let finished = soon(&folder, &line).expect(111);
    finished.error(said);
    // srun without a PMI that this MPI knows.
    let line = format!(
        "export SLURM_JOB_ID=7 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=2 SLURM_NTASKS=2; \
         SLURM_PROCID=1 {run} & SLURM_PROCID=0 {run}; a=$?; wait %1; exit $a$?"
    );
    let finished = soon(&folder, &line).expect(11);
    finished.error("started 2 processes (SLURM_STEP_NUM_TASKS=2)");
    // A batch script in which the launcher was forgotten.
    let batch = "SLURM_JOB_ID=7 SLURM_NTASKS=4";
    let finished = soon(&folder, &format!("{batch} {run}")).expect(1);
    let plugin = match Mpi::linked() {
        Mpi::Open => "pmix",
        Mpi::Mpich => "pmi2",
    };
    finished.error(&format!(
        "started once, without a launcher: write `srun --mpi={plugin} framewise ...`"
    ));
    assert_eq!(folder.names(), ["in.h5", "in.xyz"]);
    // The escape that the message names, and mpiexec in a batch script on a part of its tasks, where ranks find the
    // step of its daemons.
    soon(&folder, &format!("{batch} mpiexec -n 1 {run}")).expect(0);
    let daemons = "SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=1";
    soon(
        &folder,
        &format!("mpiexec -n 2 env {batch} {daemons} {run}"),
    )
    .expect(0);
}

/// Compiles a library that waits on a thread of its own until the file `now` is there, then ends the process of rank 1.
fn deadly(folder: &Folder, how: &str) -> String {
    let source = format!(
        "#include <pthread.h>\n#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n#include <signal.h>\n\
         static void *die(void *x) {{ while (access(\"now\", F_OK)) usleep(1000); {how}; return x; }}\n\
         __attribute__((constructor)) static void load(void) {{\n\
         const char *rank = getenv(\"OMPI_COMM_WORLD_RANK\"); pthread_t thread;\n\
         if (!rank) rank = getenv(\"PMI_RANK\");\n\
         if (rank && !strcmp(rank, \"1\")) pthread_create(&thread, 0, die, 0); }}\n"
    );
    fs::write(folder.path("deadly.c"), source).unwrap();
    let compiled = Command::new("cc")
        .args([
            "-shared",
            "-fPIC",
            "-o",
            "deadly.so",
            "deadly.c",
            "-lpthread",
        ])
        .current_dir(folder.path("."))
        .status();
    assert!(compiled.unwrap().success());
    folder.path("deadly.so").display().to_string()
}

/// Whether the process ends within seconds: a launcher returns when it has sent the signals, and a process that was killed
/// first gives its memory back.
fn gone(pid: Pid) -> bool {
    let stat = format!("/proc/{}/stat", pid.as_raw_nonzero());
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(5) {
        // A zombie of a launcher that has not looked yet is gone, too.
        let zombie = fs::read_to_string(&stat).map_or(true, |text| text.contains(") Z "));
        if test_kill_process(pid).is_err() || zombie {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// An engine inside the process may call exit (Fortran's `stop`), abort, or crash, on a thread of its own.
#[test]
fn an_engine_that_ends_the_process_of_one_rank_ends_the_job_and_the_next_run_goes_on() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_small_cell.xyz", 400, 4));
    folder
        .on(2, &format!("run in.h5 -o whole.h5 {LONG}"))
        .expect(0);
    let mut before = 0;
    for (how, said) in [
        ("exit(0)", "the calculator ended the process"),
        ("exit(3)", "the calculator ended the process"),
        ("abort()", ""),
        ("*(volatile int *)0 = 1", ""),
        ("_exit(0)", ""),
    ] {
        let library = deadly(&folder, how);
        let line =
            format!("mpiexec -n 3 env LD_PRELOAD={library} framewise run in.h5 -o r.h5 -v {LONG}");
        let mut run = Launch::shell(&line, &folder.path(".")).start();
        run.wait_for(" committed commit=1 ");
        let ranks = run.ranks();
        let begun = Instant::now();
        fs::write(folder.path("now"), "").unwrap();
        let died = run.finish();
        assert!(begun.elapsed() < SOON, "{how}: {died}");
        // Hydra before MPICH 4.1 counts ranks that it ends itself as 0 (pmodels/mpich#5930), so that this is 0 in all.
        let lost = died.code == Some(0) && how == "_exit(0)" && Mpi::linked() == Mpi::Mpich;
        assert!(
            lost || !matches!(died.code, Some(0 | 2 | 3 | 75)),
            "{how}: {died}"
        );
        assert!(!died.stdout.contains(" completed;"), "{how}: {died}");
        if !said.is_empty() {
            said_once(&died, &format!("error: rank 1 on {}: {said}", host()));
        }
        assert_eq!(ranks.len(), 3);
        assert!(ranks.iter().all(|pid| gone(*pid)), "{how}: orphans");
        let now = completed(&folder.path("r.h5"));
        assert!(now > before && now < 400, "{how}: {before}, then {now}");
        before = now;
        fs::remove_file(folder.path("now")).unwrap();
    }
    folder.on(2, &format!("run in.h5 -o r.h5 {LONG}")).expect(0);
    assert_same(&folder.path("r.h5"), &folder.path("whole.h5"));
    // Without a launcher: no exit code of the engine's may tell that all is done.
    let library = deadly(&folder, "exit(0)");
    let line = format!(
        "OMPI_COMM_WORLD_RANK=1 LD_PRELOAD={library} framewise run in.h5 -o alone.h5 -v {LONG}"
    );
    let mut run = Launch::shell(&line, &folder.path(".")).start();
    run.wait_for(" committed commit=1 ");
    fs::write(folder.path("now"), "").unwrap();
    run.finish()
        .expect(1)
        .error("the calculator ended the process");
}

/// What a rank that was killed outright leaves behind: a line of the launcher's that names it, and no process.
#[test]
fn a_rank_that_is_killed_leaves_no_orphans() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_small_cell.xyz", 400, 4));
    for rank in 0..3 {
        let mut run = folder
            .on(3, &format!("run in.h5 -o r{rank}.h5 -v {LONG}"))
            .start();
        run.wait_for(" committed commit=1 ");
        let ranks = run.ranks();
        let begun = Instant::now();
        send(ranks[rank], Signal::KILL);
        let died = run.finish();
        assert!(begun.elapsed() < SOON, "{died}");
        let named = match Mpi::linked() {
            Mpi::Open => "signal 9 (Killed)",
            Mpi::Mpich => "Killed (signal 9)",
        };
        let died = died.says_somewhere(named);
        assert!(ranks.iter().all(|pid| gone(*pid)), "{died}");
        assert!(Path::new(&folder.path(&format!("r{rank}.h5"))).exists());
    }
}
