//! SIGKILL at any time, again and again: one result after another is begun, killed on changing numbers of ranks until
//! nothing is left to kill, and must be that of an undisturbed run.

mod support;

use std::time::Duration;

use rustix::process::Signal;
use support::job::{Held, Job, Place, end_of, was_killed};
use support::launch::send_if_there;
use support::torture::{Complaint, Dice, Spoiled, Tally, number, require};

/// What goes on in one place.
struct Story<'a> {
    place: Place<'a>,
    held: Option<Held>,
}

#[test]
fn a_storm_of_kills_costs_nothing_that_was_committed() {
    let job = Job::of(60, 100);
    let tally = Tally::of("kills");
    let kills = number(200, 400);
    let storms: Vec<u64> = (0..3).collect();
    std::thread::scope(|scope| {
        for storm in &storms {
            let (job, tally) = (&job, &tally);
            scope.spawn(move || {
                let mut dice = Dice(*storm);
                let mut story = None;
                let mut told = 0;
                while tally.tried() < kills {
                    let now = story.take().unwrap_or_else(|| {
                        told += 1;
                        Story {
                            place: job.place(format!("{storm}-{told}")),
                            held: None,
                        }
                    });
                    tally.one(&format!("story {storm}-{told}"), || {
                        let (next, killed) = strike(now, &mut dice)?;
                        story = next;
                        Ok(killed)
                    });
                }
                if let Some(Story { place, held }) = story {
                    tally.one("the last one", || {
                        place.complete(2, held.as_ref())?;
                        Ok(false)
                    });
                }
            });
        }
    });
    tally.finish(kills);
}

/// One run, killed somewhere, unless it comes to its end before; then there is no story any more.
fn strike<'a>(story: Story<'a>, dice: &mut Dice) -> Result<(Option<Story<'a>>, bool), Complaint> {
    let Story { place, held } = story;
    let ranks = [1, 1, 1, 2, 2, 3, 4][dice.below(7)];
    let mut run = place.launch(ranks, "").start();
    // Most of a short run is the beginning of MPI: more often than not, wait until frames are computed.
    let within = if dice.below(3) == 0 {
        500
    } else {
        run.hears(" to compute with ");
        150
    };
    std::thread::sleep(Duration::from_millis(dice.below(within) as u64));
    if ranks == 1 {
        run.signal(Signal::KILL);
    } else {
        let living = run.ranks();
        let one = dice.below(living.len().max(1));
        let all = dice.below(2) == 0;
        for (i, rank) in living.into_iter().enumerate() {
            if all || i == one {
                send_if_there(rank, Signal::KILL);
            }
        }
    }
    let finished = end_of(run)?;
    let killed = was_killed(&finished, ranks);
    require(
        killed || finished.code == Some(0),
        Spoiled::Wrong,
        &finished,
    )?;
    let held = place.look_after(&finished, held.as_ref())?;
    if finished.code == Some(0) {
        let verified = place.complete(1 + ranks % 3, held.as_ref());
        return verified.map(|()| (None, killed));
    }
    Ok((Some(Story { place, held }), killed))
}
