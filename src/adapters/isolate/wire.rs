//! What a worker and its engine's process say to each other: numbers of 4 and 8 bytes, little-endian, texts with their
//! length in front.
//!
//! | who | what |
//! |---|---|
//! | worker, once | length (u32), JSON of [`Setup`] |
//! | engine, once | 0 (u8), or 3 and a text: why the calculator cannot be built |
//! | worker, per frame | atoms (u32), cell (9 × f64), periodic (3 × u8), species (atoms × u8), positions (3 × atoms × f64) |
//! | engine, per frame | 0 (u8), energy (f64), stress (9 × f64), forces (3 × atoms × f64); or 2 and a text: not converged; or 3 and a text: failed |

use std::io::{self, Error, ErrorKind, Read, Write};

use serde::{Deserialize, Serialize};

use crate::domain::calculator::Results;
use crate::domain::cell::Cell;
use crate::domain::frame::{Frame, FrameBlock};

/// What the engine has to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Setup {
    /// Its name in the table of calculators.
    pub calculator: String,
    /// Its parameters.
    pub parameters: Vec<(String, String)>,
}

/// What became of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The results are there.
    Done,
    /// Status 2.
    NotConverged(String),
    /// Status 3.
    Failed(String),
}

const DONE: u8 = 0;
const NOT_CONVERGED: u8 = 2;
const FAILED: u8 = 3;
/// No text is longer; what comes with more is not of ours.
const LONGEST_TEXT: u32 = 1 << 24;

fn strange() -> Error {
    Error::new(ErrorKind::InvalidData, "not what was expected")
}

pub(super) fn write_setup(to: &mut impl Write, setup: &Setup) -> io::Result<()> {
    write_text(to, &serde_json::to_string(setup)?)
}

pub(super) fn read_setup(from: &mut impl Read) -> io::Result<Setup> {
    Ok(serde_json::from_str(&read_text(from)?)?)
}

pub(super) fn write_ready(to: &mut impl Write, ready: &Result<(), String>) -> io::Result<()> {
    match ready {
        Ok(()) => to.write_all(&[DONE]),
        Err(why) => {
            to.write_all(&[FAILED])?;
            write_text(to, why)
        }
    }
}

pub(super) fn read_ready(from: &mut impl Read) -> io::Result<Result<(), String>> {
    match read_byte(from)? {
        DONE => Ok(Ok(())),
        FAILED => Ok(Err(read_text(from)?)),
        _ => Err(strange()),
    }
}

pub(super) fn write_frame(to: &mut impl Write, frame: &Frame<'_>) -> io::Result<()> {
    to.write_all(&(frame.len() as u32).to_le_bytes())?;
    write_numbers(to, &frame.cell.vectors)?;
    to.write_all(&frame.cell.periodic.map(u8::from))?;
    to.write_all(frame.species)?;
    write_numbers(to, frame.positions)
}

/// Puts the next frame into `block` as its only one; false at the end.
pub(super) fn read_frame(from: &mut impl Read, block: &mut FrameBlock) -> io::Result<bool> {
    let atoms = match read_u32(from) {
        Ok(atoms) => atoms as usize,
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(false),
        Err(e) => return Err(e),
    };
    let mut vectors = [[0.0; 3]; 3];
    read_numbers(from, &mut vectors)?;
    let periodic = [read_byte(from)?, read_byte(from)?, read_byte(from)?].map(|byte| byte != 0);
    let mut species = vec![0; atoms];
    from.read_exact(&mut species)?;
    let mut positions = vec![[0.0; 3]; atoms];
    read_numbers(from, &mut positions)?;
    let frame = Frame {
        species: &species,
        positions: &positions,
        cell: Cell { vectors, periodic },
    };
    block.clear();
    block.push(0, frame);
    Ok(true)
}

pub(super) fn write_answer(
    to: &mut impl Write,
    answer: &Answer,
    results: &Results<'_>,
) -> io::Result<()> {
    match answer {
        Answer::Done => {
            to.write_all(&[DONE])?;
            to.write_all(&results.energy.to_le_bytes())?;
            write_numbers(to, results.stress)?;
            write_numbers(to, results.forces)
        }
        Answer::NotConverged(why) => {
            to.write_all(&[NOT_CONVERGED])?;
            write_text(to, why)
        }
        Answer::Failed(why) => {
            to.write_all(&[FAILED])?;
            write_text(to, why)
        }
    }
}

pub(super) fn read_answer(from: &mut impl Read, results: &mut Results<'_>) -> io::Result<Answer> {
    match read_byte(from)? {
        DONE => {
            let mut energy = [0; 8];
            from.read_exact(&mut energy)?;
            *results.energy = f64::from_le_bytes(energy);
            read_numbers(from, results.stress)?;
            read_numbers(from, results.forces)?;
            Ok(Answer::Done)
        }
        NOT_CONVERGED => Ok(Answer::NotConverged(read_text(from)?)),
        FAILED => Ok(Answer::Failed(read_text(from)?)),
        _ => Err(strange()),
    }
}

fn write_text(to: &mut impl Write, text: &str) -> io::Result<()> {
    to.write_all(&(text.len() as u32).to_le_bytes())?;
    to.write_all(text.as_bytes())
}

fn read_text(from: &mut impl Read) -> io::Result<String> {
    let length = read_u32(from)?;
    if length > LONGEST_TEXT {
        return Err(strange());
    }
    let mut bytes = vec![0; length as usize];
    from.read_exact(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn read_byte(from: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    from.read_exact(&mut byte)?;
    Ok(byte[0])
}

fn read_u32(from: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn write_numbers(to: &mut impl Write, rows: &[[f64; 3]]) -> io::Result<()> {
    rows.as_flattened()
        .iter()
        .try_for_each(|x| to.write_all(&x.to_le_bytes()))
}

fn read_numbers(from: &mut impl Read, rows: &mut [[f64; 3]]) -> io::Result<()> {
    let mut bytes = [0; 8];
    for x in rows.as_flattened_mut() {
        from.read_exact(&mut bytes)?;
        *x = f64::from_le_bytes(bytes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_and_its_results_travel_bit_by_bit() {
        let odd = [
            f64::from_bits(0x7ff8_0000_0000_1234),
            -0.0,
            f64::MIN_POSITIVE / 3.0,
        ];
        let cell = Cell {
            vectors: [odd, [1.0, 2.0, 3.0], [0.1; 3]],
            periodic: [true, false, true],
        };
        let (species, positions) = ([18, 1], [[1.0 / 3.0, 5e-324, -7.5], odd]);
        let frame = Frame {
            species: &species,
            positions: &positions,
            cell,
        };
        let mut bytes = Vec::new();
        write_frame(&mut bytes, &frame).unwrap();
        let mut block = FrameBlock::default();
        let mut from = &bytes[..];
        assert!(read_frame(&mut from, &mut block).unwrap());
        assert!(!read_frame(&mut from, &mut block).unwrap(), "the end");
        let bits = |rows: &[[f64; 3]]| -> Vec<u64> {
            rows.as_flattened().iter().map(|x| x.to_bits()).collect()
        };
        let back = block.frame(0);
        assert_eq!(bits(back.positions), bits(&positions));
        assert_eq!(bits(&back.cell.vectors), bits(&cell.vectors));
        assert_eq!(
            (back.species, back.cell.periodic),
            (&species[..], cell.periodic)
        );

        let (mut energy, mut forces, mut stress) = (odd[0], positions, [odd; 3]);
        let results = Results {
            energy: &mut energy,
            forces: &mut forces,
            stress: &mut stress,
        };
        let mut bytes = Vec::new();
        write_answer(&mut bytes, &Answer::Done, &results).unwrap();
        let (mut e, mut f, mut s) = (0.0, [[0.0; 3]; 2], [[0.0; 3]; 3]);
        let mut back = Results {
            energy: &mut e,
            forces: &mut f,
            stress: &mut s,
        };
        assert_eq!(
            read_answer(&mut &bytes[..], &mut back).unwrap(),
            Answer::Done
        );
        assert_eq!(
            (e.to_bits(), bits(&f), bits(&s)),
            (odd[0].to_bits(), bits(&positions), bits(&[odd; 3]))
        );
    }

    #[test]
    fn whatever_an_engine_writes_is_an_answer_or_an_error() {
        for bytes in [
            &[7u8, 0, 0, 0, 0][..],
            &[3, 255, 255, 255, 255],
            &[0, 1],
            &[],
        ] {
            let (mut e, mut f, mut s) = (0.0, [[0.0; 3]; 2], [[0.0; 3]; 3]);
            let mut results = Results {
                energy: &mut e,
                forces: &mut f,
                stress: &mut s,
            };
            assert!(read_answer(&mut &bytes[..], &mut results).is_err());
        }
    }
}
