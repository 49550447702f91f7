//! A folder of damaged, foreign and odd files: each gives the right answer or one clear line.
//!
//! Beside each file of `tests/fixtures/odd` stands what becomes of it: the exit codes of `export` and of `run`, and the frames,
//! or the error. `FRAMEWISE_BLESS=1` writes that down.

mod support;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use support::folder::Folder;

/// What the program makes of a file.
fn becomes(folder: &Folder, name: &str) -> String {
    let export = folder.alone("export").arg(name).args("-o - -q").run();
    let run = folder.alone("run").arg(name);
    let run = run.args("-o r.h5 -c null -q").run();
    let _ = fs::remove_file(folder.path("r.h5"));
    let code = |code: Option<i32>| code.map_or("none".into(), |code| code.to_string());
    let (of_export, of_run) = (code(export.code), code(run.code));
    let mut text = format!("export {of_export}, run {of_run}\n");
    text += &export.stdout;
    text += &export.stderr;
    // What both say need not stand there twice.
    let errors = run.stderr.lines().filter(|line| line.starts_with("error"));
    for line in errors.filter(|line| !export.stderr.contains(*line)) {
        writeln!(text, "run: {line}").unwrap();
    }
    text
}

#[test]
fn each_gives_the_right_answer_or_one_clear_line() {
    let odd = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/odd");
    let folder = Folder::new();
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(&odd).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.ends_with(".expected") && name != "make.py" {
            fs::copy(odd.join(&name), folder.path(&name)).unwrap();
            names.push(name);
        }
    }
    names.sort();
    assert!(names.len() > 50, "{names:?}");
    let mut differences = String::new();
    for name in names {
        let found = becomes(&folder, &name);
        for word in ["panicked", "HDF5-DIAG", "backtrace"] {
            assert!(!found.contains(word), "{name}: {found}");
        }
        let expected = odd.join(format!("{name}.expected"));
        if std::env::var_os("FRAMEWISE_BLESS").is_some() {
            fs::write(&expected, &found).unwrap();
        }
        let wanted = fs::read_to_string(&expected).unwrap_or_default();
        if found != wanted {
            writeln!(
                differences,
                "{name}\n--- found\n{found}--- expected\n{wanted}"
            )
            .unwrap();
        }
    }
    assert!(differences.is_empty(), "{differences}");
}
