//! Steps that all ranks take together before and after the loop: whatever fails on one rank fails on all, with
//! one message.

use crate::domain::error::{Error, Kind, Result};

use super::ports::{Ranks, Trouble, Vote};

/// Exchanges the outcome of a step that every rank has tried. When it failed anywhere, every rank gets the error
/// of the lowest rank on which it did. Collective.
pub fn together<T>(ranks: &mut dyn Ranks, mine: Result<T>) -> Result<T> {
    let trouble = if mine.is_ok() {
        Trouble::No
    } else {
        Trouble::Ending
    };
    let verdict = ranks.agree(
        Vote {
            trouble,
            ..Vote::default()
        },
        &mut pause,
    );
    let Some((_, from)) = verdict.trouble else {
        return mine;
    };
    let text = mine.err().map_or_else(String::new, |e| {
        let kind = match e.kind {
            Kind::Usage => 'u',
            Kind::Failure => 'f',
            Kind::Abandoned => 'a',
        };
        format!("{kind}{}", e.message)
    });
    let told = ranks.tell(from, &text);
    let (kind, message) = told.split_at(told.len().min(1));
    let message = if from == 0 {
        message.to_owned()
    } else {
        format!("rank {from}: {message}")
    };
    Err(match kind {
        "u" => Error::usage(message),
        "a" => Error::failure(message).abandoned(),
        _ => Error::failure(message),
    })
}

/// Rank 0 acts; its outcome, then nothing else, is shared. The others get `None`. Collective.
pub fn on_first_rank<T>(
    ranks: &mut dyn Ranks,
    act: impl FnOnce() -> Result<T>,
) -> Result<Option<T>> {
    let mine = if ranks.rank() == 0 {
        act().map(Some)
    } else {
        Ok(None)
    };
    together(ranks, mine)
}

/// Errors on all ranks, naming `what`, unless every rank brings the same text. Collective.
pub fn same_everywhere(ranks: &mut dyn Ranks, what: &str, text: &str) -> Result<()> {
    let first = ranks.tell(0, text);
    let mine = if first == text {
        Ok(())
    } else {
        Err(Error::failure(format!(
            "{what} differ: {text:?} here, {first:?} on rank 0; start all ranks with the same command and program"
        )))
    };
    together(ranks, mine)
}

/// Waiting for an agreement outside the loop: there is nothing else to do.
fn pause() {
    std::thread::sleep(std::time::Duration::from_micros(100));
}
