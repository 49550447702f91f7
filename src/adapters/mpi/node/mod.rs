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

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use ffi::Window;
use merge::{Entry, HEADER, Note, PLACE, Places, cut, lay_out};
use mpi::collective::SystemOperation;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Root};
use rustix::fs::FallocateFlags;
use tempfile::NamedTempFile;

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
/// Numbers that say where the pieces of a rank are, 24 bytes for each piece: for 130,000 of them.
const SLOT: usize = (3 << 20) / size_of::<u64>();
/// Bytes of those pieces: a slab and a frame more. Larger frames are pieces that their ranks write themselves.
const DATA: usize = 5 << 20;
/// Most that a leader writes for its ranks.
const HELD: usize = 1 << 30;
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
    window: Window,
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
        let data = size * DATA.min(HELD * leaders / size);
        let window = share(
            &ranks,
            |file| Window::map(file, size, SLOT, data),
            Window::bytes(size, SLOT, data),
        );
        Some(Self {
            window: window?,
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
            for_each_part(pieces, blocks, &all[rank], |at, bytes| {
                self.window.put(at, bytes);
            });
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

    /// Whether the memory of the node holds what this rank has brought the last time: `pieces`, which hold `blocks`. A rank
    /// whose pieces did not fit has brought nothing.
    pub fn holds(&self, pieces: &[Piece], blocks: &[&[u8]]) -> bool {
        let rank = self.ranks.rank() as usize;
        let note = self.notes[rank];
        let places = note.places(self.window.slot(rank));
        let mut same = true;
        for_each_part(pieces, blocks, &places, |at, bytes| {
            same &= self.window.data(at..at + bytes.len()) == bytes;
        });
        same
    }

    fn barrier(&self) {
        fence(Ordering::SeqCst);
        let mut request = self.ranks.immediate_barrier();
        let mut nap = NAP.start;
        while let Err(pending) = request.test() {
            request = pending;
            std::thread::sleep(nap);
            nap = (2 * nap).min(NAP.end);
        }
        fence(Ordering::SeqCst);
    }
}

/// Calls `act` with each stretch of `blocks`, which hold `pieces`, and where `places` says that it goes.
fn for_each_part(
    pieces: &[Piece],
    blocks: &[&[u8]],
    places: &Places<'_>,
    mut act: impl FnMut(usize, &[u8]),
) {
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
            act(to, now);
            (block, to) = (later, to + now.len());
        }
    }
}

/// Where processes of a node share memory.
const SHARED_MEMORY: &str = "/dev/shm";

/// Makes `bytes` of memory that all `ranks` of a node map. Collective. `None` where there is none, or not enough of it: it
/// is really reserved, since the first touch of a page that the system cannot give would end the process.
///
/// It is a file that loses its name as soon as all have opened it; a kill in those milliseconds leaves it behind.
fn share(
    ranks: &SimpleCommunicator,
    map: impl Fn(&File) -> io::Result<Window>,
    bytes: usize,
) -> Option<Window> {
    let first = ranks.rank() == 0;
    let made = first.then(|| reserve(bytes)).transpose();
    if let Err(error) = &made {
        tracing::debug!("rows of this node are not brought together: {SHARED_MEMORY}: {error}");
    }
    let made = made.ok().flatten();
    let mut name = [0u8; 256];
    if let Some(path) = made.as_ref().and_then(|file| file.path().to_str())
        && path.len() < name.len()
    {
        name[..path.len()].copy_from_slice(path.as_bytes());
    }
    ranks.process_at_rank(0).broadcast_into(&mut name[..]);
    let path = name.split(|b| *b == 0).next().unwrap_or_default();
    let path = std::str::from_utf8(path).unwrap_or_default();
    let open = || File::options().read(true).write(true).open(path);
    let window = open().and_then(|file| map(&file));
    let (mine, mut everywhere) = (u8::from(window.is_ok()), 0u8);
    ranks.all_reduce_into(&mine, &mut everywhere, SystemOperation::min());
    // A window that some have and some have not is left alone.
    window.ok().filter(|_| everywhere == 1)
}

fn reserve(bytes: usize) -> io::Result<NamedTempFile> {
    let disk = rustix::fs::statvfs(SHARED_MEMORY)?;
    if disk.f_bavail * disk.f_frsize < 2 * bytes as u64 {
        // Others want some, too: MPI itself, and the other jobs of the node.
        return Err(io::ErrorKind::StorageFull.into());
    }
    let file = tempfile::Builder::new()
        .prefix("framewise.")
        .tempfile_in(SHARED_MEMORY)?;
    rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes as u64)?;
    Ok(file)
}
