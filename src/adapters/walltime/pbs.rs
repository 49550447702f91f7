//! PBS Professional, `OpenPBS` and Torque: `qstat -f`, else Torque's `PBS_WALLTIME`.
//!
//! Not run against a real server: written after the samples in the tests.

use crate::adapters::environment;

use super::{output_of, seconds, variable};

/// Seconds left.
pub(super) fn left() -> Option<u64> {
    let job = variable("PBS_JOBID")?;
    output_of(environment::command("qstat").args(["-f", &job]))
        .and_then(|text| from_qstat(&text))
        // The whole walltime, where nobody tells how much of it is used: as if the job had just begun.
        .or_else(|| variable("PBS_WALLTIME")?.trim().parse().ok())
}

/// Torque's `Walltime.Remaining`, in seconds; else the walltime asked for less what is used of it, which the server
/// learns every few minutes only.
fn from_qstat(text: &str) -> Option<u64> {
    let field = |name: &str| {
        text.lines()
            .filter_map(|line| line.trim().split_once(" = "))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.trim())
    };
    let limit = field("Resource_List.walltime").and_then(seconds);
    let used = field("resources_used.walltime").and_then(seconds);
    let by_use = limit.map(|limit| limit.saturating_sub(used.unwrap_or(0)));
    let remaining = field("Walltime.Remaining").and_then(|text| text.parse().ok());
    // What is used less than an update ago is in neither: believe the smaller one.
    remaining.into_iter().chain(by_use).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of Torque's and PBS Professional's `qstat -f` (qstat(1B)) as users publish them.
    #[test]
    fn qstat_tells_the_limit_and_the_time_used() {
        let torque = "Job Id: 546437.server\n    resources_used.walltime = 06:12:22\n    job_state = R\n    \
                      Resource_List.walltime = 72:00:00\n    start_time = Sat Jun 27 10:45:06 2015\n    \
                      Walltime.Remaining = 236282\n    start_count = 1\n";
        assert_eq!(from_qstat(torque), Some(236_282));
        let pbs = "Job Id: 1334253.mmaster02\n    resources_used.walltime = 00:01:00\n    \
                   Resource_List.ncpus = 40\n    Resource_List.walltime = 23:55:00\n";
        assert_eq!(from_qstat(pbs), Some(86_100 - 60));
        let fresh = "    Resource_List.walltime = 00:10:00\n";
        assert_eq!(from_qstat(fresh), Some(600));
        assert_eq!(from_qstat("    job_state = R\n"), None);
        assert_eq!(from_qstat("qstat: Unknown Job Id"), None);
    }
}
