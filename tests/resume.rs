//! Resume: the same command goes on where the last run was, whatever ended that one.

mod support;

use std::fs;

use rustix::process::Signal;
use serde_json::Value;
use support::folder::{Folder, perturbed};
use support::launch::{Finished, send};
use support::results::{assert_same, completed, metrics, read, statuses};

/// Four argon atoms and, with this cutoff, tens of thousands of images of them: frames that take about 10 ms each
/// and some hundred bytes.
const LONG: &str = "--calculator lennard-jones --param epsilon=0.0104 --param sigma=3.4 --param cutoff=110 \
    --threads 1 --checkpoint-interval 0.05";
const SHORT: &str =
    "--calculator lennard-jones --param epsilon=0.0104 --param sigma=3.4 --param cutoff=8.5";

fn json(finished: &Finished) -> Value {
    serde_json::from_str(&finished.stdout).unwrap_or_else(|e| panic!("{e}: {finished}"))
}

/// Completed frames have their checksums, says `verify`; so many of them.
#[track_caller]
fn verify(folder: &Folder, result: &str) -> u64 {
    let found = json(&folder.alone(&format!("verify {result} --json")).expect(0));
    assert_eq!(found["wrong"].as_array().unwrap().len(), 0, "{found}");
    found["completed"].as_u64().unwrap()
}

/// `planned` and `frames` of the last run with `--metrics m.json`.
fn planned_and_done(folder: &Folder) -> (u64, u64) {
    let metrics = metrics(&folder.path("m.json"));
    let number = |name: &str| metrics[name].as_u64().unwrap();
    (number("planned"), number("frames"))
}

#[test]
fn a_second_run_computes_nothing_and_touches_nothing() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon.xyz", 101, 8));
    let command = format!("run in.h5 -o r.h5 --metrics m.json {SHORT}");
    folder.on(2, &command).expect(0);
    assert_eq!(planned_and_done(&folder), (101, 101));
    let result = folder.path("r.h5");
    let (before, age) = (
        fs::read(&result).unwrap(),
        fs::metadata(&result).unwrap().modified().unwrap(),
    );
    for ranks in [1, 2, 3] {
        let again = folder.on(ranks, &command).expect(0);
        assert!(again.stdout.contains("0 frames computed"), "{again}");
        assert_eq!(planned_and_done(&folder), (0, 0));
        folder.alone(&command).expect(0);
    }
    assert!(
        fs::read(&result).unwrap() == before,
        "bytes of the file have changed"
    );
    assert_eq!(fs::metadata(&result).unwrap().modified().unwrap(), age);
    assert_eq!(folder.names(), ["in.h5", "in.xyz", "m.json", "r.h5"]);
}

#[test]
fn parts_in_any_order_make_the_whole() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon.xyz", 1003, 8));
    folder
        .on(2, &format!("run in.h5 -o whole.h5 {SHORT}"))
        .expect(0);
    let run = |ranks: usize, part: &str| {
        let command = format!("run in.h5 -o parts.h5 --metrics m.json {part} {SHORT}");
        folder.on(ranks, &command).expect(0);
        let (planned, done) = planned_and_done(&folder);
        assert_eq!(planned, done, "{part}");
        done
    };
    // As numpy.array_split cuts 1003 into 4: 251, 251, 251, 250.
    assert_eq!(run(3, "--chunk 4/4"), 250);
    assert_eq!(run(1, "--chunk 2/4"), 251);
    assert_eq!(run(4, "--chunk 1/4"), 251);
    assert_eq!(run(2, "--chunk 3/4"), 251);
    assert_eq!(run(2, "--chunk 3/4"), 0);
    assert_same(&folder.path("parts.h5"), &folder.path("whole.h5"));
    fs::remove_file(folder.path("parts.h5")).unwrap();

    assert_eq!(run(2, "--frames 1000:,3"), 4);
    assert_eq!(run(3, "--frames ::2"), 502 - 2);
    // 499 of the odd frames are left: 3 and 1001 are done.
    assert_eq!(run(1, "--frames 0:600 --chunk 2/2"), 150);
    assert_eq!(run(4, "--frames -1,0,5:5"), 0);
    assert_eq!(run(2, ""), 1003 - 4 - 500 - 150);
    assert_same(&folder.path("parts.h5"), &folder.path("whole.h5"));
    assert_eq!(verify(&folder, "parts.h5"), 1003);
}

/// One result, one interruption after another, each on another number of ranks; at every stop the completed frames
/// are right and none is lost, and in the end nothing tells that it was not one undisturbed run.
#[test]
fn stopped_and_killed_runs_are_completed_to_the_same_bytes() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_small_cell.xyz", 2400, 4));
    folder
        .on(2, &format!("run in.h5 -o whole.h5 {LONG}"))
        .expect(0);
    let whole = read(&folder.path("whole.h5"));
    let command = format!("run in.h5 -o r.h5 -v {LONG}");
    let (result, lock) = (folder.path("r.h5"), folder.path("r.h5.lock"));
    let mut before = 0;
    let mut look = |what: &str| {
        let now = read(&result);
        let done: Vec<usize> = (0..2400).filter(|i| now.status[*i] == 0).collect();
        for i in &done {
            assert_eq!(
                now.energy[*i].to_bits(),
                whole.energy[*i].to_bits(),
                "{what}"
            );
            assert_eq!(now.checksum[*i], whole.checksum[*i], "{what}");
        }
        assert_eq!(verify(&folder, "r.h5"), done.len() as u64, "{what}");
        assert!(
            done.len() > before && done.len() < 2400,
            "{what}: {before}, then {}",
            done.len()
        );
        before = done.len();
    };

    let mut run = folder.on(2, &command).start();
    run.wait_for(" committed commit=1 ");
    // The launcher passes it on to all ranks.
    run.signal(Signal::USR1);
    run.finish().stopped_through_its_launcher();
    look("SIGUSR1 to the launcher");
    assert!(!lock.exists());

    let mut run = folder.on(3, &command).start();
    run.wait_for(" committed commit=1 ");
    send(run.ranks()[2], Signal::TERM);
    run.finish().expect(75);
    look("SIGTERM to rank 2");

    let mut run = folder.alone(&command).start();
    run.wait_for(" committed commit=1 ");
    run.signal(Signal::INT);
    run.finish().expect(75);
    look("SIGINT without a launcher");

    let mut run = folder.on(3, &command).start();
    run.wait_for(" committed commit=1 ");
    let ranks = run.ranks();
    assert_eq!(ranks.len(), 3);
    send(ranks[1], Signal::KILL);
    let died = run.finish();
    assert!(!matches!(died.code, Some(0 | 3 | 75)), "{died}");
    look("SIGKILL to rank 1");

    let mut run = folder.on(2, &command).start();
    run.wait_for(" committed commit=1 ");
    let ranks = run.ranks();
    assert_eq!(ranks.len(), 2);
    for rank in ranks {
        send(rank, Signal::KILL);
    }
    let died = run.finish();
    assert!(!matches!(died.code, Some(0 | 3 | 75)), "{died}");
    look("SIGKILL to both ranks");
    // The dead do not clear up after themselves: their lock is followed.
    assert!(lock.exists());
    let owner: Value = serde_json::from_slice(&fs::read(&lock).unwrap()).unwrap();

    let mut run = folder.alone(&command).start();
    run.wait_for(&format!("(pid {} on ", owner["pid"]));
    run.wait_for(" committed commit=1 ");
    run.signal(Signal::KILL);
    let died = run.finish();
    assert_eq!((died.code, died.signal), (None, Some(9)), "{died}");
    look("SIGKILL without a launcher");

    let rest = folder.on(3, &command).expect(0);
    rest.says("is dead; taking it over");
    assert_same(&result, &folder.path("whole.h5"));
    assert_eq!(verify(&folder, "r.h5"), 2400);
    let names = folder.names();
    assert_eq!(names, ["in.h5", "in.xyz", "r.h5", "whole.h5"], "leftovers");
    // The history tells how it was.
    let status = json(&folder.alone("status r.h5 --json").expect(0));
    let runs = status["runs"].as_array().unwrap();
    let states: Vec<_> = runs.iter().map(|r| r["state"].as_str().unwrap()).collect();
    let expected = [
        "stopped", "stopped", "stopped", "running", "running", "running", "done",
    ];
    assert_eq!(states, expected);
    let ranks: Vec<_> = runs.iter().map(|r| r["ranks"].as_u64().unwrap()).collect();
    assert_eq!(ranks, [2, 3, 1, 3, 2, 1, 3]);
}

#[test]
fn a_run_stops_before_its_walltime() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_small_cell.xyz", 300, 4));
    folder
        .on(2, &format!("run in.h5 -o whole.h5 {LONG}"))
        .expect(0);
    // The time to stop comes while ranks and file are being set up: a stop in good order all the same.
    let late = format!("run in.h5 -o r.h5 --walltime 00:01:00 --stop-before 59.999s {LONG}");
    folder.on(2, &late).expect(75);
    assert!(completed(&folder.path("r.h5")) < 300);
    let mut stops = 0;
    let code = loop {
        let before = completed(&folder.path("r.h5"));
        let walltime = format!("run in.h5 -o r.h5 --walltime 00:00:02 --stop-before 500ms {LONG}");
        let run = folder.on(2 + stops % 2, &walltime).run();
        assert!(completed(&folder.path("r.h5")) > before, "{run}");
        if run.code != Some(75) || stops > 20 {
            break run.code;
        }
        run.says("stopping 500ms before");
        stops += 1;
    };
    assert_eq!(code, Some(0));
    assert_same(&folder.path("r.h5"), &folder.path("whole.h5"));
}

#[test]
fn overwrite_computes_selected_frames_again_and_goes_on_after_a_stop() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_small_cell.xyz", 300, 4));
    let command = format!("run in.h5 -o r.h5 -v --metrics m.json {LONG}");
    folder.on(2, &command).expect(0);
    let result = folder.path("r.h5");
    fs::copy(&result, folder.path("whole.h5")).unwrap();

    // Damage two frames; only the one that is selected is mended.
    let energies = |change: &dyn Fn(&mut [f64])| {
        let file = hdf5::File::open_rw(&result).unwrap();
        let dataset = file.dataset("observables/trajectory/energy/value").unwrap();
        let mut values = dataset.read_raw::<f64>().unwrap();
        change(&mut values);
        dataset.write_raw(&values).unwrap();
    };
    let right = read(&result).energy;
    energies(&|values| {
        values[7] += 1.0;
        values[250] += 1.0;
    });
    let found = json(&folder.alone("verify r.h5 --json").expect(1));
    let wrong = found["wrong"].as_array().unwrap();
    assert_eq!(wrong.len(), 2);
    assert_eq!(
        (&wrong[0]["frame"], &wrong[1]["frame"]),
        (&7.into(), &250.into())
    );
    folder
        .on(3, &format!("{command} --overwrite --frames 5:10"))
        .expect(0);
    assert_eq!(planned_and_done(&folder), (5, 5));
    let mended = read(&result).energy;
    assert_eq!(mended[7].to_bits(), right[7].to_bits());
    assert!((mended[250] - right[250] - 1.0).abs() < 1e-6);
    energies(&|values| values[250] = right[250]);
    assert_same(&result, &folder.path("whole.h5"));

    // Everything again, stopped on the way.
    let overwrite = format!("{command} --overwrite");
    let mut run = folder.on(2, &overwrite).start();
    run.wait_for(" committed commit=1 ");
    send(run.ranks()[0], Signal::TERM);
    run.finish().expect(75);
    let (planned, done) = planned_and_done(&folder);
    assert_eq!(planned, 300);
    let states = statuses(&result);
    let count = |code| states.iter().filter(|s| **s == code).count() as u64;
    assert_eq!((count(0), count(1)), (done, 300 - done));
    assert!(done > 0 && done < 300);
    // The same command goes on; after the end it begins anew.
    folder.on(3, &overwrite).expect(0);
    assert_eq!(planned_and_done(&folder), (300 - done, 300 - done));
    assert_same(&result, &folder.path("whole.h5"));
    folder
        .on(2, &format!("{command} --overwrite --frames 0:3"))
        .expect(0);
    assert_eq!(planned_and_done(&folder), (3, 3));
    folder
        .on(2, &format!("{command} --overwrite --frames 0:3"))
        .expect(0);
    assert_eq!(planned_and_done(&folder), (3, 3));
    assert_same(&result, &folder.path("whole.h5"));
}

/// Frame 1 does not converge, frame 3 has no place for its first atom.
#[cfg(feature = "xtb")]
#[test]
fn retry_computes_again_what_failed_and_nothing_else() {
    let folder = Folder::new();
    folder.bring("scf_failure.xyz");
    let text = fs::read_to_string(folder.path("scf_failure.xyz")).unwrap();
    let first: String = text.split_inclusive('\n').take(5).collect();
    let mut lines: Vec<_> = first.lines().map(str::to_owned).collect();
    let symbol = lines[2].split_whitespace().next().unwrap().to_owned();
    lines[2] = format!("{symbol} nan 0.0 0.0");
    fs::write(
        folder.path("in.xyz"),
        format!("{text}{}\n", lines.join("\n")),
    )
    .unwrap();
    folder.import("in");
    let command =
        "run in.h5 -o r.h5 --metrics m.json --calculator xtb --param method=gfn2 --threads 1";
    let result = folder.path("r.h5");
    folder.alone(command).expect(3).says("frame 1: ");
    assert_eq!(statuses(&result), [0, 2, 0, 3]);
    let expected = support::results::bytes(&result);
    let results = read(&result);
    for i in [1, 3] {
        assert!(results.energy[i].is_nan(), "frame {i}");
        let forces = &results.forces[results.offsets[i]..results.offsets[i + 1]];
        assert!(forces.as_flattened().iter().all(|x| x.is_nan()));
    }
    let before = fs::read(&result).unwrap();
    for ranks in [1, 2] {
        let again = folder.on(ranks, command).expect(3);
        assert_eq!(planned_and_done(&folder), (0, 0));
        assert!(again.stdout.contains("2 failed or did not converge"));
        assert!(fs::read(&result).unwrap() == before, "file touched");
    }
    // The selection decides: these frames are all completed.
    folder.on(2, &format!("{command} --frames 0,2")).expect(0);
    for (ranks, retry, planned) in [
        (1, "failed", 1),
        (3, "unconverged", 1),
        (2, "failed,unconverged", 2),
        (2, "failed --frames 0:3", 0),
    ] {
        let again = format!("{command} --retry {retry}");
        folder.on(ranks, &again).expect(3);
        assert_eq!(planned_and_done(&folder), (planned, planned), "{retry}");
        assert_eq!(statuses(&result), [0, 2, 0, 3], "{retry}");
        assert!(support::results::bytes(&result) == expected, "{retry}");
    }
    let status = json(&folder.alone("status r.h5 --failed --json").expect(0));
    let failures = status["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 2);
    let reason = |k: usize| failures[k]["reason"].as_str().unwrap();
    assert!(reason(0).contains("converge"), "{}", reason(0));
    assert!(
        reason(1).contains("position of atom 0") && reason(1).contains("not finite"),
        "{}",
        reason(1)
    );
    assert_eq!(verify(&folder, "r.h5"), 2);
}

#[test]
fn another_job_under_the_same_result_is_refused() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon.xyz", 40, 8));
    folder.import_frames("other", &perturbed("argon.xyz", 40, 9));
    let mut moved = perturbed("argon.xyz", 40, 8);
    moved.positions[100][1] += 1e-9;
    folder.import_frames("moved", &moved);
    folder
        .on(2, &format!("run in.h5 -o r.h5 {SHORT}"))
        .expect(0);
    let result = folder.path("r.h5");
    let before = fs::read(&result).unwrap();
    let lj = |sigma: &str| SHORT.replace("3.4", sigma);
    for (ranks, arguments, difference) in [
        (
            1,
            "in.h5 --calculator null".to_owned(),
            "calculator lennard-jones, not null",
        ),
        (
            2,
            format!("in.h5 {}", lj("3.41")),
            "parameter sigma 3.4, not 3.41",
        ),
        (
            2,
            format!("in.h5 {SHORT} --param shift=energy"),
            "parameter shift none, not energy",
        ),
        (
            3,
            format!("in.h5 {SHORT} --level-of-theory mine"),
            "level of theory \"lennard-jones\", not \"mine\"",
        ),
        (2, format!("other.h5 {SHORT}"), "another input"),
        (1, format!("moved.h5 {SHORT}"), "another input"),
        (
            2,
            format!("in.h5 {} --overwrite --frames 0:39", lj("3.41")),
            "parameter sigma 3.4, not 3.41",
        ),
        (
            2,
            format!("in.h5 {} --retry failed", lj("3.41")),
            "parameter sigma",
        ),
    ] {
        let refused = folder
            .on(ranks, &format!("run -o r.h5 {arguments}"))
            .refused(1);
        refused.error(difference);
        assert!(fs::read(&result).unwrap() == before, "{arguments}: touched");
    }
    assert!(!folder.path("r.h5.lock").exists());
    // A copy elsewhere is the same input.
    fs::copy(folder.path("in.h5"), folder.path("copy.h5")).unwrap();
    folder
        .on(2, &format!("run copy.h5 -o r.h5 {SHORT}"))
        .expect(0);
    assert!(fs::read(&result).unwrap() == before);

    let replaced = format!("run in.h5 -o r.h5 --overwrite {}", lj("3.41"));
    folder.on(3, &replaced).expect(0).says("replaces it");
    folder
        .on(1, &format!("run in.h5 -o fresh.h5 {}", lj("3.41")))
        .expect(0);
    assert_same(&result, &folder.path("fresh.h5"));
}

/// While a run goes on: nobody else writes, everybody may read.
#[test]
fn a_run_is_alone_with_its_result_but_anybody_may_look() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_small_cell.xyz", 350, 4));
    folder
        .on(2, &format!("run in.h5 -o whole.h5 {LONG}"))
        .expect(0);
    let command = format!("run in.h5 -o r.h5 -v {LONG}");
    let mut run = folder.on(2, &command).start();
    run.wait_for(" committed commit=1 ");
    let owner = run.ranks()[0].as_raw_nonzero();
    let host = framewise::adapters::lock::host();
    let held = format!("is being written by pid {owner} on {host}");
    // However slow this machine is, the run is not over meanwhile.
    let ranks = run.ranks();
    for rank in &ranks {
        send(*rank, Signal::STOP);
    }
    folder.alone(&command).expect(1).error(&held);
    folder.on(2, &command).expect(1).error(&held);
    for rank in &ranks {
        send(*rank, Signal::CONT);
    }

    let mut looks = 0;
    let mut done = 0;
    loop {
        let status = json(&folder.alone("status r.h5 --json").expect(0));
        let now = status["completed"].as_u64().unwrap();
        assert!(now > 0 && now >= done, "{done}, then {status}");
        done = now;
        assert!(verify(&folder, "r.h5") >= done);
        let export = "export r.h5 -o now.extxyz --overwrite";
        folder.alone(export).expect(0);
        let text = fs::read_to_string(folder.path("now.extxyz")).unwrap();
        let written = text.matches("Lattice=").count() as u64;
        assert!(written >= done, "{written} of {done}");
        assert!(!text.to_lowercase().contains("nan"));
        if !run.goes_on() {
            break;
        }
        looks += u64::from(done < 350);
    }
    assert!(looks > 0, "the run was too short for this test");
    run.finish().expect(0);
    assert_same(&folder.path("r.h5"), &folder.path("whole.h5"));
    assert_eq!(verify(&folder, "r.h5"), 350);
}
