//! Log lines on standard error, and traces in files.

use std::fs::File;
use std::path::Path;

use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::domain::error::{Error, Result};

use super::cli::{LogFormat, Talk};

/// Starts logging. Rank 0 (or a program without ranks) says what people should know, the other ranks warnings;
/// `-v` makes all ranks say more. Every line of a rank carries the field `rank`.
///
/// With `trace`, everything also goes to that file as JSON lines.
pub fn start(talk: &Talk, rank: Option<usize>, trace: Option<File>) {
    let first = rank.unwrap_or(0) == 0;
    let level = match (talk.quiet, talk.verbose) {
        (true, _) => Level::WARN,
        (_, 0) if first => Level::INFO,
        (_, 0) => Level::WARN,
        (_, 1) => Level::DEBUG,
        _ => Level::TRACE,
    };
    // Of rectangles that are too small to be seen in a PNG nobody needs to hear.
    let filter = Targets::new()
        .with_default(level)
        .with_target("usvg", LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false);
    let lines = match talk.log_format {
        LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
        LogFormat::Text => lines
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .compact()
            .with_filter(filter)
            .boxed(),
    };
    let traces = trace.map(|file| {
        tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_writer(file)
            .with_filter(LevelFilter::TRACE)
    });
    // A second start in one process (tests) keeps the first.
    let _ = tracing_subscriber::registry()
        .with(lines)
        .with(traces)
        .try_init();
}

/// `DIR/rank-00000.jsonl`, created with its directory.
pub fn trace_file(directory: &Path, rank: usize) -> Result<File> {
    let path = directory.join(format!("rank-{rank:05}.jsonl"));
    std::fs::create_dir_all(directory)
        .and_then(|()| File::create(&path))
        .map_err(|e| Error::failure(format!("--trace: cannot write {}: {e}", path.display())))
}
