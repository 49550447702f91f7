//! A set of frame indices as sorted, disjoint, non-adjacent runs.

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
        let mut merged: Vec<Range<u64>> = Vec::with_capacity(runs.len());
        for run in runs {
            match merged.last_mut() {
                Some(last) if run.start <= last.end => last.end = last.end.max(run.end),
                _ => merged.push(run),
            }
        }
        Self {
            runs: merged,
            gone: 0,
        }
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
        let (mut a, mut b) = (
            self.runs().iter().peekable(),
            other.runs().iter().peekable(),
        );
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

    /// Frames of this set that are not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
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

impl FromIterator<Range<u64>> for FrameSet {
    fn from_iter<I: IntoIterator<Item = Range<u64>>>(runs: I) -> Self {
        Self::from_runs(runs.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        }
    }
}
