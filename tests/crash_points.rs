//! Death at every point of a run at which a file changes.
//!
//! Two passes, as redb has them: the first counts the points (writes, syncs, renames, links, creations...) of a run
//! that creates its result, commits several times and closes; the second kills a run at each of them: before it, after
//! half of it, after it, one rank or all. What is left is looked at, then the same command on another number of ranks
//! must complete it to the same bytes.

mod support;

use std::collections::BTreeSet;
use std::path::PathBuf;

use support::job::{Job, to_the_end, was_killed};
use support::tap::{Moment, Strike, Victims};
use support::torture::{Complaint, Spoiled, Tally, factor, require, sample, shortest};

/// Where death comes.
#[derive(Clone, Copy, Debug)]
struct Point {
    event: u64,
    moment: Moment,
    victims: Victims,
    /// Ranks of the run that dies, and of the one that completes it.
    ranks: (usize, usize),
}

/// The events of an undisturbed run on so many ranks: their kinds, and the bytes they write.
fn events(job: &Job, ranks: usize) -> Vec<(char, usize)> {
    let log = shortest(|k| {
        let place = job.place(format!("count-{ranks}-{k}"));
        let tap = place.tap().logged();
        tap.put_on(place.launch(ranks, "")).expect(0);
        tap.log()
    });
    assert!(log.iter().filter(|e| e.kind == 'w').count() > 30);
    assert!(log.iter().filter(|e| e.kind == 's').count() > 8);
    assert!(log.iter().any(|e| e.kind == 'r') && log.iter().any(|e| e.kind == 'a'));
    log.iter().map(|e| (e.kind, e.bytes.len())).collect()
}

/// Kills a run at a point, then completes the job. `Ok(false)` when the run ended before it got there: the number of
/// commits depends on the clock.
fn die_at(job: &Job, index: usize, point: &Point) -> Result<bool, Complaint> {
    let place = job.place(format!("{}-{index}", point.ranks.0));
    let strike = Strike::Kill(point.moment, point.victims);
    let tap = place.tap().strike(strike, point.event);
    let killed = to_the_end(tap.put_on(place.launch(point.ranks.0, "")))?;
    if tap.fired().is_none() {
        require(killed.code == Some(0), Spoiled::Wrong, killed)?;
        return Ok(false);
    }
    require(was_killed(&killed, point.ranks.0), Spoiled::Wrong, &killed)?;
    let held = place.look_after(&killed, None)?;
    place.complete(point.ranks.1, held.as_ref())?;
    Ok(true)
}

/// Before each event and in the middle of each write; `after` every event as well.
fn points(
    events: &[(char, usize)],
    victims: Victims,
    ranks: (usize, usize),
    after: bool,
) -> Vec<Point> {
    let mut points = Vec::new();
    for (event, (kind, bytes)) in (1..).zip(events) {
        let mut add = |moment| {
            points.push(Point {
                event,
                moment,
                victims,
                ranks,
            });
        };
        add(Moment::Before);
        if *kind == 'w' && *bytes > 1 {
            add(Moment::Torn);
        }
        // For one process this is before the next event, unless there is none.
        if after || event == events.len() as u64 {
            add(Moment::After);
        }
    }
    points
}

#[test]
fn death_at_every_point_of_a_run_costs_nothing_that_was_committed() {
    let job = Job::small();
    let mut points = points(&events(&job, 1), Victims::One, (1, 2), false);
    if factor() == 0 {
        // Before every event, and in the middle of every third write.
        points.retain(|point| point.moment != Moment::Torn || point.event.is_multiple_of(3));
    }
    for (i, point) in points.iter_mut().enumerate() {
        point.ranks.1 = 2 + i % 2;
    }
    let tally = Tally::of("kills");
    tally.each(3, &points, |i, point| die_at(&job, i, point));
    // The first pass may have met a busier machine, and committed more often: later points are not met then.
    tally.finish(points.len() / 3);
}

#[test]
fn death_of_one_rank_or_of_all_at_points_of_a_run_on_two_costs_nothing_that_was_committed() {
    let job = Job::small();
    let events = events(&job, 2);
    let mut all = points(&events, Victims::One, (2, 1), true);
    all.extend(points(&events, Victims::All, (2, 3), true));
    let all = sample(all, 24, 120);
    let tally = Tally::of("kills");
    tally.each(2, &all, |i, point| die_at(&job, i, point));
    tally.finish(all.len() / 3);
}

/// A power failure, and a kill at the right moment, left `r.h5.locktest.0` beside the result for ever: Open MPI's I/O
/// layer had made it when the file was opened, to see whether locks work.
#[test]
fn open_mpi_tries_no_locks_beside_the_result() {
    let job = Job::small();
    let place = job.place("files");
    let tap = place.tap().logged();
    tap.put_on(place.launch(2, "")).expect(0);
    let paths: BTreeSet<_> = tap.log().into_iter().map(|event| event.path).collect();
    assert!(paths.contains(&place.path("r.h5.creating")), "{paths:?}");
    let tried = |path: &PathBuf| path.display().to_string().contains("locktest");
    assert!(!paths.iter().any(tried), "{paths:?}");
}
