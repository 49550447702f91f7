//! Commits through the program's own sink, timed phase by phase, against a plain `pwrite` + `fsync` of the same bytes by
//! the same ranks.
//!
//! A commit is written as the engine does it: in slabs, read back, synced once, and only then its states. With holes a
//! disk has to write nearly every page of the file for half of the bytes: the plain writes `run by run`, in the layout of
//! the result's five datasets, show what is possible then.
//!
//! The result file holds twice the frames of one commit, as in a run that is half done: every pattern leaves holes.
//! Both files are allocated, filled and synced before; what is timed overwrites, as it does in a run. The ways take
//! turns within each repetition, because the speed of a shared disk changes by the minute: ratios taken repetition by
//! repetition mean more than MB/s.
//!
//! A kill leaves the folder of the measurement behind and nothing else.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::adapters::file_system;
use crate::adapters::hdf5::create::{self, folder_of};
use crate::adapters::hdf5::fill::Filler;
use crate::adapters::hdf5::geometry::Geometry;
use crate::adapters::hdf5::history::Run;
use crate::adapters::hdf5::input::Input;
use crate::adapters::hdf5::sink::ResultSink;
use crate::adapters::mpi::{self, MpiRanks, World};
use crate::domain::error::{Error, GoOn, Kind, Result};
use crate::engine::commit::Rows;
use crate::engine::ports::{Look, Ranks, Sink};
use crate::engine::run::is_one;
use crate::engine::together::{on_first_rank, together};
use crate::planning::frame_set::FrameSet;
use crate::planning::status::Status;
use zerocopy::IntoBytes;

use super::frames::{Recipe, Substance};
use super::outcome::{Measured, Outcome, Phases, Plain, Plan, Way};
use super::pattern::Pattern;

/// Bytes of a slab, about as in the engine.
const SLAB_BYTES: u64 = 4 << 20;

/// Bytes of energy, stress, checksum, seconds and forces of one frame.
pub fn frame_bytes(atoms: usize) -> usize {
    8 + 72 + 8 + 4 + 24 * atoms
}

/// Bytes that [`measure`] puts on the disk.
pub fn disk_bytes(plan: &Plan) -> u64 {
    // Results, the plain file, and the positions of the input; states and messages of small frames.
    let frames = 2 * commit_frames(plan);
    frames.saturating_mul((2 * frame_bytes(plan.atoms) + 24 * plan.atoms + 200) as u64)
}

fn commit_frames(plan: &Plan) -> u64 {
    (plan.bytes / frame_bytes(plan.atoms) as u64).max(1)
}

/// Measures in `folder`, which must be empty and seen by all ranks; `go_on` is asked before each repetition. Collective.
pub fn measure(
    world: &World,
    ranks: &mut MpiRanks,
    folder: &Path,
    plan: &Plan,
    go_on: GoOn<'_>,
) -> Result<Outcome> {
    let frames = 2 * commit_frames(plan);
    let one_node = is_one(&ranks.nodes());
    let mut job = Job {
        world,
        ranks,
        result: folder.join("result.h5"),
        plain: folder.join("plain"),
        atoms: plan.atoms,
        frames,
        one_node,
    };
    // One file for all ways: it has the stripes of the one that wishes for some.
    let hints = plan.ways.iter().flat_map(|way| way.hints.clone());
    let create = job.prepare(&folder.join("input.h5"), &hints.collect::<Vec<_>>())?;
    let mut outcome = Outcome {
        frames: commit_frames(plan),
        bytes: commit_frames(plan) * frame_bytes(plan.atoms) as u64,
        file_bytes: 0,
        create,
        plain: Vec::new(),
        commits: Vec::new(),
    };
    let length = std::fs::metadata(&job.result).map_err(|e| Error::unreadable(&job.result, &e));
    outcome.file_bytes = together(job.ranks, length)?.len();
    for pattern in &plan.patterns {
        let (plain, commits) = job.measure_pattern(*pattern, plan, go_on)?;
        outcome.plain.push(plain);
        outcome.commits.extend(commits);
    }
    Ok(outcome)
}

struct Job<'a> {
    world: &'a World,
    ranks: &'a mut MpiRanks,
    result: PathBuf,
    plain: PathBuf,
    atoms: usize,
    frames: u64,
    one_node: bool,
}

impl Job<'_> {
    /// Makes the files; seconds that the creation of the result took.
    fn prepare(&mut self, input: &Path, hints: &[(String, String)]) -> Result<f64> {
        let (result, plain) = (self.result.clone(), self.plain.clone());
        let recipe = Recipe {
            substance: Substance::Argon,
            frames: self.frames,
            atoms: self.atoms,
            sigma: 0.0,
        };
        let length = self.frames * frame_bytes(self.atoms) as u64;
        let made = on_first_rank(self.ranks, || {
            recipe.write(input)?;
            write_plain(&plain, length).map_err(|e| cannot_write(&plain, &e))?;
            Input::open(input, None)
        })?;
        // As in a run: rank 0 lays the file out, all ranks fill it.
        let begun = Instant::now();
        on_first_rank(self.ranks, || match made {
            Some(mut input) => {
                let make = |path: &Path| mpi::make_striped(path, hints);
                create::lay_out(&result, &mut input, Geometry::Link, &make, &|| Ok(()))
            }
            None => Ok(()),
        })?;
        let share = (self.ranks.rank() as u64, self.ranks.size() as u64);
        let go_on = || Ok(());
        let mut filler = together(self.ranks, Filler::open(&result, share, &go_on))?;
        for _ in 0..filler.steps() {
            let filled = filler.step();
            together(self.ranks, filled)?;
        }
        together(self.ranks, filler.end())?;
        on_first_rank(self.ranks, || create::publish(&result, &[]))?;
        Ok(begun.elapsed().as_secs_f64())
    }

    fn measure_pattern(
        &mut self,
        pattern: Pattern,
        plan: &Plan,
        go_on: GoOn<'_>,
    ) -> Result<(Plain, Vec<Measured>)> {
        let share = pattern.frames(self.frames, self.ranks.rank(), self.ranks.size());
        let mut slabs = slabs(&share, self.atoms);
        // As many collective writes on every rank.
        let lengths = self.ranks.gather(&[slabs.len() as f64]);
        let most = lengths.iter().map(|row| row[0] as usize).max();
        slabs.resize_with(most.unwrap_or(0), Rows::default);
        let file = File::options().write(true).open(&self.plain);
        let file = together(
            self.ranks,
            file.map_err(|e| Error::unreadable(&self.plain, &e)),
        )?;
        let mut sinks = Vec::new();
        let (plain, mut phases) = match self.turns(plan, (&mut slabs, &file), &mut sinks, go_on) {
            Ok(done) => done,
            Err(error) if error.kind == Kind::Stopped => {
                // All ranks have agreed between two turns.
                for sink in sinks {
                    self.close(sink)?;
                }
                return Err(error);
            }
            Err(error) => {
                // Closing would write, together with ranks that may not come.
                sinks.into_iter().for_each(ResultSink::abandon);
                return Err(match error.kind {
                    Kind::Alone => error,
                    _ => error.abandoned(),
                });
            }
        };
        for (sink, phases) in sinks.into_iter().zip(&mut phases) {
            let close = self.close(sink)?;
            for phases in phases {
                phases.close = close;
            }
        }
        let commits = phases
            .into_iter()
            .enumerate()
            .map(|(way, phases)| Measured {
                pattern,
                way,
                phases,
            });
        let (plain, commits) = (Plain { pattern, ..plain }, commits.collect());
        Ok((plain, commits))
    }

    /// Frames of the ranks before this one.
    fn frames_before(&mut self, mine: u64) -> u64 {
        let rank = self.ranks.rank();
        let all = self.ranks.gather(&[mine as f64]);
        all[..rank].iter().map(|row| row[0] as u64).sum()
    }

    fn timed_plain(&mut self, act: impl FnOnce() -> std::io::Result<()>) -> Result<f64> {
        let path = self.plain.clone();
        self.timed(|| act().map_err(|e| cannot_write(&path, &e)))
            .map(|((), seconds)| seconds)
    }

    /// Seconds of the slowest rank, and an error anywhere is an error everywhere.
    fn timed<T>(&mut self, act: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
        self.ranks.barrier();
        let begun = Instant::now();
        let done = act();
        let mine = begun.elapsed().as_secs_f64();
        let done = together(self.ranks, done)?;
        let all = self.ranks.gather(&[mine]);
        Ok((done, all.iter().map(|row| row[0]).fold(0.0, f64::max)))
    }

    /// Opens the result in one way. The file stays open for all turns, as in a run: the first commit alone asks the
    /// system for memory.
    fn open(&mut self, way: &Way) -> Result<(ResultSink, f64)> {
        let hints = file_system::hints(&folder_of(&self.result), &way.hints);
        let info = together(self.ranks, mpi::info(&hints))?;
        let (file, transfer) = ((self.world.raw(), info), way.transfer);
        // Nobody else knows of this file: no lock.
        let path = self.result.clone();
        let open = || ResultSink::open(&path, file, transfer, None, Run::default());
        let (sink, seconds) = self.timed(open)?;
        Ok((sink.aggregated(self.world.node(way.aggregate)), seconds))
    }

    /// All turns of all ways, written through `sinks`, which are opened here.
    fn turns(
        &mut self,
        plan: &Plan,
        (slabs, file): (&mut [Rows], &File),
        sinks: &mut Vec<ResultSink>,
        go_on: GoOn<'_>,
    ) -> Result<(Plain, Vec<Vec<Phases>>)> {
        let mut opened = Vec::new();
        for way in &plan.ways {
            let (sink, seconds) = self.open(way)?;
            sinks.push(sink);
            opened.push(seconds);
        }
        let mut plain = Plain {
            pattern: Pattern::Block,
            one_piece: Vec::new(),
            run_by_run: Vec::new(),
        };
        let mut phases = vec![Vec::new(); plan.ways.len()];
        let frames = slabs.iter().map(|rows| rows.frames.len()).sum();
        let at = self.frames_before(frames) * frame_bytes(self.atoms) as u64;
        let (row_bytes, frames) = (row_bytes(self.atoms), self.frames);
        for repetition in 0..plan.repeats {
            together(self.ranks, go_on())?;
            for rows in &mut *slabs {
                fill(rows, self.atoms, repetition);
            }
            let bytes: Vec<u8> = slabs.iter().flat_map(columns).flatten().copied().collect();
            plain.one_piece.push(self.timed_plain(|| {
                file.write_all_at(&bytes, at)?;
                file.sync_all()
            })?);
            drop(bytes);
            plain.run_by_run.push(self.timed_plain(|| {
                for rows in &*slabs {
                    let mut start = 0;
                    for (mut rest, row) in columns(rows).into_iter().zip(row_bytes) {
                        for run in rows.frames.runs() {
                            let (now, later) = rest.split_at((run.end - run.start) as usize * row);
                            file.write_all_at(now, start + run.start * row as u64)?;
                            rest = later;
                        }
                        start += frames * row as u64;
                    }
                }
                file.sync_all()
            })?);
            for ((sink, open), phases) in sinks.iter_mut().zip(&opened).zip(&mut phases) {
                let commit = self.phases(sink, slabs)?;
                phases.push(Phases {
                    open: *open,
                    ..commit
                });
            }
        }
        Ok((plain, phases))
    }

    fn close(&mut self, sink: ResultSink) -> Result<f64> {
        let doing = format!("cannot close {}", self.result.display());
        let closing = |e| crate::adapters::hdf5::failed(doing)(e).abandoned();
        Ok(self.timed(|| sink.close().map_err(closing))?.1)
    }

    fn phases(&mut self, sink: &mut ResultSink, slabs: &[Rows]) -> Result<Phases> {
        let before = counts();
        let each = |act: &mut dyn FnMut(&Rows) -> Result<()>| slabs.iter().try_for_each(act);
        let (mut write, mut check) = (0.0, 0.0);
        for rows in slabs {
            write += self.timed(|| sink.write_results(rows))?.1;
            if self.one_node {
                check += self.timed(|| sink.check_results(rows, Look::AtOnce))?.1;
            }
        }
        let flush = self.timed(|| sink.sync())?.1;
        if !self.one_node {
            check = self
                .timed(|| each(&mut |rows| sink.check_results(rows, Look::Later)))?
                .1;
        }
        let mut counted = counts();
        for (now, then) in counted.iter_mut().zip(before) {
            *now -= then;
        }
        self.ranks.sum(&mut counted);
        let [written, dirtied, processor] = counted;
        let mut states = self
            .timed(|| each(&mut |rows| sink.write_status(rows, false)))?
            .1;
        states += self.timed(|| sink.sync())?.1;
        states += self
            .timed(|| each(&mut |rows| sink.check_status(rows, false)))?
            .1;
        Ok(Phases {
            write,
            flush,
            check,
            states,
            written,
            dirtied,
            processor,
            ..Phases::default()
        })
    }
}

fn write_plain(path: &Path, length: u64) -> std::io::Result<()> {
    let plain = File::create(path)?;
    let block = vec![1u8; 4 << 20];
    let mut at = 0;
    while at < length {
        let now = (length - at).min(block.len() as u64);
        plain.write_all_at(&block[..now as usize], at)?;
        at += now;
    }
    plain.sync_all()
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Error {
    Error::failure(format!(
        "cannot write {}: {error}; measure with a smaller --size or in another folder",
        path.display()
    ))
}

fn rows(frames: FrameSet, atoms: usize) -> Rows {
    let n = frames.len() as usize;
    Rows {
        frames,
        energies: vec![0.0; n],
        forces: vec![[0.0; 3]; atoms * n],
        stresses: vec![[[0.0; 3]; 3]; n],
        checksums: vec![0; n],
        seconds: vec![0.0; n],
        statuses: vec![Status::Completed; n],
        ..Rows::default()
    }
}

/// Other values every time: what is read back must be what was written last.
fn fill(rows: &mut Rows, atoms: usize, repetition: u64) {
    for (i, frame) in rows.frames.iter().enumerate() {
        let x = frame as f64 + 0.01 * repetition as f64;
        rows.energies[i] = x;
        rows.forces[atoms * i..atoms * (i + 1)].fill([x; 3]);
        rows.stresses[i] = [[x; 3]; 3];
        rows.checksums[i] = frame;
        rows.seconds[i] = x as f32;
    }
}

/// A commit in slabs.
fn slabs(frames: &FrameSet, atoms: usize) -> Vec<Rows> {
    let most = (SLAB_BYTES / frame_bytes(atoms) as u64).max(1);
    let mut rest = frames.clone();
    let mut slabs = Vec::new();
    while !rest.is_empty() {
        slabs.push(rows(rest.split_front(most), atoms));
    }
    slabs
}

/// Bytes of a row of each column.
fn row_bytes(atoms: usize) -> [usize; 5] {
    [8, 24 * atoms, 72, 8, 4]
}

/// The results, column by column as they are stored.
fn columns(rows: &Rows) -> [&[u8]; 5] {
    [
        rows.energies.as_bytes(),
        rows.forces.as_bytes(),
        rows.stresses.as_bytes(),
        rows.checksums.as_bytes(),
        rows.seconds.as_bytes(),
    ]
}

/// Bytes this process has handed to write calls, bytes it has made dirty, seconds on a processor; zeros where the kernel
/// does not tell.
fn counts() -> [f64; 3] {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let io = read("/proc/self/io");
    let count = |key: &str| -> f64 {
        let line = io.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|n| n.parse().ok()).unwrap_or(0.0)
    };
    let schedule = read("/proc/self/schedstat");
    let nanoseconds: Option<f64> = schedule.split(' ').next().and_then(|ns| ns.parse().ok());
    [
        count("wchar: "),
        count("write_bytes: "),
        1e-9 * nanoseconds.unwrap_or(0.0),
    ]
}
