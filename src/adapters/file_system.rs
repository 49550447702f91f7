//! Which file system holds a folder, and which MPI-IO hints suit it.
//!
//! Hints are wishes: an MPI-IO layer takes the keys it knows and ignores the others. Keys that begin with `romio_` are
//! ROMIO's (MPICH, Intel MPI, Cray MPI, Open MPI with `--mca io romio321`; users' guide, "Hints"), `cb_buffer_size` and
//! `cb_nodes` are known to Open MPI's own layer too (FAQ, "Tuning the OMPIO parallel I/O component"), which has parameters
//! of its own besides, for the environment.
//!
//! | file system | hints | why |
//! |---|---|---|
//! | every one | `romio_ds_write=disable` | data sieving reads and rewrites what lies between the rows: rows of other frames |
//! | Lustre | `romio_cb_write=enable`, `romio_lustre_ds_in_coll=disable`, `cb_buffer_size=16777216` | writers own whole stripes, so that their locks do not meet, and holes are left alone; four stripes of 4 MiB, the default of current Lustre |
//! | every other | `romio_cb_write=disable` | the ranks of a node have brought their rows together already; a second exchange would rewrite the holes |
//! | GPFS | `IBM_largeblock_io=true` too | rows come in long runs: no prefetching of what lies around them (IBM's MPI) |
//!
//! No stripes are chosen: most sites have a layout that grows with the file, and asking for a number of stripes would end
//! that. `striping_factor` and `striping_unit` of the user act in the moment in which a result is made.

use std::path::Path;

use crate::adapters::environment;
use crate::adapters::walltime::output_of;

/// A kind of file system, as far as writing in parallel is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Lustre: a file is striped over servers; a stripe is locked by one client at a time.
    Lustre,
    /// GPFS (IBM Storage Scale): blocks are locked by one node at a time.
    Gpfs,
    /// `BeeGFS`: striped, without locks between clients.
    BeeGfs,
    /// NFS: one server; clients see what others wrote when they open the file.
    Nfs,
    /// A disk of this machine.
    Local(&'static str),
    /// Memory.
    Tmpfs,
    /// A container's layers over something else.
    Overlay,
    /// None of these.
    Unknown,
}

/// One hint and its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    /// Key of `MPI_Info`.
    pub key: &'static str,
    /// Its value.
    pub value: &'static str,
    /// For whom looks why.
    pub why: &'static str,
}

impl Kind {
    /// From the number that `statfs` gives (statfs(2); `LL_SUPER_MAGIC` of Lustre, `GPFS_SUPER_MAGIC` of ROMIO's
    /// `ad_fstype.c`, `BEEGFS_MAGIC` of `BeeGFS`'s client).
    pub fn of_magic(magic: u64) -> Self {
        // Some kernels give the number as a signed one of 32 bits.
        match magic & 0xffff_ffff {
            0x0bd0_0bd0 => Self::Lustre,
            0x4750_4653 => Self::Gpfs,
            0x1983_0326 => Self::BeeGfs,
            0x6969 => Self::Nfs,
            0xef53 => Self::Local("ext4"),
            0x5846_5342 => Self::Local("xfs"),
            0x9123_683e => Self::Local("btrfs"),
            0x2fc1_2fc1 => Self::Local("zfs"),
            0x0102_1994 | 0x8584_58f6 => Self::Tmpfs,
            0x794c_7630 => Self::Overlay,
            _ => Self::Unknown,
        }
    }

    /// Of the file system that holds `path`.
    pub fn of(path: &Path) -> std::io::Result<Self> {
        let disk = rustix::fs::statfs(path)?;
        Ok(Self::of_magic(disk.f_type as u64))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lustre => "Lustre",
            Self::Gpfs => "GPFS",
            Self::BeeGfs => "BeeGFS",
            Self::Nfs => "NFS",
            Self::Local(name) => name,
            Self::Tmpfs => "tmpfs",
            Self::Overlay => "overlay",
            Self::Unknown => "an unknown file system",
        }
    }

    /// The hints that suit it.
    pub fn hints(self) -> Vec<Hint> {
        let hint = |key, value, why| Hint { key, value, why };
        let mut hints = vec![hint(
            "romio_ds_write",
            "disable",
            "only rows of this commit are written, never what lies between them",
        )];
        if self == Self::Lustre {
            hints.extend([
                hint(
                    "romio_cb_write",
                    "enable",
                    "each writer owns whole stripes, so that locks do not meet",
                ),
                hint(
                    "romio_lustre_ds_in_coll",
                    "disable",
                    "holes between rows are left alone",
                ),
                hint(
                    "cb_buffer_size",
                    "16777216",
                    "four stripes of 4 MiB at once",
                ),
            ]);
        } else {
            if self == Self::Gpfs {
                hints.push(hint(
                    "IBM_largeblock_io",
                    "true",
                    "rows come in long runs, what lies around them is not wanted",
                ));
            }
            hints.push(hint(
                "romio_cb_write",
                "disable",
                "the ranks of a node have brought their rows together already",
            ));
        }
        hints
    }

    /// What to know of it that hints cannot mend, and what a user can do.
    pub fn advice(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Lustre => Some((
                "results of more than 1 GB want several stripes",
                "lfs setstripe -c 8 -S 4M FOLDER, or for one result run --hint striping_factor=8 --hint striping_unit=4194304",
            )),
            Self::Nfs => Some((
                "MPI-IO on NFS is slow, and clients of several nodes see what others wrote only with its mount option noac",
                "put results on a parallel file system; for several nodes have it mounted with noac, or use one node",
            )),
            Self::Tmpfs => Some((
                "tmpfs is memory: what is there counts as memory of the node, other nodes do not see it, and it is gone after a reboot",
                "name a folder on a disk, or copy the result before the job ends",
            )),
            Self::Overlay => Some((
                "a container's own layer: results go away with the container, and other nodes do not see them",
                "mount a folder of the host: docker run -v /scratch/me:/data, apptainer --bind /scratch/me:/data",
            )),
            _ => None,
        }
    }

    /// Whether several machines may see it.
    pub fn is_shared(self) -> bool {
        matches!(self, Self::Lustre | Self::Gpfs | Self::BeeGfs | Self::Nfs)
    }

    /// What a sync, of which a commit makes two, reaches there.
    pub fn sync(self) -> &'static str {
        match self {
            Self::Tmpfs => "reaches memory alone: nothing of it outlives the machine",
            Self::Nfs => "reaches the server, which keeps it when the node is lost",
            Self::Lustre | Self::Gpfs | Self::BeeGfs => {
                "reaches the servers of the file system, which keep it when the node is lost"
            }
            Self::Local(_) => {
                "reaches the disk, and outlives a loss of power where the disk's own cache does"
            }
            Self::Overlay => "reaches the disk below the container's layers",
            Self::Unknown => "reaches what this file system takes for a disk",
        }
    }
}

/// How files of a folder on Lustre are striped, as `lfs` says it; `None` where it is not there.
pub fn stripes(folder: &Path) -> Option<String> {
    let mut command = environment::command("lfs");
    let told = output_of(command.args(["getstripe", "-d"]).arg(folder))?;
    Some(told.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Who heeds which hints in an MPI library of this version text.
pub fn heeded_by(library: &str) -> &'static str {
    if library.contains("Open MPI") {
        "Open MPI's OMPIO heeds cb_nodes and cb_buffer_size, and its own parameters from the environment \
         (OMPI_MCA_io_ompio_num_aggregators=N, OMPI_MCA_io_ompio_bytes_per_agg=BYTES, OMPI_MCA_fcoll=vulcan...); \
         with OMPI_MCA_io=romio321 (^ompio in 5.0) ROMIO heeds all of them"
    } else {
        "ROMIO heeds all of them; ROMIO_PRINT_HINTS=1 prints those in force"
    }
}

/// The hints that suit the file system of `folder`, and those of the user, who wins.
pub fn hints(folder: &Path, user: &[(String, String)]) -> Vec<(String, String)> {
    let kind = Kind::of(folder).unwrap_or(Kind::Unknown);
    let ours = kind.hints().into_iter();
    let ours = ours.map(|hint| (hint.key.to_owned(), hint.value.to_owned()));
    let free = ours.filter(|(key, _)| user.iter().all(|(given, _)| given != key));
    free.chain(user.iter().cloned()).collect()
}

/// Keys whose value is a number of something. Some MPI-IO layers divide by it, or allocate it, without a look.
const COUNTS: [&str; 5] = [
    "cb_nodes",
    "cb_buffer_size",
    "cb_block_size",
    "striping_factor",
    "striping_unit",
];
/// Every MPI library takes keys and values that are shorter than these (`MPI_MAX_INFO_KEY` is 36 in Open MPI and 255 in
/// MPICH, `MPI_MAX_INFO_VAL` 256 and 1024); on longer ones some end the job.
const LONGEST: (usize, usize) = (36, 256);

/// What is wrong with a hint, and what to write.
pub fn defect(key: &str, value: &str) -> Option<String> {
    if value.is_empty() {
        return Some("write it as key=value".into());
    }
    if key.len() >= LONGEST.0 || value.len() >= LONGEST.1 {
        let (key, value) = (LONGEST.0 - 1, LONGEST.1 - 1);
        return Some(format!(
            "MPI takes keys of up to {key} characters and values of up to {value}"
        ));
    }
    let counted = COUNTS.contains(&key);
    let positive = value.parse::<i32>().is_ok_and(|n| n > 0);
    (counted && !positive).then(|| format!("{key} is a whole number from 1 to {}", i32::MAX))
}

/// Those of `hints` that a file system heeds only while a file is made (MPI 4.0, section 14.2.8, and ROMIO's users' guide).
pub fn of_creation(hints: &[(String, String)]) -> Vec<(String, String)> {
    let heeded = |key: &str| key.starts_with("striping_") || key.ends_with("start_iodevice");
    let hints = hints.iter().filter(|(key, _)| heeded(key));
    hints.cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_are_known_by_their_numbers() {
        for (magic, name) in [
            (0x0bd0_0bd0, "Lustre"),
            (0x4750_4653, "GPFS"),
            (0x1983_0326, "BeeGFS"),
            (0x6969, "NFS"),
            (0xef53, "ext4"),
            (0x5846_5342, "xfs"),
            (0x9123_683e, "btrfs"),
            // As a signed number of 32 bits, made longer.
            (0xffff_ffff_9123_683e, "btrfs"),
            (0x0102_1994, "tmpfs"),
            (0x794c_7630, "overlay"),
            (42, "an unknown file system"),
        ] {
            assert_eq!(Kind::of_magic(magic).name(), name, "{magic:#x}");
        }
        assert!(Kind::of(Path::new("/dev/shm")).is_ok());
        assert!(Kind::of(Path::new("/no/such/folder")).is_err());
    }

    #[test]
    fn no_choice_rewrites_what_lies_between_rows() {
        for magic in [0x0bd0_0bd0, 0x4750_4653, 0x1983_0326, 0x6969, 0xef53, 42] {
            let hints = Kind::of_magic(magic).hints();
            let value = |key| hints.iter().find(|h| h.key == key).map(|h| h.value);
            assert_eq!(value("romio_ds_write"), Some("disable"));
            let holes_left_alone = value("romio_cb_write") == Some("disable")
                || value("romio_lustre_ds_in_coll") == Some("disable");
            assert!(holes_left_alone, "{magic:#x}");
        }
    }

    #[test]
    fn the_user_wins() {
        let given = vec![
            ("romio_cb_write".to_owned(), "enable".to_owned()),
            ("cb_nodes".to_owned(), "4".to_owned()),
        ];
        let all = hints(Path::new("."), &given);
        let values = |key: &str| -> Vec<_> {
            let pairs = all.iter().filter(|(k, _)| k == key);
            pairs.map(|(_, v)| v.as_str()).collect()
        };
        assert_eq!(values("romio_cb_write"), ["enable"]);
        assert_eq!(values("cb_nodes"), ["4"]);
        assert_eq!(values("romio_ds_write"), ["disable"]);
    }
}
