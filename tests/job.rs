//! `framewise job`: the scripts that it writes are clean, do what they say, and mistakes are found before the queue.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use support::folder::{Folder, perturbed};
use support::launch::Launch;
use support::results::{assert_same, completed};

/// Frames of about 10 ms.
const SLOW: &str = "-c lennard-jones -p epsilon=0.0104 -p sigma=3.4 -p cutoff=110";

fn folder(frames: usize) -> Folder {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon_small_cell.xyz", frames, 4));
    folder
}

/// A script in `bin`.
fn stand_in(folder: &Folder, name: &str, text: &str) {
    let path = folder.path(&format!("bin/{name}"));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A line of a shell in which what stands in `bin` comes first.
fn shell(folder: &Folder, line: &str) -> Launch {
    let line = format!("PATH=$PWD/bin:$PATH; {line}");
    Launch::shell(&line, &folder.path("."))
}

#[test]
fn scripts_are_clean() {
    let folder = folder(2);
    fs::create_dir(folder.path("my data")).unwrap();
    fs::rename(folder.path("in.h5"), folder.path("my data/in.h5")).unwrap();
    let site = "--setup 'module load openmpi' --setup 'export SITE=1' --directive=--qos=long --partition p --account a --memory 8G";
    let mut written = 0;
    for scheduler in ["slurm", "pbs", "lsf"] {
        for again in ["requeue", "chain", "none"] {
            for array in ["", "--array 8"] {
                for more in [
                    "",
                    "--launcher mpiexec --stripes 0 --walltime 2-00:00:00",
                    site,
                    "--gpus-per-node 4 --mpi-io ompio",
                ] {
                    let options = format!(
                        "--scheduler {scheduler} --again {again} {array} {more} --nodes 3 --cores-per-node 32"
                    );
                    let command =
                        "run 'my data/in.h5' -o 'my data/it'\\''s.h5' -c null --frames -100:-1";
                    let line = format!("framewise job {options} -o job.sh --overwrite {command}");
                    if again == "chain" && scheduler != "slurm" {
                        shell(&folder, &line).expect(2).error("--again chain");
                        continue;
                    }
                    shell(&folder, &line).expect(0);
                    for checker in [&["shellcheck", "--severity=style"][..], &["bash", "-n"]] {
                        let checked = Command::new(checker[0])
                            .args(&checker[1..])
                            .arg(folder.path("job.sh"))
                            .output();
                        let checked = checked.unwrap_or_else(|e| panic!("{checker:?}: {e}"));
                        let said = String::from_utf8_lossy(&checked.stdout);
                        let text = fs::read_to_string(folder.path("job.sh")).unwrap();
                        assert!(checked.status.success(), "{line}: {said}\n{text}");
                    }
                    written += 1;
                }
            }
        }
    }
    assert_eq!(written, 56);
    let mode = fs::metadata(folder.path("job.sh"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o755);
}

#[test]
fn scripts_say_what_was_asked_for() {
    let folder = folder(2);
    let line = "job --scheduler slurm --nodes 4 --cores-per-node 128 --walltime 24:00:00 --warning 5m --attempts 7 --engine-threads 2 \
         --partition long run in.h5 -o r.h5 -c null";
    let text = folder.alone(line).expect(0).stdout;
    for said in [
        "#SBATCH --nodes=4\n",
        "#SBATCH --ntasks-per-node=8\n",
        "#SBATCH --cpus-per-task=16\n",
        "#SBATCH --time=24:00:00\n",
        "#SBATCH --signal=USR1@300\n",
        "#SBATCH --partition=long\n",
        "#SBATCH --requeue\n",
        "export OMP_NUM_THREADS=2 OPENBLAS_NUM_THREADS=2 MKL_NUM_THREADS=2\n",
        "--cpus-per-task=16",
        "    --threads 8\n",
        "-ge 7 ]",
    ] {
        assert!(text.contains(said), "no {said:?}: {text}");
    }
    let text = folder.alone("job --scheduler lsf --nodes 2 --ranks-per-node 4 --cores-per-rank 2 --walltime 90m run in.h5 -o r.h5 -c null -t 1");
    let text = text.expect(0).stdout;
    for said in [
        "#BSUB -n 8\n",
        "span[ptile=4] affinity[core(2)]",
        "#BSUB -W 1:30\n",
        "#BSUB -wa USR1\n",
        "#BSUB -wt 1\n",
        "#BSUB -Q \"75\"",
        "    -t 1",
    ] {
        assert!(text.contains(said), "no {said:?}: {text}");
    }
    let text = folder.alone(
        "job --scheduler pbs --nodes 2 --cores-per-node 64 --array 4 run in.h5 -o r.h5 -c null",
    );
    let text = text.expect(0).stdout;
    for said in [
        "select=2:ncpus=64:mpiprocs=4:ompthreads=1\n",
        "#PBS -J 1-4\n",
        "    --share",
    ] {
        assert!(text.contains(said), "no {said:?}: {text}");
    }
}

#[test]
fn mistakes_are_found_before_the_queue() {
    let folder = folder(2);
    for (line, said) in [
        ("job run in.h5 -o r.h5 -c lenard-jones", "lennard-jones"),
        ("job run in.h5 -o r.h5", "--calculator"),
        ("job run in.h5 -c null", "-o RESULT"),
        ("job status r.h5", "run or map"),
        ("job run in.h5 -o r.h5 -c null --treads 4", "--treads"),
        (
            "job --cores-per-node 8 --ranks-per-node 4 --cores-per-rank 4 run in.h5 -o r.h5 -c null",
            "do not fit a node of 8",
        ),
        ("job --walltime auto run in.h5 -o r.h5 -c null", "HH:MM:SS"),
        ("job --walltime soon run in.h5 -o r.h5 -c null", "soon"),
        ("job --name a;b run in.h5 -o r.h5 -c null", "one plain word"),
        (
            "job --name a/b run in.h5 -o r.h5 -c null",
            "without / and %",
        ),
        ("job --launcher= run in.h5 -o r.h5 -c null", "--launcher"),
        ("job --array 0 run in.h5 -o r.h5 -c null", "--array"),
        // Each attempt would begin anew.
        ("job run in.h5 -o r.h5 -c null --overwrite", "--again none"),
        (
            "job --array 2 run in.h5 -o r.h5 -c null --retry failed",
            "--share and --retry exclude",
        ),
        (
            "job run in.h5 -o r.h5 -c null --checkpoint-interval soon",
            "--checkpoint-interval",
        ),
    ] {
        folder.alone(line).expect(2).error(said);
    }
    folder
        .alone("job -o in.h5 run in.h5 -o r.h5 -c null")
        .expect(2)
        .error("in.h5");
    // It may be made by the job before.
    let later = folder
        .alone("job --cores-per-node 4 run later.h5 -o r.h5 -c null")
        .expect(0);
    later.says("later.h5");
}

/// No PBS is here: `qsub` stands in for it and writes down what it was told. All else is as it would be.
#[test]
fn a_script_for_pbs_goes_on_until_all_is_completed() {
    let folder = folder(1200);
    stand_in(&folder, "qsub", "echo \"$@\" >>submitted; echo 8.server");
    folder
        .alone(&format!("run in.h5 -o whole.h5 {SLOW}"))
        .expect(0);
    let options = "--scheduler pbs --ranks-per-node 2 --cores-per-rank 1 --attempts 9 -o job.sh";
    folder
        .alone(&format!(
            "job {options} run in.h5 -o r.h5 {SLOW} --walltime 2s --stop-before 1s --checkpoint-interval 0.2"
        ))
        .expect(0);
    let attempt = |n: usize| {
        shell(
            &folder,
            &format!(
                "PBS_JOBID=7.server PBS_O_WORKDIR=$PWD FRAMEWISE_ATTEMPT={n} exec bash job.sh"
            ),
        )
        .run()
    };
    let first = attempt(1).expect(75);
    assert!(first.stdout.contains("job 8.server goes on"), "{first}");
    let asked = fs::read_to_string(folder.path("submitted")).unwrap();
    assert_eq!(
        asked,
        "-W depend=afterany:7.server -v FRAMEWISE_ATTEMPT=2 job.sh\n"
    );
    let held = completed(&folder.path("r.h5"));
    let last = attempt(9);
    assert!(
        last.code == Some(0) || last.stdout.contains("not tried again"),
        "{last}"
    );
    assert!(completed(&folder.path("r.h5")) > held);
    fs::write(folder.path("submitted"), "").unwrap();
    let mut left = 60;
    while attempt(2).code != Some(0) {
        left -= 1;
        assert!(left > 0);
    }
    assert_same(&folder.path("r.h5"), &folder.path("whole.h5"));
}

/// No LSF is here: it would start the script again for exit code 75, as this does.
#[test]
fn a_script_for_lsf_goes_on_until_all_is_completed() {
    let folder = folder(1200);
    folder
        .alone(&format!("run in.h5 -o whole.h5 {SLOW}"))
        .expect(0);
    let options = "--scheduler lsf --ranks-per-node 2 --cores-per-rank 1 --attempts 90 -o job.sh";
    folder
        .alone(&format!(
            "job {options} run in.h5 -o r.h5 {SLOW} --walltime 2s --stop-before 1s --checkpoint-interval 0.2"
        ))
        .expect(0);
    let attempt = || shell(&folder, "LSB_JOBID=7 exec bash job.sh").run();
    let mut attempts = 1;
    while attempt().code == Some(75) {
        let count = fs::read_to_string(folder.path(".framewise-7.attempts")).unwrap();
        assert_eq!(count.trim(), attempts.to_string());
        attempts += 1;
        assert!(attempts < 90);
    }
    assert!(attempts > 1);
    assert!(!folder.path(".framewise-7.attempts").exists());
    assert_same(&folder.path("r.h5"), &folder.path("whole.h5"));
    // A launcher that is killed costs an attempt, up to the limit.
    let dead = options.replace("90", "2");
    let line = format!(
        "framewise job {dead} --overwrite --launcher 'sh -c \"kill -9 \\$\\$\"' run in.h5 -o r.h5 {SLOW}"
    );
    shell(&folder, &line).expect(0);
    attempt().expect(75);
    let last = attempt().expect(137);
    assert!(
        last.stdout.contains("not tried again after 2 attempts"),
        "{last}"
    );
}

/// No Lustre is here: `stat` and `lfs` stand in for it.
#[test]
fn a_new_result_on_lustre_is_striped() {
    let folder = folder(2);
    stand_in(&folder, "stat", "echo lustre");
    stand_in(
        &folder,
        "lfs",
        "echo \"$@\" >>asked; [ $1 = setstripe ] || echo 1",
    );
    let options = "--scheduler pbs --ranks-per-node 1 --cores-per-rank 1 --stripes 4 -o job.sh";
    folder
        .alone(&format!("job {options} run in.h5 -o r.h5 -c null"))
        .expect(0);
    let run = || shell(&folder, "PBS_JOBID=7.server exec bash job.sh").expect(0);
    run();
    let asked = fs::read_to_string(folder.path("asked")).unwrap();
    assert_eq!(
        asked,
        "getstripe --stripe-count --directory .\nsetstripe --stripe-count 4 --stripe-size 4M .\n"
    );
    // A result that is there keeps its stripes.
    run();
    assert_eq!(fs::read_to_string(folder.path("asked")).unwrap(), asked);
    // So does a folder that has a layout.
    fs::remove_file(folder.path("r.h5")).unwrap();
    stand_in(&folder, "lfs", "echo \"$@\" >>asked; echo 16");
    run();
    assert_eq!(
        fs::read_to_string(folder.path("asked"))
            .unwrap()
            .lines()
            .count(),
        3
    );
}
