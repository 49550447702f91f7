//! `framewise export`: completed frames as extended XYZ, for training and for ASE.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::adapters::extxyz::writer::{Labelled, write_frame};
use crate::adapters::hdf5::result_reader::{ResultBlock, ResultReader};
use crate::adapters::whole_file::WholeFile;
use crate::domain::error::{Error, Result};
use crate::domain::frame::FrameBlock;
use crate::planning::frame_set::FrameSet;
use crate::planning::selection::Selection;
use crate::planning::status::Status;

/// Atoms read at a time.
const BLOCK_ATOMS: u64 = 1 << 16;

/// Frames read at a time, at most.
const BLOCK_FRAMES: u64 = 4096;

/// Write the completed frames of a result with energy, forces and stress as extended XYZ
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  framewise export labels.h5 -o train.extxyz
  framewise export labels.h5 --frames ::10 -o validation.extxyz
  framewise export labels.h5 -o - | head

ase.io.read('train.extxyz', ':') gives atoms with positions, cell, pbc and a calculator with energy (eV), forces
(eV/Å) and stress (eV/Å³). Every number reads back to the same bits. Frames that are not completed are left out;
frame= is the index of the frame in the result. Works while a run is going on.")]
pub struct ExportArgs {
    /// Result of `framewise run`
    pub result: PathBuf,

    /// Extended XYZ file to write; - for standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,

    /// Frames, as indices and Python slices
    #[arg(long, value_name = "0:1000:2,5,7", allow_hyphen_values = true)]
    pub frames: Option<Selection>,

    /// Replace the output if it exists
    #[arg(long)]
    pub overwrite: bool,
}

/// Runs the verb.
pub fn execute(args: &ExportArgs) -> Result<()> {
    let mut reader = ResultReader::open(&args.result)?;
    reader.require_frames()?;
    let selected = match &args.frames {
        Some(selection) => selection
            .resolve(reader.n_frames())
            .map_err(|why| Error::usage(format!("--frames: {why} ({})", args.result.display())))?,
        None => FrameSet::all(reader.n_frames()),
    };
    let completed = reader
        .states()?
        .of(Status::Completed)
        .intersection(&selected);
    if completed.is_empty() {
        return Err(Error::failure(format!(
            "{}: none of the {} selected frames is completed; `framewise status {0}` shows which are",
            args.result.display(),
            selected.len()
        )));
    }
    if args.output == Path::new("-") {
        let out = io::stdout().lock();
        return match write_frames(&mut reader, completed, out)? {
            // The reader of a pipe that has seen enough is no failure.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(|e| Error::failure(format!("standard output: {e}"))),
        };
    }
    let inputs = [args.result.clone()];
    let mut file = WholeFile::create(&args.output, args.overwrite, &inputs)?;
    let (written, total) = (completed.len(), selected.len());
    write_frames(&mut reader, completed, file.file())?.map_err(|e| {
        Error::failure(format!("{}: cannot be written: {e}", args.output.display()))
    })?;
    file.publish()?;
    tracing::info!(
        "{}: {written} frames; {} of {total} selected frames are not completed",
        args.output.display(),
        total - written
    );
    Ok(())
}

/// Writes `frames`, all of which were completed. The outer error is of reading, the inner of writing.
fn write_frames(
    reader: &mut ResultReader,
    mut frames: FrameSet,
    out: impl Write,
) -> Result<io::Result<()>> {
    let mut out = BufWriter::with_capacity(1 << 20, out);
    let per_frame = reader.total_atoms() / reader.n_frames().max(1);
    let at_once = (BLOCK_ATOMS / per_frame.max(1)).clamp(1, BLOCK_FRAMES);
    let (mut geometry, mut results) = (FrameBlock::default(), ResultBlock::default());
    while !frames.is_empty() {
        let block = frames.split_front(at_once);
        reader.read(&block, &mut geometry, &mut results)?;
        for i in 0..geometry.len() {
            let forces = results.offsets[i]..results.offsets[i + 1];
            let labelled = Labelled {
                index: geometry.indices[i],
                frame: geometry.frame(i),
                energy: results.energy[i],
                forces: &results.forces[forces],
                stress: results.stress[i],
            };
            if let Err(e) = write_frame(&mut out, &labelled) {
                return Ok(Err(e));
            }
        }
    }
    Ok(out.flush())
}
