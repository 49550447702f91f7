//! `--isolate`: an engine in a process of its own, whose death costs one frame.

mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use support::folder::{Folder, perturbed};
use support::launch::send;
use support::poison::{FRAMES, POISONED, XTB, folder, poisoned};
use support::results::{assert_same, read, statuses};

/// Processes that work in this folder under the hidden verb.
fn engines(folder: &Folder) -> Vec<Pid> {
    let here = fs::canonicalize(folder.path(".")).unwrap();
    let entries = fs::read_dir("/proc").unwrap();
    let engine = |process: &Path| {
        let line = fs::read(process.join("cmdline")).unwrap_or_default();
        let verb = line.split(|byte| *byte == 0).nth(1) == Some(&b"evaluate"[..]);
        verb && fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == here)
    };
    entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let pid: i32 = path.file_name()?.to_str()?.parse().ok()?;
            engine(&path).then(|| Pid::from_raw(pid))?
        })
        .collect()
}

/// Waits until there are so many engines.
#[track_caller]
fn wait_for_engines(folder: &Folder, number: usize) -> Vec<Pid> {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let found = engines(folder);
        if found.len() == number {
            return found;
        }
        assert!(
            Instant::now() < end,
            "{} engines, not {number}",
            found.len()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_datasets_are_the_same_bytes_with_and_without() {
    let water = folder();
    for (ranks, threads) in [(1, 2), (2, 1)] {
        let command = format!("run in.h5 -o i{ranks}.h5 -t {threads} {XTB} --isolate");
        water.on(ranks, &command).expect(0);
        assert_same(
            &water.path(&format!("i{ranks}.h5")),
            &water.path("whole.h5"),
        );
    }
    drop(water);
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_small_cell.xyz", 120, 4));
    let pair = "-p epsilon.Ar-Ar=0.0104 -p epsilon=0.01 -p sigma=3.4 -p cutoff=8.5 -p shift=energy";
    for (name, calculator) in [
        ("null", "-c null".to_owned()),
        ("lj", format!("-c lennard-jones {pair}")),
    ] {
        folder
            .on(2, &format!("run in.h5 -o {name}.h5 {calculator}"))
            .expect(0);
        folder
            .on(
                2,
                &format!("run in.h5 -o {name}.i.h5 {calculator} --isolate -t 2 --oversubscribe"),
            )
            .expect(0);
        assert_same(
            &folder.path(&format!("{name}.i.h5")),
            &folder.path(&format!("{name}.h5")),
        );
    }
}

#[test]
fn the_first_death_costs_one_frame_and_says_how_it_came() {
    let folder = folder();
    let command = format!("run in.h5 -o r.h5 -t 2 --oversubscribe --isolate {XTB}");
    for (how, reason) in [
        ("null", "the engine's process died: signal 11 (SIGSEGV)"),
        ("raise", "the engine's process died: signal 11 (SIGSEGV)"),
        ("abort", "the engine's process died: signal 6 (SIGABRT)"),
        ("exit", "the engine's process left with exit code 3"),
        ("stop", "the engine's process left with exit code 0"),
        ("kill", "the engine's process died: signal 9 (SIGKILL)"),
        ("memory", "the engine's process died: signal 9 (SIGKILL)"),
        ("helper", "the engine's process died: signal 8 (SIGFPE)"),
        ("stack", "the engine's process died: signal 11 (SIGSEGV)"),
    ] {
        let run = poisoned(&folder, folder.on(2, &command), how).expect(3);
        assert!(
            run.stderr.contains(&format!("frame {POISONED}: {reason}")),
            "{how}: {run}"
        );
        let (found, whole) = (read(&folder.path("r.h5")), read(&folder.path("whole.h5")));
        for i in (0..FRAMES).filter(|i| *i != POISONED) {
            assert_eq!(
                (found.status[i], found.checksum[i]),
                (0, whole.checksum[i]),
                "{how} {i}"
            );
        }
        assert_eq!(found.status[POISONED], 3, "{how}");
        if how != "stack" {
            fs::remove_file(folder.path("r.h5")).unwrap();
        }
    }
    // Two ways to say it, and a limit to it.
    fs::write(
        folder.path("job.toml"),
        "isolate = true\nmax-failures = 0\n",
    )
    .unwrap();
    let limited = command.replace("--isolate", "--config job.toml --retry failed");
    let run = poisoned(&folder, folder.on(2, &limited), "exit").expect(1);
    assert!(run.stderr.contains("more than --max-failures 0"), "{run}");
    // That run has left nothing undefined: the same command begins anew.
    folder.on(2, &limited).expect(0);
    assert_same(&folder.path("r.h5"), &folder.path("whole.h5"));
}

#[test]
fn a_frame_that_hangs_is_killed_and_what_an_engine_prints_spoils_nothing() {
    let folder = folder();
    let command =
        format!("run in.h5 -o r.h5 -t 2 --oversubscribe --isolate --frame-timeout 2 {XTB}");
    let run = poisoned(&folder, folder.on(2, &command), "hang").expect(3);
    let reason = format!("frame {POISONED}: took longer than --frame-timeout (2 s)");
    assert!(run.stderr.contains(&reason), "{run}");
    assert_eq!(engines(&folder), []);
    let retry = format!("{command} --retry failed");
    let run = poisoned(&folder, folder.on(2, &retry), "print").expect(0);
    assert!(
        run.stderr.contains("the engine prints") && !run.stdout.contains("prints"),
        "{run}"
    );
    assert_same(&folder.path("r.h5"), &folder.path("whole.h5"));
}

#[test]
fn engines_know_no_launcher_and_never_outlive_their_rank() {
    let folder = folder();
    // Every engine is in the frame that hangs, or waits for one.
    let command = format!("run in.h5 -o r.h5 -t 2 --oversubscribe --isolate {XTB}");
    let run = poisoned(&folder, folder.on(2, &command), "hang").start();
    for engine in wait_for_engines(&folder, 4) {
        let environment = fs::read(format!("/proc/{}/environ", engine.as_raw_nonzero())).unwrap();
        let text = String::from_utf8_lossy(&environment);
        let known = ["OMPI_", "PMIX_", "PMI_", "HYDI_", "MPI_LOCAL"];
        let of_launcher = |name: &str| known.iter().any(|known| name.starts_with(known));
        let found: Vec<_> = text
            .split('\0')
            .filter(|entry| of_launcher(entry))
            .collect();
        assert!(
            found.is_empty() && text.contains("POISON=hang"),
            "{found:?}"
        );
    }
    for rank in run.ranks().into_iter().take(2) {
        send(rank, Signal::KILL);
    }
    assert_ne!(run.finish().code, Some(0));
    wait_for_engines(&folder, 0);
}

/// A terminal and SLURM send a signal to every process they find.
#[test]
fn a_signal_to_all_processes_stops_the_job_and_costs_no_frame() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_small_cell.xyz", 400, 4));
    let long =
        "-c lennard-jones -p epsilon=0.0104 -p sigma=3.4 -p cutoff=110 --checkpoint-interval 0.1";
    let command = format!("run in.h5 -o r.h5 -v -t 2 --oversubscribe --isolate {long}");
    let mut run = folder.alone(&command).start();
    run.wait_for(" committed commit=1 ");
    for engine in wait_for_engines(&folder, 2) {
        send(engine, Signal::TERM);
        send(engine, Signal::INT);
    }
    run.signal(Signal::TERM);
    run.finish().expect(75);
    assert!(
        statuses(&folder.path("r.h5"))
            .iter()
            .all(|status| *status < 2)
    );
    wait_for_engines(&folder, 0);
    folder.alone(&command).expect(0);
    folder
        .alone(&format!("run in.h5 -o whole.h5 {long}"))
        .expect(0);
    assert_same(&folder.path("r.h5"), &folder.path("whole.h5"));
}
