//! A cluster of containers (`scripts/docker-cluster`) for one test: a controller and three computes, whose nodes can be lost.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::launch::Launch;

/// Its compute nodes.
pub const NODES: [&str; 3] = ["node1", "node2", "node3"];
/// Longest time for one command of Docker or of the cluster.
const LIMIT: &str = "60";
/// Longest time of a job from when nothing is in its way any more.
const JOB_LIMIT: Duration = Duration::from_secs(75);

/// The cluster; its containers, network and volumes go away with its test.
pub struct Containers {
    name: String,
    data: String,
}

impl Containers {
    /// Three nodes of two processors with `data` as their shared folder.
    pub fn up(data: &Path) -> Self {
        needs("framewise-cluster:latest", "scripts/docker-cluster build");
        share(data);
        let name = format!("fwtest{}", std::process::id());
        let data = data.display().to_string();
        // Before it starts: what a start that fails has made is removed too.
        let cluster = Self { name, data };
        cluster.script("up");
        cluster
    }

    fn script(&self, verb: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/docker-cluster");
        let mut command = Command::new("timeout");
        command.args(["--kill-after=10", LIMIT]).arg(script);
        command.env("FRAMEWISE_CLUSTER_NAME", &self.name);
        command.env("FRAMEWISE_CLUSTER_DATA", &self.data);
        let output = command.arg(verb).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker-cluster {verb}: {said}");
    }

    /// A command of user framewise on the controller, in the shared folder.
    pub fn command(&self, line: &str) -> Launch {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/docker-cluster");
        let launch = Launch::shell(&format!("{script} sh {line}"), Path::new("/"));
        launch.variable("FRAMEWISE_CLUSTER_NAME", &self.name)
    }

    /// What such a command says, which must end well.
    #[track_caller]
    pub fn asks(&self, line: &str) -> String {
        self.command(line).expect(0).stdout.trim().to_owned()
    }

    /// Submits a script of the shared folder with `sbatch`; the number of the job.
    #[track_caller]
    pub fn submit(&self, options: &str, script: &str) -> u32 {
        let said = self.asks(&format!("sbatch --parsable {options} {script}"));
        said.parse().unwrap_or_else(|e| panic!("{e}: {said}"))
    }

    /// State, reason and restarts of a job.
    #[track_caller]
    pub fn job(&self, job: u32) -> (String, String, String) {
        let shown = self.asks(&format!("scontrol -o show job {job}"));
        let field = |key: &str| {
            let value = shown.split_whitespace().find_map(|f| f.strip_prefix(key));
            value.unwrap_or_else(|| panic!("no {key}: {shown}")).into()
        };
        (field("JobState="), field("Reason="), field("Restarts="))
    }

    /// Waits until a job is completed. One that has been requeued starts at once: SLURM gives a lost node two minutes to
    /// come back.
    #[track_caller]
    pub fn complete(&self, job: u32) {
        let begun = Instant::now();
        loop {
            let (state, reason, _) = self.job(job);
            match (state.as_str(), reason.as_str()) {
                ("COMPLETED", _) => return,
                ("PENDING", "BeginTime") => {
                    self.asks(&format!("scontrol update JobId={job} StartTime=now"));
                }
                ("PENDING" | "RUNNING" | "COMPLETING" | "CONFIGURING", _) => {}
                _ => panic!("job {job} is {state} ({reason})\n{}", self.log()),
            }
            let so_far = begun.elapsed();
            assert!(so_far < JOB_LIMIT, "job {job} is {state}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(Path::new(&self.data).join("job.log")).unwrap_or_default()
    }

    /// Waits until no process of the program is left on these nodes.
    #[track_caller]
    pub fn rest(&self, nodes: &[&str], limit: Duration) {
        let begun = Instant::now();
        while nodes.iter().any(|node| self.works(node)) {
            let so_far = begun.elapsed();
            assert!(so_far < limit, "still at work on {nodes:?}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Whether a process of the program is there. A node that does not run has none.
    pub fn works(&self, node: &str) -> bool {
        let container = self.container(node);
        let probe = ["exec", &container, "pgrep", "-x", "framewise"];
        let found = Command::new("docker").args(probe).output().unwrap();
        found.status.success()
    }

    /// The node is shut down in good order.
    pub fn stop(&self, node: &str) {
        docker(&["stop", "--time", "10", &self.container(node)]);
    }

    /// The node is without power.
    pub fn kill(&self, node: &str) {
        docker(&["kill", &self.container(node)]);
    }

    /// The node lives on and nobody hears of it.
    pub fn cut(&self, node: &str) {
        docker(&[
            "network",
            "disconnect",
            &self.network(),
            &self.container(node),
        ]);
    }

    /// The link of a node that was cut off.
    pub fn mend(&self, node: &str) {
        let format = "{{range .IPAM.Config}}{{.Subnet}}{{end}}";
        let subnet = docker(&["network", "inspect", "--format", format, &self.network()]);
        let number = node.strip_prefix("node").unwrap();
        let address = subnet.trim().replace(".0/24", &format!(".1{number}"));
        let (network, container) = (self.network(), self.container(node));
        docker(&["network", "connect", "--ip", &address, &network, &container]);
    }

    /// A node that was cut off or is down is one of the cluster again.
    pub fn restore(&self, node: &str) {
        let container = self.container(node);
        let running = ["inspect", "--format", "{{.State.Running}}", &container];
        if docker(&running).trim() == "true" {
            self.mend(node);
        } else {
            docker(&["start", &container]);
        }
        let begun = Instant::now();
        while self.command(&format!("ssh {node} true")).run().code != Some(0) {
            assert!(begun.elapsed().as_secs() < 30, "{node} is not back");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn network(&self) -> String {
        format!("{}_private", self.name)
    }

    /// The container of a node, also of one that does not run.
    fn container(&self, node: &str) -> String {
        let project = format!("label=com.docker.compose.project={}", self.name);
        let service = format!("label=com.docker.compose.service={node}");
        let found = docker(&["ps", "-aq", "--filter", &project, "--filter", &service]);
        found.trim().to_owned()
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        self.script("down");
    }
}

/// Fails and says how to make the image, unless it is there.
#[track_caller]
pub fn needs(image: &str, how: &str) {
    let inspected = Command::new("docker")
        .args(["image", "inspect", image])
        .output();
    let there = inspected.is_ok_and(|output| output.status.success());
    assert!(there, "no Docker engine, or no image {image}: {how}");
}

/// Others' users may write in this folder: those of containers have numbers of their own.
pub fn share(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
}

/// What a command of Docker says, which must end well.
#[track_caller]
fn docker(arguments: &[&str]) -> String {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", LIMIT, "docker"]);
    let output = command.args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}
