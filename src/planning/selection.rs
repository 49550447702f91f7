//! What `--frames` and `--chunk` mean.

use std::fmt;
use std::str::FromStr;

use super::frame_set::FrameSet;
use super::partition::part;

/// A selection as typed: `0:1000:2,5,7`. Items are frames or Python slices; negative numbers count from the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    items: Vec<Item>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    Frame(i64),
    Slice {
        start: Option<i64>,
        stop: Option<i64>,
        step: u64,
    },
}

impl FromStr for Selection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let items = text
            .split(',')
            .map(|item| {
                parse_item(item.trim())
                    .map_err(|why| format!("{:?} {why}; write frames as 0:1000:2,5,7", item.trim()))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { items })
    }
}

fn parse_item(text: &str) -> Result<Item, String> {
    let number = |part: &str| -> Result<Option<i64>, String> {
        let part = part.trim();
        if part.is_empty() {
            return Ok(None);
        }
        part.parse()
            .map(Some)
            .map_err(|_| "is neither a frame nor a slice".to_owned())
    };
    let parts: Vec<_> = text.split(':').collect();
    match parts[..] {
        [frame] => Ok(Item::Frame(number(frame)?.ok_or("is empty")?)),
        [start, stop] => Ok(Item::Slice {
            start: number(start)?,
            stop: number(stop)?,
            step: 1,
        }),
        [start, stop, step] => {
            let step = number(step)?.unwrap_or(1);
            Ok(Item::Slice {
                start: number(start)?,
                stop: number(stop)?,
                step: u64::try_from(step)
                    .ok()
                    .filter(|s| *s > 0)
                    .ok_or("has a step that is not positive")?,
            })
        }
        _ => Err("has more than two colons".into()),
    }
}

impl Selection {
    /// The selected frames of a trajectory of `n` frames. Slices are cut at the ends as in Python; a single
    /// frame that does not exist is an error.
    pub fn resolve(&self, n: u64) -> Result<FrameSet, String> {
        let mut runs = Vec::new();
        let length = i64::try_from(n).map_err(|_| "too many frames".to_owned())?;
        for item in &self.items {
            match *item {
                Item::Frame(frame) => {
                    let index = if frame < 0 {
                        frame.saturating_add(length)
                    } else {
                        frame
                    };
                    let index = u64::try_from(index)
                        .ok()
                        .filter(|i| *i < n)
                        .ok_or_else(|| format!("frame {frame} does not exist: {}", existing(n)))?;
                    runs.push(index..index + 1);
                }
                Item::Slice { start, stop, step } => {
                    let clip = |x: i64| {
                        let x = if x < 0 { x.saturating_add(length) } else { x };
                        x.clamp(0, length) as u64
                    };
                    let (start, stop) = (start.map_or(0, clip), stop.map_or(n, clip));
                    if step == 1 {
                        runs.push(start..stop);
                    } else {
                        let step = usize::try_from(step).unwrap_or(usize::MAX);
                        runs.extend((start..stop).step_by(step).map(|i| i..i + 1));
                    }
                }
            }
        }
        Ok(FrameSet::from_runs(runs))
    }
}

fn existing(n: u64) -> String {
    match n {
        0 => "the trajectory has no frames".into(),
        1 => "the trajectory has one frame, 0".into(),
        _ => format!("the trajectory has frames 0 to {}", n - 1),
    }
}

/// `--chunk i/n`: part `i` (1-based) of `n` equal parts of the selection, as `numpy.array_split` cuts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    number: u64,
    of: u64,
}

impl FromStr for Chunk {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a chunk; write i/n with 1 <= i <= n, like 3/16");
        let (number, of) = text.split_once('/').ok_or_else(wrong)?;
        let number: u64 = number.trim().parse().map_err(|_| wrong())?;
        let of: u64 = of.trim().parse().map_err(|_| wrong())?;
        if number == 0 || number > of {
            return Err(wrong());
        }
        Ok(Self { number, of })
    }
}

impl fmt::Display for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl Chunk {
    /// This chunk of `selected`.
    pub fn of(&self, selected: &FrameSet) -> FrameSet {
        selected.slice(part(selected.len(), self.number - 1, self.of))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames(text: &str, n: u64) -> Result<Vec<u64>, String> {
        let selection: Selection = text.parse()?;
        Ok(selection.resolve(n)?.iter().collect())
    }

    #[test]
    fn slices_are_pythons() {
        assert_eq!(frames("0:10:3,5,7", 1003).unwrap(), [0, 3, 5, 6, 7, 9]);
        assert_eq!(frames(":", 3).unwrap(), [0, 1, 2]);
        assert_eq!(frames("-2:", 5).unwrap(), [3, 4]);
        assert_eq!(frames("-1", 5).unwrap(), [4]);
        assert_eq!(frames("3:100", 5).unwrap(), [3, 4]);
        assert_eq!(frames("4:2", 5).unwrap(), Vec::<u64>::new());
        assert_eq!(frames("::2", 0).unwrap(), Vec::<u64>::new());
    }

    #[test]
    fn mistakes_are_named() {
        for (text, expected) in [
            (
                "5",
                "frame 5 does not exist: the trajectory has frames 0 to 4",
            ),
            ("-6", "frame -6 does not exist"),
            ("1:2:0", "has a step that is not positive"),
            ("1:2:-1", "has a step that is not positive"),
            ("1:2:3:4", "more than two colons"),
            (
                "a",
                "\"a\" is neither a frame nor a slice; write frames as 0:1000:2,5,7",
            ),
            ("", "is empty"),
            ("1,,2", "is empty"),
        ] {
            let message = frames(text, 5).unwrap_err();
            assert!(message.contains(expected), "{text}: {message}");
        }
        for text in ["0/4", "5/4", "1", "a/b", "1/0", "-1/4"] {
            assert!(text.parse::<Chunk>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_an_error_or_a_set_within_the_trajectory(text in "[-0-9:, a]{0,12}", n in 0u64..2000) {
            if let Ok(selected) = frames(&text, n) {
                prop_assert!(selected.iter().all(|f| *f < n));
            }
        }

        #[test]
        fn chunks_are_disjoint_and_complete(n in 0u64..200, of in 1u64..12) {
            let all = FrameSet::all(n);
            let together: Vec<_> = (1..=of)
                .flat_map(|i| format!("{i}/{of}").parse::<Chunk>().unwrap().of(&all).iter().collect::<Vec<_>>())
                .collect();
            prop_assert!(all.iter().eq(together));
        }
    }
}
