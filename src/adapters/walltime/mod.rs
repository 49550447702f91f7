//! When the batch system will end this job.
//!
//! Each batch system is asked in its own way, by a command that may hang, be missing, or say nothing: then nobody
//! knows, and the job runs without a walltime. SLURM's was seen to work on a real one (`tests/cluster_walltime.rs`); those of PBS and LSF
//! are after their documentation, and the tests put scripts that print the same in their place.

mod lsf;
mod pbs;
mod slurm;

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A command of a batch system that says nothing for so long is given up: its server may be down.
const PATIENCE: Duration = Duration::from_secs(10);

/// Time left in this job; `None` outside of one, or when nobody knows.
pub fn left() -> Option<Duration> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    let seconds = slurm::left(now).or_else(pbs::left).or_else(lsf::left)?;
    Some(Duration::from_secs(seconds))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// What a command prints, if it ends well and soon.
pub fn output_of(command: &mut Command) -> Option<String> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut pipe = child.stdout.take()?;
    let (said, heard) = std::sync::mpsc::channel();
    // Ends with the command, or is left behind with one that hangs.
    let reader = std::thread::Builder::new().spawn(move || {
        let mut text = Vec::new();
        let read = pipe.by_ref().take(1 << 20).read_to_end(&mut text);
        let _ = said.send(read.map(|_| text));
    });
    reader.ok()?;
    let begun = Instant::now();
    let text = heard.recv_timeout(PATIENCE).ok().and_then(Result::ok);
    let ended = loop {
        match child.try_wait() {
            Ok(None) if begun.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(Some(status)) => break status.success(),
            _ => {
                tracing::warn!(
                    "{}: no answer; going on without it (of a walltime: --walltime says one)",
                    command.get_program().display()
                );
                let _ = child.kill();
                let _ = child.wait();
                break false;
            }
        }
    };
    String::from_utf8(text?).ok().filter(|_| ended)
}

/// Seconds of `[D-][[HH:]MM:]SS` as SLURM and PBS write them.
fn seconds(clock: &str) -> Option<u64> {
    let (days, clock) = clock.trim().split_once('-').unwrap_or(("0", clock.trim()));
    let mut seconds = days.parse::<u64>().ok()?.checked_mul(86400)?;
    let parts: Vec<_> = clock.split(':').collect();
    if parts.len() > 3 {
        return None;
    }
    let mut rest = 0u64;
    for part in parts {
        rest = rest.checked_mul(60)?.checked_add(part.parse().ok()?)?;
    }
    seconds = seconds.checked_add(rest)?;
    Some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::environment;

    #[test]
    fn clocks_are_read() {
        assert_eq!(seconds("00:10:02"), Some(602));
        assert_eq!(seconds("146:03:05"), Some(525_785));
        assert_eq!(seconds("2-00:00:01"), Some(172_801));
        assert_eq!(seconds("59:59"), Some(3599));
        for wrong in ["", "UNLIMITED", "1:2:3:4", "-", "99999999999999999999"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn commands_that_fail_hang_or_are_missing_say_nothing() {
        let sh = |line: &str| output_of(environment::command("sh").args(["-c", line]));
        assert_eq!(sh("echo 7").as_deref(), Some("7\n"));
        assert_eq!(sh("echo 7; exit 1"), None);
        assert_eq!(
            output_of(&mut environment::command("/no/such/command")),
            None
        );
        let begun = Instant::now();
        assert_eq!(sh("exec sleep 60"), None);
        assert!(begun.elapsed() < 2 * PATIENCE);
    }
}
