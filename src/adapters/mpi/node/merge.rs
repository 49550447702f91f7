//! Pieces of a file from many ranks: who writes which, and in what order. No MPI here.
//!
//! A slot holds the numbers of one rank: two notes that take turns, then for each of its pieces where it is in the file,
//! where its bytes begin among those of its rank, and where they go among those of all.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use super::piece::{Piece, append};

/// Numbers of a note.
const NOTE: usize = 3;
/// Numbers before the pieces: two notes, so that a rank that is late may still read the last one.
pub const HEADER: usize = 2 * NOTE;
/// Numbers of a piece.
pub const PLACE: usize = 3;

/// Short runs are worth the copying when there are more than a few of them.
pub fn is_short(pieces: usize, bytes: usize) -> bool {
    const FEW: usize = 32;
    const LONG: usize = 256 << 10;
    pieces > FEW && bytes / pieces < LONG
}

/// What a rank says of its slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// Pieces in the slot.
    pub pieces: u64,
    /// Bytes of those pieces.
    pub bytes: u64,
    /// Whether they are short ones, for whose sake the node comes together.
    pub short: bool,
}

impl Note {
    /// Writes the note of this turn, 0 or 1, into a slot.
    pub fn write(&self, slot: &[AtomicU64], turn: usize) {
        let numbers = [self.pieces, self.bytes, u64::from(self.short)];
        for (place, number) in slot[turn * NOTE..].iter().zip(numbers) {
            place.store(number, Ordering::Relaxed);
        }
    }

    /// The note of this turn in a slot.
    pub fn read(slot: &[AtomicU64], turn: usize) -> Self {
        let number = |k: usize| slot[turn * NOTE + k].load(Ordering::Relaxed);
        Self {
            pieces: number(0),
            bytes: number(1),
            short: number(2) > 0,
        }
    }

    /// The pieces in a slot.
    pub fn places<'a>(&self, slot: &'a [AtomicU64]) -> Places<'a> {
        let numbers = &slot[HEADER..][..PLACE * self.pieces as usize];
        Places {
            numbers,
            bytes: self.bytes,
        }
    }
}

/// The pieces of a rank, ascending.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    numbers: &'a [AtomicU64],
    bytes: u64,
}

impl Places<'_> {
    /// Writes the pieces of this rank.
    pub fn write(&self, pieces: &[Piece]) {
        let mut from = 0;
        for (numbers, piece) in self.numbers.chunks_exact(PLACE).zip(pieces) {
            numbers[0].store(piece.at, Ordering::Relaxed);
            numbers[1].store(from, Ordering::Relaxed);
            from += piece.length;
        }
    }

    fn number(&self, k: usize, which: usize) -> u64 {
        self.numbers[PLACE * k + which].load(Ordering::Relaxed)
    }

    fn len(&self) -> usize {
        self.numbers.len() / PLACE
    }

    fn at(&self, k: usize) -> u64 {
        self.number(k, 0)
    }

    /// Where the bytes of piece `k` begin; of the one after the last, where they end.
    fn from(&self, k: usize) -> u64 {
        if k == self.len() {
            return self.bytes;
        }
        self.number(k, 1)
    }

    /// Where the bytes of each piece go, once all leaders have [laid out](lay_out) their parts.
    pub fn to(&self) -> impl Iterator<Item = u64> {
        (0..self.len()).map(|k| self.number(k, 2))
    }

    /// Number of pieces that begin before `at`.
    fn before(&self, at: u64) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.at(middle) < at {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Bytes of the pieces that begin before `at`.
    fn bytes_before(&self, at: u64) -> u64 {
        self.from(self.before(at))
    }
}

/// The part of the file that leader `part` of `of` writes: all have about the same number of bytes. Parts are disjoint
/// and together everything. A piece belongs where it begins.
pub fn cut(all: &[Places<'_>], part: usize, of: usize) -> Range<u64> {
    let total: u64 = all.iter().map(|places| places.bytes).sum();
    let boundary = |part: usize| {
        if part == 0 {
            return 0;
        }
        if part >= of {
            return u64::MAX;
        }
        let wanted = total * part as u64 / of as u64;
        let (mut low, mut high) = (0, u64::MAX);
        while low < high {
            let middle = u64::midpoint(low, high);
            let before: u64 = all.iter().map(|places| places.bytes_before(middle)).sum();
            if before < wanted {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    };
    boundary(part)..boundary(part + 1)
}

/// A piece on its way into the order of the file: where it is, whose it is, and which of its rank's.
pub type Entry = (u64, u32, u32);

/// Says of each piece that begins in `range` where its bytes go, so that all bytes are in the order of the file, and
/// appends what there is to write to `pieces`. The bytes of the part, among those of all.
pub fn lay_out(
    all: &[Places<'_>],
    range: Range<u64>,
    order: &mut Vec<Entry>,
    pieces: &mut Vec<Piece>,
) -> Range<usize> {
    let start: u64 = all
        .iter()
        .map(|places| places.bytes_before(range.start))
        .sum();
    order.clear();
    for (whose, places) in all.iter().enumerate() {
        let of_part = places.before(range.start)..places.before(range.end);
        order.extend(of_part.map(|k| (places.at(k), whose as u32, k as u32)));
    }
    // Each rank's are in order already: the stable sort finds their runs and merges them.
    #[allow(clippy::stable_sort_primitive)]
    order.sort();
    let mut to = start;
    for (at, whose, k) in order {
        let (places, k) = (&all[*whose as usize], *k as usize);
        places.numbers[PLACE * k + 2].store(to, Ordering::Relaxed);
        let length = places.from(k + 1) - places.from(k);
        append(pieces, Piece { at: *at, length });
        to += length;
    }
    start as usize..to as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A slot as a rank leaves it.
    fn slot(pieces: &[Piece]) -> Vec<AtomicU64> {
        let note = Note {
            pieces: pieces.len() as u64,
            bytes: pieces.iter().map(|piece| piece.length).sum(),
            short: true,
        };
        let numbers = HEADER + PLACE * pieces.len();
        let slot: Vec<_> = (0..numbers).map(|_| AtomicU64::new(u64::MAX)).collect();
        note.write(&slot, 1);
        note.places(&slot).write(pieces);
        slot
    }

    /// What ends up in a file when every leader lays out its part, all ranks put their bytes where they are told, and
    /// every leader writes its part.
    fn written(ranks: &[(Vec<Piece>, Vec<u8>)], leaders: usize, length: usize) -> Vec<u8> {
        let slots: Vec<_> = ranks.iter().map(|(pieces, _)| slot(pieces)).collect();
        let all: Vec<_> = slots.iter().map(|s| Note::read(s, 1).places(s)).collect();
        let mut order = Vec::new();
        let parts: Vec<_> = (0..leaders)
            .map(|part| {
                let mut pieces = Vec::new();
                let bytes = lay_out(&all, cut(&all, part, leaders), &mut order, &mut pieces);
                (pieces, bytes)
            })
            .collect();
        let mut data = vec![0; ranks.iter().map(|(_, data)| data.len()).sum()];
        for ((pieces, bytes), places) in ranks.iter().zip(&all) {
            let mut rest = &bytes[..];
            for (piece, to) in pieces.iter().zip(places.to()) {
                let (now, later) = rest.split_at(piece.length as usize);
                data[to as usize..][..now.len()].copy_from_slice(now);
                rest = later;
            }
        }
        let mut file = vec![0u8; length];
        let mut end = 0;
        for (pieces, bytes) in parts {
            assert_eq!(bytes.start, end);
            end = bytes.end;
            assert!(pieces.windows(2).all(|p| p[0].at + p[0].length < p[1].at));
            let mut rest = &data[bytes];
            for piece in pieces {
                let (now, later) = rest.split_at(piece.length as usize);
                file[piece.at as usize..][..now.len()].copy_from_slice(now);
                rest = later;
            }
            assert!(rest.is_empty());
        }
        file
    }

    proptest! {
        #[test]
        fn leaders_write_everything_once_wherever_it_comes_from(
            owners in prop::collection::vec(0usize..5, 1..200), leaders in 1usize..6, size in 1u64..9
        ) {
            // Owner 4 is nobody: a hole.
            let mut whole = vec![0u8; owners.len() * size as usize];
            let ranks: Vec<_> = (0..4)
                .map(|rank| {
                    let (mut pieces, mut data) = (Vec::new(), Vec::new());
                    for (k, owner) in owners.iter().enumerate().filter(|(_, o)| **o == rank) {
                        let at = k as u64 * size;
                        append(&mut pieces, Piece { at, length: size });
                        for byte in at..at + size {
                            let value = (byte * 7 + 1 + *owner as u64) as u8 | 1;
                            whole[byte as usize] = value;
                            data.push(value);
                        }
                    }
                    (pieces, data)
                })
                .collect();
            prop_assert_eq!(written(&ranks, leaders, whole.len()), whole);
        }
    }

    #[test]
    fn the_notes_of_two_turns_are_kept_apart() {
        let slot = slot(&[]);
        let (first, second) = (
            Note::default(),
            Note {
                pieces: 3,
                bytes: 7,
                short: true,
            },
        );
        first.write(&slot, 0);
        second.write(&slot, 1);
        assert_eq!(
            [Note::read(&slot, 0), Note::read(&slot, 1)],
            [first, second]
        );
    }

    #[test]
    fn long_runs_and_few_runs_are_left_where_they_are() {
        assert!(is_short(1000, 2_400_000));
        assert!(!is_short(5, 100) && !is_short(100, 100 << 20));
    }
}
