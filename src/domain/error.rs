//! The one error of the program: a line for the user and the exit code that goes with it.

use std::fmt;
use std::io;
use std::path::Path;

/// What kind of error it is decides the exit code (see the contract's exit codes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command line or a job file asks for something that does not exist: exit code 2.
    Usage,
    /// Anything else that ends the job: exit code 1. Nothing that was committed is lost.
    Failure,
    /// Writing the result went wrong: exit code 1, and the file is not touched any more, not even closed. HDF5 would
    /// write at close, together with ranks that may not come.
    Abandoned,
    /// Only this rank knows: the others wait in a call that it has not made, and will never hear of it. Exit code 1;
    /// this rank says the error itself and ends the job on all ranks at once.
    Alone,
    /// No error: somebody asked to stop before the work was done. Exit code 75.
    Stopped,
}

/// One clear line: what, where (path, key, frame, rank), what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Decides the exit code.
    pub kind: Kind,
    /// The line, without the word "error" and without a final full stop.
    pub message: String,
}

/// Results of everything that can end the job.
pub type Result<T> = std::result::Result<T, Error>;

/// Asked between the blocks of long work; an error of kind [`Kind::Stopped`] when somebody has asked to stop.
pub type GoOn<'a> = &'a dyn Fn() -> Result<()>;

impl Error {
    /// An error of the command line or a job file.
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            kind: Kind::Usage,
            message: one_line(&message.into()),
        }
    }

    /// An error of the input, the disk, an engine, another rank.
    pub fn failure(message: impl Into<String>) -> Self {
        Self {
            kind: Kind::Failure,
            message: one_line(&message.into()),
        }
    }

    /// The work was left because somebody asked to stop.
    pub fn stopped() -> Self {
        Self {
            kind: Kind::Stopped,
            message: "asked to stop before the end, and nothing more was done; run the same command again".into(),
        }
    }

    /// A file that the system does not let us read.
    pub fn unreadable(path: &Path, error: &io::Error) -> Self {
        let shown = path.display();
        Self::failure(match error.kind() {
            io::ErrorKind::NotFound => format!("{shown}: no such file"),
            io::ErrorKind::IsADirectory => format!("{shown}: is a directory; give a file"),
            _ => format!("{shown}: cannot be read: {error}"),
        })
    }

    /// The process exit code.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Usage => 2,
            Kind::Failure | Kind::Abandoned | Kind::Alone => 1,
            Kind::Stopped => 75,
        }
    }

    /// The same error, after which the result is not touched any more.
    #[must_use]
    pub fn abandoned(self) -> Self {
        Self {
            kind: Kind::Abandoned,
            ..self
        }
    }

    /// The same error, which no other rank will hear of.
    #[must_use]
    pub fn alone(self) -> Self {
        Self {
            kind: Kind::Alone,
            ..self
        }
    }

    /// The same error with `context: ` in front.
    #[must_use]
    pub fn context(self, context: impl fmt::Display) -> Self {
        Self {
            message: format!("{context}: {}", self.message),
            ..self
        }
    }
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
