//! `framewise doctor`: what this build and machine have, what is wrong, how to mend it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use crate::adapters::calculators;
use crate::adapters::cores::Given;
use crate::adapters::environment;
use crate::adapters::file_system::{self, Kind};
use crate::adapters::hdf5::ffi::library_version as hdf5_version;
use crate::adapters::machine;
use crate::adapters::mpi;
use crate::domain::calculator::Availability;
use crate::domain::error::Result;
use crate::planning::cores::portions;
use crate::planning::frame_set::FrameSet;

use super::output::{print, print_json};
use super::table::{plural, table};

/// Look at MPI, HDF5, file system, threads: what is wrong and how to mend it
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  framewise doctor
  framewise doctor /scratch/me/results

Exit code 0: nothing is wrong; 1: something is.")]
pub struct DoctorArgs {
    /// Folder of the results
    #[arg(value_name = "FOLDER", default_value = ".")]
    pub folder: PathBuf,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    Note,
    Wrong,
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Verdict::Good => "ok",
            Verdict::Note => "note",
            Verdict::Wrong => "WRONG",
        }
    }
}

struct Finding {
    subject: &'static str,
    verdict: Verdict,
    text: String,
}

/// Runs the verb.
pub fn execute(args: &DoctorArgs) -> Result<ExitCode> {
    let mut findings = vec![
        good("framewise", env!("CARGO_PKG_VERSION").to_owned()),
        mpi_finding(),
        launcher_finding(),
        hdf5_finding(),
        cores_finding(),
        threads_finding(),
    ];
    findings.extend(folder_findings(&args.folder));
    findings.extend(calculator_findings());
    let wrong = findings.iter().any(|f| f.verdict == Verdict::Wrong);
    if args.json {
        let list = findings
            .iter()
            .map(|f| json!({"subject": f.subject, "verdict": f.verdict.name(), "text": f.text}));
        print_json(&list.collect())?;
    } else {
        let rows = findings.iter().map(|f| {
            vec![
                f.verdict.name().to_owned(),
                f.subject.to_owned(),
                f.text.clone(),
            ]
        });
        print(&table(&[], rows, &[]))?;
    }
    Ok(ExitCode::from(u8::from(wrong)))
}

fn good(subject: &'static str, text: String) -> Finding {
    Finding {
        subject,
        verdict: Verdict::Good,
        text,
    }
}

fn note(subject: &'static str, text: String) -> Finding {
    Finding {
        subject,
        verdict: Verdict::Note,
        text,
    }
}

fn wrong(subject: &'static str, text: String) -> Finding {
    Finding {
        subject,
        verdict: Verdict::Wrong,
        text,
    }
}

fn mpi_finding() -> Finding {
    good("MPI library", mpi::library_version())
}

/// The first `mpiexec` on PATH is the one people type: it should belong to the library we are linked with.
fn launcher_finding() -> Finding {
    let Some((path, version)) = machine::launcher() else {
        return note("launcher", "no mpiexec on PATH; without one, runs have one rank (Debian: apt-get install openmpi-bin)".into());
    };
    let text = format!("{} ({version})", path.display());
    let family = |text: &str| {
        let text = text.to_lowercase();
        if text.contains("open mpi") || text.contains("openrte") || text.contains("open-mpi") {
            Some("Open MPI")
        } else if text.contains("hydra") || text.contains("mpich") {
            Some("MPICH")
        } else {
            None
        }
    };
    match (family(&version), family(&mpi::library_version())) {
        (Some(a), Some(b)) if a != b => wrong(
            "launcher",
            format!(
                "{text} is of {a}, but framewise is built with {b}: every process would be rank 0 of 1; use {b}'s mpiexec"
            ),
        ),
        _ => good("launcher", text),
    }
}

fn hdf5_finding() -> Finding {
    let (major, minor, patch) = hdf5_version();
    good("HDF5", format!("{major}.{minor}.{patch}, parallel"))
}

/// What `run` would find here as the only rank.
fn cores_finding() -> Finding {
    let given = Given::find();
    let portion = portions(&[given.berth(None)], false).remove(0);
    let mut text = format!(
        "{} usable by this process of {} in the machine",
        given.count(),
        given.online
    );
    if !given.cores.is_empty() && given.cores.len() < given.online {
        let mut sorted = given.cores.clone();
        sorted.sort_unstable();
        let bound: FrameSet = sorted.iter().map(|c| *c as u64..*c as u64 + 1).collect();
        let ranges = bound.runs().iter().map(|r| match r.end - r.start {
            1 => r.start.to_string(),
            _ => format!("{}-{}", r.start, r.end - 1),
        });
        let ranges: Vec<_> = ranges.collect();
        text += &format!(", bound to {}", ranges.join(","));
    }
    if let Some((quota, group)) = &given.quota {
        text += &format!(
            ", processor time of {quota:.1} of them ({})",
            group.display()
        );
    }
    text += &format!(
        "; run takes {} on one rank",
        plural(portion.workers as u64, "worker")
    );
    good("cores", text)
}

fn threads_finding() -> Finding {
    match environment::engine_threads() {
        Some((name, threads)) => note(
            "threads",
            format!(
                "{name}={threads}: each worker's engine may start {threads} threads, and workers are not kept on cores of their own; set it to 1 \
                 unless there are cores for them, or give fewer --threads"
            ),
        ),
        None => good("threads", "one thread per engine and worker".into()),
    }
}

fn folder_findings(folder: &Path) -> Vec<Finding> {
    let shown = folder.display();
    let disk = match machine::file_system(folder) {
        Ok(disk) => disk,
        Err(e) => {
            return vec![wrong(
                "folder",
                format!("{shown}: {e}; create it or name another"),
            )];
        }
    };
    let mut findings = vec![good(
        "file system",
        format!(
            "{shown} is on {}, {:.1} GB free",
            disk.kind,
            disk.free as f64 * 1e-9
        ),
    )];
    let kind = Kind::of(folder).unwrap_or(Kind::Unknown);
    findings.extend(kind.advice().map(|text| note("file system", text.into())));
    let hints = kind.hints().into_iter();
    let hints = hints.map(|hint| format!("{}={} ({})", hint.key, hint.value, hint.why));
    findings.push(good(
        "MPI-IO hints",
        format!(
            "for {}: {}; --hint K=V wins; {}",
            kind.name(),
            hints.collect::<Vec<_>>().join(", "),
            file_system::heeded_by(&mpi::library_version())
        ),
    ));
    match machine::can_write(folder) {
        Ok(()) => findings.push(good("folder", format!("{shown} can be written"))),
        Err(e) => findings.push(wrong("folder", format!("{shown} cannot be written: {e}"))),
    }
    findings
}

fn calculator_findings() -> Vec<Finding> {
    calculators::all()
        .into_iter()
        .map(|kind| match (kind.availability)() {
            Availability::Available(with) if with.is_empty() => {
                good("calculator", kind.name.into())
            }
            Availability::Available(with) => good("calculator", format!("{} ({with})", kind.name)),
            Availability::Missing(why) => note(
                "calculator",
                format!("{} is not available: {why}", kind.name),
            ),
        })
        .collect()
}
