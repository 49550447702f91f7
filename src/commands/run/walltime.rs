//! When a job will be ended, as people write it.

use std::time::Duration;

use crate::domain::error::{Error, Result};

use super::config::duration;

/// When the job will be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walltime {
    /// Ask the batch system, if there is one.
    Auto,
    /// So long after the start.
    In(Duration),
}

/// `auto`, SLURM's `[D-]HH:MM:SS`, or a time with units.
pub(in crate::commands) fn walltime(text: Option<&str>) -> Result<Walltime> {
    let text = text.unwrap_or("auto").trim();
    if text == "auto" {
        return Ok(Walltime::Auto);
    }
    let wrong = || Error::usage(format!("--walltime: {text:?} is neither auto nor HH:MM:SS"));
    if !text.contains(':') {
        return match duration("--walltime", Some(text)) {
            Ok(Some(time)) => Ok(Walltime::In(time)),
            _ => Err(wrong()),
        };
    }
    let (days, clock) = text.split_once('-').unwrap_or(("0", text));
    let mut seconds = days.parse::<u64>().map_err(|_| wrong())?;
    let parts: Vec<_> = clock.split(':').collect();
    let [hours, minutes, rest] = parts[..] else {
        return Err(wrong());
    };
    for (part, factor, limit) in [(hours, 24, u64::MAX), (minutes, 60, 60), (rest, 60, 60)] {
        let number: u64 = part.parse().map_err(|_| wrong())?;
        if number >= limit {
            return Err(wrong());
        }
        seconds = seconds
            .checked_mul(factor)
            .and_then(|s| s.checked_add(number))
            .filter(|s| *s < 10 * 366 * 86400)
            .ok_or_else(wrong)?;
    }
    Ok(Walltime::In(Duration::from_secs(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walltimes_are_slurms() {
        let seconds = |text| match walltime(Some(text)) {
            Ok(Walltime::In(time)) => time.as_secs(),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(seconds("01:02:03"), 3723);
        assert_eq!(seconds("2-00:00:01"), 172_801);
        assert_eq!(seconds("90m"), 5400);
        assert_eq!(walltime(None), Ok(Walltime::Auto));
        for wrong in ["1:2", "00:61:00", "x", "", "99999999999-00:00:00", "a:b:c"] {
            assert!(walltime(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
