//! Every write, sync, rename and reservation of a small run fails once, or from then on; or it writes only half, and
//! says so or says it wrote everything.
//!
//! Whatever fails, the run ends with one clear line and exit code 1 (or the layer below has tried again and it is
//! complete), nothing that was committed is lost, a creation that failed leaves nothing behind, and the same command
//! completes the job to the same bytes once the disk is well again.

mod support;

use support::job::{Job, RESULT, to_the_end};
use support::mpi::Mpi;
use support::tap::{Fault, Strike};
use support::torture::{Complaint, Spoiled, Tally, factor, require, sample, shortest};

/// Writes, syncs, reservations and renames.
const KINDS: &str = "wsar";

/// A lie is told by a layer between MPI and the disk; it is believed at creation, where the program writes by itself.
const FAULTS: [(Fault, bool); 7] = [
    (Fault::NoSpace, false),
    (Fault::Io, false),
    (Fault::Short, false),
    (Fault::Lie, false),
    (Fault::NoSpace, true),
    (Fault::Io, true),
    (Fault::Lie, true),
];

#[derive(Clone, Copy, Debug)]
struct Injection {
    event: usize,
    fault: Fault,
    always: bool,
    ranks: usize,
    /// The only rank whose disk is ill.
    rank: Option<usize>,
    /// Open MPI's I/O component, if not its own choice.
    io: Option<&'static str>,
}

fn inject(job: &Job, index: usize, injection: &Injection) -> Result<bool, Complaint> {
    let Injection { event, ranks, .. } = *injection;
    let place = job.place(index);
    let strike = Strike::Fault(injection.fault, injection.always);
    let mut tap = place.tap().kinds(KINDS).strike(strike, event as u64);
    if let Some(rank) = injection.rank {
        tap = tap.rank(rank);
    }
    let launch = |more| {
        let launch = place.launch(ranks, more);
        match injection.io {
            Some(io) => launch.variable("OMPI_MCA_io", io),
            None => launch,
        }
    };
    let run = to_the_end(tap.put_on(launch("")))?;
    if tap.fired().is_none() {
        require(run.code == Some(0), Spoiled::Wrong, run)?;
        return Ok(false);
    }
    let errors = run.stderr.lines().filter(|l| l.starts_with("error: "));
    let expected = match run.code {
        Some(0) => 0,
        Some(1) => 1,
        _ => usize::MAX,
    };
    let clear = errors.count() == expected && !run.stderr.contains("panicked");
    require(clear, Spoiled::Wrong, format!("not one clear error: {run}"))?;
    let held = place.look_after(&run, None)?;
    let mut left = place.names();
    // A rank that ends the job because rank 0 waits for ever cannot let go for it; the next run follows the dead owner,
    // and reads in the journal what was written last.
    let may_stay = |name: &str| match name {
        "m.json" => true,
        "r.h5.lock" => ranks > 1,
        "r.h5.journal" => held.is_some(),
        _ => false,
    };
    left.retain(|name| !may_stay(name));
    let expected: &[&str] = match held {
        None => &["in.h5"],
        Some(_) => &["in.h5", RESULT],
    };
    let what = format!("left behind: {left:?} {run}");
    require(left == expected, Spoiled::Wrong, what)?;
    place.complete(ranks, held.as_ref())?;
    Ok(true)
}

/// What an undisturbed run does, in order.
fn events(job: &Job, ranks: usize, io: Option<&'static str>) -> Vec<char> {
    let events = shortest(|k| {
        let place = job.place(format!("count-{k}"));
        let tap = place.tap().logged();
        let mut launch = place.launch(ranks, "");
        if let Some(io) = io {
            launch = launch.variable("OMPI_MCA_io", io);
        }
        tap.put_on(launch).expect(0);
        let kinds = tap.log().into_iter().map(|event| event.kind);
        kinds.filter(|kind| KINDS.contains(*kind)).collect()
    });
    assert!(events.len() > 40, "{events:?}");
    events
}

/// Can this go wrong at this event?
fn applies(fault: Fault, event: usize, events: &[char]) -> bool {
    // The first sync after the reservation ends what the program writes by itself.
    let reserved = events.iter().position(|kind| *kind == 'a').unwrap();
    let synced = events[reserved..].iter().position(|kind| *kind == 's');
    let alone = reserved + synced.unwrap();
    match fault {
        Fault::NoSpace | Fault::Io => true,
        Fault::Short => events[event - 1] == 'w',
        Fault::Lie => events[event - 1] == 'w' && event > alone,
    }
}

#[test]
fn whatever_call_fails_without_a_launcher_costs_nothing_that_was_committed() {
    let job = Job::small();
    let mut injections = Vec::new();
    let events = events(&job, 1, None);
    for event in 1..=events.len() {
        for (i, (fault, always)) in FAULTS.into_iter().enumerate() {
            // The ordinary suite gives each call some of the faults, the torture more of them.
            let near = factor() > 1 || (i + event).is_multiple_of(4 >> factor());
            if near && applies(fault, event, &events) {
                injections.push(Injection {
                    event,
                    fault,
                    always,
                    ranks: 1,
                    rank: None,
                    io: None,
                });
            }
        }
    }
    let tally = Tally::of("errors");
    tally.each(3, &injections, |i, injection| inject(&job, i, injection));
    // How often a run commits depends on the clock, and with it how many events there are.
    tally.finish(injections.len() / 3);
}

fn on_two_ranks(io: Option<&'static str>) {
    let job = Job::small();
    let mut injections = Vec::new();
    let events = events(&job, 2, io);
    for event in 1..=events.len() {
        for (fault, always) in FAULTS {
            for rank in [None, Some(0), Some(1)] {
                // Rank 0 alone: its events are not those of both.
                if !applies(fault, event, &events) || (fault == Fault::Lie && rank == Some(0)) {
                    continue;
                }
                injections.push(Injection {
                    event,
                    fault,
                    always,
                    ranks: 2,
                    rank,
                    io,
                });
            }
        }
    }
    let injections = sample(injections, 24, 120);
    let tally = Tally::of("errors");
    tally.each(2, &injections, |i, injection| inject(&job, i, injection));
    // A rank makes fewer calls than all of them together.
    tally.finish(injections.len() / 3);
}

#[test]
fn whatever_call_fails_under_the_mpis_own_layer_costs_nothing_that_was_committed() {
    on_two_ranks(None);
}

/// Open MPI brings ROMIO too, MPICH's layer.
#[test]
fn whatever_call_fails_under_romio_costs_nothing_that_was_committed() {
    if Mpi::linked() == Mpi::Mpich {
        println!("MPICH has no other layer than ROMIO: this is the test above");
        return;
    }
    on_two_ranks(Some("romio321"));
}
