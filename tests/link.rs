//! Several results shown as one: nothing is copied, and everything that reads a result reads it.

mod support;

use std::fs;

use support::folder::{Folder, perturbed};
use support::launch::Launch;
use support::results::read;

const LJ: &str = "--calculator lennard-jones -p epsilon=0.01 -p sigma=3 -p cutoff=6";

/// Three results in a folder, of 108 atoms or, if `mixed`, of several numbers, each partly computed.
fn results(folder: &Folder, mixed: bool) -> Vec<String> {
    fs::create_dir(folder.path("out")).unwrap();
    let mut names = Vec::new();
    for (k, atoms) in [(1, 108), (2, if mixed { 20 } else { 108 }), (3, 108)] {
        let input = format!("in{k}");
        folder.import_frames(&input, &perturbed("argon_npt.xyz", 5 * k, atoms));
        let name = format!("out/r{k}.h5");
        let run = format!("run {input}.h5 -o {name} --frames :{} {LJ}", 5 * k - 1);
        folder.alone(&run).expect(0);
        names.push(name);
    }
    if mixed {
        folder.bring("ragged.xyz");
        folder.import("ragged");
        let run = "run ragged.h5 -o out/ragged.h5 --calculator null";
        folder.alone(run).expect(0);
        names.push("out/ragged.h5".into());
    }
    names
}

#[test]
fn frames_of_all_results_stand_one_after_the_other() {
    for mixed in [false, true] {
        let folder = Folder::new();
        let names = results(&folder, mixed);
        let link = format!("link {} -o all.h5", names.join(" "));
        folder.alone(&link).expect(0).says("all.h5: ");
        let all = read(&folder.path("all.h5"));
        let (mut frame, mut atom) = (0, 0);
        for name in &names {
            let one = read(&folder.path(name));
            let frames = frame..frame + one.status.len();
            let atoms = atom..atom + one.forces.len();
            assert_eq!(all.status[frames.clone()], one.status, "{name}");
            assert_eq!(all.checksum[frames.clone()], one.checksum, "{name}");
            let same = |a: &[f64], b: &[f64]| {
                a.iter()
                    .map(|x| x.to_bits())
                    .eq(b.iter().map(|x| x.to_bits()))
            };
            assert!(same(&all.energy[frames.clone()], &one.energy), "{name}");
            let forces = all.forces[atoms.clone()].as_flattened();
            assert!(same(forces, one.forces.as_flattened()), "{name}");
            (frame, atom) = (frames.end, atoms.end);
        }
        assert_eq!((all.status.len(), all.forces.len()), (frame, atom));
        folder.alone("verify all.h5").expect(0);
        folder.alone("status all.h5").expect(0);
        // What is made of it is what is made of all of them.
        let mut expected = String::new();
        for name in &names {
            folder
                .alone(&format!("export {name} -o one.xyz --overwrite"))
                .expect(0);
            expected += &fs::read_to_string(folder.path("one.xyz")).unwrap();
        }
        folder.alone("export all.h5 -o all.xyz").expect(0);
        let found = fs::read_to_string(folder.path("all.xyz")).unwrap();
        let without_numbers = |text: &str| -> Vec<String> {
            let words = text.lines().map(|line| {
                let kept = line.split(' ').filter(|word| !word.starts_with("frame="));
                kept.collect::<Vec<_>>().join(" ")
            });
            words.collect()
        };
        assert_eq!(without_numbers(&found), without_numbers(&expected));
        // A file of its own is made of it by repack.
        folder.on(2, "repack all.h5 -o own.h5").expect(0);
        fs::remove_dir_all(folder.path("out")).unwrap();
        folder
            .alone("verify own.h5")
            .expect(0)
            .says_somewhere("completed frames checked, 0 wrong");
        assert_eq!(read(&folder.path("own.h5")).checksum, all.checksum);
    }
}

#[test]
fn what_is_computed_later_shows_at_once_and_what_is_gone_is_undefined() {
    let folder = Folder::new();
    let names = results(&folder, false);
    folder
        .alone(&format!("link {} -o all.h5", names.join(" ")))
        .expect(0);
    let undefined = |status: &[i64]| status.iter().filter(|code| **code == 1).count();
    assert_eq!(undefined(&read(&folder.path("all.h5")).status), 3);
    folder
        .alone(&format!("run in2.h5 -o out/r2.h5 {LJ}"))
        .expect(0);
    assert_eq!(undefined(&read(&folder.path("all.h5")).status), 2);
    // Moved together with what it shows, it shows it.
    fs::create_dir(folder.path("away")).unwrap();
    for name in ["all.h5", "out"] {
        fs::rename(folder.path(name), folder.path(&format!("away/{name}"))).unwrap();
    }
    let all = read(&folder.path("away/all.h5"));
    assert_eq!(undefined(&all.status), 2);
    fs::remove_file(folder.path("away/out/r2.h5")).unwrap();
    let all = read(&folder.path("away/all.h5"));
    assert_eq!(all.status[5..15], [1; 10]);
    assert!(all.energy[5..15].iter().all(|x| x.is_nan()));
    folder.alone("verify away/all.h5").expect(0);
}

/// More results than a process may have files open.
#[test]
fn many_results_are_linked_and_what_that_asks_of_readers_is_said() {
    let folder = Folder::new();
    let names = results(&folder, false);
    let copies: Vec<String> = (0..80).map(|k| format!("out/copy{k:02}.h5")).collect();
    for copy in &copies {
        fs::copy(folder.path(&names[0]), folder.path(copy)).unwrap();
    }
    let program = support::launch::program();
    let line = format!(
        "ulimit -n 70; {} link out/copy*.h5 -o all.h5",
        program.display()
    );
    Launch::shell(&line, &folder.path("."))
        .expect(0)
        .says("80 results, but a process may have 70 files open")
        .says("400 frames with 43,200 atoms of 80 results");
    let all = read(&folder.path("all.h5"));
    assert_eq!(all.status.iter().filter(|code| **code == 0).count(), 320);
}

#[test]
fn mistakes_are_one_line_and_nothing_is_made() {
    let folder = Folder::new();
    let names = results(&folder, false);
    let before = folder.names();
    for (command, code, what) in [
        (
            format!("link {} in1.h5 -o all.h5", names[0]),
            1,
            "in1.h5: not a result of framewise",
        ),
        ("link none.h5 -o all.h5".into(), 1, "none.h5"),
        (format!("link {0} -o {0}", names[0]), 2, "the same file"),
        (format!("link {} -o in1.h5", names[0]), 2, "exists already"),
        (
            format!("link {} -o no/all.h5", names[0]),
            1,
            "no such directory",
        ),
    ] {
        folder.alone(&command).expect(code).error(what);
        assert_eq!(folder.names(), before, "{command}");
    }
}

#[test]
fn results_of_any_name_are_shown() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_npt.xyz", 3, 20));
    for name in ["a%b.h5", "p%%q.h5", "100%.h5", "ä b.h5"] {
        let run = folder.alone("run in.h5").arg("-o").arg(name);
        run.args(LJ).expect(0);
        let link = folder.alone("link").arg(name);
        link.args("-o l.h5 --overwrite").expect(0);
        folder
            .alone("verify l.h5")
            .expect(0)
            .says_somewhere("3 completed frames checked, 0 wrong");
        let (all, one) = (read(&folder.path("l.h5")), read(&folder.path(name)));
        assert_eq!(all.forces, one.forces, "{name}");
    }
}

/// What only some have is not shown; what is not alike and has to be shown is an error.
#[test]
fn results_that_are_not_alike() {
    let folder = Folder::new();
    let names = results(&folder, false);
    folder
        .alone(&format!(
            "repack {} -o single.h5 --float32 forces",
            names[0]
        ))
        .expect(0);
    folder
        .alone(&format!("link single.h5 {} -o l.h5", names[1]))
        .expect(1)
        .error("/particles/trajectory/forces/value is not of one type and shape in all of them");
    assert!(!folder.path("l.h5").exists());

    let text = "1\nProperties=species:S:1:pos:R:3:charge:R:1\nAr 0 0 0 0.5\n";
    fs::write(folder.path("charged.xyz"), text).unwrap();
    folder.import("charged");
    for (name, carry) in [("with", "--carry charge"), ("without", "")] {
        folder
            .alone(&format!("run charged.h5 -o {name}.h5 -c null {carry}"))
            .expect(0);
    }
    for (order, warns) in [("with.h5 without.h5", true), ("without.h5 with.h5", false)] {
        let said = folder
            .alone(&format!("link {order} -o l.h5 --overwrite"))
            .expect(0);
        let about = "/particles/trajectory/charge is not the same kind of thing in all of them";
        assert_eq!(said.stderr.contains(about), warns, "{said}");
        let file = hdf5::File::open(folder.path("l.h5")).unwrap();
        assert!(!file.link_exists("particles/trajectory/charge"));
    }
    let both = "link with.h5 with.h5 -o l.h5 --overwrite";
    folder.alone(both).expect(0);
    let file = hdf5::File::open(folder.path("l.h5")).unwrap();
    let charges = file.dataset("particles/trajectory/charge/value").unwrap();
    assert_eq!(charges.read_raw::<f64>().unwrap(), [0.5, 0.5]);
}

#[test]
fn each_frame_repeats_as_it_did() {
    let folder = Folder::new();
    for (name, pbc) in [("open", "F F F"), ("slab", "T T F"), ("both", "T T T")] {
        let frame = |pbc: &str| {
            format!(
                "1\nLattice=\"9 0 0 0 9 0 0 0 9\" Properties=species:S:1:pos:R:3 pbc=\"{pbc}\"\nAr 0 0 0\n"
            )
        };
        let mut text = frame(pbc);
        if name == "both" {
            text += &frame("F F T");
        }
        fs::write(folder.path(&format!("{name}.xyz")), text).unwrap();
        folder.import(name);
        folder
            .alone(&format!("run {name}.h5 -o {name}.r.h5 -c null"))
            .expect(0);
    }
    for order in [["open", "slab", "both"], ["both", "open", "slab"]] {
        let names: Vec<_> = order.iter().map(|name| format!("{name}.r.h5")).collect();
        folder
            .alone(&format!("link {} -o l.h5 --overwrite", names.join(" ")))
            .expect(0);
        let file = hdf5::File::open(folder.path("l.h5")).unwrap();
        let all = ["periodic", "pbc/value"].map(|name| {
            let dataset = file.dataset(&format!("particles/trajectory/box/{name}"));
            dataset.unwrap().read_raw::<u8>().unwrap()
        });
        let of = |name: &str| match name {
            "open" => vec![0, 0, 0],
            "slab" => vec![1, 1, 0],
            _ => vec![1, 1, 1, 0, 0, 1],
        };
        let expected: Vec<u8> = order.iter().flat_map(|name| of(name)).collect();
        assert_eq!(all, [expected.clone(), expected]);
    }
}

/// Numbers that stand one after the other have one unit.
#[test]
fn what_is_not_in_one_unit_is_left_out_and_said() {
    let folder = Folder::new();
    let text = "1\nProperties=species:S:1:pos:R:3:vel:R:3 Time=1.0\nAr 0 0 0 0.5 0 0\n";
    fs::write(folder.path("in.xyz"), text).unwrap();
    folder.import("in");
    for (name, carry) in [
        ("a", ":Angstrom ps-1"),
        ("n", ":nm ps-1"),
        ("b", ":Angstrom ps-1"),
    ] {
        let run = format!("run in.h5 -o {name}.h5 -c null --carry");
        let run = folder.alone(&run).arg(&format!("velocity=vel{carry}"));
        run.expect(0);
    }
    let change = |name: &str, path: &str, unit: Option<&str>| {
        let file = hdf5::File::open_rw(folder.path(name)).unwrap();
        let dataset = file
            .dataset(&format!("particles/trajectory/{path}"))
            .unwrap();
        dataset.delete_attr("unit").unwrap();
        if let Some(unit) = unit {
            let unit: hdf5::types::VarLenUnicode = unit.parse().unwrap();
            let attribute = dataset.new_attr::<hdf5::types::VarLenUnicode>();
            attribute
                .create("unit")
                .unwrap()
                .write_scalar(&unit)
                .unwrap();
        }
    };
    let shown = |path: &str| {
        let file = hdf5::File::open(folder.path("l.h5")).unwrap();
        file.dataset(&format!("particles/trajectory/{path}"))
            .is_ok()
    };
    let link = |names: &str| folder.alone(&format!("link {names} -o l.h5 --overwrite"));
    let said = link("a.h5 b.h5").expect(0);
    assert!(!said.stderr.contains("WARN"), "{said}");
    assert!(shown("velocity/value") && shown("velocity/time"));
    let said = link("a.h5 b.h5 n.h5").expect(0);
    let about = "/particles/trajectory/velocity is in Angstrom ps-1 in a.h5 and in nm ps-1 in n.h5, and is not shown";
    assert!(said.stderr.contains(about), "{said}");
    assert!(!shown("velocity/value") && shown("position/value"));
    change("b.h5", "velocity/value", None);
    let said = link("b.h5 a.h5").expect(0);
    let about = "velocity is without a unit in b.h5 and in Angstrom ps-1 in a.h5, and is not shown";
    assert!(
        said.stderr.contains(about) && !shown("velocity/value"),
        "{said}"
    );
    // Times are those of all groups: said once, shown nowhere.
    change("b.h5", "position/time", Some("fs"));
    let said = link("a.h5 b.h5").expect(0);
    let about =
        "/particles/trajectory/position/time is in ps in a.h5 and in fs in b.h5, and is not shown";
    assert!(said.stderr.contains(about), "{said}");
    assert_eq!(said.stderr.matches("/time is in").count(), 1, "{said}");
    assert!(shown("position/step") && !shown("position/time") && !shown("forces/time"));
    folder.alone("verify l.h5").expect(0);
    folder.alone("export l.h5 -o l.xyz").expect(0);
    // Without forces it is no result.
    fs::remove_file(folder.path("l.h5")).unwrap();
    change("b.h5", "forces/value", Some("hartree bohr-1"));
    link("a.h5 b.h5")
        .expect(1)
        .error("forces/value is in eV Angstrom-1 in a.h5 and in hartree bohr-1 in b.h5");
    assert!(!folder.path("l.h5").exists());
}
