//! The result file while a run writes it: all ranks, MPI driver, rows of datasets that exist already.
//!
//! No method changes metadata (at close HDF5 writes the 96 bytes of the superblock once more, the same ones). The ranks of
//! a node may bring their rows together before they write (see [`node`](crate::adapters::mpi::node)). What a kill leaves
//! behind: between the two phases of a commit, results that no state vouches for; within a phase, some of its rows; the
//! next run computes those frames again.

use std::mem::ManuallyDrop;
use std::ops::Range;
use std::path::Path;

use ::hdf5::{File, FileBuilder};
use zerocopy::IntoBytes;

use crate::adapters::guard::Guard;
use crate::adapters::mpi::node::Node;
use crate::adapters::mpi::{RawCommunicator, RawInfo};
use crate::domain::error::Result;
use crate::domain::units::KJ_PER_MOL;
use crate::engine::commit::Rows;
use crate::engine::ports::{Look, More, Sink};
use crate::engine::summary::Progress;
use crate::planning::frame_set::FrameSet;
use crate::planning::status::Status;

use super::ffi::Transfer;
use super::history::{Run, SLOT_BYTES};
use super::layout::{self, MESSAGE_BYTES};
use super::readback::{Place, ReadBack};
use super::rows::stored::StoredRows;
use super::write::{Column, Target, Writer};
use super::{failed, has_molar_forces};

/// The result, open for writing on all ranks.
pub struct ResultSink {
    // Datasets are declared before the file: they close first.
    sets: Sets,
    writer: Writer,
    guard: Option<Guard>,
    first_rank: bool,
    run: Run,
    back: ReadBack,
}

/// The datasets of a result.
struct Sets {
    results: Results,
    checksum: Target,
    seconds: Target,
    status: Target,
    message: Target,
    history: Target,
}

/// Those that hold what was computed.
enum Results {
    Frames {
        energy: Target,
        forces: Target,
        stress: Target,
        /// In kJ/mol/Å once more, where the file has them, and the rows at hand.
        molar: Option<(Target, Vec<[f64; 3]>)>,
    },
    Rows {
        stored: StoredRows,
        /// One for each result, and its rows at hand.
        columns: Vec<(Target, Vec<u8>)>,
        /// 1 where a row is completed, for pyUSID.
        completed: Target,
    },
}

/// The datasets, in the order in which [`Sets::new`] takes them. Collective.
fn names(file: &File, stored: Option<&StoredRows>) -> Vec<String> {
    let books = [
        layout::CHECKSUM,
        layout::SECONDS,
        layout::STATUS,
        layout::MESSAGE,
        layout::HISTORY,
    ];
    let mut names: Vec<_> = books.map(str::to_owned).into();
    match stored {
        None => {
            let mut groups = vec![layout::ENERGY, layout::FORCES, layout::STRESS];
            if has_molar_forces(file) {
                groups.push(layout::MOLAR_FORCES);
            }
            names.extend(groups.iter().map(|group| format!("{group}/value")));
        }
        Some(rows) => {
            names.push(rows.completed());
            names.extend(rows.paths());
        }
    }
    names
}

impl Sets {
    fn new(targets: Vec<Target>, stored: Option<StoredRows>) -> Self {
        let mut targets = targets.into_iter();
        let mut next = || targets.next().expect("one for each name");
        let (checksum, seconds, status, message, history) =
            (next(), next(), next(), next(), next());
        let results = match stored {
            None => Results::Frames {
                energy: next(),
                forces: next(),
                stress: next(),
                molar: targets.next().map(|target| (target, Vec::new())),
            },
            Some(stored) => Results::Rows {
                stored,
                completed: next(),
                columns: targets.map(|target| (target, Vec::new())).collect(),
            },
        };
        Self {
            results,
            checksum,
            seconds,
            status,
            message,
            history,
        }
    }

    /// The results as they are stored.
    fn results<'a>(&'a mut self, rows: &'a Rows) -> Vec<Column<'a>> {
        let frames = rows.frames.runs();
        let mut all: Vec<Column<'a>> = vec![
            (&self.checksum, frames, rows.checksums.as_bytes()),
            (&self.seconds, frames, rows.seconds.as_bytes()),
        ];
        match &mut self.results {
            Results::Frames {
                energy,
                forces,
                stress,
                molar,
            } => {
                // Rows of the forces: frames, or atoms where frames differ in size.
                let force_rows = if forces.is_flat() {
                    rows.atoms.runs()
                } else {
                    frames
                };
                all.push((energy, frames, rows.energies.as_bytes()));
                all.push((forces, force_rows, rows.forces.as_bytes()));
                all.push((stress, frames, rows.stresses.as_bytes()));
                if let Some((target, values)) = molar {
                    values.clear();
                    let scaled = rows.forces.iter().map(|f| f.map(|x| x * KJ_PER_MOL));
                    values.extend(scaled);
                    all.push((target, force_rows, values.as_bytes()));
                }
            }
            Results::Rows {
                stored, columns, ..
            } => {
                for (k, (target, column)) in columns.iter_mut().enumerate() {
                    stored.unpack(k, rows.packed.as_bytes(), column);
                    all.push((target, frames, column));
                }
            }
        }
        all
    }

    /// What pyUSID reads of the states.
    fn completed(&self) -> Option<&Target> {
        match &self.results {
            Results::Frames { .. } => None,
            Results::Rows { completed, .. } => Some(completed),
        }
    }
}

/// Opens a file through HDF5 over MPI for reading and writing. Collective.
pub fn open_parallel(path: &Path, world: RawCommunicator, info: Option<RawInfo>) -> Result<File> {
    let mut builder = FileBuilder::new();
    builder.with_fapl(|fapl| {
        fapl.libver_earliest()
            .mpio(world, info)
            .all_coll_metadata_ops(true)
            .coll_metadata_write(true)
    });
    builder
        .open_rw(path)
        .map_err(failed(format!("cannot open {} over MPI", path.display())))
}

impl ResultSink {
    /// Opens the result on all ranks. Collective. `guard` on rank 0 only, `run` the same on every rank.
    pub fn open(
        path: &Path,
        (world, info): (RawCommunicator, Option<RawInfo>),
        transfer: Transfer,
        guard: Option<Guard>,
        run: Run,
    ) -> Result<Self> {
        Self::open_stored(path, (world, info), transfer, guard, (run, None))
    }

    /// As [`open`](Self::open), of a result of rows where `stored` says where they are.
    pub fn open_stored(
        path: &Path,
        (world, info): (RawCommunicator, Option<RawInfo>),
        transfer: Transfer,
        guard: Option<Guard>,
        (run, stored): (Run, Option<StoredRows>),
    ) -> Result<Self> {
        let back = ReadBack::open(path);
        // Whatever became of it: the other ranks are in this one.
        let names = |file: &File| names(file, stored.as_ref());
        let (writer, targets) = Writer::open(path, (world, info), transfer, names)?;
        let sets = Sets::new(targets, stored);
        let back = match back {
            Ok(back) => back,
            Err(error) => {
                // Closing is collective, and this rank alone may have failed.
                std::mem::forget((sets, writer));
                return Err(error.abandoned());
            }
        };
        Ok(Self {
            first_rank: guard.is_some(),
            sets,
            writer,
            guard,
            run,
            back,
        })
    }

    /// The ranks of each node bring their rows together before they write.
    #[must_use]
    pub fn aggregated(self, node: Option<Node>) -> Self {
        Self {
            writer: self.writer.aggregated(node),
            ..self
        }
    }

    /// Lets go of the lock and of nothing else: the file stays open until the process ends.
    pub fn abandon(self) {
        let mut leaked = ManuallyDrop::new(self);
        drop(leaked.guard.take());
    }

    /// Closes the file. Collective.
    pub fn close(self) -> ::hdf5::Result<()> {
        drop(self.sets);
        let closed = self.writer.close();
        // Only now may another job begin to write.
        drop(self.guard);
        closed
    }
}

impl Sink for ResultSink {
    fn begin(&mut self) -> Result<()> {
        self.back.require_file()?;
        self.guard.as_ref().map_or(Ok(()), Guard::check)
    }

    fn write_results(&mut self, rows: &Rows) -> Result<()> {
        let written = self.writer.write(&mut self.sets.results(rows));
        // While the next slab is gathered and written.
        self.back.begin_write_back();
        written
    }

    fn write_status(&mut self, rows: &Rows, messages: bool) -> Result<()> {
        let (sets, frames) = (&self.sets, rows.frames.runs());
        let completed = sets.completed().map(|set| (set, ones(rows)));
        let (codes, texts) = (codes(rows), texts(rows));
        let mut columns = vec![(&sets.status, frames, codes.as_bytes())];
        columns.extend(
            completed
                .iter()
                .map(|(set, ones)| (*set, frames, &ones[..])),
        );
        if messages {
            let frames = if texts.is_empty() { &[] } else { frames };
            columns.push((&sets.message, frames, &texts));
        }
        self.writer.write(&mut columns)
    }

    fn sync(&mut self) -> Result<()> {
        let flushed = self.writer.sync();
        // Every rank syncs, whatever became of the flush: what it wrote for others may be in its own cache.
        let synced = self.back.sync();
        flushed
            .and(synced)
            // Somebody may have taken us for dead during the writes: no state is written then.
            .and_then(|()| self.begin())
    }

    fn check_results(&mut self, rows: &Rows, look: Look) -> Result<()> {
        let mut columns = self.sets.results(rows);
        let back = &mut self.back;
        let mut compare =
            |set: &Target, rows: &[Range<u64>], bytes: &[u8]| back.compare(&set.place, rows, bytes);
        match look {
            Look::AtOnce => self.writer.written(&mut columns, compare),
            Look::Later => columns
                .iter()
                .try_for_each(|(set, rows, bytes)| compare(set, rows, bytes)),
        }
    }

    fn check_status(&mut self, rows: &Rows, messages: bool) -> Result<()> {
        let frames = rows.frames.runs();
        if messages && !rows.messages.is_empty() {
            let place = &self.sets.message.place;
            self.back.compare(place, frames, &texts(rows))?;
        }
        if let Some(completed) = self.sets.completed() {
            self.back.compare(&completed.place, frames, &ones(rows))?;
        }
        self.back
            .compare(&self.sets.status.place, frames, codes(rows).as_bytes())
    }

    fn record(&mut self, progress: &Progress) -> Result<()> {
        self.run.elapsed = progress.elapsed.as_secs_f64();
        self.run.committed = progress.committed.total();
        self.run.planned = progress.planned;
        self.run.state = progress.ended.map_or("running", |e| e.name()).into();
        if let Some(number) = self.guard.as_ref().and_then(Guard::run) {
            self.run.number = number;
        }
        let text = self.run.encode();
        let mut bytes = [0; SLOT_BYTES];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        let slot = self.run.slot();
        let rows = [slot..slot + 1];
        // Rank 0 writes, the others take part.
        let (rows, bytes) = if self.first_rank {
            (&rows[..], &bytes[..])
        } else {
            (&[][..], &[][..])
        };
        self.writer.write_own(&[(&self.sets.history, rows, bytes)])
    }

    fn turn(&mut self, meanwhile: &mut dyn FnMut()) -> Result<bool> {
        self.guard.as_mut().map_or(Ok(true), |g| g.turn(meanwhile))
    }

    fn settle(&mut self, meanwhile: &mut dyn FnMut()) -> Result<()> {
        self.guard.as_mut().map_or(Ok(()), |g| g.settle(meanwhile))
    }

    fn end(&mut self) -> Result<()> {
        if let Some(guard) = &mut self.guard {
            guard.release();
        }
        Ok(())
    }

    fn more(&mut self) -> Result<More> {
        let (back, status) = (&self.back, &self.sets.status.place);
        let mut undone = |left: &FrameSet| undefined(back, status, left);
        let guard = self.guard.as_mut();
        guard.map_or(Ok(More::Nothing), |g| g.claim(&mut undone))
    }
}

/// Those of `frames` that are undefined. Rank 0 alone reads.
fn undefined(back: &ReadBack, status: &Place, frames: &FrameSet) -> Result<FrameSet> {
    const BLOCK: u64 = 1 << 17;
    let (mut rest, mut found) = (frames.clone(), FrameSet::empty());
    let mut codes = vec![0i64; BLOCK as usize];
    while !rest.is_empty() {
        for run in rest.split_front(BLOCK).runs() {
            let codes = &mut codes[..(run.end - run.start) as usize];
            back.read(status, run, codes.as_mut_bytes())?;
            for (frame, code) in run.clone().zip(&*codes) {
                if *code == Status::Undefined.code() {
                    found.append(frame..frame + 1);
                }
            }
        }
    }
    Ok(found)
}

/// The states as they are stored.
fn codes(rows: &Rows) -> Vec<i64> {
    rows.statuses.iter().map(|s| s.code()).collect()
}

/// 1 for rows that are completed.
fn ones(rows: &Rows) -> Vec<u8> {
    let completed = rows.statuses.iter().map(|s| *s == Status::Completed);
    completed.map(u8::from).collect()
}

/// The messages as they are stored: cut at a character's boundary, filled up with zeros.
fn texts(rows: &Rows) -> Vec<u8> {
    let mut bytes = vec![0; MESSAGE_BYTES * rows.messages.len()];
    for (place, text) in bytes.chunks_exact_mut(MESSAGE_BYTES).zip(&rows.messages) {
        let text = &text.as_bytes()[..text.floor_char_boundary(MESSAGE_BYTES)];
        place[..text.len()].copy_from_slice(text);
    }
    bytes
}
