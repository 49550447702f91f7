//! The run history: fixed slots inside the result file, one JSON line per run, overwritten in place.

use ::hdf5::types::FixedUnicode;
use ::hdf5::{Dataset, Group};
use serde::{Deserialize, Serialize};

use crate::domain::error::{Error, Result};

use super::{failed, missing_plug_in};

/// Number of slots; the newest run overwrites the oldest.
pub const SLOTS: usize = 256;
/// Bytes of a slot.
pub const SLOT_BYTES: usize = 320;

/// One slot as stored.
pub type Slot = FixedUnicode<SLOT_BYTES>;

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// 1 for the first run of the file.
    pub number: u64,
    /// Unix time of its start, in seconds.
    pub started: f64,
    /// Seconds from its start to its last commit or its end.
    pub elapsed: f64,
    /// `running` (or killed), `done`, `stopped`, `failed` (ended by an error).
    pub state: String,
    /// Frames it set out to compute.
    pub planned: u64,
    /// Frames it has committed.
    pub committed: u64,
    /// Ranks.
    pub ranks: usize,
    /// Worker threads per rank.
    pub threads: usize,
    /// Host of rank 0.
    pub host: String,
    /// What a run that forgot results set out to do, see `commands::run::existing::intent`; empty for others.
    #[serde(default)]
    pub intent: String,
}

impl Run {
    /// The slot of this run.
    pub fn slot(&self) -> u64 {
        (self.number.max(1) - 1) % SLOTS as u64
    }

    /// The stored form; the host is cut so that it always fits.
    pub fn encode(&self) -> Slot {
        let mut run = self.clone();
        run.host.truncate(run.host.floor_char_boundary(64));
        run.elapsed = (run.elapsed * 1e3).round() / 1e3;
        run.started = (run.started * 1e3).round() / 1e3;
        let text = serde_json::to_string(&run).unwrap_or_default();
        text.parse().unwrap_or_default()
    }
}

/// Creates the empty slots.
pub fn create(group: &Group) -> ::hdf5::Result<()> {
    let slots = group
        .new_dataset::<Slot>()
        .alloc_time(Some(::hdf5::plist::dataset_create::AllocTime::Early))
        .fill_time(::hdf5::plist::dataset_create::FillTime::Alloc)
        .shape((SLOTS,))
        .create("history")?;
    drop(slots);
    Ok(())
}

/// All runs, oldest first.
pub fn read(slots: &Dataset) -> Result<Vec<Run>> {
    // A damaged file may say anything, and all of it would be read at once.
    if slots.size() != SLOTS {
        let slots = slots.size();
        return Err(Error::failure(format!(
            "damaged file: its run history has {slots} slots instead of {SLOTS}"
        )));
    }
    let texts = slots.read_raw::<Slot>().map_err(|e| {
        let help = missing_plug_in(slots);
        failed(format!("cannot read the run history{help}"))(e)
    })?;
    let mut runs: Vec<Run> = texts
        .iter()
        .filter_map(|text| serde_json::from_slice(text.as_bytes()).ok())
        .collect();
    runs.sort_by_key(|run| run.number);
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One flipped bit in the history's length made `status` ask for 5 TB of memory and abort.
    #[test]
    fn a_history_of_any_other_length_is_refused_before_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = ::hdf5::File::create(folder.path().join("r.h5")).unwrap();
        let shape = (SLOTS << 32,);
        let damaged = file.new_dataset::<Slot>().shape(shape).create("history");
        let refused = read(&damaged.unwrap()).unwrap_err();
        assert!(
            refused.message.contains("run history"),
            "{}",
            refused.message
        );
    }

    #[test]
    fn the_longest_run_fits_its_slot() {
        let run = Run {
            number: u64::MAX,
            started: 1.234_567_890_123e10,
            elapsed: 9_999_999.999,
            state: "stopped".into(),
            planned: 10_000_000_000,
            committed: 10_000_000_000,
            ranks: 1_000_000,
            threads: 1024,
            host: "n".repeat(200),
            intent: "0123456789abcdef".into(),
        };
        let text = run.encode();
        let back: Run = serde_json::from_slice(text.as_bytes()).unwrap();
        assert_eq!(back.planned, run.planned);
    }
}
