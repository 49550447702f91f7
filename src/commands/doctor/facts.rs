//! What every rank knows of itself, and one rank of each node of its node.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::adapters::calculators;
use crate::adapters::cores::Given;
use crate::adapters::file_system::{self, Kind};
use crate::adapters::hdf5::ffi::library_version as hdf5_version;
use crate::adapters::mpi::{self, family::Family};
use crate::adapters::{machine, owner, peek, quota};
use crate::domain::calculator::Availability;
use crate::planning::cores::Berth;

/// What a rank knows of itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct RankFacts {
    /// Its node, as people call it.
    pub node: String,
    /// Tells machines apart, whatever their names.
    pub machine: u64,
    /// Cores it may use; none where that is not known.
    pub cores: Vec<usize>,
    /// Cores in the machine.
    pub online: usize,
    /// As [`Berth::to_row`].
    pub berth: Vec<f64>,
    /// A bound on processor time in cores, and where it is set.
    pub quota: Option<(f64, String)>,
}

impl RankFacts {
    /// Of this rank.
    pub fn find() -> Self {
        let given = Given::find();
        let berth = given.berth(None);
        let mut cores = given.cores;
        cores.sort_unstable();
        Self {
            node: node(),
            machine: berth.machine,
            cores,
            online: given.online,
            berth: berth.to_row().to_vec(),
            quota: given
                .quota
                .map(|(cores, group)| (cores, group.display().to_string())),
        }
    }

    /// What it finds of cores, as `run` tells the other ranks.
    pub fn berth(&self) -> Berth {
        Berth::from_row(&self.berth)
    }
}

/// SLURM's name of this node where it has one of its own, else the host's.
fn node() -> String {
    let told = std::env::var("SLURMD_NODENAME").ok();
    let told = told.filter(|name| !name.is_empty());
    told.unwrap_or_else(owner::host)
}

/// Variables that say how many threads an engine starts.
pub(super) const THREADS: [&str; 3] =
    ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"];

/// What is the same for all ranks of a node.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct NodeFacts {
    /// The program's version, what tells its file from others, and where it is.
    pub version: String,
    pub hash: u64,
    pub path: String,
    /// Of the libraries.
    pub mpi: String,
    pub hdf5: String,
    /// Files of MPI libraries in this process, and of HDF5's.
    pub mpi_files: Vec<String>,
    pub hdf5_files: Vec<String>,
    pub kernel: String,
    pub processor: String,
    /// Names and values.
    pub threads: Vec<(String, String)>,
    /// Bytes, all and free.
    pub memory: Option<(u64, u64)>,
    /// `/dev/shm`: bytes, all and free.
    pub shared_memory: Option<(u64, u64)>,
    pub in_container: bool,
    /// Why processes may not read each other's memory.
    pub peek: Option<String>,
    pub engines: Vec<Engine>,
    pub folder: FolderFacts,
}

/// A calculator on a node.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Engine {
    pub name: String,
    pub there: bool,
    /// With which library, or why not.
    pub text: String,
}

impl NodeFacts {
    /// Of this node.
    pub fn find(folder: &Path) -> Self {
        let (major, minor, patch) = hdf5_version();
        let (hash, path) = machine::program().unwrap_or_default();
        let libraries = machine::mapped_libraries();
        let files = |wanted: &dyn Fn(&Path) -> bool| {
            let files = libraries.iter().filter(|path| wanted(path));
            files.map(|path| path.display().to_string()).collect()
        };
        let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| "unset".into());
        let kernel = rustix::system::uname();
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hash,
            path: path.display().to_string(),
            mpi: mpi::library_version(),
            hdf5: format!("{major}.{minor}.{patch}"),
            mpi_files: files(&|path| Family::of_file(path).is_some()),
            hdf5_files: files(&is_hdf5),
            kernel: [kernel.sysname(), kernel.release(), kernel.machine()]
                .map(|part| part.to_string_lossy().into_owned())
                .join(" "),
            processor: machine::processor_name(),
            threads: THREADS
                .map(|name| (name.to_owned(), variable(name)))
                .to_vec(),
            memory: machine::memory(),
            shared_memory: machine::file_system(Path::new("/dev/shm"))
                .ok()
                .map(|disk| (disk.size, disk.free)),
            in_container: peek::in_container(),
            peek: peek::allowed().err().map(|e| e.to_string()),
            engines: engines(),
            folder: FolderFacts::find(folder),
        }
    }
}

/// The library of HDF5 itself, in one of its flavours, not those beside it (`libhdf5_hl`).
fn is_hdf5(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let flavours = ["", "_openmpi", "_mpich", "_serial", "_parallel"];
    let mut names = flavours
        .iter()
        .map(|flavour| format!("libhdf5{flavour}.so"));
    names.any(|start| name.starts_with(&start))
}

fn engines() -> Vec<Engine> {
    let all = calculators::all().into_iter().map(|kind| {
        let (there, text) = match (kind.availability)() {
            Availability::Available(with) => (true, with),
            Availability::Missing(why) => (false, why),
        };
        Engine {
            name: kind.name.to_owned(),
            there,
            text,
        }
    });
    all.collect()
}

/// The folder of results as a node sees it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct FolderFacts {
    pub shown: String,
    /// Why it cannot be looked at.
    pub missing: Option<String>,
    /// The type of its file system as the kernel calls it.
    pub kind: String,
    /// The number of that type.
    pub magic: u64,
    pub options: String,
    pub free: u64,
    pub size: u64,
    /// How new files are striped, on Lustre.
    pub stripes: Option<String>,
    /// Why nothing can be written there.
    pub unwritable: Option<String>,
    /// Who says so, bytes used, bytes allowed.
    pub quota: Option<(String, u64, u64)>,
}

impl FolderFacts {
    fn find(folder: &Path) -> Self {
        let shown = folder.display().to_string();
        let looked = machine::file_system(folder).and_then(|disk| {
            let there = rustix::fs::statfs(folder)?;
            Ok((disk, there.f_type as u64))
        });
        let (disk, magic) = match looked {
            Ok(found) => found,
            Err(e) => {
                return Self {
                    shown,
                    missing: Some(e.to_string()),
                    ..Self::default()
                };
            }
        };
        let quota = quota::of(folder, Kind::of_magic(magic), &disk);
        Self {
            shown,
            missing: None,
            kind: disk.kind.clone(),
            magic,
            options: disk.options.clone(),
            free: disk.free,
            size: disk.size,
            stripes: (Kind::of_magic(magic) == Kind::Lustre)
                .then(|| file_system::stripes(folder))
                .flatten(),
            unwritable: machine::can_write(folder).err().map(|e| e.to_string()),
            quota: quota.map(|q| (q.by.to_owned(), q.used, q.limit)),
        }
    }

    /// As far as writing in parallel is concerned.
    pub fn kind(&self) -> Kind {
        Kind::of_magic(self.magic)
    }
}
