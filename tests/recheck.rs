//! What a run does about results that have changed since they were committed.

mod support;

use std::fs;
use std::path::Path;

use support::folder::{Folder, perturbed};
use support::launch::Launch;
use support::results::{assert_same, completed, metrics, read, statuses};

const JOB: &str = "run in.h5 -o r.h5 -c null -t 1 --metrics m.json";

/// `planned` of the last run with `--metrics m.json`.
fn planned(folder: &Folder) -> u64 {
    metrics(&folder.path("m.json"))["planned"].as_u64().unwrap()
}

/// Changes one bit of the force on the first atom of `frame`.
fn damage(result: &Path, frame: usize) {
    let file = hdf5::File::open_rw(result).unwrap();
    let dataset = file.dataset("particles/trajectory/forces/value").unwrap();
    let mut values = dataset.read_raw::<f64>().unwrap();
    let first = frame * values.len() / dataset.shape()[0];
    values[first] = f64::from_bits(values[first].to_bits() ^ 1);
    dataset.write_raw(&values).unwrap();
}

#[test]
fn a_frame_that_fails_its_checksum_is_said_and_computed_again() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon.xyz", 60, 8));
    folder.alone("run in.h5 -o whole.h5 -c null").expect(0);
    let (whole, result) = (folder.path("whole.h5"), folder.path("r.h5"));

    // Part of the frames are done, one of them is damaged: only what is selected is looked at.
    folder.on(2, &format!("{JOB} --frames :40")).expect(0);
    damage(&result, 7);
    folder.on(2, &format!("{JOB} --frames 40:50")).expect(0);
    assert_eq!(planned(&folder), 10);
    assert_eq!(completed(&result), 50);
    folder
        .on(3, JOB)
        .expect(0)
        .says("frame 7 does not match its checksum; it is undefined again and will be computed");
    assert_eq!(planned(&folder), 11);
    assert_same(&result, &whole);

    // The same after the end.
    damage(&result, 59);
    folder.alone(JOB).expect(0).says("frame 59 does not match");
    assert_eq!(planned(&folder), 1);
    assert_same(&result, &whole);

    // Asked to, a run looks at all frames, and what it has no order to compute stays undefined.
    damage(&result, 3);
    damage(&result, 30);
    folder
        .on(2, &format!("{JOB} --frames 0:10 --verify-on-resume"))
        .expect(0)
        .says("60 completed frames checked, 2 wrong");
    assert_eq!(planned(&folder), 1);
    let states = statuses(&result);
    assert_eq!((states[3], states[30]), (0, 1));
    folder.alone("verify r.h5").expect(0);
    folder.alone(JOB).expect(0);
    assert_same(&result, &whole);
}

#[test]
fn a_state_that_means_nothing_is_undefined_again() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon.xyz", 12, 8));
    folder.alone("run in.h5 -o whole.h5 -c null").expect(0);
    fs::copy(folder.path("whole.h5"), folder.path("r.h5")).unwrap();
    let file = hdf5::File::open_rw(folder.path("r.h5")).unwrap();
    let dataset = file.dataset("parameters/framewise/status").unwrap();
    let mut codes = read(&folder.path("r.h5")).status;
    codes[4] = 77;
    dataset.write_raw(&codes).unwrap();
    drop((dataset, file));
    folder.on(2, JOB).expect(0);
    assert_eq!(planned(&folder), 1);
    assert_same(&folder.path("r.h5"), &folder.path("whole.h5"));
}

/// Compressed files lose flushed rows when a run is killed, so a run never writes into one.
#[test]
fn a_run_does_not_write_into_a_compressed_copy() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon.xyz", 12, 8));
    folder.alone(&format!("{JOB} --frames :5")).expect(0);
    let line = "h5repack -l /AMBER/forces:CHUNK=6x8x3 -f /AMBER/forces:GZIP=4 \
                r.h5 c.h5 && mv c.h5 r.h5";
    Launch::shell(line, &folder.path(".")).expect(0);
    let before = fs::read(folder.path("r.h5")).unwrap();
    folder.on(2, JOB).expect(1).error("is not contiguous");
    folder.alone(JOB).expect(1).error("is not contiguous");
    assert!(fs::read(folder.path("r.h5")).unwrap() == before);
}
