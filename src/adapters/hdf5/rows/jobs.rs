//! Several jobs in one result of rows, each with its group of results and its books.
//!
//! The books of one job are where everything looks for them ([`layout::FRAMEWISE`]); those of the others lie beside it, under
//! numbered names, with their attributes, states and history. A job is added, or another one brought forward, in a copy of
//! the file under its temporary name. A kill leaves the file as it was, and a temporary file that the next creation
//! removes, up to the rename; after it the new file, with all that was in the old one.

use std::path::Path;

use ::hdf5::{File, Group};

use crate::domain::error::{Error, GoOn, Result};

use super::super::create::{self, Base};
use super::super::{failed, layout, open_read_only, text_attribute};
use super::stored::StoredRows;

/// More jobs than this nobody has in one file.
const MOST: usize = 1000;

/// Where books are laid aside.
fn aside(number: usize) -> String {
    format!("{}_{number:03}", layout::FRAMEWISE)
}

/// The books of a job that was laid aside in `result`: those whose attributes are `identity`.
pub fn find(result: &Path, identity: &[(&str, &str)]) -> Result<Option<String>> {
    let file = open_read_only(result)?;
    let mut matching = laid_aside(&file).filter(|(_, group)| {
        let mut pairs = identity.iter();
        pairs.all(|(name, value)| text_attribute(group, name).as_deref() == Some(value))
    });
    Ok(matching.next().map(|(name, _)| name))
}

/// The groups of results whose books were laid aside.
pub fn others(result: &Path) -> Result<Vec<String>> {
    let file = open_read_only(result)?;
    let groups = laid_aside(&file).map(|(_, books)| StoredRows::said_in(&books));
    Ok(groups.flatten().map(|rows| rows.group).collect())
}

/// Books that were laid aside, with their names.
fn laid_aside(file: &File) -> impl Iterator<Item = (String, Group)> {
    (0..MOST).map(aside).map_while(|name| {
        let group = file.group(&name).ok()?;
        Some((name, group))
    })
}

/// Lays the books at hand aside, in a file that has no name yet.
pub(super) fn lay_aside(file: &File) -> Result<()> {
    let free = (0..MOST).map(aside).find(|name| file.group(name).is_err());
    let Some(free) = free else {
        return Err(Error::failure(format!(
            "there are {MOST} groups of results in the file; choose another -o"
        )));
    };
    file.relink(layout::FRAMEWISE, &free)
        .map_err(failed(format!("cannot move {}", layout::FRAMEWISE)))
}

/// Exchanges the books at hand for `books`, which were laid aside. Rank 0, under the lock, while nobody has the file open.
pub fn bring_forward(result: &Path, books: &str, go_on: GoOn<'_>) -> Result<()> {
    create::lay_out_with(result, (Base::Copy, 0), &|_| (), go_on, |file, _| {
        let doing = || failed(format!("cannot move {books}"));
        // Numbers stay without gaps: those at hand take the place of the others.
        let between = format!("{books}_");
        file.relink(books, &between).map_err(doing())?;
        file.relink(layout::FRAMEWISE, books).map_err(doing())?;
        file.relink(&between, layout::FRAMEWISE).map_err(doing())
    })?;
    create::give_name(result, |_| Ok(()))
}
