//! `--split train=0.8,valid=0.1,test=0.1`: which frame goes where.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use xxhash_rust::xxh3::xxh3_64;

/// Names and shares, in the order in which they were given.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    parts: Vec<(String, f64)>,
}

/// More than this is no slip of rounding.
const WHOLE: f64 = 1.0 + 1e-9;

impl FromStr for Split {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts: Vec<(String, f64)> = Vec::new();
        for item in text.split(',') {
            let wrong = || {
                format!("{item:?} is not a name and a share; write train=0.8,valid=0.1,test=0.1")
            };
            let (name, share) = item.split_once('=').ok_or_else(wrong)?;
            let (name, share) = (name.trim(), share.trim().parse::<f64>());
            let share = share.ok().filter(|x| *x > 0.0 && *x <= 1.0);
            let is_name = !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_alphanumeric() || c == '-' || c == '_');
            match share {
                Some(share) if is_name => parts.push((name.to_owned(), share)),
                _ => return Err(wrong()),
            }
            if parts[..parts.len() - 1]
                .iter()
                .any(|(other, _)| other == name)
            {
                return Err(format!("{name:?} is there twice"));
            }
        }
        let sum: f64 = parts.iter().map(|(_, share)| share).sum();
        if sum > WHOLE {
            return Err(format!("the shares add up to {sum}, more than 1"));
        }
        Ok(Self { parts })
    }
}

impl Split {
    /// Which part a frame belongs to; none where the shares add up to less than 1. It depends on the seed and the frame's
    /// index alone: a frame stays where it is when others are completed later.
    pub fn of(&self, frame: u64, seed: u64) -> Option<usize> {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8..].copy_from_slice(&frame.to_le_bytes());
        // 53 bits, as many as a double tells apart.
        let at = (xxh3_64(&bytes) >> 11) as f64 / (1_u64 << 53) as f64;
        let mut end = 0.0;
        let found = self.parts.iter().position(|(_, share)| {
            end += share;
            at < end
        });
        let whole = end > 1.0 - 1e-9;
        found.or_else(|| whole.then(|| self.parts.len() - 1))
    }

    /// `water.extxyz` becomes `water_train.extxyz`...
    pub fn paths(&self, output: &Path) -> Vec<PathBuf> {
        let stem = output.file_stem().unwrap_or_default().to_string_lossy();
        let suffix = output.extension().map(|s| s.to_string_lossy());
        let name = |part: &str| match &suffix {
            Some(suffix) => format!("{stem}_{part}.{suffix}"),
            None => format!("{stem}_{part}"),
        };
        let parts = self.parts.iter();
        parts
            .map(|(part, _)| output.with_file_name(name(part)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_kept_and_frames_stay_where_they_are() {
        let split: Split = "train=0.8,valid=0.1,test=0.1".parse().unwrap();
        let mut counts = [0; 3];
        for frame in 0..100_000 {
            counts[split.of(frame, 1).unwrap()] += 1;
        }
        for (n, share) in counts.iter().zip([0.8, 0.1, 0.1]) {
            assert!((f64::from(*n) - 1e5 * share).abs() < 500.0, "{counts:?}");
        }
        let moved = (0..1000)
            .filter(|f| split.of(*f, 1) != split.of(*f, 2))
            .count();
        assert!((200..500).contains(&moved), "{moved}");
        let half: Split = "a=0.5".parse().unwrap();
        let kept = (0..1000).filter(|f| half.of(*f, 0).is_some()).count();
        assert!((430..570).contains(&kept), "{kept}");
        let thirds: Split = "a=0.3333333333,b=0.3333333333,c=0.3333333334"
            .parse()
            .unwrap();
        assert!((0..10_000).all(|f| thirds.of(f, 7).is_some()));
        let paths = split.paths(Path::new("d/water.extxyz"));
        assert_eq!(paths[1], Path::new("d/water_valid.extxyz"));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, why) in [
            ("train", "is not a name and a share"),
            ("train=0", "is not a name and a share"),
            ("a/b=0.5", "is not a name and a share"),
            ("a=0.5,a=0.5", "is there twice"),
            ("a=0.9,b=0.2", "more than 1"),
        ] {
            let said = text.parse::<Split>().unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }
}
