//! The ranks of a node bring their rows together before they write: few ranks, the leaders, write long runs.
//!
//! Frames are dealt out by cost, so that neighbours in the file are often on different ranks: each of them would write
//! many short runs, although those of the node together are a long one. Here each rank says where its pieces are; every
//! leader sorts those of its part of the file and says where their bytes go in memory that the node shares; all ranks
//! put them there, each byte once; and the leaders write what they find in order, while the others take part in a
//! collective write with nothing. Where the pieces of all ranks are long nothing is copied, and each writes its own.
//!
//! Three barriers keep apart who says where, who sorts, who puts and who reads. They are polled, not spun on. A rank
//! that does not come (its last write has failed) says so in the next agreement and ends the job when its patience is
//! over, as with any collective call it was kept from.
//!
//! What a kill leaves behind: the same as without leaders. Memory of the node holds nothing that is counted as done.

mod ffi;
mod merge;
mod piece;

use std::ops::Range;
use std::time::Duration;

use merge::{Entry, HEADER, Note, PLACE, Places, cut, lay_out};
use mpi::collective::SystemOperation;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Root};

pub use merge::is_short as worth_it;
pub use piece::{Piece, append};

/// How many leaders a node has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aggregate {
    /// One for eight ranks, two at least.
    #[default]
    Auto,
    /// None: every rank writes its own rows.
    Off,
    /// So many, as far as there are ranks.
    Leaders(usize),
}

/// Ranks that share a leader by default. A node's link to its file system is full with a handful of writers, while every
/// leader wants memory for what its ranks bring.
const RANKS_PER_LEADER: usize = 8;
/// Sorting costs as much as writing: one leader alone would keep the others waiting for it.
const LEAST_LEADERS: usize = 2;
/// Most shared memory of a rank, for the places of its pieces and for their bytes: more than a slab takes.
const SHARE: u64 = 32 << 20;
/// Most that a leader writes for its ranks.
const HELD: u64 = 256 << 20;
/// With less than this there is nothing to gain.
const LEAST_SHARE: u64 = 1 << 20;
/// Between two looks whether the others have come: the first, and the longest. Workers have the core meanwhile.
const NAP: Range<Duration> = Duration::from_micros(5)..Duration::from_micros(200);

impl Aggregate {
    /// Leaders among `ranks` ranks of a node; 0: every rank for itself.
    pub fn leaders(self, ranks: usize) -> usize {
        match self {
            _ if ranks < 2 => 0,
            Self::Off => 0,
            Self::Auto => ranks.div_ceil(RANKS_PER_LEADER).max(LEAST_LEADERS),
            Self::Leaders(n) => n.min(ranks),
        }
    }
}

/// This rank's place on its node.
pub struct Node {
    ranks: SimpleCommunicator,
    window: ffi::Window,
    leaders: usize,
    turn: usize,
    notes: Vec<Note>,
    order: Vec<Entry>,
    /// What this rank writes for its node, and where that is in the data.
    pieces: Vec<Piece>,
    bytes: Range<usize>,
}

/// What a rank has to write after the node has come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load<'a> {
    /// What it brought.
    Own,
    /// These pieces, perhaps none.
    Others(&'a [Piece], &'a [u8]),
}

impl Node {
    /// The node of this rank, `None` where nothing is brought together. Collective over `ranks`, which are those of one
    /// node; `aggregate` is the same on all.
    pub fn new(ranks: SimpleCommunicator, aggregate: Aggregate) -> Option<Self> {
        let size = ranks.size() as usize;
        let leaders = aggregate.leaders(size);
        if leaders == 0 {
            return None;
        }
        let mut share = SHARE
            .min(HELD * leaders as u64 / size as u64)
            .min(room() / 2 / size as u64);
        ranks.process_at_rank(0).broadcast_into(&mut share);
        if share < LEAST_SHARE {
            tracing::debug!("too little shared memory to bring rows together on this node");
            return None;
        }
        // To say where a piece is takes as much as the force on one atom.
        let (places, data) = (share as usize / 2, share as usize / 2 * size);
        let window = ffi::Window::allocate(&ranks, places / size_of::<u64>(), data);
        let mut everywhere = 0u8;
        let mine = u8::from(window.is_some());
        ranks.all_reduce_into(&mine, &mut everywhere, SystemOperation::min());
        Some(Self {
            // A window that some have and some have not is left alone.
            window: window.filter(|_| everywhere == 1)?,
            ranks,
            leaders,
            turn: 0,
            notes: Vec::new(),
            order: Vec::new(),
            pieces: Vec::new(),
            bytes: 0..0,
        })
    }

    /// Brings the node's pieces together: `pieces`, ascending, hold `blocks`, one behind the other. Collective over the
    /// node. What is returned stays as it is until the next call.
    pub fn gather(&mut self, pieces: &[Piece], blocks: &[&[u8]]) -> Load<'_> {
        self.turn = 1 - self.turn;
        let (rank, size) = (self.ranks.rank() as usize, self.ranks.size() as usize);
        let shared = self.say(pieces, blocks);
        self.barrier();
        let notes = (0..size).map(|rank| Note::read(self.window.slot(rank), self.turn));
        self.notes.clear();
        self.notes.extend(notes);
        if !self.notes.iter().any(|note| note.short) {
            // Whoever is late reads these notes, and only these; the next ones are elsewhere.
            return Load::Own;
        }
        let all: Vec<_> = (0..size)
            .map(|rank| self.notes[rank].places(self.window.slot(rank)))
            .collect();
        self.pieces.clear();
        self.bytes = 0..0;
        if let Some((part, of)) = self.part() {
            let range = cut(&all, part, of);
            self.bytes = lay_out(&all, range, &mut self.order, &mut self.pieces);
        }
        self.barrier();
        if shared {
            self.put(pieces, blocks, &all[rank]);
        }
        self.barrier();
        if !shared {
            return Load::Own;
        }
        let (pieces, data) = self.load();
        Load::Others(pieces, data)
    }

    /// What this rank had to write for its node the last time, until the next one.
    pub fn load(&self) -> (&[Piece], &[u8]) {
        (&self.pieces, self.window.data(self.bytes.clone()))
    }

    /// Says where this rank's pieces are, if there is room for them; if there is not, it writes them itself.
    fn say(&self, pieces: &[Piece], blocks: &[&[u8]]) -> bool {
        let slot = self.window.slot(self.ranks.rank() as usize);
        let bytes: usize = blocks.iter().map(|block| block.len()).sum();
        let share = self.window.capacity() / self.ranks.size() as usize;
        let said: u64 = pieces.iter().map(|piece| piece.length).sum();
        let room = HEADER + PLACE * pieces.len() <= slot.len() && bytes <= share;
        // Rows and bytes that do not go together are an error where they are written.
        let fits = room && said == bytes as u64;
        let mut note = Note::default();
        if fits {
            note = Note {
                pieces: pieces.len() as u64,
                bytes: bytes as u64,
                short: worth_it(pieces.len(), bytes),
            };
            note.places(slot).write(pieces);
        }
        note.write(slot, self.turn);
        fits
    }

    /// Puts the bytes of this rank where `places` says that its pieces go.
    fn put(&self, pieces: &[Piece], blocks: &[&[u8]], places: &Places<'_>) {
        let mut rest = blocks.iter().copied();
        let mut block: &[u8] = &[];
        for (piece, to) in pieces.iter().zip(places.to()) {
            let (mut to, end) = (to as usize, (to + piece.length) as usize);
            while to < end {
                if block.is_empty() {
                    // There are as many bytes in the blocks as in the pieces: see `say`.
                    block = rest.next().unwrap_or_default();
                    continue;
                }
                let (now, later) = block.split_at(block.len().min(end - to));
                self.window.put(to, now);
                (block, to) = (later, to + now.len());
            }
        }
    }

    /// Which part of the file this rank leads, and how many there are. A rank without pieces, or whose pieces do not fit,
    /// leads none.
    fn part(&self) -> Option<(usize, usize)> {
        let rank = self.ranks.rank() as usize;
        let brings = |note: &Note| note.pieces > 0;
        let size = self.notes.iter().filter(|note| brings(note)).count();
        let of = self.leaders.min(size);
        if !brings(&self.notes[rank]) {
            return None;
        }
        let rank = self.notes[..rank]
            .iter()
            .filter(|note| brings(note))
            .count();
        let part = (0..of).find(|part| part * size / of == rank)?;
        Some((part, of))
    }

    fn barrier(&self) {
        self.window.settle();
        let mut request = self.ranks.immediate_barrier();
        let mut nap = NAP.start;
        while let Err(pending) = request.test() {
            request = pending;
            std::thread::sleep(nap);
            nap = (2 * nap).min(NAP.end);
        }
        self.window.settle();
    }

    /// Gives the shared memory back. Collective over the node.
    pub fn leave(self) {
        self.window.free();
    }
}

/// Free bytes for shared memory on this node.
fn room() -> u64 {
    rustix::fs::statvfs("/dev/shm").map_or(0, |shm| shm.f_bavail * shm.f_frsize)
}
