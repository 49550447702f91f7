//! A job that takes as long as a test needs on whatever machine this is: frames of some milliseconds, so many of them.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::folder::{Folder, perturbed};
use super::results::{completed, metrics};

/// What computes: argon with thousands of images of each atom.
const CALCULATOR: &str = "-c lennard-jones -p epsilon=0.0104 -p sigma=3.4 -p cutoff=110";

/// Frames in a folder, and what an undisturbed run makes of them.
pub struct Work {
    /// Where it is done.
    pub folder: Folder,
}

impl Work {
    /// So many seconds of one core.
    pub fn lasting(seconds: f64) -> Self {
        let folder = Folder::new();
        folder.import_frames("some", &perturbed("argon_small_cell.xyz", 40, 4));
        let line = format!("run some.h5 -o some-r.h5 --metrics m.json -t 1 {CALCULATOR}");
        folder.alone(&line).expect(0);
        let took = metrics(&folder.path("m.json"))["ranks"][0]["compute_seconds"].as_f64();
        let frames = (seconds * 40.0 / took.unwrap()).clamp(40.0, 100_000.0) as usize;
        folder.import_frames("in", &perturbed("argon_small_cell.xyz", frames, 4));
        let work = Self { folder };
        work.folder
            .on(2, &format!("{} -t 1", Self::command("whole.h5")))
            .within(Duration::from_mins(5))
            .expect(0);
        work
    }

    /// `run` with the result of this name.
    pub fn command(result: &str) -> String {
        format!("run in.h5 -o {result} --checkpoint-interval 0.5 {CALCULATOR}")
    }

    /// The undisturbed result.
    pub fn whole(&self) -> PathBuf {
        self.folder.path("whole.h5")
    }

    /// The result.
    pub fn result(&self) -> PathBuf {
        self.folder.path("r.h5")
    }

    /// The log of a job of SLURM.
    pub fn log(&self, job: u32) -> String {
        let log = self.folder.path(&format!("framewise-{job}.log"));
        std::fs::read_to_string(log).unwrap_or_default()
    }

    /// Waits until so many frames of the result are completed.
    #[track_caller]
    pub fn wait_for(&self, frames: usize) {
        let begun = Instant::now();
        while !self.result().exists() || completed(&self.result()) < frames {
            let so_far = begun.elapsed();
            assert!(
                so_far.as_secs() < 60,
                "fewer than {frames} frames after {so_far:?}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
