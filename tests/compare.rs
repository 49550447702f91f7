//! `framewise compare`, with `NumPy` and ASE as witnesses of every number.

mod support;

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use support::folder::{Folder, perturbed};
use support::python::said;

const LJ: &str = "--calculator lennard-jones --param cutoff=8.5";

fn python(folder: &Folder, action: &str, names: &[&str]) {
    said("compare.py", folder, std::iter::once(&action).chain(names));
}

/// Compares two files of the folder; the JSON is what the witness finds too.
fn compared(folder: &Folder, a: &str, b: &str, more: &str) -> Value {
    let said = folder
        .alone(&format!("compare {a} {b} --json {more}"))
        .expect(0);
    fs::write(folder.path("found.json"), &said.stdout).unwrap();
    python(folder, "check", &["found.json", a, b]);
    serde_json::from_str(&said.stdout).unwrap()
}

fn run(folder: &Folder, input: &str, result: &str, more: &str) {
    folder
        .alone(&format!("run {input}.h5 -o {result}.h5 {more}"))
        .expect(0);
}

#[test]
fn two_results_of_one_composition() {
    let folder = Folder::new();
    folder.bring("argon.xyz");
    folder.import("argon");
    run(
        &folder,
        "argon",
        "a",
        &format!("{LJ} --param epsilon=0.0104 --param sigma=3.4"),
    );
    run(
        &folder,
        "argon",
        "b",
        &format!("{LJ} --param epsilon=0.0103 --param sigma=3.41"),
    );
    let found = compared(&folder, "a.h5", "b.h5", "");
    assert_eq!(found["stress_frames"], 20);
    assert_eq!(found["constants_per_element"]["rank"], 1);
    let table = folder
        .alone("compare a.h5 b.h5 --outliers 2")
        .expect(0)
        .stdout;
    for part in [
        "A  a.h5 (lennard-jones): 20 of 20 frames completed",
        "20 frames compared, 2,160 atoms; errors are A - B",
        "per element removed",
        "stress components",
        "Ar108",
    ] {
        assert!(table.contains(part), "{part}: {table}");
    }
    // A file with itself.
    let same = compared(&folder, "a.h5", "a.h5", "");
    assert_eq!(same["forces"]["components"]["max"], 0.0);
    assert_eq!(same["energy_per_atom"]["r2"], 1.0);
    // As the table has it: lengths of differences have no R².
    assert_eq!(same["forces"]["components"]["r2"], 1.0);
    assert!(found["forces"]["vectors"]["r2"].is_null());
    assert!(found["forces"]["vectors"]["rmse"].is_number());
}

#[test]
fn partial_results_and_one_frame() {
    let folder = Folder::new();
    folder.bring("argon.xyz");
    folder.import("argon");
    let lj = format!("{LJ} --param epsilon=0.0104 --param sigma=3.4");
    run(&folder, "argon", "a", &format!("{lj} --frames 0:12"));
    run(
        &folder,
        "argon",
        "b",
        &format!("{lj} --frames 11:20 --param shift=energy"),
    );
    run(
        &folder,
        "argon",
        "c",
        &format!("{lj} --frames 9:20 --param shift=energy"),
    );
    run(&folder, "argon", "d", &format!("{lj} --frames 15:20"));
    let one = compared(&folder, "a.h5", "b.h5", "");
    assert_eq!(one["frames"], 1);
    let three = compared(&folder, "a.h5", "c.h5", "");
    assert_eq!(
        (&three["frames"], &three["a"]["undefined"]),
        (&3.into(), &8.into())
    );
    let text = folder.alone("compare a.h5 c.h5").expect(0).stdout;
    assert!(
        text.contains("12 of 20 frames completed, 8 undefined"),
        "{text}"
    );
    assert!(
        text.contains("9 frames completed in A and not in B: left out"),
        "{text}"
    );
    folder.alone("compare a.h5 d.h5").expect(1).error(
        "no frame is completed in both: a.h5 (lennard-jones) has 12 of 20 frames completed, d.h5 (lennard-jones) has 5 of 20",
    );
    // Plots of one frame.
    folder.alone("compare a.h5 b.h5 -o plots").expect(0);
    assert!(folder.path("plots/energy.png").exists());
}

#[test]
fn frames_are_selected() {
    let folder = Folder::new();
    folder.bring("argon.xyz");
    folder.import("argon");
    let lj = format!("{LJ} --param epsilon=0.0104 --param sigma=3.4");
    let other = format!("{lj} --param shift=energy");
    run(&folder, "argon", "a", &lj);
    run(&folder, "argon", "b", &other);
    run(
        &folder,
        "argon",
        "some",
        &format!("{other} --frames 3:9:2,19"),
    );
    folder.alone("export b.h5 -o b.extxyz").expect(0);
    let some = compared(&folder, "a.h5", "some.h5", "");
    for words in [
        "a.h5 b.h5 --frames 3:9:2,-1",
        "a.h5 b.extxyz --frames 3:9:2,-1",
    ] {
        let said = folder.alone(&format!("compare {words} --json")).expect(0);
        let found: Value = serde_json::from_str(&said.stdout).unwrap();
        assert_eq!(
            (&found["selected"], &found["common"]),
            (&4.into(), &4.into())
        );
        for same in ["frames", "energy_per_atom_shifted", "forces", "stress"] {
            assert_eq!(found[same], some[same], "{words} {same}");
        }
    }
    let text = folder.alone("compare b.extxyz a.h5 --frames -1").expect(0);
    assert!(text.stdout.contains("1 frame selected by --frames"));
    assert!(!text.stdout.contains("left out"), "{}", text.stdout);
    folder
        .alone("compare a.h5 b.h5 --frames 20")
        .expect(2)
        .error("--frames: frame 20 does not exist: the trajectory has frames 0 to 19 (a.h5)");
    folder
        .alone("compare a.h5 some.h5 --frames 4:6:2")
        .expect(1)
        .error("no frame of the 1 that --frames selects is completed in both");
    folder
        .alone("compare b.extxyz b.extxyz --frames 1")
        .expect(2)
        .error("both A and B are text");
}

#[test]
fn frames_before_the_first_energy_are_counted() {
    let folder = Folder::new();
    folder.bring("argon.xyz");
    folder.import("argon");
    let lj = format!("{LJ} --param epsilon=0.0104 --param sigma=3.4");
    run(&folder, "argon", "a", &lj);
    folder
        .alone("export a.h5 -o a.extxyz --energy-key REF_energy")
        .expect(0);
    let text = fs::read_to_string(folder.path("a.extxyz")).unwrap();
    let without = text.replacen("REF_energy=", "old_energies=", 1);
    assert_ne!(text, without);
    fs::write(folder.path("b.extxyz"), without).unwrap();
    for names in ["", "--labels-b energy=REF_energy"] {
        let said = folder.alone(&format!("compare a.h5 b.extxyz --json {names}"));
        let found: Value = serde_json::from_str(&said.expect(0).stdout).unwrap();
        assert_eq!(
            (&found["frames"], &found["b"]["undefined"]),
            (&19.into(), &1.into())
        );
    }
}

#[test]
fn mixed_sizes_and_elements_determine_constants() {
    let folder = Folder::new();
    folder.bring("ragged.xyz");
    folder.import("ragged");
    let (e, s) = ("--param epsilon=0.01", "--param sigma=2.5");
    run(&folder, "ragged", "a", &format!("{LJ} {e} {s}"));
    run(
        &folder,
        "ragged",
        "b",
        &format!("{LJ} {e} --param sigma=2.4"),
    );
    let found = compared(&folder, "a.h5", "b.h5", "");
    // Water clusters, whatever their size, determine one combination of O and H.
    assert_eq!(found["constants_per_element"]["rank"], 2);
    assert_eq!(found["frames"], 12);
}

#[test]
fn a_reference_in_extended_xyz_with_names_of_its_own_in_any_order() {
    let folder = Folder::new();
    folder.bring("argon.xyz");
    folder.import("argon");
    run(
        &folder,
        "argon",
        "a",
        &format!("{LJ} --param epsilon=0.0104 --param sigma=3.4"),
    );
    python(&folder, "reference", &["a.h5", "reference.xyz"]);
    let found = compared(&folder, "a.h5", "reference.xyz", "");
    assert_eq!(found["frames"], 13);
    assert!(found["stress_frames"].as_u64().unwrap() > 0);
    compared(&folder, "reference.xyz", "a.h5", "");
    let named = "--labels-b energy=REF_energy,forces=REF_forces,stress=REF_stress";
    compared(&folder, "a.h5", "reference.xyz", named);
    folder
        .alone("compare a.h5 reference.xyz --labels-b energy=DFT_energy")
        .expect(1)
        .error("reference.xyz: has no energy named \"DFT_energy\"; it has");
    let text = fs::read_to_string(folder.path("reference.xyz")).unwrap();
    fs::write(folder.path("twice.xyz"), text.repeat(2)).unwrap();
    for sides in ["a.h5 twice.xyz", "twice.xyz a.h5"] {
        folder
            .alone(&format!("compare {sides}"))
            .expect(1)
            .error("more than once, expected each frame once");
    }
    // As they come, they are other frames.
    folder
        .alone("compare a.h5 reference.xyz --by-position")
        .expect(1)
        .error("hold other geometries: frame 1: atom 0 (Ar) is at");
    // Text against text: what was exported is the result; every second frame of it is part of it.
    folder.alone("export a.h5 -o a.xyz").expect(0);
    folder
        .alone("export a.h5 --frames ::2 -o even.xyz")
        .expect(0);
    for pair in ["a.xyz even.xyz", "even.xyz a.h5", "a.h5 even.xyz"] {
        let said = folder
            .alone(&format!("compare {pair} --json"))
            .expect(0)
            .stdout;
        let found: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(found["frames"], 10, "{pair}");
        assert_eq!(found["forces"]["components"]["max"], 0.0, "{pair}");
        assert_eq!(found["energy_total"]["max"], 0.0, "{pair}");
    }
    folder
        .alone("compare a.xyz reference.xyz")
        .expect(1)
        .error("reference.xyz: its frames are not in ascending order");
}

#[test]
fn levels_of_theory_of_one_group() {
    let folder = Folder::new();
    python(&folder, "mbe", &["data.h5"]);
    let said = folder
        .alone(
            "compare data.h5 data.h5 --key training/methanal --level-a pbe/svp --level-b hf --json",
        )
        .expect(0)
        .stdout;
    let found: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(found["frames"], 5);
    assert_eq!(
        (&found["b"]["not_converged"], &found["b"]["undefined"]),
        (&1.into(), &1.into())
    );
    assert_eq!(found["a"]["completed"], 7, "no status is completed");
    let near = |value: &Value, x: f64| (value.as_f64().unwrap() - x).abs() < 1e-12;
    // Stored per atom.
    assert!(near(&found["energy_per_atom"]["mae"], 0.25), "{found}");
    assert!(near(&found["energy_total"]["mean"], 1.0), "{found}");
    assert!(near(&found["forces"]["components"]["rmse"], 0.5), "{found}");
    assert!(
        near(&found["energy_per_atom_shifted"]["max"], 0.0),
        "{found}"
    );
    folder.alone("compare data.h5 data.h5").expect(1).error(
        "has the levels of theory \"hf\", \"pbe/svp\"; choose one with --level-a or --level-b",
    );
    folder
        .alone("compare data.h5 data.h5 --level-a hf --level-b b3lyp")
        .expect(1)
        .error("has no level of theory \"b3lyp\"; it has \"hf\", \"pbe/svp\"");
}

#[test]
fn other_frames_are_refused_and_damage_is_said() {
    let folder = Folder::new();
    folder.bring("argon.xyz");
    folder.bring("argon_npt.xyz");
    folder.import("argon");
    folder.import("argon_npt");
    folder.import_frames("moved", &perturbed("argon.xyz", 20, 108));
    let null = "--calculator null";
    for name in ["argon", "argon_npt", "moved"] {
        run(&folder, name, &format!("{name}.r"), null);
    }
    let refused = |b: &str, why: &str| {
        folder
            .alone(&format!("compare argon.r.h5 {b}"))
            .expect(1)
            .error(why);
    };
    refused(
        "moved.r.h5",
        "hold other geometries: frame 0: atom 0 (Ar) is at",
    );
    refused(
        "argon_npt.r.h5",
        "hold other geometries: frame 0: cell vector 0 is",
    );
    folder
        .alone("compare argon.r.h5 moved.r.h5 --tolerance 0.1")
        .expect(0);
    folder
        .alone("compare argon.r.h5 moved.r.h5 --tolerance -1")
        .expect(2);
    refused(
        "argon.xyz",
        "argon.xyz: its first frame has no energy; name its key with",
    );
    refused("argon.h5", "argon.h5: holds frames but no energies");
    refused("nothing.h5", "nothing.h5: no such file");
    fs::write(folder.path("empty.xyz"), "").unwrap();
    refused("empty.xyz", "empty.xyz: holds no frame");
    let whole = fs::read(folder.path("argon.r.h5")).unwrap();
    fs::write(folder.path("cut.h5"), &whole[..whole.len() / 2]).unwrap();
    refused("cut.h5", "cut.h5: truncated or damaged HDF5 file");
    folder
        .alone("compare argon.r.h5 argon.r.h5 --level-a x")
        .expect(2)
        .error("holds one level of theory");
}

#[test]
fn limits_decide_the_exit_code() {
    let folder = Folder::new();
    folder.bring("argon.xyz");
    folder.import("argon");
    run(
        &folder,
        "argon",
        "a",
        &format!("{LJ} --param epsilon=0.0104 --param sigma=3.4"),
    );
    run(
        &folder,
        "argon",
        "b",
        &format!("{LJ} --param epsilon=0.0103 --param sigma=3.41"),
    );
    let check = |limits: &str, code| {
        folder
            .alone(&format!("compare a.h5 b.h5 --fail-above {limits}"))
            .expect(code)
    };
    check("force_rmse=0.1,energy_shifted_mae=0.01", 0);
    check("force_rmse=0.1,force_max=0.001", 1).says("force_max is 0.0");
    check("force_rms=0.1", 2).says("is no figure");
}

#[test]
fn plots_are_the_same_bytes_and_are_not_replaced_unasked() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_small_cell.xyz", 400, 4));
    run(
        &folder,
        "in",
        "a",
        &format!("{LJ} --param epsilon=0.0104 --param sigma=3.4"),
    );
    run(
        &folder,
        "in",
        "b",
        &format!("{LJ} --param epsilon=0.0103 --param sigma=3.41"),
    );
    folder.alone("compare a.h5 b.h5 -o one").expect(0);
    folder.alone("compare a.h5 b.h5 --plots two").expect(0);
    let read =
        |path: PathBuf| fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    for name in ["energy", "energy_shifted", "forces", "stress"] {
        for suffix in ["svg", "png"] {
            let file = format!("{name}.{suffix}");
            let bytes = read(folder.path("one").join(&file));
            assert!(bytes == read(folder.path("two").join(&file)), "{file}");
            assert!(bytes.len() > 5000, "{file}");
        }
        let svg = read(folder.path("one").join(format!("{name}.svg")));
        let svg = String::from_utf8(svg).unwrap();
        assert!(
            svg.contains("RMSE") && svg.contains("width=\"1500\""),
            "{name}"
        );
        let png = read(folder.path("one").join(format!("{name}.png")));
        assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
    }
    let json = read(folder.path("one/comparison.json"));
    assert_eq!(
        serde_json::from_slice::<Value>(&json).unwrap()["frames"],
        400
    );
    folder
        .alone("compare a.h5 b.h5 -o one")
        .expect(2)
        .error("comparison.json: exists already");
    folder
        .alone("compare a.h5 b.h5 -o one --overwrite")
        .expect(0);
}
