//! Several hosts on this machine (`scripts/hosts`), for one test.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::launch::Launch;

/// Longest time to make them, or to do something to one of them.
const LIMIT: &str = "30";

/// Hosts h1, h2...; they go away with their test.
pub struct Hosts {
    folder: tempfile::TempDir,
}

impl Hosts {
    /// So many.
    pub fn up(number: usize) -> Self {
        let folder = tempfile::Builder::new().prefix("fwh").tempdir_in("/tmp");
        let hosts = Self {
            folder: folder.unwrap(),
        };
        hosts.script(&["up", &number.to_string()]);
        hosts
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("h")
    }

    fn path() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/hosts")
    }

    fn script(&self, arguments: &[&str]) {
        let output = Command::new("timeout")
            .args(["--kill-after=10", LIMIT])
            .arg(Self::path())
            .args(arguments)
            .env("FRAMEWISE_HOSTS", self.state())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "scripts/hosts {arguments:?}: {said}"
        );
    }

    /// `framewise` on some of them, as `h1:1,h2:2`, with the launch parameters that `framewise job` sets.
    pub fn launch(&self, list: &str, command: &str, folder: &Path) -> Launch {
        let line = format!("{} run {list} framewise {command}", Self::path().display());
        let mut launch = Launch::shell(&line, folder);
        for (name, value) in [("time", "3"), ("intvl", "2"), ("probes", "2")] {
            launch = launch.variable(&format!("OMPI_MCA_oob_tcp_keepalive_{name}"), value);
        }
        let state = self.state().display().to_string();
        launch.variable("FRAMEWISE_HOSTS", &state)
    }

    /// Cuts the link of a host.
    pub fn cut(&self, host: &str) {
        self.script(&["cut", host]);
    }

    /// Its link is there again.
    pub fn mend(&self, host: &str) {
        self.script(&["mend", host]);
    }

    /// Kills all that runs on a host.
    pub fn kill(&self, host: &str) {
        self.script(&["kill", host]);
    }

    /// Process ids of all that runs on any of them.
    pub fn processes(&self) -> Vec<String> {
        let prefix = std::fs::read_to_string(self.state().join("prefix")).unwrap();
        let line = format!(
            "for host in $(ip netns list | grep -o '^{}-h[0-9]*'); do ip netns pids $host; done",
            prefix.trim()
        );
        let output = Command::new("sh").args(["-c", &line]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_whitespace().map(str::to_owned).collect()
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        self.script(&["down"]);
    }
}
