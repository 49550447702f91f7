//! The floors of the house: a room may use only the floors below it, `unsafe` lives in small FFI rooms, and files
//! stay small enough to hold in the head.

use std::fs;
use std::path::{Path, PathBuf};

/// Every source file with its text.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(found.len() > 40, "the sources are there");
    found
}

/// Lines of code without comments and doc examples.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(i, line)| (i + 1, line.split("//").next().unwrap_or("")))
}

fn floor(path: &Path) -> String {
    let inside = path
        .strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
        .unwrap();
    inside
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_string_lossy()
        .into_owned()
}

/// The outside world, as it appears in paths.
const OUTSIDE: [&str; 9] = [
    "mpi::",
    "mpi_sys",
    "hdf5::",
    "hdf5_sys",
    "libloading",
    "chemfiles",
    "clap::",
    "indicatif",
    "rustix::",
];
/// Floors, lowest first.
const FLOORS: [&str; 5] = ["domain", "planning", "engine", "adapters", "commands"];

/// Words that a floor must not use: the floors above it and, up to the engine, the outside.
fn forbidden(floor: &str) -> Vec<String> {
    let Some(level) = FLOORS.iter().position(|f| *f == floor) else {
        // lib.rs and main.rs only name the floors.
        return OUTSIDE.map(str::to_owned).to_vec();
    };
    let outside: &[&str] = match floor {
        "adapters" => &["clap::"],
        "commands" => &["mpi_sys", "hdf5_sys", "libloading"],
        _ => &OUTSIDE,
    };
    let above = FLOORS[level + 1..].iter().map(|f| format!("crate::{f}"));
    outside
        .iter()
        .map(|w| (*w).to_owned())
        .chain(above)
        .collect()
}

#[test]
fn rooms_use_only_the_floors_below() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let words = forbidden(&floor(&path));
        for (number, line) in code(&text) {
            for word in &words {
                let found = line.match_indices(word.as_str()).any(|(at, _)| {
                    // `xmpi::` is not `mpi::`.
                    !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_')
                });
                if found {
                    wrong.push(format!("{}:{number}: {word}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn unsafe_lives_in_ffi_rooms_and_every_block_says_why_it_is_safe() {
    let mut rooms = 0;
    for (path, text) in sources() {
        let lines: Vec<_> = text.lines().collect();
        let uses: Vec<_> = code(&text)
            .filter(|(_, line)| {
                line.split(|c: char| !c.is_alphanumeric() && c != '_')
                    .any(|w| w == "unsafe")
            })
            .map(|(number, _)| number)
            .collect();
        if uses.is_empty() {
            continue;
        }
        rooms += 1;
        let name = path.file_name().unwrap().to_string_lossy();
        let in_ffi = path.parent().is_some_and(|folder| folder.ends_with("ffi"));
        let small_room = in_ffi || name == "ffi.rs" || name == "environment.rs";
        assert!(
            small_room && floor(&path) == "adapters",
            "{}: unsafe outside its rooms",
            path.display()
        );
        for number in uses {
            let line = lines[number - 1];
            let declaration = line.contains("extern")
                || line.contains("unsafe fn")
                || line.trim_start().starts_with("pub unsafe");
            let explained = (number.saturating_sub(8)..number).any(|i| lines[i].contains("SAFETY"));
            assert!(
                declaration || explained,
                "{}:{number}: no SAFETY line above {line}",
                path.display()
            );
        }
    }
    assert!(rooms > 0, "the rooms with unsafe are found");
}

/// See `environment::command`.
#[test]
fn other_programs_are_started_in_the_environment_of_the_user() {
    let started: Vec<_> = sources()
        .into_iter()
        .filter(|(path, text)| !path.ends_with("environment.rs") && text.contains("Command::new("))
        .map(|(path, _)| path)
        .collect();
    assert!(started.is_empty(), "Command::new in {started:?}");
}

#[test]
fn files_stay_small() {
    let long: Vec<_> = sources()
        .into_iter()
        .filter(|(_, text)| text.lines().count() > 600)
        .map(|(path, _)| path)
        .collect();
    assert!(long.is_empty(), "over 600 lines: {long:?}");
}
