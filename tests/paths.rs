//! Files in places with strange names, behind links, where nothing may be written, on another disk.

mod support;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use support::folder::{Folder, perturbed};
use support::launch::Launch;
use support::results::{assert_same, bytes, completed};

const STRANGE: &str = "mit Leer zeichen/数据 ünï'códé \"$HOME\" #1";

fn folder() -> Folder {
    let folder = Folder::new();
    folder.import_frames("in", &perturbed("argon.xyz", 30, 8));
    folder.alone("run in.h5 -o whole.h5 -c null").expect(0);
    folder
}

#[test]
fn blanks_quotes_and_any_script_may_be_in_a_path() {
    let folder = folder();
    let there = folder.path(STRANGE);
    fs::create_dir_all(&there).unwrap();
    fs::copy(folder.path("in.h5"), there.join("in put.h5")).unwrap();
    let strange = |name: &str| there.join(name).display().to_string();
    for (ranks, geometry) in [(1, "copy"), (2, "link")] {
        let result = strange(&format!("re sult {geometry}.h5"));
        let run = || {
            let launch = match ranks {
                1 => folder.alone("run"),
                _ => folder.on(ranks, "run"),
            };
            let launch = launch.arg(&strange("in put.h5")).arg("-o").arg(&result);
            let launch = launch.args(&format!("-c null --geometry {geometry}"));
            launch
                .arg("--metrics")
                .arg(&strange("m .json"))
                .arg("--trace")
                .arg(&strange("tra ce"))
        };
        run().expect(0);
        run().expect(0);
        assert_eq!(completed(&there.join(format!("re sult {geometry}.h5"))), 30);
        for verb in ["status", "verify"] {
            folder.alone(verb).arg(&result).expect(0);
        }
        let exported = strange(&format!("{geometry} train.xyz"));
        folder
            .alone("export")
            .arg(&result)
            .arg("-o")
            .arg(&exported)
            .expect(0);
        assert!(fs::read_to_string(&exported).unwrap().lines().count() == 300);
        assert!(fs::metadata(there.join("m .json")).unwrap().len() > 0);
    }
    let same = bytes(&there.join("re sult copy.h5")) == bytes(&folder.path("whole.h5"));
    assert!(same);
    let mut names: Vec<_> = fs::read_dir(&there)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    let expected = [
        "copy train.xyz",
        "in put.h5",
        "link train.xyz",
        "m .json",
        "re sult copy.h5",
        "re sult link.h5",
        "tra ce",
    ];
    assert_eq!(names, expected, "leftovers");
}

#[test]
fn a_path_that_is_not_unicode_is_an_error_and_not_a_panic() {
    let folder = folder();
    let name = OsStr::from_bytes(b"re\xff\xfesult.h5");
    fs::copy(folder.path("in.h5"), folder.path(".").join(name)).unwrap();
    let lines = [
        "framewise run in.h5 -c null -o \"$(printf 're\\377.h5')\"",
        "framewise run \"$(printf 're\\377\\376sult.h5')\" -c null -o r.h5",
        "framewise status \"$(printf 're\\377\\376sult.h5')\"",
        "framewise import in.xyz -o \"$(printf 're\\377.h5')\"",
    ];
    for line in lines {
        let finished = Launch::shell(line, &folder.path(".")).run();
        assert!(matches!(finished.code, Some(0..=2)), "{finished}");
        assert!(!finished.stderr.contains("panicked"), "{finished}");
        if finished.code != Some(0) {
            finished.error("re");
        }
    }
    assert!(
        !folder
            .names_lossy()
            .iter()
            .any(|name| name.contains(".lock") || name.contains(".creating"))
    );
}

/// A result was once made under the name of a link, which was a file afterwards, and jobs that named one file
/// differently took two locks.
#[test]
fn a_link_is_followed_to_the_file_and_its_lock() {
    let folder = folder();
    fs::create_dir(folder.path("disk")).unwrap();
    symlink("disk/real.h5", folder.path("link.h5")).unwrap();
    symlink(folder.path("link.h5"), folder.path("link to link.h5")).unwrap();
    symlink("disk", folder.path("other way")).unwrap();
    // The link points nowhere yet.
    folder
        .on(2, "run in.h5 -c null --frames :10 -o")
        .arg("link to link.h5")
        .expect(0);
    assert!(folder.path("link.h5").is_symlink() && folder.path("disk/real.h5").is_file());
    folder
        .alone("run in.h5 -c null --frames :20 -o")
        .arg("other way/real.h5")
        .expect(0);
    folder.on(2, "run in.h5 -c null -o disk/real.h5").expect(0);
    assert_same(&folder.path("disk/real.h5"), &folder.path("whole.h5"));

    // Somebody holds the file under its own name.
    let owner = serde_json::json!({
        "host": "elsewhere", "pid": 7, "started": 1, "job": "", "epoch": 1,
    });
    fs::write(folder.path("disk/real.h5.lock"), owner.to_string()).unwrap();
    for name in ["link.h5", "link to link.h5", "other way/real.h5"] {
        let refused = folder
            .alone("run in.h5 -c null --overwrite -o")
            .arg(name)
            .expect(1);
        refused.error("is being written by pid 7 on elsewhere");
    }
    fs::remove_file(folder.path("disk/real.h5.lock")).unwrap();
    assert_same(&folder.path("disk/real.h5"), &folder.path("whole.h5"));
}

#[test]
fn a_result_that_is_the_input_under_any_name_is_refused() {
    let folder = folder();
    symlink("in.h5", folder.path("soft.h5")).unwrap();
    fs::hard_link(folder.path("in.h5"), folder.path("hard.h5")).unwrap();
    symlink(".", folder.path("here")).unwrap();
    let before = fs::read(folder.path("in.h5")).unwrap();
    for name in ["in.h5", "./in.h5", "soft.h5", "hard.h5", "here/in.h5"] {
        folder
            .alone(&format!("run in.h5 -c null --overwrite -o {name}"))
            .expect(2)
            .error("overwrite the input");
        folder
            .on(2, &format!("run in.h5 -c null -o {name}"))
            .refused(2)
            .error("overwrite the input");
    }
    assert!(fs::read(folder.path("in.h5")).unwrap() == before);
}

/// Needs a file system of its own that is read-only; permissions do not stop root.
#[test]
fn where_nothing_may_be_written_readers_work_and_a_run_says_so() {
    let folder = folder();
    folder
        .alone("run in.h5 -o part.h5 -c null --frames :10")
        .expect(0);
    fs::create_dir(folder.path("disk")).unwrap();
    let line = "exec unshare -rm sh -c 'set -e; mount -t tmpfs tmpfs disk; cp in.h5 whole.h5 part.h5 disk; \
         mount -o remount,ro disk; \
         framewise status disk/whole.h5 > /dev/null; framewise verify disk/whole.h5 > /dev/null; \
         framewise export disk/whole.h5 -o x.xyz > /dev/null; framewise run disk/in.h5 -c null -o new.h5 > /dev/null; \
         for result in new whole part; do \
           code=0; framewise run in.h5 -c null -o disk/$result.h5 2>> said || code=$?; echo $result $code; \
         done; ls -A disk'";
    let finished = Launch::shell(line, &folder.path(".")).expect(0);
    let said = fs::read_to_string(folder.path("said")).unwrap();
    assert_eq!(
        said.lines()
            .filter(|l| l.starts_with("error: cannot write disk/"))
            .count(),
        3,
        "{said}"
    );
    assert!(
        said.lines()
            .all(|line| line.contains("Read-only file system")),
        "{said}"
    );
    assert_eq!(
        finished.stdout, "new 1\nwhole 1\npart 1\nin.h5\npart.h5\nwhole.h5\n",
        "{finished}\n{said}"
    );
    assert!(bytes(&folder.path("new.h5")) == bytes(&folder.path("whole.h5")));
}

#[test]
fn the_folder_for_temporary_files_does_not_matter() {
    let folder = folder();
    // Another file system than that of the result, where there is one; then none at all.
    let absent = folder.path("absent").display().to_string();
    for temporary in ["/dev/shm", &absent] {
        let run = folder
            .alone("run in.h5 -o r.h5 -c null --overwrite")
            .variable("TMPDIR", temporary);
        run.expect(0);
        let import = folder
            .alone("import in.xyz -o again.h5 --overwrite")
            .variable("TMPDIR", temporary);
        import.expect(0);
        assert_same(&folder.path("r.h5"), &folder.path("whole.h5"));
    }
}

/// Opening a pipe waits for somebody to write into it.
#[test]
fn a_pipe_is_no_file() {
    let folder = folder();
    Launch::shell("mkfifo pipe pipe.xyz", &folder.path(".")).expect(0);
    for line in [
        "run in.h5 -o pipe -c null",
        "run pipe -o r.h5 -c null",
        "status pipe",
        "verify pipe",
        "import pipe.xyz -o x.h5",
    ] {
        let ended = folder.alone(line).run();
        assert!(matches!(ended.code, Some(1 | 2)), "{ended}");
        ended.error("is not a");
    }
}
