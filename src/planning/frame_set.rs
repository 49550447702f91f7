//! A set of frame indices as sorted, disjoint, non-adjacent runs.

use std::iter::Peekable;
use std::ops::Range;

/// Frame indices, ascending. Memory is proportional to the number of runs, not of frames.
#[derive(Clone, Debug, Default)]
pub struct FrameSet {
    runs: Vec<Range<u64>>,
    /// Runs at the front that were split off and not yet removed; less than half of all.
    gone: usize,
}

impl PartialEq for FrameSet {
    fn eq(&self, other: &Self) -> bool {
        self.runs() == other.runs()
    }
}

impl Eq for FrameSet {}

impl FrameSet {
    /// No frame.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Frames `0..n`.
    pub fn all(n: u64) -> Self {
        Self::from_runs(vec![0..n])
    }

    /// The union of any runs, in any order.
    pub fn from_runs(mut runs: Vec<Range<u64>>) -> Self {
        runs.retain(|r| r.start < r.end);
        runs.sort_unstable_by_key(|r| r.start);
        // In place: there may be millions of them.
        runs.dedup_by(|next, last| {
            let one = next.start <= last.end;
            if one {
                last.end = last.end.max(next.end);
            }
            one
        });
        Self { runs, gone: 0 }
    }

    /// The frames that are in any of the sets.
    #[must_use]
    pub fn union<'a>(sets: impl IntoIterator<Item = &'a Self>) -> Self {
        sets.into_iter().flat_map(Self::runs).cloned().collect()
    }

    /// Appends `run`, which begins at or after the end of the set.
    pub fn append(&mut self, run: Range<u64>) {
        if run.start >= run.end {
            return;
        }
        match self.runs.last_mut() {
            Some(last) if run.start == last.end => last.end = run.end,
            Some(last) => {
                debug_assert!(run.start > last.end, "runs are appended in ascending order");
                self.runs.push(run);
            }
            None => self.runs.push(run),
        }
    }

    /// The runs, ascending, none empty, none touching.
    pub fn runs(&self) -> &[Range<u64>] {
        &self.runs[self.gone..]
    }

    /// Number of frames.
    pub fn len(&self) -> u64 {
        self.runs().iter().map(|r| r.end - r.start).sum()
    }

    /// True without frames.
    pub fn is_empty(&self) -> bool {
        self.runs().is_empty()
    }

    /// Each frame, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.runs().iter().cloned().flatten()
    }

    /// Whether `frame` is in the set.
    pub fn contains(&self, frame: u64) -> bool {
        let next = self.runs().partition_point(|r| r.end <= frame);
        self.runs().get(next).is_some_and(|r| r.start <= frame)
    }

    /// The frames at positions `positions` of the ascending list of frames.
    #[must_use]
    pub fn slice(&self, positions: Range<u64>) -> Self {
        let mut taken = Self::empty();
        let mut before = 0;
        for run in self.runs() {
            let length = run.end - run.start;
            let from = positions.start.saturating_sub(before).min(length);
            let to = positions.end.saturating_sub(before).min(length);
            taken.append(run.start + from..run.start + to);
            before += length;
            if before >= positions.end {
                break;
            }
        }
        taken
    }

    /// Frames in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut common = Self::empty();
        let (mut a, mut b) = (self.skip_before(other), other.skip_before(self));
        while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
            common.append(x.start.max(y.start)..x.end.min(y.end));
            if x.end < y.end {
                a.next();
            } else {
                b.next();
            }
        }
        common
    }

    /// The runs from the first one on that can meet a frame of `other`.
    fn skip_before(&self, other: &Self) -> Peekable<std::slice::Iter<'_, Range<u64>>> {
        let begin = other.runs().first().map_or(u64::MAX, |r| r.start);
        let skipped = self.runs().partition_point(|r| r.end <= begin);
        self.runs()[skipped..].iter().peekable()
    }

    /// The set with all gaps of up to `gap` frames filled: where reading a frame more costs less than leaving it out.
    #[must_use]
    pub fn bridged(&self, gap: u64) -> Self {
        let mut bridged = Self::empty();
        for run in self.runs() {
            match bridged.runs.last_mut() {
                Some(last) if run.start - last.end <= gap => last.end = run.end,
                _ => bridged.runs.push(run.clone()),
            }
        }
        bridged
    }

    /// To tell which parts of ascending runs are in the set.
    pub fn parts(&self) -> Parts<'_> {
        Parts(self.runs())
    }

    /// Frames of this set that are not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        if other.is_empty() {
            return self.clone();
        }
        let mut left = Self::empty();
        let mut cuts = other.runs().iter().peekable();
        for run in self.runs() {
            let mut start = run.start;
            while let Some(cut) = cuts.peek() {
                if cut.start >= run.end {
                    break;
                }
                left.append(start..cut.start.max(start));
                start = start.max(cut.end);
                if cut.end > run.end {
                    break;
                }
                cuts.next();
            }
            left.append(start..run.end.max(start));
        }
        left
    }

    /// The set as text, `0:3,7:9`: start and end of each run.
    pub fn encode(&self) -> String {
        let runs: Vec<_> = self
            .runs
            .iter()
            .map(|r| format!("{}:{}", r.start, r.end))
            .collect();
        runs.join(",")
    }

    /// The set that [`encode`](Self::encode) wrote; `None` for anything else.
    pub fn decode(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::empty());
        }
        let run = |item: &str| -> Option<Range<u64>> {
            let (start, end) = item.split_once(':')?;
            Some(start.parse().ok()?..end.parse().ok()?)
        };
        Some(Self::from_runs(
            text.split(',').map(run).collect::<Option<_>>()?,
        ))
    }

    /// The set in few characters, for messages between ranks: two for a run of a few frames after a gap of a few.
    ///
    /// The number of runs, then for each of them the gap before it and its length, each as digits of five bits, the
    /// lowest first; a digit is a character from `0`, with 32 added where more follow.
    pub fn pack(&self) -> String {
        let runs = self.runs();
        let mut text = String::with_capacity(2 * runs.len() + 16);
        let mut push = |mut number: u64| {
            while number >= 32 {
                text.push(char::from(b'0' + 32 + (number & 31) as u8));
                number >>= 5;
            }
            text.push(char::from(b'0' + number as u8));
        };
        push(runs.len() as u64);
        let mut before = 0;
        for run in runs {
            push(run.start - before);
            push(run.end - run.start);
            before = run.end;
        }
        text
    }

    /// The set that [`pack`](Self::pack) wrote; `None` for anything else.
    pub fn unpack(text: &str) -> Option<Self> {
        let mut bytes = text.bytes();
        let mut next = || -> Option<u64> {
            let (mut number, mut shift) = (0_u64, 0);
            loop {
                let digit = bytes.next()?.checked_sub(b'0').filter(|d| *d < 64)?;
                let part = u64::from(digit & 31);
                if shift >= 64 || part << shift >> shift != part {
                    return None;
                }
                number |= part << shift;
                if digit < 32 {
                    return Some(number);
                }
                shift += 5;
            }
        };
        let count = next()?;
        if count > text.len() as u64 / 2 {
            return None;
        }
        let mut runs: Vec<Range<u64>> = Vec::with_capacity(count as usize);
        let mut before = 0_u64;
        for i in 0..count {
            let (gap, length) = (next()?, next()?);
            if length == 0 || (gap == 0 && i > 0) {
                return None;
            }
            let start = before.checked_add(gap)?;
            before = start.checked_add(length)?;
            runs.push(start..before);
        }
        bytes.next().is_none().then_some(Self { runs, gone: 0 })
    }

    /// Removes the first `n` frames and returns them. Taking a whole set in pieces costs as much as walking it once.
    #[must_use]
    pub fn split_front(&mut self, n: u64) -> Self {
        let mut taken = Self::empty();
        let mut wanted = n;
        for run in &mut self.runs[self.gone..] {
            if wanted == 0 {
                break;
            }
            let length = (run.end - run.start).min(wanted);
            taken.append(run.start..run.start + length);
            run.start += length;
            wanted -= length;
            self.gone += usize::from(run.start == run.end);
        }
        // Moving the rest to the front every time would be quadratic.
        if 2 * self.gone >= self.runs.len() {
            self.runs.drain(..self.gone);
            self.gone = 0;
        }
        taken
    }
}

/// What is left of a set whose runs are compared with others, in ascending order.
#[derive(Clone, Debug)]
pub struct Parts<'a>(&'a [Range<u64>]);

impl Parts<'_> {
    /// Calls `each` with the parts of `run`, ascending, and whether they are in the set. Each run begins at or after the
    /// end of the one before; all of them together cost as much as walking the set once.
    pub fn split(&mut self, run: Range<u64>, mut each: impl FnMut(Range<u64>, bool)) {
        let mut at = run.start;
        while at < run.end {
            let (end, inside) = match self.0 {
                [first, rest @ ..] if first.end <= at => {
                    self.0 = rest;
                    continue;
                }
                [first, ..] if first.start <= at => (first.end, true),
                [first, ..] => (first.start, false),
                [] => (run.end, false),
            };
            let end = end.min(run.end);
            each(at..end, inside);
            at = end;
        }
    }
}

impl FromIterator<Range<u64>> for FrameSet {
    fn from_iter<I: IntoIterator<Item = Range<u64>>>(runs: I) -> Self {
        Self::from_runs(runs.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_other_frame_packs_into_two_characters() {
        let every_other: FrameSet = (0..1000).map(|i| 2 * i..2 * i + 1).collect();
        assert!(every_other.pack().len() <= 2 * 1000 + 3);
        assert_eq!(FrameSet::all(10_000_000).pack().len(), 1 + 1 + 5);
        let last = FrameSet::from_runs(vec![u64::MAX - 1..u64::MAX]);
        assert_eq!(FrameSet::unpack(&last.pack()), Some(last));
    }
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn any_set() -> impl Strategy<Value = FrameSet> {
        prop::collection::vec((0u64..60, 0u64..9), 0..12)
            .prop_map(|v| v.into_iter().map(|(a, n)| a..a + n).collect())
    }

    proptest! {
        #[test]
        fn it_behaves_as_a_btreeset(a in any_set(), b in any_set(), from in 0u64..70, n in 0u64..70) {
            let (sa, sb): (BTreeSet<_>, BTreeSet<_>) = (a.iter().collect(), b.iter().collect());
            prop_assert_eq!(a.len(), sa.len() as u64);
            prop_assert!(a.runs().windows(2).all(|w| w[0].end < w[1].start));
            prop_assert!(a.intersection(&b).iter().eq(sa.intersection(&sb).copied()));
            prop_assert!(a.difference(&b).iter().eq(sa.difference(&sb).copied()));
            prop_assert!(FrameSet::union([&a, &b]).iter().eq(sa.union(&sb).copied()));
            prop_assert_eq!(FrameSet::decode(&a.encode()), Some(a.clone()));
            prop_assert_eq!(FrameSet::unpack(&a.pack()), Some(a.clone()));
            let mut parts = a.parts();
            let (mut inside, mut outside) = (FrameSet::empty(), FrameSet::empty());
            for run in b.runs() {
                parts.split(run.clone(), |part, is| if is { inside.append(part) } else { outside.append(part) });
            }
            prop_assert_eq!(&inside, &b.intersection(&a));
            prop_assert_eq!(&outside, &b.difference(&a));
            let bridged = a.bridged(n % 7);
            prop_assert!(a.difference(&bridged).is_empty());
            prop_assert!(bridged.runs().windows(2).all(|w| w[1].start - w[0].end > n % 7));
            prop_assert_eq!(bridged.runs().first().map(|r| r.start), a.runs().first().map(|r| r.start));
            prop_assert_eq!(bridged.runs().last().map(|r| r.end), a.runs().last().map(|r| r.end));
            let sliced = a.slice(from..from + n);
            prop_assert!(sliced.iter().eq(sa.iter().copied().skip(from as usize).take(n as usize)));
            for f in 0..70 {
                prop_assert_eq!(a.contains(f), sa.contains(&f));
            }
            let mut rest = a.clone();
            let front = rest.split_front(n);
            prop_assert!(front.iter().chain(rest.iter()).eq(sa.iter().copied()));
            prop_assert_eq!(front.len(), n.min(a.len()));
            prop_assert_eq!(&rest, &FrameSet::from_runs(rest.runs().to_vec()));
            let mut pieces = a.clone();
            let mut taken = Vec::new();
            while !pieces.is_empty() {
                taken.extend(pieces.split_front(n % 5 + 1).iter());
            }
            prop_assert!(taken.iter().copied().eq(a.iter()));
            pieces.append(0..1);
            prop_assert_eq!(pieces, FrameSet::all(1));
            rest.append(100..101);
            let after: Vec<_> = sa.iter().copied().skip(n as usize).chain([100]).collect();
            prop_assert!(rest.iter().eq(after));
            prop_assert_eq!(FrameSet::unpack(&rest.pack()), Some(rest));
        }

        #[test]
        fn any_text_unpacks_to_nothing_or_to_what_packs_to_a_set(text in "[ -~]{0,20}", digits in "[0-p]{0,12}") {
            for text in [text, digits] {
                if let Some(set) = FrameSet::unpack(&text) {
                    prop_assert!(set.runs().windows(2).all(|w| w[0].end < w[1].start));
                    prop_assert_eq!(FrameSet::unpack(&set.pack()), Some(set));
                }
            }
        }
    }
}
