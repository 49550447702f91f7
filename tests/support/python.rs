//! Scripts of `tests/python`, run by the interpreter that `scripts/test` provides: there is no test without it.

use std::path::Path;
use std::process::Command;

use super::folder::Folder;

/// A script with its interpreter, in a folder.
pub fn script(name: &str, folder: &Folder) -> Command {
    by("FRAMEWISE_PYTHON", name, folder)
}

fn by(variable: &str, name: &str, folder: &Folder) -> Command {
    let interpreter = std::env::var_os(variable).unwrap_or_else(|| {
        panic!("{variable} names a Python with packages; scripts/test makes one")
    });
    let mut command = Command::new(interpreter);
    command
        .arg(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/python")
                .join(name),
        )
        .current_dir(folder.path("."));
    command
}

/// Runs a script with the programs that people open results with (`tests/readers.txt`), and nothing to complain of.
#[track_caller]
pub fn read_by(name: &str, folder: &Folder, arguments: &[&str]) -> String {
    end(by("FRAMEWISE_READERS", name, folder).args(arguments))
}

/// What a script says that is given these arguments and has nothing to complain of.
#[track_caller]
pub fn said<S: AsRef<std::ffi::OsStr>>(
    name: &str,
    folder: &Folder,
    arguments: impl IntoIterator<Item = S>,
) -> String {
    end(script(name, folder).args(arguments))
}

#[track_caller]
fn end(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{error}");
    String::from_utf8(output.stdout).unwrap()
}
