//! Whether the end of the job is known, before which a run stops by itself.

use crate::adapters::batch;
use crate::adapters::walltime;
use crate::commands::table::duration;

use super::finding::{Finding, good, note};

pub(super) fn finding() -> Finding {
    let subject = "walltime";
    let (batch, job, _) = batch::this_job();
    let left = walltime::left();
    match (batch, left) {
        (None, None) => good(
            subject,
            "no batch job: a run goes on until it is done or told to stop",
        ),
        (_, Some(left)) => {
            let job = match job.as_str() {
                "" => "this job".to_owned(),
                job => format!("job {job}"),
            };
            let left = duration(left.as_secs() as f64);
            good(
                subject,
                format!("{job} ends in {left}; a run stops in good order before that"),
            )
        }
        (Some(batch), None) => note(
            subject,
            format!(
                "{} tells no end of job {job}: if it has one, a run would be killed there, and lose what it has not committed",
                batch.command()
            ),
            "run --walltime HH:MM:SS, the time from its start on",
        ),
    }
}
