//! `ipi`: clients that are not ours (LAMMPS, ASE, i-PI's driver), and one that does all that a client should not.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use support::folder::{Folder, perturbed};
use support::launch::{Launch, send_if_there};
use support::results::{assert_same, read};
use support::xyz;

use framewise::domain::frame::FrameBlock;
use framewise::domain::units::{BOHR, HARTREE};

/// LAMMPS' values for `units metal`: 0.52917721 Å, and its Boltzmann constant over the one of atomic units.
const OF_LAMMPS: &str = "-p bohr=0.52917721 -p hartree=27.211385748053758";
/// ASE's, which are those of CODATA 2014.
const OF_ASE: &str = "-p bohr=0.5291772105638411 -p hartree=27.211386024367243";
/// The frame at which clients misbehave.
const POISONED: usize = 5;
const FRAMES: usize = 12;

fn python() -> PathBuf {
    std::env::var_os("FRAMEWISE_PYTHON")
        .expect("FRAMEWISE_PYTHON names a Python with ase, h5py and ipi; scripts/test makes one")
        .into()
}

fn script(name: &str) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/python")
        .join(name);
    format!("{} {}", python().display(), script.display())
}

fn misbehaving(how: &str) -> String {
    format!("{} {{socket}} {how} {{here}}", script("ipi_client.py"))
}

/// A folder with frames in `in.h5`, and another one for what is temporary.
fn folder(frames: &FrameBlock) -> Folder {
    let folder = Folder::new();
    fs::create_dir(folder.path("tmp")).unwrap();
    folder.import_frames("in", frames);
    folder
}

/// Frames of four atoms; in one of them the first atom is far away.
fn frames() -> FrameBlock {
    let mut frames = perturbed("argon_triclinic.xyz", FRAMES, 4);
    let atom = frames.offsets[POISONED];
    frames.positions[atom][0] = 40.0;
    frames
}

/// As [`run`], with atoms where they are.
fn plain(folder: &Folder, ranks: usize, arguments: &str, command: &str) -> Launch {
    run(folder, ranks, &format!("{arguments} -p wrap=no"), command)
}

fn run(folder: &Folder, ranks: usize, arguments: &str, command: &str) -> Launch {
    let arguments = format!("run in.h5 -c ipi --oversubscribe {arguments} -p");
    folder
        .on(ranks, &arguments)
        .arg(&format!("command={command}"))
        .variable("TMPDIR", folder.path("tmp").to_str().unwrap())
}

/// Processes that work in the folder, sockets and scratch folders: all that may be left.
fn left(folder: &Folder) -> Vec<String> {
    let here = fs::canonicalize(folder.path(".")).unwrap();
    let mut left = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let works = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        if works.starts_with(&here) {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            left.push(String::from_utf8_lossy(&line).replace('\0', " "));
        }
    }
    for entry in fs::read_dir("/tmp").unwrap().flatten() {
        if fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(&here)) {
            left.push(entry.path().display().to_string());
        }
    }
    for entry in fs::read_dir(folder.path("tmp")).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        left.extend(Some(name).filter(|name| name.starts_with("framewise-")));
    }
    left
}

#[track_caller]
fn wait_until_nothing_is_left(folder: &Folder) {
    let end = Instant::now() + Duration::from_secs(10);
    while !left(folder).is_empty() {
        assert!(Instant::now() < end, "{:?}", left(folder));
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn reference(name: &str) -> Vec<Value> {
    let text = fs::read_to_string(xyz::data(name)).unwrap();
    let mut json: Value = serde_json::from_str(&text).unwrap();
    serde_json::from_value(json["frames"].take()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    let rows: Vec<[f64; 3]> = serde_json::from_value(value.clone()).unwrap();
    rows.as_flattened().to_vec()
}

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    for (x, y) in found.iter().zip(expected) {
        assert!((x - y).abs() <= tolerance * scale, "{what}: {x} is not {y}");
    }
}

#[test]
fn lammps_as_a_client_agrees_with_lammps() {
    // Cells of any shape, turned for it and back.
    for (name, input) in [
        ("silicon", "sw.in"),
        ("argon_triclinic", "lj.in"),
        ("argon_rotated", "lj.in"),
    ] {
        let mut frames = xyz::read(&format!("{name}.xyz"));
        // Some images of atoms are far outside.
        for i in 0..frames.len() {
            let [a, _, c] = frames.cells[i].vectors;
            for atom in frames.offsets[i]..frames.offsets[i + 1] {
                let (m, n) = ((atom % 5) as f64 - 2.0, (atom % 3) as f64);
                let r = &mut frames.positions[atom];
                *r = [0, 1, 2].map(|k| r[k] + m * a[k] - n * c[k]);
            }
        }
        let folder = folder(&frames);
        fs::copy(xyz::data("make/Si.sw"), folder.path("Si.sw")).unwrap();
        let fixture = format!("{}/tests/fixtures/ipi/{input}", env!("CARGO_MANIFEST_DIR"));
        let command = format!("lmp -log none -in {input}");
        let arguments = format!("-o r.h5 -t 2 {OF_LAMMPS} -p files={fixture}");
        run(&folder, 2, &arguments, &command).expect(0);
        let found = read(&folder.path("r.h5"));
        for (i, expected) in reference(&format!("{name}.reference.json"))
            .iter()
            .enumerate()
        {
            let what = format!("{name} {i}");
            let energy = expected["energy"].as_f64().unwrap();
            assert_close(&[found.energy[i]], &[energy], 1e-12, &what);
            let forces = &found.forces[found.offsets[i]..found.offsets[i + 1]];
            assert_close(
                forces.as_flattened(),
                &numbers(&expected["forces"]),
                1e-11,
                &what,
            );
            let stress = found.stress[i].as_flattened();
            assert_close(stress, &numbers(&expected["stress"]), 1e-10, &what);
        }
        assert_eq!(left(&folder), Vec::<String>::new());
    }
}

#[test]
fn new_clients_for_each_frame_make_the_bytes_independent_of_ranks_and_threads() {
    let folder = folder(&xyz::read("silicon.xyz"));
    fs::copy(xyz::data("make/Si.sw"), folder.path("Si.sw")).unwrap();
    let fixture = format!("{}/tests/fixtures/ipi/sw.in", env!("CARGO_MANIFEST_DIR"));
    for (ranks, threads) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
        let arguments =
            format!("-o {ranks}{threads}.h5 -t {threads} -p fresh=yes -p files={fixture}");
        run(&folder, ranks, &arguments, "lmp -log none -in sw.in").expect(0);
        assert_same(
            &folder.path(&format!("{ranks}{threads}.h5")),
            &folder.path("11.h5"),
        );
        assert_eq!(left(&folder), Vec::<String>::new());
    }
}

#[test]
fn ase_as_a_client_agrees_with_ase_in_process() {
    let folder = folder(&perturbed("argon_triclinic.xyz", 6, 64));
    let client = format!("{} client {{socket}}", script("ipi_ase.py"));
    let arguments = format!("-o r.h5 -t 2 {OF_ASE} -p cell=as-is -p wrap=no");
    run(&folder, 1, &arguments, &client).expect(0);
    let check = script("ipi_ase.py");
    let (python, file) = check.split_once(' ').unwrap();
    let mut check = Command::new(python);
    let output = check
        .arg(file)
        .arg("check")
        .arg(folder.path("r.h5"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(output.stdout, b"6 frames agree\n");
    assert_eq!(left(&folder), Vec::<String>::new());
}

/// Frames of different species need clients of their own, and the driver's harmonic potential is known.
#[test]
fn the_driver_of_i_pi_computes_ragged_frames() {
    let all = xyz::read("ragged.xyz");
    let mut some = FrameBlock::default();
    for i in [0, 3, 5, 0, 8] {
        some.push(some.len() as u64, all.frame(i));
    }
    let folder = folder(&some);
    let driver = python().with_file_name("i-pi-driver-py");
    let driver = driver.display();
    let k = 0.1;
    for (mode, address) in [("unix", "-u -a {socket}"), ("inet", "-a {host} -p {port}")] {
        let arguments = format!("-o {mode}.h5 -t 1 -p mode={mode} -p wrap=no");
        let command = format!("{driver} {address} -m harmonic -o {k}");
        run(&folder, 2, &arguments, &command).expect(0);
        let found = read(&folder.path(&format!("{mode}.h5")));
        for i in 0..some.len() {
            let r: Vec<f64> = some.frame(i).positions.as_flattened().to_vec();
            let energy: f64 = r.iter().map(|x| 0.5 * k * (x / BOHR) * (x / BOHR)).sum();
            assert_close(&[found.energy[i]], &[energy * HARTREE], 1e-14, mode);
            let forces: Vec<f64> = r.iter().map(|x| -k * x / BOHR * HARTREE / BOHR).collect();
            let rows = &found.forces[found.offsets[i]..found.offsets[i + 1]];
            assert_close(rows.as_flattened(), &forces, 1e-14, mode);
            // It sends a virial of zeros.
            assert!(found.stress[i].as_flattened().iter().all(|x| x.is_nan()));
        }
        assert_eq!(left(&folder), Vec::<String>::new());
    }
    assert_eq!(
        read(&folder.path("unix.h5")).checksum,
        read(&folder.path("inet.h5")).checksum
    );
}

#[test]
fn a_fault_costs_its_frame_alone_and_says_why() {
    let folder = folder(&frames());
    plain(&folder, 1, "-o whole.h5 -t 1", &misbehaving("none")).expect(0);
    let whole = read(&folder.path("whole.h5"));
    for (how, reason) in [
        (
            "exit",
            "the client left with exit code 3; it said: this is exit | what a frame",
        ),
        (
            "kill",
            "the client died: signal 9 (SIGKILL); it said: this is kill",
        ),
        (
            "hang",
            "took longer than --frame-timeout (2 s); it said: this is hang",
        ),
        (
            "offspring",
            "took longer than --frame-timeout (2 s); it said: this is",
        ),
        (
            "word",
            "it says \"HTTP/1.1 404\" where HAVEDATA was expected",
        ),
        ("forgetful", "it says \"READY\" where HAVEDATA was expected"),
        ("atoms", "it answers 5 forces for a frame of 4 atoms"),
        ("negative", "it answers -1 forces for a frame of 4 atoms"),
        ("length", "the length of its extra text is impossible"),
        ("extra", "the length of its extra text is impossible"),
        (
            "energy",
            "the energy is not finite (NaN); it said: this is energy",
        ),
        (
            "force",
            "the force on atom 1 is not finite; it said: this is force",
        ),
    ] {
        let arguments = format!("-o {how}.h5 -t 2 --frame-timeout 2");
        let finished = plain(&folder, 1, &arguments, &misbehaving(how)).expect(3);
        assert!(
            finished.stderr.contains(&format!("frame {POISONED}: ")),
            "{finished}"
        );
        let finished = finished.says(reason);
        let found = read(&folder.path(&format!("{how}.h5")));
        for i in 0..FRAMES {
            let expected = if i == POISONED {
                (3, 0)
            } else {
                (0, whole.checksum[i])
            };
            assert_eq!(
                (found.status[i], found.checksum[i]),
                expected,
                "{how} {i}: {finished}"
            );
        }
        assert_eq!(left(&folder), Vec::<String>::new(), "{how}");
    }
}

#[test]
fn what_does_not_matter_costs_nothing() {
    let folder = folder(&frames());
    plain(&folder, 1, "-o whole.h5 -t 1", &misbehaving("none")).expect(0);
    // Clients were told to leave, and did.
    let left_by_itself = |name: &String| name.starts_with("left-");
    assert_eq!(
        folder.names().iter().filter(|n| left_by_itself(n)).count(),
        1
    );
    let whole = read(&folder.path("whole.h5"));
    for (ranks, threads, how) in [
        (2, 2, "none"),
        (1, 2, "chatter"),
        (1, 1, "leaves"),
        (1, 1, "flaky"),
    ] {
        let arguments = format!("-o {how}.h5 -t {threads} --frame-timeout 20");
        plain(&folder, ranks, &arguments, &misbehaving(how)).expect(0);
        let found = read(&folder.path(&format!("{how}.h5")));
        assert_eq!(found.checksum, whole.checksum, "{how}");
        assert_eq!(left(&folder), Vec::<String>::new(), "{how}");
    }
}

/// Frames that nobody has computed are not failed ones.
#[test]
fn a_client_that_comes_up_no_more_ends_the_job() {
    let folder = folder(&frames());
    let gone = fs::canonicalize(folder.path(".")).unwrap().join("gone");
    let gone = gone.display();
    let once =
        format!("[ -e {gone} ] && {{ echo licence gone; exit 4; }}\n: > {gone}\nexec \"$@\"\n");
    fs::write(folder.path("once.sh"), once).unwrap();
    let command = format!("sh {{here}}/once.sh {}", misbehaving("exit"));
    plain(&folder, 1, "-o r.h5 -t 1", &command)
        .expect(1)
        .error("licence gone");
    let states = read(&folder.path("r.h5")).status;
    // The two frames after the one that goes wrong have no client.
    assert_eq!(states, [0, 0, 0, 0, 0, 3, 3, 3, 1, 1, 1, 1]);
    // When there are licences again it goes on.
    fs::write(folder.path("once.sh"), "exec \"$@\"\n").unwrap();
    let patient = "-o r.h5 -t 1 -p start_timeout=50 --retry failed";
    plain(&folder, 1, patient, &command).expect(3);
    let states = read(&folder.path("r.h5")).status;
    assert_eq!(states, [0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0]);
    wait_until_nothing_is_left(&folder);
}

#[test]
fn input_files_with_other_contents_are_another_job_and_settings_are_not() {
    let folder = folder(&xyz::read("silicon.xyz"));
    fs::copy(xyz::data("make/Si.sw"), folder.path("Si.sw")).unwrap();
    let fixture = format!("{}/tests/fixtures/ipi/sw.in", env!("CARGO_MANIFEST_DIR"));
    let input = fs::read_to_string(fixture).unwrap();
    fs::write(folder.path("sw.in"), &input).unwrap();
    let command = "lmp -log none -in sw.in";
    run(
        &folder,
        1,
        "-o r.h5 -t 1 -p files=sw.in --frames 0:1",
        command,
    )
    .expect(0);
    let others = "-o r.h5 -t 1 -p files=sw.in -p start_timeout=50 -p clients=2 --frames 0:2";
    run(&folder, 1, others, command).expect(0);
    fs::write(folder.path("sw.in"), input + "# changed\n").unwrap();
    run(&folder, 1, "-o r.h5 -t 1 -p files=sw.in", command)
        .expect(1)
        .error("parameter files_xxh3");
}

#[test]
fn a_client_that_never_comes_up_is_an_error_of_the_job() {
    let folder = folder(&frames());
    for (how, reason) in [
        (
            "start",
            "the client left with exit code 7; it said: this is start | no licence",
        ),
        (
            "asleep",
            "was not ready within start_timeout (1 s); it said: this is asleep",
        ),
        (
            "mute",
            "was not ready within start_timeout (1 s); it said: this is mute",
        ),
    ] {
        let timeout = if how == "start" { 30 } else { 1 };
        let arguments = format!("-o {how}.h5 -t 1 -p start_timeout={timeout}");
        let finished = plain(&folder, 2, &arguments, &misbehaving(how)).expect(1);
        finished.error("calculator ipi: the client").says(reason);
        wait_until_nothing_is_left(&folder);
    }
    let inputs = folder.names();
    assert!(
        !inputs
            .iter()
            .any(|name| name.contains(".h5") && name != "in.h5")
    );
    for (arguments, command, error) in [
        (
            "-o r.h5",
            "no-such-program {socket}",
            "no program \"no-such-program\" in the PATH",
        ),
        (
            "-o r.h5",
            "./no-such-program",
            "no program \"./no-such-program\" that can be executed",
        ),
        (
            "-o r.h5",
            "python3 {sockt}",
            "unknown placeholder {sockt} (did you mean \"socket\"?)",
        ),
        ("-o r.h5", "python3 'x", "a quote is not closed"),
        ("-o r.h5", "", "parameter command: is empty"),
        (
            "-o r.h5 -p files=none.in",
            "python3",
            "parameter files: none.in: No such file",
        ),
        (
            "-o r.h5 -p address=x",
            "python3",
            "parameter address: is for clients that you start",
        ),
    ] {
        plain(&folder, 1, arguments, command).expect(2).error(error);
    }
    let bare = |more: &str| folder.alone(&format!("run in.h5 -o r.h5 -c ipi {more}"));
    bare("").expect(2).error("parameter command: is missing");
    bare("-p address=a/b").expect(2).error("\"a/b\" is no name");
    bare("-p mode=inet -p address=x")
        .expect(2)
        .error("\"x\" is not a port");
    assert_eq!(folder.names(), inputs);
}

#[test]
fn a_killed_rank_leaves_no_process_and_no_file() {
    let folder = folder(&frames());
    let command = misbehaving("offspring");
    let running = plain(&folder, 2, "-o r.h5 -t 2", &command).start();
    // A worker that is about to start its client has nobody yet who would tidy up after it.
    let sleeps = || {
        let left = left(&folder);
        let count = |start| left.iter().filter(|line| line.starts_with(start)).count();
        count("sleep 600") == 1 && count("framewise keep") == 4
    };
    let end = Instant::now() + Duration::from_secs(30);
    while !sleeps() {
        assert!(Instant::now() < end, "{:?}", left(&folder));
        std::thread::sleep(Duration::from_millis(20));
    }
    for rank in running.ranks() {
        send_if_there(rank, Signal::KILL);
    }
    assert_ne!(running.finish().code, Some(0));
    wait_until_nothing_is_left(&folder);
}

/// A client that somebody else starts.
#[test]
fn clients_are_awaited_where_the_user_says() {
    let folder = folder(&frames());
    plain(&folder, 1, "-o whole.h5 -t 1", &misbehaving("none")).expect(0);
    let name = format!("test-{}", std::process::id());
    // Free again by the time it is used.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    for (mode, address, told) in [
        ("unix", name.clone(), name),
        ("inet", port.to_string(), format!("127.0.0.1:{port}")),
    ] {
        let arguments = format!(
            "run in.h5 -v -o {mode}.h5 -t 1 -c ipi -p wrap=no -p mode={mode} -p address={address}"
        );
        let mut running = folder.alone(&arguments).start();
        running.wait_for("awaits clients of i-PI");
        let client = misbehaving("none")
            .replace("{socket}", &told)
            .replace(" {here}", "");
        let mut words = client.split(' ');
        let mut command = Command::new(words.next().unwrap());
        let mut client = command.args(words).stdout(Stdio::null()).spawn().unwrap();
        running.finish().expect(0);
        assert!(client.wait().unwrap().success());
        let found = read(&folder.path(&format!("{mode}.h5")));
        assert_eq!(found.checksum, read(&folder.path("whole.h5")).checksum);
    }
    let alone = "run in.h5 -o r.h5 -t 1 -c ipi -p start_timeout=0.5 -p address=nobody";
    let finished = folder.alone(alone).expect(1);
    finished.error("was not ready within start_timeout (0.5 s) at nobody: start one there");
    assert!(!Path::new("/tmp/ipi_nobody").exists());
}

#[test]
fn the_text_that_comes_with_forces_is_kept_by_checksum() {
    let folder = folder(&frames());
    plain(
        &folder,
        2,
        "-o r.h5 -t 1 -p extra=texts",
        &misbehaving("none"),
    )
    .expect(0);
    let mut checksums = Vec::new();
    for file in fs::read_dir(folder.path("texts")).unwrap() {
        for line in fs::read_to_string(file.unwrap().path()).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            assert!(line["extra"].as_str().unwrap().starts_with("{\"frame\": "));
            checksums.push(line["checksum"].as_u64().unwrap());
        }
    }
    let mut expected = read(&folder.path("r.h5")).checksum;
    expected.sort_unstable();
    checksums.sort_unstable();
    assert_eq!(checksums, expected);
    assert_eq!(checksums.len(), FRAMES);
}
