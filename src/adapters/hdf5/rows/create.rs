//! A new result of rows: in the group where pyUSID would put it, under the path that the dataset has in the input.
//!
//! ```text
//! /Measurement_000/Channel_000/Raw_Data-SHO_Fit_000/      attributes: tool, parameters, source, time, machine
//!     Amplitude, Q, ...                                   (N, elements), Main datasets, NaN where not computed
//!     Position_Indices, Position_Values                   of the source, or plain
//!     Spectroscopic_Indices, Spectroscopic_Values, ...    of the source where a result is shaped as its rows, or plain
//!     completed_positions                                 (N) u8, 1 where a row is completed
//! /parameters/framewise/                                  as in every result
//! ```

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use ::hdf5::plist::dataset_create::{AllocTime, FillTime};
use ::hdf5::{File, Group};

use crate::adapters::lock;
use crate::domain::error::{GoOn, Result};
use crate::domain::kernel::{Layout, ResultSpec};

use super::super::create::{self, Base, Make, create_books, group, zeroed};
use super::super::layout::{self, MESSAGE_BYTES, attribute};
use super::super::{failed, write_text};
use super::jobs;
use super::stored::StoredRows;
use super::usid::Results;
use super::{RowInput, element};

/// What is computed of the rows, as the group of results says it.
#[derive(Clone, Debug)]
pub struct Process<'a> {
    /// The name of the process, in the group's name.
    pub name: &'a str,
    /// The kernel.
    pub kernel: &'a str,
    /// Its parameters, defaults included.
    pub parameters: &'a [(String, String)],
}

/// Where results of `process` on `input` go in a file of their own.
pub fn stored(input: &RowInput, process: &str, layout: Layout) -> StoredRows {
    StoredRows {
        group: numbered(input, process, 0),
        layout: Arc::new(layout),
    }
}

fn numbered(input: &RowInput, process: &str, number: usize) -> String {
    format!("{}-{process}_{number:03}", input.name())
}

/// Creates the temporary file with all groups and datasets on reserved space, the results not filled yet, and closes it;
/// see [`create::lay_out`]. `beside`: in a copy of the result that is there, see [`jobs`]. Returns the group of results.
pub fn lay_out(
    result: &Path,
    beside: bool,
    input: &RowInput,
    (process, stored): (&Process<'_>, &StoredRows),
    make: Make<'_>,
    go_on: GoOn<'_>,
) -> Result<String> {
    let row: usize = stored.layout.specs().iter().map(ResultSpec::bytes).sum();
    let books = 8 + 8 + 4 + MESSAGE_BYTES + 1;
    // Positions of a few dimensions, indices and values.
    let per_row = (row + books + 4 * 12) as u64;
    let needed = per_row * input.rows() + (1 << 17);
    let base = if beside { Base::Copy } else { Base::Nothing };
    let mut stored = stored.clone();
    create::lay_out_with(result, (base, needed), make, go_on, |file, _| {
        if beside {
            jobs::lay_aside(file)?;
            let mut names = (0..).map(|number| numbered(input, process.name, number));
            let free = |name: &String| file.group(name).is_err();
            stored.group = names.find(free).unwrap_or_default();
        }
        write(file, input, process, &stored)
            .map_err(failed(format!("cannot create {}", result.display())))
    })?;
    Ok(stored.group)
}

fn write(
    file: &File,
    input: &RowInput,
    process: &Process<'_>,
    stored: &StoredRows,
) -> ::hdf5::Result<()> {
    let rows = input.rows() as usize;
    let made = group(file, &stored.group)?;
    say_where_from(&made, input, process)?;
    for spec in stored.layout.specs() {
        made.new_dataset_builder()
            .empty_as(&element::datatype(spec.element, None)?.to_descriptor()?)
            .alloc_time(Some(AllocTime::Early))
            .fill_time(FillTime::Never)
            .shape((rows, spec.elements()))
            .create(spec.name.as_str())?;
    }
    zeroed::<u8>(&made, StoredRows::COMPLETED, &[rows])?;
    let results = Results {
        file,
        group: &made,
        source: input.dataset(),
        rows,
        shape: &input.description().shape,
    };
    results.make_main(stored.layout.specs())?;
    create_books(file, rows)?;
    let ours = group(file, layout::FRAMEWISE)?;
    write_text(&ours, attribute::RESULTS, &stored.encode())?;
    Ok(())
}

/// The attributes that pyUSID gives to a group of results.
fn say_where_from(made: &Group, input: &RowInput, process: &Process<'_>) -> ::hdf5::Result<()> {
    let file = input.path();
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let system = rustix::system::uname();
    let platform = [system.sysname(), system.release(), system.machine()];
    let platform = platform.map(|part| part.to_string_lossy().into_owned());
    for (name, text) in [
        ("tool", process.name),
        ("algorithm", process.kernel),
        ("framewise_version", env!("CARGO_PKG_VERSION")),
        ("timestamp", &timestamp()),
        ("machine_id", &lock::host()),
        ("platform", &platform.join("-")),
        ("source_file_path", &file.display().to_string()),
        ("source_dataset_path", &input.name()),
    ] {
        write_text(made, name, text)?;
    }
    let sources = made.new_attr::<i64>().create("num_source_dsets")?;
    sources.write_scalar(&1)?;
    for (name, text) in process.parameters {
        // A parameter may be called like one of the above.
        if made.attr(name).is_ok() {
            continue;
        }
        match text.parse::<f64>() {
            Ok(number) => made
                .new_attr::<f64>()
                .create(name.as_str())?
                .write_scalar(&number)?,
            Err(_) => write_text(made, name, text)?,
        }
    }
    Ok(())
}

/// Now, in universal time, as pyUSID writes it: `2026_01_31-23_59_59`.
fn timestamp() -> String {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let now = now.trim_end_matches('Z').replace('T', "-");
    now.replacen('-', "_", 2).replace(':', "_")
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_are_written_as_pyusid_writes_them() {
        let now = super::timestamp();
        let shape: String = now
            .chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect();
        assert_eq!(shape, "0000_00_00-00_00_00", "{now}");
    }
}
