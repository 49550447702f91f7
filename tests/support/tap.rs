//! The tap on what a program writes (`tests/preload/tap.c`), from the side of the tests.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rustix::process::Signal;

use super::launch::{Launch, program};

/// Bytes of the state that the ranks share; more than the C side's `struct state`.
const STATE_BYTES: u64 = 4096;

/// What happens at an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// Death before the call, after half of what it writes, or after it.
    Kill(Moment, Victims),
    /// The call fails, or writes half, or says it wrote all of it: once, or from then on always.
    Fault(Fault, bool),
    /// A signal comes, to the rank of the event or to all.
    Signal(Signal, Victims),
    /// The call takes so many seconds, whatever signals come.
    Delay(u64),
}

/// When death comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Before,
    Torn,
    After,
}

/// Whom death takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victims {
    One,
    All,
}

/// What is wrong with the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    NoSpace,
    Io,
    /// Half is written, and that is what the call says.
    Short,
    /// Half is written, and the call says it was all.
    Lie,
}

/// One tapped launch: its counters, and its log if it keeps one.
pub struct Tap {
    folder: tempfile::TempDir,
    files: PathBuf,
    variables: Vec<(&'static str, String)>,
}

impl Tap {
    /// Watches `result` and everything whose path begins with its path.
    pub fn on(result: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = File::create(folder.path().join("state")).unwrap();
        state.set_len(STATE_BYTES).unwrap();
        let parent = fs::canonicalize(result.parent().unwrap()).unwrap();
        Self {
            files: parent.join(result.file_name().unwrap()),
            folder,
            variables: Vec::new(),
        }
    }

    /// Strikes at an event, counted from 1.
    pub fn strike(mut self, what: Strike, event: u64) -> Self {
        let signal;
        let (what, scope) = match what {
            Strike::Signal(number, victims) => {
                signal = format!("signal-{}", number.as_raw());
                let scope = match victims {
                    Victims::One => "one",
                    Victims::All => "all",
                };
                (signal.as_str(), scope)
            }
            Strike::Delay(seconds) => {
                signal = format!("delay-{seconds}");
                (signal.as_str(), "one")
            }
            Strike::Kill(moment, victims) => (
                match moment {
                    Moment::Before => "kill-before",
                    Moment::Torn => "kill-torn",
                    Moment::After => "kill-after",
                },
                match victims {
                    Victims::One => "one",
                    Victims::All => "all",
                },
            ),
            Strike::Fault(fault, always) => (
                match fault {
                    Fault::NoSpace => "ENOSPC",
                    Fault::Io => "EIO",
                    Fault::Short => "short",
                    Fault::Lie => "lie",
                },
                if always { "always" } else { "once" },
            ),
        };
        let plan = format!("{what} {event} {scope}");
        self.variables.push(("FRAMEWISE_TAP_PLAN", plan));
        self
    }

    /// After a signal the same one again at a later event.
    pub fn again(mut self, event: u64) -> Self {
        self.variables
            .push(("FRAMEWISE_TAP_AGAIN", event.to_string()));
        self
    }

    /// Counts only these kinds of events: `w`rite, `s`ync, `c`reate, `r`ename, `l`ink, `u`nlink, `t`runcate,
    /// `a`llocate.
    pub fn kinds(mut self, letters: &str) -> Self {
        self.variables
            .push(("FRAMEWISE_TAP_KINDS", letters.to_owned()));
        self
    }

    /// Counts only what this rank does.
    pub fn rank(mut self, rank: usize) -> Self {
        self.variables
            .push(("FRAMEWISE_TAP_RANK", rank.to_string()));
        self
    }

    /// Keeps a log with all bytes.
    pub fn logged(mut self) -> Self {
        let log = self.folder.path().join("log").display().to_string();
        self.variables.push(("FRAMEWISE_TAP_LOG", log));
        self
    }

    /// Puts the tap on a launch.
    pub fn put_on(&self, launch: Launch) -> Launch {
        let state = self.folder.path().join("state");
        let program = fs::canonicalize(program()).unwrap();
        let mut launch = launch
            .variable("LD_PRELOAD", library())
            .variable("FRAMEWISE_TAP_PROGRAM", &program.display().to_string())
            .variable("FRAMEWISE_TAP_FILES", &self.files.display().to_string())
            .variable("FRAMEWISE_TAP_STATE", &state.display().to_string());
        for (name, value) in &self.variables {
            launch = launch.variable(name, value);
        }
        launch
    }

    /// Events counted so far.
    pub fn events(&self) -> u64 {
        self.number(0)
    }

    /// The event at which it struck first.
    pub fn fired(&self) -> Option<u64> {
        Some(self.number(8)).filter(|event| *event > 0)
    }

    /// The event at which the signal came again.
    pub fn fired_again(&self) -> Option<u64> {
        Some(self.number(16)).filter(|event| *event > 0)
    }

    fn number(&self, at: u64) -> u64 {
        let mut bytes = [0; 8];
        let state = File::open(self.folder.path().join("state")).unwrap();
        state.read_exact_at(&mut bytes, at).unwrap();
        u64::from_ne_bytes(bytes)
    }

    /// The log.
    pub fn log(&self) -> Vec<Event> {
        let bytes = fs::read(self.folder.path().join("log")).unwrap();
        let (mut events, mut rest) = (Vec::new(), &bytes[..]);
        while !rest.is_empty() {
            events.push(Event::take(&mut rest));
        }
        events
    }
}

/// One line of the log: a call that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// As in [`Tap::kinds`].
    pub kind: char,
    /// A file that was emptied when it was opened.
    pub truncated: bool,
    /// The file, whatever its name.
    pub inode: u64,
    /// Where it was written or allocated, or its new length.
    pub offset: u64,
    /// Bytes that were allocated.
    pub length: u64,
    /// Name of the file.
    pub path: PathBuf,
    /// Its other name, after a rename or a link.
    pub second: PathBuf,
    /// What was written.
    pub bytes: Vec<u8>,
}

impl Event {
    fn take(rest: &mut &[u8]) -> Self {
        let mut bytes = |n: usize| {
            let (taken, left) = rest.split_at(n);
            *rest = left;
            taken.to_vec()
        };
        let short = |b: Vec<u8>| usize::from(u16::from_ne_bytes(b.try_into().unwrap()));
        let long = |b: Vec<u8>| u64::from_ne_bytes(b.try_into().unwrap());
        let path = |b: Vec<u8>| PathBuf::from(String::from_utf8(b).unwrap());
        let (kind, truncated) = (char::from(bytes(1)[0]), bytes(1)[0] == 1);
        let (name, second) = (short(bytes(2)), short(bytes(2)));
        let (inode, offset, length) = (long(bytes(8)), long(bytes(8)), long(bytes(8)));
        Self {
            kind,
            truncated,
            inode,
            offset,
            length,
            path: path(bytes(name)),
            second: path(bytes(second)),
            bytes: bytes(if kind == 'w' { length as usize } else { 0 }),
        }
    }
}

/// The compiled library, made once for all tests of a build.
fn library() -> &'static str {
    static LIBRARY: OnceLock<String> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/preload/tap.c");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let text = fs::read(&source).unwrap();
        let hash = xxhash_rust::xxh3::xxh3_64(&text);
        let library = folder.join(format!("tap-{hash:016x}.so"));
        if !library.exists() {
            let new = folder.join(format!("tap-{}.so.new", std::process::id()));
            let flags = "-std=gnu11 -shared -fPIC -O2 -Wall -Wextra -Werror";
            let compiled = Command::new("cc")
                .args(flags.split(' '))
                .arg(&source)
                .arg("-o")
                .arg(&new)
                .arg("-ldl")
                .output()
                .unwrap_or_else(|e| panic!("cannot start the C compiler cc: {e}"));
            let said = String::from_utf8_lossy(&compiled.stderr);
            assert!(compiled.status.success(), "{}: {said}", source.display());
            fs::rename(&new, &library).unwrap();
        }
        library.display().to_string()
    })
}
