//! Threads as ranks, memory as disk: the engine's ports without MPI and HDF5.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::time::{Duration, Instant};

use framewise::domain::cell::Cell;
use framewise::domain::error::{Error, Result};
use framewise::domain::frame::{Frame, FrameBlock};
use framewise::engine::commit::Rows;
use framewise::engine::ports::{
    Clock, Look, More, Observer, Ranks, Sink, Source, Trouble, Verdict, Vote, combine,
};
use framewise::engine::summary::Progress;
use framewise::planning::frame_set::FrameSet;
use framewise::planning::status::Status;

/// How long a thread with an error waits for the others.
const THREADS_PATIENCE: Duration = Duration::from_secs(1);

/// What ranks exchange.
#[derive(Clone)]
enum Letter {
    Vote(Vote),
    Numbers(Vec<f64>),
    Counts(Vec<u64>),
    Text(String),
}

#[derive(Default)]
struct Table {
    letters: Vec<Option<Letter>>,
    complete: Option<Arc<Vec<Letter>>>,
    taken: usize,
}

/// The meeting place of all ranks.
pub struct Meeting {
    table: Mutex<Table>,
    changed: Condvar,
}

impl Meeting {
    pub fn of(size: usize) -> Arc<Self> {
        let table = Table {
            letters: vec![None; size],
            ..Table::default()
        };
        Arc::new(Self {
            table: Mutex::new(table),
            changed: Condvar::new(),
        })
    }

    /// Puts a letter down and waits for those of the others.
    fn exchange(
        &self,
        rank: usize,
        letter: Letter,
        patience: Option<Duration>,
        meanwhile: &mut dyn FnMut(),
    ) -> Option<Arc<Vec<Letter>>> {
        let begun = Instant::now();
        let mut table = self.table.lock().unwrap();
        // Somebody may not have taken the letters of the last exchange yet.
        while table.complete.is_some() {
            table = self.changed.wait(table).unwrap();
        }
        table.letters[rank] = Some(letter);
        if table.letters.iter().all(Option::is_some) {
            let all = table.letters.iter_mut().filter_map(Option::take).collect();
            table.complete = Some(Arc::new(all));
            table.taken = 0;
            self.changed.notify_all();
        }
        while table.complete.is_none() {
            drop(table);
            meanwhile();
            if patience.is_some_and(|patience| begun.elapsed() > patience) {
                return None;
            }
            table = self.table.lock().unwrap();
        }
        let all = Arc::clone(table.complete.as_ref().unwrap());
        table.taken += 1;
        if table.taken == table.letters.len() {
            table.complete = None;
            self.changed.notify_all();
        }
        Some(all)
    }
}

/// One thread's place at the meeting.
pub struct ThreadRank {
    pub rank: usize,
    pub size: usize,
    pub meeting: Arc<Meeting>,
}

impl ThreadRank {
    fn all(&self, letter: Letter) -> Arc<Vec<Letter>> {
        let all = self
            .meeting
            .exchange(self.rank, letter, None, &mut std::thread::yield_now);
        all.expect("waits as long as it takes")
    }
}

impl Ranks for ThreadRank {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn name(&self) -> String {
        format!("rank {} on thread-{}", self.rank, self.rank)
    }

    fn agree(&mut self, vote: Vote, meanwhile: &mut dyn FnMut()) -> Option<Verdict> {
        let patience = (vote.trouble > Trouble::No).then_some(THREADS_PATIENCE);
        let letter = Letter::Vote(vote);
        let letters = self
            .meeting
            .exchange(self.rank, letter, patience, meanwhile)?;
        let votes: Vec<Vote> = letters
            .iter()
            .map(|letter| match letter {
                Letter::Vote(vote) => *vote,
                _ => panic!("a rank made another collective call"),
            })
            .collect();
        Some(combine(&votes))
    }

    fn sum(&mut self, values: &mut [f64]) {
        let rows = self.gather(values);
        for (i, value) in values.iter_mut().enumerate() {
            *value = rows.iter().map(|row| row[i]).sum();
        }
    }

    fn gather(&mut self, values: &[f64]) -> Vec<Vec<f64>> {
        let letters = self.all(Letter::Numbers(values.to_vec()));
        letters
            .iter()
            .map(|letter| match letter {
                Letter::Numbers(numbers) => numbers.clone(),
                _ => panic!("a rank made another collective call"),
            })
            .collect()
    }

    fn exchange(&mut self, values: &[u64]) -> Vec<Vec<u64>> {
        let letters = self.all(Letter::Counts(values.to_vec()));
        letters
            .iter()
            .map(|letter| match letter {
                Letter::Counts(numbers) => numbers.clone(),
                _ => panic!("a rank made another collective call"),
            })
            .collect()
    }

    fn nodes(&mut self) -> Vec<u32> {
        (0..self.size)
            .map(|rank| (rank / RANKS_PER_NODE) as u32)
            .collect()
    }

    fn tell(&mut self, from: usize, text: &str) -> String {
        let letters = self.all(Letter::Text(text.to_owned()));
        match &letters[from] {
            Letter::Text(text) => text.clone(),
            _ => panic!("a rank made another collective call"),
        }
    }
}

/// What is on the "disk" for one frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    pub energy: f64,
    pub forces: Vec<[f64; 3]>,
    pub checksum: u64,
    pub synced: bool,
    pub status: Option<Status>,
    pub message: String,
}

/// The "disk" of all ranks.
#[derive(Debug, Default)]
pub struct Memory {
    pub frames: BTreeMap<u64, Stored>,
    /// States that were written before the results they vouch for had been synced.
    pub early_states: Vec<u64>,
    pub largest_write: usize,
    pub records: Vec<Progress>,
}

/// So many ranks are on a node.
const RANKS_PER_NODE: usize = 2;

/// The step of a sink that is made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Begin,
    Results,
    Sync,
    CheckResults,
    Status,
    CheckStatus,
    Record,
}

/// One rank's way to the disk; fails at the `n`-th call of a step if told to.
pub struct MemorySink {
    pub memory: Arc<Mutex<Memory>>,
    pub fails_at: Option<(Step, usize)>,
    pub first_rank: bool,
    /// What any rank has written is seen by all at once.
    pub one_node: bool,
    /// Steps are collective calls in which everybody waits for everybody.
    pub collective: Option<Arc<Barrier>>,
    /// How long the disk takes for a sync: as long as this does.
    pub syncing: Box<dyn FnMut()>,
    /// Frames of a result that is shared with others, lease after lease.
    pub leases: VecDeque<FrameSet>,
    calls: BTreeMap<&'static str, usize>,
    unsynced: Vec<u64>,
}

impl MemorySink {
    pub fn new(memory: &Arc<Mutex<Memory>>, rank: usize, size: usize) -> Self {
        Self {
            memory: Arc::clone(memory),
            fails_at: None,
            first_rank: rank == 0,
            one_node: size <= RANKS_PER_NODE,
            collective: None,
            syncing: Box::new(|| ()),
            leases: VecDeque::new(),
            calls: BTreeMap::new(),
            unsynced: Vec::new(),
        }
    }

    fn attempt(&mut self, step: Step, name: &'static str) -> Result<()> {
        let calls = self.calls.entry(name).or_default();
        *calls += 1;
        if self.fails_at == Some((step, *calls)) {
            return Err(Error::failure(format!("the disk failed at {name} {calls}")));
        }
        if let Some(everybody) = &self.collective {
            everybody.wait();
        }
        Ok(())
    }
}

impl Sink for MemorySink {
    fn more(&mut self) -> Result<More> {
        let lease = self.leases.pop_front();
        Ok(lease.map_or(More::Nothing, More::Frames))
    }

    fn begin(&mut self) -> Result<()> {
        self.attempt(Step::Begin, "begin")
    }

    fn write_results(&mut self, rows: &Rows) -> Result<()> {
        self.attempt(Step::Results, "results")?;
        let mut memory = self.memory.lock().unwrap();
        memory.largest_write = memory.largest_write.max(rows.energies.len());
        let mut atoms = rows.forces.iter();
        for (i, frame) in rows.frames.iter().enumerate() {
            let stored = Stored {
                energy: rows.energies[i],
                forces: atoms.by_ref().take(atoms_of(frame)).copied().collect(),
                checksum: rows.checksums[i],
                synced: false,
                status: None,
                message: String::new(),
            };
            assert!(
                memory.frames.insert(frame, stored).is_none(),
                "frame {frame} written twice"
            );
            self.unsynced.push(frame);
        }
        assert!(atoms.next().is_none(), "forces left over");
        Ok(())
    }

    fn write_status(&mut self, rows: &Rows, messages: bool) -> Result<()> {
        self.attempt(Step::Status, "status")?;
        let mut memory = self.memory.lock().unwrap();
        for (i, frame) in rows.frames.iter().enumerate() {
            let stored = memory
                .frames
                .get_mut(&frame)
                .expect("a state without results");
            stored.status = Some(rows.statuses[i]);
            if messages && !rows.messages.is_empty() {
                stored.message.clone_from(&rows.messages[i]);
            }
            if !stored.synced {
                memory.early_states.push(frame);
            }
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        self.attempt(Step::Sync, "sync")?;
        (self.syncing)();
        let mut memory = self.memory.lock().unwrap();
        for frame in self.unsynced.drain(..) {
            memory.frames.get_mut(&frame).expect("was written").synced = true;
        }
        Ok(())
    }

    fn check_results(&mut self, rows: &Rows, look: Look) -> Result<()> {
        self.attempt(Step::CheckResults, "check of the results")?;
        let memory = self.memory.lock().unwrap();
        for (i, frame) in rows.frames.iter().enumerate() {
            let stored = &memory.frames[&frame];
            let seen = match look {
                Look::AtOnce => self.one_node && !stored.synced,
                Look::Later => stored.synced,
            };
            assert!(seen, "frame {frame} is looked at before its sync");
            assert!(
                stored.status.is_none(),
                "frame {frame} has its state already"
            );
            assert_eq!(stored.energy.to_bits(), rows.energies[i].to_bits());
        }
        Ok(())
    }

    fn check_status(&mut self, rows: &Rows, _: bool) -> Result<()> {
        self.attempt(Step::CheckStatus, "check of the states")?;
        let memory = self.memory.lock().unwrap();
        for (frame, status) in rows.frames.iter().zip(&rows.statuses) {
            assert_eq!(memory.frames[&frame].status, Some(*status));
        }
        Ok(())
    }

    fn record(&mut self, progress: &Progress) -> Result<()> {
        self.attempt(Step::Record, "record")?;
        if self.first_rank {
            self.memory.lock().unwrap().records.push(progress.clone());
        }
        Ok(())
    }
}

/// Atoms of frame `frame` of the generated trajectory: 1 to 5.
pub fn atoms_of(frame: u64) -> usize {
    1 + (frame % 5) as usize
}

/// A generated trajectory of frames of different sizes; every value tells its frame.
#[derive(Default)]
pub struct Generated {
    /// Frames with a NaN position.
    pub nan: Vec<u64>,
    /// Reading this frame fails.
    pub unreadable: Option<u64>,
    /// Frames of gold; all others are of argon.
    pub golden: Option<fn(u64) -> bool>,
    pub reads: usize,
    pub largest_read: u64,
}

impl Generated {
    fn element(&self, frame: u64) -> u8 {
        let golden = self.golden.is_some_and(|is| is(frame));
        if golden { 79 } else { 18 }
    }
}

impl Source for Generated {
    fn sizes(
        &mut self,
        frames: &FrameSet,
        size_of: &[u8; 256],
        each: &mut dyn FnMut(u64),
    ) -> Result<()> {
        for frame in frames.iter() {
            let size = usize::from(size_of[usize::from(self.element(frame))]);
            each((size * atoms_of(frame)) as u64);
        }
        Ok(())
    }

    fn read(&mut self, frames: &FrameSet, block: &mut FrameBlock) -> Result<()> {
        self.reads += 1;
        self.largest_read = self.largest_read.max(frames.len());
        block.clear();
        for frame in frames.iter() {
            if self.unreadable == Some(frame) {
                return Err(Error::failure(format!("cannot read frame {frame}")));
            }
            let mut positions = vec![[frame as f64, 0.25, -1.0]; atoms_of(frame)];
            if self.nan.contains(&frame) {
                positions[0][1] = f64::NAN;
            }
            let species = vec![self.element(frame); positions.len()];
            let (species, positions) = (&species[..], &positions[..]);
            block.push(
                frame,
                Frame {
                    species,
                    positions,
                    cell: Cell::OPEN,
                },
            );
            let (whole, rest) = (frame / 5, frame % 5);
            *block.first_atoms.last_mut().unwrap() = 15 * whole + rest * (rest + 1) / 2;
        }
        Ok(())
    }
}

/// The time of this process.
pub struct Watch(pub Instant);

impl Clock for Watch {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Nobody watches.
pub struct Nobody;

impl Observer for Nobody {
    fn committed(&mut self, _: &Progress) {}
    fn pulse(&mut self, _: u64) {}
}
