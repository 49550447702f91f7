//! Room for the result: what is free, what a quota leaves, and what the job will take of it.

use crate::adapters::hdf5::create;
use crate::adapters::hdf5::input::Input;
use crate::commands::run::config;
use crate::commands::table::plural;
use crate::domain::error::Result;

use super::DoctorArgs;
use super::facts::FolderFacts;
use super::finding::{Finding, good, wrong};

const MEND: &str = "name a folder with more room, remove what is not needed there, or give the job fewer frames (a smaller INPUT)";

/// What the job is to be.
pub(super) struct Wanted {
    input: String,
    frames: u64,
    bytes: u64,
}

impl Wanted {
    /// By the reckoning with which `run` refuses to begin when there is too little room.
    pub fn of(args: &DoctorArgs) -> Result<Option<Self>> {
        let Some(path) = &args.input else {
            return Ok(None);
        };
        let input = Input::open(path, args.key.as_deref())?;
        let geometry = config::geometry(args.geometry.as_deref())?;
        Ok(Some(Self {
            input: path.display().to_string(),
            frames: input.frames(),
            bytes: create::space(&input, geometry),
        }))
    }
}

pub(super) fn findings(folder: &FolderFacts, wanted: Option<&Wanted>) -> Vec<Finding> {
    if folder.missing.is_some() {
        return Vec::new();
    }
    let job = wanted.map(|wanted| {
        format!(
            "the result of {} ({}) takes about {}",
            wanted.input,
            plural(wanted.frames, "frame"),
            size(wanted.bytes)
        )
    });
    let needed = wanted.map_or(1, |wanted| wanted.bytes);
    let judge = |subject, left: u64, text: String| {
        let text = match &job {
            Some(job) => format!("{text}; {job}"),
            None => text,
        };
        if left < needed {
            let text = format!("{text}: {} are missing", size(needed - left));
            wrong(subject, text, MEND)
        } else {
            good(subject, text)
        }
    };
    let free = format!("{} free of {}", size(folder.free), size(folder.size));
    let mut findings = vec![judge("space", folder.free, free)];
    if let Some((by, used, limit)) = &folder.quota {
        let left = limit.saturating_sub(*used);
        let text = format!("{} left of {} ({by})", size(left), size(*limit));
        findings.push(judge("quota", left, text));
    }
    findings
}

fn size(bytes: u64) -> String {
    match bytes {
        1_000_000_000.. => format!("{:.1} GB", bytes as f64 * 1e-9),
        1_000_000.. => format!("{:.1} MB", bytes as f64 * 1e-6),
        _ => format!("{:.1} kB", bytes as f64 * 1e-3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::finding::Verdict;

    #[test]
    fn the_job_must_fit_the_disk_and_the_quota() {
        use Verdict::{Good, Wrong};
        let wanted = Wanted {
            input: "in.h5".into(),
            frames: 7,
            bytes: 5_000_000,
        };
        let verdicts = |free, quota, wanted| {
            let folder = FolderFacts {
                free,
                size: 10_000_000,
                quota,
                ..FolderFacts::default()
            };
            let found = findings(&folder, wanted);
            found.iter().map(|f| f.verdict).collect::<Vec<_>>()
        };
        let quota = |used| Some(("lfs quota".to_owned(), used, 6_000_000));
        assert_eq!(verdicts(5_000_000, None, Some(&wanted)), [Good]);
        assert_eq!(verdicts(4_999_999, None, Some(&wanted)), [Wrong]);
        assert_eq!(
            verdicts(9_000_000, quota(2_000_000), Some(&wanted)),
            [Good, Wrong]
        );
        assert_eq!(
            verdicts(9_000_000, quota(1_000_000), Some(&wanted)),
            [Good, Good]
        );
        assert_eq!(verdicts(0, None, None), [Wrong]);
        assert_eq!(verdicts(1, None, None), [Good]);
    }
}
