//! Reading ahead: threads read frames while those before are used. Text is read by several, other formats by one.

use std::io::Cursor;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::{Format, Hints, format_of, open};
use crate::adapters::extxyz::chop::{Chopper, Chunk, Cut, Sizes};
use crate::adapters::extxyz::reader::ExtxyzReader;
use crate::adapters::source::{Detail, FrameStream, Position, SourceFrame};
use crate::domain::error::{Error, Result};
use crate::domain::panics::guarded;

/// Atoms of a parcel: enough for the handing over to cost nothing.
const ATOMS: usize = 1 << 14;
/// Frames of a parcel, however small.
const FRAMES: usize = 256;

/// Frames that are handed over together. Their buffers go round.
#[derive(Default)]
struct Parcel {
    /// From 0, in the order of the file.
    number: u64,
    chunk: Chunk,
    frames: Vec<SourceFrame>,
    used: usize,
    position: Position,
    remarks: Vec<String>,
    /// What ends the stream behind these frames.
    end: Option<Result<()>>,
}

/// A file that is read by threads of their own.
pub struct Ahead {
    full: Receiver<Parcel>,
    empty: Sender<Parcel>,
    /// Parcels that have come before their turn.
    early: Vec<Parcel>,
    parcel: Parcel,
    next: usize,
    remarks: Vec<String>,
    /// Å per unit of length, where the reader does not know it.
    scale: f64,
}

/// The two ends at which a thread works.
#[derive(Clone)]
struct Belt {
    empty: Receiver<Parcel>,
    full: Sender<Parcel>,
    detail: Detail,
}

/// A file that is cut into chunks, by one thread at a time.
struct Cutting {
    chopper: Chopper,
    next: u64,
    ended: bool,
}

impl Ahead {
    /// Reads a file on up to `threads` threads.
    pub fn open(path: &Path, hints: &Hints, detail: Detail, threads: usize) -> Result<Self> {
        match format_of(path)? {
            Format::ExtendedXyz => {
                let ahead = Self::chopped(path, detail, threads, Sizes::default())?;
                let scale = hints.length();
                Ok(Self { scale, ..ahead })
            }
            Format::LammpsDump | Format::Foreign => {
                let (path, hints) = (path.to_owned(), hints.clone());
                Self::start(
                    detail,
                    vec![move |belt: &Belt| read_stream(&path, &hints, belt)],
                )
            }
        }
    }

    fn chopped(path: &Path, detail: Detail, threads: usize, sizes: Sizes) -> Result<Self> {
        let cutting = Arc::new(Mutex::new(Cutting {
            chopper: Chopper::open(path, sizes)?,
            next: 0,
            ended: false,
        }));
        let reader = || {
            let (cutting, path) = (Arc::clone(&cutting), path.to_owned());
            move |belt: &Belt| read_chunks(&cutting, &path, belt)
        };
        Self::start(detail, (0..threads.max(1)).map(|_| reader()).collect())
    }

    fn start(detail: Detail, readers: Vec<impl FnOnce(&Belt) + Send + 'static>) -> Result<Self> {
        // One that is used, and two for each reader: the next one is ready when one has been handed over.
        let parcels = 2 * readers.len() + 1;
        let (full, filled) = bounded(parcels);
        let (empty, emptied) = bounded(parcels);
        for _ in 1..parcels {
            let _ = empty.try_send(Parcel::default());
        }
        let belt = Belt {
            empty: emptied,
            full,
            detail,
        };
        for reader in readers {
            let belt = belt.clone();
            thread::Builder::new()
                .name("reader".into())
                .spawn(move || reader(&belt))
                .map_err(|e| Error::failure(format!("cannot start a thread that reads: {e}")))?;
        }
        Ok(Self {
            full: filled,
            empty,
            early: Vec::new(),
            parcel: Parcel::default(),
            next: 0,
            remarks: Vec::new(),
            scale: 1.0,
        })
    }

    /// The next frame and how far the file is read; `None` at the end.
    pub fn next_frame(&mut self) -> Result<Option<(&SourceFrame, Position)>> {
        while self.next == self.parcel.used {
            match &self.parcel.end {
                Some(Err(error)) => return Err(error.clone()),
                Some(Ok(())) => return Ok(None),
                None => self.next_parcel()?,
            }
        }
        self.next += 1;
        let frame = &mut self.parcel.frames[self.next - 1];
        frame.scale(self.scale);
        Ok(Some((frame, self.parcel.position)))
    }

    fn next_parcel(&mut self) -> Result<()> {
        let wanted = self.parcel.number + 1;
        let at = loop {
            if let Some(at) = self.early.iter().position(|p| p.number == wanted) {
                break at;
            }
            let broken = |_| Error::failure("the thread that reads has ended");
            self.early.push(self.full.recv().map_err(broken)?);
        };
        let parcel = self.early.swap_remove(at);
        let gone = std::mem::replace(&mut self.parcel, parcel);
        // Whoever has ended takes nothing back.
        let _ = self.empty.try_send(gone);
        self.next = 0;
        if self.remarks.is_empty() {
            self.remarks = std::mem::take(&mut self.parcel.remarks);
        }
        Ok(())
    }

    /// What was seen but cannot be kept, once the end is reached.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }
}

impl Parcel {
    fn begin(&mut self, number: u64) {
        (self.number, self.used, self.end) = (number, 0, None);
        self.remarks.clear();
    }

    /// Reads the next frame of `stream`; false when it has ended.
    fn read(&mut self, stream: &mut dyn FrameStream, detail: Detail) -> Result<bool> {
        if self.frames.len() == self.used {
            self.frames.push(SourceFrame::default());
        }
        let read = stream.read(&mut self.frames[self.used], detail)?;
        self.used += usize::from(read);
        Ok(read)
    }

    /// Reads some frames.
    fn fill(&mut self, stream: &mut dyn FrameStream, detail: Detail) {
        let mut atoms = 0;
        while atoms < ATOMS && self.used < FRAMES {
            match self.read(stream, detail) {
                Ok(true) => atoms += self.frames[self.used - 1].len(),
                Ok(false) => {
                    self.remarks = stream.remarks();
                    self.end = Some(Ok(()));
                    break;
                }
                Err(error) => {
                    self.end = Some(Err(error));
                    break;
                }
            }
        }
        self.position = stream.position();
    }
}

/// What one thread does with a file that it alone can read.
fn read_stream(path: &Path, hints: &Hints, belt: &Belt) {
    let mut stream = open(path, hints);
    let mut number = 0;
    while let Ok(mut parcel) = belt.empty.recv() {
        number += 1;
        parcel.begin(number);
        match &mut stream {
            Ok(stream) => parcel.fill(stream.as_mut(), belt.detail),
            Err(error) => parcel.end = Some(Err(error.clone())),
        }
        let last = parcel.end.is_some();
        if belt.full.send(parcel).is_err() || last {
            return;
        }
    }
}

/// What each of several threads does: cuts off a chunk, one at a time, and reads it, all at once.
fn read_chunks(cutting: &Mutex<Cutting>, path: &Path, belt: &Belt) {
    let mut reader = ExtxyzReader::new(Cursor::new(Vec::new()), path);
    while let Ok(mut parcel) = belt.empty.recv() {
        // Whatever happens here, the parcel goes on: whoever waits for its number would wait for ever.
        let read = guarded(|| {
            if !cut(cutting, &mut parcel, belt.detail) {
                return false;
            }
            if parcel.end.is_none() && !parcel.chunk.text.is_empty() {
                read_chunk(&mut reader, &mut parcel, belt.detail);
            }
            true
        });
        match read {
            Ok(true) => {}
            Ok(false) => return,
            Err(what) => {
                let what = format!("{}: cannot be read: {what}", path.display());
                parcel.end = Some(Err(Error::failure(what)));
            }
        }
        if belt.full.send(parcel).is_err() {
            return;
        }
    }
}

/// Gives the parcel the next chunk, or frames of a rest that is not cut; false when everything has been given out.
fn cut(cutting: &Mutex<Cutting>, parcel: &mut Parcel, detail: Detail) -> bool {
    let mut cutting = cutting.lock().unwrap_or_else(PoisonError::into_inner);
    if cutting.ended {
        return false;
    }
    cutting.next += 1;
    parcel.begin(cutting.next);
    let mut chunk = std::mem::take(&mut parcel.chunk);
    match cutting.chopper.cut(&mut chunk) {
        Ok(Cut::Chunk) => {}
        Ok(Cut::Rest(reader)) => {
            chunk.text.clear();
            parcel.fill(reader, detail);
        }
        Ok(Cut::End) => parcel.end = Some(Ok(())),
        Err(error) => parcel.end = Some(Err(error)),
    }
    parcel.chunk = chunk;
    parcel.position.total = cutting.chopper.total();
    cutting.ended = parcel.end.is_some();
    true
}

fn read_chunk(reader: &mut ExtxyzReader<Cursor<Vec<u8>>>, parcel: &mut Parcel, detail: Detail) {
    let text = std::mem::take(&mut parcel.chunk.text);
    let before = (parcel.chunk.line, parcel.chunk.frame);
    reader.restart(Cursor::new(text), before);
    loop {
        match parcel.read(reader, detail) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                parcel.end = Some(Err(error));
                break;
            }
        }
    }
    parcel.remarks = reader.remarks();
    parcel.chunk.text = reader.restart(Cursor::default(), (0, 0)).into_inner();
    parcel.position.done = parcel.chunk.end;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Everything that can be seen of a file: frames, remarks, what ends it.
    fn seen(frames: &[String], remarks: &[String], end: Result<()>) -> String {
        let end = end.err().map(|e| e.message);
        format!("{frames:#?} {remarks:?} {end:?}")
    }

    fn by_one(path: &Path, detail: Detail) -> String {
        let mut reader = ExtxyzReader::open(path).unwrap();
        let (mut frame, mut frames) = (SourceFrame::default(), Vec::new());
        let end = loop {
            match reader.read(&mut frame, detail) {
                Ok(true) => frames.push(format!("{frame:?}")),
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let remarks = if end.is_ok() {
            reader.remarks()
        } else {
            Vec::new()
        };
        seen(&frames, &remarks, end)
    }

    fn by_many(path: &Path, detail: Detail, threads: usize, sizes: Sizes) -> String {
        let mut ahead = Ahead::chopped(path, detail, threads, sizes).unwrap();
        let mut frames = Vec::new();
        let end = loop {
            match ahead.next_frame() {
                Ok(Some((frame, _))) => frames.push(format!("{frame:?}")),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let remarks = if end.is_ok() {
            ahead.remarks().to_vec()
        } else {
            Vec::new()
        };
        seen(&frames, &remarks, end)
    }

    /// Frames with what files in the wild have between and after them, some of it wrong.
    fn text() -> impl Strategy<Value = String> {
        let atom = prop_oneof![
            9 => Just("Ar 1.5 -2e-3 3\n"),
            2 => Just("Kr 0.1 0.2 0.3 0.4\r\n"),
            1 => Just("Ar 1 x 3\n"),
            1 => Just("\n"),
        ];
        let frame = (
            prop::collection::vec(atom, 0..5),
            prop_oneof![
                9 => Just(""),
                2 => Just("\n \n"),
                1 => Just("VEC1 1 0 0\nVEC2 0 1 0\nVEC3 0 0 1\n"),
                1 => Just("VEC1 1 0 0\n"),
                1 => Just("words\n"),
                1 => Just("7"),
            ],
            prop_oneof![8 => Just(0), 1 => Just(1), 1 => Just(9)],
        );
        let frame = frame.prop_map(|(atoms, tail, wrong)| {
            format!(
                "{}\nkey=3 step=7\n{}{tail}",
                atoms.len() + wrong,
                atoms.concat()
            )
        });
        (prop::collection::vec(frame, 0..12), any::<bool>()).prop_map(|(frames, cut)| {
            let text = frames.concat();
            let end = text.len() - usize::from(cut && !text.is_empty());
            text[..end].to_owned()
        })
    }

    proptest! {
        #[test]
        fn many_threads_see_what_one_reader_sees(
            text in text(), threads in 1usize..4, chunk in 1usize..200, largest in 1usize..400
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.xyz");
            std::fs::write(&path, &text).unwrap();
            for detail in [Detail::Full, Detail::Structure] {
                let many = by_many(&path, detail, threads, Sizes { chunk, largest });
                prop_assert_eq!(by_one(&path, detail), many, "{:?}", text);
            }
        }
    }
}
