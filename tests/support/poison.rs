//! A real engine that dies: libxtb behind a library that ends the process in one frame (`tests/preload/poison_xtb.c`).

use std::process::Command;

use framewise::domain::cell::Cell;
use framewise::domain::frame::{Frame, FrameBlock};

use super::folder::Folder;
use super::launch::Launch;

/// Frames of the trajectory.
pub const FRAMES: usize = 24;
/// The frame in which the engine dies.
pub const POISONED: usize = 9;
/// The calculator.
pub const XTB: &str = "-c xtb -p method=gfn1";

/// A folder with water molecules, `in.h5`, what they are without poison, `whole.h5`, and the library.
pub fn folder() -> Folder {
    let folder = Folder::new();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/preload/poison_xtb.c");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(folder.path("poison.so"))
        .args([
            source,
            "-Wl,--no-as-needed",
            "-l:libxtb.so.6",
            "-ldl",
            "-lpthread",
        ])
        .status();
    assert!(compiled.unwrap().success(), "cc compiles {source}");
    let mut frames = FrameBlock::default();
    for i in 0..FRAMES {
        // The library knows its frame by a place far away; the water does not mind.
        let x = if i == POISONED { 100.0 } else { 0.0 };
        let bend = 0.01 * (7 * i) as f64;
        let positions = [[x, 0.0, 0.0], [x + 0.95, 0.1, bend], [x - 0.3, 0.92, 0.05]];
        let frame = Frame {
            species: &[8, 1, 1],
            positions: &positions,
            cell: Cell::OPEN,
        };
        frames.push(i as u64, frame);
    }
    folder.import_frames("in", &frames);
    folder
        .alone(&format!("run in.h5 -o whole.h5 {XTB}"))
        .expect(0);
    folder
}

/// With the library in place of libxtb, and poison in the marked frame.
pub fn poisoned(folder: &Folder, launch: Launch, how: &str) -> Launch {
    let library = folder.path("poison.so");
    launch
        .variable("FRAMEWISE_XTB_LIBRARY", library.to_str().unwrap())
        .variable("POISON", how)
}
