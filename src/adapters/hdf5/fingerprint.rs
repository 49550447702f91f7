//! Tells one input from another.

use xxhash_rust::xxh3::Xxh3;
use zerocopy::IntoBytes as _;

use crate::domain::error::{GoOn, Result};
use crate::domain::frame::FrameBlock;
use crate::engine::ports::Source;
use crate::planning::frame_set::FrameSet;

use super::input::Input;
use super::rows::RowInput;

/// Inputs whose positions take no more than this are hashed whole.
const WHOLE_BYTES: u64 = 256 << 20;
/// Of larger ones, this many evenly spaced frames, first and last included.
const SAMPLES: u64 = 4096;
/// Frames that every rank looks at.
const GLANCES: u64 = 5;

/// XXH3-64 over the numbers of frames and atoms and the species, positions, cells and periodic directions of all
/// frames, or of 4096 evenly spaced ones where the positions take more than 256 MiB. It does not depend on the
/// file's name, place or layout. Of several groups, their names and numbers of frames go into it as well.
pub fn fingerprint(input: &mut Input, go_on: GoOn<'_>) -> Result<String> {
    let mut hash = Stream::new();
    hash.bytes(&input.frames().to_le_bytes());
    hash.bytes(&input.total_atoms().to_le_bytes());
    for (key, frames) in input.segments() {
        hash.bytes(key.as_bytes());
        hash.bytes(&frames.end.to_le_bytes());
    }
    let rest = sample(input.frames(), 24 * input.total_atoms());
    let block_frames = input.block_frames();
    hash.all(input, rest, block_frames, go_on)
}

/// The same of an array: XXH3-64 over its number of rows, their shape, type and axes, and all rows, or 4096 evenly spaced
/// ones where they take more than 256 MiB.
pub fn fingerprint_of_rows(input: &mut RowInput, go_on: GoOn<'_>) -> Result<String> {
    let mut hash = Stream::new();
    hash.bytes(&input.rows().to_le_bytes());
    let description = input.description();
    hash.bytes(format!("{:?} {:?}", input.stored(), description.shape).as_bytes());
    for axis in &description.axes {
        hash.reals(&axis.values);
    }
    let rest = sample(input.rows(), input.rows() * input.row_bytes() as u64);
    let block_rows = input.block_rows();
    hash.all(input, rest, block_rows, go_on)
}

/// As [`glance`], of an array.
pub fn glance_at_rows(input: &mut RowInput) -> Result<String> {
    let frames = spaced(input.rows(), GLANCES);
    let digest = Stream::new().all(input, frames, 1, &|| Ok(()))?;
    let (rows, name) = (input.rows(), input.name());
    Ok(format!(
        "{rows} rows of {:?} in {name}, {digest}",
        input.description().shape
    ))
}

/// What every rank can afford to look at, so that ranks with another file under the same path find out: numbers of
/// frames and atoms, group, and XXH3-64 over a few frames.
pub fn glance(input: &mut Input) -> Result<String> {
    let mut hash = Stream::new();
    let mut block = FrameBlock::default();
    for frame in spaced(input.frames(), GLANCES).iter() {
        input.read(&FrameSet::from_runs(vec![frame..frame + 1]), &mut block)?;
        hash.block(&block);
    }
    Ok(format!(
        "{} frames of {} atoms in {}, {:016x}",
        input.frames(),
        input.total_atoms(),
        input.key(),
        hash.digest()
    ))
}

fn sample(frames: u64, bytes: u64) -> FrameSet {
    if bytes <= WHOLE_BYTES {
        return FrameSet::all(frames);
    }
    spaced(frames, SAMPLES)
}

/// `most` evenly spaced frames, first and last included; all where there are not more.
fn spaced(frames: u64, most: u64) -> FrameSet {
    if frames <= most {
        return FrameSet::all(frames);
    }
    let nth = |k: u64| (u128::from(k) * u128::from(frames - 1) / u128::from(most - 1)) as u64;
    (0..most).map(|k| nth(k)..nth(k) + 1).collect()
}

/// Bytes that are hashed at once: frames of a few atoms are not hashed number by number.
const CHUNK: usize = 1 << 16;

/// Hashes bytes in large pieces.
struct Stream {
    hash: Xxh3,
    waiting: Vec<u8>,
}

impl Stream {
    fn new() -> Self {
        Self {
            hash: Xxh3::new(),
            waiting: Vec::with_capacity(CHUNK),
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if self.waiting.len() + bytes.len() > CHUNK {
            self.hash.update(&self.waiting);
            self.waiting.clear();
        }
        if bytes.len() > CHUNK {
            self.hash.update(bytes);
        } else {
            self.waiting.extend_from_slice(bytes);
        }
    }

    fn reals(&mut self, values: &[f64]) {
        if cfg!(target_endian = "little") {
            return self.bytes(values.as_bytes());
        }
        for x in values {
            self.bytes(&x.to_le_bytes());
        }
    }

    /// Hashes `rest` of what `source` has, and returns the digest in text.
    fn all(
        mut self,
        source: &mut dyn Source,
        mut rest: FrameSet,
        at_once: u64,
        go_on: GoOn<'_>,
    ) -> Result<String> {
        let mut block = FrameBlock::default();
        while !rest.is_empty() {
            go_on()?;
            source.read(&rest.split_front(at_once), &mut block)?;
            self.block(&block);
        }
        Ok(format!("{:016x}", self.digest()))
    }

    fn block(&mut self, block: &FrameBlock) {
        if block.value_bytes > 0 {
            return (0..block.len()).for_each(|i| self.bytes(block.row(i)));
        }
        for i in 0..block.len() {
            let frame = block.frame(i);
            self.bytes(&(frame.len() as u64).to_le_bytes());
            self.bytes(frame.species);
            self.reals(frame.positions.as_flattened());
            self.reals(frame.cell.vectors.as_flattened());
            self.bytes(&frame.cell.periodic.map(u8::from));
        }
    }

    fn digest(mut self) -> u64 {
        self.hash.update(&self.waiting);
        self.hash.digest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashing_in_pieces_is_hashing_the_bytes() {
        let numbers: Vec<f64> = (0..50_000).map(f64::from).collect();
        let mut stream = Stream::new();
        let mut plain = Vec::new();
        for length in [1, 3, 8000, 20_000, 7, 9000] {
            stream.bytes(&[1, 2, 3]);
            stream.reals(&numbers[..length]);
            plain.extend([1, 2, 3]);
            plain.extend(numbers[..length].iter().flat_map(|x| x.to_le_bytes()));
        }
        assert_eq!(stream.digest(), xxhash_rust::xxh3::xxh3_64(&plain));
    }

    #[test]
    fn large_inputs_are_sampled_from_the_first_frame_to_the_last() {
        let frames = 10_000_000;
        let sampled = sample(frames, u64::MAX);
        assert_eq!(sampled.len(), SAMPLES);
        assert!(sampled.contains(0) && sampled.contains(frames - 1));
        assert_eq!(sample(1003, 1003 * 24), FrameSet::all(1003));
        assert_eq!(sample(0, 0), FrameSet::empty());
    }
}
