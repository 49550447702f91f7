//! Finds the group of frames in a file: H5MD, or an mbe-automation structure.

use std::path::Path;

use ::hdf5::{File, Group};

use crate::domain::error::{Error, Result};

/// Names of the positions in mbe-automation's groups: Å exists as one letter and as the unit sign.
const MBE_POSITIONS: [&str; 2] = ["positions (Å)", "positions (\u{212b})"];
/// Where a `FiniteSubsystem` keeps its structure.
const MBE_CLUSTER: &str = "cluster_of_molecules";
/// How deep to look for groups to suggest, and how many.
const SEARCH: (usize, usize) = (8, 10_000);

/// The convention of a group of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Convention {
    /// An H5MD particles group.
    H5md,
    /// An mbe-automation structure.
    Mbe,
}

/// The group that `key` names, or the only one there is.
pub fn locate(path: &Path, file: &File, key: Option<&str>) -> Result<(Group, Convention)> {
    let shown = path.display();
    if let Some(key) = key {
        let group = ["", "/particles/"]
            .iter()
            .find_map(|prefix| file.group(&format!("{prefix}{key}")).ok())
            .ok_or_else(|| {
                Error::failure(format!(
                    "{shown}: there is no group {key:?}; {}",
                    known(file)
                ))
            })?;
        recognise(&group).ok_or_else(|| {
            Error::failure(format!(
                "{shown}: group {key:?} holds no positions (H5MD: position/value; mbe-automation: \"positions (Å)\"); {}",
                known(file)
            ))
        })
    } else {
        let preferred = file.group(super::layout::PARTICLES).ok();
        if let Some(found) = preferred.as_ref().and_then(recognise) {
            return Ok(found);
        }
        let candidates = candidates(file);
        match &candidates[..] {
            [only] => recognise(only).ok_or_else(|| Error::failure(format!("{shown}: unreadable"))),
            [] => Err(Error::failure(format!(
                "{shown}: no frames found: dataset {}/value is missing and no group has \"positions (Å)\"",
                super::layout::POSITION
            ))),
            _ => Err(Error::failure(format!(
                "{shown}: holds several sets of frames; choose one with --key: {}",
                names(&candidates)
            ))),
        }
    }
}

/// The dataset of positions of an mbe-automation group.
pub fn mbe_positions(group: &Group) -> Option<::hdf5::Dataset> {
    MBE_POSITIONS
        .iter()
        .find_map(|name| group.dataset(name).ok())
}

fn recognise(group: &Group) -> Option<(Group, Convention)> {
    if mbe_positions(group).is_some() {
        return Some((group.clone(), Convention::Mbe));
    }
    if let Ok(cluster) = group.group(MBE_CLUSTER)
        && mbe_positions(&cluster).is_some()
    {
        return Some((cluster, Convention::Mbe));
    }
    group
        .link_exists("position")
        .then(|| (group.clone(), Convention::H5md))
}

/// Groups that hold frames, a bounded search.
fn candidates(file: &File) -> Vec<Group> {
    let mut found = Vec::new();
    let mut budget = SEARCH.1;
    if let Ok(root) = file.group("/") {
        search(&root, SEARCH.0, &mut budget, &mut found);
    }
    // The order in which files list their groups is nobody's.
    found.sort_by_key(|group| group.name());
    found
}

fn search(group: &Group, depth: usize, budget: &mut usize, found: &mut Vec<Group>) {
    if *budget == 0 {
        return;
    }
    *budget -= 1;
    if recognise(group).is_some() {
        found.push(group.clone());
        return;
    }
    if depth > 0 {
        for child in group.groups().unwrap_or_default() {
            search(&child, depth - 1, budget, found);
        }
    }
}

fn known(file: &File) -> String {
    let candidates = candidates(file);
    if candidates.is_empty() {
        return "the file holds no frames at all".into();
    }
    format!("the file has {}", names(&candidates))
}

fn names(groups: &[Group]) -> String {
    const SHOWN: usize = 8;
    let mut text: Vec<_> = groups
        .iter()
        .take(SHOWN)
        .map(|g| g.name().trim_start_matches('/').to_owned())
        .collect();
    if groups.len() > SHOWN {
        text.push(format!("and {} more", groups.len() - SHOWN));
    }
    text.join(", ")
}
