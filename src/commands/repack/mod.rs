//! `framewise repack`: a smaller copy of a result, on any number of ranks. The copy gets its name when it has been read back and
//! compared.
//!
//! What a kill leaves behind at each line: the source as it was, and a temporary file that the next repack removes; after the
//! rename the complete copy.

mod args;
mod write;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use crate::adapters::hdf5::audit::audit;
use crate::adapters::hdf5::ffi::open_objects;
use crate::adapters::hdf5::repack::fill::{Reader, Unit, units};
use crate::adapters::hdf5::repack::plan::{Item, Piece, plan};
use crate::adapters::hdf5::repack::{Wishes, check, create};
use crate::adapters::hdf5::result_reader::ResultReader;
use crate::adapters::hdf5::{open_read_only, text_attribute};
use crate::adapters::lock;
use crate::adapters::mpi::{MpiRanks, World};
use crate::adapters::signals::Signals;
use crate::adapters::whole_file::replace;
use crate::domain::error::{Error, Kind, Result};
use crate::engine::ports::Ranks;
use crate::engine::together::{on_first_rank, same_everywhere, together};
use crate::planning::frame_set::FrameSet;
use crate::planning::partition::share;

use super::cli::Talk;
use super::logging;
use super::output::print;
use super::run::launch::{leave, meet, refuse};

pub use args::RepackArgs;

/// Runs the verb on every rank.
pub fn execute(args: &RepackArgs, talk: &Talk) -> ExitCode {
    let signals = Signals::listen();
    let world = match World::initialize() {
        Ok(world) => world,
        Err(error) => return refuse(&error),
    };
    logging::start(talk, Some(world.ranks().rank()), None);
    let outcome = run(args, &world, signals, !talk.quiet);
    meet(&mut world.ranks(), outcome.as_ref().err());
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind == Kind::Abandoned || open_objects() > 0 => leave(&error),
        Err(error) => ExitCode::from(error.exit_code()),
    }
}

/// What every step uses.
struct Setting<'a> {
    args: &'a RepackArgs,
    world: &'a World,
    signals: &'a Signals,
    wishes: Wishes,
    pieces: Vec<Piece>,
}

fn run(args: &RepackArgs, world: &World, signals: Result<Signals>, talk: bool) -> Result<()> {
    let begun = Instant::now();
    let mut ranks = world.ranks();
    let signals = together(&mut ranks, signals)?;
    let advice = "start the same command on every rank";
    let commands = ("the commands of the ranks", advice);
    same_everywhere(&mut ranks, commands, &format!("{args:?}"))?;
    let wishes = together(&mut ranks, args.wishes())?;
    let output = args.output.as_path();
    on_first_rank(&mut ranks, || args.check())?;
    let temporary = lock::beside(output, ".repacking");
    let opened = ResultReader::open(&args.result).and_then(|result| {
        let file = open_read_only(&args.result)?;
        let items = plan(&file, &wishes)?;
        Ok((result, file, items))
    });
    let (result, file, items) = together(&mut ranks, opened)?;
    let pieces = items.iter().filter_map(|item| match item {
        Item::Piece(piece) => Some(piece.clone()),
        _ => None,
    });
    let setting = Setting {
        args,
        world,
        signals: &signals,
        wishes,
        pieces: pieces.collect(),
    };
    let units = units(&setting.pieces);
    let sources = Sources {
        result: &result,
        file: &file,
    };
    let packed = pack(&setting, &mut ranks, &sources, &items, &units, &temporary);
    if packed.is_err() && ranks.rank() == 0 {
        let _ = fs::remove_file(&temporary);
    }
    let errors = packed?;
    on_first_rank(&mut ranks, || {
        replace(&temporary, output).map_err(|e| {
            Error::failure(format!("{}: cannot be completed: {e}", output.display()))
        })?;
        if !talk {
            return Ok(());
        }
        print(&said(&setting, &errors, begun, world.ranks().size())?)
    })?;
    Ok(())
}

/// The source, as a result and as a file.
struct Sources<'a> {
    result: &'a ResultReader,
    file: &'a ::hdf5::File,
}

/// Makes the temporary file, whole and compared; the largest error of each piece that was rounded. Collective.
fn pack(
    setting: &Setting<'_>,
    ranks: &mut MpiRanks,
    sources: &Sources<'_>,
    items: &[Item],
    units: &[Unit],
    temporary: &Path,
) -> Result<Vec<f64>> {
    on_first_rank(ranks, || {
        let _ = fs::remove_file(temporary);
        create::create(temporary, sources.file, items, &setting.wishes)
    })?;
    let mut reader = Reader::new(sources.file, sources.result, &setting.pieces);
    write::write(setting, ranks, &mut reader, units, temporary)?;
    let mine: Vec<Unit> = units
        .iter()
        .skip(ranks.rank())
        .step_by(ranks.size())
        .cloned()
        .collect();
    let checked = look(setting, ranks, sources, &mut reader, &mine, temporary);
    let worst = together(ranks, checked)?;
    let all = ranks.gather(&worst);
    let largest = |k: usize| all.iter().map(|of_rank| of_rank[k]).fold(0.0, f64::max);
    Ok((0..worst.len()).map(largest).collect())
}

/// This rank's share of the comparison: bytes with the source, and frames with their checksums.
fn look(
    setting: &Setting<'_>,
    ranks: &MpiRanks,
    sources: &Sources<'_>,
    reader: &mut Reader<'_>,
    mine: &[Unit],
    temporary: &Path,
) -> Result<Vec<f64>> {
    let new = open_read_only(temporary)?;
    let worst = check::check(&new, reader, sources.file, &setting.pieces, mine)?;
    let packed = ResultReader::open(temporary)?;
    let frames = FrameSet::all(packed.n_frames());
    let frames = share(&frames, ranks.rank(), ranks.size());
    let findings = audit(&packed, &frames, &|| setting.signals.go_on())?;
    match findings.wrong.first() {
        None => Ok(worst),
        Some((frame, wrong)) => Err(Error::failure(format!(
            "{}: {} {frame}: {wrong}; see `framewise verify`, and if a job is writing wait for its end",
            setting.args.result.display(),
            packed.item()
        ))),
    }
}

fn said(setting: &Setting<'_>, errors: &[f64], begun: Instant, ranks: usize) -> Result<String> {
    let size = |path: &Path| {
        fs::metadata(path)
            .map(|found| found.len())
            .map_err(|e| Error::unreadable(path, &e))
    };
    let (before, after) = (size(&setting.args.result)?, size(&setting.args.output)?);
    let bytes: u64 = setting
        .pieces
        .iter()
        .map(|piece| piece.rows * piece.row_bytes as u64)
        .sum();
    let seconds = begun.elapsed().as_secs_f64();
    let s = if ranks == 1 { "" } else { "s" };
    let mut text = format!(
        "{}: {:.1} MB, {:.2} times smaller than {:.1} MB; {} MB/s on {ranks} rank{s}, compared",
        setting.args.output.display(),
        after as f64 * 1e-6,
        before as f64 / after.max(1) as f64,
        before as f64 * 1e-6,
        (bytes as f64 * 1e-6 / seconds).round(),
    );
    let new = open_read_only(&setting.args.output)?;
    let rounded = setting.pieces.iter().zip(errors);
    let rounded: Vec<_> = rounded
        .filter(|(piece, _)| piece.single)
        .map(|(piece, error)| {
            let dataset = new.dataset(&piece.path).ok();
            let unit = dataset.and_then(|dataset| text_attribute(&dataset, "unit"));
            let unit = unit.map_or_else(String::new, |unit| format!(" {unit}"));
            format!("{} by {error:.1e}{unit}", piece.name())
        })
        .collect();
    if !rounded.is_empty() {
        text += &format!("; single precision changes {} at most", rounded.join(", "));
    }
    Ok(text)
}
