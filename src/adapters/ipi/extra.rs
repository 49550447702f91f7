//! The text that clients send with their forces, kept beside the result.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use serde_json::json;

use crate::adapters::mpi::launcher::promised_rank;
use crate::domain::calculator::Results;
use crate::domain::checksum::checksum;

/// One worker's file: a line of JSON for each frame that came with a text, `{"checksum": ..., "extra": ...}`. The
/// checksum is that of the frame's results, which the result file holds, too: by it they find together.
pub(super) struct Extras {
    file: File,
    line: Vec<u8>,
    shown: String,
}

impl Extras {
    /// Complains about a folder that cannot be one.
    pub fn check(folder: &Path) -> Result<(), String> {
        if folder.exists() && !folder.is_dir() {
            let shown = folder.display();
            return Err(format!("parameter extra: {shown}: is not a folder"));
        }
        Ok(())
    }

    /// A new file in `folder`.
    pub fn begin(folder: &Path) -> Result<Self, String> {
        let shown = folder.display().to_string();
        let wrong = |e: std::io::Error| format!("parameter extra: {shown}: {e}");
        fs::create_dir_all(folder).map_err(wrong)?;
        let rank = promised_rank().unwrap_or(0);
        let file = tempfile::Builder::new()
            .prefix(&format!("rank-{rank}-"))
            .suffix(".jsonl")
            .tempfile_in(folder)
            .map_err(wrong)?;
        let (file, _) = file.keep().map_err(|e| wrong(e.error))?;
        Ok(Self {
            file,
            line: Vec::new(),
            shown,
        })
    }

    /// Keeps what came with these results. Written at once: a frame may be committed any time now.
    pub fn keep(&mut self, results: &Results<'_>, extra: &[u8]) -> Result<(), String> {
        let text = String::from_utf8_lossy(extra);
        let text = text.trim_matches(['\0', ' ', '\n']);
        if text.is_empty() {
            return Ok(());
        }
        let sum = checksum(*results.energy, results.forces, results.stress);
        self.line.clear();
        let line = json!({ "checksum": sum, "extra": text });
        writeln!(self.line, "{line}")
            .and_then(|()| self.file.write_all(&self.line))
            .map_err(|e| format!("cannot write into {}: {e}", self.shown))
    }
}
