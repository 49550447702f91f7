//! A packed copy has what the result has, and nobody loses anything by making it.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::folder::{Folder, perturbed};
use support::python::said;
use support::results::read;
use support::tap::{Fault, Moment, Strike, Tap, Victims};
use support::torture::sample;

const LJ: &str = "--calculator lennard-jones -p epsilon=0.01 -p sigma=3 -p cutoff=6";

/// A program that is not ours finds no difference.
#[track_caller]
fn assert_same(folder: &Folder, a: &str, b: &str) {
    let compared = Command::new("h5diff")
        .args(["-r", a, b])
        .current_dir(folder.path("."))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&compared.stdout);
    let error = String::from_utf8_lossy(&compared.stderr);
    assert!(compared.status.success(), "{a} {b}\n{said}{error}");
}

fn size(path: &Path) -> u64 {
    path.metadata().unwrap().len()
}

/// Frames of one size and of several, of which some were not computed, and rows.
fn results(folder: &Folder) -> [&'static str; 3] {
    folder.import_frames("in", &perturbed("argon_npt.xyz", 300, 100));
    folder
        .alone(&format!("run in.h5 -o fixed.h5 --frames 0:250 {LJ}"))
        .expect(0);
    folder.bring("ragged.xyz");
    folder.import("ragged");
    folder
        .alone("run ragged.h5 -o sizes.h5 --calculator null")
        .expect(0);
    folder.bring("scan.h5");
    folder
        .alone("map scan.h5 --dataset signals --kernel fft-filter -p low-pass=0.2 -o rows.h5")
        .expect(0);
    ["fixed.h5", "sizes.h5", "rows.h5"]
}

#[test]
fn everything_is_there_on_any_ranks_in_any_chunks() {
    let folder = Folder::new();
    for name in results(&folder) {
        for (ranks, options) in [
            (1, ""),
            (2, "--gzip 9"),
            (3, "--chunks atom"),
            (2, "--uncompressed --chunks atom"),
            (4, "--no-shuffle --gzip 1"),
        ] {
            let command = format!("repack {name} -o small.h5 --overwrite {options}");
            let launch = match ranks {
                1 => folder.alone(&command),
                _ => folder.on(ranks, &command),
            };
            launch.expect(0).says_somewhere("compared");
            assert_same(&folder, name, "small.h5");
            folder.alone("verify small.h5").expect(0);
            if options == "--gzip 9" && name == "fixed.h5" {
                assert!(size(&folder.path("small.h5")) < size(&folder.path(name)) * 9 / 10);
            }
        }
        fs::remove_file(folder.path("small.h5")).unwrap();
    }
}

#[test]
fn chunks_are_of_frames_or_of_atoms_as_asked() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_npt.xyz", 3000, 100));
    folder
        .alone("run in.h5 -o r.h5 --calculator null")
        .expect(0);
    for (options, chunk) in [
        ("", [436, 100, 3]),
        ("--uncompressed", [436, 100, 3]),
        ("--chunks atom", [3000, 14, 3]),
        ("--chunks atom --uncompressed", [3000, 14, 3]),
    ] {
        let command = format!("repack r.h5 -o small.h5 --overwrite {options}");
        folder.on(2, &command).expect(0);
        let file = hdf5::File::open(folder.path("small.h5")).unwrap();
        for name in ["position", "forces"] {
            let dataset = file.dataset(&format!("particles/trajectory/{name}/value"));
            let found = dataset.unwrap().chunk();
            assert_eq!(found, Some(chunk.to_vec()), "{name} {options}");
        }
        let energy = file.dataset("observables/trajectory/energy/value");
        assert_eq!(energy.unwrap().chunk(), Some(vec![3000]));
        drop(file);
        assert_same(&folder, "r.h5", "small.h5");
    }
}

/// A disk that is full from some write on is one line of error on any number of ranks, and nothing is left.
#[test]
fn a_full_disk_is_said_and_hangs_nobody() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_npt.xyz", 400, 100));
    folder.alone(&format!("run in.h5 -o r.h5 {LJ}")).expect(0);
    let original = fs::read(folder.path("r.h5")).unwrap();
    let small = folder.path("small.h5");
    for ranks in [1, 2] {
        let launch = |tap: &Tap| {
            let command = "repack r.h5 -o small.h5";
            tap.put_on(match ranks {
                1 => folder.alone(command),
                _ => folder.on(ranks, command),
            })
        };
        let tap = Tap::on(&small).logged();
        launch(&tap).expect(0);
        let recorded = tap.log();
        let mut fired = 0;
        for event in sample((1..=recorded.len() as u64).collect(), 10, usize::MAX) {
            let _ = fs::remove_file(&small);
            let tap = Tap::on(&small).strike(Strike::Fault(Fault::NoSpace, true), event);
            let run = launch(&tap).run();
            if tap.fired().is_none() || run.code == Some(0) {
                continue;
            }
            fired += 1;
            assert_eq!(run.code, Some(1), "{event}: {run}");
            assert!(run.stderr.contains("error: "), "{event}: {run}");
            assert!(fs::read(folder.path("r.h5")).unwrap() == original);
            // The fault may keep the file from being removed, too; the next one removes it.
            assert!(!small.exists(), "{event}: {run}");
            launch(&Tap::on(&small)).expect(0);
            let left = ["in.h5", "in.xyz", "r.h5", "small.h5"];
            assert_eq!(folder.names(), left, "{event}: {run}");
        }
        assert!(fired > 3, "{fired} of {}", recorded.len());
        let _ = fs::remove_file(&small);
    }
}

#[test]
fn what_is_made_of_the_copy_is_what_is_made_of_the_result() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_npt.xyz", 60, 30));
    // The copy needs no input any more.
    folder
        .alone(&format!("run in.h5 -o r.h5 --geometry link {LJ}"))
        .expect(0);
    folder.alone("export r.h5 -o expected.xyz").expect(0);
    folder.on(2, "repack r.h5 -o small.h5").expect(0);
    // It is a copy to keep, not one to go on with.
    folder
        .alone(&format!("run in.h5 -o small.h5 {LJ}"))
        .expect(1)
        .error("small.h5");
    fs::remove_file(folder.path("in.h5")).unwrap();
    folder.alone("export small.h5 -o found.xyz").expect(0);
    let [expected, found] = ["expected.xyz", "found.xyz"].map(|name| fs::read(folder.path(name)));
    assert!(expected.unwrap() == found.unwrap());
}

#[test]
fn single_precision_is_what_it_says_and_has_checksums_of_its_own() {
    let folder = Folder::new();
    let [name, ..] = results(&folder);
    for ranks in [1, 3] {
        let command = format!("repack {name} -o small{ranks}.h5 --float32 forces,stress");
        let launch = match ranks {
            1 => folder.alone(&command),
            _ => folder.on(ranks, &command),
        };
        launch
            .expect(0)
            .says_somewhere("single precision changes stress by");
        let small = format!("small{ranks}.h5");
        folder.alone(&format!("verify {small}")).expect(0);
        let (exact, rounded) = (read(&folder.path(name)), read(&folder.path(&small)));
        assert_eq!(exact.status, rounded.status);
        assert!(exact.checksum != rounded.checksum);
        let pairs = exact
            .forces
            .as_flattened()
            .iter()
            .zip(rounded.forces.as_flattened());
        let mut compared = 0;
        for (x, y) in pairs.filter(|(x, _)| !x.is_nan()) {
            assert_eq!(f64::from(*x as f32), *y);
            compared += 1;
        }
        assert_eq!(compared, 250 * 100 * 3);
        let energies = exact.energy.iter().zip(&rounded.energy);
        assert!(
            energies
                .into_iter()
                .all(|(x, y)| x.to_bits() == y.to_bits())
        );
    }
    assert_same(&folder, "small1.h5", "small3.h5");
}

#[test]
fn a_damaged_result_is_not_packed() {
    let folder = Folder::new();
    let [name, ..] = results(&folder);
    {
        let file = hdf5::File::open_rw(folder.path(name)).unwrap();
        let energy = file.dataset("observables/trajectory/energy/value").unwrap();
        energy.write_slice(&[1.5], 7..8).unwrap();
    }
    // Numbers that become single precision get checksums of their own: of what was computed, nevertheless.
    for (ranks, options) in [
        (1, ""),
        (2, ""),
        (1, " --float32 forces"),
        (2, " --float32 position"),
    ] {
        let command = format!("repack {name} -o small.h5{options}");
        let launch = match ranks {
            1 => folder.alone(&command),
            _ => folder.on(ranks, &command),
        };
        launch
            .expect(1)
            .error("frame 7: does not match its checksum");
        assert!(!folder.names().iter().any(|name| name.starts_with("small")));
    }
}

#[test]
fn mistakes_are_one_line_and_nothing_is_made() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_npt.xyz", 5, 8));
    folder
        .alone("run in.h5 -o r.h5 --calculator null")
        .expect(0);
    let before = folder.names();
    for (command, code, what) in [
        ("repack r.h5 -o r.h5", 2, "are the same file"),
        ("repack r.h5 -o in.h5", 2, "exists already"),
        ("repack in.h5 -o s.h5", 1, "not a result of framewise"),
        ("repack none.h5 -o s.h5", 1, "none.h5"),
        ("repack r.h5 -o no/s.h5", 1, "no such directory"),
        (
            "repack r.h5 -o s.h5 --float32 energies",
            2,
            "no dataset of doubles of that name",
        ),
        ("repack r.h5 -o s.h5 --gzip 10", 2, "--gzip"),
        (
            "repack r.h5 -o s.h5 --gzip 1 --uncompressed",
            2,
            "--uncompressed",
        ),
    ] {
        folder.alone(command).expect(code).error(what);
        folder.on(2, command).refused(code).error(what);
        assert_eq!(folder.names(), before, "{command}");
    }
    // A filter that no library here has says what to do.
    let missing = folder.alone("repack r.h5 -o s.h5 --zstd 3").run();
    if missing.code != Some(0) {
        missing.expect(1).error("HDF5_PLUGIN_PATH");
        assert_eq!(folder.names(), before);
    }
}

#[test]
fn kills_leave_the_result_and_no_half_copy() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_npt.xyz", 100, 60));
    folder.alone(&format!("run in.h5 -o r.h5 {LJ}")).expect(0);
    let original = fs::read(folder.path("r.h5")).unwrap();
    let small = folder.path("small.h5");
    for ranks in [1, 2] {
        let launch = |tap: &Tap| {
            let command = "repack r.h5 -o small.h5";
            tap.put_on(match ranks {
                1 => folder.alone(command),
                _ => folder.on(ranks, command),
            })
        };
        let tap = Tap::on(&small).logged();
        launch(&tap).expect(0);
        let recorded = tap.log();
        let events = sample((1..=recorded.len() as u64).collect(), 8, usize::MAX);
        let mut fired = 0;
        for (k, event) in events.into_iter().enumerate() {
            fs::remove_file(&small).unwrap();
            let moment = [Moment::Before, Moment::Torn, Moment::After][k % 3];
            let strike = Strike::Kill(moment, Victims::All);
            let tap = Tap::on(&small).strike(strike, event);
            launch(&tap).run();
            fired += usize::from(tap.fired().is_some());
            if small.exists() {
                assert_same(&folder, "r.h5", "small.h5");
                fs::remove_file(&small).unwrap();
            }
            launch(&Tap::on(&small)).expect(0);
            assert_same(&folder, "r.h5", "small.h5");
            assert!(fs::read(folder.path("r.h5")).unwrap() == original);
            let left = ["in.h5", "in.xyz", "r.h5", "small.h5"];
            assert_eq!(folder.names(), left, "{moment:?} {event}");
        }
        assert!(fired > 3, "{fired} of {}", recorded.len());
        fs::remove_file(&small).unwrap();
    }
}

#[test]
fn numbers_beyond_single_precision_stay_double() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_npt.xyz", 40, 100));
    folder
        .alone("run in.h5 -o big.h5 --calculator null")
        .expect(0);
    {
        let file = hdf5::File::open_rw(folder.path("big.h5")).unwrap();
        let positions = file.dataset("particles/trajectory/position/value").unwrap();
        let one = ndarray::arr3(&[[[1e200]]]);
        positions.write_slice(&one, (7..8, 3..4, 0..1)).unwrap();
    }
    for ranks in [1, 2] {
        let command = "repack big.h5 -o small.h5 --float32 position";
        let launch = match ranks {
            1 => folder.alone(command),
            _ => folder.on(ranks, command),
        };
        launch
            .expect(1)
            .error("have numbers beyond single precision; leave --float32 position out");
        assert!(!folder.path("small.h5").exists());
    }
    folder
        .alone("repack big.h5 -o small.h5 --float32 forces,energy")
        .expect(0)
        .says_somewhere("eV, forces by");
}

/// What is elsewhere and gone would be missing in the copy for good.
#[test]
fn data_that_are_not_there_are_asked_for() {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_npt.xyz", 20, 100));
    folder
        .alone("run in.h5 -o r.h5 --calculator null --geometry link")
        .expect(0);
    fs::rename(folder.path("in.h5"), folder.path("away.h5")).unwrap();
    folder
        .alone("repack r.h5 -o p.h5")
        .expect(1)
        .error("/particles/trajectory/position/value is a link to data that are not there");
    fs::rename(folder.path("away.h5"), folder.path("in.h5")).unwrap();
    folder.alone("repack r.h5 -o p.h5").expect(0);
    fs::copy(folder.path("p.h5"), folder.path("q%.h5")).unwrap();
    folder.alone("link p.h5 q%.h5 -o l.h5").expect(0);
    folder.alone("repack l.h5 -o both.h5").expect(0);
    fs::remove_file(folder.path("q%.h5")).unwrap();
    folder
        .on(2, "repack l.h5 -o again.h5")
        .expect(1)
        .error("shows q%.h5, which is not there");
    assert!(!folder.path("again.h5").exists());
}

/// With the plug-ins that Python's `hdf5plugin` brings, as many have them.
#[test]
fn zstandard_and_blosc_pack_where_their_plug_ins_are() {
    let folder = Folder::new();
    let [name, ..] = results(&folder);
    let plug_ins = said("plug_ins.py", &folder, ["path"]);
    let plug_ins = plug_ins.trim();
    for (ranks, option, filter) in [(1, "--zstd 9", 32015), (2, "--blosc 5", 32001)] {
        let command = format!("repack {name} -o small.h5 --overwrite {option}");
        let launch = match ranks {
            1 => folder.alone(&command),
            _ => folder.on(ranks, &command),
        };
        launch.variable("HDF5_PLUGIN_PATH", plug_ins).expect(0);
        folder
            .alone("verify small.h5")
            .variable("HDF5_PLUGIN_PATH", plug_ins)
            .expect(0)
            .says_somewhere("250 completed frames checked, 0 wrong");
        assert!(size(&folder.path("small.h5")) < size(&folder.path(name)) * 3 / 4);
        folder.alone("verify small.h5").expect(1).error(&format!(
            "which filter {filter} has packed: set HDF5_PLUGIN_PATH"
        ));
        let help = "cannot read the run history, which filter";
        folder.alone("status small.h5").expect(1).error(help);
        // A program that is not ours has the same numbers.
        said(
            "plug_ins.py",
            &folder,
            ["same", name, "small.h5", &filter.to_string()],
        );
    }
}
