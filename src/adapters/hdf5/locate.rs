//! Finds the group of frames in a file: H5MD, or an mbe-automation structure.

use std::path::Path;

use ::hdf5::{File, Group};
use glob::{MatchOptions, Pattern};

use crate::domain::error::{Error, Result};

use super::text_attribute;

/// Names of the positions in mbe-automation's groups: Å exists as one letter and as the unit sign.
const MBE_POSITIONS: [&str; 2] = ["positions (Å)", "positions (\u{212b})"];
/// Where a `FiniteSubsystem` keeps its structure.
const MBE_CLUSTER: &str = "cluster_of_molecules";
/// Dataclasses of mbe-automation whose structures are parts of something else: nobody's frames, unless they are named.
const COMPOSITE: [&str; 2] = ["MolecularCrystal", "ForceConstants"];
/// How deep to look for groups.
const DEPTH: usize = 16;
/// How many groups to look at for those to suggest, and for those that patterns may mean.
const SUGGESTED: usize = 10_000;
const MEANT: usize = 1_000_000;

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
        let candidates = candidates(file, SUGGESTED);
        match &candidates[..] {
            [only] => recognise(only).ok_or_else(|| Error::failure(format!("{shown}: unreadable"))),
            [] => Err(Error::failure(format!(
                "{shown}: no frames found: dataset {}/value is missing and no group has \"positions (Å)\"",
                super::layout::POSITION
            ))),
            _ => Err(Error::failure(format!(
                "{shown}: holds several sets of frames; choose one with --key: {}; or several with --keys 'PATTERN' ('**': all)",
                names(&candidates)
            ))),
        }
    }
}

/// The groups with frames whose names one of `patterns` is or matches, each once, in the order of their names: `*` within a
/// name, `**` across them.
pub fn matching(path: &Path, file: &File, patterns: &[String]) -> Result<Vec<(Group, Convention)>> {
    let shown = path.display();
    let all = every(file);
    let mut wanted = vec![false; all.len()];
    for pattern in patterns {
        // Names may have stars in them: one that is there is meant as it is.
        let literal = pattern.trim_matches('/');
        let glob = Pattern::new(&stars_only(literal))
            .map_err(|e| Error::usage(format!("--keys {pattern}: {}", e.msg)));
        let plain: Vec<_> = all.iter().map(|(group, _)| plain_name(group)).collect();
        let mut found = false;
        let is_there = plain.iter().any(|name| is_named(name, literal));
        for (name, wanted) in plain.iter().zip(&mut wanted) {
            let meant = if is_there {
                is_named(name, literal)
            } else {
                let glob = glob.as_ref().map_err(Clone::clone)?;
                let matches = |name: &str| glob.matches_with(name, BY_PARTS);
                matches(name) || outer_name(name).is_some_and(matches)
            };
            found |= meant;
            *wanted |= meant;
        }
        if !found {
            return Err(Error::failure(format!(
                "{shown}: --keys {pattern:?} matches no group; {}",
                known(file)
            )));
        }
    }
    let groups = all.into_iter().zip(wanted);
    Ok(groups
        .filter_map(|(group, wanted)| wanted.then_some(group))
        .collect())
}

/// All groups with frames, in the order of their names.
pub fn every(file: &File) -> Vec<(Group, Convention)> {
    let all = candidates(file, MEANT);
    all.iter().filter_map(recognise).collect()
}

/// `*` stays within the name of a group.
const BY_PARTS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// Names such as `cluster[dyn:T=260.00]` are those of groups: of what means something in patterns only `*` does here.
fn stars_only(pattern: &str) -> String {
    let mut escaped = String::with_capacity(pattern.len());
    for letter in pattern.chars() {
        if matches!(letter, '?' | '[' | ']') {
            escaped.extend(['[', letter, ']']);
        } else {
            escaped.push(letter);
        }
    }
    escaped
}

/// The name of a group as people type it.
fn plain_name(group: &Group) -> String {
    group.name().trim_start_matches('/').to_owned()
}

/// Whether `key` names the group, with or without H5MD's `particles` and the last part of a `FiniteSubsystem`.
fn is_named(name: &str, key: &str) -> bool {
    name == key || name.strip_prefix("particles/") == Some(key) || outer_name(name) == Some(key)
}

/// The name of the `FiniteSubsystem` that the group is the structure of.
fn outer_name(name: &str) -> Option<&str> {
    name.strip_suffix(MBE_CLUSTER)?.strip_suffix('/')
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

/// Groups that hold frames, of the first `most` groups there are.
fn candidates(file: &File, most: usize) -> Vec<Group> {
    let mut found = Vec::new();
    let mut budget = most;
    if let Ok(root) = file.group("/") {
        search(&root, DEPTH, &mut budget, &mut found);
    }
    // The order in which files list their groups is nobody's.
    found.sort_by_cached_key(|group| group.name());
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
    let composite = text_attribute(group, "dataclass");
    if depth == 0 || composite.is_some_and(|class| COMPOSITE.contains(&class.as_str())) {
        return;
    }
    // By name: of what it has opened in another way HDF5 finds the name by a walk through the whole file.
    for name in group.member_names().unwrap_or_default() {
        if let Ok(child) = group.group(&name) {
            search(&child, depth - 1, budget, found);
        }
    }
}

fn known(file: &File) -> String {
    let candidates = candidates(file, SUGGESTED);
    if candidates.is_empty() {
        return "the file holds no frames at all".into();
    }
    format!("the file has {}", names(&candidates))
}

fn names(groups: &[Group]) -> String {
    const SHOWN: usize = 8;
    let mut text: Vec<_> = groups.iter().take(SHOWN).map(plain_name).collect();
    if groups.len() > SHOWN {
        text.push(format!("and {} more", groups.len() - SHOWN));
    }
    text.join(", ")
}
