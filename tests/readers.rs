//! Programs that are not ours read the results: h5dump and serial h5py.

mod support;

use std::path::Path;
use std::process::Command;

use support::folder::{Folder, perturbed};

/// `scripts/test` provides the interpreter; there is no test without it.
fn python(action: &str, result: &Path) {
    let interpreter = std::env::var_os("FRAMEWISE_PYTHON")
        .expect("FRAMEWISE_PYTHON names a Python with ase and h5py; scripts/test makes one");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/result.py");
    let mut command = Command::new(interpreter);
    finish(command.arg(script).arg(action).arg(result));
}

/// What h5dump prints, with more options.
fn h5dump(options: &[&str], result: &Path) -> String {
    finish(Command::new("h5dump").args(options).arg(result))
}

fn finish(command: &mut Command) -> String {
    // A missing program is a failure.
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{}: {e}", command.get_program().display()));
    assert!(
        output.status.success(),
        "{command:?}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn h5dump_and_h5py_read_a_result_of_which_a_part_is_done() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_npt.xyz", 23, 8));
    let command = "run in.h5 -o r.h5 --calculator null --frames 0:10,20 --level-of-theory né∕l";
    folder.on(2, command).expect(0);
    let result = folder.path("r.h5");
    python("partial", &result);

    let energies = h5dump(
        &["-y", "-d", "/observables/trajectory/energy/value"],
        &result,
    );
    assert_eq!(energies.matches("nan").count(), 12, "{energies}");
    let states = h5dump(
        &["-y", "-w", "200", "-d", "/parameters/framewise/status"],
        &result,
    );
    let expected = "0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1";
    assert!(states.contains(expected), "{states}");
    let name = h5dump(&["-a", "/parameters/framewise/calculator"], &result);
    assert!(name.contains("\"null\""), "{name}");
    // Everything, to the last byte, with the properties of every dataset.
    let all = h5dump(&["-p"], &result);
    assert!(
        all.contains("CONTIGUOUS") && !all.contains("CHUNKED"),
        "{all}"
    );
    let header = h5dump(&["-B", "-H"], &result);
    assert!(header.contains("SUPERBLOCK_VERSION 0"), "{header}");
}

#[test]
fn h5dump_and_h5py_read_a_ragged_result() {
    let folder = Folder::new();
    folder.bring("ragged.xyz");
    folder.import("ragged");
    folder
        .on(3, "run ragged.h5 -o ragged.result.h5 --calculator null")
        .expect(0);
    python("ragged", &folder.path("ragged.result.h5"));
    h5dump(&[], &folder.path("ragged.result.h5"));
}

#[cfg(feature = "xtb")]
#[test]
fn h5dump_and_h5py_read_why_a_frame_failed() {
    let folder = Folder::new();
    folder.bring("scf_failure.xyz");
    folder.import("scf_failure");
    folder
        .on(2, "run scf_failure.h5 -o failed.h5 --calculator xtb")
        .expect(3);
    python("failed", &folder.path("failed.h5"));
    let reasons = h5dump(
        &["-d", "/parameters/framewise/message"],
        &folder.path("failed.h5"),
    );
    assert!(reasons.contains("converge"), "{reasons}");
}
