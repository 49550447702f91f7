//! The programs that people open results with, on results of this program: `MDAnalysis`, `ZnH5MD` with ASE, OVITO, h5py.
//!
//! What each has to find in the file is worked out from the extended XYZ that was imported, see `tests/python/readers.py`.

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use framewise::domain::cell::Cell;
use framewise::domain::frame::{Frame, FrameBlock};
use hdf5::types::VarLenUnicode;
use support::folder::{Folder, perturbed};

/// A result, and the frames that it is of.
struct Sample {
    result: &'static str,
    source: String,
    /// How exactly the source is in it: `exact`, or to so many Å.
    exactness: &'static str,
}

fn readers(folder: &Folder, arguments: &[&str]) -> Output {
    let interpreter = std::env::var_os("FRAMEWISE_READERS").expect(
        "FRAMEWISE_READERS names a Python with what tests/readers.txt says; scripts/test makes one",
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/readers.py");
    let mut command = Command::new(interpreter);
    command.arg(script).args(arguments);
    command.current_dir(folder.path(""));
    // OVITO asks for a screen otherwise.
    command.env("QT_QPA_PLATFORM", "offscreen");
    command.output().unwrap()
}

#[track_caller]
fn reads(folder: &Folder, reader: &str, samples: &[Sample]) {
    let mut arguments = vec![reader];
    for sample in samples {
        arguments.extend([sample.result, &sample.source, sample.exactness]);
    }
    let output = readers(folder, &arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let lines = String::from_utf8_lossy(&output.stdout).lines().count();
    assert_eq!(lines, samples.len(), "each sample was looked at");
}

/// Frames of five atoms: the species change, and some frames repeat and some do not.
fn changing(mixed: bool) -> FrameBlock {
    let source = perturbed("argon_npt.xyz", 10, 5);
    let mut frames = FrameBlock::default();
    for i in 0..source.len() {
        let frame = source.frame(i);
        let mut species = frame.species.to_vec();
        species[i % 5] = if mixed { 18 } else { 36 };
        let open = mixed && i % 3 == 1;
        frames.push(
            i as u64,
            Frame {
                species: &species,
                positions: frame.positions,
                cell: if open { Cell::OPEN } else { frame.cell },
            },
        );
    }
    frames
}

/// Results with the same number of atoms in all frames.
fn samples(folder: &Folder) -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut add = |name: &str, result, options: &str, exactness| {
        let command = format!("run {name}.h5 -o {result} --calculator null {options}");
        folder.alone(&command).expect(0);
        let source = format!("{name}.xyz");
        samples.push(Sample {
            result,
            source,
            exactness,
        });
    };
    for name in [
        "argon",
        "argon_npt",
        "argon_triclinic",
        "argon_rotated",
        "argon_slab",
        "argon_cluster",
        "argon_single",
    ] {
        folder.bring(&format!("{name}.xyz"));
        folder.import(name);
    }
    folder.import_frames("species", &changing(false));
    folder.import_frames("mixed", &changing(true));
    add("argon", "r.cell.h5", "", "exact");
    add("argon", "r.cell.partial.h5", "--frames 3:9,12", "exact");
    add("argon_npt", "r.cells.partial.h5", "--frames 0:3", "exact");
    add("argon_npt", "r.nothing.h5", "--frames 0:0", "exact");
    add("argon_triclinic", "r.triclinic.h5", "", "exact");
    add("argon_rotated", "r.rotated.h5", "", "exact");
    add("argon_slab", "r.slab.h5", "", "exact");
    add("argon_cluster", "r.open.h5", "--frames ::2", "exact");
    add("argon_single", "r.single.h5", "", "exact");
    add("species", "r.species.h5", "--frames :7", "exact");
    add("mixed", "r.mixed.h5", "--frames 2:", "exact");
    let molar = "--frames :4 --h5md-force-units kJ/mol/Angstrom";
    add("argon_npt", "r.molar.h5", molar, "exact");
    #[cfg(feature = "chemfiles")]
    {
        let made = readers(folder, &["make", "."]);
        let said = String::from_utf8_lossy(&made.stderr).into_owned();
        assert!(made.status.success(), "{said}");
        for (kind, result, exactness) in [("dcd", "r.dcd.h5", "2e-5"), ("xtc", "r.xtc.h5", "2e-5")]
        {
            let command = format!("import md.{kind} -o {kind}.h5 --species O,H,H,O,H,H");
            folder.alone(&command).expect(0);
            add(kind, result, "", exactness);
        }
    }
    samples
}

/// The same with positions that stay in the input.
fn linked(folder: &Folder) -> Sample {
    folder.bring("argon_npt.xyz");
    folder.import("argon_npt");
    let command = "run argon_npt.h5 -o linked.h5 --calculator null --frames :5 --geometry link";
    folder.alone(command).expect(0);
    Sample {
        result: "linked.h5",
        source: "argon_npt.xyz".into(),
        exactness: "exact",
    }
}

fn everything(reader: &str) {
    let folder = Folder::new();
    reads(&folder, reader, &samples(&folder));
}

#[test]
fn in_the_reader_mdanalysis_results_are_what_was_computed() {
    everything("mdanalysis");
}

#[test]
fn in_the_reader_znh5md_results_are_what_was_computed() {
    everything("znh5md");
}

#[test]
fn in_the_reader_ovito_results_are_what_was_computed() {
    everything("ovito");
}

#[test]
fn in_the_reader_h5py_results_are_what_was_computed() {
    everything("h5py");
    let folder = Folder::new();
    folder.bring("ragged.xyz");
    folder.import("ragged");
    let command = "run ragged.h5 -o r.h5 --calculator null --frames 1:";
    folder.on(2, command).expect(0);
    let sample = Sample {
        result: "r.h5",
        source: "ragged.xyz".into(),
        exactness: "exact",
    };
    reads(&folder, "h5py", &[sample]);
}

#[test]
fn in_the_reader_any_positions_may_stay_in_the_input() {
    let folder = Folder::new();
    let samples = [linked(&folder)];
    for reader in ["mdanalysis", "znh5md", "h5py"] {
        reads(&folder, reader, &samples);
    }
    // netCDF follows no links out of the file: OVITO says so, rather than showing something else.
    let sample = &samples[0];
    let arguments = ["ovito", sample.result, &sample.source, sample.exactness];
    let refused = readers(&folder, &arguments);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success());
    assert!(said.contains("Could not detect the file format"), "{said}");
}

/// Two results as one, and a copy of that which shows nothing of other files.
#[test]
fn in_the_reader_any_results_are_linked() {
    let folder = Folder::new();
    let mut source = String::new();
    for (name, atoms, frames) in [("one", 20, "--frames :3"), ("two", 20, "")] {
        folder.import_frames(name, &perturbed("argon_npt.xyz", 5, atoms));
        source += &std::fs::read_to_string(folder.path(&format!("{name}.xyz"))).unwrap();
        let run = format!("run {name}.h5 -o {name}.r.h5 --calculator null {frames}");
        folder.alone(&run).expect(0);
    }
    std::fs::write(folder.path("both.xyz"), source).unwrap();
    folder.alone("link one.r.h5 two.r.h5 -o l.h5").expect(0);
    folder.alone("repack l.h5 -o own.h5").expect(0);
    let samples = ["l.h5", "own.h5"].map(|result| Sample {
        result,
        source: "both.xyz".into(),
        exactness: "exact",
    });
    for reader in ["mdanalysis", "znh5md", "ovito"] {
        reads(&folder, reader, &samples);
    }
    // What is gone has no positions, and no cell.
    std::fs::rename(folder.path("two.r.h5"), folder.path("away.h5")).unwrap();
    let file = hdf5::File::open(folder.path("l.h5")).unwrap();
    let of = |name: &str| file.dataset(&format!("AMBER/{name}")).unwrap();
    let lengths = of("cell_lengths").read_raw::<f64>().unwrap();
    assert!(lengths[..15].iter().all(|x| *x > 0.0) && lengths[15..] == [0.0; 15]);
    let positions = of("coordinates").read_raw::<f64>().unwrap();
    assert!(positions[300..].iter().all(|x| x.is_nan()));
    drop(file);
    std::fs::rename(folder.path("away.h5"), folder.path("two.r.h5")).unwrap();
    // Sets of different sizes, and positions in another file, are nothing for AMBER.
    folder.import_frames("small", &perturbed("argon_npt.xyz", 5, 8));
    let run = "run small.h5 -o small.r.h5 --calculator null";
    folder.alone(run).expect(0);
    let elsewhere = "run one.h5 -o linked.h5 --calculator null --geometry link";
    folder.alone(elsewhere).expect(0);
    for other in ["small.r.h5", "linked.h5"] {
        folder
            .alone(&format!("link one.r.h5 {other} -o l.h5 --overwrite"))
            .expect(0);
        folder.alone("verify l.h5").expect(0);
        let file = hdf5::File::open(folder.path("l.h5")).unwrap();
        assert!(!file.link_exists("AMBER"), "{other}");
    }
}

/// Every atom has a velocity, a mass that never changes, and a number.
fn with_properties(folder: &Folder) {
    let mut text = String::new();
    for i in 0..7 {
        text += "2\nLattice=\"9 0 0 0 9 0 0 0 9\" Properties=species:S:1:pos:R:3:speed:R:3:weight:R:1:number:I:1\n";
        for atom in 0..2 {
            let (speed, number) = (0.001 * f64::from(i), 3 * i - atom);
            let _ = writeln!(text, "Ar {atom} {i} 0.1 {speed} 0 -{speed} 39.948 {number}");
        }
    }
    std::fs::write(folder.path("in.xyz"), text).unwrap();
    folder.import("in");
    // As another program would have it: one mass for each atom.
    let file = hdf5::File::open_rw(folder.path("in.h5")).unwrap();
    let particles = file.group("particles/trajectory").unwrap();
    particles.unlink("weight").unwrap();
    let masses = particles.new_dataset_builder().with_data(&[39.948f64; 2]);
    masses.create("weight").unwrap();
}

#[test]
fn in_the_reader_velocities_masses_and_charges_are_carried_over() {
    let folder = Folder::new();
    with_properties(&folder);
    let command = "run in.h5 -o r.h5 --calculator null --frames :3 --carry charge=number --carry mass=weight:u";
    let launch = folder.on(2, command).arg("--carry");
    launch.arg("velocity=speed:Angstrom fs-1").expect(0);
    let output = readers(&folder, &["carried", "r.h5", "in.xyz"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // Whoever goes on with it need not repeat it.
    let rest = "run in.h5 -o r.h5 --calculator null";
    folder.alone(rest).expect(0);
    // A result can be the input of another one, and says then what it has.
    let again = "run r.h5 -o again.h5 --calculator null --carry charge,mass,velocity";
    folder.alone(again).expect(0);
    let output = readers(&folder, &["carried", "again.h5", "in.xyz"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// Fixed masses of groups of any size, repeated for each frame, one group after the other.
#[test]
fn masses_of_several_groups_of_mbe_automation_are_carried_over() {
    let folder = Folder::new();
    folder.bring("mbe.h5");
    let mut known = BTreeMap::new();
    let file = hdf5::File::open(folder.path("mbe.h5")).unwrap();
    masses_of(&file.group("/").unwrap(), &mut known);
    drop(file);
    assert!(known.len() > 2, "{known:?}");
    let command = "run mbe.h5 --keys training/** --keys md/argon_npt -o r.h5 --calculator null --carry mass=masses";
    folder.on(2, command).expect(0);
    let file = hdf5::File::open(folder.path("r.h5")).unwrap();
    let values = |name: &str| {
        file.dataset(&format!("particles/trajectory/{name}/value"))
            .unwrap()
    };
    let masses = values("mass").read_raw::<f64>().unwrap();
    let species = values("species").read_raw::<i32>().unwrap();
    assert!(masses.len() == species.len() && masses.len() > 1000);
    for (atom, (mass, z)) in masses.iter().zip(&species).enumerate() {
        assert_eq!(known[z].to_bits(), mass.to_bits(), "atom {atom}");
    }
}

/// Which mass each element has.
fn masses_of(group: &hdf5::Group, known: &mut BTreeMap<i32, f64>) {
    if let Ok(masses) = group.dataset("masses (u)") {
        let numbers = group.dataset("atomic_numbers").unwrap();
        let numbers = numbers.read_raw::<i32>().unwrap();
        known.extend(numbers.into_iter().zip(masses.read_raw::<f64>().unwrap()));
    }
    for inside in group.groups().unwrap() {
        masses_of(&inside, known);
    }
}

#[test]
fn velocities_of_mbe_automation_get_a_unit_that_readers_know() {
    let folder = Folder::new();
    folder.bring("mbe.h5");
    let command =
        "run mbe.h5 --key md/argon_npt -o r.h5 --calculator null --carry velocity=velocities";
    folder.alone(command).expect(0);
    let [result, source] =
        ["r.h5", "mbe.h5"].map(|name| hdf5::File::open(folder.path(name)).unwrap());
    let found = result
        .dataset("particles/trajectory/velocity/value")
        .unwrap();
    let unit = found.attr("unit").unwrap().read_scalar::<VarLenUnicode>();
    assert_eq!(unit.unwrap().as_str(), "Angstrom fs-1");
    let expected = source
        .dataset("md/argon_npt/velocities (Å\u{2215}fs)")
        .unwrap();
    assert_eq!(found.shape(), expected.shape());
    assert_eq!(
        found.read_raw::<f64>().unwrap(),
        expected.read_raw::<f64>().unwrap()
    );
}

#[test]
fn what_cannot_be_carried_over_or_is_not_in_the_file_is_said() {
    let folder = Folder::new();
    with_properties(&folder);
    for (options, code, expected) in [
        (
            "--carry velocity",
            1,
            "there is no property \"velocity\" of atoms or frames; /particles/trajectory has number, speed, weight",
        ),
        ("--carry sped", 1, "(did you mean \"speed\"?)"),
        ("--carry velocity=speed", 1, "the input says no unit of it"),
        ("--carry position", 2, "not free as a name"),
        ("--carry mass=", 2, "write it as all, NAME"),
        ("--carry number,number", 2, "number is given twice"),
        (
            "--h5md-force-units eV",
            2,
            "is not one of eV/Angstrom, kJ/mol/Angstrom",
        ),
    ] {
        let command = format!("run in.h5 -o r.h5 --calculator null {options}");
        let refused = folder.alone(&command).expect(code);
        assert!(refused.stderr.contains(expected), "{options}: {refused}");
        assert!(!folder.path("r.h5").exists());
    }
    folder
        .alone("run in.h5 -o r.h5 --calculator null")
        .expect(0);
    for (options, expected) in [
        ("--carry number", "nothing carried over, not number"),
        (
            "--h5md-force-units kJ/mol/Angstrom",
            "forces in eV/Angstrom alone",
        ),
    ] {
        let command = format!("run in.h5 -o r.h5 --calculator null {options}");
        let refused = folder.alone(&command).expect(1);
        assert!(refused.stderr.contains(expected), "{options}: {refused}");
    }
}

#[test]
fn forces_in_both_units_are_the_same_bytes_on_any_number_of_ranks_and_after_a_resume() {
    let folder = Folder::new();
    folder.import_frames("in", &changing(false));
    let options = "--calculator null --h5md-force-units kJ/mol/Angstrom";
    folder
        .alone(&format!("run in.h5 -o one.h5 {options}"))
        .expect(0);
    let part = format!("run in.h5 -o three.h5 {options} --frames ::3");
    folder.on(3, &part).expect(0);
    folder
        .on(2, "run in.h5 -o three.h5 --calculator null")
        .expect(0);
    let forces = |name: &str, group: &str| {
        let file = hdf5::File::open(folder.path(name)).unwrap();
        let value = file.dataset(&format!("particles/trajectory/{group}/value"));
        value.unwrap().read_raw::<f64>().unwrap()
    };
    let (molar, plain) = (forces("one.h5", "force"), forces("one.h5", "forces"));
    assert!(!molar.is_empty() && molar.iter().all(|x| x.is_finite()));
    let scaled: Vec<f64> = plain.iter().map(|x| x * 96.485_332_123_310_02).collect();
    assert_eq!(molar, scaled);
    assert_eq!(molar, forces("three.h5", "force"));
    support::results::assert_same(&folder.path("three.h5"), &folder.path("one.h5"));
}
