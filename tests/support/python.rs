//! Scripts of `tests/python`, run by the interpreter that `scripts/test` provides: there is no test without it.

use std::path::Path;
use std::process::Command;

use super::folder::Folder;

/// A script with its interpreter, in a folder.
pub fn script(name: &str, folder: &Folder) -> Command {
    let interpreter = std::env::var_os("FRAMEWISE_PYTHON")
        .expect("FRAMEWISE_PYTHON names a Python with h5py and more; scripts/test makes one");
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

/// What a script says that is given these arguments and has nothing to complain of.
#[track_caller]
pub fn said<S: AsRef<std::ffi::OsStr>>(
    name: &str,
    folder: &Folder,
    arguments: impl IntoIterator<Item = S>,
) -> String {
    let mut command = script(name, folder);
    let output = command.args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{error}");
    String::from_utf8(output.stdout).unwrap()
}
