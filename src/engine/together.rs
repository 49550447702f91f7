//! Steps that all ranks take together before and after the loop: whatever fails on one rank fails on all, with
//! one message.

use crate::domain::error::{Error, Kind, Result};

use super::ports::{Ranks, Trouble, Vote};

/// Exchanges the outcome of a step that every rank has tried. When it failed anywhere, every rank gets the error
/// of the lowest rank on which it did, with the name of that rank unless it failed everywhere. Collective.
///
/// The others may never come, because they wait for this rank inside the very step that failed here. Then the error
/// comes back as one that this rank has to say itself ([`Kind::Alone`]).
pub fn together<T>(ranks: &mut dyn Ranks, mine: Result<T>) -> Result<T> {
    exchange(ranks, mine, true)
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
    exchange(ranks, mine, false)
}

/// Errors on all ranks, naming `what` and saying `advice`, unless every rank brings the same text. Collective.
pub fn same_everywhere(
    ranks: &mut dyn Ranks,
    (what, advice): (&str, &str),
    text: &str,
) -> Result<()> {
    let first = ranks.tell(0, text);
    let mine = if first == text {
        Ok(())
    } else {
        Err(Error::failure(format!(
            "{what} differ: {text:?} here, {first:?} on rank 0; {advice}"
        )))
    };
    together(ranks, mine)
}

fn exchange<T>(ranks: &mut dyn Ranks, mine: Result<T>, named: bool) -> Result<T> {
    let trouble = match &mine {
        Ok(_) => Trouble::No,
        Err(_) => Trouble::Ending,
    };
    let Some(verdict) = ranks.agree(Vote::about(trouble), &mut pause) else {
        let name = ranks.name();
        return mine.map_err(|error| error.context(name).alone());
    };
    let Some((_, from)) = verdict.trouble else {
        return mine;
    };
    let named = named && !verdict.all_troubled;
    let text = mine.err().map_or_else(String::new, |error| {
        let kind = match error.kind {
            Kind::Usage => 'u',
            Kind::Failure | Kind::Alone => 'f',
            Kind::Abandoned => 'a',
            Kind::Stopped => 's',
        };
        let name = if named {
            ranks.name() + ": "
        } else {
            String::new()
        };
        format!("{kind}{name}{}", error.message)
    });
    let told = ranks.tell(from, &text);
    let (kind, message) = told.split_at(told.len().min(1));
    Err(match kind {
        "u" => Error::usage(message),
        "a" => Error::failure(message).abandoned(),
        "s" => Error::stopped(),
        _ => Error::failure(message),
    })
}

/// Waiting for an agreement outside the loop: there is nothing else to do.
fn pause() {
    std::thread::sleep(std::time::Duration::from_micros(100));
}
