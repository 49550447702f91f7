//! Disks that fail while a run writes.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use support::folder::{Folder, perturbed};
use support::launch::{Launch, PROGRAM};
use support::results::assert_same;

/// Rank 0 once saw every write fail with ENOSPC, up to the superblock at close: it left `H5Fclose` early, the other
/// rank waited in it for ever, and nobody said a word. Now rank 0 says what went wrong and nobody closes.
#[test]
fn a_disk_that_fails_for_good_on_one_rank_is_said_and_hangs_nobody() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon.xyz", 60, 8));
    folder.alone("run in.h5 -o whole.h5 -c null").expect(0);
    let failing = folder.path("failing");
    let script = format!(
        "#!/bin/sh\n[ \"$OMPI_COMM_WORLD_RANK\" = 0 ] || exec {PROGRAM} \"$@\"\nexec strace -o /dev/null -f -P \"$PWD/r.h5\" \
         -e inject=pwrite64,pwritev,pwritev2:error=ENOSPC:when=1+ {PROGRAM} \"$@\"\n"
    );
    fs::write(&failing, script).unwrap();
    fs::set_permissions(&failing, fs::Permissions::from_mode(0o755)).unwrap();
    let run = Launch::of(&failing, 2, &folder.path(".")).args("run in.h5 -o r.h5 -c null -t 1");
    run.expect(1).says(&format!(
        "error: rank 0 on {}: cannot write /observables/trajectory/energy/value of r.h5",
        framewise::adapters::lock::host()
    ));
    folder.alone("verify r.h5").expect(0);
    // There is room again: the same command goes on.
    folder.on(2, "run in.h5 -o r.h5 -c null -t 1").expect(0);
    assert_same(&folder.path("whole.h5"), &folder.path("r.h5"));
}

/// The last write of a run is HDF5's own, at close. When it failed, HDF5 tried again at the end of MPI and crashed.
#[test]
fn a_close_that_fails_is_an_error_and_not_a_crash() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon.xyz", 60, 8));
    folder.alone("run in.h5 -o whole.h5 -c null").expect(0);
    let mut failures = 0;
    for call in 1.. {
        let line = format!(
            "rm -f r.h5 && exec strace -o /dev/null -f -e inject=pwrite64:error=EIO:when={call} \
             framewise run in.h5 -o r.h5 -c null -t 1 -q"
        );
        let finished = Launch::shell(&line, &folder.path(".")).run();
        if finished.code == Some(0) {
            break;
        }
        failures += 1;
        finished.expect(1).says("error: ");
        folder.alone("run in.h5 -o r.h5 -c null").expect(0);
        assert_same(&folder.path("whole.h5"), &folder.path("r.h5"));
    }
    assert!(failures > 20, "only {failures} writes were made to fail");
}
