//! A real SLURM on this machine alone (`scripts/cluster`), for one test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::launch::{Finished, Launch, send_if_there};

/// Longest time for the cluster to start, or to stop.
const CLUSTER_LIMIT: &str = "60";
/// Longest time for a job, in the queue and running: that of one which its limit of a minute ends several times, since others
/// compute on the same cores.
const JOB_LIMIT: Duration = Duration::from_mins(4);

/// The cluster; goes away with its test, and with it all its jobs.
pub struct Cluster {
    folder: tempfile::TempDir,
}

impl Cluster {
    /// Nodes n1, n2... of so many processors each.
    pub fn up(nodes: usize, processors: usize) -> Self {
        // Names of sockets have to be short.
        let folder = tempfile::Builder::new().prefix("fwc").tempdir_in("/tmp");
        let cluster = Self {
            folder: folder.unwrap(),
        };
        cluster.script(&["up", &nodes.to_string(), &processors.to_string()]);
        cluster
    }

    fn script(&self, arguments: &[&str]) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/cluster");
        let output = Command::new("timeout")
            .args(["--kill-after=10", CLUSTER_LIMIT])
            .arg(script)
            .args(arguments)
            .env("FRAMEWISE_CLUSTER", self.folder.path().join("c"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "scripts/cluster {arguments:?}: {said}"
        );
    }

    /// A file of the cluster's folder.
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("c").join(name)
    }

    /// A line of a shell in which `srun`, `sbatch`... mean this cluster and `framewise` is found.
    pub fn shell(&self, line: &str, folder: &Path) -> Launch {
        let conf = self.path("slurm.conf").display().to_string();
        Launch::shell(line, folder).variable("SLURM_CONF", &conf)
    }

    /// What a command says on standard output, which must end well.
    #[track_caller]
    pub fn asks(&self, line: &str) -> String {
        let finished = self.shell(line, Path::new("/")).expect(0);
        finished.stdout.trim().to_owned()
    }

    /// Submits `script` of `folder` with `sbatch`, with what else is said on its command line; the number of the job.
    #[track_caller]
    pub fn submit(&self, options: &str, script: &str, folder: &Path) -> u32 {
        let line = format!("sbatch --parsable {options} {script}");
        let submitted = self.shell(&line, folder).expect(0);
        let number = submitted.stdout.trim().parse();
        number.unwrap_or_else(|e| panic!("{e}: {submitted}"))
    }

    /// What `scontrol show job` says of one field: `JobState`, `Restarts`, `ExitCode`...
    #[track_caller]
    pub fn field(&self, job: u32, name: &str) -> String {
        let shown = self.asks(&format!("scontrol -o show job {job}"));
        let mut fields = shown.split_whitespace();
        let key = format!("{name}=");
        let value = fields.find_map(|field| field.strip_prefix(&key));
        value
            .unwrap_or_else(|| panic!("no {name}: {shown}"))
            .to_owned()
    }

    /// Waits until the job is in one of these states (comma between); says in which.
    #[track_caller]
    pub fn wait_for(&self, job: u32, states: &str) -> String {
        let begun = Instant::now();
        loop {
            let state = self.field(job, "JobState");
            if states.split(',').any(|one| one == state) {
                return state;
            }
            let queue = || self.asks("squeue; sinfo");
            assert!(
                begun.elapsed() < JOB_LIMIT,
                "job {job} is {state}, not {states}:\n{}",
                queue()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Gives a waiting job another number of nodes, a rank on each.
    #[track_caller]
    pub fn widen(&self, job: u32, nodes: usize) {
        self.asks(&format!("scontrol update jobid={job} numtasks={nodes}"));
        self.asks(&format!(
            "scontrol update jobid={job} numnodes={nodes}-{nodes}"
        ));
    }

    /// Kills the daemon of a node, as when the node is lost to SLURM while its processes live on.
    pub fn lose(&self, node: &str) {
        let pid = std::fs::read_to_string(self.path(node).join("slurmd.pid")).unwrap();
        let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
    }

    /// Kills all processes of a job on a node.
    pub fn kill_on(&self, job: u32, node: &str) {
        let of_node = format!("SLURMD_NODENAME={node}");
        for process in self.with_variables(&[format!("SLURM_JOB_ID={job}"), of_node]) {
            send_if_there(process, Signal::KILL);
        }
    }

    /// Waits until the job has been put back into the queue so many times and runs again.
    #[track_caller]
    pub fn wait_for_restart(&self, job: u32, times: u32) {
        let begun = Instant::now();
        loop {
            let restarts: u32 = self.field(job, "Restarts").parse().unwrap();
            if restarts >= times && self.field(job, "JobState") == "RUNNING" {
                return;
            }
            let shown = || self.asks(&format!("scontrol show job {job}; sinfo"));
            assert!(begun.elapsed() < JOB_LIMIT, "{}", shown());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Kills all processes of a job with this program, as soon as there are some, on whatever node.
    #[track_caller]
    pub fn kill(&self, job: u32, program: &Path) {
        let begun = Instant::now();
        let found = loop {
            let found = self.processes(job, program);
            if !found.is_empty() {
                break found;
            }
            assert!(
                begun.elapsed() < JOB_LIMIT,
                "job {job} runs no {}",
                program.display()
            );
            std::thread::sleep(Duration::from_millis(50));
        };
        for process in found {
            send_if_there(process, Signal::KILL);
        }
    }

    /// The processes of a job that run this program, on whatever node.
    pub fn processes(&self, job: u32, program: &Path) -> Vec<Pid> {
        let program = std::fs::canonicalize(program).unwrap();
        let mut ours = self.with_variables(&[format!("SLURM_JOB_ID={job}")]);
        ours.retain(|pid| {
            let exe = std::fs::read_link(format!("/proc/{}/exe", pid.as_raw_nonzero()));
            exe.is_ok_and(|exe| exe == program)
        });
        ours
    }

    /// Processes of this cluster that have these variables.
    fn with_variables(&self, variables: &[String]) -> Vec<Pid> {
        let conf = format!("SLURM_CONF={}", self.path("slurm.conf").display());
        let wanted: Vec<_> = variables.iter().chain([&conf]).collect();
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let ours = numbers.filter(|pid| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let set: Vec<_> = environment.split(|b| *b == 0).collect();
            wanted.iter().all(|line| set.contains(&line.as_bytes()))
        });
        ours.filter_map(Pid::from_raw).collect()
    }

    /// Runs a line to its end, see [`shell`](Self::shell).
    pub fn run(&self, line: &str, folder: &Path) -> Finished {
        self.shell(line, folder).run()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.script(&["down"]);
    }
}
