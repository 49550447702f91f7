//! What Open MPI need not look for at its start: fabrics between nodes, where all ranks are on one. They talk through
//! shared memory then, and the search is most of what a short job would wait for.
//!
//! Whoever has said how ranks talk, user or site, is left alone: in the environment, on the launcher's command line (which
//! sets the same variables), or in a parameter file. Files that only exclude something, as Debian's does, leave the choice
//! open.

use std::path::PathBuf;

/// Variables, and what they are set to.
pub type Settings = Vec<(&'static str, &'static str)>;

/// How ranks talk, and which parameter files there are: whoever sets one of these chooses.
const CHOSEN: [&str; 6] = [
    "OMPI_MCA_pml",
    "OMPI_MCA_btl",
    "OMPI_MCA_mtl",
    "OMPI_MCA_mca_base_param_files",
    "OMPI_MCA_mca_base_param_file_prefix",
    "OMPI_MCA_mca_base_envar_file_prefix",
];
/// What a job on one node needs.
const NEEDED: [&str; 4] = ["ob1", "vader", "sm", "self"];

/// What to set for a job on one node, as far as `variable` and the texts of `files` leave it open.
pub fn settings(
    variable: impl Fn(&str) -> Option<String>,
    files: impl Iterator<Item = String>,
) -> Settings {
    if CHOSEN.iter().any(|name| variable(name).is_some()) {
        return Vec::new();
    }
    let mut settings = vec![
        ("OMPI_MCA_pml", "ob1"),
        ("OMPI_MCA_btl", "^openib,usnic,ofi,uct"),
    ];
    for text in files {
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let Some((name, value)) = line.split_once('=') else {
                continue;
            };
            let (name, value) = (name.trim(), value.trim());
            if !["pml", "btl", "mtl"].contains(&name) {
                continue;
            }
            let Some(excluded) = value.strip_prefix('^') else {
                return Vec::new();
            };
            if excluded.split(',').any(|one| NEEDED.contains(&one.trim())) {
                return Vec::new();
            }
            if name == "btl" {
                settings.retain(|(name, _)| *name != "OMPI_MCA_btl");
            }
        }
    }
    settings
}

/// The parameter files that Open MPI reads by itself, as far as their places are known: the user's, the distribution's, and
/// those of an installation that the environment names.
pub fn parameter_files(variable: impl Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let home = variable("HOME").map(|home| PathBuf::from(home).join(".openmpi/mca-params.conf"));
    let site = ["OPAL_PREFIX", "MPI_HOME", "EBROOTOPENMPI"]
        .into_iter()
        .filter_map(variable)
        .map(|prefix| PathBuf::from(prefix).join("etc/openmpi-mca-params.conf"));
    let system = ["/etc/openmpi", "/etc/openmpi-x86_64"]
        .into_iter()
        .map(|folder| PathBuf::from(folder).join("openmpi-mca-params.conf"));
    home.into_iter().chain(site).chain(system).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(set: &str, files: &[&str]) -> Vec<&'static str> {
        let variable = |name: &str| (name == set).then(|| "x".to_owned());
        let files = files.iter().map(|text| (*text).to_owned());
        let settings = settings(variable, files);
        settings.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn no_fabric_is_looked_for_unless_somebody_says_how_ranks_talk() {
        let all = ["OMPI_MCA_pml", "OMPI_MCA_btl"];
        assert_eq!(names("", &[]), all);
        assert_eq!(names("", &["# pml = ucx\nosc = ucx\n"]), all);
        for set in CHOSEN {
            assert_eq!(names(set, &[]), [""; 0], "{set}");
        }
        for file in [
            "pml = ucx",
            "btl=tcp,self",
            " mtl = psm2 # ours",
            "btl = ^vader",
            "pml=^ob1",
        ] {
            assert_eq!(names("", &["", file]), [""; 0], "{file}");
        }
    }

    #[test]
    fn files_that_exclude_something_are_heeded() {
        // Debian's.
        let file = "btl_base_warn_component_unused=0\nmtl = ^ofi\nbtl = ^uct,openib,ofi\npml = ^ucx\nosc = ^ucx,pt2pt\n";
        assert_eq!(names("", &[file]), ["OMPI_MCA_pml"]);
    }

    #[test]
    fn the_files_of_user_and_installation_are_found() {
        let variable = |name: &str| match name {
            "HOME" => Some("/home/me".to_owned()),
            "OPAL_PREFIX" => Some("/opt/ompi".to_owned()),
            _ => None,
        };
        let files = parameter_files(variable);
        assert_eq!(files[0], PathBuf::from("/home/me/.openmpi/mca-params.conf"));
        assert_eq!(
            files[1],
            PathBuf::from("/opt/ompi/etc/openmpi-mca-params.conf")
        );
        assert_eq!(files.len(), 4);
    }
}
