//! `map --kernel python`: the user's own functions, and what they can do wrong.

mod support;

use std::fs;
use std::path::Path;

use support::folder::Folder;
use support::launch::Launch;
use support::results::{assert_same, statuses};

const ROWS: usize = 40;
const WIDTH: usize = 6;
const POISONED: usize = 17;

/// A folder with an array, one row of which is poisoned, and the functions.
fn folder() -> Folder {
    let folder = Folder::new();
    let file = hdf5::File::create(folder.path("in.h5")).unwrap();
    let dataset = file
        .new_dataset::<f64>()
        .shape((ROWS, WIDTH))
        .create("rows")
        .unwrap();
    dataset.write_raw(&values()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/functions.py");
    fs::copy(script, folder.path("mine.py")).unwrap();
    fs::create_dir(folder.path("tmp")).unwrap();
    folder
}

fn values() -> Vec<f64> {
    let value = |i: usize| (i as f64 * 0.7).sin();
    let mut values: Vec<f64> = (0..ROWS * WIDTH).map(value).collect();
    values[POISONED * WIDTH] = 95.0;
    values
}

/// The command with a function of `mine.py`, whose scratch folders are in `tmp`.
fn on(folder: &Folder, ranks: usize, result: &str, function: &str) -> Launch {
    let kernel = format!("--kernel python:mine.py:{function}");
    let command = format!("map in.h5 --dataset rows -o {result} --oversubscribe {kernel}");
    let launch = match ranks {
        1 => folder.alone(&command),
        _ => folder.on(ranks, &command),
    };
    launch.variable("TMPDIR", &folder.path("tmp").display().to_string())
}

fn numbers<T: hdf5::H5Type>(folder: &Folder, result: &str, name: &str) -> Vec<T> {
    let file = hdf5::File::open(folder.path(result)).unwrap();
    let dataset = file.dataset(&format!("rows-Python_000/{name}")).unwrap();
    dataset.read_raw().unwrap()
}

#[track_caller]
fn assert_nothing_left(folder: &Folder) {
    let left: Vec<_> = fs::read_dir(folder.path("tmp"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("framewise-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn rows_are_what_the_function_makes_of_them_on_any_ranks_and_in_any_company() {
    let folder = folder();
    on(&folder, 1, "one.h5", "moments -t 1").expect(0);
    on(&folder, 2, "two.h5", "moments -t 2").expect(0);
    assert_same(&folder.path("two.h5"), &folder.path("one.h5"));
    let squares: Vec<f64> = values().iter().map(|x| x * x).collect();
    let found = numbers::<f64>(&folder, "one.h5", "Powers");
    for (a, b) in found.iter().zip(&squares) {
        assert!((a - b).abs() <= 4.0 * f64::EPSILON * b, "{a}, not {b}");
    }
    let sums = numbers::<f64>(&folder, "one.h5", "Sum");
    for (sum, row) in sums.iter().zip(values().chunks(WIDTH)) {
        assert!((sum - row.iter().sum::<f64>()).abs() < 1e-12 * row[0].abs().max(1.0));
    }
    on(&folder, 2, "batch.h5", "together -p batch=7 -t 2").expect(0);
    assert_eq!(numbers::<f64>(&folder, "batch.h5", "Powers"), found);
    folder.alone("verify batch.h5").expect(0);
    // Finished, and the file with the function changed.
    on(&folder, 1, "one.h5", "moments -t 1").expect(0);
    let text = fs::read_to_string(folder.path("mine.py")).unwrap();
    fs::write(folder.path("mine.py"), text + "\n# changed\n").unwrap();
    let run = on(&folder, 1, "one.h5", "moments -t 1").expect(0);
    assert!(run.stderr.contains("function_xxh3"), "{run}");
    assert!(run.stderr.contains("a group of their own"), "{run}");
    assert_nothing_left(&folder);
}

#[test]
fn results_of_any_type_are_what_the_function_says() {
    let folder = folder();
    on(&folder, 2, "r.h5", "counted").expect(0);
    let above = numbers::<i64>(&folder, "r.h5", "Above");
    let flags = numbers::<u8>(&folder, "r.h5", "Flags");
    for (i, row) in values().chunks(WIDTH).enumerate() {
        let expected: Vec<u8> = row.iter().map(|x| u8::from(*x > 0.0)).collect();
        assert_eq!(flags[i * WIDTH..(i + 1) * WIDTH], expected);
        assert_eq!(
            above[i],
            expected.iter().map(|x| i64::from(*x)).sum::<i64>()
        );
    }
    assert!(
        numbers::<f64>(&folder, "r.h5", "Hole")
            .iter()
            .all(|x| x.is_nan())
    );
}

#[test]
fn whatever_a_function_does_in_a_row_costs_that_row() {
    let folder = folder();
    on(&folder, 1, "whole.h5", "moments").expect(0);
    let whole = numbers::<f64>(&folder, "whole.h5", "Sum");
    for (function, how, reason) in [
        ("moments", "raise", "ValueError: poisoned (mine.py:"),
        (
            "moments",
            "exit",
            "the Python process left with exit code 5",
        ),
        ("moments", "hang", "took longer than 1 s"),
        (
            "moments",
            "shape",
            "ValueError: result Powers has the shape (5,), not (6,)",
        ),
        ("moments", "nan", "result Sum is not finite"),
        (
            "together -p batch=8",
            "exit",
            "the Python process left with exit code 5",
        ),
    ] {
        let more = format!("{function} -p how={how} --row-timeout 1 -t 1");
        let run = on(&folder, 1, "r.h5", &more).expect(3);
        let told = format!("row {POISONED}: {reason}");
        assert!(run.stderr.contains(&told), "{how}: {run}");
        let found = numbers::<f64>(&folder, "r.h5", "Sum");
        for (i, status) in statuses(&folder.path("r.h5")).iter().enumerate() {
            assert_eq!(*status, if i == POISONED { 3 } else { 0 }, "{how}, row {i}");
            assert!(i == POISONED || (found[i] - whole[i]).abs() < 1e-12);
        }
        assert_nothing_left(&folder);
        fs::remove_file(folder.path("r.h5")).unwrap();
    }
}

#[test]
fn what_cannot_be_stored_is_said_before_anything_is_created() {
    let folder = folder();
    for (function, told) in [
        (
            "gone",
            "AttributeError: module 'framewise_user' has no attribute 'gone'",
        ),
        (
            "words",
            "result Result is of type <U4, which cannot be stored",
        ),
        ("nothing", "it gives no results"),
        ("slash", "\"a/b\" cannot be the name of a result"),
        (
            "moments -p unknown=3",
            "unexpected keyword argument 'unknown'",
        ),
    ] {
        let run = on(&folder, 1, "r.h5", function).expect(2);
        assert!(run.stderr.contains(told), "{function}: {run}");
        assert_eq!(run.stderr.matches("error: ").count(), 1, "{run}");
        assert!(!folder.path("r.h5").exists());
    }
    // A function that is not the same on all ranks would have them open other datasets, and wait for each other.
    let run = on(&folder, 2, "r.h5", "of_the_rank").expect(1);
    assert!(run.stderr.contains("inputs differ"), "{run}");
    assert!(!folder.path("r.h5").exists());
    let run = on(&folder, 2, "r.h5", "gone").expect(2);
    assert_eq!(run.stderr.matches("error: ").count(), 1, "{run}");
    assert_nothing_left(&folder);
}
