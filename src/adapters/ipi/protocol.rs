//! What server and client say to each other.
//!
//! Words are 12 bytes, padded with blanks; whole numbers have 4 bytes, others 8, in the byte order of the machine.
//!
//! | server | client |
//! |---|---|
//! | `STATUS` | `NEEDINIT`, `READY` or `HAVEDATA` |
//! | `INIT`, bead (i32), length (i32), text | |
//! | `POSDATA`, cell (9), inverse of the cell (9), atoms (i32), positions (3 × atoms) | |
//! | `GETFORCE` | `FORCEREADY`, energy, atoms (i32), forces (3 × atoms), virial (9), length (i32), text |
//! | `EXIT` | |
//!
//! Bohr and Hartree. The cell is sent row by row with its vectors in the columns, its inverse and the virial likewise.
//! As i-PI's `ipi/interfaces/sockets.py` has it (V. Kapil et al., Comput. Phys. Commun. 236, 214, 2019).

use std::io::{BufReader, Error, ErrorKind, Read, Result as IoResult, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use crate::adapters::program::Timed;

type Matrix = [[f64; 3]; 3];

const WORD: usize = 12;
/// No text that comes with forces is longer; what comes with more is not of this protocol.
const LONGEST_TEXT: u64 = 64 << 20;

/// What a client is asked for, in atomic units.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    /// Rows are the cell vectors.
    pub vectors: Matrix,
    /// Rows are the reciprocal vectors, without 2π.
    pub reciprocal: Matrix,
    pub positions: &'a [[f64; 3]],
}

/// What it answers, in atomic units.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub energy: f64,
    /// Symmetric: what stands above the diagonal counts.
    pub virial: Matrix,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Before the client was told of the frame: another one may be asked.
    Gone(Error),
    /// It has closed its end, or the time is over.
    Broken(Error),
    /// What it says is not of this protocol.
    Nonsense(String),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

/// A conversation with one client.
#[derive(Debug)]
pub(super) struct Conversation<S> {
    stream: BufReader<Timed<S>>,
    bytes: Vec<u8>,
    /// The text that came with the last forces.
    pub extra: Vec<u8>,
}

impl<S: AsFd + Read + Write> Conversation<S> {
    pub fn new(stream: S) -> IoResult<Self> {
        Ok(Self {
            stream: BufReader::with_capacity(1 << 16, Timed::new(stream)?),
            bytes: Vec::new(),
            extra: Vec::new(),
        })
    }

    /// What follows has to be done within `limit`.
    pub fn within(&mut self, limit: Option<Duration>) {
        self.stream.get_mut().within(limit);
    }

    /// Waits until the client is ready for a frame; initialises it if it asks for that.
    pub fn ready(&mut self) -> Result<(), Trouble> {
        for _ in 0..2 {
            self.begin("STATUS");
            self.send()?;
            match &self.word()? {
                b"READY       " => return Ok(()),
                b"NEEDINIT    " => {
                    self.begin("INIT");
                    // One bead, and a text that is not empty: some clients cannot read nothing.
                    self.push_count(0);
                    self.push_count(1);
                    self.bytes.push(0);
                    self.send()?;
                }
                other => return Err(unexpected(other, "READY or NEEDINIT")),
            }
        }
        Err(Trouble::Nonsense(
            "it says NEEDINIT after INIT; READY was expected".into(),
        ))
    }

    /// Asks for the forces of a frame.
    pub fn ask(
        &mut self,
        question: &Question<'_>,
        forces: &mut [[f64; 3]],
    ) -> Result<Answer, Trouble> {
        self.ready().map_err(|trouble| match trouble {
            Trouble::Broken(error) => Trouble::Gone(error),
            other => other,
        })?;
        self.begin("POSDATA");
        self.push_numbers(transposed(question.vectors).as_flattened());
        self.push_numbers(question.reciprocal.as_flattened());
        self.push_count(question.positions.len());
        self.push_numbers(question.positions.as_flattened());
        self.push_word("STATUS");
        self.send()?;
        self.expect(b"HAVEDATA    ")?;
        self.begin("GETFORCE");
        self.send()?;
        self.expect(b"FORCEREADY  ")?;
        let energy = f64::from_ne_bytes(self.read()?);
        let atoms = i32::from_ne_bytes(self.read()?);
        if usize::try_from(atoms) != Ok(forces.len()) {
            return Err(Trouble::Nonsense(format!(
                "it answers {atoms} forces for a frame of {} atoms",
                forces.len()
            )));
        }
        for force in forces.as_flattened_mut() {
            *force = f64::from_ne_bytes(self.read()?);
        }
        let mut virial = [[0.0; 3]; 3];
        for x in virial.as_flattened_mut() {
            *x = f64::from_ne_bytes(self.read()?);
        }
        self.read_extra()?;
        Ok(Answer {
            energy,
            virial: symmetric(virial),
        })
    }

    /// Tells the client that nothing more comes.
    pub fn exit(&mut self) -> IoResult<()> {
        self.begin("EXIT");
        self.send()
    }

    fn read_extra(&mut self) -> Result<(), Trouble> {
        let length = i32::from_ne_bytes(self.read()?);
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        if length > LONGEST_TEXT {
            return Err(Trouble::Nonsense(
                "the length of its extra text is impossible".into(),
            ));
        }
        self.extra.clear();
        // Grows with what comes, not with what is announced.
        let mut text = (&mut self.stream).take(length);
        if text.read_to_end(&mut self.extra)? as u64 != length {
            return Err(Trouble::Broken(ErrorKind::UnexpectedEof.into()));
        }
        Ok(())
    }

    fn begin(&mut self, word: &str) {
        self.bytes.clear();
        self.push_word(word);
    }

    fn push_word(&mut self, word: &str) {
        let end = self.bytes.len() + WORD;
        self.bytes.extend_from_slice(word.as_bytes());
        self.bytes.resize(end, b' ');
    }

    fn push_count(&mut self, count: usize) {
        // Frames have fewer atoms, see `Room::place`.
        self.bytes.extend_from_slice(&(count as i32).to_ne_bytes());
    }

    fn push_numbers(&mut self, numbers: &[f64]) {
        let bytes = numbers.iter().flat_map(|x| x.to_ne_bytes());
        self.bytes.extend(bytes);
    }

    fn send(&mut self) -> IoResult<()> {
        self.stream.get_mut().write_all(&self.bytes)
    }

    fn read<const N: usize>(&mut self) -> IoResult<[u8; N]> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn word(&mut self) -> IoResult<[u8; WORD]> {
        self.read()
    }

    fn expect(&mut self, wanted: &[u8; WORD]) -> Result<(), Trouble> {
        let word = self.word()?;
        if word == *wanted {
            return Ok(());
        }
        Err(unexpected(&word, &String::from_utf8_lossy(wanted)))
    }
}

fn unexpected(word: &[u8], wanted: &str) -> Trouble {
    Trouble::Nonsense(format!(
        "it says \"{}\" where {} was expected",
        word.trim_ascii_end().escape_ascii(),
        wanted.trim_end()
    ))
}

/// As i-PI does it: some clients send nothing below the diagonal (LAMMPS).
fn symmetric(m: Matrix) -> Matrix {
    [0, 1, 2].map(|i: usize| [0, 1, 2].map(|j: usize| m[i.min(j)][i.max(j)]))
}

fn transposed(m: Matrix) -> Matrix {
    [0, 1, 2].map(|i| [0, 1, 2].map(|j| m[j][i]))
}
