//! What a disk may hold after the power has failed, from a log of what a program did (`tap.rs`).
//!
//! What was synced is there. Of what was done to a file since its last sync, any part may be there: any subset of the
//! writes, the last of them by half. Likewise names: until the folder is synced, each creation, rename, link and
//! removal may or may not have happened.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use xxhash_rust::xxh3::Xxh3Default;

use super::tap::Event;
use super::torture::Dice;

/// Up to so many events without a sync, every subset is a state of its own.
const ALL_SUBSETS: usize = 4;

/// Names and contents of files.
#[derive(Clone, Debug, Default)]
pub struct State {
    names: BTreeMap<String, u64>,
    contents: BTreeMap<u64, Vec<u8>>,
}

impl State {
    /// What is there before the program begins: these files of a folder.
    pub fn of(folder: &Path, names: &[&str]) -> Self {
        let mut state = Self::default();
        for name in names {
            let path = folder.join(name);
            let inode = fs::metadata(&path).unwrap().ino();
            state.names.insert((*name).to_owned(), inode);
            state.contents.insert(inode, fs::read(path).unwrap());
        }
        state
    }

    /// Puts the files into a folder.
    pub fn write_to(&self, folder: &Path) {
        for (name, inode) in &self.names {
            let nothing = Vec::new();
            let bytes = self.contents.get(inode).unwrap_or(&nothing);
            fs::write(folder.join(name), bytes).unwrap();
        }
    }

    /// The same number for the same names and contents.
    pub fn hash(&self) -> u64 {
        let mut hash = Xxh3Default::new();
        for (name, inode) in &self.names {
            hash.update(name.as_bytes());
            hash.update(b"/");
            if let Some(bytes) = self.contents.get(inode) {
                hash.update(&(bytes.len() as u64).to_ne_bytes());
                hash.update(bytes);
            }
        }
        hash.digest()
    }

    /// What comes of an event of which `part` of the bytes arrive.
    fn take(&mut self, event: &Event, part: usize) {
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        match event.kind {
            'c' => {
                self.names.insert(name(&event.path), event.inode);
            }
            'w' | 'a' => {
                let content = self.contents.entry(event.inode).or_default();
                let length = if event.kind == 'w' {
                    part
                } else {
                    event.length as usize
                };
                let (from, to) = (event.offset as usize, event.offset as usize + length);
                if length > 0 && content.len() < to {
                    content.resize(to, 0);
                }
                if event.kind == 'w' {
                    content[from..to].copy_from_slice(&event.bytes[..part]);
                }
            }
            't' => {
                let content = self.contents.entry(event.inode).or_default();
                content.resize(event.offset as usize, 0);
            }
            'r' => {
                self.names.remove(&name(&event.path));
                self.names.insert(name(&event.second), event.inode);
            }
            'l' => {
                self.names.insert(name(&event.second), event.inode);
            }
            'u' => {
                let name = name(&event.path);
                if self.names.get(&name) == Some(&event.inode) {
                    self.names.remove(&name);
                }
            }
            _ => {}
        }
    }
}

/// Does an event change a folder, not only a file?
fn is_of_names(event: &Event) -> bool {
    "crlu".contains(event.kind)
}

/// The disk while the program runs.
#[derive(Clone, Debug)]
pub struct Disk {
    /// What would be there for certain.
    pub synced: State,
    /// What happened since, in order.
    pending: Vec<Event>,
}

impl Disk {
    /// Before the program begins; all of it has long been synced.
    pub fn with(synced: State) -> Self {
        Self {
            synced,
            pending: Vec::new(),
        }
    }

    /// The next event of the log.
    pub fn take(&mut self, event: &Event) {
        if event.kind == 'c' && event.truncated {
            // The name is the folder's business, the length the file's.
            let (kind, offset) = ('t', 0);
            let emptied = Event {
                kind,
                offset,
                ..event.clone()
            };
            self.pending.push(emptied);
        }
        if event.kind != 's' {
            return self.pending.push(event.clone());
        }
        let above = |earlier: &Event| earlier.path.parent() == Some(&event.path);
        let folder = self.pending.iter().any(above);
        let (arrived, pending): (Vec<_>, Vec<_>) = self.pending.drain(..).partition(|earlier| {
            if is_of_names(earlier) {
                folder
            } else {
                earlier.inode == event.inode
            }
        });
        self.pending = pending;
        for earlier in &arrived {
            self.synced.take(earlier, earlier.bytes.len());
        }
    }

    /// States that the disk may be in if the power fails now: all subsets of what is pending where that is little;
    /// else nothing, everything, each beginning, each event alone, all but one, one of them by half with none and with
    /// all of the others, and `random` subsets.
    pub fn states(&self, random: usize, dice: &mut Dice) -> Vec<State> {
        let n = self.pending.len();
        let mut choices: Vec<Vec<u8>> = Vec::new();
        if n <= ALL_SUBSETS {
            choices.extend((0..1 << n).map(|mask: u32| {
                (0..n)
                    .map(|i| if mask & (1 << i) == 0 { 0 } else { 2 })
                    .collect()
            }));
        } else {
            for i in 0..n {
                let only = |there: u8, others: u8| {
                    (0..n)
                        .map(|k| if k == i { there } else { others })
                        .collect::<Vec<_>>()
                };
                choices.push((0..n).map(|k| if k < i { 2 } else { 0 }).collect());
                choices.push(only(2, 0));
                choices.push(only(0, 2));
            }
            choices.push(vec![2; n]);
            choices.extend((0..random).map(|_| (0..n).map(|_| 2 * dice.below(2) as u8).collect()));
        }
        for i in (0..n).filter(|i| self.pending[*i].bytes.len() > 1) {
            for others in [0, 2] {
                choices.push((0..n).map(|k| if k == i { 1 } else { others }).collect());
            }
        }
        choices
            .iter()
            .map(|choice| self.with_these(choice))
            .collect()
    }

    /// Of each pending event nothing (0), half (1) or all (2) has arrived.
    fn with_these(&self, choice: &[u8]) -> State {
        let mut state = self.synced.clone();
        for (event, part) in self.pending.iter().zip(choice) {
            let bytes = event.bytes.len();
            match part {
                0 => {}
                1 => state.take(event, bytes / 2),
                _ => state.take(event, bytes),
            }
        }
        state
    }
}
