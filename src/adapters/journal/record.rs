//! The bytes of a journal: a header with the counts of earlier deaths, checked by a hash, then one stripe per rank.
//!
//! All numbers are of 64 bits, little-endian in the header, of the machine in the stripes (which only the next start of
//! the same job reads). What a stripe says is believed only as far as it can be true: it may be torn anywhere.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use crate::domain::error::{Error, Result};
use crate::planning::frame_set::FrameSet;
use crate::planning::suspects::{LastSeen, Tallies, Tally};

/// First bytes of a journal.
const MAGIC: &[u8; 8] = b"FWJOURN1";
/// Bytes of the header before the counts.
const FIXED: usize = 56;
/// Bytes of one count.
const TALLY: usize = 24;
/// No header is larger: a damaged one must not ask for all memory.
const MOST_TALLIES: u64 = 1 << 24;
/// No job is larger.
const MOST_RANKS: u64 = 1 << 24;

/// Numbers at the begin of a stripe.
pub(super) mod word {
    /// 0: not begun, [`RUNNING`] or [`LEFT`].
    pub const STATE: usize = 0;
    /// Mark of a crash on a thread without a place.
    pub const STRAY: usize = 1;
    /// Commits that are on the disk.
    pub const COMMITS: usize = 2;
    /// 1: suspects are being computed.
    pub const CAREFUL: usize = 3;
    /// 1: a signal has asked to stop.
    pub const ASKED: usize = 4;
    /// Commits begun.
    pub const ROUNDS: usize = 5;
    /// First frame and the one after the last of the last commit but one and of the last, or the other way round.
    pub const HULLS: usize = 6;
    /// The rank is at work.
    pub const RUNNING: u64 = 1;
    /// The rank has left its work by itself.
    pub const LEFT: u64 = 2;
}
/// Where the places of the workers begin.
pub(super) const SLOTS: usize = 16;
/// Numbers of one place: frame in hand plus one, mark.
pub(super) const SLOT: usize = 2;

/// What a job writes at its begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Tells the job (calculator, parameters, input) from every other.
    pub identity: u64,
    /// Number of stripes.
    pub ranks: u64,
    /// Most workers of any rank.
    pub threads: u64,
    /// What earlier deaths have told.
    pub tallies: Tallies,
}

fn page() -> usize {
    rustix::param::page_size().max(4096)
}

impl Header {
    /// Bytes of one stripe.
    pub fn stripe_bytes(&self) -> usize {
        let places = self.threads as usize + super::SPARE;
        (8 * (SLOTS + SLOT * places)).next_multiple_of(page())
    }

    /// Bytes before the first stripe.
    pub fn header_bytes(&self) -> usize {
        (FIXED + TALLY * self.tallies.0.len()).next_multiple_of(page())
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.header_bytes());
        bytes.extend(MAGIC);
        bytes.extend([0; 8]);
        let numbers = [
            self.identity,
            self.ranks,
            self.threads,
            page() as u64,
            self.tallies.0.len() as u64,
        ];
        bytes.extend(numbers.iter().flat_map(|n| n.to_le_bytes()));
        for (frame, tally) in &self.tallies.0 {
            bytes.extend(frame.to_le_bytes());
            let counts = [tally.crashes, tally.deaths, tally.alone, tally.how];
            bytes.extend(counts.iter().flat_map(|n| n.to_le_bytes()));
        }
        let hash = xxh3_64(&bytes[16..]);
        bytes[8..16].copy_from_slice(&hash.to_le_bytes());
        bytes.resize(self.header_bytes(), 0);
        bytes
    }

    /// Reads a header and leaves the file at the begin of the first stripe.
    pub(super) fn read_from(file: &mut File) -> Result<Self> {
        let wrong = || Error::failure("not a journal of framewise, or a damaged one");
        let mut bytes = vec![0; FIXED];
        file.read_exact(&mut bytes).map_err(|_| wrong())?;
        let number = |bytes: &[u8], at: usize| {
            let mut eight = [0; 8];
            eight.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(eight)
        };
        let [hash, identity, ranks, threads, pages, count] =
            [1, 2, 3, 4, 5, 6].map(|i| number(&bytes, 8 * i));
        let possible = ranks <= MOST_RANKS && threads <= MOST_RANKS && count <= MOST_TALLIES;
        if &bytes[..8] != MAGIC || !possible || pages != page() as u64 {
            return Err(wrong());
        }
        let mut rest = Vec::new();
        let length = TALLY as u64 * count;
        file.by_ref()
            .take(length)
            .read_to_end(&mut rest)
            .map_err(|_| wrong())?;
        bytes.extend(&rest);
        if rest.len() as u64 != length || xxh3_64(&bytes[16..]) != hash {
            return Err(wrong());
        }
        let small =
            |bytes: &[u8], at: usize| number(bytes, at / 8 * 8) >> (8 * (at % 8)) & 0xffff_ffff;
        let tallies = rest.chunks_exact(TALLY).map(|entry| {
            let [crashes, deaths, alone, how] = [8, 12, 16, 20].map(|at| small(entry, at) as u32);
            let tally = Tally {
                crashes,
                deaths,
                alone,
                how,
            };
            (number(entry, 0), tally)
        });
        let header = Self {
            identity,
            ranks,
            threads,
            tallies: Tallies(tallies.collect()),
        };
        let padding = header.header_bytes() - bytes.len();
        let skipped = std::io::copy(
            &mut file.by_ref().take(padding as u64),
            &mut std::io::sink(),
        );
        if skipped.ok() != Some(padding as u64) {
            return Err(wrong());
        }
        Ok(header)
    }
}

/// What the last run of the job has left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// What the deaths before it have told.
    pub tallies: Tallies,
    /// What each rank that had begun has left.
    pub ranks: Vec<LastSeen>,
    last_rounds: Option<FrameSet>,
}

impl Past {
    /// Frames among which are all that were written in the last two commits of every rank; more rather than fewer.
    /// `None`: unknown, because a rank had no stripe or left it torn.
    pub fn last_rounds(&self) -> Option<&FrameSet> {
        self.last_rounds.as_ref()
    }
}

/// Reads the journal that a job with this identity has left of a result with so many frames; `None` when there is none
/// or it is of another job. One that cannot be read is said and ignored.
pub fn read(path: &Path, identity: u64, frames: u64) -> Option<Past> {
    match try_read(path, identity, frames) {
        Ok(past) => past,
        Err(error) => {
            tracing::warn!("{}: {error}; going on without it", path.display());
            None
        }
    }
}

fn try_read(path: &Path, identity: u64, frames: u64) -> Result<Option<Past>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::failure(e.to_string())),
    };
    let header = Header::read_from(&mut file)?;
    if header.identity != identity {
        tracing::debug!("{}: is of another job", path.display());
        return Ok(None);
    }
    let mut past = Past {
        tallies: header.tallies.clone(),
        last_rounds: Some(FrameSet::empty()),
        ..Past::default()
    };
    let mut stripe = vec![0; header.stripe_bytes()];
    for _ in 0..header.ranks {
        if file.read_exact(&mut stripe).is_err() {
            return Err(Error::failure("is shorter than it was made"));
        }
        past.add(&words(&stripe), frames);
    }
    Ok(Some(past))
}

fn words(bytes: &[u8]) -> Vec<u64> {
    let number = |chunk: &[u8]| chunk.try_into().map_or(0, u64::from_ne_bytes);
    bytes.chunks_exact(8).map(number).collect()
}

impl Past {
    fn add(&mut self, words: &[u64], frames: u64) {
        if ![word::RUNNING, word::LEFT].contains(&words[word::STATE]) {
            self.last_rounds = None;
            return;
        }
        let places = words[SLOTS..].chunks_exact(SLOT);
        let in_hand = places.filter(|place| (1..=frames).contains(&place[0]));
        self.ranks.push(LastSeen {
            in_hand: in_hand
                .map(|place| (place[0] - 1, place[1] as u32))
                .collect(),
            stray: words[word::STRAY] as u32,
            left: words[word::STATE] == word::LEFT || words[word::ASKED] != 0,
            committed: words[word::COMMITS] > 0,
            careful: words[word::CAREFUL] != 0,
        });
        for hull in words[word::HULLS..word::HULLS + 4].chunks_exact(2) {
            if hull[0] > hull[1] || hull[1] > frames {
                self.last_rounds = None;
            }
            if let Some(rounds) = &mut self.last_rounds {
                let both = rounds.runs().iter().cloned().chain([hull[0]..hull[1]]);
                *rounds = both.collect();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::journal::{Stripe, create, path_of};
    use crate::engine::journal::Journal;
    use proptest::prelude::*;
    use std::fs;

    fn header(ranks: u64) -> Header {
        let tally = Tally {
            crashes: 1,
            deaths: 2,
            alone: 3,
            how: 11,
        };
        Header {
            identity: 77,
            ranks,
            threads: 2,
            tallies: Tallies((0..300).map(|i| (3 * i, tally)).collect()),
        }
    }

    #[test]
    fn what_is_noted_is_read_after_the_stripe_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_of(&folder.path().join("r.h5"), None);
        create(&path, &header(3)).unwrap();
        assert!(
            read(&path, 77, 1000).unwrap().last_rounds().is_none(),
            "nobody has begun"
        );
        let stripes: Vec<_> = (0..3)
            .map(|rank| Stripe::open(&path, rank).unwrap())
            .collect();
        assert_eq!(
            read(&path, 77, 1000).unwrap().last_rounds(),
            Some(&FrameSet::empty())
        );
        let hands = [stripes[1].hand(), stripes[1].hand()];
        hands[0].take(0);
        hands[1].take(41);
        hands[1].take(999);
        stripes[2].hand().take(5);
        stripes[2].committing(Some((100, 200)));
        stripes[2].committed();
        stripes[2].committing(Some((300, 310)));
        stripes[0].committing(None);
        stripes[0].leave();
        stripes[2].careful();
        let past = read(&path, 77, 1000).unwrap();
        assert_eq!(past.tallies, header(3).tallies);
        assert_eq!(past.last_rounds().unwrap().encode(), "100:200,300:310");
        assert_eq!(past.ranks[1].in_hand, [(0, 0), (999, 0)]);
        // A hand that goes away puts its frame down.
        assert!(past.ranks[2].in_hand.is_empty());
        assert!(past.ranks[0].left && !past.ranks[1].left);
        assert!(past.ranks[2].committed && past.ranks[2].careful && !past.ranks[1].careful);
        stripes[2].committing(Some((700, 701)));
        let past = read(&path, 77, 1000).unwrap();
        assert_eq!(past.last_rounds().unwrap().encode(), "300:310,700:701");
        // Frames that the result does not have are not believed.
        let past = read(&path, 77, 500).unwrap();
        assert_eq!((past.ranks[1].in_hand.len(), past.last_rounds()), (1, None));
        assert!(read(&path, 78, 1000).is_none(), "of another job");
    }

    #[test]
    fn a_journal_goes_with_what_a_death_has_left_of_its_making() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        create(&path, &header(1)).unwrap();
        fs::write(folder.path().join("j.new"), "half").unwrap();
        crate::adapters::journal::remove(&path);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    /// A layer below once reported writes of half the journal as whole, and a rank died of a store beyond its end.
    #[test]
    fn a_journal_that_is_shorter_than_it_says_is_not_mapped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        create(&path, &header(2)).unwrap();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert!(Stripe::open(&path, 0).is_ok());
        let error = Stripe::open(&path, 1).unwrap_err();
        assert!(error.message.contains("shorter than it says"), "{error}");
    }

    #[test]
    fn a_damaged_journal_is_ignored_or_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        create(&path, &header(2)).unwrap();
        let whole = fs::read(&path).unwrap();
        let used = FIXED + TALLY * 300;
        for at in (0..used).step_by(7) {
            let mut torn = whole.clone();
            torn[at] ^= 0x40;
            fs::write(&path, &torn).unwrap();
            assert!(read(&path, 77, 1000).is_none(), "byte {at}");
        }
        for length in (0..whole.len()).step_by(509) {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(read(&path, 77, 1000).is_none(), "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), stripe in prop::collection::vec(any::<u64>(), SLOTS..80)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("j");
            let mut all = MAGIC.to_vec();
            all.extend(&bytes);
            fs::write(&path, &all).unwrap();
            let _ = read(&path, 77, 1000);
            let mut past = Past { last_rounds: Some(FrameSet::empty()), ..Past::default() };
            past.add(&stripe, 1000);
            past.tallies.count(&past.ranks);
            let in_range = past.tallies.0.keys().all(|frame| *frame < 1000);
            prop_assert!(in_range);
        }
    }
}
