//! A row of the table that `scripts/test-cluster` prints: what was done to a job, what came of it.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::results::{assert_same, completed, read};

/// Names the file to which rows are added, one line each, with tabs between columns.
const FILE: &str = "FRAMEWISE_SCENARIOS";

/// A scenario that goes on.
pub struct Scenario {
    name: &'static str,
    done: &'static str,
    begun: Instant,
}

impl Scenario {
    /// Begins now; `done` says what is done to the job.
    pub fn begin(name: &'static str, done: &'static str) -> Self {
        let begun = Instant::now();
        Self { name, done, begun }
    }

    /// The time since its beginning.
    pub fn so_far(&self) -> Duration {
        self.begun.elapsed()
    }

    /// The job is over: all frames must be completed and all datasets the bytes of an undisturbed run's.
    #[track_caller]
    pub fn ends_whole(self, result: &Path, whole: &Path, came: &str) {
        let frames = read(whole).status.len();
        assert_eq!(completed(result), frames, "{}: frames lost", self.name);
        assert_same(result, whole);
        self.row(came, "0", "yes");
    }

    /// It was about no result: a message, a comparison.
    pub fn ends(self, came: &str) {
        self.row(came, "-", "-");
    }

    fn row(&self, came: &str, lost: &str, equal: &str) {
        let seconds = self.begun.elapsed().as_secs_f64();
        let row = format!(
            "{}\t{}\t{came}\t{seconds:.1} s\t{lost}\t{equal}\n",
            self.name, self.done
        );
        print!("{row}");
        if let Some(path) = std::env::var_os(FILE) {
            // One write: tests of other processes add theirs.
            let file = OpenOptions::new().append(true).create(true).open(path);
            file.unwrap().write_all(row.as_bytes()).unwrap();
        }
    }
}
