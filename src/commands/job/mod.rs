//! `framewise job`: a script for SLURM, PBS or LSF that runs a command and goes on until all is completed.
//!
//! `inner` is the command it runs, `layout` ranks and cores of a node, `script` its text, from the templates beside it.

mod inner;
mod layout;
mod script;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::adapters::cores::Given;
use crate::adapters::environment;
use crate::adapters::mpi::family::Family;
use crate::adapters::walltime;
use crate::adapters::whole_file::WholeFile;
use crate::commands::output::print;
use crate::commands::run::config::duration;
use crate::commands::run::walltime::{Walltime, walltime as parse_walltime};
use crate::domain::error::{Error, Result};

use inner::Inner;
use layout::{Layout, Wish};
use script::{Again, Scheduler, Script, clock};

/// Write a script for SLURM, PBS or LSF that runs a command and goes on until all is completed
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  framewise job --nodes 4 --walltime 24:00:00 run md.h5 -o result.h5 --calculator xtb > job.sh
  sbatch job.sh
  framewise job --array 8 --cores-per-node 128 run md.h5 -o result.h5 --calculator xtb -o job.sh
  framewise job --scheduler pbs --nodes 2 --cores-per-node 64 --setup 'module load openmpi' \\
      map scan.h5 --dataset Raw_Data --kernel sho-fit -o fit.h5

What stops before its end (walltime, signal, a lost node) goes back into the queue, at most --attempts times; what
ends with an error does not. Options of the job stand before run or map, those of the command after it.")]
pub struct JobScriptArgs {
    /// For which scheduler [default: the one whose command is here, else slurm]
    #[arg(long, value_enum, value_name = "NAME")]
    scheduler: Option<Scheduler>,

    /// Write the script here, executable, instead of printing it
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Replace that file
    #[arg(long, requires = "output")]
    overwrite: bool,

    /// Nodes
    #[arg(short = 'N', long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Size")]
    nodes: u32,

    /// Cores of a node [default: what sinfo says of the partition, else the cores of this machine]
    #[arg(long, value_name = "C", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Size")]
    cores_per_node: Option<u32>,

    /// Ranks of a node [default: one for each graphics processor, else ranks of up to 16 cores]
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Size")]
    ranks_per_node: Option<u32>,

    /// Cores of a rank, each with a worker [default: the node's, divided by its ranks]
    #[arg(long, value_name = "C", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Size")]
    cores_per_rank: Option<u32>,

    /// Threads of each worker's engine, for frames of hundreds of atoms and few of them
    #[arg(long, value_name = "T", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Size")]
    engine_threads: u32,

    /// Graphics processors of a node, one rank each
    #[arg(long, value_name = "G", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Size")]
    gpus_per_node: Option<u32>,

    /// Memory of a node, as the scheduler reads it
    #[arg(long, value_name = "SIZE", help_heading = "Size")]
    memory: Option<String>,

    /// So many jobs that fill one result together (an array with --share), each of --nodes
    #[arg(long, value_name = "JOBS", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Size")]
    array: Option<u32>,

    /// Limit of time: HH:MM:SS, D-HH:MM:SS or 90m [default: the queue's]
    #[arg(long, value_name = "TIME", help_heading = "Time")]
    walltime: Option<String>,

    /// A signal so long before the limit, should the scheduler not tell framewise of it; not of PBS, which has none
    #[arg(
        long,
        value_name = "TIME",
        default_value = "60s",
        help_heading = "Time"
    )]
    warning: String,

    /// Who goes on when the job has stopped before its end
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        default_value = "requeue",
        help_heading = "Time"
    )]
    again: Again,

    /// Attempts at most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Time")]
    attempts: u32,

    /// Name of the job and its log
    #[arg(
        long,
        value_name = "NAME",
        default_value = "framewise",
        help_heading = "Site"
    )]
    name: String,

    /// Partition or queue
    #[arg(long, value_name = "NAME", help_heading = "Site")]
    partition: Option<String>,

    /// Account or project
    #[arg(long, value_name = "NAME", help_heading = "Site")]
    account: Option<String>,

    /// A further option for the scheduler, repeatable: --directive=--qos=long
    #[arg(
        long,
        value_name = "OPTION",
        allow_hyphen_values = true,
        help_heading = "Site"
    )]
    directive: Vec<String>,

    /// A line that prepares the environment, repeatable: --setup 'module load openmpi'
    #[arg(long, value_name = "LINE", help_heading = "Site")]
    setup: Vec<String>,

    /// srun, mpiexec, or a launcher with all its flags [default: srun under SLURM, else mpiexec]
    #[arg(long, value_name = "COMMAND", help_heading = "Site")]
    launcher: Option<String>,

    /// Open MPI's layer for parallel files: ompio or romio321 [default: its own choice]
    #[arg(long, value_name = "NAME", help_heading = "Site")]
    mpi_io: Option<String>,

    /// Stripes of a new result on Lustre; 0 leaves them alone
    #[arg(long, value_name = "N", default_value_t = 8, help_heading = "Site")]
    stripes: u32,

    /// run or map with its options
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    command: Vec<String>,
}

/// Runs the verb.
pub fn execute(args: &JobScriptArgs) -> Result<()> {
    let scheduler = args.scheduler.unwrap_or_else(scheduler_here);
    let text = script(args, scheduler)?.text(scheduler)?;
    let Some(path) = &args.output else {
        return print(text.trim_end());
    };
    let mut file = WholeFile::create(path, args.overwrite, &[])?;
    let written = file.file().write_all(text.as_bytes()).and_then(|()| {
        let mode = std::fs::Permissions::from_mode(0o755);
        file.file().set_permissions(mode)
    });
    written.map_err(|e| Error::failure(format!("{}: {e}", path.display())))?;
    file.publish()
}

fn script(args: &JobScriptArgs, scheduler: Scheduler) -> Result<Script> {
    // Part of a file's name, too, in which % means something to SLURM and LSF.
    if args.name.starts_with('-') || args.name.contains(['/', '%']) {
        let text = format!("--name {:?}: without / and %, and no - in front", args.name);
        return Err(Error::usage(text));
    }
    if let Some(launcher) = &args.launcher
        && (launcher.trim().is_empty() || launcher.contains('\n'))
    {
        let text = format!("--launcher {launcher:?}: a command on one line");
        return Err(Error::usage(text));
    }
    for (flag, text) in [
        ("--name", Some(&args.name)),
        ("--partition", args.partition.as_ref()),
        ("--account", args.account.as_ref()),
        ("--memory", args.memory.as_ref()),
        ("--mpi-io", args.mpi_io.as_ref()),
    ] {
        if let Some(text) = text
            && (text.is_empty()
                || text.contains(|c: char| c.is_whitespace() || "'\"`$\\;&|".contains(c)))
        {
            return Err(Error::usage(format!("{flag} {text:?}: one plain word")));
        }
    }
    for (flag, lines) in [("--directive", &args.directive), ("--setup", &args.setup)] {
        if let Some(text) = lines.iter().find(|text| text.contains('\n')) {
            return Err(Error::usage(format!("{flag} {text:?}: one line each")));
        }
    }
    if args.again == Again::Chain && scheduler != Scheduler::Slurm {
        return Err(Error::usage("--again chain: only for SLURM"));
    }
    let mut inner = Inner::of(&args.command)?;
    let layout = Layout::of(wish(args, scheduler))?;
    if args.array.is_some() {
        inner.share();
    }
    // Said, not found out: where nothing binds ranks to their cores, each would take those of its neighbours too.
    inner.threads(layout.workers);
    inner.check(args.again != Again::None)?;
    let result = inner.result.to_string_lossy().into_owned();
    let mut command = inner.lines();
    command[0] = format!("{} {}", program(), command[0]);
    let limit = limit(args)?;
    let chosen = args.launcher.as_deref();
    let chosen = chosen.unwrap_or(if scheduler == Scheduler::Slurm {
        "srun"
    } else {
        "mpiexec"
    });
    let open_mpi = Family::ours() == Some(Family::OpenMpi);
    Ok(Script {
        version: env!("CARGO_PKG_VERSION"),
        typed: typed(),
        name: args.name.clone(),
        nodes: args.nodes as usize,
        ranks: layout.ranks,
        cores: layout.cores,
        gpus: args.gpus_per_node.map(|gpus| gpus as usize),
        engine_threads: args.engine_threads as usize,
        walltime: limit.map(|limit| clock(limit, scheduler)),
        warning: warning(args, limit)?.as_secs().max(1),
        memory: args.memory.clone(),
        partition: args.partition.clone(),
        account: args.account.clone(),
        directives: args.directive.clone(),
        setup: args.setup.clone(),
        again: args.again,
        limit: args.attempts,
        array: args.array,
        launcher: launcher(chosen, &layout, open_mpi),
        mpiexec: !chosen.starts_with("srun"),
        open_mpi,
        mpi_io: args.mpi_io.clone(),
        stripes: args.stripes,
        result: quoted(&result),
        command,
    })
}

fn limit(args: &JobScriptArgs) -> Result<Option<Duration>> {
    let Some(text) = args.walltime.as_deref() else {
        return Ok(None);
    };
    match parse_walltime(Some(text))? {
        Walltime::In(limit) => Ok(Some(limit)),
        Walltime::Auto => Err(Error::usage("--walltime: a job wants HH:MM:SS")),
    }
}

/// At most a tenth of the time, of which a short job has little.
fn warning(args: &JobScriptArgs, limit: Option<Duration>) -> Result<Duration> {
    let asked = duration("--warning", Some(&args.warning))?.unwrap_or_default();
    Ok(limit.map_or(asked, |limit| asked.min(limit / 10)))
}

fn wish(args: &JobScriptArgs, scheduler: Scheduler) -> Wish {
    let number = |n: Option<u32>| n.map(|n| n as usize);
    let told = match (args.ranks_per_node, args.cores_per_rank) {
        (Some(ranks), Some(cores)) => Some((ranks * cores) as usize),
        _ => None,
    };
    let known = number(args.cores_per_node).or(told);
    let known = known.or_else(|| {
        cores_of_partition(args.partition.as_deref()).filter(|_| scheduler == Scheduler::Slurm)
    });
    let cores_per_node = known.unwrap_or_else(|| {
        let cores = Given::find().online.max(1);
        tracing::warn!(
            "--cores-per-node is not given: a node is taken to have {cores} cores, as this machine"
        );
        cores
    });
    Wish {
        cores_per_node,
        ranks_per_node: number(args.ranks_per_node),
        cores_per_rank: number(args.cores_per_rank),
        engine_threads: args.engine_threads as usize,
        gpus_per_node: number(args.gpus_per_node),
    }
}

/// The first of the schedulers whose command is on PATH.
fn scheduler_here() -> Scheduler {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_here =
        |name: &str| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    match () {
        () if is_here("sbatch") => Scheduler::Slurm,
        () if is_here("bsub") => Scheduler::Lsf,
        () if is_here("qsub") => Scheduler::Pbs,
        () => Scheduler::Slurm,
    }
}

/// The least cores of the nodes of a partition, the default one's without a name.
fn cores_of_partition(name: Option<&str>) -> Option<usize> {
    let mut sinfo = environment::command("sinfo");
    sinfo.args(["--noheader", "--format=%P %c"]);
    if let Some(name) = name {
        sinfo.args(["--partition", name]);
    }
    let text = walltime::output_of(&mut sinfo)?;
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    let ours = lines.filter(|(partition, _)| name.is_some() || partition.ends_with('*'));
    let numbers = ours.filter_map(|(_, cores)| cores.trim().trim_end_matches('+').parse().ok());
    numbers.min()
}

/// A launcher's name with the flags that it needs; anything else as it is.
fn launcher(chosen: &str, layout: &Layout, open_mpi: bool) -> String {
    let cores = layout.cores;
    match (chosen, open_mpi) {
        ("srun", true) => format!("srun --mpi=pmix --kill-on-bad-exit=1 --cpus-per-task={cores}"),
        ("srun", false) => format!("srun --mpi=pmi2 --kill-on-bad-exit=1 --cpus-per-task={cores}"),
        ("mpiexec", true) => format!(
            "mpiexec --map-by ppr:{}:node:PE={cores} --bind-to core",
            layout.ranks
        ),
        // Hydra asks the scheduler where its ranks are to run.
        ("mpiexec", false) => format!("mpiexec -ppn {} -bind-to core:{cores}", layout.ranks),
        (own, _) => own.to_owned(),
    }
}

/// `framewise` where that is this program, else its path.
fn program() -> String {
    let this = std::env::current_exe().ok();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let first = std::env::split_paths(&path)
        .map(|folder| folder.join("framewise"))
        .find(|p| p.is_file());
    let same = first.and_then(|p| p.canonicalize().ok()) == this;
    match this {
        Some(this) if !same => quoted(&this.to_string_lossy()),
        _ => "framewise".into(),
    }
}

fn typed() -> String {
    let words = std::env::args().skip(1);
    let words: Vec<_> = words.map(|word| quoted(&word)).collect();
    format!("framewise {}", words.join(" "))
}

/// As a shell reads it, on one line.
fn quoted(word: &str) -> String {
    shlex::try_quote(word)
        .map_or_else(|_| word.to_owned(), Into::into)
        .replace('\n', " ")
}
