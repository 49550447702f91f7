//! The lock of a result among real processes: never two hold it, whoever is killed and whenever.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use framewise::adapters::lock::Lock;

/// Names the folder to a child.
const FOLDER: &str = "FRAMEWISE_TEST_STORM";
const PROCESSES: usize = 8;

fn alive(pid: &str) -> bool {
    // Killed and not yet waited for is dead.
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().starts_with(" Z"))
}

/// Takes the lock over and over. Whoever holds it stands alone in `witness`; two at a time is written into `wrong`.
#[test]
fn a_child_of_the_storm() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let folder = Path::new(&folder);
    let (witness, result) = (folder.join("witness"), folder.join("r.h5"));
    let me = std::process::id().to_string();
    let wrong = |what: &str| fs::write(folder.join(format!("wrong-{me}")), what).unwrap();
    for round in 0.. {
        let lock = match Lock::take(&result) {
            Ok(lock) => lock,
            Err(error) => {
                if !error.message.contains("is being written by") {
                    wrong(&error.message);
                }
                std::thread::sleep(Duration::from_micros(300));
                continue;
            }
        };
        // A witness whose pid is dead was killed while it held the lock.
        match fs::read_to_string(&witness) {
            Ok(other) if alive(&other) => wrong(&format!("{other} holds it too")),
            Err(e) if e.kind() != ErrorKind::NotFound => wrong(&e.to_string()),
            _ => {}
        }
        fs::write(folder.join(format!("aside-{me}")), &me).unwrap();
        fs::rename(folder.join(format!("aside-{me}")), &witness).unwrap();
        std::thread::sleep(Duration::from_micros(200 * (round % 5)));
        if let Err(error) = lock.check() {
            wrong(&error.message);
        }
        if fs::read_to_string(&witness).ok().as_deref() != Some(&me) {
            wrong("somebody else came in");
        }
        let _ = fs::remove_file(&witness);
        let _ = fs::write(folder.join(format!("done-{me}")), round.to_string());
        drop(lock);
    }
}

fn child(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_child_of_the_storm", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// A takeover once moved a lock aside by its name and put it back when it was a living one's: for a moment the place
/// was free, and two could hold it.
#[test]
fn of_processes_that_take_the_lock_and_are_killed_never_two_hold_it() {
    let folder = tempfile::tempdir().unwrap();
    let seconds = std::env::var("FRAMEWISE_TEST_STORM_SECONDS");
    let seconds = seconds.map_or(4, |text| text.parse().unwrap());
    let begun = Instant::now();
    let mut children: Vec<_> = (0..PROCESSES).map(|_| child(folder.path())).collect();
    let mut kills = 0;
    let mut held_by_the_dead = 0;
    while begun.elapsed() < Duration::from_secs(seconds) {
        std::thread::sleep(Duration::from_millis(7 + kills % 11));
        let next = (kills as usize * 5) % PROCESSES;
        children[next].kill().unwrap();
        children[next].wait().unwrap();
        let holder = fs::read_to_string(folder.path().join("witness")).unwrap_or_default();
        held_by_the_dead += u64::from(holder == children[next].id().to_string());
        children[next] = child(folder.path());
        kills += 1;
    }
    for mut child in children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // Everybody is dead: one more takeover, and nothing is left.
    drop(Lock::take(&folder.path().join("r.h5")).unwrap());
    let mut rounds = 0;
    for entry in fs::read_dir(folder.path()).unwrap() {
        let (name, path) = {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), entry.path())
        };
        let text = fs::read_to_string(&path).unwrap();
        assert!(!name.starts_with("wrong"), "{name}: {text}");
        assert!(!name.starts_with("r.h5"), "left over: {name}");
        if name.starts_with("done") {
            rounds += text.parse::<u64>().unwrap_or(0);
        }
    }
    println!("{kills} kills, {held_by_the_dead} of a holder, {rounds} attempts");
    assert!(
        kills > 50 && held_by_the_dead > 0,
        "{kills}, {held_by_the_dead}"
    );
}
