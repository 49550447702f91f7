//! The Python package in `python/`: its own tests, on results that this program makes; its types, its style, and that it installs.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::launch::program;

fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python")
}

/// `python -m MODULE ...` in the folder of the package, which is importable from its sources.
fn python(arguments: &[&str]) -> Command {
    // `scripts/test` provides the interpreter; there is no test without it.
    let interpreter = std::env::var_os("FRAMEWISE_PYTHON").expect(
        "FRAMEWISE_PYTHON names a Python with what tests/requirements.txt says; scripts/test makes one",
    );
    let mut command = Command::new(interpreter);
    command
        .args(arguments)
        .current_dir(package())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONPATH", "src")
        .env("FRAMEWISE_PROGRAM", program());
    command
}

fn finish(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?}\n{stdout}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    stdout
}

#[test]
fn its_tests_pass_on_real_results_and_its_readme_is_one_of_them() {
    let arguments = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"];
    let said = finish(&mut python(&arguments));
    // Nothing was skipped.
    let last = said.lines().last().unwrap_or_default();
    assert!(
        last.contains("passed") && !last.contains("skipped"),
        "{said}"
    );
}

#[test]
fn its_types_and_its_style_are_strict() {
    finish(&mut python(&["-m", "mypy", "--cache-dir", "/dev/null"]));
    finish(&mut python(&["-m", "ruff", "check", "--no-cache", "."]));
    finish(&mut python(&[
        "-m",
        "ruff",
        "format",
        "--no-cache",
        "--check",
        ".",
    ]));
}

/// Built from a copy, as building leaves files beside the sources; without an index, as on a node without a network.
#[test]
fn pip_installs_it_and_a_typed_program_uses_it() {
    let folder = tempfile::tempdir().unwrap();
    let [copy, fresh, uses] = ["copy", "fresh", "uses.py"].map(|name| folder.path().join(name));
    finish(Command::new("cp").arg("-rL").arg(package()).arg(&copy));
    finish(python(&["-m", "venv", "--without-pip"]).arg(&fresh));
    let interpreter = fresh.join("bin/python");
    let mut pip = python(&["-m", "pip", "--python"]);
    pip.arg(&interpreter)
        .args(["install", "--quiet", "--no-index"]);
    // The interpreter that is installed into has no setuptools, and needs none: the wheel is built with ours.
    let wheels = folder.path().join("wheels");
    let mut wheel = python(&["-m", "pip", "wheel", "--quiet", "--no-build-isolation"]);
    wheel.args(["--no-deps", "--no-index", "--wheel-dir"]);
    finish(wheel.arg(&wheels).arg(&copy));
    let made = std::fs::read_dir(&wheels).unwrap().next().unwrap();
    finish(pip.arg("--no-deps").arg(made.unwrap().path()));

    let text = "import framewise\n\n\ndef energy(result: framewise.Result, index: int) -> float:\n    return result[index].energy\n\n\nprint(framewise.__file__, framewise.__version__)\n";
    std::fs::write(&uses, text).unwrap();
    let theirs = "import sysconfig; print(sysconfig.get_path('purelib'))";
    let libraries = finish(&mut python(&["-c", theirs]));
    let mut run = Command::new(&interpreter);
    run.arg(&uses).env("PYTHONPATH", libraries.trim());
    let said = finish(&mut run);
    assert!(said.starts_with(&format!("{}/", fresh.display())), "{said}");
    assert!(
        said.trim_end().ends_with(env!("CARGO_PKG_VERSION")),
        "{said}"
    );

    let typed = [
        "-m",
        "mypy",
        "--strict",
        "--cache-dir",
        "/dev/null",
        "--python-executable",
    ];
    let check = || {
        let mut command = python(&typed);
        // Not in the folder of the package: its settings are not for its users.
        command
            .arg(&interpreter)
            .arg(&uses)
            .current_dir(folder.path());
        command.env_remove("PYTHONPATH");
        command
    };
    finish(&mut check());
    // Types that are not looked at would let this pass.
    std::fs::write(&uses, text.replace(".energy", ".engery")).unwrap();
    let refused = check().output().unwrap();
    let said = String::from_utf8_lossy(&refused.stdout);
    assert!(
        said.contains("\"Frame\" has no attribute \"engery\""),
        "{said}"
    );
}
