//! The command that the job is to run, as it was typed after the options of `job`.

use std::path::{Path, PathBuf};

use clap::Parser;

use crate::adapters::calculators;
use crate::commands::cli::{Cli, Verb};
use crate::commands::run::args::RunArgs;
use crate::commands::run::job_args::JobVerb;
use crate::domain::error::{Error, Result};

/// A command that has been understood.
pub struct Inner {
    /// Its words, without `framewise`.
    pub words: Vec<String>,
    /// Where the result will be.
    pub result: PathBuf,
    /// What it says of the things that all jobs have, for a calculator that starts nothing.
    common: RunArgs,
}

impl Inner {
    /// Understands the words: a mistake is better found now than after a night in the queue.
    pub fn of(words: &[String]) -> Result<Self> {
        let line = std::iter::once("framewise").chain(words.iter().map(String::as_str));
        let cli = Cli::try_parse_from(line).map_err(|e| Error::usage(first_line(&e)))?;
        if words.iter().any(|word| word.contains('\n')) {
            let why =
                "in the command of the job: a script has no place for a word of several lines";
            return Err(Error::usage(why));
        }
        let common = match &cli.verb {
            Verb::Run(args) => {
                let args = args.with_job_file()?;
                let files = args.manifest.iter().chain(&args.input);
                let named_all = files.map(|path| named(Some(path), "INPUT"));
                if named_all.collect::<Result<Vec<_>>>()?.is_empty() {
                    named(None, "INPUT")?;
                }
                let name = args.calculator.as_deref();
                calculators::choose(name.ok_or_else(|| missing("--calculator NAME"))?)?;
                args
            }
            Verb::Map(args) => {
                let args = args.with_job_file()?;
                named(args.input.as_deref(), "INPUT")?;
                RunArgs {
                    job: args.job().clone(),
                    input: args.input.into_iter().collect(),
                    output: args.output,
                    ..RunArgs::default()
                }
            }
            _ => {
                return Err(Error::usage(
                    "the command of a job is run or map with their options: framewise job --nodes 2 run md.h5 -o result.h5 \
                     --calculator xtb",
                ));
            }
        };
        Ok(Self {
            words: words.to_vec(),
            result: common.output.clone().ok_or_else(|| missing("-o RESULT"))?,
            common: RunArgs {
                calculator: Some("null".into()),
                param: Vec::new(),
                isolate: false,
                ..common
            },
        })
    }

    /// Several jobs fill the result at once.
    pub fn share(&mut self) {
        if !self.common.job.share {
            self.common.job.share = true;
            self.push(&["--share"]);
        }
    }

    /// So many workers a rank, unless it says another number.
    pub fn threads(&mut self, workers: usize) {
        if self.common.job.threads.is_none() {
            self.push(&["--threads", &workers.to_string()]);
        }
    }

    fn push(&mut self, words: &[&str]) {
        self.words
            .extend(words.iter().map(|word| (*word).to_owned()));
    }

    /// Finds what a run would refuse at its start, and what makes no sense in a command that is run several times, if it is.
    pub fn check(&self, again: bool) -> Result<()> {
        if again && self.common.job.overwrite {
            return Err(Error::usage(
                "in the command of the job: --overwrite would throw away at each attempt what the one before has \
                 computed; remove the result before the first one instead, or say --again none before run",
            ));
        }
        match self.common.several()? {
            None => self.common.clone().config().map(drop),
            Some(several) => several.check(),
        }
    }

    /// Words to a line as a reader would break it: each option with its value on a line of its own.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for word in &self.words {
            let quoted = shlex::try_quote(word).map_or_else(|_| word.clone(), Into::into);
            match lines.last_mut() {
                Some(line) if !word.starts_with('-') || word.parse::<f64>().is_ok() => {
                    line.push(' ');
                    line.push_str(&quoted);
                }
                _ => lines.push(quoted),
            }
        }
        lines
    }
}

fn missing(what: &str) -> Error {
    Error::usage(format!("the command of the job lacks {what}"))
}

/// The input has to be there when the job runs, not now: it may come from the job before it.
fn named(input: Option<&Path>, what: &str) -> Result<()> {
    let input = input.ok_or_else(|| missing(what))?;
    if !input.exists() {
        tracing::warn!("{}: is not there (yet?)", input.display());
    }
    Ok(())
}

/// clap's error without its name for it, usage and hints.
fn first_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let line = text.lines().next().unwrap_or_default();
    let line = line.trim_start_matches("error: ");
    format!("in the command of the job: {line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inner(line: &str) -> Result<Inner> {
        Inner::of(&shlex::split(line).unwrap())
    }

    #[test]
    fn options_have_lines_of_their_own() {
        let inner = inner("run 'my md.h5' -o r.h5 -c null --frames -5: --share").unwrap();
        let lines = [
            "run 'my md.h5'",
            "-o r.h5",
            "-c null",
            "--frames",
            "-5:",
            "--share",
        ];
        assert_eq!(inner.lines(), lines);
        assert!(inner.common.job.share && inner.common.job.threads.is_none());
        assert_eq!(inner.result, Path::new("r.h5"));
    }

    #[test]
    fn one_attempt_may_overwrite() {
        let inner = inner("run md.h5 -o r.h5 -c null --overwrite").unwrap();
        assert!(inner.check(false).is_ok());
    }

    #[test]
    fn mistakes_are_found_at_once() {
        for (line, said) in [
            ("status r.h5", "run or map"),
            ("run md.h5 -c null", "-o RESULT"),
            ("run md.h5 -o r.h5", "--calculator"),
            ("run -o r.h5 -c null", "INPUT"),
            ("run md.h5 -o r.h5 -c lenard-jones", "lennard-jones"),
            ("run md.h5 -o r.h5 -c null --treads 3", "--treads"),
            ("run md.h5 -o 'r\n.h5' -c null", "several lines"),
            ("run md.h5 -o r.h5 -c null --overwrite", "--overwrite"),
            (
                "run md.h5 -o r.h5 -c null --share --retry failed",
                "--retry",
            ),
            ("run md.h5 -o r.h5 -c null --frames 1:2:3:4", "1:2:3:4"),
            (
                "map a.h5 --dataset d --kernel statistics -o r.h5 --checkpoint-interval soon",
                "soon",
            ),
        ] {
            let error = inner(line).and_then(|inner| inner.check(true)).err();
            let error = error.unwrap_or_else(|| panic!("{line}"));
            assert!(error.message.contains(said), "{line}: {error}");
        }
    }
}
