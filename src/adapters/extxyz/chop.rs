//! Cuts a file into chunks of whole frames, which several threads can read at once. It looks at line ends and numbers of
//! atoms only.
//!
//! From the first thing on that it does not expect, the rest of the file is for one reader: so every file is read as that
//! reader reads it, and it alone says what is wrong.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::reader::ExtxyzReader;
use crate::domain::error::{Error, Result};

/// Sizes in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// A chunk has at least this many, and about as many.
    pub chunk: usize,
    /// Frames of more are read by one reader.
    pub largest: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            chunk: 256 << 10,
            largest: 4 << 20,
        }
    }
}

/// Whole frames of a file.
#[derive(Debug, Default)]
pub struct Chunk {
    /// Their lines.
    pub text: Vec<u8>,
    /// Lines of the file before them.
    pub line: u64,
    /// Frames of the file before them.
    pub frame: u64,
    /// Byte of the file at which they end.
    pub end: u64,
}

/// What comes next.
pub enum Cut<'a> {
    /// A chunk.
    Chunk,
    /// Everything that is left is for this reader.
    Rest(&'a mut ExtxyzReader<BufReader<File>>),
    /// Nothing.
    End,
}

/// Cuts one file.
pub struct Chopper {
    path: PathBuf,
    file: File,
    sizes: Sizes,
    total: u64,
    /// Read, and not given out yet.
    carry: Vec<u8>,
    /// Where that begins.
    at: Found,
    file_has_ended: bool,
    unexpected: bool,
    rest: Option<ExtxyzReader<BufReader<File>>>,
}

/// Whole frames that were found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Found {
    bytes: u64,
    lines: u64,
    frames: u64,
}

impl Chopper {
    /// Opens a file.
    pub fn open(path: &Path, sizes: Sizes) -> Result<Self> {
        let failed = |e| Error::unreadable(path, &e);
        let file = File::open(path).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            total: file.metadata().map_err(failed)?.len(),
            file,
            sizes,
            carry: Vec::new(),
            at: Found::default(),
            file_has_ended: false,
            unexpected: false,
            rest: None,
        })
    }

    /// Bytes of the file.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Cuts off what comes next.
    pub fn cut(&mut self, chunk: &mut Chunk) -> Result<Cut<'_>> {
        chunk.text.clear();
        chunk.text.append(&mut self.carry);
        (chunk.line, chunk.frame) = (self.at.lines, self.at.frames);
        let found = if self.unexpected {
            Found::default()
        } else {
            self.gather(&mut chunk.text)?
        };
        let rest = chunk.text.len() > found.bytes as usize;
        // The one reader of the rest reads it from the file.
        if !self.unexpected {
            self.carry
                .extend_from_slice(&chunk.text[found.bytes as usize..]);
        }
        chunk.text.truncate(found.bytes as usize);
        self.at.add(found);
        chunk.end = self.at.bytes;
        match found.frames {
            0 if rest || self.unexpected => Ok(Cut::Rest(self.rest()?)),
            0 => Ok(Cut::End),
            _ => Ok(Cut::Chunk),
        }
    }

    /// Reads until there is enough for a chunk, or something else to say.
    fn gather(&mut self, text: &mut Vec<u8>) -> Result<Found> {
        let mut found = Found::default();
        loop {
            match next_frame(&text[found.bytes as usize..], self.file_has_ended) {
                Next::Frame(frame) => {
                    found.add(frame);
                    continue;
                }
                Next::Unexpected => self.unexpected = true,
                Next::Cut => {}
            }
            let waiting = &text[found.bytes as usize..];
            if self.file_has_ended && waiting.trim_ascii().is_empty() {
                text.truncate(found.bytes as usize);
                return Ok(found);
            }
            self.unexpected |= self.file_has_ended || waiting.len() > self.sizes.largest;
            let enough = found.frames > 0 && text.len() >= self.sizes.chunk;
            if self.unexpected || enough {
                return Ok(found);
            }
            // Twice as much each time: a long frame is looked at from its start again.
            let more = self.sizes.chunk.max(text.len()) as u64;
            let read = (&self.file).take(more).read_to_end(text);
            let read = read.map_err(|e| Error::unreadable(&self.path, &e))?;
            self.file_has_ended = (read as u64) < more;
        }
    }

    fn rest(&mut self) -> Result<&mut ExtxyzReader<BufReader<File>>> {
        let reader = match self.rest.take() {
            Some(reader) => reader,
            None => {
                ExtxyzReader::open_at(&self.path, self.at.bytes, self.at.lines, self.at.frames)?
            }
        };
        Ok(self.rest.insert(reader))
    }
}

impl Found {
    fn add(&mut self, more: Self) {
        self.bytes += more.bytes;
        self.lines += more.lines;
        self.frames += more.frames;
    }
}

enum Next {
    /// A whole frame and nothing that could belong to it.
    Frame(Found),
    /// The text ends before the frame does, or before it is known whether it does.
    Cut,
    Unexpected,
}

fn next_frame(text: &[u8], is_end: bool) -> Next {
    let (mut at, mut lines) = (0, 0);
    let count = loop {
        let Some(length) = memchr::memchr(b'\n', &text[at..]) else {
            return Next::Cut;
        };
        let line = text[at..at + length].trim_ascii();
        at += length + 1;
        lines += 1;
        if !line.is_empty() {
            break line;
        }
    };
    let is_number = count.len() < 16 && count.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(count).ok().filter(|_| is_number);
    let Some(atoms) = number.and_then(|text| text.parse::<usize>().ok()) else {
        return Next::Unexpected;
    };
    let Some(length) = line_end(&text[at..], atoms) else {
        return Next::Cut;
    };
    at += length + 1;
    let found = Found {
        bytes: at as u64,
        lines: lines + 1 + atoms as u64,
        frames: 1,
    };
    // Lines that are no number may belong to this frame.
    match text[at..].iter().find(|b| !b.is_ascii_whitespace()) {
        Some(b'0'..=b'9') => Next::Frame(found),
        Some(_) => Next::Unexpected,
        None if is_end => Next::Frame(found),
        None => Next::Cut,
    }
}

/// Where line `n` ends, from 0. Line ends are counted block by block, which is several times faster than to look at each.
fn line_end(text: &[u8], n: usize) -> Option<usize> {
    const BLOCK: usize = 1 << 10;
    let (mut before, mut at) = (0, 0);
    for block in text.chunks(BLOCK) {
        let here = memchr::memchr_iter(b'\n', block).count();
        if before + here > n {
            let end = memchr::memchr_iter(b'\n', block).nth(n - before)?;
            return Some(at + end);
        }
        before += here;
        at += block.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_where_the_count_says() {
        let text = "ab\n".repeat(700) + &"\n".repeat(2000) + "x";
        let ends: Vec<_> = memchr::memchr_iter(b'\n', text.as_bytes()).collect();
        for (n, end) in ends.iter().enumerate() {
            assert_eq!(line_end(text.as_bytes(), n), Some(*end), "line {n}");
        }
        assert_eq!(line_end(text.as_bytes(), ends.len()), None);
    }
}
