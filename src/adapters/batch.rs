//! Batch systems: which job this is, and whether another one is over.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::adapters::environment;

/// A batch system whose jobs can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Batch {
    /// `squeue`
    Slurm,
    /// `qstat`
    Pbs,
    /// `bjobs`
    Lsf,
}

/// How long the answer may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// The job of this process, and how often it was started again.
pub fn this_job() -> (Option<Batch>, String, u64) {
    told(|name| std::env::var(name).ok().filter(|text| !text.is_empty()))
}

fn told(variable: impl Fn(&str) -> Option<String>) -> (Option<Batch>, String, u64) {
    let job = [
        ("SLURM_JOB_ID", Batch::Slurm),
        ("PBS_JOBID", Batch::Pbs),
        ("LSB_JOBID", Batch::Lsf),
    ]
    .into_iter()
    .find_map(|(name, batch)| Some((batch, variable(name)?)));
    let restarts = variable("SLURM_RESTART_COUNT").and_then(|n| n.parse().ok());
    match job {
        None => (None, String::new(), 0),
        // A task of an LSF array shares the number of its array.
        Some((Batch::Lsf, id)) => match variable("LSB_JOBINDEX").filter(|i| i != "0") {
            Some(index) => (Some(Batch::Lsf), format!("{id}[{index}]"), 0),
            None => (Some(Batch::Lsf), id, 0),
        },
        // The last task of an array of SLURM has the array's number as its own: asked for by it, all tasks answer.
        Some((Batch::Slurm, id)) => {
            let task = variable("SLURM_ARRAY_JOB_ID").zip(variable("SLURM_ARRAY_TASK_ID"));
            let id = task.map_or(id, |(array, task)| format!("{array}_{task}"));
            (Some(Batch::Slurm), id, restarts.unwrap_or(0))
        }
        Some((batch, id)) => (Some(batch), id, restarts.unwrap_or(0)),
    }
}

impl Batch {
    /// The program that is asked.
    pub fn command(self) -> &'static str {
        match self {
            Batch::Slurm => "squeue",
            Batch::Pbs => "qstat",
            Batch::Lsf => "bjobs",
        }
    }

    /// Whether `job` has ended; `None` when nobody knows.
    pub fn says_over(self, job: &str) -> Option<bool> {
        if job.is_empty()
            || !job
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-[]".contains(&b))
        {
            return None;
        }
        let arguments: &[&str] = match self {
            Batch::Slurm => &["-h", "-o", "%T", "-j", job],
            Batch::Pbs => &[job],
            Batch::Lsf => &["-noheader", "-o", "stat", job],
        };
        let (succeeded, text) = ask(self.command(), arguments)?;
        match self {
            Batch::Slurm => slurm(succeeded, &text),
            Batch::Pbs => pbs(succeeded, &text),
            Batch::Lsf => lsf(&text),
        }
    }
}

/// `squeue` lists jobs that wait, run or are about to end; it forgets them minutes later.
fn slurm(succeeded: bool, text: &str) -> Option<bool> {
    if !succeeded {
        return text.contains("Invalid job id").then_some(true);
    }
    // A job that waits (again) does not run; one that completes may still have processes.
    let over = |state: &str| {
        [
            "PENDING",
            "REQUEUED",
            "BOOT_FAIL",
            "CANCELLED",
            "COMPLETED",
            "DEADLINE",
            "FAILED",
            "NODE_FAIL",
            "OUT_OF_MEMORY",
            "PREEMPTED",
            "TIMEOUT",
        ]
        .contains(&state)
    };
    Some(text.split_whitespace().all(over))
}

/// `qstat` of `OpenPBS` and Torque: an unknown or finished job is an error.
fn pbs(succeeded: bool, text: &str) -> Option<bool> {
    if succeeded {
        return Some(false);
    }
    let over = text.contains("Unknown Job") || text.contains("has finished");
    over.then_some(true)
}

fn lsf(text: &str) -> Option<bool> {
    if text.contains("is not found") {
        return Some(true);
    }
    let states: Vec<_> = text.split_whitespace().collect();
    (!states.is_empty()).then(|| states.iter().all(|s| ["DONE", "EXIT", "PEND"].contains(s)))
}

/// Whether the command succeeded and what it said; `None` when it is missing or does not answer.
fn ask(command: &str, arguments: &[&str]) -> Option<(bool, String)> {
    let mut child = environment::command(command)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let begun = Instant::now();
    while child.try_wait().ok()?.is_none() {
        if begun.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    // A few words fit into the pipes.
    let output = child.wait_with_output().ok()?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text += &String::from_utf8_lossy(&output.stderr);
    Some((output.status.success(), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_of_an_array_is_asked_for_by_its_own_name() {
        let job = |line: &str| {
            let value = |name: &str| {
                let mut words = line.split(' ');
                words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
            };
            told(|name| value(name).map(str::to_owned))
        };
        assert_eq!(job(""), (None, String::new(), 0));
        assert_eq!(
            job("SLURM_JOB_ID=7 SLURM_RESTART_COUNT=2"),
            (Some(Batch::Slurm), "7".into(), 2)
        );
        assert_eq!(
            job("SLURM_JOB_ID=7 SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_ID=3"),
            (Some(Batch::Slurm), "7_3".into(), 0)
        );
        assert_eq!(
            job("LSB_JOBID=7 LSB_JOBINDEX=3"),
            (Some(Batch::Lsf), "7[3]".into(), 0)
        );
        assert_eq!(
            job("LSB_JOBID=7 LSB_JOBINDEX=0"),
            (Some(Batch::Lsf), "7".into(), 0)
        );
    }

    #[test]
    fn only_a_clear_answer_is_an_end() {
        assert_eq!(slurm(true, ""), Some(true));
        assert_eq!(slurm(true, "RUNNING\n"), Some(false));
        assert_eq!(slurm(true, "COMPLETING\n"), Some(false));
        assert_eq!(slurm(true, "PENDING\n"), Some(true));
        assert_eq!(
            slurm(false, "slurm_load_jobs error: Invalid job id specified"),
            Some(true)
        );
        assert_eq!(
            slurm(
                false,
                "slurm_load_jobs error: Unable to contact slurm controller"
            ),
            None
        );
        assert_eq!(pbs(true, "12.server  job  user  0 R workq"), Some(false));
        assert_eq!(pbs(false, "qstat: Unknown Job Id 12.server"), Some(true));
        assert_eq!(
            pbs(false, "qstat: 12.server Job has finished, use -x"),
            Some(true)
        );
        assert_eq!(pbs(false, "Connection refused"), None);
        assert_eq!(lsf("RUN\n"), Some(false));
        assert_eq!(lsf("EXIT\n"), Some(true));
        assert_eq!(lsf("Job <12> is not found"), Some(true));
        assert_eq!(lsf(""), None);
    }

    #[test]
    fn a_job_that_is_no_job_is_not_asked_for() {
        assert_eq!(Batch::Slurm.says_over(""), None);
        assert_eq!(Batch::Pbs.says_over("1; rm -r ."), None);
    }
}
