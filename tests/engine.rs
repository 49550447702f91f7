//! Tier A: the engine's loop with threads as ranks and memory as disk. A step that fails on one rank must give an
//! error on all, never a hang.

#[path = "support/thread_ranks.rs"]
mod thread_ranks;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use framewise::domain::calculator::{Calculator, Factory, Failure, Results};
use framewise::domain::calculators::null::Null;
use framewise::domain::checksum::checksum;
use framewise::domain::error::{Kind, Result};
use framewise::domain::frame::Frame;
use framewise::engine::journal::{Hand, Journal, NoJournal};
use framewise::engine::ports::Stop;
use framewise::engine::run::{Ports, run};
use framewise::engine::settings::{Deadline, Settings};
use framewise::engine::summary::{Ending, Summary};
use framewise::planning::frame_set::FrameSet;
use framewise::planning::partition::share;
use framewise::planning::plan::Plan;
use framewise::planning::status::Status;

use thread_ranks::{
    Generated, Meeting, Memory, MemorySink, Nobody, Step, ThreadRank, Watch, atoms_of,
};

/// A hang is a failure.
const PATIENCE: Duration = Duration::from_mins(1);

/// A job on threads: what each rank is given, and what came out.
struct Job {
    ranks: usize,
    frames: FrameSet,
    settings: Settings,
    factory: Arc<dyn Factory>,
    source: fn(usize) -> Generated,
    fails: Option<(usize, Step, usize)>,
    /// Steps of the sink are calls in which everybody waits for everybody: the failing rank never enters.
    collective: bool,
    interrupt: Arc<dyn Fn(usize) -> Stop + Send + Sync>,
    journal: Arc<dyn Journal>,
    suspects: Vec<FrameSet>,
    memory: Arc<Mutex<Memory>>,
}

impl Default for Job {
    fn default() -> Self {
        Self {
            ranks: 3,
            frames: FrameSet::all(500),
            settings: Settings {
                // Many commits: every pulse asks for one.
                checkpoint_interval: Duration::ZERO,
                ..Settings::default()
            },
            factory: Arc::new(Null),
            source: |_| Generated::default(),
            fails: None,
            collective: false,
            interrupt: Arc::new(|_| Stop::No),
            journal: Arc::new(NoJournal),
            suspects: Vec::new(),
            memory: Arc::default(),
        }
    }
}

impl Job {
    fn run(self) -> (Vec<Result<Summary>>, Memory) {
        let (memory, ranks) = (Arc::clone(&self.memory), self.ranks);
        let results = self.start(&memory);
        let outcomes = collect(&results, ranks);
        let memory = std::mem::take(&mut *memory.lock().unwrap());
        (outcomes, memory)
    }

    fn start(self, memory: &Arc<Mutex<Memory>>) -> Receiver<(usize, Outcome)> {
        let meeting = Meeting::of(self.ranks);
        let (done, results) = channel();
        let everybody = self.collective.then(|| Arc::new(Barrier::new(self.ranks)));
        let job = Arc::new(self);
        for rank in 0..job.ranks {
            let (job, meeting, memory, done, everybody) = (
                Arc::clone(&job),
                Arc::clone(&meeting),
                Arc::clone(memory),
                done.clone(),
                everybody.clone(),
            );
            thread::spawn(move || {
                let outcome = catch_unwind(AssertUnwindSafe(|| {
                    job.run_rank(rank, meeting, &memory, everybody)
                }));
                // Nobody listens any more to ranks that were stuck.
                let _ = done.send((rank, outcome.map_err(|_| rank)));
            });
        }
        results
    }

    fn run_rank(
        &self,
        rank: usize,
        meeting: Arc<Meeting>,
        memory: &Arc<Mutex<Memory>>,
        everybody: Option<Arc<Barrier>>,
    ) -> Result<Summary> {
        let size = self.ranks;
        let mut sink = MemorySink::new(memory, rank, size);
        sink.fails_at = self
            .fails
            .filter(|(r, ..)| *r == rank)
            .map(|(_, step, n)| (step, n));
        sink.collective = everybody;
        let interrupt = || (self.interrupt)(rank);
        let ports = Ports {
            ranks: &mut ThreadRank {
                rank,
                size,
                meeting,
            },
            source: &mut (self.source)(rank),
            sink: &mut sink,
            clock: &Watch(Instant::now()),
            observer: &mut Nobody,
            interrupt: &interrupt,
            journal: &self.journal,
        };
        let share_of = |frames: &FrameSet| share(frames, rank, size);
        let settings = Settings {
            suspects: self.suspects.iter().map(share_of).collect(),
            ..self.settings.clone()
        };
        let later: u64 = self.suspects.iter().map(FrameSet::len).sum();
        let plan = Plan::even(self.frames.clone());
        run(&settings, &self.factory, plan, later, ports)
    }
}

type Outcome = std::result::Result<Result<Summary>, usize>;

fn collect(results: &Receiver<(usize, Outcome)>, ranks: usize) -> Vec<Result<Summary>> {
    let mut outcomes: Vec<Option<Result<Summary>>> = vec![None; ranks];
    for _ in 0..ranks {
        let (rank, outcome) = results.recv_timeout(PATIENCE).expect("every rank returns");
        outcomes[rank] = Some(outcome.expect("no rank panics"));
    }
    outcomes.into_iter().map(Option::unwrap).collect()
}

/// What must hold whatever happened: no state before its results, and what is completed is right.
fn assert_consistent(memory: &Memory) {
    assert_eq!(
        memory.early_states,
        Vec::<u64>::new(),
        "states before results"
    );
    for (frame, stored) in &memory.frames {
        if stored.status == Some(Status::Completed) {
            let n = atoms_of(*frame);
            let forces = vec![[*frame as f64, 0.25, -1.0]; n];
            assert_eq!(stored.forces, forces, "frame {frame}");
            assert_eq!(
                stored.checksum,
                checksum(stored.energy, &forces, &[[0.0; 3]; 3])
            );
        }
    }
}

fn completed(memory: &Memory) -> u64 {
    let states = memory
        .frames
        .values()
        .filter(|s| s.status == Some(Status::Completed));
    states.count() as u64
}

#[test]
fn every_frame_is_committed_once_for_any_ranks_threads_memory_and_selection() {
    let odd: FrameSet = (0..301).map(|i| 3 * i..3 * i + 1 + i % 2).collect();
    for frames in [FrameSet::all(257), odd, FrameSet::all(2), FrameSet::all(1)] {
        for (ranks, threads, max_memory) in [
            (1, 1, 1 << 20),
            (2, 3, 1 << 30),
            (5, 1, 1 << 16),
            (3, 2, 4096),
        ] {
            let job = Job {
                ranks,
                frames: frames.clone(),
                settings: Settings {
                    threads,
                    max_memory,
                    slab: 4096,
                    ..Job::default().settings
                },
                ..Job::default()
            };
            let (outcomes, memory) = job.run();
            for summary in outcomes {
                let summary = summary.unwrap();
                assert_eq!(summary.ending, Ending::Done);
                assert_eq!(
                    summary.progress.committed.get(Status::Completed),
                    frames.len()
                );
                assert_eq!(
                    summary.ranks.iter().map(|r| r.frames).sum::<u64>(),
                    frames.len()
                );
            }
            assert_consistent(&memory);
            assert!(memory.frames.keys().copied().eq(frames.iter()));
            assert_eq!(completed(&memory), frames.len());
            assert!(memory.largest_write <= 40, "a write is bounded by the slab");
            assert_eq!(memory.records.last().unwrap().ended, Some(Ending::Done));
        }
    }
}

#[test]
fn a_failing_step_on_any_rank_is_an_error_on_all_and_spoils_nothing() {
    for step in [
        Step::Begin,
        Step::Results,
        Step::Sync,
        Step::CheckResults,
        Step::Status,
        Step::CheckStatus,
        Step::Record,
    ] {
        for rank in 0..3 {
            for call in [1, 2] {
                let (outcomes, memory) = Job {
                    fails: Some((rank, step, call)),
                    // So little memory that there are many commits.
                    settings: Settings {
                        max_memory: 4096,
                        ..Job::default().settings
                    },
                    ..Job::default()
                }
                .run();
                assert_consistent(&memory);
                let messages: Vec<_> = outcomes
                    .into_iter()
                    .map(|o| o.unwrap_err().message)
                    .collect();
                assert!(
                    messages[0]
                        .starts_with(&format!("rank {rank} on thread-{rank}: the disk failed at")),
                    "{messages:?}"
                );
                assert!(messages.iter().all(|m| *m == messages[0]), "{messages:?}");
            }
        }
    }
}

/// As when HDF5 refuses one rank's part of a collective write before its collective part: the others are inside and do
/// not come out. The rank says so itself; a launcher then ends the others.
#[test]
fn a_rank_that_fails_while_the_others_are_stuck_does_not_wait_for_them() {
    for step in [
        Step::Begin,
        Step::Results,
        Step::Sync,
        Step::CheckResults,
        Step::Status,
        Step::CheckStatus,
        Step::Record,
    ] {
        let job = Job {
            fails: Some((1, step, 1)),
            collective: true,
            ..Job::default()
        };
        let results = job.start(&Arc::default());
        let (rank, outcome) = results.recv_timeout(PATIENCE).expect("one rank returns");
        let error = outcome.expect("no rank panics").unwrap_err();
        assert_eq!((rank, error.kind), (1, Kind::Alone), "{step:?}: {error}");
        let named = "rank 1 on thread-1: the disk failed at";
        assert!(error.message.starts_with(named), "{step:?}: {error}");
        assert!(results.recv_timeout(Duration::ZERO).is_err(), "{step:?}");
    }
}

#[test]
fn a_source_that_fails_on_one_rank_ends_all_after_a_last_commit() {
    let source = |rank| Generated {
        unreadable: (rank == 1).then_some(300),
        ..Generated::default()
    };
    let (outcomes, memory) = Job {
        source,
        ..Job::default()
    }
    .run();
    for outcome in outcomes {
        assert_eq!(
            outcome.unwrap_err().message,
            "rank 1 on thread-1: cannot read frame 300"
        );
    }
    assert_consistent(&memory);
    assert_eq!(memory.records.last().unwrap().ended, Some(Ending::Failed));
    assert!(
        memory
            .frames
            .values()
            .all(|stored| stored.status == Some(Status::Completed))
    );
}

/// Misbehaves on some frames.
struct Moody;

impl Factory for Moody {
    fn build(&self) -> std::result::Result<Box<dyn Calculator>, String> {
        Ok(Box::new(Moody))
    }
}

impl Calculator for Moody {
    fn evaluate(
        &mut self,
        frame: &Frame<'_>,
        results: &mut Results<'_>,
    ) -> std::result::Result<(), Failure> {
        match frame.positions[0][0] as u64 {
            7 => return Err(Failure::NotConverged("250 cycles were not enough".into())),
            8 => return Err(Failure::Failed("no parameters".into())),
            9 => panic!("a bug in frame nine"),
            10 => results.forces[0][0] = f64::INFINITY,
            11 => *results.energy = f64::NAN,
            12 => results.stress[0][1] = f64::NAN,
            _ => {}
        }
        let (energy, stress) = (*results.energy, results.stress[0][1]);
        let bad_force = results.forces[0][0];
        Null.evaluate(frame, results)?;
        if energy.is_nan() {
            *results.energy = energy;
        }
        if bad_force.is_infinite() {
            results.forces[0][0] = bad_force;
        }
        if frame.positions[0][0] as u64 == 12 {
            results.stress[0][1] = stress;
        }
        Ok(())
    }
}

#[test]
fn a_frame_that_goes_wrong_costs_itself_only_and_says_why() {
    let source = |_| Generated {
        nan: vec![13],
        ..Generated::default()
    };
    let job = Job {
        factory: Arc::new(Moody),
        source,
        frames: FrameSet::all(40),
        ..Job::default()
    };
    let (outcomes, memory) = job.run();
    let counts = outcomes[0].as_ref().unwrap().progress.committed;
    assert_eq!(counts.get(Status::NotConverged), 1);
    assert_eq!(counts.get(Status::Failed), 6);
    assert_eq!(counts.get(Status::Completed), 33);
    for (frame, expected) in [
        (7, "250 cycles were not enough"),
        (8, "no parameters"),
        (9, "the calculator panicked: a bug in frame nine"),
        (10, "the force on atom 0 is not finite"),
        (11, "the energy is not finite"),
        (12, "the stress is not finite"),
        (13, "the position of atom 0 (Ar) is not finite"),
    ] {
        let stored = &memory.frames[&frame];
        assert!(
            stored.message.starts_with(expected),
            "{frame}: {}",
            stored.message
        );
        assert!(stored.energy.is_nan() && stored.forces.as_flattened().iter().all(|x| x.is_nan()));
        assert_eq!(stored.checksum, 0);
    }
    assert_consistent(&memory);
}

#[test]
fn too_many_failures_end_the_job() {
    let source = |_| Generated {
        nan: (0..500).collect(),
        ..Generated::default()
    };
    let settings = Settings {
        max_failures: Some(3),
        ..Job::default().settings
    };
    let (outcomes, memory) = Job {
        source,
        settings,
        ..Job::default()
    }
    .run();
    assert_eq!(memory.records.last().unwrap().ended, Some(Ending::Failed));
    for outcome in outcomes {
        assert!(
            outcome
                .unwrap_err()
                .message
                .contains("more than --max-failures 3")
        );
    }
}

/// Cannot be built on the thread that comes second.
struct Half(AtomicU64);

impl Factory for Half {
    fn build(&self) -> std::result::Result<Box<dyn Calculator>, String> {
        match self.0.fetch_add(1, Ordering::SeqCst) {
            1 => Err("no licence left".into()),
            _ => Ok(Box::new(Null)),
        }
    }
}

#[test]
fn a_calculator_that_cannot_be_built_on_one_rank_ends_all() {
    let (outcomes, memory) = Job {
        factory: Arc::new(Half(AtomicU64::new(0))),
        ..Job::default()
    }
    .run();
    for outcome in outcomes {
        let message = outcome.unwrap_err().message;
        assert!(
            message.contains("cannot set up the calculator: no licence left"),
            "{message}"
        );
    }
    assert_consistent(&memory);
}

/// Lets the test decide when a frame is done.
struct Gate {
    stuck: u64,
    open: Mutex<Receiver<()>>,
}

struct Gated(Arc<Gate>);

impl Factory for Gated {
    fn build(&self) -> std::result::Result<Box<dyn Calculator>, String> {
        Ok(Box::new(Gated(Arc::clone(&self.0))))
    }
}

impl Calculator for Gated {
    fn evaluate(
        &mut self,
        frame: &Frame<'_>,
        results: &mut Results<'_>,
    ) -> std::result::Result<(), Failure> {
        if frame.positions[0][0] as u64 == self.0.stuck {
            // Ends when the test drops the sender.
            let _ = self.0.open.lock().unwrap().recv();
        }
        Null.evaluate(frame, results)
    }
}

fn gated(stuck: u64) -> (Arc<Gated>, std::sync::mpsc::Sender<()>) {
    let (sender, open) = channel();
    let gate = Gate {
        stuck,
        open: Mutex::new(open),
    };
    (Arc::new(Gated(Arc::new(gate))), sender)
}

#[test]
fn a_frame_that_hangs_is_given_up_and_the_rest_goes_on() {
    let (factory, _closed_until_the_end) = gated(205);
    let settings = Settings {
        frame_timeout: Some(Duration::from_millis(300)),
        ..Job::default().settings
    };
    let (outcomes, memory) = Job {
        factory,
        settings,
        ..Job::default()
    }
    .run();
    let summary = outcomes[0].as_ref().unwrap();
    assert_eq!(summary.ending, Ending::Done);
    assert_eq!(completed(&memory), 499);
    assert_eq!(memory.frames[&205].status, Some(Status::Failed));
    assert_eq!(
        memory.frames[&205].message,
        "took longer than --frame-timeout (0.3 s)"
    );
    assert_consistent(&memory);
}

#[test]
fn a_signal_on_one_rank_stops_all_in_good_order() {
    let asked = Arc::new(AtomicU64::new(0));
    let interrupt: Arc<dyn Fn(usize) -> Stop + Send + Sync> = Arc::new(move |rank| {
        // Rank 2 is asked to stop at its second look.
        let late = rank == 2 && asked.fetch_add(1, Ordering::SeqCst) >= 1;
        if late { Stop::InGoodOrder } else { Stop::No }
    });
    let frames = FrameSet::all(2_000_000);
    let (outcomes, memory) = Job {
        interrupt,
        frames,
        ..Job::default()
    }
    .run();
    for outcome in outcomes {
        let summary = outcome.unwrap();
        assert_eq!(summary.ending, Ending::Stopped);
        assert_eq!(summary.progress.committed.total(), completed(&memory));
    }
    assert!(completed(&memory) < 2_000_000);
    assert_consistent(&memory);
    assert_eq!(memory.records.last().unwrap().ended, Some(Ending::Stopped));
}

#[test]
fn patience_with_a_long_frame_ends_and_what_is_ready_is_committed() {
    for stop in [Stop::InGoodOrder, Stop::Now] {
        let (factory, _closed_until_the_end) = gated(0);
        let settings = Settings {
            grace: Duration::from_millis(200),
            ..Job::default().settings
        };
        let interrupt: Arc<dyn Fn(usize) -> Stop + Send + Sync> = {
            let begun = Instant::now();
            Arc::new(move |_| {
                if begun.elapsed() > Duration::from_millis(300) {
                    stop
                } else {
                    Stop::No
                }
            })
        };
        let (outcomes, memory) = Job {
            factory,
            settings,
            interrupt,
            ..Job::default()
        }
        .run();
        assert_eq!(outcomes[1].as_ref().unwrap().ending, Ending::Stopped);
        // Frame 0 hangs on rank 0; the other ranks finished long before.
        assert!(completed(&memory) >= 333, "{}", completed(&memory));
        assert!(!memory.frames.contains_key(&0));
        assert_consistent(&memory);
    }
}

#[test]
fn the_deadline_stops_the_job() {
    let (factory, _closed_until_the_end) = gated(0);
    let settings = Settings {
        deadline: Some(Deadline {
            end: Duration::from_millis(400),
            before: Some(Duration::from_millis(200)),
        }),
        grace: Duration::from_millis(100),
        ..Job::default().settings
    };
    let (outcomes, memory) = Job {
        factory,
        settings,
        ..Job::default()
    }
    .run();
    assert!(
        outcomes
            .iter()
            .all(|o| o.as_ref().unwrap().ending == Ending::Stopped)
    );
    assert_consistent(&memory);
}

/// Computes as `null` does and looks at the disk meanwhile: what must be there before a suspect is begun?
struct Suspicious {
    memory: Arc<Mutex<Memory>>,
    /// Frames that are committed before any suspect is begun.
    before: u64,
    begun: Arc<Mutex<Vec<u64>>>,
    /// What was wrong.
    wrong: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicU64>,
}

impl Suspicious {
    fn job(ordinary: u64) -> (Job, Arc<Self>) {
        let memory = Arc::<Mutex<Memory>>::default();
        let watcher = Arc::new(Self {
            memory: Arc::clone(&memory),
            before: ordinary,
            begun: Arc::default(),
            wrong: Arc::default(),
            stop: Arc::new(AtomicU64::new(u64::MAX)),
        });
        let stop = Arc::clone(&watcher.stop);
        let job = Job {
            frames: FrameSet::all(ordinary),
            settings: Settings {
                threads: 3,
                // Only suspects ask for commits.
                ..Settings::default()
            },
            factory: Arc::new(Watched(Arc::clone(&watcher))),
            interrupt: Arc::new(move |_| match stop.load(Ordering::SeqCst) {
                0 => Stop::InGoodOrder,
                _ => Stop::No,
            }),
            memory,
            ..Job::default()
        };
        (job, watcher)
    }

    fn look(&self, frame: u64) {
        let memory = self.memory.lock().unwrap();
        let open = |frame: &u64| memory.frames.get(frame).is_none_or(|f| f.status.is_none());
        let missing: Vec<u64> = (0..self.before).filter(open).collect();
        let mut begun = self.begun.lock().unwrap();
        // One per rank may be on its way, no more.
        let on_their_way = begun.iter().filter(|frame| open(frame)).count();
        if !missing.is_empty() || on_their_way > 2 {
            let what = format!("{frame}: {missing:?} missing, {on_their_way} on their way");
            self.wrong.lock().unwrap().push(what);
        }
        begun.push(frame);
    }
}

struct Watched(Arc<Suspicious>);

impl Factory for Watched {
    fn build(&self) -> std::result::Result<Box<dyn Calculator>, String> {
        Ok(Box::new(Watched(Arc::clone(&self.0))))
    }
}

impl Calculator for Watched {
    fn evaluate(
        &mut self,
        frame: &Frame<'_>,
        results: &mut Results<'_>,
    ) -> std::result::Result<(), Failure> {
        let number = frame.positions[0][0] as u64;
        if number >= self.0.before {
            self.0.look(number);
            thread::sleep(Duration::from_millis(5));
            // Down to zero and no further, however late somebody looks.
            let one_less = |n: u64| n.checked_sub(1);
            let _ = self
                .0
                .stop
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
        }
        Null.evaluate(frame, results)
    }
}

#[test]
fn suspects_come_last_one_at_a_time_and_each_is_committed_before_the_next() {
    let (mut job, watcher) = Suspicious::job(200);
    let suspects = |run| FrameSet::from_runs(vec![run]);
    job.suspects = vec![suspects(200..230), suspects(230..239)];
    let (outcomes, memory) = job.run();
    for outcome in outcomes {
        let summary = outcome.unwrap();
        assert_eq!(summary.ending, Ending::Done);
        assert!(summary.progress.commits >= 1 + 10 + 3);
    }
    assert_eq!(watcher.wrong.lock().unwrap().as_slice(), &[] as &[String]);
    assert_eq!(completed(&memory), 239);
    // The second kind after all of the first.
    let begun = watcher.begun.lock().unwrap();
    assert!(begun[..30].iter().all(|frame| *frame < 230), "{begun:?}");
    assert_consistent(&memory);
}

#[test]
fn a_stop_among_suspects_leaves_the_rest_for_the_next_run() {
    let (mut job, watcher) = Suspicious::job(50);
    watcher.stop.store(4, Ordering::SeqCst);
    job.suspects = vec![
        FrameSet::from_runs(vec![50..90]),
        FrameSet::from_runs(vec![90..95]),
    ];
    let (outcomes, memory) = job.run();
    for outcome in outcomes {
        assert_eq!(outcome.unwrap().ending, Ending::Stopped);
    }
    let done = completed(&memory);
    assert!((54..70).contains(&done), "{done} frames");
    assert!(memory.frames.keys().all(|frame| *frame < 90));
    assert_consistent(&memory);
}

/// Notes what each worker says.
#[derive(Debug, Default)]
struct Notes(Arc<Mutex<(Vec<u64>, u64)>>);

impl Journal for Notes {
    fn hand(&self) -> Box<dyn Hand> {
        Box::new(Self(Arc::clone(&self.0)))
    }
    fn careful(&self) {}
    fn committing(&self, _: Option<(u64, u64)>) {}
    fn committed(&self) {
        self.0.lock().unwrap().1 += 1;
    }
}

impl Hand for Notes {
    fn take(&self, frame: u64) {
        self.0.lock().unwrap().0.push(frame);
    }
    fn rest(&self) {}
}

#[test]
fn every_frame_is_noted_before_it_is_computed_and_every_commit_after_it() {
    let notes = Notes::default();
    let noted = Arc::clone(&notes.0);
    let (outcomes, _) = Job {
        journal: Arc::new(notes),
        ..Job::default()
    }
    .run();
    let commits: u64 = outcomes
        .iter()
        .map(|o| o.as_ref().unwrap().progress.commits)
        .sum();
    let (mut frames, told) = noted.lock().unwrap().clone();
    frames.sort_unstable();
    assert!(frames.into_iter().eq(0..500));
    assert_eq!(told, commits);
}
