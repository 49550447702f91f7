//! Power failures: runs are recorded, the states are rebuilt in which the disk could be found afterwards, and the
//! program goes on from each.
//!
//! Whatever arrived of the writes since the last sync, a frame whose state says "completed" is right, every frame that
//! was committed and synced is completed, and the same command makes of it what an undisturbed run makes.

mod support;

use std::collections::BTreeSet;

use support::job::{Held, Job, Place, RESULT};
use support::power::{Disk, State};
use support::tap::{Event, Fault, Strike};
use support::torture::{Complaint, Dice, Spoiled, Tally, factor, require, sample};

/// States of each story that the ordinary suite looks at.
const SAMPLE: usize = 24;

/// A recorded run: what it began with, what it did.
struct Story {
    name: &'static str,
    before: State,
    log: Vec<Event>,
    /// Further arguments of the run, and of the one that goes on.
    more: &'static str,
    /// Frames completed before it began.
    completed: usize,
}

/// A state to go on from, and what had been synced by then.
struct Scene {
    state: State,
    synced: usize,
}

impl std::fmt::Debug for Scene {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "state {:016x}", self.state.hash())
    }
}

fn record(
    job: &Job,
    name: &'static str,
    ranks: usize,
    prepare: impl FnOnce(&Place<'_>),
    (more, strike, code): (&'static str, Option<(Strike, u64)>, i32),
) -> Story {
    let place = job.place(name);
    prepare(&place);
    let there = place.path(RESULT).exists();
    let names: &[&str] = if there { &[RESULT] } else { &[] };
    let before = State::of(&place.path("."), names);
    let held = place.look().unwrap();
    let mut tap = place.tap().logged();
    if let Some((strike, event)) = strike {
        tap = tap.strike(strike, event).kinds("w");
    }
    tap.put_on(place.launch(ranks, more)).expect(code);
    Story {
        name,
        before,
        log: tap.log(),
        more,
        completed: held.map_or(0, |held| held.count()),
    }
}

/// `"committed":N` of a line of the history.
fn claim(event: &Event) -> Option<usize> {
    let text = String::from_utf8_lossy(&event.bytes);
    let number = text.split_once("\"committed\":")?.1;
    number
        .split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

/// What a state holds, and whether that is right.
fn held(job: &Job, name: &str, state: &State) -> Result<Option<Held>, Complaint> {
    let place = job.place(name);
    state.write_to(&place.path("."));
    place.look()
}

/// All states of the story, and the number of frames that had been synced in each; checks on the way that the program
/// never claims more to be committed than has been synced.
fn scenes(job: &Job, story: &Story) -> Vec<Scene> {
    let mut dice = Dice(7);
    let (mut seen, mut scenes) = (BTreeSet::new(), Vec::new());
    let mut disk = Disk::with(story.before.clone());
    let synced = |disk: &Disk| {
        let held = held(job, &format!("{}-synced", story.name), &disk.synced);
        held.unwrap_or_else(|(_, why)| panic!("{}: {why}", story.name))
            .map_or(0, |held| held.count())
    };
    let mut now = synced(&disk);
    for (i, event) in story.log.iter().enumerate() {
        if let Some(claimed) = claim(event).filter(|_| story.more.is_empty()) {
            let least = story.completed + claimed;
            assert!(
                now >= least,
                "{}: {least} frames claimed, {now} synced",
                story.name
            );
        }
        let last = i + 1 == story.log.len();
        if last {
            disk.take(event);
        }
        if event.kind == 's' || last {
            // Resets make completed frames undefined.
            let fresh = disk.states(8 * factor(), &mut dice);
            let fresh = fresh.into_iter().filter(|state| seen.insert(state.hash()));
            scenes.extend(fresh.map(|state| Scene { state, synced: now }));
        }
        if !last {
            disk.take(event);
        }
        if event.kind == 's' {
            now = synced(&disk);
        }
    }
    scenes
}

/// Goes on from a state.
fn go_on(job: &Job, story: &Story, index: usize, scene: &Scene) -> Result<bool, Complaint> {
    let place = job.place(format!("{}-{index}", story.name));
    scene.state.write_to(&place.path("."));
    let held = place.look()?;
    if story.more.is_empty() {
        let count = held.as_ref().map_or(0, Held::count);
        let what = format!("{} frames had been synced, {count} are there", scene.synced);
        require(count >= scene.synced, Spoiled::Lost, what)?;
        place.complete(1, held.as_ref())?;
    } else {
        // How much of it was done again may have been forgotten.
        place.complete_with(1, None, story.more)?;
    }
    Ok(true)
}

#[test]
fn whatever_a_power_failure_leaves_is_completed_to_the_same_bytes() {
    let job = Job::small();
    let nothing = |_: &Place<'_>| ();
    let some = |place: &Place<'_>| {
        place.launch(1, "--frames 3:11").expect(0);
    };
    let all = |place: &Place<'_>| {
        place.launch(1, "").expect(0);
    };
    let plain = ("", None, 0);
    let failing = Strike::Fault(Fault::Io, true);
    let stories = [
        record(&job, "alone", 1, nothing, plain),
        record(&job, "two", 2, nothing, plain),
        record(&job, "resumed", 1, some, plain),
        record(&job, "overwritten", 1, all, ("--overwrite", None, 0)),
        record(&job, "broken", 1, nothing, ("", Some((failing, 40)), 1)),
    ];
    let tally = Tally::of("states");
    let mut least = 0;
    for story in &stories {
        let scenes = scenes(&job, story);
        assert!(
            scenes.len() > 2 * SAMPLE,
            "{}: {}",
            story.name,
            scenes.len()
        );
        let scenes = sample(scenes, SAMPLE, 60);
        least += scenes.len();
        tally.each(3, &scenes, |i, scene| go_on(&job, story, i, scene));
    }
    tally.finish(least);
}
