//! A folder of one test, with its inputs, in which the program is started.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use framewise::domain::elements::symbol;
use framewise::domain::frame::{Frame, FrameBlock};

use super::launch::Launch;
use super::xyz;

/// A folder that goes away with its test. One at a time in a process: ranks of several tests would fight for the
/// cores, and a child started meanwhile would inherit open files.
pub struct Folder {
    folder: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Folder {
    /// An empty folder.
    pub fn new() -> Self {
        static ONE: Mutex<()> = Mutex::new(());
        Self {
            _alone: ONE.lock().unwrap_or_else(PoisonError::into_inner),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// A file of the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The names of all files, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The names of all files, whatever is in them.
    pub fn names_lossy(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        entries
            .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
            .collect()
    }

    /// The program without a launcher; `arguments` are separated by blanks.
    pub fn alone(&self, arguments: &str) -> Launch {
        Launch::alone(self.folder.path()).args(arguments)
    }

    /// The program on so many ranks, under `mpiexec`.
    pub fn on(&self, ranks: usize, arguments: &str) -> Launch {
        Launch::on(ranks, self.folder.path()).args(arguments)
    }

    /// Copies a file of `tests/data` here.
    pub fn bring(&self, name: &str) {
        fs::copy(xyz::data(name), self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    }

    /// Imports `NAME.xyz` of this folder into `NAME.h5`.
    pub fn import(&self, name: &str) {
        self.alone(&format!("import {name}.xyz -o {name}.h5"))
            .expect(0);
    }

    /// Writes frames as extended XYZ and imports them into `NAME.h5`.
    pub fn import_frames(&self, name: &str, frames: &FrameBlock) {
        let texts: String = (0..frames.len()).map(|i| text(&frames.frame(i))).collect();
        fs::write(self.path(&format!("{name}.xyz")), texts).unwrap();
        self.import(name);
    }
}

fn text(frame: &Frame<'_>) -> String {
    let flat = frame.cell.vectors.as_flattened();
    let numbers: Vec<_> = flat.iter().map(|x| format!("{x:?}")).collect();
    let [a, b, c] = frame.cell.periodic.map(|p| if p { 'T' } else { 'F' });
    let mut text = format!("{}\npbc=\"{a} {b} {c}\"", frame.len());
    if frame.cell.periodic.contains(&true) {
        let _ = write!(text, " Lattice=\"{}\"", numbers.join(" "));
    }
    text += " Properties=species:S:1:pos:R:3\n";
    for (z, [x, y, z_]) in frame.species.iter().zip(frame.positions) {
        let _ = writeln!(text, "{} {x:?} {y:?} {z_:?}", symbol(*z));
    }
    text
}

/// `n` different frames: those of a file of `tests/data` over and over, the first `atoms` atoms of each, displaced by
/// up to 0.01 Å in a way that depends on the frame alone.
pub fn perturbed(name: &str, n: usize, atoms: usize) -> FrameBlock {
    let source = xyz::read(name);
    let mut frames = FrameBlock::default();
    for i in 0..n {
        let frame = source.frame(i % source.len());
        let displaced = |(k, r): (usize, &[f64; 3])| {
            let phase = (7 * i + 3 * k) as f64;
            [
                r[0] + 0.01 * phase.sin(),
                r[1] + 0.01 * (phase + 1.0).sin(),
                r[2] + 0.01 * (phase + 2.0).sin(),
            ]
        };
        let positions: Vec<_> = frame.positions.iter().enumerate().map(displaced).collect();
        let atoms = atoms.min(frame.len());
        let frame = Frame {
            species: &frame.species[..atoms],
            positions: &positions[..atoms],
            cell: frame.cell,
        };
        frames.push(i as u64, frame);
    }
    frames
}
