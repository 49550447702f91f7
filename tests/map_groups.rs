//! Several jobs on the same rows in one result of `framewise map`: returned, resumed, or given a group of their own, as
//! pyUSID's `Process` has it; and a kill at any moment in between.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use support::folder::Folder;
use support::launch::Launch;
use support::results::{bytes, statuses};
use support::tap::{Moment, Strike, Tap, Victims};
use support::torture::sample;

const A: &str = "map scan.h5 --dataset signals --kernel fft-filter -p low-pass=0.2 -o r.h5";
const B: &str = "map scan.h5 --dataset signals --kernel fft-filter -p low-pass=0.3 -o r.h5";
const OTHER: &str = "map scan.h5 --dataset signals --kernel statistics -o r.h5";
const OF_A: &str = "/signals-FFT_Filter_000/";
const OF_B: &str = "/signals-FFT_Filter_001/";
const OF_OTHER: &str = "/signals-Statistics_000/";

fn folder() -> Folder {
    let folder = Folder::new();
    folder.bring("scan.h5");
    folder
}

/// The bytes of the datasets of one group, by name.
fn of(path: &Path, group: &str) -> BTreeMap<String, Vec<u8>> {
    let all = bytes(path).into_iter();
    let mine = all.filter_map(|(name, bytes)| Some((name.strip_prefix(group)?.to_owned(), bytes)));
    let mine: BTreeMap<_, _> = mine.collect();
    assert!(mine.len() > 5, "{group} in {}", path.display());
    mine
}

/// What `command` gives in a file of its own.
fn own(folder: &Folder, command: &str, group: &str) -> BTreeMap<String, Vec<u8>> {
    let elsewhere = command.replace("-o r.h5", "-o own.h5");
    folder.alone(&elsewhere).expect(0);
    let found = of(&folder.path("own.h5"), group);
    fs::remove_file(folder.path("own.h5")).unwrap();
    found
}

#[test]
fn other_parameters_get_a_group_and_each_command_finds_its_own_again() {
    let folder = folder();
    let result = folder.path("r.h5");
    let [a, b] = [A, B].map(|command| own(&folder, command, OF_A));
    let other = own(&folder, OTHER, OF_OTHER);
    assert!(a != b);

    folder.on(2, &format!("{A} --rows 0:20")).expect(0);
    folder
        .on(2, &format!("{B} --rows 5:9"))
        .expect(0)
        .says("parameter low-pass 0.2, not 0.3: these results get a group of their own");
    folder
        .alone(OTHER)
        .expect(0)
        .says("kernel fft-filter, not statistics");
    assert!(of(&result, OF_OTHER) == other);
    // Both were partial, and go on where they were.
    let again = folder.on(3, B).expect(0);
    assert!(
        again
            .stdout
            .contains(": 37 completed; 0 of 41 selected rows left"),
        "{again}"
    );
    let again = folder.alone(A).expect(0);
    assert!(
        again
            .stdout
            .contains(": 21 completed; 0 of 41 selected rows left"),
        "{again}"
    );
    for (group, expected) in [(OF_A, &a), (OF_B, &b), (OF_OTHER, &other)] {
        assert!(of(&result, group) == *expected, "{group}");
    }
    folder.alone("verify r.h5").expect(0);
    let status = folder.alone("status r.h5").expect(0);
    for text in [
        "results in /signals-FFT_Filter_000",
        "also holds",
        "/signals-FFT_Filter_000",
    ] {
        assert!(status.stdout.contains(text), "no {text:?}: {status}");
    }
    // Finished ones are returned, and none of them is made anew.
    for command in [A, B, OTHER, A] {
        let again = folder.on(2, command).expect(0);
        assert!(again.stdout.contains("0 rows computed"), "{again}");
    }
    let file = hdf5::File::open(&result).unwrap();
    let mut names = file.member_names().unwrap();
    names.retain(|name| name.starts_with("signals"));
    names.sort();
    let expected = [OF_A, OF_B, OF_OTHER].map(|group| group.trim_matches('/'));
    assert_eq!(names, expected);
    assert_eq!(folder.names(), ["r.h5", "scan.h5"]);
}

#[test]
fn overwriting_a_group_leaves_the_others_alone() {
    let folder = folder();
    let result = folder.path("r.h5");
    folder.alone(A).expect(0);
    folder.alone(B).expect(0);
    let before = (of(&result, OF_A), of(&result, OF_B));
    let again = folder.on(2, &format!("{A} --overwrite")).expect(0);
    assert!(
        again
            .stdout
            .contains(": 41 completed; 0 of 41 selected rows left"),
        "{again}"
    );
    assert!(before == (of(&result, OF_A), of(&result, OF_B)));
}

#[test]
fn other_rows_other_verbs_and_shared_results_are_refused() {
    let folder = folder();
    let result = folder.path("r.h5");
    folder.alone(A).expect(0);
    let before = fs::read(&result).unwrap();
    folder
        .on(
            2,
            "map scan.h5 --dataset odd --kernel fft-filter -p low-pass=0.2 -o r.h5",
        )
        .expect(1)
        .error("dataset /signals, not /odd");
    folder
        .on(2, &format!("{B} --share"))
        .expect(1)
        .error("groups are not added to it under --share");
    folder.bring("argon.xyz");
    folder.import("argon");
    folder
        .alone("run argon.h5 --calculator null -o r.h5")
        .expect(1)
        .error("another verb");
    assert!(fs::read(&result).unwrap() == before);
}

/// The command under a tap that may kill it.
fn tapped(folder: &Folder, ranks: usize, command: &str, tap: &Tap) -> Launch {
    let launch = match ranks {
        1 => folder.alone(command),
        _ => folder.on(ranks, command),
    };
    tap.put_on(launch)
}

/// Whatever is left of a kill, results that were there are there, and both commands find theirs.
#[test]
fn kills_while_a_group_is_added_or_brought_forward_spoil_nothing() {
    let folder = folder();
    let result = folder.path("r.h5");
    let [a, b] = [A, B].map(|command| own(&folder, command, OF_A));
    let partial = format!("{B} --rows 3:30");
    for (first, killed) in [(vec![A], B), (vec![A, partial.as_str()], A)] {
        for command in first {
            folder.alone(command).expect(0);
        }
        let before = folder.path("before.h5");
        fs::rename(&result, &before).unwrap();
        fs::copy(&before, &result).unwrap();
        let tap = Tap::on(&result).logged();
        tapped(&folder, 1, killed, &tap).expect(0);
        let recorded = tap.log();
        assert!(recorded.len() > 8, "{} events", recorded.len());
        let events = sample((1..=recorded.len() as u64).collect(), 8, usize::MAX);
        let mut fired = 0;
        for (k, event) in events.into_iter().enumerate() {
            fs::copy(&before, &result).unwrap();
            let moment = if k % 2 == 0 {
                Moment::Before
            } else {
                Moment::Torn
            };
            let tap = Tap::on(&result).strike(Strike::Kill(moment, Victims::All), event);
            let died = tapped(&folder, 1 + k % 3 / 2, killed, &tap).run();
            assert!(tap.fired().is_none() || died.code != Some(0), "{died}");
            fired += usize::from(tap.fired().is_some());
            // What was finished is there, whatever became of the rest.
            assert!(of(&result, OF_A) == a, "event {event}: {died}");
            statuses(&result);
            folder.alone(B).expect(0);
            folder.alone(A).expect(0);
            assert!(
                of(&result, OF_A) == a && of(&result, OF_B) == b,
                "event {event}"
            );
            folder.alone("verify r.h5").expect(0);
            assert_eq!(
                folder.names(),
                ["before.h5", "r.h5", "scan.h5"],
                "event {event}"
            );
        }
        assert!(fired > 3, "{fired} kills");
        fs::remove_file(&result).unwrap();
    }
}
