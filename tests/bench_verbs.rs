//! `framewise bench`: what it prints and writes, on small sizes; no test looks at a speed.

mod support;

use std::fs;

use serde_json::Value;
use support::folder::Folder;
use support::mpi::Mpi;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn io_measures_every_pattern_in_every_way_and_leaves_nothing_behind() {
    let folder = Folder::new();
    for ranks in [1, 3] {
        let arguments = "bench io . --size 300kB --atoms 7 --repeats 2 --hint cb_nodes=1 --json";
        let said = match ranks {
            1 => folder.alone(arguments),
            _ => folder.on(ranks, arguments),
        };
        let said = json(&said.expect(0).stdout);
        assert_eq!(said["ranks"], ranks);
        // 92 bytes of a frame and 24 of each atom.
        let frames = 300_000 / (92 + 7 * 24);
        assert_eq!(said["frames_per_commit"], frames);
        assert_eq!(said["bytes_per_commit"], frames * (92 + 7 * 24));
        let commits = said["commits"].as_array().unwrap();
        let ways: Vec<_> = commits
            .iter()
            .map(|c| (c["pattern"].as_str().unwrap(), c["way"].as_str().unwrap()))
            .collect();
        assert_eq!(ways.len(), 32, "four patterns in eight ways: {ways:?}");
        assert!(
            ways.contains(&(
                "random",
                "--io independent --aggregate off --hint cb_nodes=1"
            )),
            "{ways:?}"
        );
        for commit in commits {
            assert_eq!(commit["repetitions"].as_array().unwrap().len(), 2);
            let positive = |key: &str| commit[key].as_f64().is_some_and(|x| x > 0.0);
            assert!(
                positive("raw_mb_per_s")
                    && positive("observed_mb_per_s")
                    && positive("ratio_to_pwrite")
            );
        }
        assert!(
            said["recommended"]["flags"]
                .as_str()
                .unwrap()
                .starts_with("--io ")
        );
        assert_eq!(folder.names(), [""; 0], "what was measured is removed");
    }
}

#[test]
fn io_prints_a_table_and_csv() {
    let folder = Folder::new();
    let said = folder
        .on(2, "bench io . --size 100kB --repeats 1")
        .expect(0)
        .stdout;
    for words in [
        "create",
        "raw MB/s",
        "observed MB/s",
        "metadata ms",
        "flush ms",
        "close ms",
        "pwrite, one piece",
        "use --io",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let csv = folder
        .alone("bench io . --size 100kB --repeats 1 --csv")
        .expect(0)
        .stdout;
    let columns: Vec<_> = csv.lines().map(|line| line.split(',').count()).collect();
    assert_eq!(columns, [21; 17], "{csv}");
}

#[test]
fn io_complains_in_one_line() {
    let folder = Folder::new();
    for ranks in [1, 2] {
        folder
            .on(ranks, "bench io nowhere")
            .expect(1)
            .error("nowhere: No such file");
        folder
            .on(ranks, "bench io . --size much")
            .refused(2)
            .error("--size: \"much\" is not a size");
        folder
            .on(ranks, "bench io . --size 800TB")
            .expect(1)
            .error("are needed and");
    }
    assert_eq!(folder.names(), [""; 0]);
}

#[test]
fn a_calculator_is_measured_on_made_up_frames_and_on_given_ones() {
    let folder = Folder::new();
    let quick = "--seconds 0.02 --repeats 2 --threads 1,2";
    let said = folder.alone(&format!(
        "bench calculator null --atoms 5 --frames 3 {quick} --json"
    ));
    let said = json(&said.expect(0).stdout);
    let lines = said["threads"].as_array().unwrap();
    assert_eq!(
        lines
            .iter()
            .map(|line| line["threads"].as_u64())
            .collect::<Vec<_>>(),
        [Some(1), Some(2)]
    );
    for line in lines {
        let rates = line["frames_per_second"].as_array().unwrap();
        assert!(
            rates.len() == 2 && rates.iter().all(|rate| rate.as_f64().unwrap() > 0.0),
            "{line}"
        );
        let at = |key: &str| line["seconds_per_frame"][key].as_f64().unwrap();
        assert!(at("p10") <= at("p50") && at("p50") <= at("p99") && at("p99") <= at("max"));
    }
    folder.bring("argon.xyz");
    folder.import("argon");
    let given = "bench calculator lennard-jones --param epsilon=0.0104 --param sigma=3.4 --param cutoff=8.5 argon.h5";
    let said = folder.alone(&format!("{given} {quick}")).expect(0).stdout;
    for words in [
        "argon.h5, 108 atoms in the mean",
        "efficiency",
        "null calculator on the same frames",
        "workers on this machine",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // Wrong on one rank and on two: one line.
    folder
        .alone("bench calculator lenard-jones")
        .expect(2)
        .error("did you mean \"lennard-jones\"");
    folder
        .on(2, "bench calculator null --seconds 0")
        .refused(2)
        .error("--seconds: more than 0");
    folder
        .alone("bench calculator null nothing.h5")
        .expect(1)
        .error("nothing.h5: no such file");
}

#[test]
fn scaling_runs_the_program_and_writes_tables_and_plots() {
    let folder = Folder::new();
    let command =
        "bench scaling -o out --ranks 1,2 --repeats 2 --atoms 4 --frames 40 --frames-per-rank 20";
    let said = folder.alone(command).expect(0).stdout;
    assert!(
        said.contains("Strong scaling") && said.contains("Weak scaling"),
        "{said}"
    );
    let read = |name: &str| fs::read_to_string(folder.path("out").join(name)).unwrap();
    let runs = read("runs.csv");
    let who: Vec<_> = runs
        .lines()
        .skip(1)
        .map(|line| line.split(',').take(5).collect::<Vec<_>>().join(" "))
        .collect();
    // The numbers of ranks take turns.
    let turn = |n: u32| {
        [
            format!("strong {n} 1 1 40"),
            format!("strong {n} 2 1 40"),
            format!("weak {n} 1 1 20"),
            format!("weak {n} 2 1 40"),
        ]
    };
    assert_eq!(who, [turn(1), turn(2)].concat());
    assert_eq!(read("scaling.csv").lines().count(), 5);
    let markdown = read("scaling.md");
    assert!(
        markdown.contains("![strong scaling](strong.svg)") && markdown.contains("| launcher |"),
        "{markdown}"
    );
    for name in ["strong.svg", "weak.svg"] {
        let svg = read(name);
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        assert!(svg.contains("efficiency") && svg.contains("whole run"));
    }
    let names: Vec<_> = fs::read_dir(folder.path("out"))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 5, "inputs and results are removed: {names:?}");
    folder
        .alone(command)
        .expect(2)
        .error("exists already; choose another -o, or --overwrite");
}

#[test]
fn scaling_takes_frames_of_different_sizes_an_input_and_arguments_of_run() {
    let folder = Folder::new();
    let quick = "--ranks 2 --repeats 1 --only strong";
    folder
        .alone(&format!(
            "bench scaling -o ragged {quick} --atoms 6 --sigma 1 --frames 30 -- --io independent"
        ))
        .expect(0);
    let markdown = fs::read_to_string(folder.path("ragged/scaling.md")).unwrap();
    assert!(
        markdown.contains("lognormal with sigma 1") && markdown.contains("--io independent"),
        "{markdown}"
    );
    folder.bring("argon.xyz");
    folder.import("argon");
    folder
        .alone(&format!(
            "bench scaling argon.h5 -o given {quick} --frames 7"
        ))
        .expect(0);
    let runs = fs::read_to_string(folder.path("given/runs.csv")).unwrap();
    assert!(runs.contains("strong,1,2,1,7,"), "{runs}");
    folder
        .alone(&format!(
            "bench scaling argon.h5 -o more {quick} --frames 21"
        ))
        .expect(2)
        .error("wants 21 frames, and the input has 20");
}

#[test]
fn scaling_says_what_went_wrong_in_a_run() {
    let folder = Folder::new();
    let small = "bench scaling --ranks 1 --repeats 1 --only strong --frames 3 --atoms 4";
    folder
        .alone(&format!("{small} -o a -- --io nonsense"))
        .expect(1)
        .error("--io: \"nonsense\" is not one of");
    folder
        .alone(&format!("{small} -o b"))
        .arg("--launcher")
        .arg("nolauncher -n {ranks}")
        .expect(1)
        .error("cannot start nolauncher");
    folder
        .alone(&format!("{small} -o c"))
        .arg("--launcher")
        .arg("mpiexec -n 4")
        .expect(2)
        .error("where the number of ranks goes");
    // A launcher that starts the wrong number.
    let (mpiexec, flags) = Mpi::linked().launcher();
    let mpiexec = mpiexec.to_string_lossy();
    let launcher = format!("{mpiexec} {} -n 2 env X={{ranks}}", flags.join(" "));
    folder
        .alone(&format!("{small} -o d"))
        .arg("--launcher")
        .arg(&launcher)
        .expect(1)
        .error("was to start 1 ranks, and 2 took part");
    folder
        .on(1, &format!("{small} -o e"))
        .refused(2)
        .error("start it without mpiexec or srun");
    for name in folder.names() {
        let rest = fs::read_dir(folder.path(&name)).unwrap().count();
        assert_eq!(rest, 0, "{name} is empty");
    }
}
