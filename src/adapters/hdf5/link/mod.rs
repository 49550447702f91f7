//! One file that shows several results as one: virtual datasets, one frame after the other, without a copy of anything.
//!
//! It is itself what a result is, so that whatever reads a result reads it. The frames of a source that is not there any more are
//! undefined and NaN.

mod sources;

use std::path::{Path, PathBuf};

use ::hdf5::types::{FloatSize, TypeDescriptor};
use ::hdf5::{Dataset, File, FileBuilder, Group, Hyperslab, Selection, SliceOrIndex};

use crate::domain::error::Result;
use crate::planning::status::Status;

use super::create::{group, write_h5md};
use super::geometry::write_boundary;
use super::input::Input;
use super::repack::copy_attributes;
use super::result_reader::ResultReader;
use super::{amber, failed, history, layout, write_text};

use sources::{SHOWN, Source, Stored, differing_units, literal, open, seen_from};

/// What was shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Linked {
    /// Frames of all sources.
    pub frames: u64,
    /// Their atoms.
    pub atoms: u64,
}

/// Where sources are told: `file` (S) text, `first_frame` and `n_frames` (S) i64.
const SOURCES: &str = "/parameters/framewise/sources";
/// Groups without whose `value` a file is no result.
const MANDATORY: [&str; 6] = [
    layout::ENERGY,
    layout::FORCES,
    layout::STRESS,
    layout::POSITION,
    layout::SPECIES,
    "/particles/trajectory/box/edges",
];

/// Makes the file at `path`, which will be known as `target`, of the results `sources`.
pub fn link(path: &Path, target: &Path, sources: &[PathBuf]) -> Result<Linked> {
    let mut opened = Vec::with_capacity(sources.len());
    let mut common: Option<Vec<(String, String)>> = None;
    for source in sources {
        let reader = ResultReader::open(source)?;
        reader.require_frames()?;
        let told = reader.attributes().clone();
        match &mut common {
            None => common = Some(told.into_iter().collect()),
            Some(common) => common.retain(|(name, value)| told.get(name) == Some(value)),
        }
        opened.push(Source::new(source, &reader)?);
    }
    let common = common.unwrap_or_default();
    for name in [
        layout::attribute::CALCULATOR,
        layout::attribute::LEVEL_OF_THEORY,
    ] {
        if !common.iter().any(|(known, _)| known == name) {
            tracing::warn!("{name} is not the same in all of them, and is not told");
        }
    }
    let doing = || failed(format!("{}: cannot be written", target.display()));
    let mut builder = FileBuilder::new();
    // Virtual datasets are of HDF5 1.10.
    builder.with_fapl(|fapl| fapl.libver_v110());
    let file = builder.create(path).map_err(doing())?;
    write_h5md(&file).map_err(doing())?;
    let show = Show {
        file: &file,
        target,
        sources: &opened,
        ragged: opened
            .iter()
            .any(|one| one.atoms.is_none() || one.atoms != opened[0].atoms),
    };
    show.all().map_err(doing())?;
    show.directions()?;
    show.amber().map_err(doing())?;
    let ours = group(&file, layout::FRAMEWISE).map_err(doing())?;
    history::create(&ours).map_err(doing())?;
    for (name, value) in &common {
        write_text(&ours, name, value).map_err(doing())?;
    }
    show.table().map_err(doing())?;
    file.flush().and_then(|()| file.close()).map_err(doing())?;
    Ok(Linked {
        frames: opened.iter().map(|one| one.frames as u64).sum(),
        atoms: opened.iter().map(|one| one.total_atoms as u64).sum(),
    })
}

struct Show<'a> {
    file: &'a File,
    target: &'a Path,
    sources: &'a [Source],
    ragged: bool,
}

impl Show<'_> {
    fn all(&self) -> ::hdf5::Result<()> {
        let first = open(&self.sources[0].path)?;
        for top in SHOWN {
            self.group(&first.group(top)?, top)?;
        }
        if self.ragged {
            let particles = group(self.file, layout::PARTICLES)?;
            let mut offsets = vec![0_i64];
            for source in self.sources {
                let start = offsets.last().copied().unwrap_or(0);
                if let Some(atoms) = source.atoms {
                    let ends = (1..=source.frames).map(|frame| start + (frame * atoms) as i64);
                    offsets.extend(ends);
                } else {
                    let own = open(&source.path)?.dataset(layout::OFFSETS)?;
                    let own = own.read_raw::<i64>()?;
                    offsets.extend(own.iter().skip(1).map(|offset| start + offset));
                }
            }
            let dataset = particles.new_dataset::<i64>().shape(offsets.len());
            dataset.create("offsets")?.write_raw(&offsets)?;
        }
        Ok(())
    }

    /// Directions in which frames repeat, where not all sources say it in the same way.
    fn directions(&self) -> Result<()> {
        let of = |source: &Source| {
            let input = Input::open(&source.path, Some(layout::PARTICLES));
            input.map(|input| input.constant_periodic())
        };
        let all = self.sources.iter().map(of).collect::<Result<Vec<_>>>()?;
        if all[0].is_some() && all.iter().all(|one| *one == all[0]) {
            return Ok(());
        }
        let doing = || failed(format!("{}: cannot be written", self.target.display()));
        let bx = group(self.file, layout::BOX).map_err(doing())?;
        if bx.link_exists("periodic") {
            return Ok(());
        }
        let mut values: Vec<u8> = Vec::new();
        for (source, constant) in self.sources.iter().zip(&all) {
            if let Some(constant) = constant {
                let row = constant.map(u8::from);
                values.extend((0..source.frames).flat_map(|_| row));
            } else {
                let own = open(&source.path)
                    .and_then(|file| file.dataset(&format!("{}/periodic", layout::BOX)))
                    .and_then(|own| own.read_raw::<u8>());
                values.extend(own.map_err(doing())?);
            }
        }
        let any = |d: usize| {
            values
                .iter()
                .skip(d)
                .step_by(3)
                .any(|repeats| *repeats != 0)
        };
        let boundary = [any(0), any(1), any(2)];
        if bx.attr("boundary").is_ok() {
            bx.delete_attr("boundary").map_err(doing())?;
        }
        let particles = group(self.file, layout::PARTICLES).map_err(doing())?;
        write_boundary(&particles, boundary).map_err(doing())?;
        let dataset = bx.new_dataset::<u8>().shape((values.len() / 3, 3));
        let dataset = dataset.create("periodic").map_err(doing())?;
        dataset.write_raw(&values).map_err(doing())?;
        // Once more where ZnH5MD looks for it.
        let again = group(self.file, &format!("{}/pbc", layout::BOX)).map_err(doing())?;
        again
            .link_hard(&dataset.name(), "value")
            .and_then(|()| self.share_time_axis(&again))
            .map_err(doing())
    }

    /// Steps and times, which are not there where sources have them in different units.
    fn share_time_axis(&self, group: &Group) -> ::hdf5::Result<()> {
        for name in ["step", "time"] {
            let shown = format!("{}/{name}", layout::POSITION);
            if self.file.link_exists(&shown) {
                group.link_hard(&shown, name)?;
            }
        }
        Ok(())
    }

    /// What OVITO reads, where all sources have it: their cells, and links to what is shown already.
    fn amber(&self) -> ::hdf5::Result<()> {
        let cells = ["cell_lengths", "cell_angles"];
        let paths = cells.map(|name| format!("{}/{name}", layout::AMBER));
        let have = |source: &Source| {
            let has = |path: &String| source.datasets.contains_key(path);
            paths.iter().all(has)
        };
        let Some(atoms) = self.sources[0].atoms else {
            return Ok(());
        };
        if self.ragged || !self.sources.iter().all(have) {
            return Ok(());
        }
        let first = open(&self.sources[0].path)?;
        let made = group(self.file, layout::AMBER)?;
        for (name, path) in cells.iter().zip(&paths) {
            self.dataset(&first.dataset(path)?, &made, name, path)?;
        }
        if cells.iter().any(|name| !made.link_exists(name)) {
            return self.file.unlink(layout::AMBER);
        }
        let frames = self.sources.iter().map(|one| one.frames).sum();
        amber::link(self.file, frames, atoms)
    }

    /// Shows a group; why its `value` is not shown, where that is a matter of units.
    fn group(&self, from: &Group, path: &str) -> ::hdf5::Result<Option<String>> {
        let mut in_other_units = None;
        let made = group(self.file, path)?;
        if path != layout::FRAMEWISE {
            copy_attributes(from, &made)?;
        }
        for name in from.member_names()? {
            let path = format!("{path}/{name}");
            if let Ok(dataset) = from.dataset(&name) {
                if let Some(units) = differing_units(self.sources, &path) {
                    self.say_units(&name, &path, &units);
                    if name == "value" {
                        in_other_units = Some(units);
                    }
                    continue;
                }
                self.dataset(&dataset, &made, &name, &path)?;
            } else if path != layout::SEGMENTS
                && let Ok(child) = from.group(&name)
            {
                let units = self.group(&child, &path)?;
                // A property that not all of them have.
                let lacks = |group: &Group| !group.link_exists("value");
                if !lacks(&child) && lacks(&made.group(&name)?) {
                    if path == format!("{}/pbc", layout::BOX) {
                        made.unlink(&name)?;
                        continue;
                    }
                    if MANDATORY.iter().any(|group| *group == path) {
                        return Err(::hdf5::Error::from(units.map_or_else(
                            || {
                                format!(
                                    "{path}/value is not of one type and shape in all of them; `framewise repack` them alike first"
                                )
                            },
                            |units| format!("{path}/value {units}; what is linked has one unit"),
                        )));
                    }
                    if let Some(units) = units {
                        tracing::warn!("{path} {units}, and is not shown");
                    } else {
                        tracing::warn!(
                            "{path} is not the same kind of thing in all of them, and is not shown"
                        );
                    }
                    made.unlink(&name)?;
                }
            }
        }
        Ok(in_other_units)
    }

    /// What is not the `value` of a group is said here; the times of frames, which every group has once more, once.
    fn say_units(&self, name: &str, path: &str, units: &str) {
        let times = format!("{}/time", layout::POSITION);
        let again =
            name == "time" && path != times && differing_units(self.sources, &times).is_some();
        if name != "value" && !again {
            tracing::warn!("{path} {units}, and is not shown");
        }
    }

    /// Shows a dataset that all sources have, with a row for each frame or each atom.
    fn dataset(&self, first: &Dataset, made: &Group, name: &str, path: &str) -> ::hdf5::Result<()> {
        let of_atoms = path.starts_with(layout::PARTICLES)
            && path.ends_with("/value")
            && !path.starts_with(layout::BOX);
        let kind = first.dtype()?.to_descriptor()?;
        let mut parts = Vec::with_capacity(self.sources.len());
        for source in self.sources {
            let Some(Stored {
                shape, kind: its, ..
            }) = source.datasets.get(path)
            else {
                return Ok(());
            };
            let rows = match source.atoms {
                None if of_atoms => source.total_atoms,
                _ => source.frames,
            };
            if shape.first() != Some(&rows) || *its != kind {
                return Ok(());
            }
            parts.push(shape.clone());
        }
        let flat = of_atoms && self.ragged;
        // What follows the axis of frames or atoms.
        let tail = |source: &Source, shape: &[usize]| {
            let skipped = if flat && source.atoms.is_some() { 2 } else { 1 };
            shape[skipped.min(shape.len())..].to_vec()
        };
        let rest = tail(&self.sources[0], &parts[0]);
        if self
            .sources
            .iter()
            .zip(&parts)
            .any(|(source, shape)| tail(source, shape) != rest)
        {
            return Ok(());
        }
        let length = |source: &Source| {
            if flat {
                source.total_atoms
            } else {
                source.frames
            }
        };
        let mut extents = vec![self.sources.iter().map(length).sum::<usize>()];
        extents.extend(&rest);
        let mut builder = made.new_dataset_builder();
        let mut start = 0;
        let whole = |n: usize| SliceOrIndex::SliceTo {
            start: 0,
            step: 1,
            end: n,
            block: 1,
        };
        for (source, shape) in self.sources.iter().zip(&parts) {
            let end = start + length(source);
            if end > start {
                let mut slab = vec![SliceOrIndex::SliceTo {
                    start,
                    step: 1,
                    end,
                    block: 1,
                }];
                slab.extend(rest.iter().map(|n| whole(*n)));
                builder = builder.with_dcpl(|list| {
                    list.virtual_map(
                        literal(&seen_from(self.target, &source.path)),
                        literal(path),
                        shape.clone(),
                        Selection::All,
                        extents.clone(),
                        Selection::Hyperslab(Hyperslab::from(slab.clone())),
                    );
                    list
                });
            }
            start = end;
        }
        // What is shown of a source that is gone.
        let builder = builder.with_dcpl(|list| match kind {
            // Zeros are no cell.
            _ if path.starts_with(layout::AMBER) => list,
            TypeDescriptor::Float(FloatSize::U8) => list.fill_value(f64::NAN),
            TypeDescriptor::Float(FloatSize::U4) => list.fill_value(f32::NAN),
            _ if path == layout::STATUS => list.fill_value(Status::Undefined.code()),
            _ => list,
        });
        let new = builder.empty_as(&kind).shape(extents).create(name)?;
        copy_attributes(first, &new)?;
        // Where it is one row in each source it need not be the same one.
        for stale in ["fixed", "DIMENSION_LIST"] {
            if new.attr(stale).is_ok() {
                new.delete_attr(stale)?;
            }
        }
        Ok(())
    }

    fn table(&self) -> ::hdf5::Result<()> {
        use ::hdf5::types::VarLenUnicode;
        let table = group(self.file, SOURCES)?;
        let names: std::result::Result<Vec<VarLenUnicode>, _> = self
            .sources
            .iter()
            .map(|source| seen_from(self.target, &source.path).parse())
            .collect();
        let names = names.map_err(|e| ::hdf5::Error::from(e.to_string()))?;
        let column = table.new_dataset::<VarLenUnicode>().shape(names.len());
        column.create("file")?.write_raw(&names)?;
        let counts: Vec<i64> = self.sources.iter().map(|one| one.frames as i64).collect();
        let mut firsts = vec![0_i64];
        for count in &counts {
            firsts.push(firsts.last().copied().unwrap_or(0) + count);
        }
        firsts.pop();
        for (name, values) in [("first_frame", firsts), ("n_frames", counts)] {
            let column = table.new_dataset::<i64>().shape(values.len());
            column.create(name)?.write_raw(&values)?;
        }
        Ok(())
    }
}
