//! LSF: `bjobs -WL`, the time left.
//!
//! Not run against a real cluster: written after the documentation (bjobs -WL: `hours:minutes status`, where the status
//! is `L` for a run limit, `E` for an estimate, `X` for an estimate that is exceeded).

use crate::adapters::environment;

use super::{output_of, variable};

/// Seconds left.
pub(super) fn left() -> Option<u64> {
    let mut job = variable("LSB_JOBID")?;
    // One element of an array.
    if let Some(index) = variable("LSB_JOBINDEX").filter(|index| index != "0") {
        job = format!("{job}[{index}]");
    }
    from_bjobs(&output_of(
        environment::command("bjobs").args(["-WL", &job]),
    )?)
}

/// The last column of the job's line, below a header. An estimate is no limit, but the limit is not told beside it.
fn from_bjobs(text: &str) -> Option<u64> {
    let line = text.lines().nth(1)?;
    let mut words = line.split_whitespace().rev();
    let last = words.next()?;
    let clock = match last {
        "L" | "E" | "X" => words.next()?,
        joined => joined.trim_end_matches(['L', 'E', 'X']),
    };
    let (hours, minutes) = clock.split_once(':')?;
    let minutes = hours
        .parse::<u64>()
        .ok()?
        .checked_mul(60)?
        .checked_add(minutes.parse().ok()?)?;
    minutes.checked_mul(60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bjobs_tells_the_time_left() {
        let line = |left: &str| {
            format!(
                "JOBID   USER    STAT  QUEUE      FROM_HOST   EXEC_HOST   JOB_NAME   SUBMIT_TIME  TIME_LEFT\n\
                 7       user    RUN   normal     login       node1       x          Jan  1 10:00 {left}\n"
            )
        };
        assert_eq!(from_bjobs(&line("23:59 L")), Some(86_340));
        assert_eq!(from_bjobs(&line("0:5 X")), Some(300));
        assert_eq!(from_bjobs(&line("100:00 E")), Some(360_000));
        assert_eq!(from_bjobs(&line("-")), None);
        assert_eq!(from_bjobs("Job <7> is not found\n"), None);
    }
}
