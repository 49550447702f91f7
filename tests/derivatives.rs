//! Engines in processes of their own: forces and stress against differences of their energies, through pipe and socket.

mod support;

use std::fs;

use framewise::domain::frame::FrameBlock;
use support::derivatives::{deviations, displaced};
use support::folder::Folder;
use support::launch::Launch;
use support::results::read;
use support::xyz;

const STEP: f64 = 1e-3;

/// Runs what `prepare` makes of the command on all displaced frames, and compares.
#[track_caller]
fn assert_derivatives(
    frames: &FrameBlock,
    at: usize,
    calculator: &str,
    prepare: impl Fn(&Folder, Launch) -> Launch,
) {
    let frame = frames.frame(at);
    let folder = Folder::new();
    folder.import_frames("in", &displaced(&frame, STEP));
    let launch = folder.on(2, &format!("run in.h5 -o r.h5 -t 1 {calculator}"));
    prepare(&folder, launch).expect(0);
    let (force, stress) = deviations(&read(&folder.path("r.h5")), &frame, STEP);
    assert!(
        force < 1e-7 && stress < 1e-7,
        "{calculator}: {force:e} {stress:e}"
    );
}

/// ASE's effective medium theory: a crystal of aluminium, and a molecule without a cell.
#[test]
fn ase_in_a_process() {
    let plain = |_: &Folder, launch| launch;
    assert_derivatives(&xyz::read("kim.xyz"), 0, "-c ase:emt", plain);
    assert_derivatives(&xyz::read("water6.xyz"), 1, "-c ase:emt", plain);
}

/// LAMMPS' Stillinger-Weber potential behind `fix ipi`: cells are turned on their way there, and stresses back.
#[test]
fn lammps_behind_a_socket() {
    let command = "-c ipi -p files=sw.in -p bohr=0.52917721 -p hartree=27.211385748053758";
    assert_derivatives(&xyz::read("silicon.xyz"), 1, command, |folder, launch| {
        let fixture = format!("{}/tests/fixtures/ipi/sw.in", env!("CARGO_MANIFEST_DIR"));
        fs::copy(fixture, folder.path("sw.in")).unwrap();
        fs::copy(xyz::data("make/Si.sw"), folder.path("Si.sw")).unwrap();
        launch.arg("-p").arg("command=lmp -log none -in sw.in")
    });
}
