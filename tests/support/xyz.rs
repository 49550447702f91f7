//! Reads the extended XYZ files of `tests/data`, and only those: `Lattice` and `pbc` in the comment line,
//! species and position per atom.

use std::path::PathBuf;

use framewise::domain::cell::Cell;
use framewise::domain::elements;
use framewise::domain::frame::{Frame, FrameBlock};

/// A file of `tests/data`.
pub fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// All frames of a file of `tests/data`.
pub fn read(name: &str) -> FrameBlock {
    let text = std::fs::read_to_string(data(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let mut lines = text.lines();
    let mut frames = FrameBlock::default();
    while let Some(count) = lines.next() {
        let count: usize = count.trim().parse().unwrap();
        let comment = lines.next().unwrap();
        let mut cell = Cell::OPEN;
        if let Some(lattice) = quoted(comment, "Lattice") {
            let numbers: Vec<f64> = lattice.split_whitespace().map(number).collect();
            for (n, x) in numbers.into_iter().enumerate() {
                cell.vectors[n / 3][n % 3] = x;
            }
        }
        for (k, flag) in quoted(comment, "pbc")
            .unwrap()
            .split_whitespace()
            .enumerate()
        {
            cell.periodic[k] = flag == "T";
        }
        let (mut species, mut positions) = (Vec::new(), Vec::new());
        for line in lines.by_ref().take(count) {
            let mut words = line.split_whitespace();
            species.push(elements::atomic_number(words.next().unwrap()).unwrap());
            positions.push([(); 3].map(|()| number(words.next().unwrap())));
        }
        let frame = Frame {
            species: &species,
            positions: &positions,
            cell,
        };
        frames.push(frames.len() as u64, frame);
    }
    frames
}

fn quoted<'a>(comment: &'a str, name: &str) -> Option<&'a str> {
    let start = comment.find(&format!("{name}=\""))? + name.len() + 2;
    comment[start..].split('"').next()
}

fn number(word: &str) -> f64 {
    word.parse().unwrap_or_else(|e| panic!("{word}: {e}"))
}
