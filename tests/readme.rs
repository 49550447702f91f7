//! The transcript at the top of the README is what the program prints.

mod support;

use support::folder::Folder;
use support::launch::Launch;

/// Commands of the first console block, each with the lines that follow it.
fn transcript() -> Vec<(String, Vec<String>)> {
    let readme = include_str!("../README.md");
    let block = readme.split("```console\n").nth(1).unwrap();
    let block = block.split("```").next().unwrap().replace("\\\n", " ");
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    for line in block.lines() {
        match line.strip_prefix("$ ") {
            Some(command) => commands.push((command.to_owned(), Vec::new())),
            None => commands.last_mut().unwrap().1.push(line.to_owned()),
        }
    }
    commands
}

/// A line with every number as `#`: times differ from run to run.
fn without_numbers(line: &str) -> String {
    let number = |c: char| c.is_ascii_digit() || c == '.' || c == ',';
    let mut text = String::new();
    for (i, part) in line.split(' ').enumerate() {
        if i > 0 {
            text.push(' ');
        }
        let rest = part.trim_start_matches('(').trim_start_matches(number);
        let is_number = part.starts_with(|c: char| c.is_ascii_digit() || c == '(');
        text += if is_number { "#" } else { "" };
        text += if is_number { rest } else { part };
    }
    text
}

#[test]
fn the_transcript_is_what_happens() {
    let folder = Folder::new();
    folder.bring("argon.xyz");
    let commands = transcript();
    assert!(commands.len() >= 4, "{commands:?}");
    for (command, expected) in commands {
        let finished = Launch::shell(&command, &folder.path(".")).expect(0);
        let printed: Vec<_> = finished.stdout.lines().map(without_numbers).collect();
        let expected: Vec<_> = expected.iter().map(|line| without_numbers(line)).collect();
        assert_eq!(printed, expected, "{command}");
    }
    assert!(folder.path("train.extxyz").exists());
}
