//! Tier A: who computes what, with threads as ranks. Frames cost real work that the ranks do not know beforehand.

#[path = "support/thread_ranks.rs"]
mod thread_ranks;

use std::hint::black_box;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use framewise::domain::calculator::{Calculator, Factory, Failure, Results};
use framewise::domain::calculators::null::Null;
use framewise::domain::frame::Frame;
use framewise::engine::journal::{Journal, NoJournal};
use framewise::engine::ports::Stop;
use framewise::engine::run::{Ports, run};
use framewise::engine::settings::Settings;
use framewise::engine::summary::{Ending, Summary};
use framewise::planning::cost::{Experience, SizeLaw, Sizes};
use framewise::planning::frame_set::FrameSet;
use framewise::planning::plan::{Knowledge, Plan};
use framewise::planning::status::Status;

use thread_ranks::{Generated, Meeting, Memory, MemorySink, Nobody, ThreadRank, Watch, atoms_of};

/// A hang is a failure.
const PATIENCE: Duration = Duration::from_mins(1);

/// Does some work for every frame, and very much for some.
#[derive(Clone)]
struct Working {
    heavy: fn(u64) -> bool,
    /// The frames in the order in which they are begun.
    begun: Arc<Mutex<Vec<u64>>>,
}

impl Factory for Working {
    fn build(&self) -> Result<Box<dyn Calculator>, String> {
        Ok(Box::new(self.clone()))
    }

    fn size_of(&self, species: u8) -> u8 {
        if species == 79 { 200 } else { 1 }
    }
}

impl Calculator for Working {
    fn evaluate(&mut self, frame: &Frame<'_>, results: &mut Results<'_>) -> Result<(), Failure> {
        let number = frame.positions[0][0] as u64;
        self.begun.lock().unwrap().push(number);
        let rounds = if (self.heavy)(number) { 400_000 } else { 400 };
        let work = |x: f64, _| (x * 1.000_1).sin() + 1.0;
        black_box((0..rounds).fold(number as f64, work));
        Null.evaluate(frame, results)
    }
}

/// Makes them, and keeps the frames in the order in which they are begun.
fn working(heavy: fn(u64) -> bool) -> (Arc<dyn Factory>, Arc<Mutex<Vec<u64>>>) {
    let begun = Arc::<Mutex<Vec<u64>>>::default();
    let factory = Working {
        heavy,
        begun: Arc::clone(&begun),
    };
    (Arc::new(factory), begun)
}

/// Runs `plan` on `ranks` ranks of one thread each.
fn job(ranks: usize, plan: &Plan, factory: &Arc<dyn Factory>) -> (Vec<Summary>, Memory) {
    let meeting = Meeting::of(ranks);
    let memory = Arc::<Mutex<Memory>>::default();
    let (done, results) = mpsc::channel();
    for rank in 0..ranks {
        let (plan, factory, meeting) = (plan.clone(), Arc::clone(factory), Arc::clone(&meeting));
        let (memory, done) = (Arc::clone(&memory), done.clone());
        thread::spawn(move || {
            let journal: Arc<dyn Journal> = Arc::new(NoJournal);
            let ports = Ports {
                ranks: &mut ThreadRank {
                    rank,
                    size: ranks,
                    meeting,
                },
                source: &mut Generated::default(),
                sink: &mut MemorySink::new(&memory, rank, ranks),
                clock: &Watch(Instant::now()),
                observer: &mut Nobody,
                interrupt: &|| Stop::No,
                journal: &journal,
            };
            let _ = done.send(run(&Settings::default(), &factory, plan, 0, ports));
        });
    }
    let summaries: Vec<Summary> = (0..ranks)
        .map(|_| {
            results
                .recv_timeout(PATIENCE)
                .expect("every rank returns")
                .unwrap()
        })
        .collect();
    let memory = std::mem::take(&mut *memory.lock().unwrap());
    (summaries, memory)
}

fn assert_complete(summaries: &[Summary], memory: &Memory, frames: u64) {
    for summary in summaries {
        assert_eq!(summary.ending, Ending::Done);
        assert_eq!(summary.progress.committed.get(Status::Completed), frames);
    }
    // The memory refuses a second write of a frame.
    assert!(memory.frames.keys().copied().eq(0..frames));
}

/// Runs `plan` on one rank of one thread, which writes to `memory` through a sink that `equip` has prepared.
fn alone(
    settings: Settings,
    factory: &Arc<dyn Factory>,
    plan: Plan,
    memory: &Arc<Mutex<Memory>>,
    equip: impl FnOnce(&mut MemorySink) + Send + 'static,
) -> Summary {
    let (done, results) = mpsc::channel();
    let (memory, factory) = (Arc::clone(memory), Arc::clone(factory));
    thread::spawn(move || {
        let mut sink = MemorySink::new(&memory, 0, 1);
        equip(&mut sink);
        let journal: Arc<dyn Journal> = Arc::new(NoJournal);
        let ports = Ports {
            ranks: &mut ThreadRank {
                rank: 0,
                size: 1,
                meeting: Meeting::of(1),
            },
            source: &mut Generated {
                golden: Some(is_long),
                ..Generated::default()
            },
            sink: &mut sink,
            clock: &Watch(Instant::now()),
            observer: &mut Nobody,
            interrupt: &|| Stop::No,
            journal: &journal,
        };
        let _ = done.send(run(&settings, &factory, plan, 0, ports));
    });
    results.recv_timeout(PATIENCE).expect("no hang").unwrap()
}

/// Every hundredth frame is long.
fn is_long(frame: u64) -> bool {
    frame % 100 == 70
}

/// Every pulse asks for a commit.
fn restless() -> Settings {
    Settings {
        checkpoint_interval: Duration::ZERO,
        ..Settings::default()
    }
}

/// A disk that takes as long as a worker needs to begin another frame: without workers that go on, for ever.
#[test]
fn workers_go_on_while_a_commit_is_written() {
    const FRAMES: usize = 300;
    let (factory, begun) = working(|_| true);
    let memory = Arc::<Mutex<Memory>>::default();
    let plan = Plan::even(FrameSet::all(FRAMES as u64));
    let summary = alone(restless(), &factory, plan, &memory, move |sink| {
        sink.syncing = Box::new(move || {
            let before = begun.lock().unwrap().len();
            let since = Instant::now();
            while before < FRAMES && begun.lock().unwrap().len() == before {
                assert!(since.elapsed() < PATIENCE / 2, "no frame in a commit");
                thread::sleep(Duration::from_millis(1));
            }
        });
    });
    assert!(summary.progress.commits > 3, "{}", summary.progress.commits);
    let memory = std::mem::take(&mut *memory.lock().unwrap());
    assert_complete(&[summary], &memory, FRAMES as u64);
}

/// A disk that is done when the only worker has had nothing to do for a while: nobody can hand it frames meanwhile.
#[test]
fn what_workers_wait_for_a_disk_is_counted() {
    const FRAMES: usize = 100_000;
    const WAIT: Duration = Duration::from_millis(50);
    let (factory, begun) = working(|_| false);
    let memory = Arc::<Mutex<Memory>>::default();
    let waits = Arc::<Mutex<Duration>>::default();
    let counted = Arc::clone(&waits);
    let plan = Plan::even(FrameSet::all(FRAMES as u64));
    let summary = alone(restless(), &factory, plan, &memory, move |sink| {
        sink.syncing = Box::new(move || {
            let now = || begun.lock().unwrap().len();
            let mut before = now();
            while before < FRAMES {
                thread::sleep(WAIT);
                if now() == before {
                    *counted.lock().unwrap() += WAIT / 2;
                    break;
                }
                before = now();
            }
        });
    });
    let waits = waits.lock().unwrap().as_secs_f64();
    let counted = summary.ranks[0].held;
    assert!(waits > 0.0 && counted >= waits, "{counted} of {waits}");
    assert!(summary.held_share() <= 1.0, "{}", summary.held_share());
}

/// Where a result is shared, frames come in leases.
#[test]
fn every_lease_begins_with_its_longest_frames() {
    let (factory, begun) = working(is_long);
    let memory = Arc::<Mutex<Memory>>::default();
    let settings = Settings {
        shared: true,
        ..Settings::default()
    };
    let none = Plan::even(FrameSet::empty());
    let summary = alone(settings, &factory, none, &memory, |sink| {
        let leases = [0..200, 200..350, 350..400];
        sink.leases = leases.map(|lease| FrameSet::from_runs(vec![lease])).into();
    });
    let memory = std::mem::take(&mut *memory.lock().unwrap());
    assert_complete(&[summary], &memory, 400);
    let begun = begun.lock().unwrap();
    let mut first: Vec<u64> = begun[..2].to_vec();
    first.sort_unstable();
    assert_eq!(first, [70, 170], "{begun:?}");
    assert_eq!([begun[200], begun[350]], [270, 370], "{begun:?}");
}

#[test]
fn ranks_with_easy_frames_take_over_from_those_with_hard_ones() {
    let (factory, _) = working(|frame| frame < 300);
    let frames = 3 * 300;
    let (summaries, memory) = job(3, &Plan::even(FrameSet::all(frames)), &factory);
    assert_complete(&summaries, &memory, frames);
    let ranks = &summaries[0].ranks;
    let total: u64 = ranks.iter().map(|r| r.frames).sum();
    assert_eq!(total, frames);
    // Dealt equally at first, the first rank alone would have all the work.
    assert!(ranks[1].received + ranks[2].received >= 80, "{ranks:?}");
}

#[test]
fn frames_that_are_known_to_be_long_are_begun_first() {
    let (factory, begun) = working(is_long);
    let frames = 400;
    let sizes = Sizes::fill(frames, &SizeLaw::power(1), |each| {
        let of = |frame| if is_long(frame) { 1000.0 } else { 1.0 };
        (0..frames).for_each(|frame| each(atoms_of(frame) as u64, of(frame)));
        Ok(())
    });
    let knowledge = Knowledge {
        sizes: sizes.unwrap(),
        experience: Experience::default(),
        assumed: SizeLaw::power(1),
    };
    let plan = Plan::sized(FrameSet::all(frames), knowledge);
    let (summaries, memory) = job(2, &plan, &factory);
    assert_complete(&summaries, &memory, frames);
    let begun = begun.lock().unwrap();
    let mut first: Vec<u64> = begun.iter().copied().filter(|f| is_long(*f)).collect();
    first.sort_unstable();
    assert_eq!(first, [70, 170, 270, 370]);
    // Each of the two ranks has two of them, and begins with one; the other one may go to the other rank.
    for half in [0..200, 200..400] {
        let of_half = begun.iter().find(|frame| half.contains(*frame)).unwrap();
        assert!(is_long(*of_half), "{:?}", &begun[..8]);
    }
}

#[test]
fn an_empty_plan_and_fewer_frames_than_ranks_end() {
    let (factory, _) = working(|_| true);
    for frames in [0, 1, 2] {
        let (summaries, memory) = job(4, &Plan::even(FrameSet::all(frames)), &factory);
        assert_complete(&summaries, &memory, frames);
        // Workers for whom there is nothing do not wait for the disk.
        let held: Vec<f64> = summaries[0].ranks.iter().map(|r| r.held).collect();
        assert_eq!(held, [0.0; 4]);
    }
}
