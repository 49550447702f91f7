//! The result file while a run writes it: all ranks, MPI driver, rows of datasets that exist already.
//!
//! No method changes metadata (at close HDF5 writes the 96 bytes of the superblock once more, the same ones). What a kill leaves behind: between the two phases of a commit, results that no
//! state vouches for; within a phase, some of its rows; the next run computes those frames again.

use std::mem::ManuallyDrop;
use std::ops::Range;
use std::path::Path;

use ::hdf5::{Dataset, File, FileBuilder};
use zerocopy::IntoBytes;

use crate::adapters::guard::Guard;
use crate::adapters::mpi::{RawCommunicator, RawInfo};
use crate::domain::error::Result;
use crate::engine::commit::Rows;
use crate::engine::ports::{More, Sink};
use crate::engine::summary::Progress;
use crate::planning::frame_set::FrameSet;
use crate::planning::status::Status;

use super::create::Message;
use super::failed;
use super::ffi::{Transfer, read_rows, write_rows};
use super::history::{self, Run};
use super::layout::{self, MESSAGE_BYTES};
use super::readback::{Place, ReadBack};

/// Datasets of the result, open for writing on all ranks.
pub struct ResultSink {
    // Datasets are declared before the file: they close first.
    energy: Dataset,
    forces: Dataset,
    stress: Dataset,
    checksum: Dataset,
    seconds: Dataset,
    status: Dataset,
    message: Dataset,
    history: Dataset,
    file: File,
    ragged: bool,
    transfer: Transfer,
    guard: Option<Guard>,
    first_rank: bool,
    run: Run,
    back: ReadBack,
    places: Places,
}

/// Where the rows of each dataset are in the file.
struct Places {
    energy: Place,
    forces: Place,
    stress: Place,
    checksum: Place,
    seconds: Place,
    status: Place,
    message: Place,
}

/// Opens a file over MPI for reading and writing. Collective.
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
        let first_rank = guard.is_some();
        let file = open_parallel(path, world, info)?;
        // Every rank opens all of them, whatever became of the first: opening is collective.
        let [
            energy,
            forces,
            stress,
            checksum,
            seconds,
            status,
            message,
            history,
        ] = [
            format!("{}/value", layout::ENERGY),
            format!("{}/value", layout::FORCES),
            format!("{}/value", layout::STRESS),
            layout::CHECKSUM.to_owned(),
            layout::SECONDS.to_owned(),
            layout::STATUS.to_owned(),
            layout::MESSAGE.to_owned(),
            layout::HISTORY.to_owned(),
        ]
        .map(|name| {
            file.dataset(&name)
                .map_err(failed(format!("{}: dataset {name}", path.display())))
        });
        let open = || -> Result<Self> {
            let (energy, forces, stress) = (energy?, forces?, stress?);
            let (checksum, seconds) = (checksum?, seconds?);
            let (status, message) = (status?, message?);
            Ok(Self {
                places: Places {
                    energy: Place::of(&energy)?,
                    forces: Place::of(&forces)?,
                    stress: Place::of(&stress)?,
                    checksum: Place::of(&checksum)?,
                    seconds: Place::of(&seconds)?,
                    status: Place::of(&status)?,
                    message: Place::of(&message)?,
                },
                back: ReadBack::open(path)?,
                energy,
                stress,
                checksum,
                seconds,
                status,
                message,
                history: history?,
                ragged: forces.ndim() == 2,
                forces,
                file: file.clone(),
                transfer,
                guard,
                first_rank,
                run,
            })
        };
        open().map_err(|error| {
            // Closing is collective, and this rank alone may have failed.
            std::mem::forget(file.clone());
            error.abandoned()
        })
    }

    /// Lets go of the lock and of nothing else: the file stays open until the process ends.
    pub fn abandon(self) {
        let mut leaked = ManuallyDrop::new(self);
        drop(leaked.guard.take());
    }

    /// Rows of the forces: frames, or atoms where frames differ in size.
    fn force_rows<'a>(&self, rows: &'a Rows) -> &'a [Range<u64>] {
        if self.ragged {
            rows.atoms.runs()
        } else {
            rows.frames.runs()
        }
    }

    /// Closes the file. Collective.
    pub fn close(self) -> ::hdf5::Result<()> {
        let Self {
            energy,
            forces,
            stress,
            checksum,
            seconds,
            status,
            message,
            history,
            file,
            guard,
            ..
        } = self;
        drop((
            energy, forces, stress, checksum, seconds, status, message, history,
        ));
        let closed = file.close();
        // Only now may another job begin to write.
        drop(guard);
        closed
    }
}

impl Sink for ResultSink {
    fn begin(&mut self) -> Result<()> {
        self.back.require_file()?;
        self.guard.as_ref().map_or(Ok(()), Guard::check)
    }

    fn write_results(&mut self, rows: &Rows) -> Result<()> {
        let (t, frames) = (self.transfer, rows.frames.runs());
        let atoms = self.force_rows(rows);
        // After a write that failed, none: HDF5 leaves such a call in the middle, so that the next collective call of this
        // rank would meet an earlier one of the others, and all would wait for ever. The agreement that follows has
        // patience with the others, and ends the job when they do not come.
        write_rows(&self.energy, frames, &rows.energies, t)?;
        write_rows(&self.forces, atoms, rows.forces.as_flattened(), t)?;
        let stresses = rows.stresses.as_flattened().as_flattened();
        write_rows(&self.stress, frames, stresses, t)?;
        write_rows(&self.checksum, frames, &rows.checksums, t)?;
        write_rows(&self.seconds, frames, &rows.seconds, t)
    }

    fn write_status(&mut self, rows: &Rows, messages: bool) -> Result<()> {
        let frames = rows.frames.runs();
        if messages {
            let texts: Vec<Message> = rows.messages.iter().map(|text| stored(text)).collect();
            let runs = if texts.is_empty() { &[] } else { frames };
            write_rows(&self.message, runs, &texts, self.transfer)?;
        }
        write_rows(&self.status, frames, &codes(rows), self.transfer)
    }

    fn sync(&mut self) -> Result<()> {
        let flushed = self.file.flush();
        // Every rank syncs, whatever became of the flush: what it wrote for others may be in its own cache.
        let synced = self.back.sync();
        flushed
            .map_err(failed("cannot sync the result to disk"))
            .and(synced)
            // Somebody may have taken us for dead during the writes: no state is written then.
            .and_then(|()| self.begin())
    }

    fn check_results(&mut self, rows: &Rows) -> Result<()> {
        let frames = rows.frames.runs();
        let forces = self.force_rows(rows);
        let (back, places) = (&mut self.back, &self.places);
        back.compare(&places.energy, frames, rows.energies.as_bytes())?;
        back.compare(&places.forces, forces, rows.forces.as_bytes())?;
        back.compare(&places.stress, frames, rows.stresses.as_bytes())?;
        back.compare(&places.checksum, frames, rows.checksums.as_bytes())?;
        back.compare(&places.seconds, frames, rows.seconds.as_bytes())
    }

    fn check_status(&mut self, rows: &Rows, messages: bool) -> Result<()> {
        let frames = rows.frames.runs();
        if messages && !rows.messages.is_empty() {
            let mut bytes = vec![0; MESSAGE_BYTES * rows.messages.len()];
            for (place, text) in bytes.chunks_exact_mut(MESSAGE_BYTES).zip(&rows.messages) {
                let text = stored(text);
                place[..text.len()].copy_from_slice(text.as_bytes());
            }
            self.back.compare(&self.places.message, frames, &bytes)?;
        }
        self.back
            .compare(&self.places.status, frames, codes(rows).as_bytes())
    }

    fn record(&mut self, progress: &Progress) -> Result<()> {
        self.run.elapsed = progress.elapsed.as_secs_f64();
        self.run.committed = progress.committed.total();
        self.run.planned = progress.planned;
        self.run.state = progress.ended.map_or("running", |e| e.name()).into();
        if let Some(number) = self.guard.as_ref().and_then(Guard::run) {
            self.run.number = number;
        }
        history::write(&self.history, &self.run, self.first_rank, self.transfer)
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
        let status = &self.status;
        let mut undone = |left: &FrameSet| undefined(status, left);
        let guard = self.guard.as_mut();
        guard.map_or(Ok(More::Nothing), |g| g.claim(&mut undone))
    }
}

/// Those of `frames` that are undefined. Rank 0 alone reads.
fn undefined(status: &Dataset, frames: &FrameSet) -> Result<FrameSet> {
    const BLOCK: u64 = 1 << 17;
    let (mut rest, mut found) = (frames.clone(), FrameSet::empty());
    let mut codes = Vec::new();
    while !rest.is_empty() {
        let block = rest.split_front(BLOCK);
        codes.resize(block.len() as usize, 0i64);
        read_rows(status, block.runs(), &mut codes)?;
        for (frame, code) in block.iter().zip(&codes) {
            if *code == Status::Undefined.code() {
                found.append(frame..frame + 1);
            }
        }
    }
    Ok(found)
}

/// The states as they are stored.
fn codes(rows: &Rows) -> Vec<i64> {
    rows.statuses.iter().map(|s| s.code()).collect()
}

/// A message cut to what is stored, at a character's boundary.
fn stored(text: &str) -> Message {
    let end = text.floor_char_boundary(MESSAGE_BYTES);
    text[..end].parse().unwrap_or_default()
}
