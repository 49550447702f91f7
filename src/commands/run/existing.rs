//! A result file that is there already: is it of this job, what is left to do, what has to be done again.

use std::path::Path;

use ::hdf5::{File, FileBuilder};
use xxhash_rust::xxh3::xxh3_64;

use crate::adapters::hdf5::audit::mean_bytes;
use crate::adapters::hdf5::create::Message;
use crate::adapters::hdf5::ffi::{Transfer, read_rows, write_bytes, write_rows};
use crate::adapters::hdf5::layout::{self, attribute};
use crate::adapters::hdf5::result_block::force_rows;
use crate::adapters::hdf5::result_reader::ResultReader;
use crate::adapters::hdf5::rows::jobs;
use crate::adapters::hdf5::rows::stored::StoredRows;
use crate::adapters::hdf5::{failed, open_read_only};
use crate::domain::error::{Error, GoOn, Result};
use crate::planning::frame_set::FrameSet;
use crate::planning::status::Status;

use super::config::RunConfig;
use super::recheck::{self, Suspicion};

/// Attributes that make the job, with their values.
pub type Identity = Vec<(&'static str, String)>;

/// The first difference between the recorded job and this one, in words. The input's path and group may change as
/// long as the geometry is the same.
pub fn difference(reader: &ResultReader, identity: &Identity) -> Option<String> {
    // Results of rows are under the name of their dataset.
    let of_rows = identity.iter().any(|(name, _)| *name == attribute::KERNEL);
    let free = |name| name == attribute::INPUT || (name == attribute::KEY && !of_rows);
    identity
        .iter()
        .filter(|(name, _)| !free(*name))
        .find_map(|(name, given)| {
            let recorded = reader.attribute(name).unwrap_or_default();
            (recorded != given).then(|| describe(name, recorded, given, reader))
        })
}

/// Whether the file holds results of the same rows by another kernel, or by the same with other parameters: one file may
/// have both.
pub fn may_lie_beside(reader: &ResultReader, identity: &Identity) -> bool {
    let may_differ = [attribute::KERNEL, attribute::PARAMETERS, attribute::INPUT];
    let mut same = identity
        .iter()
        .filter(|(name, _)| !may_differ.contains(name));
    let kernel = identity.iter().any(|(name, _)| *name == attribute::KERNEL);
    let rows = reader.rows().is_some();
    kernel && rows && same.all(|(name, value)| reader.attribute(name) == Some(value))
}

/// The books of this job, where those of another one were the last in the file.
pub fn laid_aside(path: &Path, identity: &Identity) -> Result<Option<String>> {
    let pairs = identity
        .iter()
        .filter(|(name, _)| *name != attribute::INPUT);
    let pairs: Vec<_> = pairs.map(|(name, value)| (*name, value.as_str())).collect();
    jobs::find(path, &pairs)
}

fn describe(name: &str, recorded: &str, given: &str, reader: &ResultReader) -> String {
    match name {
        // The first attribute that only one of the verbs has.
        attribute::CALCULATOR | attribute::KERNEL if recorded.is_empty() => {
            format!("another verb (framewise map and run keep files apart), not {name} {given}")
        }
        attribute::KEY => format!("dataset {recorded}, not {given}"),
        attribute::PARAMETERS => different_parameter(recorded, given),
        attribute::INPUT_FINGERPRINT => {
            let what = match reader.item() {
                "row" => "its rows are not those",
                _ => "its geometry is not that",
            };
            let recorded = reader.attribute(attribute::INPUT);
            let recorded = recorded.unwrap_or("the recorded input");
            format!("another input: {what} of {recorded}, for which the result was created")
        }
        attribute::CARRIED if recorded.is_empty() => format!("nothing carried over, not {given}"),
        attribute::FORCE_UNITS => format!("forces in eV/Angstrom alone, not in {given} too"),
        attribute::LEVEL_OF_THEORY => format!("level of theory {recorded:?}, not {given:?}"),
        _ => format!("{name} {recorded}, not {given}"),
    }
}

fn different_parameter(recorded: &str, given: &str) -> String {
    type Map = serde_json::Map<String, serde_json::Value>;
    let (Ok(old), Ok(new)) = (
        serde_json::from_str::<Map>(recorded),
        serde_json::from_str::<Map>(given),
    ) else {
        return format!("parameters {recorded}, not {given}");
    };
    let text = |map: &Map, key: &str| {
        let value = map.get(key).and_then(|v| v.as_str());
        value.map_or("not given".to_owned(), ToOwned::to_owned)
    };
    old.keys()
        .chain(new.keys())
        .find(|key| old.get(*key) != new.get(*key))
        .map_or_else(
            || "other parameters".into(),
            |key| {
                format!(
                    "parameter {key} {}, not {}",
                    text(&old, key),
                    text(&new, key)
                )
            },
        )
}

/// What is left of the selection.
pub struct Standing {
    /// Frames to compute.
    pub pending: FrameSet,
    /// Frames whose stored results have to be forgotten first.
    pub reset: FrameSet,
    /// Selected frames that stay failed or not converged.
    pub troubled: u64,
    /// Number of this run in the history.
    pub run_number: u64,
}

/// The intent of a run that forgets results, as recorded in the history: a run with the same intent goes on where
/// a stopped or killed one was, instead of forgetting what that one has computed. Empty for an ordinary run.
pub fn intent(config: &RunConfig, selected: &FrameSet) -> String {
    if !config.overwrite && config.retry.is_empty() {
        return String::new();
    }
    let text = format!(
        "{} {:?} {}",
        config.overwrite,
        config.retry,
        selected.pack()
    );
    format!("{:016x}", xxh3_64(text.as_bytes()))
}

/// Compares the selection with the states on disk, and the states with the results.
pub fn standing(
    reader: &ResultReader,
    config: &RunConfig,
    selected: &FrameSet,
    in_company: bool,
    last_rounds: Option<&FrameSet>,
    go_on: GoOn<'_>,
) -> Result<Standing> {
    let history = reader.history()?;
    let last = history.last();
    let intent = intent(config, selected);
    // A run that was ended before it could say "done" has left nothing to go on with.
    let goes_on = last
        .is_some_and(|run| !intent.is_empty() && run.intent == intent && run.state != "done")
        && any_undefined(reader, selected)?;
    let again: &[Status] = match (goes_on, config.overwrite) {
        (true, _) => &[],
        (_, true) => &[Status::Completed, Status::NotConverged, Status::Failed],
        (_, false) => &config.retry,
    };
    let Sorted {
        mut pending,
        mut reset,
        completed,
        troubled,
    } = sort(reader, config, selected, again)?;
    // Among jobs that share the result the first one has looked.
    let was_killed = !in_company && last.is_some_and(|run| run.state == "running");
    let suspicion = match (was_killed, last_rounds) {
        (false, _) => Suspicion::None,
        (true, Some(frames)) => Suspicion::Some(frames),
        (true, None) => Suspicion::All,
    };
    let wrong = recheck::recheck(reader, config, &completed, suspicion, go_on)?;
    drop(completed);
    if !wrong.is_empty() {
        pending = FrameSet::union([&pending, &wrong.intersection(selected)]);
        reset = FrameSet::union([&reset, &wrong]);
    }
    Ok(Standing {
        pending,
        reset,
        troubled,
        run_number: last.map_or(1, |run| run.number + 1),
    })
}

/// The frames of a result by what is to be done with them.
#[derive(Default)]
struct Sorted {
    /// Selected, to compute.
    pending: FrameSet,
    /// To be forgotten first; a code that means nothing is mended wherever it is.
    reset: FrameSet,
    /// Completed and to stay so: the selected ones, or all where all are to be checked.
    completed: FrameSet,
    /// Selected frames that stay failed or not converged.
    troubled: u64,
}

/// One pass over the states. Selected frames in the states `again` are forgotten and computed again.
fn sort(
    reader: &ResultReader,
    config: &RunConfig,
    selected: &FrameSet,
    again: &[Status],
) -> Result<Sorted> {
    let mut sorted = Sorted::default();
    let mut parts = selected.parts();
    reader.for_each_run(|run, status| {
        parts.split(run, |part, selected| match status {
            None => {
                if selected {
                    sorted.pending.append(part.clone());
                }
                sorted.reset.append(part);
            }
            Some(Status::Undefined) if selected => sorted.pending.append(part),
            Some(status) if selected && again.contains(&status) => {
                sorted.pending.append(part.clone());
                sorted.reset.append(part);
            }
            Some(Status::Completed) if selected || config.verify_on_resume => {
                sorted.completed.append(part);
            }
            Some(Status::NotConverged | Status::Failed) if selected => {
                sorted.troubled += part.end - part.start;
            }
            Some(_) => {}
        });
    })?;
    Ok(sorted)
}

fn any_undefined(reader: &ResultReader, selected: &FrameSet) -> Result<bool> {
    let mut found = false;
    let mut parts = selected.parts();
    reader.for_each_run(|run, status| {
        let undefined = status == Some(Status::Undefined);
        parts.split(run, |_, selected| found |= undefined && selected);
    })?;
    Ok(found)
}

/// Bytes of forces that are reset at a time.
const BLOCK_BYTES: u64 = 32 << 20;

/// Makes frames undefined again: states first, then the numbers. Rank 0, serial driver, before the ranks open the
/// file. A kill, or a wish to stop, leaves frames that are undefined, with or without old numbers; raw data only, no
/// metadata changes.
pub fn reset(path: &Path, frames: &FrameSet, go_on: GoOn<'_>) -> Result<()> {
    let doing = || failed(format!("cannot reset frames of {}", path.display()));
    let block_frames = block_frames(path)?;
    let mut builder = FileBuilder::new();
    builder.with_fapl(|fapl| fapl.libver_earliest());
    let file = builder.open_rw(path).map_err(doing())?;
    let dataset = |name: &str| file.dataset(name).map_err(doing());
    let write = Transfer::Independent;
    let (status, message) = (dataset(layout::STATUS)?, dataset(layout::MESSAGE)?);
    let checksum = dataset(layout::CHECKSUM)?;
    let mut rest = frames.clone();
    while !rest.is_empty() {
        go_on()?;
        let block = rest.split_front(block_frames);
        let n = block.len() as usize;
        let undefined = vec![Status::Undefined.code(); n];
        write_rows(&status, block.runs(), &undefined, write)?;
        write_rows(&message, block.runs(), &vec![Message::default(); n], write)?;
    }
    file.flush().map_err(doing())?;
    sync(path)?;
    if let Some(rows) = StoredRows::of(&file)? {
        forget_rows(&file, &rows, frames, go_on)?;
        file.flush().map_err(doing())?;
        return sync(path);
    }
    let forces = dataset(&value(layout::FORCES))?;
    let (energy, stress) = (
        dataset(&value(layout::ENERGY))?,
        dataset(&value(layout::STRESS))?,
    );
    let table = file.dataset(layout::OFFSETS).ok();
    let mut offsets = Vec::new();
    let mut rest = frames.clone();
    while !rest.is_empty() {
        go_on()?;
        let block = rest.split_front(block_frames);
        let (n, rows) = (block.len() as usize, block.runs());
        write_rows(&energy, rows, &vec![f64::NAN; n], write)?;
        write_rows(&stress, rows, &vec![f64::NAN; 9 * n], write)?;
        write_rows(&checksum, rows, &vec![0u64; n], write)?;
        let atoms = force_rows(&forces, table.as_ref(), &block, &mut offsets)?;
        let nothing = vec![f64::NAN; 3 * offsets.last().copied().unwrap_or(0)];
        write_rows(&forces, atoms.runs(), &nothing, write)?;
    }
    file.flush().map_err(doing())?;
    sync(path)
}

/// Frames whose results are worth forgetting at a time.
fn block_frames(path: &Path) -> Result<u64> {
    let reader = ResultReader::open(path)?;
    Ok((BLOCK_BYTES / (mean_bytes(&reader) + 128)).max(1))
}

/// Forgets the numbers of rows whose states are forgotten already.
fn forget_rows(file: &File, stored: &StoredRows, rows: &FrameSet, go_on: GoOn<'_>) -> Result<()> {
    let dataset = |name: &str| {
        let doing = failed(format!("cannot reset rows of {}", file.filename()));
        file.dataset(name).map_err(doing)
    };
    let mut columns = vec![(dataset(&stored.completed())?, 1, &[0][..])];
    for (k, spec) in stored.layout.specs().iter().enumerate() {
        columns.push((
            dataset(&stored.path(k))?,
            spec.bytes(),
            spec.element.blank(),
        ));
    }
    columns.push((dataset(layout::CHECKSUM)?, 8, &[0]));
    for (dataset, row_bytes, blank) in columns {
        let mut rest = rows.clone();
        while !rest.is_empty() {
            go_on()?;
            let block = rest.split_front((BLOCK_BYTES / row_bytes.max(1) as u64).max(1));
            let bytes = blank.repeat((block.len() as usize * row_bytes).div_ceil(blank.len()));
            let bytes = &bytes[..block.len() as usize * row_bytes];
            write_bytes(&dataset, block.runs(), bytes, Transfer::Independent)?;
        }
    }
    Ok(())
}

/// Has `completed_positions`, which pyUSID reads, say what the states say: both are written in one phase of a commit, and a
/// kill may come between. Rank 0, serial driver, before the ranks open the file; raw data only, and nothing where they
/// agree. A kill leaves fewer differences, which the next start mends.
pub fn mend_completed(path: &Path, go_on: GoOn<'_>) -> Result<()> {
    let doing = || failed(format!("cannot mend {}", path.display()));
    let reader = ResultReader::open(path)?;
    let Some(name) = reader.rows().map(StoredRows::completed) else {
        return Ok(());
    };
    let completed = reader.states()?.of(Status::Completed).clone();
    let mut rest = FrameSet::all(reader.n_frames());
    // HDF5 refuses to open for writing what this process has open for reading.
    drop(reader);
    let mut said = FrameSet::empty();
    let file = open_read_only(path)?;
    let dataset = file.dataset(&name).map_err(doing())?;
    let mut bytes = Vec::new();
    while !rest.is_empty() {
        go_on()?;
        let block = rest.split_front(BLOCK_BYTES);
        bytes.clear();
        bytes.resize(block.len() as usize, 0u8);
        read_rows(&dataset, block.runs(), &mut bytes)?;
        for (row, byte) in block.iter().zip(&bytes) {
            if *byte != 0 {
                said.append(row..row + 1);
            }
        }
    }
    drop((dataset, file));
    let wrong = [
        (completed.difference(&said), 1u8),
        (said.difference(&completed), 0),
    ];
    if wrong.iter().all(|(rows, _)| rows.is_empty()) {
        return Ok(());
    }
    let mut builder = FileBuilder::new();
    builder.with_fapl(|fapl| fapl.libver_earliest());
    let file = builder.open_rw(path).map_err(doing())?;
    let dataset = file.dataset(&name).map_err(doing())?;
    for (rows, byte) in wrong {
        let bytes = vec![byte; rows.len() as usize];
        write_rows(&dataset, rows.runs(), &bytes, Transfer::Independent)?;
    }
    file.flush().map_err(doing())?;
    sync(path)
}

fn value(group: &str) -> String {
    format!("{group}/value")
}

fn sync(path: &Path) -> Result<()> {
    std::fs::File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|e| Error::failure(format!("cannot sync {}: {e}", path.display())))
}
