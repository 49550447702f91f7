//! Standard output that may be a closed pipe: `framewise status r.h5 | head` must not panic.

use std::io::{ErrorKind, Write};

use crate::domain::error::{Error, Result};

/// Prints `text` and a line end on standard output.
pub fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Error::failure(format!(
            "cannot write to standard output: {e}"
        ))),
        _ => Ok(()),
    }
}

/// Prints a JSON value on standard output.
pub fn print_json(value: &serde_json::Value) -> Result<()> {
    print(&serde_json::to_string_pretty(value).unwrap_or_default())
}
