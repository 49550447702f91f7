//! A signal at every point of a run at which a file changes: during creation, commit and close.
//!
//! As `crash_points.rs`, with a signal where that has death: the run stops in good order with exit code 75 (or it was
//! done anyway), what it leaves is a complete result or none and nothing beside it, and the same command completes the
//! job to the same bytes. A second signal at a later point ends it at once, by itself or, where it is stuck in a call,
//! by force; what that leaves is what a kill may leave.

mod support;

use std::cell::Cell;
use std::time::{Duration, Instant};

use framewise::adapters::hdf5::audit::audit;
use framewise::adapters::hdf5::create;
use framewise::adapters::hdf5::fingerprint::fingerprint;
use framewise::adapters::hdf5::geometry::Geometry;
use framewise::adapters::hdf5::input::Input;
use framewise::adapters::hdf5::result_reader::ResultReader;
use framewise::domain::error::{self, Error, GoOn};
use framewise::planning::frame_set::FrameSet;
use rustix::process::Signal;
use support::folder::Folder;
use support::job::{Job, Place, RESULT, end_of, to_the_end};
use support::launch::{Finished, Launch, send_if_there};
use support::mpi::Mpi;
use support::tap::{Strike, Tap, Victims};
use support::torture::{Complaint, Dice, Spoiled, Tally, factor, require, shortest};

const SIGNALS: [Signal; 5] = [
    Signal::TERM,
    Signal::INT,
    Signal::USR1,
    Signal::USR2,
    Signal::XCPU,
];
/// A second signal: two seconds for a process that does not hear it and ten for one that does, and some for a machine
/// with other work.
const AT_ONCE: Duration = Duration::from_secs(14);

/// Where signals come.
#[derive(Clone, Copy, Debug)]
struct Point {
    event: u64,
    again: Option<u64>,
    signal: Signal,
    victims: Victims,
    ranks: usize,
}

/// What an undisturbed run does, in order.
fn events(job: &Job, ranks: usize) -> Vec<char> {
    let events: Vec<char> = shortest(|k| {
        let place = job.place(format!("count-{ranks}-{k}"));
        let tap = place.tap().logged();
        tap.put_on(place.launch(ranks, "")).expect(0);
        tap.log().iter().map(|event| event.kind).collect()
    });
    assert!(events.len() > 40, "{events:?}");
    events
}

/// The last event of the creation by rank 0, the sync after the reservation and the fill; until then it can be left.
fn creation(events: &[char]) -> u64 {
    let reserved = events.iter().position(|kind| *kind == 'a').unwrap();
    let synced = events[reserved..].iter().position(|kind| *kind == 's');
    (reserved + synced.unwrap() + 1) as u64
}

fn points(events: &[char], victims: Victims, ranks: usize) -> Vec<Point> {
    (1..=events.len() as u64)
        .map(|event| Point {
            event,
            again: None,
            signal: SIGNALS[event as usize % SIGNALS.len()],
            victims,
            ranks,
        })
        .collect()
}

/// Stopped in good order: a complete result or none, and nothing beside it.
fn in_good_order(place: &Place<'_>, job: &Job, run: &Finished) -> Result<(), Complaint> {
    let known = matches!(run.code, Some(0 | 75)) && !run.stderr.contains("error: ");
    require(known, Spoiled::Wrong, run)?;
    let held = place.look_after(run, None)?;
    let all = held.as_ref().is_some_and(|h| h.count() == job.frames());
    require((run.code == Some(0)) <= all, Spoiled::Wrong, run)?;
    let mut left = place.names();
    left.retain(|name| name != "m.json");
    let expected: &[&str] = match held {
        None => &["in.h5"],
        Some(_) => &["in.h5", RESULT],
    };
    let what = format!("left behind: {left:?} {run}");
    require(left == expected, Spoiled::Wrong, what)?;
    if held.is_some() {
        let verified = to_the_end(Launch::alone(&place.path(".")).args("verify r.h5"))?;
        require(verified.code == Some(0), Spoiled::Wrong, verified)?;
    }
    place.complete(3 - run_ranks(run), held.as_ref())
}

/// One or two.
fn run_ranks(run: &Finished) -> usize {
    1 + usize::from(run.to_string().starts_with("2 ranks"))
}

/// A signal at a point. `Ok(false)` when the run ended before it got there: the number of commits depends on the clock.
fn signal_at(job: &Job, index: usize, point: &Point, created: u64) -> Result<bool, Complaint> {
    let place = job.place(format!("{}-{index}", point.ranks));
    let strike = Strike::Signal(point.signal, point.victims);
    let tap = place.tap().strike(strike, point.event);
    let run = to_the_end(tap.put_on(place.launch(point.ranks, "")))?;
    if tap.fired().is_none() {
        require(run.code == Some(0), Spoiled::Wrong, run)?;
        return Ok(false);
    }
    if point.event <= created {
        // A thread of its own hears it: where there are no cores for all, the small creation may be over by then. No frame
        // is computed in any case.
        let none = run.stdout.contains("no frame computed;");
        let left = run.code == Some(75) && (none || !place.path(RESULT).exists());
        let what = format!("not stopped before the first frame: {run}");
        require(left, Spoiled::Wrong, what)?;
    }
    in_good_order(&place, job, &run)?;
    Ok(true)
}

#[test]
fn a_signal_at_every_point_of_a_run_stops_it_in_good_order() {
    let job = Job::small();
    let events = events(&job, 1);
    let mut points = points(&events, Victims::One, 1);
    let created = creation(&events);
    // The ordinary suite takes all of the creation, and every other one of the commits, which are all alike.
    points.retain(|p| factor() > 0 || p.event <= created || p.event % 2 == 0);
    let tally = Tally::of("signals");
    tally.each(3, &points, |i, point| signal_at(&job, i, point, created));
    // How many commits a run makes depends on the clock: not every one gets to the last points, but all are created.
    let creating = points.iter().filter(|p| p.event <= created).count();
    tally.finish(creating + (points.len() - creating) / 4);
}

#[test]
fn a_signal_to_one_rank_or_to_all_at_points_of_a_run_on_two_stops_it_in_good_order() {
    let job = Job::small();
    let events = events(&job, 2);
    let mut all = points(&events, Victims::One, 2);
    all.extend(points(&events, Victims::All, 2));
    if factor() == 0 {
        let mut dice = Dice(all.len() as u64);
        all = (0..20).map(|_| all[dice.below(all.len())]).collect();
    }
    let created = creation(&events);
    let tally = Tally::of("signals");
    tally.each(2, &all, |i, point| signal_at(&job, i, point, created));
    tally.finish(all.len() / 2);
}

/// The process is gone soon, and whatever it left, the same command goes on.
fn signals_at(job: &Job, index: usize, point: &Point) -> Result<bool, Complaint> {
    let place = job.place(format!("{}-{index}", point.ranks));
    let strike = Strike::Signal(point.signal, point.victims);
    let tap = place.tap().strike(strike, point.event);
    let tap = tap.again(point.again.unwrap());
    let begun = Instant::now();
    let run = to_the_end(tap.put_on(place.launch(point.ranks, "")))?;
    if tap.fired_again().is_none() {
        // Stopped, or done, before the second one.
        in_good_order(&place, job, &run)?;
        return Ok(false);
    }
    let took = begun.elapsed();
    let what = format!("{took:?}: {run}");
    require(took < AT_ONCE, Spoiled::Hung, what)?;
    require(matches!(run.code, Some(0 | 1 | 75)), Spoiled::Wrong, &run)?;
    let held = place.look_after(&run, None)?;
    place.complete(3 - point.ranks, held.as_ref())?;
    Ok(true)
}

#[test]
fn a_second_signal_at_a_later_point_ends_the_run_at_once() {
    let job = Job::small();
    let mut all = Vec::new();
    for ranks in [1, 2] {
        let events = events(&job, ranks);
        for mut point in points(&events, Victims::All, ranks) {
            for later in [1, 2, 4, 7, 11] {
                point.again = Some(point.event + later);
                all.push(point);
            }
        }
    }
    if factor() == 0 {
        let mut dice = Dice(all.len() as u64);
        all = (0..30).map(|_| all[dice.below(all.len())]).collect();
    }
    let tally = Tally::of("second signals");
    tally.each(3, &all, |i, point| signals_at(&job, i, point));
    // After the first one a run makes few more calls.
    tally.finish(all.len() / 4);
}

/// A call to a dead file server does not come back, whatever signals come; two of them end the process all the same.
fn stuck_at(job: &Job, index: usize, (event, ranks): (u64, usize)) -> Result<bool, Complaint> {
    let place = job.place(format!("{ranks}-{index}"));
    let tap: Tap = place.tap().strike(Strike::Delay(60), event);
    let run = tap.put_on(place.launch(ranks, "")).start();
    let begun = Instant::now();
    while tap.fired().is_none() {
        let waited = begun.elapsed() < Duration::from_secs(30);
        require(waited, Spoiled::Wrong, "the event never came")?;
        std::thread::sleep(Duration::from_millis(20));
    }
    let pids = run.ranks();
    let begun = Instant::now();
    for pause in [700, 0] {
        for pid in &pids {
            send_if_there(*pid, Signal::TERM);
        }
        std::thread::sleep(Duration::from_millis(pause));
    }
    let run = end_of(run)?;
    let took = begun.elapsed();
    require(took < AT_ONCE, Spoiled::Hung, format!("{took:?}: {run}"))?;
    // Hydra ends the ranks of a job that was aborted with SIGKILL, perhaps before the one that did it has left with its code.
    let code = match run.code {
        Some(1) => true,
        Some(9) => ranks > 1 && Mpi::linked() == Mpi::Mpich,
        _ => false,
    };
    let forced = code && run.stderr.contains("a second signal: ended at once");
    require(forced, Spoiled::Wrong, &run)?;
    let held = place.look_after(&run, None)?;
    place.complete(3 - ranks, held.as_ref())?;
    Ok(true)
}

#[test]
fn a_process_that_is_stuck_in_a_call_ends_at_the_second_signal() {
    let job = Job::small();
    let mut all = Vec::new();
    for ranks in [1, 2] {
        let events = events(&job, ranks);
        let of = |kind: char| (1u64..).zip(&events).filter(move |(_, k)| **k == kind);
        let written = creation(&events);
        // In the fill of the creation, in its sync, and a write and a sync of an early commit.
        let early = of('w').find(|(event, _)| event + 3 > written);
        let sync = of('s').find(|(event, _)| *event == written);
        let write = of('w').find(|(event, _)| *event > written + 30);
        let commit = of('s').find(|(event, _)| *event > written + 30);
        let found = [early, sync, write, commit].into_iter().flatten();
        all.extend(found.map(|(event, _)| (event, ranks)));
    }
    assert_eq!(all.len(), 8, "{all:?}");
    let tally = Tally::of("stuck");
    tally.each(2, &all, |i, point| stuck_at(&job, i, *point));
    tally.finish(8);
}

/// A trajectory of zeros that takes no room; its result takes 960 MB, its positions, copied, as much again.
fn write_large(path: &std::path::Path) {
    let file = hdf5::File::create(path).unwrap();
    let particles = file.create_group("particles/trajectory").unwrap();
    let position = particles.create_group("position").unwrap();
    let values = position.new_dataset::<f64>().shape((20_000, 2000, 3));
    values.create("value").unwrap();
    let species = particles.new_dataset::<i32>().shape((2000,));
    let species = species.create("species").unwrap();
    species.write_raw(&[18i32; 2000]).unwrap();
}

/// HDF5 filled a large result in one call: for as long as that took, nobody heard that the job should stop.
#[test]
fn a_signal_during_the_creation_of_a_large_result_is_heard_at_once() {
    let folder = Folder::new();
    write_large(&folder.path("in.h5"));
    for (geometry, event, ranks) in [("link", 60, 1), ("link", 60, 2), ("copy", 60, 1)] {
        let strike = Strike::Signal(Signal::TERM, Victims::All);
        let tap = Tap::on(&folder.path("r.h5"))
            .kinds("w")
            .strike(strike, event);
        let arguments = format!("run in.h5 -o r.h5 -c null --geometry {geometry}");
        let launch = match ranks {
            1 => folder.alone(&arguments),
            _ => folder.on(ranks, &arguments),
        };
        let stopped = tap.put_on(launch).expect(75);
        stopped.says(
            "asked to stop before the end, and nothing more was done; run the same command again",
        );
        assert_eq!(tap.fired(), Some(event));
        // The lock is given back in some small writes; the fill alone is 900, of which a busy machine lets a few pass
        // before the thread that hears signals has its turn.
        let after = tap.events() - event;
        assert!(after < 60, "{geometry}: {after} writes after the signal");
        assert_eq!(folder.names(), ["in.h5"]);
    }
}

/// Reading is left as well: the fingerprint of the input, and the results of earlier runs that are looked at again.
#[test]
fn a_creation_and_a_recheck_are_left_whenever_somebody_asks() {
    let job = Job::small();
    let place = job.place("left");
    let result = place.path("new.h5");
    let mut input = Input::open(&place.path("in.h5"), None).unwrap();
    let left_at = |most: usize, act: &mut dyn FnMut(GoOn<'_>) -> bool| {
        let asked = Cell::new(0);
        act(&|| {
            asked.set(asked.get() + 1);
            if asked.get() > most {
                Err(Error::stopped())
            } else {
                Ok(())
            }
        })
    };
    let is_stopped = |error: Error| assert_eq!(error.kind, error::Kind::Stopped, "{error}");
    let mut questions = 0;
    while !left_at(questions, &mut |go_on| {
        let created = create::create(&result, &mut input, Geometry::Copy, go_on);
        created.map_err(is_stopped).is_ok()
    }) {
        assert_eq!(place.names(), ["in.h5"], "{questions}");
        questions += 1;
    }
    // Time axis, positions, six datasets, the end.
    assert!(questions >= 9, "{questions}");
    assert!(!left_at(0, &mut |go_on| {
        fingerprint(&mut input, go_on).map_err(is_stopped).is_ok()
    }));
    let reader = ResultReader::open(job.whole()).unwrap();
    let all = FrameSet::all(reader.n_frames());
    assert!(!left_at(0, &mut |go_on| {
        audit(&reader, &all, go_on).map_err(is_stopped).is_ok()
    }));
}
