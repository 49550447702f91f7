//! SLURM: `SLURM_JOB_END_TIME`, which is unset before SLURM 23, else `squeue`, else `scontrol`.

use crate::adapters::batch::{self, Batch};
use crate::adapters::environment;

use super::{output_of, seconds, variable};

/// Seconds left; `now` in Unix time.
pub(super) fn left(now: u64) -> Option<u64> {
    let told = variable("SLURM_JOB_END_TIME").and_then(|text| text.trim().parse::<u64>().ok());
    if let Some(end) = told {
        return Some(end.saturating_sub(now));
    }
    let (Some(Batch::Slurm), job, _) = batch::this_job() else {
        return None;
    };
    // Unix time needs no time zone: SLURM_TIME_FORMAT is a strftime format.
    let told = output_of(
        environment::command("squeue")
            .args(["-h", "-j", &job, "-o", "%e %l"])
            .env("SLURM_TIME_FORMAT", "%s"),
    );
    let mut words = told.as_deref().unwrap_or_default().split_whitespace();
    let end = words.next().and_then(|word| word.parse::<u64>().ok());
    // A job without limit is said to end in a year.
    if words.next() == Some("UNLIMITED") {
        return None;
    }
    if let Some(end) = end {
        return Some(end.saturating_sub(now));
    }
    from_scontrol(&output_of(
        environment::command("scontrol").args(["-o", "show", "job", &job]),
    )?)
}

/// `TimeLimit` less `RunTime`: both are lengths, and need no time zone.
fn from_scontrol(text: &str) -> Option<u64> {
    let field = |name: &str| {
        let mut words = text.split_whitespace();
        words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    };
    let limit = seconds(field("TimeLimit")?)?;
    Some(limit.saturating_sub(seconds(field("RunTime")?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shortened from scontrol(1)'s fields as SLURM 22.05 prints them.
    #[test]
    fn scontrol_tells_the_limit_and_the_time_used() {
        let text = "JobId=7 JobName=x UserId=u(1000) JobState=RUNNING Reason=None Requeue=1 \
                    RunTime=00:10:05 TimeLimit=1-01:00:00 TimeMin=N/A \
                    StartTime=2024-01-01T10:00:00 EndTime=2024-01-02T11:00:00 Deadline=N/A";
        assert_eq!(from_scontrol(text), Some(90_000 - 605));
        assert_eq!(from_scontrol("RunTime=00:10:05 TimeLimit=UNLIMITED"), None);
        assert_eq!(from_scontrol("slurm_load_jobs error"), None);
        assert_eq!(
            from_scontrol("RunTime=02:00:00 TimeLimit=01:00:00"),
            Some(0)
        );
    }
}
