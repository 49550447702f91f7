//! What chemfiles warns of: once for a file, however often it says it.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Once;

thread_local! {
    /// What chemfiles has warned of since it was asked last. It warns of each error before it returns it.
    static WARNED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// More kinds of warnings than this are counted only.
const MOST: usize = 32;

/// Has chemfiles tell its warnings here.
pub fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        chemfiles::set_warning_callback(|message| {
            WARNED.with_borrow_mut(|warned| warned.push(message.to_owned()));
        });
    });
}

/// The warnings of one file.
#[derive(Debug, Default)]
pub struct Warnings {
    kinds: Vec<Kind>,
    /// Of kinds that are not kept.
    others: u64,
}

/// Warnings that differ in what they quote.
#[derive(Debug)]
struct Kind {
    key: String,
    first: String,
    more: u64,
}

impl Warnings {
    /// Keeps what chemfiles has warned of, but for the error that is said anyway.
    pub fn heard<T>(
        &mut self,
        result: Result<T, chemfiles::Error>,
    ) -> std::result::Result<T, String> {
        let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let result = result.map_err(|error| line(&error.message));
        for warning in WARNED.take() {
            let warning = line(&warning);
            if result.as_ref().err() != Some(&warning) {
                self.add(warning);
            }
        }
        result
    }

    fn add(&mut self, warning: String) {
        let key = kind(&warning);
        if let Some(known) = self.kinds.iter_mut().find(|known| known.key == key) {
            known.more += 1;
        } else if self.kinds.len() < MOST {
            let (key, first, more) = (key.to_owned(), warning, 0);
            self.kinds.push(Kind { key, first, more });
        } else {
            self.others += 1;
        }
    }

    /// A line for each kind.
    pub fn lines(&self, path: &Path) -> Vec<String> {
        let path = path.display();
        let kinds = self.kinds.iter().map(|Kind { first, more, .. }| {
            let more = match more {
                0 => String::new(),
                more => format!(" (and {more} more warnings of this kind)"),
            };
            format!("{path}: chemfiles: {first}{more}")
        });
        let others = (self.others > 0)
            .then(|| format!("{path}: chemfiles: {} warnings of other kinds", self.others));
        kinds.chain(others).collect()
    }

    /// Says what was heard before an error, of which it may be the reason.
    pub fn say(&mut self, path: &Path) {
        for line in std::mem::take(self).lines(path) {
            tracing::warn!("{line}");
        }
    }
}

/// A warning up to what it quotes: `PDB reader: found unexpected, non-standard atom`.
fn kind(warning: &str) -> &str {
    let quotes = warning.find(|c: char| "'\"(".contains(c) || c.is_ascii_digit());
    let colon = warning.match_indices(": ").nth(1).map(|(at, _)| at);
    let end = [quotes, colon].into_iter().flatten().min();
    &warning[..end.unwrap_or(warning.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_of_a_kind_are_one_line_with_their_number() {
        let mut warnings = Warnings::default();
        for k in 0..3 {
            warnings.add(format!("PDB reader: an odd atom 'C{k}' in residue"));
            warnings.add(format!("PDB reader: ignoring unknown record: R{k}"));
        }
        warnings.add("PDB reader: missing END".into());
        let lines = warnings.lines(Path::new("a.pdb"));
        assert_eq!(
            lines,
            [
                "a.pdb: chemfiles: PDB reader: an odd atom 'C0' in residue (and 2 more warnings of this kind)",
                "a.pdb: chemfiles: PDB reader: ignoring unknown record: R0 (and 2 more warnings of this kind)",
                "a.pdb: chemfiles: PDB reader: missing END",
            ]
        );
        for k in 0..2 * MOST {
            warnings.add("x".repeat(k));
        }
        assert!(warnings.lines(Path::new("a"))[MOST].contains("warnings of other kinds"));
    }
}
