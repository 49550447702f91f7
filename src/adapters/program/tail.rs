//! The end of what a program prints.

use std::collections::VecDeque;
use std::io::{PipeReader, Read as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// So many bytes are kept...
const KEPT: usize = 4 << 10;
/// ...and whole lines of so many characters told, the last one in any case: reasons are cut after 128 bytes.
const TOLD: usize = 72;
/// How long the last words of a program that is gone may take to arrive.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Reads all that comes through a pipe and keeps the end of it.
#[derive(Debug)]
pub(super) struct Tail {
    kept: Arc<Mutex<VecDeque<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Tail {
    pub fn of(mut pipe: PipeReader) -> std::io::Result<Self> {
        let kept = Arc::<Mutex<VecDeque<u8>>>::default();
        let ours = Arc::clone(&kept);
        let reader = thread::Builder::new()
            .name("tail".into())
            .stack_size(64 << 10)
            .spawn(move || {
                let mut bytes = [0; 1024];
                while let Ok(n @ 1..) = pipe.read(&mut bytes) {
                    let text = String::from_utf8_lossy(&bytes[..n]);
                    tracing::trace!("a program says: {}", text.trim_end());
                    let mut kept = ours.lock().unwrap_or_else(PoisonError::into_inner);
                    kept.extend(&bytes[..n]);
                    let surplus = kept.len().saturating_sub(KEPT);
                    kept.drain(..surplus);
                }
            })?;
        Ok(Self {
            kept,
            reader: Some(reader),
        })
    }

    /// The last lines in one, separated by ` | `. Of a program that is gone all it has said.
    pub fn text(&mut self, gone: bool) -> String {
        if gone && let Some(reader) = self.reader.take() {
            let end = Instant::now() + LAST_WORDS;
            while !reader.is_finished() && Instant::now() < end {
                thread::sleep(Duration::from_millis(1));
            }
        }
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = kept.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let mut told = String::new();
        let lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
        // What comes after it is often only where it happened.
        let error = |line: &&str| line.to_lowercase().contains("error");
        let error = lines.clone().rev().find(error).unwrap_or_default();
        for line in lines.rev() {
            if told.is_empty() {
                line.clone_into(&mut told);
            } else if line.chars().count() + 3 + told.chars().count() <= TOLD {
                told = format!("{line} | {told}");
            } else {
                break;
            }
        }
        if told.contains(error) {
            told
        } else {
            format!("{error} | {told}")
        }
    }

    /// Forgets what has been read so far.
    pub fn forget(&self) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn the_last_lines_are_kept_and_the_pipe_never_fills() {
        let (from, mut to) = std::io::pipe().unwrap();
        let mut tail = Tail::of(from).unwrap();
        for line in 0..100_000 {
            writeln!(to, "line {line}").unwrap();
        }
        drop(to);
        let text = tail.text(true);
        assert!(text.ends_with("line 99998 | line 99999"), "{text}");
        assert!(text.chars().count() <= TOLD, "{text}");
    }
}
