//! `framewise ls`: which sets of frames a file holds, and what is known of them.

use std::path::{Path, PathBuf};

use ::hdf5::Group;
use serde_json::{Value, json};

use crate::adapters::hdf5::ground_truth::{Level, levels};
use crate::adapters::hdf5::input::Segment;
use crate::adapters::hdf5::layout::attribute;
use crate::adapters::hdf5::locate::{every, matching};
use crate::adapters::hdf5::result_reader::{ResultReader, is_result};
use crate::adapters::hdf5::{layout, open_read_only, text_attribute};
use crate::domain::elements::formula;
use crate::domain::error::{Error, Result};
use crate::planning::frame_set::FrameSet;
use crate::planning::status::Status;

use super::output::{print, print_json};
use super::table::{table, thousands};

/// List the sets of frames in HDF5 files, and their levels of theory
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  framewise ls structures.h5
  framewise ls structures.h5 'training/**' --periodic
  framewise ls structures.h5 --without xtb/gfn2
  framewise ls structures.h5 --json | jq -r '.[].key'

What is listed is what `run --key` and `run --keys` take. Of each level of theory: completed of all frames. What
cannot be read is listed with the reason, unless --periodic and the like ask for something of it.")]
pub struct LsArgs {
    /// File with frames: mbe-automation's, H5MD, or a result
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Names and patterns of groups: * within a name, ** across them
    #[arg(value_name = "PATTERN")]
    pub keys: Vec<String>,

    /// Those that repeat in some direction
    #[arg(long, conflicts_with = "finite")]
    pub periodic: bool,

    /// Those that repeat in none
    #[arg(long)]
    pub finite: bool,

    /// Those with a frame that is completed at this level of theory
    #[arg(long, value_name = "LEVEL")]
    pub with: Option<String>,

    /// Those with a frame that is not completed at this level of theory
    #[arg(long, value_name = "LEVEL")]
    pub without: Option<String>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What is known of a set of frames.
struct Entry {
    key: String,
    kind: String,
    frames: u64,
    /// Smallest and largest number of atoms.
    atoms: (u64, u64),
    formula: String,
    /// Whether frames repeat in some direction; `None` where some do and some do not.
    periodic: Option<bool>,
    levels: Vec<Level>,
    /// Why nothing else is known.
    defect: Option<String>,
}

/// Runs the verb.
pub fn execute(args: &LsArgs) -> Result<()> {
    let file = open_read_only(&args.file)?;
    let found = match &args.keys[..] {
        [] => every(&file),
        keys => matching(&args.file, &file, keys)?,
    };
    let mut entries = Vec::new();
    let mut damaged = 0;
    for (group, convention) in found {
        let (name, kind) = (key(&group), kind(&group));
        let entry = Segment::of(&args.file, (group, convention));
        let entry = entry.and_then(|segment| Entry::of(&args.file, segment));
        let entry = entry.unwrap_or_else(|error| Entry::damaged(&args.file, name, kind, &error));
        damaged += usize::from(entry.is_damaged());
        if entry.is_wanted(args) {
            entries.push(entry);
        }
    }
    if args.json {
        let all = entries.iter().map(Entry::json).collect();
        print_json(&Value::Array(all))?;
    } else {
        print(&text(&entries))?;
    }
    if damaged > 0 {
        let advice = if entries.iter().filter(|entry| entry.is_damaged()).count() == damaged {
            "the list says what and why"
        } else {
            "`framewise ls` without --periodic and the like says what and why"
        };
        tracing::warn!(
            "{}: {damaged} cannot be read, or not whole: {advice}",
            args.file.display()
        );
    }
    Ok(())
}

/// The name of a group as it is typed.
fn key(group: &Group) -> String {
    group.name().trim_start_matches('/').to_owned()
}

fn kind(group: &Group) -> Option<String> {
    text_attribute(group, "dataclass")
}

impl Entry {
    fn of(path: &Path, mut segment: Segment) -> Result<Self> {
        let all = FrameSet::all(segment.frames());
        let mut atoms = (u64::MAX, 0);
        segment.for_each_size(&all, |_| 1, |n| atoms = (atoms.0.min(n), atoms.1.max(n)))?;
        if segment.frames() == 0 {
            atoms = (0, 0);
        }
        let group = segment.group().clone();
        let of_result = group.name() == layout::PARTICLES && is_result(path)?;
        let levels = if of_result {
            level_of_result(path)?.into_iter().collect()
        } else {
            levels(&group, segment.frames())
        };
        let other = if of_result { "result" } else { "H5MD" };
        Ok(Self {
            key: key(&group),
            kind: kind(&group).unwrap_or_else(|| other.into()),
            frames: segment.frames(),
            atoms,
            formula: segment.constant_species().map_or_else(String::new, formula),
            periodic: segment
                .constant_periodic()
                .map(|periodic| periodic.contains(&true)),
            levels,
            defect: None,
        })
    }

    /// What cannot be read.
    fn damaged(path: &Path, key: String, kind: Option<String>, error: &Error) -> Self {
        let file = format!("{}: ", path.display());
        let why = error.message.strip_prefix(&file).unwrap_or(&error.message);
        Self {
            key,
            kind: kind.unwrap_or_else(|| "H5MD".into()),
            frames: 0,
            atoms: (0, 0),
            formula: String::new(),
            periodic: None,
            levels: Vec::new(),
            defect: Some(why.to_owned()),
        }
    }

    /// Whether something of it cannot be read.
    fn is_damaged(&self) -> bool {
        self.defect.is_some() || self.levels.iter().any(|level| level.defect.is_some())
    }

    fn is_wanted(&self, args: &LsArgs) -> bool {
        if self.defect.is_some() {
            let any = args.with.is_some() || args.without.is_some();
            return !(any || args.periodic || args.finite);
        }
        let completed = |name: &String| {
            let of = |level: &&Level| level.name == *name;
            self.levels.iter().find(of).map_or(0, |l| l.counts[0])
        };
        (!args.periodic || self.periodic != Some(false))
            && (!args.finite || self.periodic != Some(true))
            && args.with.as_ref().is_none_or(|name| completed(name) > 0)
            && args
                .without
                .as_ref()
                .is_none_or(|name| completed(name) < self.frames)
    }

    fn json(&self) -> Value {
        let level = |level: &Level| {
            let count = |status: Status| level.counts[status as usize];
            json!({
                "name": level.name,
                "completed": count(Status::Completed),
                "undefined": count(Status::Undefined),
                "not_converged": count(Status::NotConverged),
                "failed": count(Status::Failed),
                "energy": level.energy,
                "forces": level.forces,
                "damaged": level.defect,
            })
        };
        if let Some(why) = &self.defect {
            return json!({"key": self.key, "kind": self.kind, "damaged": why});
        }
        json!({
            "key": self.key,
            "kind": self.kind,
            "damaged": null,
            "frames": self.frames,
            "atoms": [self.atoms.0, self.atoms.1],
            "formula": self.formula,
            "periodic": self.periodic,
            "levels_of_theory": self.levels.iter().map(level).collect::<Vec<_>>(),
        })
    }

    fn row(&self) -> Vec<String> {
        if let Some(why) = &self.defect {
            let mut row = vec![String::new(); HEADER.len()];
            (row[0], row[1]) = (self.key.clone(), self.kind.clone());
            row[HEADER.len() - 1] = format!("cannot be read: {why}");
            return row;
        }
        let (least, most) = self.atoms;
        let level = |level: &Level| match &level.defect {
            Some(why) => format!("{} damaged: {why}", level.name),
            None => format!("{} {}/{}", level.name, level.counts[0], self.frames),
        };
        let levels: Vec<_> = self.levels.iter().map(level).collect();
        vec![
            self.key.clone(),
            self.kind.clone(),
            thousands(self.frames),
            if least == most {
                thousands(least)
            } else {
                format!("{least}-{most}")
            },
            self.formula.clone(),
            match self.periodic {
                Some(true) => "periodic".into(),
                Some(false) => "finite".into(),
                None => "mixed".into(),
            },
            levels.join(", "),
        ]
    }
}

fn level_of_result(path: &Path) -> Result<Option<Level>> {
    let reader = ResultReader::open(path)?;
    let (counts, _) = reader.counts()?;
    let name = reader.attribute(attribute::LEVEL_OF_THEORY);
    Ok(name.map(|name| Level {
        name: name.to_owned(),
        counts: Status::ALL.map(|status| counts.get(status)),
        energy: true,
        forces: true,
        defect: None,
    }))
}

const HEADER: [&str; 7] = [
    "key",
    "kind",
    "frames",
    "atoms",
    "formula",
    "",
    "levels of theory",
];

fn text(entries: &[Entry]) -> String {
    if entries.is_empty() {
        return "no frames".into();
    }
    table(&HEADER, entries.iter().map(Entry::row), &[2, 3])
}
