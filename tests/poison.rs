//! Frames that take the whole job down: they end it at once, and they do not end every restart for ever.

mod support;

use std::fs::{self, OpenOptions};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use support::folder::{Folder, perturbed};
use support::launch::send;
use support::poison::{FRAMES, POISONED, XTB, folder, poisoned};
use support::results::{assert_same, bits, bytes, read, statuses};

/// No rank outlives a dead one for longer.
const AT_ONCE: Duration = Duration::from_secs(10);

/// Runs the same command again and again, on other numbers of ranks, while it dies; says how often it did.
fn restart_until_it_ends(folder: &Folder, command: &str, how: &str) -> usize {
    let mut said = String::new();
    for deaths in 0..10 {
        let ranks = [2, 1, 3][deaths % 3];
        let begun = Instant::now();
        let run = poisoned(folder, folder.on(ranks, command), how).run();
        assert!(begun.elapsed() < AT_ONCE, "{how}: {run}");
        if run.code == Some(3) {
            println!("{how}: {deaths} deaths\n{said}");
            return deaths;
        }
        said += &run.stderr;
        assert_ne!(run.code, Some(0), "{how}: {run}");
        assert_ne!(run.code, Some(75), "{how}: {run}");
        // Nothing but the frame may be marked meanwhile.
        let failed = statuses(&folder.path("r.h5"))
            .iter()
            .filter(|s| **s > 1)
            .count();
        assert_eq!(failed, 0, "{how}: {run}");
    }
    panic!("{how}: it dies for ever");
}

/// All frames but the poisoned one are those of the undisturbed run.
#[track_caller]
fn assert_others_are_whole(folder: &Folder, result: &str) {
    let (found, whole) = (read(&folder.path(result)), read(&folder.path("whole.h5")));
    for i in 0..FRAMES {
        let forces = |r: &framewise::adapters::hdf5::result_block::ResultBlock| {
            bits(r.forces[r.offsets[i]..r.offsets[i + 1]].as_flattened())
        };
        if i == POISONED {
            assert_eq!((found.status[i], found.checksum[i]), (3, 0));
            assert!(found.energy[i].is_nan());
        } else {
            assert_eq!(
                (found.status[i], found.checksum[i]),
                (0, whole.checksum[i]),
                "{i}"
            );
            assert_eq!(found.energy[i].to_bits(), whole.energy[i].to_bits(), "{i}");
            assert_eq!(forces(&found), forces(&whole), "{i}");
        }
    }
}

/// The reason of the failed frame, as `status` lists it.
fn reason(folder: &Folder) -> String {
    let status = folder.alone("status r.h5 --failed --json").expect(0);
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    let failed = status["failures"].as_array().unwrap();
    assert_eq!(failed.len(), 1, "{status}");
    assert_eq!(failed[0]["frame"].as_u64(), Some(POISONED as u64));
    failed[0]["reason"].as_str().unwrap().to_owned()
}

/// Once every restart died in the same frame; the frame is now set aside after its second crash.
#[test]
fn a_frame_that_crashes_twice_is_set_aside_and_comes_back_when_it_is_retried() {
    let folder = folder();
    let command = format!("run in.h5 -o r.h5 -t 2 --oversubscribe {XTB}");
    for (how, what) in [
        ("null", "SIGSEGV"),
        ("abort", "SIGABRT"),
        ("stop", "the engine called exit"),
        ("stack", "SIGSEGV"),
    ] {
        assert_eq!(restart_until_it_ends(&folder, &command, how), 2, "{how}");
        assert_others_are_whole(&folder, "r.h5");
        let reason = reason(&folder);
        assert!(
            reason.contains("at 2 deaths of the job") && reason.contains(what),
            "{reason}"
        );
        assert!(
            !folder.path("r.h5.journal").exists(),
            "{how}: a journal is left"
        );
        folder.alone("verify r.h5").expect(0);
        // The same command does not try again by itself.
        poisoned(&folder, folder.on(2, &command), how).expect(3);
        if how != "stack" {
            fs::remove_file(folder.path("r.h5")).unwrap();
        }
    }
    // Nor does a retry that dies again: its second death counts, whatever the command.
    let retry = format!("{command} --retry failed");
    assert_eq!(restart_until_it_ends(&folder, &retry, "null"), 2);
    assert_others_are_whole(&folder, "r.h5");
    // And when the reason is gone, it is computed.
    folder.on(3, &retry).expect(0);
    assert_same(&folder.path("r.h5"), &folder.path("whole.h5"));
}

/// The out-of-memory killer leaves no word of which frame it was.
#[test]
fn a_frame_that_gets_the_job_killed_is_found_by_computing_it_alone() {
    let folder = folder();
    let command = format!("run in.h5 -o r.h5 -t 2 --oversubscribe {XTB}");
    for how in ["kill", "memory"] {
        let deaths = restart_until_it_ends(&folder, &command, how);
        assert!((5..=7).contains(&deaths), "{how}: {deaths} deaths");
        assert_others_are_whole(&folder, "r.h5");
        let reason = reason(&folder);
        assert!(reason.contains("killed; out of memory?"), "{reason}");
        fs::remove_file(folder.path("r.h5")).unwrap();
    }
}

/// An engine's helper thread has no frame of its own.
#[test]
fn a_crash_of_a_helper_thread_is_pinned_down_too() {
    let folder = folder();
    let command = format!("run in.h5 -o r.h5 -t 2 --oversubscribe {XTB}");
    let deaths = restart_until_it_ends(&folder, &command, "helper");
    assert!((2..=6).contains(&deaths), "{deaths} deaths");
    assert_others_are_whole(&folder, "r.h5");
    assert!(reason(&folder).contains("SIGFPE"));
}

#[test]
fn the_next_start_computes_the_suspect_after_all_others() {
    let folder = folder();
    // One frame at a time in their order, nothing committed before the crash.
    let command = format!("run in.h5 -o r.h5 -t 1 {XTB}");
    let died = poisoned(&folder, folder.alone(&command), "null").run();
    assert_eq!(died.signal, Some(11), "{died}");
    assert!(
        died.stderr
            .contains("error: the engine crashed (SIGSEGV) with frame 9 in hand"),
        "{died}"
    );
    let died = poisoned(&folder, folder.alone(&command), "null").run();
    assert_eq!(died.signal, Some(11), "{died}");
    assert!(
        died.stderr
            .contains("1 frame in hand when the job died: computed last"),
        "{died}"
    );
    let done = statuses(&folder.path("r.h5"));
    let open: Vec<_> = (0..FRAMES).filter(|i| done[*i] != 0).collect();
    assert_eq!(open, [POISONED]);
    // Two deaths are enough; a retry without poison clears its name.
    folder.alone(&command).expect(3);
    folder.alone(&format!("{command} --retry failed")).expect(0);
    assert_same(&folder.path("r.h5"), &folder.path("whole.h5"));
    assert!(!folder.path("r.h5.journal").exists());
}

#[test]
fn a_damaged_journal_is_said_and_ignored_and_one_of_another_job_is_ignored() {
    let folder = folder();
    let command = format!("run in.h5 -o r.h5 -t 1 {XTB}");
    let journal = folder.path("r.h5.journal");
    for garbage in [&b""[..], b"FWJOURN1", &[0xff; 9000]] {
        let died = poisoned(&folder, folder.alone(&command), "null").run();
        assert_eq!(died.signal, Some(11), "{died}");
        fs::write(&journal, garbage).unwrap();
    }
    let run = folder.alone(&command).expect(0);
    assert!(run.stderr.contains("not a journal of framewise"), "{run}");
    assert_same(&folder.path("r.h5"), &folder.path("whole.h5"));

    let died = poisoned(
        &folder,
        folder.alone(&format!("{command} --overwrite")),
        "null",
    )
    .run();
    assert_eq!(died.signal, Some(11), "{died}");
    let kept = fs::read(&journal).unwrap();
    folder.alone(&format!("{command} --overwrite")).expect(0);
    fs::write(&journal, kept).unwrap();
    let other = command.replace("gfn1", "gfn2") + " --overwrite";
    let run = folder.alone(&other).expect(0);
    assert!(!run.stderr.contains("when the job died"), "{run}");
    assert!(!journal.exists());
}

/// Four argon atoms with tens of thousands of images: frames of about 30 ms.
const LONG: &str =
    "-c lennard-jones -p epsilon=0.0104 -p sigma=3.4 -p cutoff=145 --checkpoint-interval 0.1";

/// Pages of the journal that are lost under a run (somebody empties the file, the disk is full) once would have been a
/// bus error at the next frame.
#[test]
fn a_run_survives_the_loss_of_its_journal() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_small_cell.xyz", 40, 4));
    folder
        .alone(&format!(
            "run in.h5 -o whole.h5 -t 2 --oversubscribe {LONG}"
        ))
        .expect(0);
    let mut run = folder
        .on(2, &format!("run in.h5 -o r.h5 -v -t 1 {LONG}"))
        .start();
    run.wait_for(" committed commit=1 ");
    let journal = folder.path("r.h5.journal");
    OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(&journal)
        .unwrap();
    run.finish().expect(0);
    assert_same(&folder.path("r.h5"), &folder.path("whole.h5"));
}

/// Kills that have nothing to do with any frame, again and again, early and late, of one rank or of all: a frame that
/// is set aside would be missing in the end.
#[test]
fn a_storm_of_kills_condemns_nobody() {
    let kills: u64 = std::env::var("FRAMEWISE_STORM").map_or(30, |n| n.parse().unwrap());
    let folder = Folder::new();
    let frames = perturbed("argon_small_cell.xyz", (12 * kills) as usize, 4);
    folder.import_frames("in", &frames);
    folder
        .alone(&format!(
            "run in.h5 -o whole.h5 -t 2 --oversubscribe {LONG}"
        ))
        .expect(0);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let mut killed = 0;
    for kill in 0..kills {
        let command = format!("run in.h5 -o r.h5 -v {LONG}");
        let mut run = if kill % 3 == 0 {
            folder.on(2, &format!("{command} -t 1")).start()
        } else {
            folder
                .alone(&format!("{command} -t 2 --oversubscribe"))
                .start()
        };
        run.wait_for(" to compute ");
        // Often before anything is committed.
        std::thread::sleep(Duration::from_millis(next(200)));
        let ranks = run.ranks();
        let first = next(ranks.len().max(1) as u64) as usize;
        for rank in ranks.into_iter().skip(first) {
            send(rank, Signal::KILL);
        }
        let run = run.finish();
        killed += usize::from(run.code != Some(0));
        assert_ne!(run.code, Some(3), "{run}");
        if run.code == Some(0) && statuses(&folder.path("r.h5")).iter().all(|s| *s == 0) {
            break;
        }
        assert!(!run.stderr.contains("is not computed again"), "{run}");
    }
    assert!(
        killed as u64 >= kills / 2,
        "only {killed} kills came in time"
    );
    folder.on(2, &format!("run in.h5 -o r.h5 {LONG}")).expect(0);
    assert_same(&folder.path("r.h5"), &folder.path("whole.h5"));
    assert!(bytes(&folder.path("r.h5")).len() >= 10);
    assert!(!folder.path("r.h5.journal").exists());
}
