//! Several groups of a file as one job, and what there is in a file.

mod support;

use framewise::adapters::hdf5::result_reader::ResultReader;
use serde_json::Value;

use support::folder::Folder;
use support::python::said;
use support::results::{assert_same, read};

fn make(folder: &Folder, count: usize) {
    said(
        "structures.py",
        folder,
        ["make", "many.h5", &count.to_string()],
    );
}

#[test]
fn groups_of_every_kind_are_one_job_on_any_ranks() {
    let folder = Folder::new();
    folder.bring("mbe.h5");
    let run = "run mbe.h5 --keys training/** --keys md/argon_npt --calculator lennard-jones \
               -p epsilon=0.01 -p sigma=3 -p cutoff=6";
    folder.alone(&format!("{run} -o one.h5")).expect(0);
    for ranks in [2, 3] {
        folder.on(ranks, &format!("{run} -o r{ranks}.h5")).expect(0);
        assert_same(
            &folder.path(&format!("r{ranks}.h5")),
            &folder.path("one.h5"),
        );
    }
    // In parts, by ranks that come and go.
    folder
        .on(2, &format!("{run} -o parts.h5 --frames 3:20:4"))
        .expect(0);
    folder.on(3, &format!("{run} -o parts.h5")).expect(0);
    assert_same(&folder.path("parts.h5"), &folder.path("one.h5"));
    folder.alone("verify parts.h5").expect(0);

    let segments = ResultReader::open(&folder.path("one.h5"))
        .unwrap()
        .segments()
        .unwrap();
    assert_eq!(segments.len(), 10);
    let mut names: Vec<_> = segments.iter().map(|(key, _)| key.clone()).collect();
    names.sort();
    assert!(segments.iter().map(|(key, _)| key).eq(&names));
    // Each of them has what it has as a job of its own.
    let all = read(&folder.path("one.h5"));
    for (key, frames) in segments {
        let alone = run.replace(
            "--keys training/** --keys md/argon_npt",
            &format!("--key {key}"),
        );
        folder.alone(&format!("{alone} -o own.h5")).expect(0);
        let own = read(&folder.path("own.h5"));
        let range = frames.start as usize..frames.end as usize;
        assert_eq!(all.checksum[range.clone()], own.checksum, "{key}");
        let forces = all.offsets[range.start]..all.offsets[range.end];
        assert_eq!(all.forces[forces], own.forces, "{key}");
        std::fs::remove_file(folder.path("own.h5")).unwrap();
    }
}

#[test]
fn groups_of_one_shape_make_a_result_of_one_shape() {
    let folder = Folder::new();
    folder.bring("mbe.h5");
    let run = "run mbe.h5 --keys training/argon* -o r.h5 --calculator null";
    folder.on(2, run).expect(0);
    let reader = ResultReader::open(&folder.path("r.h5")).unwrap();
    assert_eq!((reader.atoms(), reader.n_frames()), (Some(108), 10));
    // Other groups are another job.
    folder
        .alone("run mbe.h5 --keys training/* -o r.h5 --calculator null")
        .expect(1)
        .error("was made with");
    folder.alone("export r.h5 -o r.xyz").expect(0);
}

#[test]
fn thousands_of_small_groups_are_one_run_and_go_back_to_their_places() {
    let folder = Folder::new();
    let count = 1000;
    make(&folder, count);
    let run = "run many.h5 --keys ** -o r.h5 --calculator null";
    folder
        .on(2, run)
        .expect(0)
        .says("1,999 frames to compute")
        .says_somewhere("1 commit,");
    folder
        .alone("merge r.h5 --into many.h5")
        .expect(0)
        .says("of 1,000 structures completed");
    let listed = folder.alone("ls many.h5 --json").expect(0);
    let listed: Vec<Value> = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(listed.len(), count);
    for entry in &listed {
        let level = &entry["levels_of_theory"][0];
        assert_eq!(level["completed"], entry["frames"], "{entry}");
    }
    let left = folder.alone("ls many.h5 --without null").expect(0);
    assert!(left.stdout.contains("no frames"), "{left}");
}

#[test]
fn patterns_mean_what_they_say() {
    let folder = Folder::new();
    folder.bring("mbe.h5");
    let listed = |patterns: &str| -> Vec<String> {
        let found = folder
            .alone(&format!("ls mbe.h5 --json {patterns}"))
            .expect(0);
        let found: Vec<Value> = serde_json::from_str(&found.stdout).unwrap();
        let key = |entry: &Value| entry["key"].as_str().unwrap().to_owned();
        found.iter().map(key).collect()
    };
    assert_eq!(listed("").len(), 10);
    assert_eq!(listed("training/*").len(), 6);
    assert_eq!(listed("training/argon* md/*").len(), 3);
    assert_eq!(listed("training/**/n=*").len(), 3);
    let brackets = "training/md_sampling/cluster[dyn:T=260.00]/finite_subsystems/n=2";
    assert_eq!(listed(brackets).len(), 1);
    assert_eq!(listed(&format!("{brackets}/cluster_of_molecules")).len(), 1);
    // Only stars are patterns: brackets and question marks are those of names.
    let cluster = "training/md_sampling/cluster[dyn:T=260.00]";
    assert_eq!(listed(&format!("{cluster}/**")).len(), 3);
    assert_eq!(listed(&format!("{cluster}/*/n=2")).len(), 1);
    assert_eq!(listed("training/md_sampling/*[dyn:T=*]/**").len(), 3);
    assert_eq!(listed("--finite").len(), 5);
    assert_eq!(listed("--periodic").len(), 5);
    assert_eq!(listed("--with sw/other"), ["training/ground_truth"]);
    assert_eq!(listed("--without sw/other").len(), 10);
    for (arguments, code, what) in [
        (
            "ls mbe.h5 nothing/*",
            1,
            "matches no group; the file has md/argon_npt",
        ),
        ("ls mbe.h5 training/**/n=?", 1, "matches no group"),
        (
            "run mbe.h5 --keys a/* -o r.h5 --calculator null",
            1,
            "matches no group",
        ),
        (
            "run mbe.h5 --keys a*** -o r.h5 --calculator null",
            2,
            "--keys a***",
        ),
        (
            "run mbe.h5 --keys a --key b -o r.h5 --calculator null",
            2,
            "--key",
        ),
        (
            "run mbe.h5 -o r.h5 --calculator null",
            1,
            "several with --keys",
        ),
    ] {
        folder.alone(arguments).expect(code).error(what);
        assert_eq!(folder.names(), ["mbe.h5"], "{arguments}");
    }
}

#[test]
fn what_is_damaged_is_listed_with_its_reason_beside_the_rest() {
    let folder = Folder::new();
    said("structures.py", &folder, ["spoil", "in.h5"]);
    let listed = folder
        .alone("ls in.h5")
        .expect(0)
        .says("in.h5: 2 cannot be read, or not whole")
        .says_somewhere("cannot be read: dataset /b/atomic_numbers has shape [3], expected [2]");
    let lines: Vec<_> = listed.stdout.lines().map(str::trim).collect();
    let of = |key: &str| {
        let line = lines.iter().find(|line| line.starts_with(key));
        *line.unwrap_or_else(|| panic!("{key}: {listed}"))
    };
    assert!(of("a ").ends_with("good 10/10"), "{listed}");
    assert!(
        of("c ").contains("short damaged: status_short has shape [3], for 10 frames"),
        "{listed}"
    );
    assert!(!listed.stdout.contains("3/10"), "{listed}");

    let json = folder.alone("ls in.h5 --json").expect(0);
    let json: Vec<Value> = serde_json::from_str(&json.stdout).unwrap();
    let keys: Vec<_> = json.iter().map(|entry| &entry["key"]).collect();
    assert_eq!(keys, ["a", "b", "c"]);
    let why = |entry: &Value| entry["damaged"].as_str().map(str::to_owned);
    assert_eq!(why(&json[0]), None);
    assert!(why(&json[1]).unwrap().contains("has shape [3]"));
    assert_eq!(why(&json[2]), None);
    let level = &json[2]["levels_of_theory"][0];
    assert!(why(level).unwrap().contains("status_short"), "{level}");
    assert_eq!(level["completed"], 0);
    // What is asked for, a damaged group is not known to be.
    folder
        .alone("ls in.h5 --without good --json")
        .expect(0)
        .says("in.h5: 2 cannot be read, or not whole");
    folder
        .alone("run in.h5 --keys ** -o r.h5 --calculator null")
        .expect(1)
        .error("in.h5: dataset /b/atomic_numbers has shape [3]");
}

/// A level that is only named has nothing; one that older versions wrote without naming it has what it has.
#[test]
fn levels_are_counted_by_what_is_stored() {
    let folder = Folder::new();
    folder.bring("mbe.h5");
    let key = "training/argon";
    let file = hdf5::File::open_rw(folder.path("mbe.h5")).unwrap();
    let truth = file
        .group(key)
        .unwrap()
        .create_group("ground_truth")
        .unwrap();
    let name: hdf5::types::VarLenUnicode = "named".parse().unwrap();
    let attribute = truth.new_attr::<hdf5::types::VarLenUnicode>().shape(1);
    let attribute = attribute.create("levels_of_theory").unwrap();
    attribute.write_raw(&[name]).unwrap();
    let energies = truth.new_dataset_builder().with_data(&[1.0; 5]);
    energies
        .create("E_old\u{2215}way (eV\u{2215}atom)")
        .unwrap();
    file.flush().unwrap();
    drop((attribute, truth, file));
    let listed = folder.alone("ls mbe.h5 --json").expect(0);
    let json: Vec<Value> = serde_json::from_str(&listed.stdout).unwrap();
    let entry = json.iter().find(|entry| entry["key"] == key).unwrap();
    let levels = entry["levels_of_theory"].as_array().unwrap();
    assert_eq!(levels[0]["name"], "named");
    assert_eq!(levels[0]["completed"], 0, "{entry}");
    assert!(
        levels[0]["damaged"]
            .as_str()
            .unwrap()
            .contains("no energies")
    );
    assert_eq!(levels[1]["name"], "old/way");
    assert_eq!(levels[1]["completed"], 5, "{entry}");
    let without = folder.alone("ls mbe.h5 --without named").expect(0);
    assert!(without.stdout.contains(key), "{without}");
}
