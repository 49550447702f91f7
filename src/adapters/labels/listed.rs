//! Labels in extended XYZ: keys of the comment line and columns of the atoms.

use std::path::{Path, PathBuf};

use super::names::{Names, What};
use super::{BLOCK_ATOMS, BLOCK_FRAMES, Labels, Tally, Which, named};
use crate::adapters::cores::Given;
use crate::adapters::extxyz::reader::ExtxyzReader;
use crate::adapters::source::values::Values;
use crate::adapters::source::{Detail, FrameStream as _, Key, SourceFrame};
use crate::adapters::trajectory_files::Hints;
use crate::adapters::trajectory_files::ahead::Ahead;
use crate::domain::error::{Error, Result};
use crate::domain::frame::Frame;
use crate::domain::label::tensor_from;

/// The key in which `framewise export` says which frame it was.
const INDEX: &str = "frame";
/// Threads that read text; more are waited for.
const READERS: usize = 4;

/// Frames of a text file, one after the other.
pub struct Listed {
    path: PathBuf,
    stream: Ahead,
    energy: String,
    forces: Option<String>,
    /// Not every frame needs to have one: the first that has it tells its name.
    stress: Option<String>,
    has_index: bool,
    tally: Tally,
    ended: bool,
}

impl Listed {
    /// Opens a file; the first frame that has an energy tells what labels are called.
    pub fn open(path: &Path, which: &Which) -> Result<Self> {
        let wrong = named(path);
        let mut reader = ExtxyzReader::open(path)?;
        let mut frame = SourceFrame::default();
        // Of the first frame, which is what people look at.
        let mut refused = None;
        let (energy, forces) = loop {
            if !reader.read(&mut frame, Detail::Full)? {
                let nothing = || "holds no frame, expected at least one".into();
                return Err(wrong(refused.unwrap_or_else(nothing)));
            }
            match energy_and_forces(&which.names, &frame) {
                Ok(found) => break found,
                Err(why) => {
                    refused.get_or_insert(why);
                }
            }
        };
        let threads = Given::find().count().min(READERS);
        Ok(Self {
            stream: Ahead::open(path, &Hints::default(), Detail::Full, threads)?,
            path: path.to_owned(),
            energy,
            forces,
            stress: which.names.given(What::Stress).map(str::to_owned),
            has_index: !which.by_position && index(&frame.keys).is_some(),
            tally: Tally::default(),
            ended: false,
        })
    }

    /// Path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What of the file.
    pub fn what(&self) -> String {
        let names = [
            Some(&self.energy),
            self.forces.as_ref(),
            self.stress.as_ref(),
        ];
        let names: Vec<_> = names.into_iter().flatten().map(String::as_str).collect();
        names.join(", ")
    }

    /// The frames read so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Reads the next frames, replacing what was in `labels`: so many, or as many as make up a block. Those without an
    /// energy are counted and passed over. False when there is none any more.
    pub fn next(&mut self, most: u64, labels: &mut Labels) -> Result<bool> {
        labels.clear();
        let most = most.min(BLOCK_FRAMES) as usize;
        while !self.ended
            && labels.energy.len() < most
            && (labels.geometry.positions.len() as u64) < BLOCK_ATOMS
        {
            let Some((frame, _)) = self.stream.next_frame()? else {
                self.ended = true;
                break;
            };
            let position = self.tally.frames;
            self.tally.frames += 1;
            let number = if self.has_index {
                index(&frame.keys).ok_or_else(|| {
                    Error::failure(format!(
                        "{}: frame {position} has no frame= in its comment line, others have; --by-position takes them as they come",
                        self.path.display()
                    ))
                })?
            } else {
                position
            };
            let Some(energy) = scalar(&frame.keys, &self.energy) else {
                self.tally.undefined += 1;
                continue;
            };
            self.tally.completed += 1;
            let geometry = Frame {
                species: &frame.species,
                positions: &frame.positions,
                cell: frame.cell,
            };
            labels.geometry.push(number, geometry);
            labels.energy.push(energy);
            labels.completed.push(true);
            let forces = self.forces.as_deref().and_then(|name| vectors(frame, name));
            labels.has_forces.push(forces.is_some());
            match forces {
                Some(numbers) => labels.forces.extend_from_slice(numbers.as_chunks::<3>().0),
                None => labels
                    .forces
                    .extend(std::iter::repeat_n([0.0; 3], frame.len())),
            }
            if self.stress.is_none() {
                let chosen = choose(&Names::default(), What::Stress, frame);
                self.stress = chosen.map_err(named(&self.path))?;
            }
            let stress = self
                .stress
                .as_deref()
                .and_then(|name| tensor(&frame.keys, name));
            labels.stress.push(stress);
        }
        Ok(!labels.energy.is_empty())
    }
}

/// What energies and forces are called in a frame, or why that is not known.
fn energy_and_forces(
    names: &Names,
    frame: &SourceFrame,
) -> std::result::Result<(String, Option<String>), String> {
    let energy = choose(names, What::Energy, frame)?.ok_or_else(|| {
        let keys: Vec<_> = frame.keys.iter().map(|k| format!("{:?}", k.name)).collect();
        let keys = if keys.is_empty() {
            "none".into()
        } else {
            keys.join(", ")
        };
        format!(
            "its first frame has no energy; name its key with --labels-a or --labels-b energy=NAME (keys: {keys}; no other frame has one)"
        )
    })?;
    Ok((energy, choose(names, What::Forces, frame)?))
}

/// Which of the names of a frame is meant.
fn choose(
    names: &Names,
    what: What,
    frame: &SourceFrame,
) -> std::result::Result<Option<String>, String> {
    let keys = frame.keys.iter();
    let there: Vec<String> = match what {
        What::Energy => keys
            .filter(|k| number(k).is_some())
            .map(|k| k.name.clone())
            .collect(),
        What::Stress => keys
            .filter(|k| tensor_of(k).is_some())
            .map(|k| k.name.clone())
            .collect(),
        What::Forces => {
            let columns = frame.columns.iter();
            columns
                .filter(|c| c.width == 3 && matches!(c.values, Values::Real(_)))
                .map(|c| c.name.clone())
                .collect()
        }
    };
    names.choose(what, &there)
}

fn index(keys: &[Key]) -> Option<u64> {
    let key = keys.iter().find(|k| k.name == INDEX)?;
    match &key.values {
        Values::Integer(v) if key.shape.is_empty() => u64::try_from(*v.first()?).ok(),
        _ => None,
    }
}

fn number(key: &Key) -> Option<f64> {
    match &key.values {
        _ if !key.shape.is_empty() => None,
        Values::Real(v) => v.first().copied(),
        Values::Integer(v) => v.first().map(|x| *x as f64),
        _ => None,
    }
}

fn scalar(keys: &[Key], name: &str) -> Option<f64> {
    keys.iter().find(|k| k.name == name).and_then(number)
}

fn vectors<'a>(frame: &'a SourceFrame, name: &str) -> Option<&'a [f64]> {
    let column = frame.columns.iter().find(|c| c.name == name)?;
    match &column.values {
        Values::Real(v) if column.width == 3 => Some(v),
        _ => None,
    }
}

fn tensor(keys: &[Key], name: &str) -> Option<[[f64; 3]; 3]> {
    keys.iter().find(|k| k.name == name).and_then(tensor_of)
}

fn tensor_of(key: &Key) -> Option<[[f64; 3]; 3]> {
    let numbers: Vec<f64> = match &key.values {
        Values::Real(v) => v.clone(),
        Values::Integer(v) => v.iter().map(|x| *x as f64).collect(),
        _ => return None,
    };
    tensor_from(&numbers)
}
