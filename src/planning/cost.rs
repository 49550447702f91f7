//! What a frame costs, learnt from its size: by the seconds that frames have taken, in this run and before.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::domain::error::Error;

use super::weights::{MOST_LONG, Weights};

/// Terms of the law: constant, linear, quadratic, cubic in the number of atoms (or of orbitals, where species differ).
const TERMS: usize = 4;
/// Four classes of size for each doubling.
const CLASSES: usize = 4 * 40;
/// Sweeps of the fit; it has converged long before.
const SWEEPS: usize = 300;

/// Seconds of a frame as a polynomial of its size, none of whose coefficients is negative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SizeLaw([f64; TERMS]);

impl SizeLaw {
    /// Cost proportional to size to the power `exponent` (0 to 3): what is assumed before anything was measured.
    pub fn power(exponent: usize) -> Self {
        let mut terms = [0.0; TERMS];
        terms[exponent.min(TERMS - 1)] = 1.0;
        Self(terms)
    }

    /// Seconds of a frame of `size`.
    pub fn seconds(&self, size: f64) -> f64 {
        self.of(&moments(size))
    }

    fn of(&self, moments: &[f64; TERMS]) -> f64 {
        self.0.iter().zip(moments).map(|(a, m)| a * m).sum()
    }
}

fn moments(size: f64) -> [f64; TERMS] {
    [1.0, size, size * size, size * size * size]
}

/// Seconds that frames have taken, by class of size.
#[derive(Clone, Debug, PartialEq)]
pub struct Experience {
    /// Of each class: number of frames, sum of sizes, sum of seconds.
    classes: Vec<[f64; 3]>,
}

impl Default for Experience {
    fn default() -> Self {
        Self {
            classes: vec![[0.0; 3]; CLASSES],
        }
    }
}

impl Experience {
    /// A frame of `size` has taken `seconds`.
    pub fn add(&mut self, size: u64, seconds: f64) {
        let octave = size.max(1).ilog2();
        // The two bits after the first one.
        let quarter = ((size.max(1) << 2) >> octave) & 3;
        let class = (4 * octave as usize + quarter as usize).min(CLASSES - 1);
        let [frames, sizes, sum] = &mut self.classes[class];
        *frames += 1.0;
        *sizes += size as f64;
        *sum += seconds;
    }

    /// All that another one has seen.
    pub fn add_all(&mut self, other: &Self) {
        for (mine, more) in self.numbers().iter_mut().zip(other.classes.as_flattened()) {
            *mine += more;
        }
    }

    /// As numbers, to be summed over ranks.
    pub fn numbers(&mut self) -> &mut [f64] {
        self.classes.as_flattened_mut()
    }

    /// As numbers, to travel between ranks.
    pub fn encode(&self) -> Vec<u64> {
        let numbers = self.classes.as_flattened().iter();
        numbers.map(|x| x.to_bits()).collect()
    }

    /// From the numbers of [`encode`](Self::encode).
    pub fn decode(numbers: &[u64]) -> Self {
        let mut seen = Self::default();
        for (number, bits) in seen.numbers().iter_mut().zip(numbers) {
            *number = f64::from_bits(*bits);
        }
        seen
    }

    /// Frames that it comes from.
    pub fn frames(&self) -> f64 {
        self.classes.iter().map(|class| class[0]).sum()
    }

    /// The law that fits best, in relative deviations, so that small frames count as much as large ones; `None` when
    /// there is nothing to learn from.
    pub fn law(&self) -> Option<SizeLaw> {
        let points: Vec<([f64; TERMS], f64)> = self
            .classes
            .iter()
            .filter(|[frames, _, seconds]| *frames > 0.0 && *seconds > 0.0)
            .map(|[frames, sizes, seconds]| {
                let mean = seconds / frames;
                // Divided by what was measured: every class is to come out as 1. Many frames say more than one.
                let trust = frames.min(16.0).sqrt();
                (moments(sizes / frames).map(|m| trust * m / mean), trust)
            })
            .collect();
        if points.is_empty() {
            return None;
        }
        // Non-negative least squares by coordinate descent: Franc, Hlavac, Navara, CAIP 2005.
        let mut terms = [0.0; TERMS];
        for _ in 0..SWEEPS {
            for k in 0..TERMS {
                let (mut up, mut down) = (0.0, 0.0);
                for (moments, wanted) in &points {
                    let fitted: f64 = terms.iter().zip(moments).map(|(a, m)| a * m).sum();
                    up += (wanted - fitted) * moments[k];
                    down += moments[k] * moments[k];
                }
                if down > 0.0 {
                    terms[k] = f64::max(terms[k] + up / down, 0.0);
                }
            }
        }
        (terms.iter().any(|a| *a > 0.0)).then_some(SizeLaw(terms))
    }
}

/// Sizes of the frames of a plan whose frames differ in size, in blocks as [`Weights`] has them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sizes {
    frames: u64,
    per_block: u64,
    /// Sums of the moments of each block, and by how much its frames cost more than their size says.
    blocks: Vec<([f64; TERMS], f64)>,
    at: u64,
    /// The frames that are expected to take longest: place, size, factor.
    heavy: Vec<(u64, u64, f64)>,
}

/// Finds the frames that take longest among many, of which it keeps only so many.
#[derive(Debug, Default)]
pub struct Longest {
    heap: BinaryHeap<Reverse<(u64, u64, u64, u64)>>,
}

impl Longest {
    /// The next frame, of which `law` says its seconds times `factor`.
    fn push(&mut self, place: u64, size: u64, factor: f64, law: &SizeLaw) {
        let seconds = law.seconds(size as f64) * factor;
        // Positive numbers are in the order of their bits.
        let frame = Reverse((seconds.max(0.0).to_bits(), place, size, factor.to_bits()));
        if self.heap.len() < MOST_LONG {
            self.heap.push(frame);
        } else if let Some(mut least) = self.heap.peek_mut()
            && frame < *least
        {
            *least = frame;
        }
    }

    fn by_place(self) -> Vec<(u64, u64, f64)> {
        let frames = self.heap.into_iter();
        let mut frames: Vec<_> = frames
            .map(|Reverse((_, place, size, factor))| (place, size, f64::from_bits(factor)))
            .collect();
        frames.sort_unstable_by_key(|(place, ..)| *place);
        frames
    }
}

impl Sizes {
    fn new(frames: u64) -> Self {
        let (per_block, blocks) = Weights::blocks(frames);
        Self {
            frames,
            per_block,
            blocks: Vec::with_capacity(blocks),
            ..Self::default()
        }
    }

    /// Whether the size of every frame was told.
    pub fn is_whole(&self) -> bool {
        self.at == self.frames
    }

    /// From sizes and factors of all frames in ascending order: a frame, or those around it, took `factor` times what `law`
    /// says.
    pub fn fill(
        frames: u64,
        law: &SizeLaw,
        each: impl FnOnce(&mut dyn FnMut(u64, f64)) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let mut sizes = Self::new(frames);
        let mut longest = Longest::default();
        each(&mut |size, factor| {
            longest.push(sizes.at, size, factor, law);
            sizes.push(size, factor);
        })?;
        sizes.heavy = longest.by_place();
        Ok(sizes)
    }

    fn push(&mut self, size: u64, factor: f64) {
        if self.at.is_multiple_of(self.per_block) {
            self.blocks.push(([0.0; TERMS], 0.0));
        }
        self.at += 1;
        if let Some((sums, factors)) = self.blocks.last_mut() {
            for (sum, moment) in sums.iter_mut().zip(moments(size as f64)) {
                *sum += moment;
            }
            *factors += factor;
        }
    }

    /// The weights that `law` says.
    pub fn weights(&self, law: &SizeLaw) -> Weights {
        let blocks = self.blocks.iter().map(|(moments, factors)| {
            let frames = moments[0].max(1.0);
            law.of(moments) * factors / frames
        });
        let heavy = self
            .heavy
            .iter()
            .map(|(place, size, factor)| (*place, law.seconds(*size as f64) * factor));
        Weights::from_blocks(
            self.frames,
            &blocks.collect::<Vec<_>>(),
            &heavy.collect::<Vec<_>>(),
        )
    }

    /// As numbers, to travel between ranks.
    pub fn encode(&self) -> Vec<u64> {
        let blocks = self.blocks.iter();
        let numbers = blocks.flat_map(|(moments, factors)| moments.iter().chain([factors]));
        let heavy = self.heavy.iter();
        [self.frames, self.heavy.len() as u64]
            .into_iter()
            .chain(heavy.flat_map(|(place, size, factor)| [*place, *size, factor.to_bits()]))
            .chain(numbers.map(|x| x.to_bits()))
            .collect()
    }

    /// From the numbers of [`encode`](Self::encode).
    pub fn decode(numbers: &[u64]) -> Option<Self> {
        let ([frames, heavy], numbers) = numbers.split_first_chunk()?;
        let (heavy, blocks) = numbers.split_at_checked(3 * usize::try_from(*heavy).ok()?)?;
        let mut sizes = Self::new(*frames);
        sizes.at = *frames;
        sizes.heavy = heavy
            .chunks_exact(3)
            .map(|frame| (frame[0], frame[1], f64::from_bits(frame[2])))
            .collect();
        for block in blocks.chunks_exact(TERMS + 1) {
            let mut moments = [0.0; TERMS];
            for (moment, bits) in moments.iter_mut().zip(block) {
                *moment = f64::from_bits(*bits);
            }
            sizes.blocks.push((moments, f64::from_bits(block[TERMS])));
        }
        Some(sizes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_law_of_what_was_seen_is_found_again() {
        for (law, name) in [
            (
                SizeLaw([1e-3, 0.0, 0.0, 2e-6]),
                "an engine: start-up and cubic",
            ),
            (SizeLaw([1e-7, 3e-7, 0.0, 0.0]), "a pair potential"),
            (SizeLaw([0.0, 1e-4, 1e-5, 0.0]), "between"),
        ] {
            let mut seen = Experience::default();
            for size in [3, 5, 8, 12, 20, 33, 50, 64, 100, 150] {
                for noise in [0.9, 1.1, 1.0] {
                    seen.add(size, noise * law.seconds(size as f64));
                }
            }
            let found = seen.law().unwrap();
            for size in [4.0, 16.0, 90.0, 200.0] {
                let ratio = found.seconds(size) / law.seconds(size);
                assert!((0.8..1.25).contains(&ratio), "{name}: {ratio} at {size}");
            }
        }
    }

    #[test]
    fn one_size_says_something_and_none_nothing() {
        let mut seen = Experience::default();
        assert_eq!(seen.law(), None);
        seen.add(0, 0.0);
        assert_eq!(seen.law(), None);
        seen.add(10, 2.0);
        let ratio = seen.law().unwrap().seconds(10.0) / 2.0;
        assert!((0.99..1.01).contains(&ratio), "{ratio}");
        assert_eq!(seen.frames(), 2.0);
        let mut twice = Experience::decode(&seen.encode());
        assert_eq!(twice, seen);
        twice.add_all(&seen);
        assert_eq!(twice.frames(), 4.0);
    }

    #[test]
    fn sizes_become_weights_and_survive_their_journey() {
        let sized = |frames: u64, of: &dyn Fn(u64) -> (u64, f64)| {
            let fill = |each: &mut dyn FnMut(u64, f64)| {
                (0..frames)
                    .map(of)
                    .for_each(|(size, factor)| each(size, factor));
                Ok(())
            };
            Sizes::fill(frames, &SizeLaw::power(2), fill).unwrap()
        };
        let four = [(1, 1.0), (2, 1.0), (3, 2.0), (10, 1.0)];
        let sizes = sized(4, &|i| four[i as usize]);
        let weights = sizes.weights(&SizeLaw::power(2));
        let own: Vec<f64> = (0..4).map(|i| weights.of(&(i..i + 1))).collect();
        assert_eq!(own, [1.0, 4.0, 18.0, 100.0]);
        assert_eq!(weights.long(&(0..4)), [(3, 100.0)]);
        let told = Sizes::decode(&sizes.encode()).unwrap();
        assert_eq!(
            told.weights(&SizeLaw::power(1)),
            sizes.weights(&SizeLaw::power(1))
        );

        let frames = 3 * super::super::weights::BLOCKS;
        let many = sized(frames, &|i| (1 + i / (frames / 2), 1.0));
        let weights = many.weights(&SizeLaw::power(3));
        assert_eq!(
            weights.cut(0, 4.5 * frames as f64 / 2.0),
            frames / 2 + frames * 7 / 32
        );
    }
}
