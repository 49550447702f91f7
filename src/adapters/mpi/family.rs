//! The two large families of MPI: whose library this is, whose launcher that is.

use std::path::Path;

/// A family. Libraries and launchers of one do not know those of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Open MPI.
    OpenMpi,
    /// MPICH, and what is made from it: Intel MPI, Cray MPICH, MVAPICH.
    Mpich,
}

impl Family {
    /// From what a library or a launcher says of its version.
    pub fn of(text: &str) -> Option<Self> {
        let text = text.to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if says(&["open mpi", "openrte", "open-mpi", "prrte"]) {
            Some(Self::OpenMpi)
        } else if says(&["hydra", "mpich", "intel(r) mpi", "mvapich"]) {
            Some(Self::Mpich)
        } else {
            None
        }
    }

    /// From the file of a library: `libmpi.so.40` is Open MPI's, `libmpi.so.12` and `libmpich.so.12` are MPICH's.
    pub fn of_file(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        if let Some(version) = name.strip_prefix("libmpi.so") {
            let major = version.trim_start_matches('.').split('.').next()?;
            return match major.parse() {
                Ok(12u32) => Some(Self::Mpich),
                Ok(_) => Some(Self::OpenMpi),
                Err(_) => None,
            };
        }
        let of_mpich = ["libmpich.so", "libmpi_cray.so", "libmpi_gnu"];
        let known = of_mpich.iter().any(|start| name.starts_with(start));
        known.then_some(Self::Mpich)
    }

    /// The family of the library that this program runs with.
    pub fn ours() -> Option<Self> {
        Self::of(&super::library_version())
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenMpi => "Open MPI",
            Self::Mpich => "MPICH",
        }
    }

    /// How its programs are started.
    pub fn how_to_start(self) -> &'static str {
        match self {
            Self::OpenMpi => {
                "start it with Open MPI's mpiexec (Debian: mpiexec.openmpi), or under SLURM with srun --mpi=pmix"
            }
            Self::Mpich => {
                "start it with MPICH's mpiexec (Debian: mpiexec.hydra), or under SLURM with srun --mpi=pmi2"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_launchers_are_known_by_what_they_say() {
        for (text, family) in [
            ("mpiexec (OpenRTE) 4.1.4", Some(Family::OpenMpi)),
            ("mpirun (Open MPI) 5.0.3", Some(Family::OpenMpi)),
            ("Open MPI v4.1.4", Some(Family::OpenMpi)),
            ("HYDRA build details:", Some(Family::Mpich)),
            ("MPICH Version: 4.0.2", Some(Family::Mpich)),
            (
                "Intel(R) MPI Library for Linux* OS, Version 2021.9",
                Some(Family::Mpich),
            ),
            ("something else", None),
        ] {
            assert_eq!(Family::of(text), family, "{text}");
        }
    }

    #[test]
    fn libraries_are_known_by_their_files() {
        let of = |name: &str| Family::of_file(&Path::new("/usr/lib").join(name));
        assert_eq!(of("libmpi.so.40.30.4"), Some(Family::OpenMpi));
        assert_eq!(of("libmpi.so.12"), Some(Family::Mpich));
        assert_eq!(of("libmpich.so.12.2.1"), Some(Family::Mpich));
        assert_eq!(of("libmpi_mpifh.so.40"), None);
        assert_eq!(of("libhdf5_openmpi.so.103"), None);
    }
}
