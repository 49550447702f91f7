//! The same frame on both sides: by its index, once its geometry is seen to be the same.

use super::listed::Listed;
use super::stored::Stored;
use super::{Labels, Side};
use crate::domain::compare::geometry::difference;
use crate::domain::error::{Error, Result};
use crate::domain::frame::Frame;
use crate::domain::label::Label;
use crate::planning::frame_set::FrameSet;

/// A frame that is completed on both sides.
pub struct Pair<'a> {
    /// Its index.
    pub index: u64,
    /// Its geometry, as A has it.
    pub frame: Frame<'a>,
    /// What A and B say.
    pub labels: [Label<'a>; 2],
}

/// Calls `each` with the frames that are completed on both sides; returns how many there are. Frames come in ascending
/// order, or in that of the text where one side is text. `only` names the frames that are looked at; two texts are
/// always walked through whole.
///
/// # Errors
/// Frames of the same index whose positions differ by more than `tolerance` (Å), or that are other frames altogether.
pub fn for_each_pair(
    sides: &mut [Side; 2],
    only: Option<&FrameSet>,
    tolerance: f64,
    each: &mut dyn FnMut(&Pair<'_>) -> Result<()>,
) -> Result<u64> {
    let mut meet = Meeting {
        tolerance,
        paths: [sides[0].path(), sides[1].path()].map(|p| p.display().to_string()),
        common: 0,
        each,
    };
    let [a, b] = sides;
    let asked = |stored: &Stored| match only {
        Some(only) => stored.completed().intersection(only),
        None => stored.completed().clone(),
    };
    match (a, b) {
        (Side::Stored(a), Side::Stored(b)) => {
            let frames = asked(a).intersection(b.completed());
            stored(a, b, frames, &mut meet)?;
        }
        (Side::Stored(a), Side::Listed(b)) => mixed((&asked(a), a), b, false, &mut meet)?,
        (Side::Listed(a), Side::Stored(b)) => mixed((&asked(b), b), a, true, &mut meet)?,
        (Side::Listed(a), Side::Listed(b)) => listed(a, b, &mut meet)?,
    }
    Ok(meet.common)
}

struct Meeting<'a> {
    tolerance: f64,
    paths: [String; 2],
    common: u64,
    each: &'a mut dyn FnMut(&Pair<'_>) -> Result<()>,
}

impl Meeting<'_> {
    /// Frame `i` of A and frame `j` of B have the same index.
    fn pair(&mut self, (a, i): (&Labels, usize), (b, j): (&Labels, usize)) -> Result<()> {
        if !(a.completed[i] && b.completed[j]) {
            return Ok(());
        }
        let index = a.geometry.indices[i];
        let frame = a.geometry.frame(i);
        if let Some(why) = difference(&frame, &b.geometry.frame(j), self.tolerance) {
            let [a, b] = &self.paths;
            return Err(Error::failure(format!(
                "A ({a}) and B ({b}) hold other geometries: frame {index}: {why}; only results of the same frames can be compared (--tolerance, --by-position)"
            )));
        }
        self.common += 1;
        (self.each)(&Pair {
            index,
            frame,
            labels: [a.label(i), b.label(j)],
        })
    }
}

fn stored(
    a: &mut Stored,
    b: &mut Stored,
    mut rest: FrameSet,
    meet: &mut Meeting<'_>,
) -> Result<()> {
    let at_once = a.block_frames().min(b.block_frames());
    let mut blocks = [Labels::default(), Labels::default()];
    while !rest.is_empty() {
        let frames = rest.split_front(at_once);
        a.read(&frames, &mut blocks[0])?;
        b.read(&frames, &mut blocks[1])?;
        for i in 0..frames.len() as usize {
            meet.pair((&blocks[0], i), (&blocks[1], i))?;
        }
    }
    Ok(())
}

/// The text says which frames are looked up.
fn mixed(
    (wanted, stored): (&FrameSet, &mut Stored),
    listed: &mut Listed,
    listed_is_a: bool,
    meet: &mut Meeting<'_>,
) -> Result<()> {
    let (mut text, mut there) = (Labels::default(), Labels::default());
    let at_once = stored.block_frames();
    let mut seen = FrameSet::empty();
    while listed.next(at_once, &mut text)? {
        let indices = &text.geometry.indices;
        let asked = indices.iter();
        let asked: FrameSet = asked.map(|i| *i..i.saturating_add(1)).collect();
        let again = asked.intersection(&seen);
        if !again.is_empty() || asked.len() < indices.len() as u64 {
            let mut sorted = indices.clone();
            sorted.sort_unstable();
            let twice = sorted.windows(2).find(|pair| pair[0] == pair[1]);
            let index = again.iter().next().or(twice.map(|pair| pair[0]));
            return Err(Error::failure(format!(
                "{}: has frame={} more than once, expected each frame once",
                listed.path().display(),
                index.unwrap_or_default()
            )));
        }
        seen = FrameSet::union([&seen, &asked]);
        let frames = asked.intersection(wanted);
        stored.read(&frames, &mut there)?;
        for (i, index) in text.geometry.indices.iter().enumerate() {
            let Ok(j) = there.geometry.indices.binary_search(index) else {
                continue;
            };
            if listed_is_a {
                meet.pair((&text, i), (&there, j))?;
            } else {
                meet.pair((&there, j), (&text, i))?;
            }
        }
    }
    Ok(())
}

/// One that is walked through frame by frame, in ascending order.
struct Walk<'a> {
    listed: &'a mut Listed,
    block: Labels,
    at: usize,
    last: Option<u64>,
}

impl<'a> Walk<'a> {
    fn new(listed: &'a mut Listed) -> Result<Self> {
        let mut walk = Self {
            listed,
            block: Labels::default(),
            at: 0,
            last: None,
        };
        walk.fill()?;
        Ok(walk)
    }

    fn fill(&mut self) -> Result<()> {
        self.at = 0;
        self.listed.next(u64::MAX, &mut self.block)?;
        for index in &self.block.geometry.indices {
            if self.last.is_some_and(|last| last >= *index) {
                return Err(Error::failure(format!(
                    "{}: its frames are not in ascending order (frame={index} after frame={}): compare it with an HDF5 file, or use --by-position",
                    self.listed.path().display(),
                    self.last.unwrap_or(0)
                )));
            }
            self.last = Some(*index);
        }
        Ok(())
    }

    fn index(&self) -> Option<u64> {
        self.block.geometry.indices.get(self.at).copied()
    }

    fn step(&mut self) -> Result<()> {
        self.at += 1;
        if self.at >= self.block.geometry.len() {
            self.fill()?;
        }
        Ok(())
    }
}

fn listed(a: &mut Listed, b: &mut Listed, meet: &mut Meeting<'_>) -> Result<()> {
    let (mut a, mut b) = (Walk::new(a)?, Walk::new(b)?);
    // To the ends of both, so that all frames are counted.
    loop {
        match (a.index(), b.index()) {
            (Some(i), Some(j)) if i == j => {
                meet.pair((&a.block, a.at), (&b.block, b.at))?;
                a.step()?;
                b.step()?;
            }
            (Some(i), Some(j)) if i > j => b.step()?,
            (Some(_), _) => a.step()?,
            (None, Some(_)) => b.step()?,
            (None, None) => return Ok(()),
        }
    }
}
