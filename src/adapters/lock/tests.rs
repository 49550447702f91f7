use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use super::*;

thread_local! {
    /// What this thread does between looking and acting.
    static DELAY: Cell<Option<fn()>> = const { Cell::new(None) };
}

/// Called between every look at a lock and the act that rests on it.
pub(super) fn lose_time() {
    if let Some(delay) = DELAY.get() {
        delay();
    }
}

fn dead(epoch: u64) -> Owner {
    Owner {
        started: 1,
        epoch,
        ..Owner::this_process()
    }
}

fn put(path: &Path, owner: &Owner) {
    fs::write(path, serde_json::to_vec(owner).unwrap()).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_live_owner_is_named_and_a_dead_one_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let result = folder.path().join("r.h5");
    let lock = Lock::take(&result).unwrap();
    let error = Lock::take(&result).unwrap_err();
    let me = format!("pid {}", std::process::id());
    assert!(error.message.contains(&me), "{error}");
    lock.check().unwrap();
    drop(lock);
    assert_eq!(names(folder.path()), [""; 0]);

    put(&path_of(&result), &dead(7));
    let lock = Lock::take(&result).unwrap();
    assert_eq!(lock.owner.epoch, 8);
    lock.check().unwrap();
    put(&path_of(&result), &dead(9));
    let error = lock.check().unwrap_err();
    assert!(error.message.contains("writes nothing more"), "{error}");
    drop(lock);
    assert!(path_of(&result).exists(), "a lock that is not ours stays");
}

#[test]
fn an_owner_that_cannot_be_seen_is_not_taken_for_dead_and_the_way_out_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let result = folder.path().join("r.h5");
    let far = Owner {
        host: "node17".into(),
        job: "4711".into(),
        ..dead(1)
    };
    put(&path_of(&result), &far);
    let error = Lock::take(&result).unwrap_err().message;
    for part in [
        "on node17, job 4711",
        "cannot be seen",
        "remove",
        "r.h5.lock",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

/// A lock of an earlier version has fewer fields, and a file that is none is not touched.
#[test]
fn a_short_lock_is_read_and_a_foreign_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let result = folder.path().join("r.h5");
    let text = format!(
        r#"{{"host":"{}","pid":1073741824,"started":5,"job":"","epoch":3}}"#,
        host()
    );
    fs::write(path_of(&result), text).unwrap();
    assert_eq!(Lock::take(&result).unwrap().owner.epoch, 4);
    for text in ["", "something else"] {
        fs::write(path_of(&result), text).unwrap();
        let error = Lock::take(&result).unwrap_err().message;
        assert!(error.contains("not a lock of framewise"), "{error}");
        assert!(path_of(&result).exists());
    }
}

/// SIGKILL between any two steps leaves files; the next owner clears them up, and claims of the dead block nobody.
#[test]
fn what_the_dead_leave_around_a_lock_is_cleared_up() {
    let folder = tempfile::tempdir().unwrap();
    let result = folder.path().join("r.h5");
    let path = path_of(&result);
    let (first, second, third) = (dead(1), dead(2), dead(2));
    put(&path, &first);
    put(&claim_of(&path, &first), &second);
    put(&claim_of(&path, &second), &third);
    put(&claim_of(&path, &dead(5)), &dead(6));
    put(&beside(&path, ".new-0123"), &dead(1));
    fs::write(beside(&path, ".new-4567"), "").unwrap();
    let mine = beside(&path, ".new-of-a-live-job");
    put(&mine, &Owner::this_process());
    drop(Lock::take(&result).unwrap());
    assert_eq!(names(folder.path()), ["r.h5.lock.new-of-a-live-job"]);
}

/// The old takeover moved the lock aside by name. A job that had read the dead owner's lock and was then slow moved the
/// lock of whoever had been faster, and both held it. Here everybody is slow, at every step.
#[test]
fn of_many_that_find_a_dead_owner_one_follows_it() {
    static HOLDERS: AtomicUsize = AtomicUsize::new(0);
    for round in 0..30 {
        let folder = tempfile::tempdir().unwrap();
        let result = folder.path().join("r.h5");
        put(&path_of(&result), &dead(1));
        if round % 3 == 0 {
            let (first, second) = (dead(1), dead(2));
            put(&path_of(&result), &first);
            put(&claim_of(&path_of(&result), &first), &second);
        }
        let taken = AtomicUsize::new(0);
        thread::scope(|scope| {
            for n in 0..8u64 {
                let (result, taken) = (&result, &taken);
                scope.spawn(move || {
                    if n % 2 == 0 {
                        DELAY.set(Some(|| {
                            let random = Owner::this_process().token.as_bytes()[0] % 8;
                            thread::sleep(Duration::from_millis(u64::from(random)));
                        }));
                    }
                    let begun = Instant::now();
                    while begun.elapsed() < Duration::from_secs(20) {
                        let Ok(lock) = Lock::take(result) else {
                            thread::sleep(Duration::from_millis(1));
                            continue;
                        };
                        assert_eq!(
                            HOLDERS.fetch_add(1, Ordering::SeqCst),
                            0,
                            "two hold the lock"
                        );
                        taken.fetch_add(1, Ordering::SeqCst);
                        thread::sleep(Duration::from_micros(500));
                        lock.check().unwrap();
                        assert_eq!(HOLDERS.fetch_sub(1, Ordering::SeqCst), 1);
                        // Every third dies with it.
                        if n % 3 == 0 {
                            put(&lock.path, &dead(1));
                        }
                        return;
                    }
                });
            }
        });
        assert_eq!(taken.load(Ordering::SeqCst), 8, "round {round}");
    }
}
