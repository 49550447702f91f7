//! One small job for all tests that interrupt it: what it is, what may be left after an interruption, and what must
//! come of it in the end.

use std::fs;
use std::path::{Path, PathBuf};

use framewise::adapters::hdf5::result_block::ResultBlock;

use super::folder::{Folder, perturbed};
use super::launch::{Finished, Launch, Running};
use super::results::{assert_same, metrics, read};
use super::tap::Tap;
use super::torture::{Complaint, Spoiled, require};

/// The result, in the folder of a place.
pub const RESULT: &str = "r.h5";
const ARGUMENTS: &str = "-v --metrics m.json --threads 1 --checkpoint-interval 0.001 --calculator lennard-jones \
    --param epsilon=0.0104 --param sigma=3.4";

/// The job, its input and what an undisturbed run makes of it.
pub struct Job {
    folder: Folder,
    command: String,
    whole: PathBuf,
    results: ResultBlock,
}

/// What a file holds.
pub struct Held {
    /// For each frame whether it is completed.
    pub completed: Vec<bool>,
}

impl Held {
    /// So many frames are completed.
    pub fn count(&self) -> usize {
        self.completed.iter().filter(|done| **done).count()
    }
}

impl Job {
    /// Some commits and a small file.
    pub fn small() -> Self {
        Self::of(24, 85)
    }

    /// Frames of four argon atoms and, with such a cutoff (Å), thousands of images of them: a few milliseconds and
    /// some hundred bytes each. It is run once, undisturbed.
    pub fn of(frames: usize, cutoff: usize) -> Self {
        let folder = Folder::new();
        folder.import_frames("in", &perturbed("argon_small_cell.xyz", frames, 4));
        let command = format!("run in.h5 -o {RESULT} {ARGUMENTS} --param cutoff={cutoff}");
        folder.alone(&command).expect(0);
        let whole = folder.path(RESULT);
        Self {
            results: read(&whole),
            whole,
            command,
            folder,
        }
    }

    /// A folder of its own for one story, with the input and nothing else.
    pub fn place(&self, name: impl std::fmt::Display) -> Place<'_> {
        let folder = self.folder.path(&format!("place-{name}"));
        fs::create_dir(&folder).unwrap();
        fs::create_dir(folder.with_extension("tmp")).unwrap();
        fs::hard_link(self.folder.path("in.h5"), folder.join("in.h5")).unwrap();
        Place { job: self, folder }
    }

    /// Number of frames.
    pub fn frames(&self) -> usize {
        self.results.status.len()
    }

    /// The result of the undisturbed run.
    pub fn whole(&self) -> &Path {
        &self.whole
    }
}

/// Where one story happens; vanishes with it.
pub struct Place<'a> {
    job: &'a Job,
    folder: PathBuf,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
        let _ = fs::remove_dir_all(self.folder.with_extension("tmp"));
    }
}

impl Place<'_> {
    /// A file of the place.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A tap on the result.
    pub fn tap(&self) -> Tap {
        Tap::on(&self.path(RESULT))
    }

    /// The job on so many ranks; one is without a launcher.
    pub fn launch(&self, ranks: usize, more: &str) -> Launch {
        let launch = if ranks == 1 {
            // Nothing but a faster start: no daemon beside the one process, which then needs a folder of its own.
            let temporary = self.folder.with_extension("tmp").display().to_string();
            Launch::alone(&self.folder)
                .variable("OMPI_MCA_ess_singleton_isolated", "1")
                .variable("OMPI_MCA_orte_tmpdir_base", &temporary)
        } else {
            // Others want the cores too.
            Launch::on(ranks, &self.folder).variable("OMPI_MCA_mpi_yield_when_idle", "1")
        };
        launch.args(&format!("{} {more}", self.job.command))
    }

    /// What the result holds, if it is there: no frame may be completed and other than in the undisturbed run.
    pub fn look(&self) -> Result<Option<Held>, Complaint> {
        let path = self.path(RESULT);
        if !path.exists() {
            return Ok(None);
        }
        let (found, whole) = (read(&path), &self.job.results);
        let completed: Vec<bool> = found.status.iter().map(|code| *code == 0).collect();
        require(
            completed.len() == self.job.frames(),
            Spoiled::Wrong,
            "frames",
        )?;
        for i in (0..completed.len()).filter(|i| completed[*i]) {
            let forces = found.offsets[i]..found.offsets[i + 1];
            let same = found.energy[i].to_bits() == whole.energy[i].to_bits()
                && bits(found.forces[forces.clone()].as_flattened())
                    .eq(bits(whole.forces[forces].as_flattened()))
                && bits(found.stress[i].as_flattened()).eq(bits(whole.stress[i].as_flattened()))
                && found.checksum[i] == whole.checksum[i];
            let what = format!("frame {i} is completed, but not as in an undisturbed run");
            require(same, Spoiled::Lost, what)?;
        }
        Ok(Some(Held { completed }))
    }

    /// After an interruption: what is there is right, all that was said to be committed is there, and all that was
    /// completed before.
    pub fn look_after(
        &self,
        interrupted: &Finished,
        before: Option<&Held>,
    ) -> Result<Option<Held>, Complaint> {
        let held = self.look()?;
        let count = held.as_ref().map_or(0, Held::count);
        let since = before.map_or(0, Held::count);
        let said = since + said_to_be_committed(interrupted);
        let what = format!("{said} frames were committed, {count} are completed: {interrupted}");
        require(count >= said, Spoiled::Lost, what)?;
        if let Some(before) = before {
            let kept = |held: &Held| {
                let pairs = before.completed.iter().zip(&held.completed);
                pairs.into_iter().all(|(was, is)| *is || !was)
            };
            let what = format!("a completed frame is not completed any more: {interrupted}");
            require(held.as_ref().is_some_and(kept), Spoiled::Lost, what)?;
        }
        Ok(held)
    }

    /// The same command on so many ranks: completes the job, computes nothing twice, leaves nothing beside the
    /// result, and the result is that of an undisturbed run.
    pub fn complete(&self, ranks: usize, held: Option<&Held>) -> Result<(), Complaint> {
        let count = held.map_or(0, Held::count);
        self.complete_with(ranks, Some(count), "")
    }

    /// As [`Self::complete`] with further arguments; so many frames are completed before, if that matters.
    pub fn complete_with(
        &self,
        ranks: usize,
        completed: Option<usize>,
        more: &str,
    ) -> Result<(), Complaint> {
        let finished = to_the_end(self.launch(ranks, more))?;
        require(finished.code == Some(0), Spoiled::Wrong, &finished)?;
        if let Some(completed) = completed {
            let planned = metrics(&self.path("m.json"))["planned"].as_u64();
            let expected = Some((self.job.frames() - completed) as u64);
            let what = format!("{planned:?} frames computed, {completed} were there: {finished}");
            require(planned == expected, Spoiled::Lost, what)?;
        }
        assert_same(&self.path(RESULT), &self.job.whole);
        for look in ["verify r.h5", "status r.h5"] {
            let looked = to_the_end(Launch::alone(&self.folder).args(look))?;
            require(looked.code == Some(0), Spoiled::Wrong, looked)?;
        }
        let names = self.names();
        let what = format!("left behind: {names:?}");
        require(names == ["in.h5", "m.json", RESULT], Spoiled::Wrong, what)
    }

    /// The names of all files, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// Runs it to its end; one that had to be killed has hung.
pub fn to_the_end(launch: Launch) -> Result<Finished, Complaint> {
    end_of(launch.start())
}

/// Waits for its end; one that had to be killed has hung, unless nothing of the program was there any more: the launcher
/// of Open MPI 4.1 locks itself up once in some hundred times when a rank is killed while it connects to it ("PMIX ERROR:
/// UNREACHABLE"), and leaves its dead children as they are. That is said, and no fault of the program.
pub fn end_of(running: Running) -> Result<Finished, Complaint> {
    let finished = running.end();
    let launcher = finished.launcher_alone_hung();
    if launcher {
        println!("the launcher alone hung: {finished}");
    }
    let ended = launcher || finished.overdue.is_empty();
    require(ended, Spoiled::Hung, &finished)?;
    Ok(finished)
}

/// By SIGKILL, and not by an error of its own.
pub fn was_killed(run: &Finished, ranks: usize) -> bool {
    if ranks == 1 {
        run.signal == Some(9)
    } else {
        !matches!(run.code, Some(0 | 1 | 2 | 3 | 75)) && !run.stderr.contains("error: ")
    }
}

fn bits(numbers: &[f64]) -> impl Iterator<Item = u64> + '_ {
    numbers.iter().map(|x| x.to_bits())
}

/// `committed=N` of the last line of the log that has it.
fn said_to_be_committed(finished: &Finished) -> usize {
    let lines = finished.stderr.lines().rev();
    let mut numbers = lines.filter_map(|line| {
        let number = line.split_once(" committed=")?.1;
        number.split_whitespace().next()?.parse().ok()
    });
    numbers.next().unwrap_or(0)
}
