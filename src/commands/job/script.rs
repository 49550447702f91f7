//! The text of a job's script. The templates beside this file are the scripts; here is what fills them.

use std::time::Duration;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use crate::domain::error::{Error, Result};

/// For whom a script is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Scheduler {
    /// sbatch
    Slurm,
    /// qsub of PBS Professional and `OpenPBS`
    Pbs,
    /// bsub
    Lsf,
}

/// Who starts a job that has stopped before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Again {
    /// The job puts itself back into the queue (PBS: submits the next one)
    Requeue,
    /// SLURM: the next job is submitted at the start and waits; it also runs when this one is killed without a word
    Chain,
    /// You
    None,
}

/// What a script says.
#[derive(Debug, Serialize)]
pub struct Script {
    /// Version of framewise.
    pub version: &'static str,
    /// The command that wrote it.
    pub typed: String,
    /// Name of the job.
    pub name: String,
    /// Nodes.
    pub nodes: usize,
    /// Ranks of a node.
    pub ranks: usize,
    /// Cores of a rank.
    pub cores: usize,
    /// Graphics processors of a node.
    pub gpus: Option<usize>,
    /// Threads of the engine of a worker.
    pub engine_threads: usize,
    /// Limit of time, as the scheduler writes it.
    pub walltime: Option<String>,
    /// Seconds before the limit at which a signal comes.
    pub warning: u64,
    /// Memory of a node.
    pub memory: Option<String>,
    /// Partition or queue.
    pub partition: Option<String>,
    /// Account or project.
    pub account: Option<String>,
    /// Further lines for the scheduler.
    pub directives: Vec<String>,
    /// Lines that prepare the environment.
    pub setup: Vec<String>,
    /// Who goes on.
    pub again: Again,
    /// How often at most.
    pub limit: u32,
    /// Jobs that share the result.
    pub array: Option<u32>,
    /// The launcher with its flags.
    pub launcher: String,
    /// The script itself has to hand the signal on.
    pub mpiexec: bool,
    /// The MPI is Open MPI.
    pub open_mpi: bool,
    /// Its layer for files.
    pub mpi_io: Option<String>,
    /// Stripes of a new result on Lustre; 0: left alone.
    pub stripes: u32,
    /// The result, quoted.
    pub result: String,
    /// Lines of the command.
    pub command: Vec<String>,
}

impl Script {
    /// The text.
    pub fn text(&self, scheduler: Scheduler) -> Result<String> {
        let wrong = |e: minijinja::Error| Error::failure(format!("the script: {e:#}"));
        let mut environment = Environment::new();
        // A line that is a block alone leaves nothing behind.
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true)
            .build();
        environment.set_syntax(syntax.map_err(wrong)?);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let parts = [
            ("slurm", include_str!("slurm.sh")),
            ("pbs", include_str!("pbs.sh")),
            ("lsf", include_str!("lsf.sh")),
            ("head", include_str!("head.sh")),
            ("environment", include_str!("environment.sh")),
            ("command", include_str!("command.sh")),
            ("mpiexec", include_str!("mpiexec.sh")),
            ("outcome", include_str!("outcome.sh")),
        ];
        for (name, text) in parts {
            environment.add_template(name, text).map_err(wrong)?;
        }
        let name = match scheduler {
            Scheduler::Slurm => "slurm",
            Scheduler::Pbs => "pbs",
            Scheduler::Lsf => "lsf",
        };
        let text = environment
            .get_template(name)
            .and_then(|t| t.render(Serde(self)));
        // Blank lines of parts that are not there.
        let text = text.map_err(wrong)?;
        let mut tidy = String::with_capacity(text.len());
        for line in text.lines() {
            if !(line.trim().is_empty() && tidy.ends_with("\n\n")) {
                tidy.push_str(line.trim_end());
                tidy.push('\n');
            }
        }
        Ok(tidy)
    }
}

/// A time as the scheduler writes it: SLURM and PBS `HH:MM:SS`, LSF `HH:MM`, of which a part of a minute counts as one.
pub fn clock(time: Duration, scheduler: Scheduler) -> String {
    let seconds = time.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match scheduler {
        Scheduler::Slurm | Scheduler::Pbs => format!("{hours:02}:{minutes:02}:{:02}", seconds % 60),
        Scheduler::Lsf => {
            let minutes = seconds.div_ceil(60);
            format!("{}:{:02}", minutes / 60, minutes % 60)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Instant;

    use rustix::process::{Pid, Signal, kill_process};

    use crate::adapters::environment;

    use super::*;

    /// A script under `mpiexec` that nothing starts again.
    fn plain(open_mpi: bool, launcher: &str) -> String {
        let script = Script {
            version: "0",
            typed: "framewise job".into(),
            name: "framewise".into(),
            nodes: 1,
            ranks: 1,
            cores: 1,
            gpus: None,
            engine_threads: 1,
            walltime: None,
            warning: 60,
            memory: None,
            partition: None,
            account: None,
            directives: Vec::new(),
            setup: Vec::new(),
            again: Again::None,
            limit: 50,
            array: None,
            launcher: launcher.into(),
            mpiexec: true,
            open_mpi,
            mpi_io: None,
            stripes: 0,
            result: "r.h5".into(),
            command: vec!["framewise run in.h5".into(), "-o r.h5".into()],
        };
        script.text(Scheduler::Lsf).unwrap()
    }

    /// The exit code of a script, which gets a signal once its launcher has begun, if it is to be warned.
    fn ends(script: &str, folder: &Path, warned: bool) -> Option<i32> {
        std::fs::write(folder.join("job.sh"), script).unwrap();
        let mut bash = environment::command("bash");
        let mut bash = bash.arg("job.sh").current_dir(folder).spawn().unwrap();
        if warned {
            let begun = Instant::now();
            while !folder.join("begun").exists() {
                assert!(begun.elapsed().as_secs() < 60);
                std::thread::sleep(Duration::from_millis(10));
            }
            std::fs::remove_file(folder.join("begun")).unwrap();
            kill_process(Pid::from_child(&bash), Signal::USR1).unwrap();
        }
        bash.wait().unwrap().code()
    }

    /// Hydra 4.0.2 ends with 0 after USR1, while its ranks have stopped with 75.
    #[test]
    fn a_launcher_that_ends_with_0_after_a_warning_means_75_with_mpich() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let hydra = "trap 'exit 0' USR1\n: >begun\n\
                     for n in $(seq 600); do sleep 0.1; done\nexit 1\n";
        std::fs::write(folder.join("hydra"), hydra).unwrap();
        assert_eq!(ends(&plain(false, "bash hydra"), folder, true), Some(75));
        assert_eq!(ends(&plain(true, "bash hydra"), folder, true), Some(0));
        // Any other code is the ranks' own, and so is 0 without a warning.
        let own = hydra.replace("exit 0", "exit 3");
        std::fs::write(folder.join("hydra"), own).unwrap();
        assert_eq!(ends(&plain(false, "bash hydra"), folder, true), Some(3));
        assert_eq!(ends(&plain(false, "true"), folder, false), Some(0));
    }

    #[test]
    fn times_are_written_as_schedulers_read_them() {
        let time = Duration::from_secs(26 * 3600 + 61);
        assert_eq!(clock(time, Scheduler::Slurm), "26:01:01");
        assert_eq!(clock(time, Scheduler::Lsf), "26:02");
    }
}
