//! Launches of the whole program: `framewise run` under a launcher, timed from its start to its end.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::adapters::{cores, environment, mpi};
use crate::domain::error::{Error, Result};

/// How to start some ranks of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launcher {
    words: Vec<String>,
    /// Open MPI found by ourselves: it wants to be told where threads and more ranks than cores go.
    open_mpi: bool,
}

impl Launcher {
    /// A template in which `{ranks}` and `{threads}` stand for numbers, split into words as a shell does.
    pub fn new(template: &str) -> Result<Self> {
        let words = shlex::split(template).filter(|words| !words.is_empty());
        let words = words.ok_or_else(|| {
            Error::usage(format!(
                "--launcher {template:?}: a quote is never closed, or nothing is there"
            ))
        })?;
        if !words.iter().any(|word| word.contains("{ranks}")) {
            return Err(Error::usage(format!(
                "--launcher {template:?}: say where the number of ranks goes, for example \"srun -n {{ranks}}\""
            )));
        }
        Ok(Self {
            words,
            open_mpi: false,
        })
    }

    /// What this place has: `srun` inside a SLURM job, else `mpiexec`, with what Open MPI wants said as root and where
    /// there are more ranks than cores.
    pub fn of_this_place() -> Result<Self> {
        let version = |name: &str| {
            let output = environment::command(name)
                .arg("--version")
                .stdin(Stdio::null())
                .output();
            let output = output.ok().filter(|o| o.status.success())?;
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        };
        if std::env::var_os("SLURM_JOB_ID").is_some() && version("srun").is_some() {
            return Self::new("srun --ntasks={ranks} --cpus-per-task={threads}");
        }
        // Where several MPIs are installed, `mpiexec` may be another one's.
        let ours = if mpi::library_version().starts_with("Open MPI") {
            "mpiexec.openmpi"
        } else {
            "mpiexec.mpich"
        };
        let found = [ours, "mpiexec"]
            .into_iter()
            .find_map(|name| Some((name, version(name)?)));
        let Some((name, version)) = found else {
            return Err(Error::failure(
                "no mpiexec on PATH: install openmpi-bin, load your cluster's MPI module, or say how with --launcher",
            ));
        };
        let mut launcher = Self::new(&format!("{name} -n {{ranks}}"))?;
        launcher.open_mpi = version.contains("Open MPI") || version.contains("OpenRTE");
        if launcher.open_mpi && rustix::process::geteuid().is_root() {
            launcher.words.push("--allow-run-as-root".into());
        }
        Ok(launcher)
    }

    /// The command that starts so many ranks; the program is still to be added.
    pub fn command(&self, ranks: usize, threads: usize) -> Command {
        let word = |word: &String| {
            let word = word.replace("{ranks}", &ranks.to_string());
            word.replace("{threads}", &threads.to_string())
        };
        let mut command = environment::command(word(&self.words[0]));
        command.args(self.words[1..].iter().map(word));
        if self.open_mpi {
            // It binds each of few ranks to one core, threads and all.
            if ranks * threads > cores::Given::find().count() {
                command.args(["--oversubscribe", "--bind-to", "none"]);
            } else if threads > 1 {
                command.arg("--map-by").arg(format!("slot:PE={threads}"));
            }
        }
        command
    }

    /// As it was typed.
    pub fn template(&self) -> String {
        let quoted = |word: &String| {
            if word.contains(char::is_whitespace) {
                format!("'{word}'")
            } else {
                word.clone()
            }
        };
        let words: Vec<_> = self.words.iter().map(quoted).collect();
        words.join(" ")
    }
}

/// One run of the whole program.
#[derive(Clone, Debug)]
pub struct Job {
    /// How to start it.
    pub launcher: Launcher,
    /// The program.
    pub program: PathBuf,
    /// Ranks.
    pub ranks: usize,
    /// Worker threads per rank.
    pub threads: usize,
    /// The trajectory.
    pub input: PathBuf,
    /// The result; an older one is removed, and this one as well.
    pub result: PathBuf,
    /// Further arguments of `run`.
    pub arguments: Vec<String>,
}

impl Job {
    /// Runs it. Seconds from the start of the launcher to its end, and what `--metrics` says.
    pub fn run(&self) -> Result<(f64, Value)> {
        let metrics = self.result.with_extension("metrics.json");
        self.clean(&metrics)?;
        let mut command = self.launcher.command(self.ranks, self.threads);
        command.arg(&self.program);
        command.args(["--quiet", "run", "--progress", "none", "--threads"]);
        command.arg(self.threads.to_string());
        command.arg(&self.input).arg("-o").arg(&self.result);
        command.arg("--metrics").arg(&metrics).args(&self.arguments);
        // A library that starts threads of its own would measure itself.
        for name in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"] {
            if std::env::var_os(name).is_none() {
                command.env(name, "1");
            }
        }
        let begun = Instant::now();
        let output = command.stdin(Stdio::null()).output().map_err(|e| {
            let name = command.get_program().to_string_lossy();
            Error::failure(format!("cannot start {name}: {e}; say how with --launcher"))
        })?;
        let seconds = begun.elapsed().as_secs_f64();
        if !output.status.success() {
            return Err(self.failure(&output));
        }
        let text =
            std::fs::read_to_string(&metrics).map_err(|e| Error::unreadable(&metrics, &e))?;
        let metrics_said: Value = serde_json::from_str(&text)
            .map_err(|e| Error::failure(format!("{}: {e}", metrics.display())))?;
        let took_part = metrics_said["ranks"].as_array().map_or(0, Vec::len);
        self.clean(&metrics)?;
        if took_part != self.ranks {
            return Err(Error::failure(format!(
                "the launcher was to start {} ranks, and {took_part} took part: `{}`; it belongs to another MPI, \
                 or the allocation is too small",
                self.ranks,
                self.launcher.template()
            )));
        }
        Ok((seconds, metrics_said))
    }

    fn clean(&self, metrics: &Path) -> Result<()> {
        for path in [&self.result, metrics] {
            match std::fs::remove_file(path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::failure(format!(
                        "cannot remove {}: {e}",
                        path.display()
                    )));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The line that the program itself has said, or the last one of whoever spoke.
    fn failure(&self, output: &std::process::Output) -> Error {
        let said = String::from_utf8_lossy(&output.stderr);
        let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
        let error = lines().find(|line| line.starts_with("error: "));
        let word = error.map_or_else(
            || lines().next_back().unwrap_or("it said nothing"),
            |line| &line[7..],
        );
        Error::failure(format!(
            "the run on {} ranks failed ({}): {word}",
            self.ranks, output.status
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_becomes_a_command() {
        let launcher =
            Launcher::new("srun -n {ranks} --cpus-per-task={threads} --comment 'a b'").unwrap();
        let command = launcher.command(4, 2);
        let arguments: Vec<_> = command.get_args().map(|a| a.to_string_lossy()).collect();
        assert_eq!(
            arguments,
            ["-n", "4", "--cpus-per-task=2", "--comment", "a b"]
        );
        for wrong in ["", "mpiexec -n 4", "srun 'n {ranks}"] {
            assert!(Launcher::new(wrong).is_err(), "{wrong}");
        }
    }
}
