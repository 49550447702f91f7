//! When the batch system will end this job.

use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time left in this SLURM job; `None` outside of one, or when nobody knows.
///
/// `SLURM_JOB_END_TIME` is unset before SLURM 23; `squeue` is asked then.
pub fn left() -> Option<Duration> {
    let end = match number("SLURM_JOB_END_TIME") {
        Some(end) => end,
        None => end_from_squeue(&std::env::var("SLURM_JOB_ID").ok()?)?,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(Duration::from_secs(end).saturating_sub(now))
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.trim().parse().ok()
}

fn end_from_squeue(job: &str) -> Option<u64> {
    // Unix time needs no time zone: SLURM_TIME_FORMAT is a strftime format.
    let output = Command::new("squeue")
        .args(["-h", "-j", job, "-o", "%e"])
        .env("SLURM_TIME_FORMAT", "%s")
        .output()
        .ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}
