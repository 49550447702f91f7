//! Which frames of a result are those of which group of its input, where several groups were computed as one job.

use std::ops::Range;

use ::hdf5::File;
use ::hdf5::types::VarLenUnicode;

use crate::domain::error::{Error, Result};

use super::create::group;
use super::input::Input;
use super::{ffi, layout, lossy};

/// Bytes that the table takes, about.
pub(super) fn bytes(input: &Input) -> u64 {
    let names = input.segments().map(|(key, _)| key.len() as u64 + 64);
    names.sum()
}

/// Writes the table, where there are several groups.
pub(super) fn write(file: &File, input: &Input) -> ::hdf5::Result<()> {
    let (keys, frames): (Vec<String>, Vec<Range<u64>>) = input.segments().unzip();
    if keys.is_empty() {
        return Ok(());
    }
    let table = group(file, layout::SEGMENTS)?;
    let texts = keys.iter().map(|key| key.parse::<VarLenUnicode>());
    let texts = texts
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|e| ::hdf5::Error::from(e.to_string()))?;
    let names = table.new_dataset::<VarLenUnicode>().shape(keys.len());
    names.create("key")?.write_raw(&texts)?;
    let column = |name, of: fn(&Range<u64>) -> i64| {
        let values: Vec<i64> = frames.iter().map(of).collect();
        let dataset = table.new_dataset::<i64>().shape(values.len());
        dataset.create(name)?.write_raw(&values)
    };
    column("first_frame", |frames| frames.start as i64)?;
    column("n_frames", |frames| (frames.end - frames.start) as i64)
}

/// The groups and their frames; none where the result is of one group.
pub fn read(file: &File, n_frames: u64) -> Result<Vec<(String, Range<u64>)>> {
    let Ok(table) = file.group(layout::SEGMENTS) else {
        return Ok(Vec::new());
    };
    let damaged = |what: &str| {
        Error::failure(format!(
            "{}: {} {what}: the file is damaged",
            file.filename(),
            layout::SEGMENTS
        ))
    };
    let column = |name: &str| {
        let dataset = table.dataset(name).map_err(|_| damaged("is incomplete"))?;
        let mut values = vec![0_i64; dataset.size()];
        ffi::read_rows(&dataset, &[0..values.len() as u64], &mut values)?;
        Ok::<_, Error>(values)
    };
    let (firsts, counts) = (column("first_frame")?, column("n_frames")?);
    let keys = table
        .dataset("key")
        .and_then(|keys| keys.read_raw::<VarLenUnicode>())
        .map_err(|_| damaged("is incomplete"))?;
    if keys.len() != firsts.len() || keys.len() != counts.len() {
        return Err(damaged("has columns of different lengths"));
    }
    let mut next = 0;
    let mut all = Vec::with_capacity(keys.len());
    for ((key, first), count) in keys.iter().zip(firsts).zip(counts) {
        let count = u64::try_from(count).map_err(|_| damaged("has a negative number"))?;
        if first != next as i64 || count > n_frames - next {
            return Err(damaged("does not number the frames one after the other"));
        }
        all.push((lossy(key.as_bytes()), next..next + count));
        next += count;
    }
    if next != n_frames {
        return Err(damaged("does not number all frames"));
    }
    Ok(all)
}
